//! Statements that are no query, carried out the same in both protocols.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::copy_in;
use super::rows::{describe, text_column, text_row};
use super::session::{Session, Stop};
use super::settings::Settings;
use super::statements::{Discard, SetStatement, Statement};
use crate::catalog::ddl::RoleStatement;
use crate::catalog::{self, Column};
use crate::pgerror::PgError;
use crate::relations::{Command, schemas_searched};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Carries out a statement that is no query; returns the tag if it is still to be sent.
    /// `described`: rows come behind a description.
    pub(super) async fn statement(
        &mut self,
        statement: &Statement,
        described: bool,
    ) -> Result<Option<String>, Stop> {
        let tag = match statement {
            Statement::Query | Statement::Change => return Err(PgError::syntax("").into()),
            Statement::Definition(command) => self.define(command).await?.to_owned(),
            Statement::Roles(statement) => self.change_roles(statement).await?.to_owned(),
            Statement::Database(statement) => self.database_statement(statement).await?.to_owned(),
            Statement::Nothing(tag) => (*tag).to_owned(),
            Statement::Refused(error) => return Err(error.clone().into()),
            Statement::Transaction(statement) => {
                self.transaction_statement(statement).await?.to_owned()
            }
            Statement::Show(_) | Statement::ShowAll => {
                self.show_settings(statement, described)?;
                "SHOW".to_owned()
            }
            Statement::Set(statement) => self.set_statement(statement)?.to_owned(),
            Statement::Discard(what) => self.discard(*what).await?.to_owned(),
            Statement::Prepare { name, types, text } => {
                self.prepare(name, types, text).await?;
                "PREPARE".to_owned()
            }
            Statement::Execute { name, values } => {
                return self.execute_prepared(name, values, described).await;
            }
            Statement::Deallocate(name) => self.deallocate(name.as_deref())?.to_owned(),
            Statement::Declare(declare) => {
                self.declare(declare).await?;
                "DECLARE CURSOR".to_owned()
            }
            Statement::Fetch(fetch) => self.fetch(fetch, described).await?,
            Statement::Close(name) => self.close_cursor(name.as_deref()).await?.to_owned(),
            Statement::CopyChanges => self.copy().await?,
            Statement::CopyRows(copy) => self.copy_rows(copy).await?,
        };
        Ok(Some(tag))
    }

    async fn copy(&mut self) -> Result<String, Stop> {
        self.state.caller().check_copy()?;
        self.state.check_takes_records("COPY FROM")?;
        let mut target = copy_in::Target {
            producer: self.state.settings(|settings| settings.producer()),
            block: self.state.work(|work| work.take_buffer()),
            rows: None,
        };
        let copied = copy_in::run(self, &mut target).await;
        self.state.work(|work| work.return_buffer(target.block));
        copied
    }

    /// Makes a definition: at once, or at COMMIT when it is known now that it can be made.
    async fn define(&mut self, command: &Command) -> Result<&'static str, Stop> {
        let caller = self.state.caller();
        caller.check_define(command, self.engine.name())?;
        self.state.check_takes_records(command.tag())?;
        self.check_memory(0)?;
        let state = Arc::clone(&self.state);
        let search_path = state.settings(|settings| settings.show("search_path"))?.1;
        let command = Command::Within {
            search_path: schemas_searched(&search_path, &state.appearance.info().user),
            command: Box::new(command.clone()),
        };
        let work = move |_| {
            if state.work(|work| work.is_together()) {
                return state.work(|work| work.define(&state.engine, &command));
            }
            Ok(state.engine.define(&command)?)
        };
        let outcome = self.on_thread(work).await?;
        for notice in &outcome.notices {
            if self.wants("notice") {
                self.conn.send_notice(notice);
            }
        }
        Ok(outcome.tag)
    }

    /// Changes roles: at once, or at COMMIT when it is known now that it can be done.
    async fn change_roles(&mut self, statement: &RoleStatement) -> Result<&'static str, Stop> {
        self.state.check_writable(statement.tag())?;
        let state = Arc::clone(&self.state);
        let statement = statement.clone();
        let work = move |context| {
            let change = catalog::role_change(&Arc::new(context), &statement)?;
            let roles = state.shared.databases.roles();
            if state.work(|work| work.is_together()) {
                state.work(|work| work.change_roles(roles, &change.commands))?;
            } else {
                roles.apply_all(&change.commands)?;
            }
            Ok(change)
        };
        let change = self.on_thread(work).await?;
        if self.wants("notice") {
            for notice in &change.notices {
                self.conn.send_notice(notice);
            }
        }
        for (code, message) in &change.warnings {
            self.warn(code, message);
        }
        Ok(change.tag)
    }

    /// SHOW of a replication command.
    pub(super) fn show(&mut self, name: &str) -> Result<(), PgError> {
        self.show_settings(&Statement::Show(name.to_owned()), true)?;
        self.conn.send_complete("SHOW");
        Ok(())
    }

    fn show_settings(&mut self, statement: &Statement, described: bool) -> Result<(), PgError> {
        if described && let Some(columns) = self.columns_of(statement)? {
            describe(&columns, &[], &mut self.conn.out);
        }
        if let Statement::Show(name) = statement {
            self.state.caller().check_examine(name)?;
            let (_, value) = self.state.settings(|settings| settings.show(name))?;
            return text_row(&[&value], &mut self.conn.out);
        }
        for row in self.state.seen_settings() {
            let value = self.state.settings(|settings| settings.value(&row.name));
            let values = [row.name.as_str(), &value, &row.short_desc];
            text_row(&values, &mut self.conn.out)?;
        }
        Ok(())
    }

    /// The columns of the answer to a statement that is no query; `None` when it has no rows.
    pub(super) fn columns_of(&self, statement: &Statement) -> Result<Option<Vec<Column>>, PgError> {
        let columns = match statement {
            Statement::Show(name) => {
                self.state.caller().check_examine(name)?;
                let (name, _) = self.state.settings(|settings| settings.show(name))?;
                vec![text_column(&name)]
            }
            Statement::ShowAll => ["name", "setting", "description"].map(text_column).to_vec(),
            Statement::Execute { name, .. } => {
                return Ok(self.statements.find(name)?.columns.clone());
            }
            Statement::Fetch(fetch) if !fetch.is_move => {
                let portal = self.portals.find(&fetch.name);
                return Ok(portal.and_then(|portal| portal.statement.columns.clone()));
            }
            Statement::Query
            | Statement::Change
            | Statement::Definition(_)
            | Statement::Roles(_)
            | Statement::Database(_)
            | Statement::Set(_)
            | Statement::Discard(_)
            | Statement::Transaction(_)
            | Statement::Prepare { .. }
            | Statement::Deallocate(_)
            | Statement::Declare(_)
            | Statement::Fetch(_)
            | Statement::Close(_)
            | Statement::CopyChanges
            | Statement::CopyRows(_)
            | Statement::Nothing(_)
            | Statement::Refused(_) => return Ok(None),
        };
        Ok(Some(columns))
    }

    fn set_statement(&mut self, statement: &SetStatement) -> Result<&'static str, PgError> {
        match statement {
            SetStatement::One { name, value, local } => {
                if *local {
                    self.warn_alone("SET LOCAL");
                }
                self.check_memory(0)?;
                let set = |settings: &mut Settings| settings.set(name, value.as_deref(), *local);
                self.state.settings(set)?;
                Ok("SET")
            }
            SetStatement::Transaction(modes) => {
                self.warn_alone("SET TRANSACTION");
                self.set_modes(modes, "transaction")?;
                Ok("SET")
            }
            SetStatement::Characteristics(modes) => {
                self.set_modes(modes, "default_transaction")?;
                Ok("SET")
            }
            SetStatement::Reset(name) => {
                self.state
                    .settings(|settings| settings.set(name, None, false))?;
                Ok("RESET")
            }
            SetStatement::ResetAll => {
                self.state.settings(|settings| settings.reset_all());
                Ok("RESET")
            }
        }
    }

    /// Warns of what ends with its own statement.
    fn warn_alone(&mut self, what: &str) {
        if !self.transaction.is_shared() {
            let message = format!("{what} can only be used in transaction blocks");
            self.warn("25P01", &message);
        }
    }

    async fn discard(&mut self, what: Discard) -> Result<&'static str, PgError> {
        match what {
            Discard::All => {
                self.transaction.check_alone("DISCARD ALL")?;
                self.portals.close_all().await;
                self.statements.clear();
                self.state.settings(|settings| settings.reset_all());
                Ok("DISCARD ALL")
            }
            Discard::Plans => Ok("DISCARD PLANS"),
            Discard::Sequences => Ok("DISCARD SEQUENCES"),
            Discard::Temp => Ok("DISCARD TEMP"),
        }
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<&'static str, PgError> {
        let Some(name) = name else {
            self.statements.clear();
            return Ok("DEALLOCATE ALL");
        };
        self.statements.find(name)?;
        self.statements.remove(name);
        Ok("DEALLOCATE")
    }
}
