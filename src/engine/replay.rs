//! A transaction's records read back from their buffer, one by one, while they are written.

use std::collections::VecDeque;
use std::io;
use std::mem;

use bytes::Bytes;

use super::PublishError;
use super::batch::PART_PREFIX;
use super::check::Encoded;
use super::floor::Promise;
use super::producers::Producers;
use super::scratch::{Spill, size};
use super::transaction::{ENTRY_HEAD, Numbers};
use crate::change;
use crate::spool::{Draft, DraftSource, Stamp};

/// A transaction's records read back from their buffer.
#[derive(Debug)]
pub(super) struct Replay {
    spill: Spill,
    /// How many chunks of the file were read.
    num_read: usize,
    /// The entries behind the file's.
    memory: Vec<u8>,
    /// What was read and not fetched yet.
    ready: VecDeque<Draft>,
    num_frames: u64,
    counted: u64,
    /// Frames made ready.
    num_ready: u64,
    numbers: Vec<Numbers>,
    /// What of it is still to be written counts as taken of the disk.
    promise: Option<Promise>,
}

/// Where an entry lies, and what its head says.
struct Entry {
    start: usize,
    end: usize,
    lsn_at: usize,
}

impl Replay {
    /// `num_frames` records whose frames are `counted` bytes.
    pub(super) fn new(
        spill: Spill,
        memory: Vec<u8>,
        numbers: Vec<Numbers>,
        (num_frames, counted): (u64, u64),
    ) -> Self {
        Self {
            spill,
            num_read: 0,
            memory,
            ready: VecDeque::new(),
            num_frames,
            counted,
            num_ready: 0,
            numbers,
            promise: None,
        }
    }

    /// The same with a promise for its bytes.
    pub(super) fn promised(self, promise: Promise) -> Self {
        Self {
            promise: Some(promise),
            ..self
        }
    }

    /// Gives `each` record after record, and so finds out whether all of it reads back. Reads all
    /// of the file.
    pub(super) fn look<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(Encoded<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for chunk in &self.spill.chunks {
            look_at(&self.spill.read(*chunk)?, &mut each)?;
        }
        look_at(&self.memory, &mut each)
    }

    /// An error when one of the records would be taken for a repeated one: its producer published
    /// a higher number since it was pushed. Called with the producers' order held.
    pub(super) fn refuse_overtaken(&self, producers: &Producers) -> Result<(), PublishError> {
        for numbers in &self.numbers {
            let submitted = producers.submitted(&numbers.producer);
            if let (Some((lowest, _)), Some(submitted)) = (numbers.kept, submitted)
                && submitted >= lowest
            {
                return Err(PublishError::Overtaken {
                    producer: numbers.producer.clone(),
                    published: submitted,
                    lost: lowest,
                });
            }
        }
        Ok(())
    }

    /// The numbers of its producers.
    pub(super) fn take_numbers(&mut self) -> impl Iterator<Item = Numbers> + use<> {
        mem::take(&mut self.numbers).into_iter()
    }

    /// The only record, as a transaction of its own.
    pub(super) fn into_only(mut self) -> io::Result<Option<Draft>> {
        Ok(self.next_draft()?.map(|draft| Draft {
            bytes: draft.bytes.slice(PART_PREFIX.min(draft.bytes.len())..),
            hole: draft
                .hole
                .map(|(at, _)| (at.saturating_sub(PART_PREFIX), Stamp::EndLsn)),
        }))
    }

    /// Reads on; false when there is nothing more.
    fn read_on(&mut self) -> io::Result<bool> {
        let bytes = match self.spill.chunks.get(self.num_read) {
            Some(chunk) => self.spill.read(*chunk)?,
            None if self.memory.is_empty() => return Ok(false),
            None => mem::take(&mut self.memory),
        };
        self.num_read += 1;
        self.make_ready(bytes)?;
        Ok(true)
    }

    /// Says each frame's place in its transaction, which was not known when it was encoded.
    fn make_ready(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        let mut entries = Vec::new();
        let mut at = 0;
        while let Some(entry) = next_entry(&bytes, at)? {
            at = entry.end;
            let first = self.num_ready == 0;
            self.num_ready += 1;
            let prefix = change::frame_part_prefix(first, self.num_ready == self.num_frames);
            if let Some(room) = bytes.get_mut(entry.start..entry.start + PART_PREFIX) {
                room.copy_from_slice(&prefix);
            }
            entries.push(entry);
        }
        let bytes = Bytes::from(bytes);
        self.ready.extend(entries.into_iter().map(|entry| Draft {
            bytes: bytes.slice(entry.start..entry.end),
            hole: Some((entry.lsn_at, Stamp::OwnLsn)),
        }));
        Ok(())
    }
}

impl DraftSource for Replay {
    fn memory_bytes(&self) -> u64 {
        size(self.memory.len())
    }

    fn num_frames(&self) -> u64 {
        self.num_frames
    }

    fn counted_bytes(&self) -> u64 {
        self.counted
    }

    fn next_draft(&mut self) -> io::Result<Option<Draft>> {
        while self.ready.is_empty() {
            if !self.read_on()? {
                return Ok(None);
            }
        }
        let draft = self.ready.pop_front();
        if let (Some(promise), Some(draft)) = (&mut self.promise, &draft) {
            promise.keep(size(draft.counted_frame()));
        }
        Ok(draft)
    }
}

fn look_at<E: From<io::Error>>(
    bytes: &[u8],
    each: &mut impl FnMut(Encoded<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut at = 0;
    while let Some(entry) = next_entry(bytes, at)? {
        at = entry.end;
        let json = bytes.get(entry.start + PART_PREFIX..entry.end);
        each(Encoded {
            json: json.unwrap_or_default(),
            lsn_at: entry.lsn_at.saturating_sub(PART_PREFIX),
        })?;
    }
    Ok(())
}

/// The entry at `at`, nothing at the end of `bytes`.
fn next_entry(bytes: &[u8], at: usize) -> io::Result<Option<Entry>> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return Ok(None);
    }
    let entry = parse_entry(rest, at).filter(|entry| entry.end <= bytes.len());
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "an entry is broken");
    entry.map(Some).ok_or_else(broken)
}

fn parse_entry(rest: &[u8], at: usize) -> Option<Entry> {
    let u32_at = |at: usize| {
        rest.get(at..)?
            .first_chunk()
            .copied()
            .map(u32::from_le_bytes)
    };
    let len = usize::try_from(u32_at(0)?).ok()?;
    let start = at.checked_add(ENTRY_HEAD)?;
    Some(Entry {
        start,
        end: start.checked_add(len)?,
        lsn_at: usize::try_from(u32_at(4)?).ok()?,
    })
}
