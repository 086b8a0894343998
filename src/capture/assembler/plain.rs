//! A transaction that comes whole, between Begin and Commit: put into frames as it comes.

use std::sync::Arc;

use super::super::spill::{Blocks, Budget};
use super::frames::{Counts, FrameWriter, Sizes, place};
use super::known::{Known, Said, Sent, Table, Types};
use super::replay::{FramesReplay, few};
use super::{AssembleError, peek};
use crate::engine::CapturedFrames;
use crate::lsn::Lsn;
use crate::pgoutput::{Context, Message, Protocol};

#[derive(Debug)]
pub(super) struct Plain {
    writer: FrameWriter,
    /// Frames that are full.
    full: Blocks,
    sizes: Sizes,
    /// Descriptions that it stored.
    pub(super) said: Said,
    types: Types,
    /// The table of the last change, whose description is looked after.
    ready: Option<u32>,
    /// Whether there is anything but its beginning.
    is_empty: bool,
}

impl Plain {
    /// Beginning with the Begin message.
    pub(super) fn new(lsn: Lsn, begin: &[u8], sizes: Sizes) -> Self {
        let mut writer = FrameWriter::new(sizes);
        writer.message(lsn, begin);
        Self {
            writer,
            full: Blocks::default(),
            sizes,
            said: Said::new(),
            types: Types::new(),
            ready: None,
            is_empty: true,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.full.memory_bytes().saturating_add(self.writer.used())
    }

    pub(super) fn spilled_bytes(&self) -> u64 {
        self.full.spilled_bytes()
    }

    /// Whether spilling it would make room.
    pub(super) const fn can_spill(&self) -> bool {
        self.full.memory_bytes() > 0
    }

    /// Writes the frames that are full to the file. Blocking.
    pub(super) fn spill(&mut self, budget: &Budget) -> Result<(), AssembleError> {
        Ok(self.full.spill(&budget.scratch)?)
    }

    /// An Origin message.
    pub(super) fn origin(&mut self, lsn: Lsn, message: &[u8]) {
        self.writer.message(lsn, message);
    }

    /// A change of a row of `relation`.
    pub(super) fn change(
        &mut self,
        (lsn, message): (Lsn, &[u8]),
        relation: u32,
        known: &Known,
        budget: &Budget,
    ) -> Result<(), AssembleError> {
        if self.ready != Some(relation) {
            self.describe(relation, known)?;
            self.ready = Some(relation);
        }
        self.append(lsn, message, budget)
    }

    /// A message that is a change, too, but of no row.
    pub(super) fn other(
        &mut self,
        (lsn, message): (Lsn, &[u8]),
        known: &Known,
        budget: &Budget,
    ) -> Result<(), AssembleError> {
        let decoded = Message::decode(message, Context::new(Protocol::V1))?;
        if let Message::Truncate { relations, .. } = decoded {
            for relation in relations {
                self.describe(relation, known)?;
            }
        } else if let Message::Logical { transactional, .. } = decoded
            && !transactional
        {
            return Err(peek::out_of_place(message, "inside of a transaction"));
        }
        self.append(lsn, message, budget)
    }

    /// A Type message: it goes with the Relation message that it is for.
    pub(super) fn describe_type(&mut self, message: &[u8]) -> Result<(), AssembleError> {
        let decoded = Message::decode(message, Context::new(Protocol::V1))?;
        if let Message::Type { oid, .. } = decoded {
            self.types.insert(oid, message.to_vec());
        }
        Ok(())
    }

    /// A Relation message.
    pub(super) fn relation(
        &mut self,
        message: &[u8],
        known: &mut Known,
    ) -> Result<(), AssembleError> {
        let table = known.read(message, &self.types)?;
        let serial = known.next_serial();
        self.say(&table, known);
        known.note_sent(Sent { serial, table });
        Ok(())
    }

    /// Has readers know a table as the upstream takes it for granted.
    fn describe(&mut self, relation: u32, known: &Known) -> Result<(), AssembleError> {
        let sent = known.sent(relation);
        let table = sent.ok_or(AssembleError::NotDescribed(relation))?;
        self.say(table, known);
        Ok(())
    }

    /// Stores a description that readers do not have.
    fn say(&mut self, table: &Arc<Table>, known: &Known) {
        if known.is_stored(table, &self.said) {
            return;
        }
        write_table(table, &mut self.writer);
        self.said.push(Arc::clone(table));
        self.is_empty = false;
    }

    fn append(&mut self, lsn: Lsn, message: &[u8], budget: &Budget) -> Result<(), AssembleError> {
        self.is_empty = false;
        self.writer.begin_message(lsn, message.len());
        for part in message.chunks(self.sizes.part) {
            self.writer.bytes(part);
            self.stow(budget)?;
        }
        Ok(())
    }

    /// Puts away what is full.
    fn stow(&mut self, budget: &Budget) -> Result<(), AssembleError> {
        while let Some(frame) = self.writer.take() {
            self.full.push(frame);
            self.full.bound(budget)?;
        }
        Ok(())
    }

    /// Its frames with the Commit message at the end, `None` if there is nothing in it.
    pub(super) fn commit(
        mut self,
        (lsn, message): (Lsn, &[u8]),
        large: usize,
    ) -> Result<Option<CapturedFrames>, AssembleError> {
        if self.is_empty {
            return Ok(None);
        }
        self.writer.message(lsn, message);
        let counts = self.writer.finish();
        while let Some(frame) = self.writer.take() {
            self.full.push(frame);
        }
        let replay = FramesReplay::new(self.full, counts, is_large(counts, large));
        Ok(Some(few(replay)?))
    }
}

/// The Type messages and the Relation message of a table.
pub(super) fn write_table(table: &Table, writer: &mut FrameWriter) {
    for (_, message) in &table.types {
        writer.message(Lsn::ZERO, message);
    }
    writer.message(Lsn::ZERO, &table.relation);
}

pub(super) fn is_large(counts: Counts, large: usize) -> bool {
    usize::try_from(counts.bytes).is_ok_and(|bytes| bytes > large)
}

/// A message that belongs to no transaction: frames of its own.
pub(super) fn lone_message(lsn: Lsn, message: &[u8], sizes: Sizes, large: usize) -> CapturedFrames {
    let mut writer = FrameWriter::new(sizes);
    writer.message(lsn, message);
    let counts = writer.finish();
    let mut frames = Vec::new();
    while let Some(mut frame) = writer.take() {
        let number = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        place(&mut frame, number, counts, is_large(counts, large));
        frames.push(frame.into());
    }
    CapturedFrames::Few(frames)
}
