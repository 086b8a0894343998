//! The thread behind a connection: messages into transactions, transactions into the spool.
//!
//! Everything that may touch the disk is done here, so the connection itself is never kept from
//! answering. The thread ends with the connection: a new one begins with what is durable.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::assembler::{AssembleError, Assembled, Assembler, Taken};
use super::mirror::{Seen, put};
use super::upstream::Incoming;
use crate::captures::{StatusCell, StopReason};
use crate::engine::{CapturedTransaction, Engine, PublishError, PublishTicket};
use crate::lsn::Lsn;
use crate::relations::DefineError;
use crate::rows::described_table;
use crate::spool::Progress as TicketProgress;

/// How often an idle upstream's position is made ours: each time costs a sync.
const ADVANCE_EVERY: Duration = Duration::from_secs(1);

/// What the thread is given.
#[derive(Debug)]
pub(super) enum Item {
    /// What came in, in order; its room is given back when it is done.
    Batch(Vec<Incoming>, OwnedSemaphorePermit),
    /// The upstream's catalogs, once the stream has passed them.
    Seen(Box<Seen>),
    /// Time passes.
    Tick,
}

/// How far the thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// Everything up to here was received.
    pub(super) received: Lsn,
    /// Everything up to here is durable.
    pub(super) durable: Lsn,
    /// Tables were described anew so often.
    pub(super) num_described: u64,
}

/// Why the thread ended before its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no room on the disk.
    DiskFull(String),
    /// The same would pass if the upstream did not stream transactions that are under way.
    Streaming(String),
    /// A publication is not there any more, and nothing comes before that is noticed.
    Publication(Box<StopReason>),
    /// It cannot go on.
    Broken(String),
}

/// The publications that are captured.
#[derive(Debug, Clone, Default)]
pub(super) struct Captured {
    /// Their names.
    pub(super) names: Vec<String>,
    /// The upstream leaves out changes of one that is missing without an error.
    pub(super) is_silent: bool,
    /// Their OIDs, when they were last seen.
    pub(super) known: Vec<(String, u32)>,
    /// Names of others that are not here since they hold more.
    pub(super) left_out: String,
}

/// What works on one connection's messages.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) engine: Arc<Engine>,
    pub(super) status: StatusCell,
    pub(super) assembler: Assembler,
    /// The publications that are captured, and how the upstream treats them.
    pub(super) publications: Captured,
    pub(super) progress: watch::Sender<Progress>,
    tickets: VecDeque<PublishTicket>,
    /// End of the last transaction that was queued, or the position that was last advanced to.
    queued: Lsn,
    /// What the upstream's catalogs said last, as it was taken over.
    seen: Option<Box<Seen>>,
    /// What they said, until the stream has passed it.
    waiting: Option<Box<Seen>>,
    /// The publications were there at this position.
    passed: Lsn,
    advanced: Option<Instant>,
}

impl Worker {
    /// One that begins behind what is durable.
    pub(super) fn new(
        engine: Arc<Engine>,
        status: StatusCell,
        assembler: Assembler,
        publications: Captured,
    ) -> Self {
        let head = engine.head();
        let progress = Progress {
            received: head,
            durable: head,
            num_described: 0,
        };
        Self {
            engine,
            status,
            assembler,
            publications,
            progress: watch::Sender::new(progress),
            tickets: VecDeque::new(),
            queued: head,
            seen: None,
            waiting: None,
            passed: head,
            advanced: None,
        }
    }

    /// What the upstream's catalogs said before the stream began, to be taken over when it passed
    /// that.
    pub(super) fn wait_for(&mut self, seen: Seen) {
        self.waiting = Some(Box::new(seen));
    }

