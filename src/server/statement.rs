//! Statements carried out, the same in both protocols.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::copy_in;
use super::portal::{Portal, Progress, no_cursor};
use super::prepared::PreparedStatement;
use super::rows::{describe, text_column, text_row};
use super::running::{Query, RunningQuery, Source, Taken};
use super::session::{MUCH, Session, SessionEnd, Stop};
use super::sql;
use super::statements::{Declare, Discard, Fetch, Part, Statement};
use crate::catalog::Column;
use crate::datum::{Datum, PgType, parse_type_name};
use crate::pgerror::PgError;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Carries out a query that is not prepared, with its description; returns the tag.
    pub(super) async fn select(&mut self, text: String) -> Result<String, Stop> {
        let query = Query {
            source: Source::Text(text),
            params: vec![],
            formats: vec![],
        };
        let mut running = RunningQuery::start(self.context(), query);
        let columns = {
            let signal = self.signal();
            let mut prepared = std::pin::pin!(running.prepared());
            tokio::select! {
                biased;
                prepared = &mut prepared => Ok(prepared?),
                signal = signal => Err(Stop::from(signal)),
            }
        };
        match columns {
            Ok(prepared) => describe(&prepared.columns, &[], &mut self.conn.out),
            Err(stop) => {
                running.stop().await;
                return Err(stop);
            }
        }
        self.all_rows(running).await
    }

    /// Sends the rows of a query; returns the tag.
    async fn all_rows(&mut self, running: RunningQuery) -> Result<String, Stop> {
        let (taken, _) = self.rows(running, None, true).await?;
        Ok(format!("SELECT {}", taken.num_rows))
    }

    /// Takes up to `limit` rows of a query, and sends them when they are to be shown. Returns the
    /// query when it may have more.
    pub(super) async fn rows(
        &mut self,
        mut running: RunningQuery,
        limit: Option<u64>,
        shown: bool,
    ) -> Result<(Taken, Option<Box<RunningQuery>>), Stop> {
        match self.take_rows(&mut running, limit, shown).await {
            Ok(taken) if taken.finished => Ok((taken, None)),
            Ok(taken) => Ok((taken, Some(Box::new(running)))),
            Err(stop) => {
                running.stop().await;
                Err(stop)
            }
        }
    }

    async fn take_rows(
        &mut self,
        running: &mut RunningQuery,
        limit: Option<u64>,
        shown: bool,
    ) -> Result<Taken, Stop> {
        let mut signal = std::pin::pin!(self.signal());
        let mut left = limit.unwrap_or(u64::MAX);
        let mut num_rows = 0_u64;
        let mut unseen = BytesMut::new();
        loop {
            tokio::select! {
                biased;
                ready = running.ready() => ready?,
                signal = &mut signal => return Err(signal.into()),
                () = self.conn.hung_up() => return Err(Stop::Session(SessionEnd::Closed)),
            }
            let out = if shown {
                &mut self.conn.out
            } else {
                &mut unseen
            };
            let taken = running.take(left, out);
            unseen.clear();
            num_rows = num_rows.saturating_add(taken.num_rows);
            left = left.saturating_sub(taken.num_rows);
            if self.conn.out.len() >= MUCH {
                tokio::select! {
                    written = self.conn.flush() => written.map_err(io_end)?,
                    signal = &mut signal => return Err(signal.into()),
                }
            }
            // As PostgreSQL: a limit that is met exactly leaves open whether there is more.
            if left == 0 || taken.finished {
                let finished = taken.finished && left > 0;
                return Ok(Taken { num_rows, finished });
            }
        }
    }

    /// Carries out a statement that is no query; returns the tag if it is still to be sent.
    /// `described`: rows come behind a description.
    pub(super) async fn statement(
        &mut self,
        statement: &Statement,
        described: bool,
    ) -> Result<Option<String>, Stop> {
        let tag = match statement {
            Statement::Query => return Err(PgError::syntax("").into()),
            Statement::Refused(error) => return Err(error.clone().into()),
            Statement::Transaction(statement) => {
                self.transaction_statement(statement).await?.to_owned()
            }
            Statement::Show(_) | Statement::ShowAll => {
                self.show_settings(statement, described)?;
                "SHOW".to_owned()
            }
            Statement::Set { .. }
            | Statement::SetTransaction(_)
            | Statement::SetCharacteristics(_)
            | Statement::Reset(_)
            | Statement::ResetAll => self.set_statement(statement)?.to_owned(),
            Statement::Discard(what) => self.discard(*what)?.to_owned(),
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
            Statement::Close(name) => self.close_cursor(name.as_deref())?.to_owned(),
            Statement::CopyChanges => {
                self.check_copy()?;
                copy_in::run(self).await?;
                return Ok(None);
            }
        };
        Ok(Some(tag))
    }

    fn check_copy(&self) -> Result<(), PgError> {
        self.state.check_writable("COPY FROM")?;
        if self.transaction.is_shared() {
            let message = "COPY pgspool.changes inside a transaction block is not supported";
            let hint = "Each record is a transaction of its own: COPY outside of BEGIN, \
                        with the client in autocommit mode.";
            return Err(PgError::unsupported(message).with_hint(hint));
        }
        Ok(())
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
            let (_, value) = self.state.settings(|settings| settings.show(name))?;
            return text_row(&[&value], &mut self.conn.out);
        }
        for row in self.state.settings(|settings| settings.rows()) {
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
            _ => return Ok(None),
        };
        Ok(Some(columns))
    }

    fn set_statement(&mut self, statement: &Statement) -> Result<&'static str, PgError> {
        match statement {
            Statement::Set { name, value, local } => {
                if *local {
                    self.warn_alone("SET LOCAL");
                }
                let set = |settings: &mut super::settings::Settings| {
                    settings.set(name, value.as_deref(), *local)
                };
                self.state.settings(set)?;
                Ok("SET")
            }
            Statement::SetTransaction(modes) => {
                self.warn_alone("SET TRANSACTION");
                self.set_modes(modes, "transaction")?;
                Ok("SET")
            }
            Statement::SetCharacteristics(modes) => {
                self.set_modes(modes, "default_transaction")?;
                Ok("SET")
            }
            Statement::Reset(name) => {
                self.state
                    .settings(|settings| settings.set(name, None, false))?;
                Ok("RESET")
            }
            _ => {
                self.state.settings(|settings| settings.reset_all());
                Ok("RESET")
            }
        }
    }

    /// Warns of what ends with its own statement.
    fn warn_alone(&mut self, what: &str) {
        if !self.transaction.is_shared() {
            let message = format!("{what} can only be used in transaction blocks");
            self.conn.send_warning("25P01", &message);
        }
    }

    fn discard(&mut self, what: Discard) -> Result<&'static str, PgError> {
        match what {
            Discard::All => {
                self.transaction.check_alone("DISCARD ALL")?;
                self.portals.clear();
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

    /// Makes a statement ready, in whichever way it came.
    pub(super) async fn make_ready(
        &mut self,
        part: Part,
        types: Vec<Option<PgType>>,
    ) -> Result<PreparedStatement, Stop> {
        if part.statement != Statement::Query {
            let columns = self.columns_of(&part.statement)?;
            return Ok(PreparedStatement {
                part: Some(part),
                query: None,
                columns,
            });
        }
        let (text, num_before) = (part.text.clone(), part.num_before);
        let prepared = self
            .on_thread(move |context| sql::prepare(&Arc::new(context), &text, &types))
            .await
            .map_err(|stop| stop.moved_by(num_before))?;
        Ok(PreparedStatement {
            columns: Some(prepared.columns.clone()),
            query: Some(Arc::new(prepared)),
            part: Some(part),
        })
    }

    async fn prepare(&mut self, name: &str, types: &[String], text: &str) -> Result<(), Stop> {
        self.statements.check_new(name)?;
        let mut declared = vec![];
        for name in types {
            let (found, _) = parse_type_name(name).map_err(PgError::from)?;
            declared.push((found != PgType::UNKNOWN).then_some(found));
        }
        let part = Part::parse_one(text)?.ok_or_else(|| PgError::syntax(""))?;
        if part.statement != Statement::Query {
            let message = "PREPARE of a statement that is no query is not supported";
            return Err(PgError::unsupported(message).into());
        }
        let ready = self.make_ready(part, declared).await?;
        self.statements.insert(name.to_owned(), ready);
        Ok(())
    }

    async fn execute_prepared(
        &mut self,
        name: &str,
        values: &[String],
        described: bool,
    ) -> Result<Option<String>, Stop> {
        let statement = self.statements.find(name)?;
        let Some(query) = statement.query.as_ref().map(Arc::clone) else {
            let message = "EXECUTE of a statement that is no query is not supported";
            return Err(PgError::unsupported(message).into());
        };
        let params = self.evaluate(name, values, statement.params()).await?;
        if described {
            describe(&query.columns, &[], &mut self.conn.out);
        }
        let query = Query {
            source: Source::Prepared(query),
            params,
            formats: vec![],
        };
        let running = RunningQuery::start(self.context(), query);
        self.all_rows(running).await.map(Some)
    }

    /// The values of expressions, as parameters of these types.
    async fn evaluate(
        &mut self,
        name: &str,
        values: &[String],
        types: &[PgType],
    ) -> Result<Vec<Datum>, Stop> {
        if values.len() != types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!(
                "Expected {} parameters but got {}.",
                types.len(),
                values.len()
            );
            return Err(PgError::error("42601", message).with_detail(detail).into());
        }
        if values.is_empty() {
            return Ok(vec![]);
        }
        let casts = values.iter().zip(types).map(|(value, &value_type)| {
            let type_name = crate::datum::format_type(value_type, -1);
            format!("CAST(({value}) AS {type_name})")
        });
        let text = format!("SELECT {}", casts.collect::<Vec<_>>().join(", "));
        let work = move |context| {
            let context = Arc::new(context);
            let prepared = sql::prepare(&context, &text, &[])?;
            let mut found = vec![];
            sql::run(&context, &prepared, &[], &mut |row| {
                found = row;
                ControlFlow::Break(())
            })?;
            Ok(found)
        };
        self.on_thread(work).await
    }

    async fn declare(&mut self, declare: &Declare) -> Result<(), Stop> {
        if !self.transaction.is_shared() {
            return Err(super::transaction::no_block("DECLARE CURSOR").into());
        }
        self.portals.check_new(&declare.name)?;
        let part = Part::parse_one(&declare.query)?.ok_or_else(|| PgError::syntax(""))?;
        if part.statement != Statement::Query {
            return Err(PgError::unsupported("a cursor needs a query").into());
        }
        let statement = self.make_ready(part, vec![]).await?;
        let portal = Portal {
            statement: Arc::new(statement),
            params: vec![],
            formats: vec![],
            progress: Progress::New,
        };
        self.portals.insert(declare.name.clone(), portal);
        Ok(())
    }

    async fn fetch(&mut self, fetch: &Fetch, described: bool) -> Result<String, Stop> {
        let mut portal = self
            .portals
            .take(&fetch.name)
            .ok_or_else(|| no_cursor(&fetch.name))?;
        if described && !fetch.is_move {
            let columns = portal.statement.columns.as_deref().unwrap_or_default();
            describe(columns, &portal.formats, &mut self.conn.out);
        }
        let num_rows = match fetch.num_rows {
            Some(0) => 0,
            limit => {
                self.continue_portal(&mut portal, limit, !fetch.is_move)
                    .await?
                    .num_rows
            }
        };
        self.portals.insert(fetch.name.clone(), portal);
        let verb = if fetch.is_move { "MOVE" } else { "FETCH" };
        Ok(format!("{verb} {num_rows}"))
    }

    /// Goes on with a portal's query.
    pub(super) async fn continue_portal(
        &mut self,
        portal: &mut Portal,
        limit: Option<u64>,
        shown: bool,
    ) -> Result<Taken, Stop> {
        let running = match std::mem::replace(&mut portal.progress, Progress::Finished) {
            Progress::Running(running) => *running,
            Progress::Finished => {
                return Ok(Taken {
                    num_rows: 0,
                    finished: true,
                });
            }
            Progress::New => {
                if limit.is_some() {
                    self.portals.check_room()?;
                }
                let prepared = portal.statement.query.as_ref().map(Arc::clone);
                let query = Query {
                    source: Source::Prepared(prepared.ok_or_else(|| PgError::syntax(""))?),
                    params: std::mem::take(&mut portal.params),
                    formats: portal.formats.clone(),
                };
                RunningQuery::start(self.context(), query)
            }
        };
        let (taken, rest) = self.rows(running, limit, shown).await?;
        if let Some(rest) = rest {
            portal.progress = Progress::Running(rest);
        }
        Ok(taken)
    }

    fn close_cursor(&mut self, name: Option<&str>) -> Result<&'static str, PgError> {
        match name {
            Some(name) => {
                self.portals.take(name).ok_or_else(|| no_cursor(name))?;
                Ok("CLOSE CURSOR")
            }
            None => {
                self.portals.clear();
                Ok("CLOSE CURSOR ALL")
            }
        }
    }
}

fn io_end(error: std::io::Error) -> Stop {
    Stop::Session(SessionEnd::Io(error))
}
