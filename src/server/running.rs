//! A query that runs: on a thread of its own it makes rows and encodes them, here they arrive in
//! batches.
//!
//! The channel between is bounded, so that a query runs no further ahead of its reader than a few
//! batches, and one whose rows nobody takes for a while waits where it is. Dropping it stops it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::BytesMut;
use tokio::sync::mpsc;

use super::extended::Format;
use super::rows::RowEncoder;
use super::sql::{self, Queries};
use crate::catalog::{Context, Prepared, Sink};
use crate::datum::{Datum, Names, Style};
use crate::pgerror::PgError;

/// Rows are handed over in batches of about this many bytes.
const BATCH: usize = 64 << 10;
/// Batches that wait to be taken.
const BATCHES_AHEAD: usize = 2;

/// Most bytes of rows that are kept of a query that must not wait for its reader.
const MAX_KEPT: usize = 1 << 20;

/// What a query is run with.
#[derive(Debug)]
pub(super) struct Query {
    /// What runs it.
    pub(super) queries: Arc<Queries>,
    /// The query.
    pub(super) source: Source,
    /// Its parameters.
    pub(super) params: Vec<Datum>,
    /// How its columns are written.
    pub(super) formats: Vec<Format>,
}

/// Where the query comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// Text that is yet to be prepared, without parameters.
    Text(String),
    /// Prepared before.
    Prepared(Arc<Prepared>),
}

/// What comes of a query.
#[derive(Debug)]
enum Event {
    Prepared(Arc<Prepared>),
    Rows(Batch),
    Done(Result<(), PgError>),
}

/// Encoded rows.
#[derive(Debug, Default)]
struct Batch {
    bytes: BytesMut,
    /// Where each row ends, counted from the begin of the batch.
    ends: Vec<usize>,
    /// Rows and bytes of them that were taken.
    num_taken: usize,
    taken_to: usize,
}

impl Batch {
    /// Adds rows behind those that are there.
    fn append(&mut self, more: &Self) {
        let base = self.taken_to.saturating_add(self.bytes.len());
        self.bytes.extend_from_slice(&more.bytes);
        let ends = more.ends.iter();
        self.ends.extend(ends.map(|end| base.saturating_add(*end)));
    }

    /// Moves up to `limit` rows to `out`; returns how many.
    fn take(&mut self, limit: usize, out: &mut BytesMut) -> usize {
        let upto = self.num_taken.saturating_add(limit).min(self.ends.len());
        let Some(&end) = upto.checked_sub(1).and_then(|last| self.ends.get(last)) else {
            return 0;
        };
        let rows = self.bytes.split_to(end.saturating_sub(self.taken_to));
        if out.is_empty() {
            *out = rows;
        } else {
            out.extend_from_slice(&rows);
        }
        self.taken_to = end;
        let num_rows = upto.saturating_sub(self.num_taken);
        self.num_taken = upto;
        num_rows
    }
}

/// A running query.
#[derive(Debug)]
pub(super) struct RunningQuery {
    events: mpsc::Receiver<Event>,
    cancelled: Arc<AtomicBool>,
    batch: Batch,
    end: Option<Result<(), PgError>>,
}

/// What [`RunningQuery::take`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Rows that were moved.
    pub(super) num_rows: u64,
    /// No row is left.
    pub(super) finished: bool,
}

impl RunningQuery {
    /// Starts `query`.
    pub(super) fn start(context: Context, query: Query) -> Self {
        let (sender, events) = mpsc::channel(BATCHES_AHEAD);
        let cancelled = Arc::clone(&context.cancelled);
        let context = Arc::new(context);
        let queries = Arc::clone(&query.queries);
        queries.spawn(move || {
            let done = run(&context, query, &sender);
            // Without a reader nobody wants to know.
            let _nobody = sender.blocking_send(Event::Done(done));
        });
        Self {
            events,
            cancelled,
            batch: Batch::default(),
            end: None,
        }
    }

    /// Waits for the query to be prepared. For one that was started from text, once.
    pub(super) async fn prepared(&mut self) -> Result<Arc<Prepared>, PgError> {
        match self.events.recv().await {
            Some(Event::Prepared(prepared)) => Ok(prepared),
            Some(Event::Done(Err(error))) => Err(error),
            Some(Event::Done(Ok(())) | Event::Rows(_)) | None => Err(broken()),
        }
    }

