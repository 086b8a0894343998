//! Getting transactions into a database.

use std::io;
use std::sync::Arc;

use super::check::{RowCheck, Unfit};
use super::define::Collections;
use super::producers::{Numbering, ProducerSnapshot};
use super::replay::Replay;
use super::scratch::{Scratch, failed, size};
use super::transaction::{Numbers, TransactionBuffer};
use super::{Batch, Engine, PublishError, PublishTicket, Published};
use crate::clock::Moment;
use crate::relations::Command;
use crate::spool::{DraftSource, Drafts, End, StreamedUnit, Unit};

/// A block on its way to the writer.
enum Work {
    Units(Vec<Unit>),
    Streamed(StreamedUnit),
}

/// Whether all records of a block were read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readable {
    Yes,
    Unknown,
}

/// What a second look at a block's records found.
enum Looked {
    Unreadable(io::Error),
    Unfit(Unfit),
}

impl From<io::Error> for Looked {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl Engine {
    /// An empty batch for this database.
    pub fn batch(&self, now: Moment) -> Batch {
        Batch::new(self.term(), now, self.row_check())
    }

    /// Queues a batch; await or wait on the ticket for durability. Records that their producer
    /// published before are counted and left out; the ticket then tells when the earlier ones are
    /// durable too. Blocks while the writer's queue is full.
    pub fn submit(&self, mut batch: Batch) -> Result<PublishTicket, PublishError> {
        self.check_takes_records()?;
        if batch.is_empty() {
            return Err(PublishError::Empty);
        }
        self.admit(size(batch.num_bytes()))?;
        self.note_collections(batch.collections())?;
        if !batch.is_numbered() {
            let _definitions = self.definitions.keep();
            batch.check_under(self.relations.current())?;
            return Ok(self.spool.append(batch.into_units())?);
        }
        let order = self.producers.order();
        let _definitions = self.definitions.keep();
        batch.check_under(self.relations.current())?;
        let mut screen = order.screen();
        batch.remove_repeated(|numbered| order.is_repeated(&mut screen, numbered));
        // With nothing left this waits for what is before it in the queue.
        let ticket = self.spool.append(batch.into_units())?;
        order.note(screen.into_numberings(), ticket.probe());
        Ok(ticket)
    }

    /// Publishes and waits until all is durable here. Blocking.
    pub fn publish(&self, batch: Batch) -> Result<Published, PublishError> {
        Ok(self.submit(batch)?.wait()?)
    }

    /// An empty buffer for the records of a transaction block.
    pub fn begin(&self) -> TransactionBuffer {
        let producers = Arc::clone(&self.producers);
        TransactionBuffer::new(
            self.term(),
            self.scratch.clone(),
            producers,
            self.row_check(),
        )
    }

    /// Where transactions put what is too much for memory.
    pub fn scratch(&self) -> Scratch {
        self.scratch.clone()
    }

    fn row_check(&self) -> RowCheck {
        RowCheck::new(self.relations.clone(), Arc::clone(&self.producers))
    }

    /// Queues the records of a transaction block as one transaction; `None` when there are none
    /// and nothing is to be waited for. The ticket of a block whose records were all published
    /// before tells when those are durable, and counts no transaction. On an error nothing is
    /// stored. Blocks while the writer's queue is full.
    pub fn commit(
        &self,
        buffer: TransactionBuffer,
        now: Moment,
    ) -> Result<Option<PublishTicket>, PublishError> {
        self.commit_defining(&[], buffer, now)
    }

