//! The simple query protocol: a string of statements, each answered as it is carried out.
//!
//! The statements of a string are one transaction, unless they say otherwise: nothing of it is
//! executed when any part does not parse, and an error undoes what the string did before.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::conn::text_of;
use super::dml::ChangeRun;
use super::session::{Session, Stop};
use super::startup::Replication;
use super::statements::{Part, Statement};
use crate::pgerror::PgError;
use crate::wire::ReplicationCommand;

/// A text of at most this many bytes is parsed at once.
const SHORT: usize = 16 << 10;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Answers a Query but for the ReadyForQuery.
    pub(super) async fn query(&mut self, body: &[u8]) -> Result<(), Stop> {
        let text = text_of(body).ok_or_else(|| {
            PgError::error("22021", "invalid byte sequence for encoding \"UTF8\"")
        })?;
        self.show_active(text);
        self.statements.remove("");
        self.portals.close("").await;
        if self.replication != Replication::No {
            if let Some(command) = ReplicationCommand::parse(text)? {
                self.transaction.check_not_failed()?;
                return self.replication_command(command).await;
            }
            if self.replication == Replication::Physical && !text.trim().is_empty() {
                let message = "cannot execute SQL commands in WAL sender for physical replication";
                return Err(PgError::unsupported(message).into());
            }
        }
        let parts = self.parse_all(text).await?;
        if parts.is_empty() {
            self.conn.send_empty_query();
        }
        let alone = parts.len() == 1;
        let mut parts = parts.iter().peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            self.part(part, alone, last)
                .await
                .map_err(|stop| stop.moved_by(part.num_before))?;
        }
        Ok(())
    }

    /// Parses a query string; a long one where it keeps nobody waiting.
    pub(super) async fn parse_all(&mut self, text: &str) -> Result<Vec<Part>, Stop> {
        let state = Arc::clone(&self.state);
        let most = state.shared.options.limits.max_query_length;
        if text.len() > most {
            let len = text.len();
            let message = format!("query of {len} bytes is longer than max_query_length ({most})");
            return Err(PgError::error("54000", message).into());
        }
        if text.len() <= SHORT {
            return Ok(Part::parse_all(text, &state.user)?);
        }
        let text = text.to_owned();
        self.on_thread(move |_| Part::parse_all(&text, &state.user))
            .await
    }

    async fn part(&mut self, part: &Part, alone: bool, last: bool) -> Result<(), Stop> {
        if !part.statement.may_end_a_failed_transaction() {
            self.transaction.check_not_failed()?;
        }
        self.begin_statement(alone);
        let tag = if part.statement == Statement::Query {
            Some(self.select(part.text.clone()).await?)
        } else if part.statement == Statement::Change {
            Some(self.change(ChangeRun::of_text(part.text.clone())).await?)
        } else {
            self.statement(&part.statement, true).await?
        };
        // The last statement's answer says that all of them count.
        if last || matches!(part.statement, Statement::Transaction(_)) {
            self.finish_implicit().await?;
        }
        if let Some(tag) = tag {
            self.conn.send_complete(&tag);
        }
        Ok(())
    }
}
