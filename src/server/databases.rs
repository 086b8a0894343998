//! CREATE DATABASE, DROP DATABASE, PAUSE and RESUME.
//!
//! A captured database that is made is kept only if its upstream could be followed, unless its
//! maker wanted it without looking. Dropping one leaves its slot on the upstream where it is, and
//! says so.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::session::{Session, SessionEnd, Stop, blocking};
use crate::capture::Conninfo;
use crate::catalog::ddl::{CreateDatabase, DatabaseStatement};
use crate::clock::Moment;
use crate::engine::{DEFAULT_DATABASE, DropDatabaseError, Engine};
use crate::pgerror::PgError;
use crate::relations::Notice;
use crate::roles::RoleCommand;

/// How long DROP DATABASE waits for others to leave.
const OTHERS_LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How often it looks.
const LOOK: Duration = Duration::from_millis(100);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Carries out a statement about databases; returns its tag.
    pub(super) async fn database_statement(
        &mut self,
        statement: &DatabaseStatement,
    ) -> Result<&'static str, Stop> {
        let tag = statement.tag();
        match statement {
            DatabaseStatement::Create(new) => {
                self.state.check_writable(tag)?;
                self.transaction.check_alone(tag)?;
                self.create_database(new).await?;
            }
            DatabaseStatement::Drop {
                name,
                if_exists,
                force,
            } => {
                self.state.check_writable(tag)?;
                self.transaction.check_alone(tag)?;
                self.drop_database(name, *if_exists, *force).await?;
            }
            DatabaseStatement::Pause { name, pause } => {
                self.transaction.check_alone(tag)?;
                self.pause(name.as_deref(), *pause).await?;
            }
        }
        Ok(tag)
    }

    async fn create_database(&mut self, new: &CreateDatabase) -> Result<(), Stop> {
        self.state.caller().check_create_database()?;
        self.check_owner(new)?;
        self.check_template(new)?;
        let (name, settings) = (new.name.clone(), new.capture.clone());
        let settings = settings.map(|capture| capture.settings);
        if let Some(settings) = &settings {
            Conninfo::parse(&settings.upstream)?;
        }
        let shared = Arc::clone(&self.shared);
        let make = move |_| {
            Ok(shared
                .databases
                .create(&name, settings.as_ref(), Moment::now())?)
        };
        let engine = self.on_thread(make).await?;
        let first_contact = self.shared.captures.start(&engine);
        if !new.capture.as_ref().is_some_and(|capture| capture.connect) {
            return Ok(());
        }
        let stop = tokio::select! {
            biased;
            reached = first_contact => match reached {
                Ok(()) => return Ok(()),
                Err(error) => Stop::from(error),
            },
            signal = self.signal() => signal.into(),
            () = self.conn.hung_up() => Stop::Session(SessionEnd::Closed),
        };
        drop(engine);
        if let Err(error) = self.shared.remove_database(&new.name).await {
            tracing::error!(database = new.name, %error, "not dropped again");
        }
        Err(stop)
    }

    /// Nobody owns a database here but superusers, all alike.
    fn check_owner(&self, new: &CreateDatabase) -> Result<(), PgError> {
        let Some(owner) = &new.owner else {
            return Ok(());
        };
        let is_current = matches!(&**owner, "current_user" | "current_role" | "session_user");
        let roles = self.shared.databases.roles().current();
        let Some(role) = roles.find(owner) else {
            return match is_current {
                true => Ok(()),
                false => {
                    let message = format!("role \"{owner}\" does not exist");
                    Err(PgError::error("42704", message))
                }
            };
        };
        if role.rights.superuser {
            return Ok(());
        }
        let message = "an owner that is no superuser is not supported";
        let hint = "GRANT CONNECT ON DATABASE lets a role use it.";
        Err(PgError::unsupported(message).with_hint(hint))
    }

    fn check_template(&self, new: &CreateDatabase) -> Result<(), PgError> {
        let template = new.template.as_deref();
        let Some(template) = template.filter(|name| !matches!(*name, "template0" | "template1"))
        else {
            return Ok(());
        };
        if self.shared.databases.get(template).is_none() {
            let message = format!("template database \"{template}\" does not exist");
            return Err(PgError::error("3D000", message));
        }
        let message = "copying a database is not supported";
        let hint = "A new database is empty: use template0 or template1, or none.";
        Err(PgError::unsupported(message).with_hint(hint))
    }

    async fn drop_database(
        &mut self,
        name: &str,
        if_exists: bool,
        force: bool,
    ) -> Result<(), Stop> {
        let Some(engine) = self.shared.databases.get(name) else {
            let unknown = DropDatabaseError::Unknown(name.to_owned());
            if !if_exists {
                return Err(unknown.into());
            }
            self.notice(format!("{unknown}, skipping"), None);
            return Ok(());
        };
        self.state.caller().check_drop_database(name)?;
        if Arc::ptr_eq(&engine, &self.engine) {
            let message = "cannot drop the currently open database";
            return Err(PgError::error("55006", message).into());
        }
        if name == DEFAULT_DATABASE {
            return Err(DropDatabaseError::Default(name.to_owned()).into());
        }
        check_unused(&engine)?;
        if force {
            self.shared.sessions.terminate_all_of(name);
        }
        self.wait_for_others(name).await?;
        let slot = engine
            .capture()
            .map(|capture| capture.settings().slot.clone());
        drop(engine);
        self.shared.remove_database(name).await?;
        self.shared.revoke_all(name).await?;
        if let Some(slot) = slot {
            let message = format!("replication slot \"{slot}\" is left on the upstream");
            // What a slot is called needs no quoting.
            let detail = format!(
                "Unless it is dropped there, the upstream keeps all WAL from here on: SELECT \
                 pg_drop_replication_slot('{slot}')."
            );
            self.notice(message, Some(detail));
        }
        Ok(())
    }

    /// Waits until nobody else uses the database.
    async fn wait_for_others(&mut self, name: &str) -> Result<(), Stop> {
        let began = Moment::now().steady;
        loop {
            let others = self.shared.sessions.of_database(name).len();
            if others == 0 {
                return Ok(());
            }
            if Moment::now().steady.saturating_sub(began) >= OTHERS_LEAVE_WITHIN {
                let database = name.to_owned();
                let num_sessions = others;
                let in_use = DropDatabaseError::InUse {
                    database,
                    num_sessions,
                };
                return Err(in_use.into());
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                signal = self.signal() => return Err(signal.into()),
                () = self.conn.hung_up() => return Err(Stop::Session(SessionEnd::Closed)),
            }
        }
    }

    async fn pause(&mut self, name: Option<&str>, pause: bool) -> Result<(), Stop> {
        let own = self.engine.name().to_owned();
        let name = name.unwrap_or(&own);
        let Some(engine) = self.shared.databases.get(name) else {
            return Err(DropDatabaseError::Unknown(name.to_owned()).into());
        };
        self.state.caller().check_pause(name)?;
        let Some(capture) = engine.capture().map(Arc::clone) else {
            return Err(not_captured(name).into());
        };
        self.on_thread(move |_| Ok(capture.set_paused(pause)?))
            .await
    }

    fn notice(&mut self, message: String, detail: Option<String>) {
        if self.wants("notice") {
            let code = "00000";
            self.conn.send_notice(&Notice {
                code,
                message,
                detail,
            });
        }
    }
}

