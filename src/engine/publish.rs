//! Getting transactions into a database.

use super::producers::{Numbering, ProducerSnapshot};
use super::transaction::{Numbers, TransactionBuffer, failed};
use super::{Batch, Engine, PublishError, PublishTicket, Published};
use crate::clock::Moment;
use crate::spool::{DraftSource, Drafts, StreamedUnit, Unit};

impl Engine {
    /// An empty batch for this database.
    pub fn batch(&self, now: Moment) -> Batch {
        Batch::new(self.term(), now)
    }

    /// Queues a batch; await or wait on the ticket for durability. Records that their producer
    /// published before are counted and left out; the ticket then tells when the earlier ones are
    /// durable too. Blocks while the writer's queue is full.
    pub fn submit(&self, mut batch: Batch) -> Result<PublishTicket, PublishError> {
        if batch.is_empty() {
            return Err(PublishError::Empty);
        }
        self.admit()?;
        self.note_collections(batch.collections())?;
        if !batch.is_numbered() {
            return Ok(self.spool.append(batch.into_units())?);
        }
        let order = self.producers.order();
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
        let producers = std::sync::Arc::clone(&self.producers);
        TransactionBuffer::new(self.term(), self.scratch.clone(), producers)
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
        if buffer.is_empty() {
            return Ok(None);
        }
        self.admit()?;
        self.note_collections(buffer.collections())?;
        let order = buffer.is_numbered().then(|| self.producers.order());
        let mut replay = buffer.into_replay()?;
        let numberings: Vec<Numbering> = replay.take_numbers().map(numbering).collect();
        let (term, timestamp_ms) = (self.term(), now.unix_ms);
        let ticket = match replay.num_frames() {
            0 => self.spool.append(Vec::new())?,
            1 => {
                let only = replay.into_only().map_err(failed("read"))?;
                let unit = |draft| Unit {
                    term,
                    timestamp_ms,
                    lsn: None,
                    frames: Drafts::One(draft),
                };
                self.spool.append(only.map(unit).into_iter().collect())?
            }
            _ => self.spool.append_streamed(StreamedUnit {
                term,
                timestamp_ms,
                drafts: Box::new(replay),
            })?,
        };
        if let Some(order) = order {
            order.note(numberings, ticket.probe());
        }
        Ok(Some(ticket))
    }

    /// Which number of each producer is the last that is durable.
    pub fn producers(&self) -> Vec<ProducerSnapshot> {
        self.producers.snapshot()
    }

    fn admit(&self) -> Result<(), PublishError> {
        self.replicas
            .admit(self.head())
            .map_err(|throttled| PublishError::Throttled { lag: throttled.lag })
    }
}

fn numbering(numbers: Numbers) -> Numbering {
    Numbering {
        producer: numbers.producer,
        highest: numbers.kept.map(|(_, highest)| highest),
        num_repeated: numbers.num_repeated,
    }
}
