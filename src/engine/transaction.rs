//! The records of an open transaction block, until its COMMIT.
//!
//! They are encoded as they come and kept in memory up to [`MAX_IN_MEMORY`] bytes, behind that in
//! chunks of a temporary file whose name is removed at once: it goes with the session, however
//! that ends. At COMMIT they are read back one by one while they are written to the spool, so
//! memory stays bounded whatever the transaction's size. Until then nobody else sees anything of
//! them, and dropping the buffer is a ROLLBACK.
//!
//! ```text
//!       0          4          8            12        20         22
//!       +----------+----------+------------+---------+----------+------- - -
//! entry | length   | lsn at   | producer   | seq     | 02 flags | { JSON }      once a record
//!       | u32      | u32      | u32        | u64     |          |
//!       +----------+----------+------------+---------+----------+------- - -
//!                                                    |<---- length bytes --->|
//! ```
//!
//! `lsn at` counts from `02`; `producer` is 0, or 1 and the place in the buffer's list of
//! producers.

use std::fmt;
use std::sync::Arc;

use super::PublishError;
use super::batch::{LSN_DIGITS, PART_PREFIX};
use super::check::{Encoded, RowCheck};
use super::define::Collections;
use super::producers::Producers;
use super::replay::Replay;
use super::scratch::{Scratch, Spill, failed, size};
use crate::change::{self, ChangeRecord, Numbered, OpenRecord, ProducerName};
use crate::clock::Moment;
use crate::relations::{Command, DefineError};
use crate::spool::MAX_PAYLOAD;
use crate::spool::frame::OVERHEAD;

/// What is held in memory of a transaction, or one record, if that is larger.
pub const MAX_IN_MEMORY: usize = 1 << 20;

/// Bytes before an entry's payload.
pub(super) const ENTRY_HEAD: usize = 20;

/// How far the buffer is; a savepoint is one of these.
#[derive(Debug, Clone, Default)]
struct Mark {
    /// Bytes of all entries, wherever they are.
    bytes: u64,
    num_records: u64,
    /// Bytes of their frames, as the spool counts them.
    counted: u64,
    numbers: Vec<Numbers>,
}

/// The numbers of one producer in the buffer.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    pub(super) producer: ProducerName,
    /// Lowest and highest of the records that are kept.
    pub(super) kept: Option<(u64, u64)>,
    /// Records that came again and were not kept.
    pub(super) num_repeated: u64,
}

/// The records of an open transaction block. Whatever may touch the disk says "blocking".
pub struct TransactionBuffer {
    term: u64,
    scratch: Scratch,
    producers: Arc<Producers>,
    spill: Spill,
    /// Entries behind those in the file.
    memory: Vec<u8>,
    at: Mark,
    savepoints: Vec<Mark>,
    collections: Collections,
    check: RowCheck,
}

impl fmt::Debug for TransactionBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuffer")
            .field("num_records", &self.at.num_records)
            .field("bytes", &self.at.bytes)
            .finish_non_exhaustive()
    }
}

impl TransactionBuffer {
    pub(super) fn new(
        term: u64,
        scratch: Scratch,
        producers: Arc<Producers>,
        check: RowCheck,
    ) -> Self {
        Self {
            term,
            scratch,
            producers,
            spill: Spill::default(),
            memory: Vec::new(),
            at: Mark::default(),
            savepoints: Vec::new(),
            collections: Collections::default(),
            check,
        }
    }

    /// Looks at records from now on as they will be behind the definitions that wait for the
    /// block's commit.
    pub fn expect(&mut self, definitions: &[Command]) -> Result<(), DefineError> {
        self.check.expect(definitions)
    }

    /// Bytes of its records' frames, as the spool counts them.
    pub(super) const fn counted_bytes(&self) -> u64 {
        self.at.counted
    }

    /// The term its records get.
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Records in it; repeated ones are not.
    pub const fn num_records(&self) -> u64 {
        self.at.num_records
    }

    /// Whether COMMIT has nothing to do: no record came, not even a repeated one.
    pub const fn is_empty(&self) -> bool {
        self.at.num_records == 0 && self.at.numbers.is_empty()
    }

    /// The collections of its records.
    pub(super) const fn collections(&self) -> &Collections {
        &self.collections
    }

    /// Whether producers number any of its records.
    pub(super) const fn is_numbered(&self) -> bool {
        !self.at.numbers.is_empty()
    }

    /// Adds a record. Its `lsn` and `term` are assigned by the engine; a `timestamp` of 0 becomes
    /// `now`. One that is no row of its declared table is refused. One whose producer published
    /// its number before is counted and left out. On an error nothing is added. Blocking.
    pub fn push(&mut self, record: &ChangeRecord, now: Moment) -> Result<(), PublishError> {
        let term = self.term;
        self.push_open(|out| Ok(change::encode_open_into(record, term, now.unix_ms, out)?))
    }