    /// The same for a block that defines, too: its definitions are durable before its records are
    /// queued, and only when nothing but the spool's own failure can keep the records out any
    /// more. On an error before that nothing is defined either.
    pub fn commit_defining(
        &self,
        commands: &[Command],
        buffer: TransactionBuffer,
        now: Moment,
    ) -> Result<Option<PublishTicket>, PublishError> {
        if !buffer.is_empty() || !commands.is_empty() {
            self.check_takes_records()?;
        }
        if buffer.is_empty() {
            let _alone = self.definitions.change();
            self.define_with(commands, buffer.collections())?;
            return Ok(None);
        }
        let bytes = buffer.counted_bytes();
        self.admit(bytes)?;
        let collections = buffer.collections().clone();
        let is_numbered = buffer.is_numbered();
        let (replay, mut check) = buffer.into_replay();
        let mut replay = replay.promised(self.floor.promise(bytes));
        // A block may be large: others publish and define while it is looked at. Only what they
        // define meanwhile makes it looked at once more.
        self.look_again(
            commands,
            &replay,
            &mut check,
            &collections,
            Readable::Unknown,
        )?;
        let order = is_numbered.then(|| self.producers.order());
        replay.refuse_overtaken(&self.producers)?;
        let _alone = (!commands.is_empty()).then(|| self.definitions.change());
        let _kept = commands.is_empty().then(|| self.definitions.keep());
        self.look_again(commands, &replay, &mut check, &collections, Readable::Yes)?;
        let numberings: Vec<Numbering> = replay.take_numbers().map(numbering).collect();
        let work = self.work(replay, now)?;
        self.define_with(commands, &collections)?;
        let ticket = match work {
            Work::Units(units) => self.spool.append(units)?,
            Work::Streamed(unit) => self.spool.append_streamed(unit)?,
        };
        if let Some(order) = order {
            order.note(numberings, ticket.probe());
        }
        Ok(Some(ticket))
    }

    /// Whether all records of a block read back and are rows of their tables behind `commands`, as
    /// the definitions are now. What `check` knows of that is not looked at again.
    fn look_again(
        &self,
        commands: &[Command],
        replay: &Replay,
        check: &mut RowCheck,
        collections: &Collections,
        readable: Readable,
    ) -> Result<(), PublishError> {
        let set = if commands.is_empty() {
            self.relations.current()
        } else {
            Arc::new(self.relations.after_all(commands)?)
        };
        let holds = check.holds_under(&set, collections);
        // Without definitions nothing is lost by a block that turns out to be unreadable.
        if holds && (commands.is_empty() || readable == Readable::Yes) {
            return Ok(());
        }
        check.start_again(set);
        let looked = replay.look(|record| match holds {
            true => Ok(()),
            false => check.row(record).map_err(Looked::Unfit),
        });
        looked.map_err(|error| match error {
            Looked::Unreadable(error) => failed("read")(error),
            Looked::Unfit(error) => error.into(),
        })
    }

    /// What the spool is to write of a block.
    fn work(&self, replay: Replay, now: Moment) -> Result<Work, PublishError> {
        let (term, timestamp_ms) = (self.term(), now.unix_ms);
        Ok(match replay.num_frames() {
            0 => Work::Units(Vec::new()),
            1 => {
                let only = replay.into_only().map_err(failed("read"))?;
                let unit = |draft| Unit {
                    term,
                    timestamp_ms,
                    end: End::Local,
                    frames: Drafts::One(draft),
                };
                Work::Units(only.map(unit).into_iter().collect())
            }
            _ => Work::Streamed(StreamedUnit {
                term,
                timestamp_ms,
                end: End::Local,
                drafts: Box::new(replay),
            }),
        })
    }

    /// Which number of each producer is the last that is durable.
    pub fn producers(&self) -> Vec<ProducerSnapshot> {
        self.producers.snapshot()
    }

    fn admit(&self, bytes: u64) -> Result<(), PublishError> {
        self.replicas
            .admit(self.head())
            .map_err(|throttled| PublishError::Throttled { lag: throttled.lag })?;
        self.admit_bytes(bytes)
    }

    /// Whether the file system has room for so many bytes more.
    pub(super) fn admit_bytes(&self, bytes: u64) -> Result<(), PublishError> {
        self.floor
            .admit(bytes, || size(self.spool.num_queued_bytes()))
    }
}

fn numbering(numbers: Numbers) -> Numbering {
    Numbering {
        producer: numbers.producer,
        highest: numbers.kept.map(|(_, highest)| highest),
        num_repeated: numbers.num_repeated,
    }
}
