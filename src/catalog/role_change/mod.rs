//! What a statement about roles comes to: who may ask for it, what it refuses, and the commands
//! that carry it out.
//!
//! It changes nothing: the session has the commands carried out, at once or at COMMIT.

use std::sync::Arc;

use crate::datum::{Datum, PgType, text_in};
use crate::pgerror::PgError;
use crate::relations::Notice;
use crate::roles::{Role, RoleChanges, RoleCommand, RoleError, RoleSet, Verifier};

use super::ddl::{GRANT_HINT, RoleOptions, RoleSpec, RoleStatement, Secret};
use super::views::predefined_roles;
use super::{Context, names};

/// A verifier with more iterations than this is not tried with the empty password: that would take
/// seconds.
const MAX_TRIED_ITERATIONS: u32 = 100_000;
/// Most bytes of a password.
const MAX_PASSWORD: usize = 8192;
/// Most lines of what belongs to a role that is to be dropped.
const MAX_DEPENDENTS: usize = 100;
/// The one role that others can be members of.
const MONITOR: &str = "pg_monitor";

/// What a statement comes to.
#[derive(Debug)]
pub(crate) struct RoleChange {
    /// What carries it out, all or nothing.
    pub(crate) commands: Vec<RoleCommand>,
    /// Command tag.
    pub(crate) tag: &'static str,
    /// What the client is told.
    pub(crate) notices: Vec<Notice>,
    /// What the client is warned of.
    pub(crate) warnings: Vec<(&'static str, String)>,
}

/// What `statement` comes to where the roles are those that the session sees. Blocking: it hashes
/// passwords.
pub(crate) fn role_change(
    context: &Arc<Context>,
    statement: &RoleStatement,
) -> Result<RoleChange, PgError> {
    let session = context.host.session();
    let mut asked = Asked {
        context,
        roles: context.host.roles(),
        role: session.role,
        user: session.user,
        is_superuser: context.host.rights().superuser,
        change: RoleChange {
            commands: Vec::new(),
            tag: statement.tag(),
            notices: Vec::new(),
            warnings: Vec::new(),
        },
    };
    match statement {
        RoleStatement::Create { name, options } => asked.create(name, options)?,
        RoleStatement::Alter { role, options } => asked.alter(role, options)?,
        RoleStatement::Rename { name, to } => asked.rename(name, to)?,
        RoleStatement::Drop { roles, if_exists } => asked.drop(roles, *if_exists)?,
        RoleStatement::Databases {
            databases,
            roles,
            grant,
        } => asked.databases(databases, roles, *grant)?,
        RoleStatement::Members {
            granted,
            roles,
            grant,
        } => asked.members(granted, roles, *grant)?,
    }
    Ok(asked.change)
}

impl RoleStatement {
    /// Command tag.
    pub(crate) const fn tag(&self) -> &'static str {
        match self {
            Self::Create { .. } => "CREATE ROLE",
            Self::Alter { .. } | Self::Rename { .. } => "ALTER ROLE",
            Self::Drop { .. } => "DROP ROLE",
            Self::Databases { grant: true, .. } => "GRANT",
            Self::Databases { grant: false, .. } => "REVOKE",
            Self::Members { grant: true, .. } => "GRANT ROLE",
            Self::Members { grant: false, .. } => "REVOKE ROLE",
        }
    }
}

/// Who asks, of which roles, and what it comes to so far.
struct Asked<'a> {
    context: &'a Arc<Context>,
    roles: Arc<RoleSet>,
    /// OID and name of who asks.
    role: u32,
    user: String,
    is_superuser: bool,
    change: RoleChange,
}