    /// Works until nothing more comes. What was queued is durable when it returns without an error.
    pub(super) fn run(mut self, mut items: mpsc::Receiver<Item>) -> Result<(), Failure> {
        while let Some(item) = items.blocking_recv() {
            let is_urgent = self.take(item)?;
            self.reap()?;
            if items.is_empty() {
                self.settle()?;
                self.advance(is_urgent)?;
            }
            self.report();
        }
        self.settle()?;
        self.advance(true)?;
        self.report();
        Ok(())
    }

    /// Takes what came; `true` when the upstream wants to be answered at once.
    fn take(&mut self, item: Item) -> Result<bool, Failure> {
        let mut is_urgent = false;
        match item {
            Item::Batch(batch, _room) => {
                for incoming in batch {
                    is_urgent |= self.incoming(incoming)?;
                }
            }
            Item::Seen(seen) => {
                self.check_silent(&seen)?;
                let is_known = self.seen.as_ref().is_some_and(|known| known.is_same(&seen));
                self.waiting = (!is_known).then_some(seen);
            }
            Item::Tick => {}
        }
        self.mirror()?;
        Ok(is_urgent)
    }

    fn incoming(&mut self, incoming: Incoming) -> Result<bool, Failure> {
        match incoming {
            Incoming::XLogData { lsn, message, .. } => {
                match self.assembler.take(lsn, &message)? {
                    Taken::Nothing => {}
                    Taken::Passed(end) => self.received(end),
                    Taken::Unit(unit) => self.store(unit)?,
                }
                Ok(false)
            }
            Incoming::Keepalive { end, reply } => {
                // In the middle of a transaction its end is still to come.
                if !self.assembler.in_transaction() {
                    self.received(end);
                }
                Ok(reply)
            }
        }
    }

    fn received(&self, upto: Lsn) {
        self.progress.send_if_modified(|progress| {
            let is_more = upto > progress.received;
            progress.received = progress.received.max(upto);
            is_more
        });
    }

    fn store(&mut self, assembled: Assembled) -> Result<(), Failure> {
        let Assembled {
            end,
            commit_ms,
            frames,
            described,
            ..
        } = assembled;
        if end <= self.queued {
            // It was received before.
            return Ok(());
        }
        if !described.is_empty() {
            let mut refused = None;
            let define = |set: &mut crate::relations::RelationSet| {
                for table in &described {
                    let known = set.relation_by_oid(table.oid);
                    match described_table(known, &table.relation, &table.types) {
                        Ok(relation) => put(set, relation),
                        Err(error) => refused = Some(error.to_string()),
                    }
                }
            };
            self.engine.mirror(end.saturating_sub(1), define)?;
            if let Some(refused) = refused {
                return Err(Failure::Broken(refused));
            }
            self.progress
                .send_modify(|progress| progress.num_described += 1);
        }
        let transaction = CapturedTransaction {
            end,
            commit_ms,
            frames,
        };
        let ticket = self.engine.store_captured(transaction)?;
        self.tickets.push_back(ticket);
        self.queued = end;
        self.received(end);
        self.status.update(|status| {
            status.num_transactions += 1;
            // Nobody says when a message of no transaction was written.
            if commit_ms > 0 {
                status.last_commit_ms = commit_ms;
            }
        });
        Ok(())
    }

    /// Takes over what the upstream's catalogs say, once the stream has passed the moment at which
    /// they said so.
    fn mirror(&mut self) -> Result<(), Failure> {
        let received = self.progress.borrow().received;
        let is_between = !self.assembler.in_transaction();
        let passed = |after: Lsn| is_between && received >= after;
        let Some(seen) = self.waiting.take_if(|seen| passed(seen.after)) else {
            return Ok(());
        };
        if let Some(name) = seen.missing(&self.publications.names) {
            // Up to here nothing was written that it would have published: that is an error there.
            return Err(self.publication_missing(name, received));
        }
        let mut applied = Vec::new();
        let since = received.max(self.queued);
        let names = &self.publications.names;
        self.engine
            .mirror(since, |set| applied = seen.apply(set, names))?;
        let left_out = seen.left_out(names).join(", ");
        if left_out != self.publications.left_out {
            tell_left_out(self.engine.name(), &left_out);
            self.publications.left_out = left_out;
        }
        for oid in applied {
            self.assembler.forget(oid);
        }
        self.seen = Some(seen);
        Ok(())
    }

