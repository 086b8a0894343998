//! What was kept of a transaction, as the frames that are stored.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::super::spill::Blocks;
use super::entries::{EntryPart, EntryReader};
use super::frames::{Counts, FrameWriter, place};
use super::known::Table;
use super::plain::write_table;
use super::streamed::is_description;
use crate::engine::CapturedFrames;
use crate::lsn::Lsn;
use crate::spool::{Draft, DraftSource};

/// What of a transaction is handed over in memory at once.
const FEW_BYTES: u64 = 4 << 20;

/// Frames with what is to be known of them before they are read.
pub(super) trait Replayed: DraftSource + Sized + 'static {
    fn counts(&self) -> Counts;

    /// Whether nothing of it is in a file.
    fn is_in_memory(&self) -> bool;
}

/// The frames at once, if they are few.
pub(super) fn few(mut replay: impl Replayed) -> io::Result<CapturedFrames> {
    if !replay.is_in_memory() || replay.counts().bytes > FEW_BYTES {
        return Ok(CapturedFrames::Streamed(Box::new(replay)));
    }
    let mut frames = Vec::new();
    while let Some(draft) = replay.next_draft()? {
        frames.push(draft.bytes);
    }
    Ok(CapturedFrames::Few(frames))
}

fn draft(mut frame: Vec<u8>, number: u64, counts: Counts, large: bool) -> Draft {
    place(&mut frame, number, counts, large);
    Draft {
        bytes: Bytes::from(frame),
        hole: None,
    }
}

/// Frames that are there but for their flags.
#[derive(Debug)]
pub(super) struct FramesReplay {
    frames: Blocks,
    counts: Counts,
    large: bool,
    num_done: u64,
}

impl FramesReplay {
    pub(super) const fn new(frames: Blocks, counts: Counts, large: bool) -> Self {
        Self {
            frames,
            counts,
            large,
            num_done: 0,
        }
    }
}

impl Replayed for FramesReplay {
    fn counts(&self) -> Counts {
        self.counts
    }

    fn is_in_memory(&self) -> bool {
        self.frames.is_in_memory()
    }
}

impl DraftSource for FramesReplay {
    fn memory_bytes(&self) -> u64 {
        u64::try_from(self.frames.memory_bytes()).unwrap_or(u64::MAX)
    }

    fn num_frames(&self) -> u64 {
        self.counts.num_frames
    }

    fn counted_bytes(&self) -> u64 {
        self.counts.counted_bytes()
    }

    fn next_draft(&mut self) -> io::Result<Option<Draft>> {
        let Some(frame) = self.frames.take()? else {
            return Ok(None);
        };
        let number = self.num_done;
        self.num_done += 1;
        Ok(Some(draft(frame, number, self.counts, self.large)))
    }
}

/// What is stored of the entries of a streamed transaction.
#[derive(Debug)]
pub(super) struct Plan {
    /// What comes before the changes.
    pub(super) start: Vec<(Lsn, Vec<u8>)>,
    /// The Commit message.
    pub(super) commit: (Lsn, Vec<u8>),
    /// Subtransactions that were rolled back.
    pub(super) aborted: HashSet<u32>,
    /// Descriptions, each with the number of the entry that it is stored before.
    pub(super) said: VecDeque<(u64, Arc<Table>)>,
    pub(super) counts: Counts,
    pub(super) large: bool,
}

/// The frames of a streamed transaction, made while they are read.
#[derive(Debug)]
pub(super) struct EntriesReplay {
    entries: Blocks,
    reader: EntryReader,
    plan: Plan,
    /// Entries read.
    num_read: u64,
    /// The entry that goes on in the next block is not stored.
    skips: bool,
    writer: FrameWriter,
    is_finished: bool,
    num_done: u64,
}

impl EntriesReplay {
    pub(super) fn new(entries: Blocks, plan: Plan, mut writer: FrameWriter) -> Self {
        for (lsn, message) in &plan.start {
            writer.message(*lsn, message);
        }
        Self {
            entries,
            reader: EntryReader::default(),
            plan,
            num_read: 0,
            skips: false,
            writer,
            is_finished: false,
            num_done: 0,
        }
    }

    /// Reads a block, or finishes behind the last.
    fn read_on(&mut self) -> io::Result<()> {
        let Some(block) = self.entries.take()? else {
            let (lsn, commit) = &self.plan.commit;
            self.writer.message(*lsn, commit);
            self.writer.finish();
            self.is_finished = true;
            return Ok(());
        };
        let (plan, writer) = (&mut self.plan, &mut self.writer);
        let (num_read, skips) = (&mut self.num_read, &mut self.skips);
        self.reader.read::<io::Error>(&block, |part| {
            match part {
                EntryPart::Rest(bytes) if !*skips => writer.bytes(bytes),
                EntryPart::Rest(_) => {}
                EntryPart::Begin(head, message) => {
                    while let Some((_, table)) = plan.said.pop_front_if(|(at, _)| at == num_read) {
                        write_table(&table, writer);
                    }
                    *num_read += 1;
                    *skips = is_description(message) || plan.aborted.contains(&head.subxid);
                    if !*skips {
                        writer.begin_message(head.header_lsn(), head.len);
                        writer.bytes(message);
                    }
                }
            }
            Ok(())
        })
    }
}

impl Replayed for EntriesReplay {
    fn counts(&self) -> Counts {
        self.plan.counts
    }

    fn is_in_memory(&self) -> bool {
        self.entries.is_in_memory()
    }
}

impl DraftSource for EntriesReplay {
    fn memory_bytes(&self) -> u64 {
        u64::try_from(self.entries.memory_bytes()).unwrap_or(u64::MAX)
    }

    fn num_frames(&self) -> u64 {
        self.plan.counts.num_frames
    }

    fn counted_bytes(&self) -> u64 {
        self.plan.counts.counted_bytes()
    }

    fn next_draft(&mut self) -> io::Result<Option<Draft>> {
        loop {
            if let Some(frame) = self.writer.take() {
                let number = self.num_done;
                self.num_done += 1;
                return Ok(Some(draft(
                    frame,
                    number,
                    self.plan.counts,
                    self.plan.large,
                )));
            }
            if self.is_finished {
                return Ok(None);
            }
            self.read_on()?;
        }
    }
}