impl Shared {
    /// Takes a database out of service and removes its files.
    async fn remove_database(&self, name: &str) -> Result<(), PgError> {
        self.captures.stop(name).await;
        let databases = Arc::clone(&self.databases);
        let sessions = Arc::clone(&self.sessions);
        let owned = name.to_owned();
        let remove = move || databases.drop_database(&owned, || sessions.of_database(&owned).len());
        let removed = blocking(remove).await?;
        // Who was on the way in meanwhile has a database that is gone. One that could not be
        // removed is followed on.
        match self.databases.get(name) {
            None => self.sessions.terminate_all_of(name),
            Some(engine) => drop(self.captures.start(&engine)),
        }
        Ok(removed?)
    }

    /// Takes the right to use a database that is gone from all who had it: another one of its name
    /// is not theirs.
    async fn revoke_all(&self, name: &str) -> Result<(), PgError> {
        let databases = Arc::clone(&self.databases);
        let name = name.to_owned();
        let revoked = blocking(move || {
            let roles = databases.roles();
            let current = roles.current();
            let had = current.iter().filter(|role| role.databases.contains(&name));
            let had: Vec<String> = had.map(|role| role.name.clone()).collect();
            if had.is_empty() {
                return Ok(());
            }
            let revoke = RoleCommand::Databases {
                databases: vec![name],
                roles: had,
                grant: false,
            };
            roles.apply(&revoke).map(|_| ())
        });
        Ok(revoked.await??)
    }
}

/// A slot of the database is in use, as PostgreSQL says it.
fn check_unused(engine: &Engine) -> Result<(), PgError> {
    let slots = engine.snapshot().slots;
    let active = slots.iter().filter(|slot| slot.active_pid.is_some());
    let detail = match active.count() {
        0 => return Ok(()),
        1 => "There is 1 active slot.".to_owned(),
        many => format!("There are {many} active slots."),
    };
    let name = engine.name();
    let message = format!("database \"{name}\" is used by an active logical replication slot");
    Err(PgError::error("55006", message).with_detail(detail))
}

fn not_captured(name: &str) -> PgError {
    let message = format!("database \"{name}\" is not captured from an upstream");
    let hint = "pgspool.captures shows those that are.";
    PgError::error("55000", message).with_hint(hint)
}
