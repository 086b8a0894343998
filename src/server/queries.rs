//! Queries of a session: run, prepared, through cursors.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::dml::ChangeRun;
use super::memory::PER_TEXT_BYTE;
use super::portal::{self, Portal, Progress, no_cursor};
use super::prepared::PreparedStatement;
use super::rows::describe;
use super::running::{Query, RunningQuery, Source, Taken};
use super::session::{MUCH, Session, SessionEnd, Stop};
use super::sql::{self, Queries};
use super::statements::{Declare, Fetch, Part, Statement};
use super::transaction::no_block;
use crate::datum::{Datum, PgType, format_type, parse_type_name};
use crate::pgerror::PgError;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Carries out a query that is not prepared, with its description; returns the tag.
    pub(super) async fn select(&mut self, text: String) -> Result<String, Stop> {
        let query = Query {
            queries: self.queries(),
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
                let failure = running.stop().await;
                return Err(stop.with_detail_of(failure));
            }
        }
        self.all_rows(running).await
    }

    fn queries(&self) -> Arc<Queries> {
        Arc::clone(&self.state.shared.queries)
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
                let failure = running.stop().await;
                Err(stop.with_detail_of(failure))
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
            self.send_warnings();
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

    /// Makes a statement ready, in whichever way it came; with `types` it may have parameters.
    pub(super) async fn make_ready(
        &mut self,
        part: Part,
        types: Option<Vec<Option<PgType>>>,
    ) -> Result<PreparedStatement, Stop> {
        if part.statement == Statement::Change {
            return self.make_change_ready(part, types).await;
        }
        if part.statement != Statement::Query {
            let columns = self.columns_of(&part.statement)?;
            return Ok(PreparedStatement {
                part: Some(part),
                columns,
                ..PreparedStatement::default()
            });
        }
        let (text, num_before) = (part.text.clone(), part.num_before);
        let prepared = self
            .on_thread(move |context| sql::prepare(&Arc::new(context), &text, types.as_deref()))
            .await
            .map_err(|stop| stop.moved_by(num_before))?;
        Ok(PreparedStatement {
            columns: Some(prepared.columns.clone()),
            query: Some(Arc::new(prepared)),
            change: None,
            part: Some(part),
        })
    }

    async fn make_change_ready(
        &mut self,
        part: Part,
        types: Option<Vec<Option<PgType>>>,
    ) -> Result<PreparedStatement, Stop> {
        let (text, num_before) = (part.text.clone(), part.num_before);
        let prepare =
            move |context| sql::prepare_change(&Arc::new(context), &text, types.as_deref());
        let prepared = self.on_thread(prepare).await;
        let prepared = prepared.map_err(|stop| stop.moved_by(num_before))?;
        Ok(PreparedStatement {
            columns: prepared.columns().map(<[_]>::to_vec),
            query: None,
            change: Some(Arc::new(prepared)),
            part: Some(part),
        })
    }

    pub(super) async fn prepare(
        &mut self,
        name: &str,
        types: &[String],
        text: &str,
    ) -> Result<(), Stop> {
        self.statements.check_new(name)?;
        self.check_memory(text.len().saturating_mul(PER_TEXT_BYTE))?;
        let mut declared = vec![];
        for name in types {
            let (found, _) = parse_type_name(name).map_err(PgError::from)?;
            declared.push((found != PgType::UNKNOWN).then_some(found));
        }
        let part = Part::only(self.parse_all(text).await?)?.ok_or_else(|| PgError::syntax(""))?;
        if !matches!(part.statement, Statement::Query | Statement::Change) {
            let message = "PREPARE of a statement that is no query is not supported";
            return Err(PgError::unsupported(message).into());
        }
        let ready = self.make_ready(part, Some(declared)).await?;
        self.statements.insert(name.to_owned(), ready)?;
        Ok(())
    }

    pub(super) async fn execute_prepared(
        &mut self,
        name: &str,
        values: &[String],
        described: bool,
    ) -> Result<Option<String>, Stop> {
        let statement = self.statements.find(name)?;
        if let (Some(prepared), Some(part)) = (&statement.change, &statement.part) {
            let params = self.evaluate(name, values, statement.params()).await?;
            let run = ChangeRun {
                text: part.text.clone(),
                prepared: Some(Arc::clone(prepared)),
                params,
                formats: vec![],
                described,
            };
            return self.change(run).await.map(Some);
        }
        let Some(query) = statement.query.as_ref().map(Arc::clone) else {
            let message = "EXECUTE of a statement that is no query is not supported";
            return Err(PgError::unsupported(message).into());
        };
        let params = self.evaluate(name, values, statement.params()).await?;
        if described {
            describe(&query.columns, &[], &mut self.conn.out);
        }
        let query = Query {
            queries: self.queries(),
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
            let type_name = format_type(value_type, -1);
            format!("CAST(({value}) AS {type_name})")
        });
        let text = format!("SELECT {}", casts.collect::<Vec<_>>().join(", "));
        let queries = self.queries();
        let work = move |context| {
            let context = Arc::new(context);
            let prepared = sql::prepare(&context, &text, None)?;
            let mut found = vec![];
            queries.run(&context, &prepared, &[], &mut |row| {
                found = row.to_vec();
                ControlFlow::Break(())
            })?;
            Ok(found)
        };
        self.on_thread(work).await
    }

    pub(super) async fn declare(&mut self, declare: &Declare) -> Result<(), Stop> {
        if !self.transaction.is_shared() {
            return Err(no_block("DECLARE CURSOR").into());
        }
        self.portals.check_new(&declare.name)?;
        let num_bytes = declare.query.len().saturating_mul(PER_TEXT_BYTE);
        self.check_memory(num_bytes)?;
        let ready = self.cursor_query(&declare.query).await;
        let statement = ready.map_err(|stop| stop.moved_by(declare.num_before))?;
        if statement.query.as_ref().is_some_and(|query| query.acts) {
            let message = "a cursor cannot read from a function that acts";
            let hint = "Call it with SELECT, outside of a cursor.";
            return Err(PgError::unsupported(message).with_hint(hint).into());
        }
        let portal = Portal {
            statement: Arc::new(statement),
            params: vec![],
            num_bytes,
            formats: vec![],
            progress: Progress::New,
            num_savepoints: self.transaction.num_savepoints(),
        };
        self.portals.insert(declare.name.clone(), portal);
        Ok(())
    }

    async fn cursor_query(&mut self, query: &str) -> Result<PreparedStatement, Stop> {
        let part = Part::only(self.parse_all(query).await?)?;
        let part = part.ok_or_else(|| PgError::syntax(""))?;
        if part.statement != Statement::Query {
            return Err(PgError::unsupported("a cursor needs a query").into());
        }
        self.make_ready(part, None).await
    }

    pub(super) async fn fetch(&mut self, fetch: &Fetch, described: bool) -> Result<String, Stop> {
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
        let mut permit = None;
        let running = match std::mem::replace(&mut portal.progress, Progress::Finished) {
            Progress::Running(running, held) => {
                permit = Some(held);
                *running
            }
            Progress::Finished => {
                return Ok(Taken {
                    num_rows: 0,
                    finished: true,
                });
            }
            Progress::New => {
                if limit.is_some() {
                    self.portals.check_room()?;
                    permit = Some(portal::permit(&self.state.shared.portals)?);
                }
                let prepared = portal.statement.query.as_ref().map(Arc::clone);
                let prepared = prepared.ok_or_else(|| PgError::syntax(""))?;
                let at_once = limit.is_some() && prepared.acts;
                let query = Query {
                    queries: self.queries(),
                    source: Source::Prepared(prepared),
                    params: std::mem::take(&mut portal.params),
                    formats: portal.formats.clone(),
                };
                let running = RunningQuery::start(self.context(), query);
                if at_once {
                    self.complete(running).await?
                } else {
                    running
                }
            }
        };
        let (taken, rest) = self.rows(running, limit, shown).await?;
        if let (Some(rest), Some(permit)) = (rest, permit) {
            portal.progress = Progress::Running(rest, permit);
        }
        Ok(taken)
    }

    /// Runs a query to its end, with its rows kept: nobody may find that it goes on later.
    async fn complete(&mut self, mut running: RunningQuery) -> Result<RunningQuery, Stop> {
        let stop = {
            let signal = self.signal();
            tokio::select! {
                biased;
                complete = running.complete() => complete.err().map(Stop::from),
                signal = signal => Some(signal.into()),
                () = self.conn.hung_up() => Some(Stop::Session(SessionEnd::Closed)),
            }
        };
        let Some(stop) = stop else {
            return Ok(running);
        };
        let failure = running.stop().await;
        Err(stop.with_detail_of(failure))
    }

    pub(super) async fn close_cursor(
        &mut self,
        name: Option<&str>,
    ) -> Result<&'static str, PgError> {
        match name {
            Some(name) => {
                let portal = self.portals.take(name).ok_or_else(|| no_cursor(name))?;
                portal.close().await;
                Ok("CLOSE CURSOR")
            }
            None => {
                self.portals.close_all().await;
                Ok("CLOSE CURSOR ALL")
            }
        }
    }
}

fn io_end(error: std::io::Error) -> Stop {
    Stop::Session(SessionEnd::Io(error))
}