impl Asked<'_> {
    fn create(&mut self, name: &str, options: &RoleOptions) -> Result<(), PgError> {
        if !self.is_superuser {
            return Err(denied(match options {
                _ if options.superuser == Some(true) => "must be superuser to create superusers",
                _ if options.replication == Some(true) => {
                    "must be superuser to create replication users"
                }
                _ => "permission denied to create role",
            }));
        }
        let changes = self.changes(options)?;
        let name = name.to_owned();
        self.does(RoleCommand::Create { name, changes });
        Ok(())
    }

    fn alter(&mut self, spec: &RoleSpec, options: &RoleOptions) -> Result<(), PgError> {
        let name = self.named(spec)?;
        if is_predefined(&name) {
            let detail = "Cannot alter reserved roles.";
            return Err(PgError::from(RoleError::ReservedName(name)).with_detail(detail));
        }
        let role = self.find(&name)?;
        let is_own_password = role.oid == self.role && options.is_password_only();
        if !self.is_superuser && !is_own_password {
            return Err(denied(
                if role.rights.superuser || options.superuser.is_some() {
                    "must be superuser to alter superuser roles or change superuser attribute"
                } else if role.rights.replication || options.replication.is_some() {
                    "must be superuser to alter replication roles or change replication attribute"
                } else {
                    "permission denied"
                },
            ));
        }
        let changes = self.changes(options)?;
        self.does(RoleCommand::Alter { name, changes });
        Ok(())
    }

    fn rename(&mut self, name: &str, to: &str) -> Result<(), PgError> {
        if is_predefined(name) {
            return Err(RoleError::ReservedName(name.to_owned()).into());
        }
        let role = self.find(name)?;
        if role.oid == self.role {
            return Err(PgError::unsupported("session user cannot be renamed"));
        }
        if !self.is_superuser {
            return Err(denied(if role.rights.superuser {
                "must be superuser to rename superusers"
            } else {
                "permission denied to rename role"
            }));
        }
        let (name, to) = (name.to_owned(), to.to_owned());
        self.does(RoleCommand::Rename { name, to });
        Ok(())
    }

    fn drop(&mut self, specs: &[RoleSpec], if_exists: bool) -> Result<(), PgError> {
        if !self.is_superuser {
            return Err(denied("permission denied to drop role"));
        }
        let mut names = Vec::new();
        for spec in specs {
            let RoleSpec::Named(name) = spec else {
                let message = "cannot use special role specifier in DROP ROLE";
                return Err(PgError::error("22023", message));
            };
            if is_predefined(name) {
                let message = format!(
                    "cannot drop role {name} because it is required by the database system"
                );
                return Err(PgError::error("2BP01", message));
            }
            match self.roles.find(name) {
                Some(role) => {
                    self.check_droppable(role)?;
                    names.push(name.clone());
                }
                None if if_exists => self.change.notices.push(Notice {
                    code: "00000",
                    message: format!("role \"{name}\" does not exist, skipping"),
                    detail: None,
                }),
                None => return Err(RoleError::Missing(name.clone()).into()),
            }
        }
        self.does(RoleCommand::Drop { names, if_exists });
        Ok(())
    }

    fn check_droppable(&self, role: &Role) -> Result<(), PgError> {
        if role.oid == self.role {
            let message = "current user cannot be dropped";
            return Err(PgError::error("55006", message));
        }
        let owned = self.owned(role.oid);
        if owned.is_empty() {
            return Ok(());
        }
        let name = &role.name;
        let message =
            format!("role \"{name}\" cannot be dropped because some objects depend on it");
        Err(PgError::error("2BP01", message).with_detail(owned.join("\n")))
    }

    /// What belongs to the role, in lines.
    fn owned(&self, oid: u32) -> Vec<String> {
        let mut owned = Vec::new();
        for engine in self.context.host.databases() {
            let slots = engine.snapshot().slots;
            let own = slots.iter().filter(|slot| slot.owner == Some(oid));
            let database = engine.name();
            owned.extend(own.map(|slot| {
                let name = &slot.name;
                format!("owner of replication slot {name} in database {database}")
            }));
        }
        owned.truncate(MAX_DEPENDENTS);
        owned
    }

    fn databases(
        &mut self,
        databases: &[String],
        specs: &[RoleSpec],
        grant: bool,
    ) -> Result<(), PgError> {
        if let (false, Some(name)) = (self.is_superuser, databases.first()) {
            return Err(denied(&format!("permission denied for database {name}")));
        }
        self.check_databases(databases)?;
        let mut roles = Vec::new();
        for spec in specs {
            if *spec != RoleSpec::Public {
                roles.push(self.named_role(spec)?);
            } else if grant {
                let error = PgError::unsupported("GRANT CONNECT TO PUBLIC is not supported");
                return Err(error.with_hint("Name the roles that may use the database."));
            }
            // Everybody was given nothing: there is nothing to take.
        }
        let databases = databases.to_vec();
        self.does(RoleCommand::Databases {
            databases,
            roles,
            grant,
        });
        Ok(())
    }

    fn members(
        &mut self,
        granted: &[String],
        specs: &[RoleSpec],
        grant: bool,
    ) -> Result<(), PgError> {
        for name in granted {
            if !is_predefined(name) {
                self.find(name)?;
            }
            if !self.is_superuser {
                let message = format!("must have admin option on role \"{name}\"");
                return Err(denied(&message));
            }
            if name != MONITOR {
                let message = format!("membership in role \"{name}\" is not supported");
                return Err(PgError::unsupported(message).with_hint(GRANT_HINT));
            }
        }
        for spec in specs {
            let name = self.named_role(spec)?;
            let role = self.find(&name)?;
            let said = match (grant, role.rights.monitor) {
                (true, true) => "already a member",
                (false, false) => "not a member",
                (true, false) | (false, true) => {
                    let changes = RoleChanges {
                        monitor: Some(grant),
                        ..RoleChanges::default()
                    };
                    self.does(RoleCommand::Alter { name, changes });
                    continue;
                }
            };
            let message = format!("role \"{name}\" is {said} of role \"{MONITOR}\"");
            if grant {
                self.change.notices.push(notice(message));
            } else {
                self.change.warnings.push(("01000", message));
            }
        }
        Ok(())
    }

    fn does(&mut self, command: RoleCommand) {
        self.change.commands.push(command);
    }

    /// The name that a statement means.
    fn named(&self, spec: &RoleSpec) -> Result<String, PgError> {
        match spec {
            RoleSpec::Named(name) => Ok(name.clone()),
            RoleSpec::Current => {
                let role = self.roles.find_oid(self.role);
                Ok(role.map_or_else(|| self.user.clone(), |role| role.name.clone()))
            }
            RoleSpec::Public => Err(RoleError::Missing("public".to_owned()).into()),
        }
    }

    /// The name of a role that there is and that is nobody's but its own.
    fn named_role(&self, spec: &RoleSpec) -> Result<String, PgError> {
        let name = self.named(spec)?;
        if is_predefined(&name) {
            let detail = "Cannot alter reserved roles.";
            return Err(PgError::from(RoleError::ReservedName(name)).with_detail(detail));
        }
        self.find(&name)?;
        Ok(name)
    }

    fn find(&self, name: &str) -> Result<&Role, PgError> {
        let missing = || RoleError::Missing(name.to_owned()).into();
        self.roles.find(name).ok_or_else(missing)
    }

    fn check_databases(&self, databases: &[String]) -> Result<(), PgError> {
        let known = self.context.host.databases();
        let is_known = |name: &String| known.iter().any(|engine| engine.name() == name);
        match databases.iter().find(|name| !is_known(name)) {
            Some(name) => {
                let message = format!("database \"{name}\" does not exist");
                Err(PgError::error("3D000", message))
            }
            None => Ok(()),
        }
    }

    fn changes(&mut self, options: &RoleOptions) -> Result<RoleChanges, PgError> {
        let connection_limit = match options.connection_limit {
            None => None,
            Some(-1) => Some(None),
            Some(limit) => Some(Some(u32::try_from(limit).map_err(|_| {
                PgError::error("22023", format!("invalid connection limit: {limit}"))
            })?)),
        };
        let until = options.valid_until.as_ref();
        let valid_until_unix_ms = until.map(|until| self.unix_ms(until)).transpose()?;
        if let Some(databases) = &options.databases {
            self.check_databases(databases)?;
        }
        let verifier = match &options.password {
            None => None,
            Some(None) => Some(None),
            Some(Some(password)) => Some(self.verifier(password)?),
        };
        let databases = options.databases.clone();
        Ok(RoleChanges {
            login: options.login,
            superuser: options.superuser,
            replication: options.replication,
            publish: options.publish,
            monitor: options.monitor,
            verifier,
            connection_limit,
            valid_until_unix_ms,
            databases: databases.map(|databases| databases.into_iter().collect()),
        })
    }

    /// A time as the session reads it; `None` for ever.
    fn unix_ms(&self, text: &str) -> Result<Option<u64>, PgError> {
        let names = names(self.context);
        let time = text_in(PgType::TIMESTAMPTZ, text, &names, self.context.style())?;
        Ok(match time {
            Datum::Int(i64::MAX) => None,
            // Before 1970 is long ago.
            Datum::Int(us) => Some(u64::try_from(us.div_euclid(1000)).unwrap_or(0)),
            Datum::Null | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_) => None,
        })
    }

    /// What the password is checked with; `None` where it is none.
    fn verifier(&mut self, Secret(password): &Secret) -> Result<Option<Verifier>, PgError> {
        if password.len() > MAX_PASSWORD {
            let error = PgError::error("22023", "password is too long");
            let detail = format!("Passwords have at most {MAX_PASSWORD} bytes.");
            return Err(error.with_detail(detail));
        }
        let is_empty = match password.parse::<Verifier>() {
            Ok(verifier) => {
                let is_tried = verifier.iterations <= MAX_TRIED_ITERATIONS;
                if !is_tried || !verifier.fits("") {
                    return Ok(Some(verifier));
                }
                true
            }
            Err(_) if password.starts_with("SCRAM-SHA-256$") => {
                return Err(PgError::error("22023", "invalid SCRAM-SHA-256 verifier"));
            }
            Err(_) => password.is_empty(),
        };
        if is_empty {
            let message = "empty string is not a valid password, clearing password";
            self.change.notices.push(notice(message.to_owned()));
            return Ok(None);
        }
        if is_md5(password) {
            let error = PgError::unsupported("MD5 passwords are not supported");
            return Err(error.with_hint("Give the password, or a SCRAM-SHA-256 verifier of it."));
        }
        let verifier = Verifier::of_password(password);
        verifier
            .map(Some)
            .map_err(|error| PgError::error("XX000", error.to_string()))
    }
}

/// Whether it is what PostgreSQL stores for passwords of the method md5.
fn is_md5(password: &str) -> bool {
    let hash = password.strip_prefix("md5");
    hash.is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_predefined(name: &str) -> bool {
    predefined_roles().any(|(_, known)| known == name)
}

fn denied(message: &str) -> PgError {
    PgError::error("42501", message)
}

fn notice(message: String) -> Notice {
    Notice {
        code: "00000",
        message,
        detail: None,
    }
}

#[cfg(test)]
mod tests;