    /// Where the upstream leaves changes out without an error, the look at its catalogs is the only
    /// one who tells; nothing is waited for then.
    fn check_silent(&mut self, seen: &Seen) -> Result<(), Failure> {
        if !self.publications.is_silent {
            return Ok(());
        }
        let Captured { names, known, .. } = &self.publications;
        let name = seen.missing(names).or_else(|| seen.replaced(names, known));
        if let Some(name) = name {
            return Err(self.publication_missing(name, self.passed));
        }
        self.publications.known = seen.publication_oids();
        self.passed = seen.before;
        Ok(())
    }

    fn publication_missing(&self, name: &str, since: Lsn) -> Failure {
        let end = self.status.get().upstream_lsn.max(since);
        let name = name.to_owned();
        Failure::Publication(Box::new(StopReason::PublicationMissing {
            name,
            since,
            end,
        }))
    }

    /// Takes the answers that are there.
    fn reap(&mut self) -> Result<(), Failure> {
        while let Some(ticket) = self.tickets.front() {
            if ticket.probe().look() == TicketProgress::UnderWay {
                break;
            }
            self.answered()?;
        }
        Ok(())
    }

    /// Waits for all answers.
    fn settle(&mut self) -> Result<(), Failure> {
        while !self.tickets.is_empty() {
            self.answered()?;
        }
        Ok(())
    }

    fn answered(&mut self) -> Result<(), Failure> {
        let Some(ticket) = self.tickets.pop_front() else {
            return Ok(());
        };
        let appended = ticket.wait().map_err(PublishError::from)?;
        self.durable(appended.last_lsn);
        Ok(())
    }

    fn durable(&self, upto: Lsn) {
        let durable = |progress: &mut Progress| progress.durable = progress.durable.max(upto);
        self.progress.send_modify(durable);
    }

    /// Makes the position of an idle upstream ours, now and then or because it asks.
    fn advance(&mut self, is_urgent: bool) -> Result<(), Failure> {
        let Progress {
            received, durable, ..
        } = *self.progress.borrow();
        let is_early = |at: &Instant| at.elapsed() < ADVANCE_EVERY;
        if received <= durable || (!is_urgent && self.advanced.as_ref().is_some_and(is_early)) {
            return Ok(());
        }
        self.engine.advance_received(received)?;
        self.queued = self.queued.max(received);
        self.advanced = Some(Instant::now());
        self.durable(received);
        Ok(())
    }

    fn report(&self) {
        let received = self.progress.borrow().received;
        let buffered = u64::try_from(self.assembler.buffered_bytes()).unwrap_or(u64::MAX);
        let spilled = self.assembler.spilled_bytes();
        self.status.update(|status| {
            status.received_lsn = received;
            status.buffered_bytes = buffered;
            status.spilled_bytes = spilled;
            status.judge_distance();
        });
    }
}

/// Says which publications of the upstream are not here.
pub(super) fn tell_left_out(database: &str, names: &str) {
    if names.is_empty() {
        let words = "all publications of the upstream are here";
        tracing::info!(database, "{words}");
    } else {
        let words = "publications of what is not captured are not here";
        tracing::info!(database, names, "{words}");
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error.is_disk_full() {
            true => Self::DiskFull(error.to_string()),
            false => Self::Broken(error.to_string()),
        }
    }
}

impl From<DefineError> for Failure {
    fn from(error: DefineError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<AssembleError> for Failure {
    fn from(error: AssembleError) -> Self {
        if error.is_disk_full() {
            Self::DiskFull(error.to_string())
        } else if error.passes_without_streaming() {
            Self::Streaming(error.to_string())
        } else {
            Self::Broken(error.to_string())
        }
    }
}
