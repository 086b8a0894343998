//! The extended query protocol: Parse, Bind, Describe, Execute, Close.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};

use super::conn::Incoming;
use super::dml::ChangeRun;
use super::extended::{self, Bind, Execute, Format, Parse, Target};
use super::memory::PER_TEXT_BYTE;
use super::portal::{Portal, Progress, no_portal};
use super::prepared::PreparedStatement;
use super::rows::{describe, describe_parameters};
use super::session::{Session, SessionEnd, Stop};
use super::sql;
use super::startup::Replication;
use super::statements::{Part, Statement};
use super::transaction::Transaction;
use crate::datum::{self, Datum, PgType};
use crate::pgerror::PgError;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Answers a message of the extended protocol.
    pub(super) async fn extended(&mut self, message: Incoming) -> Result<(), Stop> {
        if self.replication != Replication::No {
            let message = "extended query protocol not supported in a replication connection";
            return Err(PgError::error("08P01", message).into());
        }
        match message.tag {
            b'P' => self.parse(extended::parse(message.body)?).await,
            b'B' => {
                let bind = extended::bind(message.body)?;
                self.bind(bind).await.map_err(Stop::from)
            }
            b'D' => {
                let target = extended::target(message.body, "DESCRIBE")?;
                self.describe(&target).map_err(Stop::from)
            }
            b'E' => self.execute(extended::execute(message.body)?).await,
            _ => {
                match extended::target(message.body, "CLOSE")? {
                    Target::Statement(name) => self.statements.remove(&name),
                    Target::Portal(name) => self.portals.close(&name).await,
                }
                self.conn.send_bare(b'3');
                Ok(())
            }
        }
    }

    async fn parse(&mut self, parse: Parse) -> Result<(), Stop> {
        self.show_active(&parse.query);
        if parse.name.is_empty() {
            self.statements.remove("");
        }
        self.statements.check_new(&parse.name)?;
        self.check_memory(parse.query.len().saturating_mul(PER_TEXT_BYTE))?;
        let statement = match Part::only(self.parse_all(&parse.query).await?)? {
            Some(part) => {
                if !part.statement.may_end_a_failed_transaction() {
                    self.transaction.check_not_failed()?;
                }
                self.make_ready(part, Some(parse.types)).await?
            }
            None => PreparedStatement::default(),
        };
        self.statements.insert(parse.name, statement)?;
        self.conn.send_bare(b'1');
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), PgError> {
        let statement = self.statements.find(&bind.statement)?;
        let num_params = statement.params().len();
        if bind.values.len() != num_params {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires \
                 {num_params}",
                bind.values.len(),
                bind.statement
            );
            return Err(PgError::error("08P01", message));
        }
        if !statement.may_end_a_failed_transaction() {
            self.transaction.check_not_failed()?;
        }
        let num_columns = statement.columns.as_ref().map_or(0, Vec::len);
        let num_formats = bind.result_formats.len();
        if num_formats > 1 && num_formats != num_columns {
            let message = format!(
                "bind message has {num_formats} result formats but query has {num_columns} columns"
            );
            return Err(PgError::error("08P01", message));
        }
        if bind.portal.is_empty() {
            self.portals.close("").await;
        }
        self.portals.check_new(&bind.portal)?;
        let sizes = bind.values.iter().flatten().map(Bytes::len);
        let num_bytes = sizes.fold(0, usize::saturating_add);
        self.check_memory(num_bytes)?;
        let params = self.parameters(&bind.values, &bind.formats, statement.params())?;
        let portal = Portal {
            statement,
            params,
            num_bytes,
            formats: bind.result_formats,
            progress: Progress::New,
            num_savepoints: self.transaction.num_savepoints(),
        };
        self.portals.insert(bind.portal, portal);
        self.conn.send_bare(b'2');
        Ok(())
    }

    fn parameters(
        &self,
        values: &[Option<Bytes>],
        formats: &[Format],
        types: &[PgType],
    ) -> Result<Vec<Datum>, PgError> {
        if values.is_empty() {
            return Ok(vec![]);
        }
        let context = Arc::new(self.context());
        let names = sql::names(&context);
        let mut params = Vec::with_capacity(values.len());
        for (index, (value, &value_type)) in values.iter().zip(types).enumerate() {
            let Some(bytes) = value else {
                params.push(Datum::Null);
                continue;
            };
            params.push(match Format::of(formats, index) {
                Format::Binary => datum::binary_in(value_type, bytes)?,
                Format::Text => {
                    let text = std::str::from_utf8(bytes).map_err(|_| {
                        PgError::error("22021", "invalid byte sequence for encoding \"UTF8\"")
                    })?;
                    datum::text_in(value_type, text, &names, context.style())?
                }
            });
        }
        Ok(params)
    }

    fn describe(&mut self, target: &Target) -> Result<(), PgError> {
        match target {
            Target::Statement(name) => {
                let statement = self.statements.find(name)?;
                describe_parameters(statement.params(), &mut self.conn.out);
                self.describe_columns(&statement, &[]);
            }
            Target::Portal(name) => {
                let portal = self.portals.find(name).ok_or_else(|| no_portal(name))?;
                let (statement, formats) = (Arc::clone(&portal.statement), portal.formats.clone());
                self.describe_columns(&statement, &formats);
            }
        }
        Ok(())
    }

    fn describe_columns(&mut self, statement: &PreparedStatement, formats: &[Format]) {
        match &statement.columns {
            Some(columns) => describe(columns, formats, &mut self.conn.out),
            None => self.conn.send_bare(b'n'),
        }
    }

    async fn execute(&mut self, execute: Execute) -> Result<(), Stop> {
        let name = execute.portal;
        let found = self.portals.find(&name).ok_or_else(|| no_portal(&name))?;
        if !found.statement.may_end_a_failed_transaction() {
            self.transaction.check_not_failed()?;
        }
        let alone = self.transaction == Transaction::None && self.sync_is_next().await?;
        let Some(mut portal) = self.portals.take(&name) else {
            return Err(no_portal(&name).into());
        };
        let statement = Arc::clone(&portal.statement);
        let Some(part) = &statement.part else {
            self.conn.send_empty_query();
            self.portals.insert(name, portal);
            return Ok(());
        };
        self.show_active(&part.text);
        self.begin_statement(alone);
        self.run_portal(part, &mut portal, execute.num_rows)
            .await
            .map_err(|stop| stop.moved_by(part.num_before))?;
        if !matches!(part.statement, Statement::Transaction(_))
            && self.transaction != Transaction::None
        {
            self.portals.insert(name, portal);
        }
        Ok(())
    }

    async fn run_portal(
        &mut self,
        part: &Part,
        portal: &mut Portal,
        limit: Option<u64>,
    ) -> Result<(), Stop> {
        if part.statement == Statement::Query {
            let taken = self.continue_portal(portal, limit, true).await?;
            if taken.finished {
                self.conn
                    .send_complete(&format!("SELECT {}", taken.num_rows));
            } else {
                self.conn.send_bare(b's');
            }
            return Ok(());
        }
        if matches!(portal.progress, Progress::Finished) {
            return Err(PgError::error("55000", "portal cannot be run").into());
        }
        portal.progress = Progress::Finished;
        if part.statement == Statement::Change {
            let tag = self.change(ChangeRun {
                text: part.text.clone(),
                prepared: portal.statement.change.clone(),
                params: std::mem::take(&mut portal.params),
                formats: portal.formats.clone(),
                described: false,
            });
            let tag = tag.await?;
            self.finish_alone().await?;
            self.conn.send_complete(&tag);
            return Ok(());
        }
        if let Some(tag) = self.statement(&part.statement, false).await? {
            if matches!(part.statement, Statement::CopyRows(_)) {
                self.finish_alone().await?;
            }
            self.conn.send_complete(&tag);
        }
        Ok(())
    }

    /// Commits what nothing else can become part of, so that its answer says that it counts.
    async fn finish_alone(&mut self) -> Result<(), Stop> {
        if self.transaction == (Transaction::Implicit { alone: true }) {
            self.finish_implicit().await?;
        }
        Ok(())
    }

    /// Whether the client's next message is a Sync; waits for it. A client that waits for an
    /// answer says so with Sync or Flush, so it does not wait for us.
    async fn sync_is_next(&mut self) -> Result<bool, Stop> {
        let mut signal = std::pin::pin!(self.signal());
        loop {
            if let Some((tag, _)) = self.conn.peek_header() {
                return Ok(tag == b'S');
            }
            tokio::select! {
                read = self.conn.fill() => match read {
                    Ok(0) => return Err(Stop::Session(SessionEnd::Closed)),
                    Ok(_) => {}
                    Err(error) => return Err(Stop::Session(SessionEnd::Io(error))),
                },
                signal = &mut signal => return Err(signal.into()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> super::conn::Conn<S> {
    /// Puts a message without a body into the out-buffer.
    fn send_bare(&mut self, tag: u8) {
        self.out.put_u8(tag);
        self.out.put_u32(4);
    }
}