    /// Waits until there is a row to take or none comes any more. Cancel-safe.
    pub(super) async fn ready(&mut self) -> Result<(), PgError> {
        while self.batch.num_taken >= self.batch.ends.len() && self.end.is_none() {
            match self.events.recv().await {
                Some(Event::Rows(batch)) => self.batch = batch,
                Some(Event::Done(end)) => self.end = Some(end),
                Some(Event::Prepared(_)) => {}
                None => self.end = Some(Err(broken())),
            }
        }
        let is_over = self.batch.num_taken >= self.batch.ends.len();
        match &self.end {
            Some(Err(error)) if is_over => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Waits until the query is over, and keeps its rows. Cancel-safe.
    pub(super) async fn complete(&mut self) -> Result<(), PgError> {
        while self.end.is_none() {
            match self.events.recv().await {
                Some(Event::Rows(batch)) => self.batch.append(&batch),
                Some(Event::Done(end)) => self.end = Some(end),
                Some(Event::Prepared(_)) => {}
                None => self.end = Some(Err(broken())),
            }
            if self.batch.bytes.len() > MAX_KEPT {
                let message = "too many rows of a function that acts for an Execute with a limit";
                let hint = "Take all rows at once: without a limit, a fetch size or a cursor.";
                return Err(PgError::error("54000", message).with_hint(hint));
            }
        }
        match &self.end {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Moves up to `limit` of the rows that are there to `out`.
    pub(super) fn take(&mut self, limit: u64, out: &mut BytesMut) -> Taken {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let num_rows = self.batch.take(limit, out);
        Taken {
            num_rows: u64::try_from(num_rows).unwrap_or(u64::MAX),
            finished: self.end.is_some() && self.batch.num_taken >= self.batch.ends.len(),
        }
    }

    /// Tells the query to stop and waits until it has; returns the error it ended with.
    pub(super) async fn stop(mut self) -> Option<PgError> {
        self.cancelled.store(true, Ordering::Relaxed);
        let mut failure = None;
        while let Some(event) = self.events.recv().await {
            if let Event::Done(Err(error)) = event {
                failure = Some(error);
            }
        }
        failure
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

fn broken() -> PgError {
    PgError::error("XX000", "internal error: a query's thread broke")
}

/// Runs the query on the thread that calls.
fn run(context: &Arc<Context>, query: Query, sender: &mpsc::Sender<Event>) -> Result<(), PgError> {
    let prepared = match query.source {
        Source::Prepared(prepared) => prepared,
        Source::Text(text) => {
            let prepared = Arc::new(sql::prepare(context, &text, None)?);
            let told = sender.blocking_send(Event::Prepared(Arc::clone(&prepared)));
            told.map_err(|_| PgError::cancelled())?;
            prepared
        }
    };
    let names = sql::names(context);
    let mut rows = Rows {
        encoder: RowEncoder::new(&prepared, &query.formats),
        names: &names,
        style: context.style(),
        batch: Batch::default(),
        sender,
    };
    let queries = query.queries;
    queries.run_into(context, &prepared, &query.params, &mut rows)?;
    Ok(())
}

/// Encodes rows and sends them on in batches.
struct Rows<'a> {
    encoder: RowEncoder,
    names: &'a dyn Names,
    style: &'a Style,
    batch: Batch,
    sender: &'a mpsc::Sender<Event>,
}

impl Rows<'_> {
    /// Hands over what is there; an error when nobody takes it.
    fn send(&mut self) -> Result<(), PgError> {
        let batch = std::mem::take(&mut self.batch);
        let sent = self.sender.blocking_send(Event::Rows(batch));
        sent.map_err(|_| PgError::cancelled())
    }

    fn take(&mut self, row: &[Datum]) -> Result<(), PgError> {
        let bytes = &mut self.batch.bytes;
        self.encoder.encode(row, self.names, self.style, bytes)?;
        self.batch.ends.push(self.batch.bytes.len());
        if self.batch.bytes.len() >= BATCH {
            self.send()?;
        }
        Ok(())
    }
}

impl Sink for Rows<'_> {
    fn row(&mut self, row: &[Datum]) -> ControlFlow<Result<(), PgError>> {
        match self.take(row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }

    fn end(&mut self) -> Result<(), PgError> {
        if self.batch.ends.is_empty() {
            return Ok(());
        }
        self.send()
    }
}