    /// Adds a record that `encode` appends to the buffer, like [`TransactionBuffer::push`].
    /// Blocking.
    pub fn push_open<E: From<PublishError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<OpenRecord, E>,
    ) -> Result<(), E> {
        let start = self.memory.len();
        self.memory.resize(start + ENTRY_HEAD, 0);
        let prefix = change::frame_part_prefix(false, false);
        self.memory.extend_from_slice(&prefix);
        let pushed = encode(&mut self.memory).and_then(|open| Ok(self.accept(start, open)?));
        if pushed.is_err() {
            self.memory.truncate(start);
        }
        pushed
    }

    /// Takes the record whose entry begins at `start` of the memory.
    fn accept(&mut self, start: usize, open: OpenRecord) -> Result<(), PublishError> {
        let payload = self.memory.len().saturating_sub(start + ENTRY_HEAD);
        let counted = payload + LSN_DIGITS;
        if counted > MAX_PAYLOAD {
            return Err(PublishError::too_large(counted));
        }
        if open.stands_alone {
            return Err(PublishError::StandsAlone);
        }
        let mut number = (0, 0);
        if let Some(numbered) = &open.numbered {
            let place = self.place_of_producer(numbered);
            if self.is_repeated(place, numbered) {
                self.memory.truncate(start);
                return Ok(());
            }
            number = (u32::try_from(place + 1).unwrap_or(u32::MAX), numbered.seq);
        }
        let head = entry_head(payload, open.lsn_at + PART_PREFIX, number);
        if let Some(room) = self.memory.get_mut(start..start + ENTRY_HEAD) {
            room.copy_from_slice(&head);
        }
        let name = open.start + open.collection.start..open.start + open.collection.end;
        if let Some(collection) = self.memory.get(name) {
            let record = Encoded {
                json: self.memory.get(open.start..).unwrap_or_default(),
                lsn_at: open.lsn_at,
            };
            self.check.record(collection, record)?;
            self.collections.note(collection, self.at.bytes);
        }
        if self.memory.len() > MAX_IN_MEMORY {
            self.spill.append(&self.scratch, &self.memory)?;
            self.memory = Vec::new();
        }
        if let Some(numbered) = open.numbered {
            self.keep_number(&numbered);
        }
        self.at.bytes += size(payload + ENTRY_HEAD);
        self.at.num_records += 1;
        self.at.counted += size(counted + OVERHEAD);
        Ok(())
    }

    /// The place of a number's producer in the buffer's list.
    fn place_of_producer(&mut self, numbered: &Numbered) -> usize {
        let known = |numbers: &Numbers| numbers.producer == numbered.producer;
        let place = self.at.numbers.iter().position(known);
        place.unwrap_or_else(|| {
            self.at.numbers.push(Numbers {
                producer: numbered.producer.clone(),
                kept: None,
                num_repeated: 0,
            });
            self.at.numbers.len() - 1
        })
    }

    /// Whether a number came before, here or anywhere; counts it then.
    fn is_repeated(&mut self, place: usize, numbered: &Numbered) -> bool {
        let submitted = self.producers.submitted(&numbered.producer);
        let Some(numbers) = self.at.numbers.get_mut(place) else {
            return false;
        };
        let highest = numbers.kept.map(|(_, highest)| highest);
        let repeated = submitted.max(highest) >= Some(numbered.seq);
        numbers.num_repeated += u64::from(repeated);
        repeated
    }

    /// Notes the number of a record that is in.
    fn keep_number(&mut self, numbered: &Numbered) {
        let place = self.place_of_producer(numbered);
        if let Some(numbers) = self.at.numbers.get_mut(place) {
            let lowest = numbers.kept.map_or(numbered.seq, |(lowest, _)| lowest);
            numbers.kept = Some((lowest, numbered.seq));
        }
    }

    /// SAVEPOINT: the next one, counted from 1. Their names are the session's business.
    pub fn savepoint(&mut self) {
        self.savepoints.push(self.at.clone());
    }

    /// ROLLBACK TO SAVEPOINT: forgets what came behind the `n`th, which stays the last one.
    /// Blocking.
    pub fn rollback_to(&mut self, n: usize) -> Result<(), PublishError> {
        let index = n.checked_sub(1);
        if let Some(mark) = index.and_then(|index| self.savepoints.get(index)).cloned() {
            self.cut(mark.bytes)?;
            self.collections.cut(mark.bytes);
            self.at = mark;
            self.savepoints.truncate(n);
        }
        Ok(())
    }

    /// RELEASE SAVEPOINT: forgets the `n`th savepoint and those behind it, and no record.
    pub fn release(&mut self, n: usize) {
        self.savepoints.truncate(n.saturating_sub(1));
    }

    /// Forgets the entries behind the first `bytes`.
    fn cut(&mut self, bytes: u64) -> Result<(), PublishError> {
        let spilled = self.spill.end();
        if bytes >= spilled {
            let keep = usize::try_from(bytes - spilled).unwrap_or(usize::MAX);
            self.memory.truncate(keep);
            return Ok(());
        }
        let (before, within) = self.spill.chunk_at(bytes);
        // A chunk that is cut comes back to memory.
        let mut memory = Vec::new();
        if let Some(chunk) = within {
            memory = self.spill.read(chunk).map_err(failed("read"))?;
            memory.truncate(usize::try_from(bytes - chunk.start).unwrap_or(usize::MAX));
        }
        self.memory = memory;
        self.spill.chunks.truncate(before);
        Ok(())
    }

    /// The records to be read back, and what they were checked under.
    pub(super) fn into_replay(self) -> (Replay, RowCheck) {
        let Self {
            spill,
            memory,
            at,
            check,
            ..
        } = self;
        let counts = (at.num_records, at.counted);
        (Replay::new(spill, memory, at.numbers, counts), check)
    }
}

fn entry_head(payload: usize, lsn_at: usize, (place, seq): (u32, u64)) -> [u8; ENTRY_HEAD] {
    // Both fit: payloads end at 256 MiB.
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut head = [0; ENTRY_HEAD];
    let parts = number(payload).into_iter().chain(number(lsn_at));
    let parts = parts.chain(place.to_le_bytes()).chain(seq.to_le_bytes());
    for (room, byte) in head.iter_mut().zip(parts) {
        *room = byte;
    }
    head
}
