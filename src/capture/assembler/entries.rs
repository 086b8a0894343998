//! The messages of a streamed transaction, kept until it is known which of them count.
//!
//! ```text
//!       0           4          12         16
//!       +-----------+----------+----------+-------------- - -
//! entry | (sub)xid  | LSN      | length   | message          once a message
//!       | u32       | u64      | u32      |
//!       +-----------+----------+----------+-------------- - -
//!                                         |<-- length -->|
//! ```
//!
//! Entries lie in blocks, one behind the other; only one longer than a frame's part goes on in the
//! next blocks, which then begin with its rest. Messages have no transaction id in them. The LSN of
//! a Relation or Type message, which has none, is the how manyth description of the session it was.

use std::io;
use std::mem;

use super::super::spill::{Blocks, Budget};
use super::AssembleError;
use super::frames::Sizes;
use crate::lsn::Lsn;

/// Bytes before a message.
const ENTRY_HEAD: usize = 16;

/// What stands before a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct EntryHead {
    /// Whose message it is: the transaction's, or a subtransaction's id.
    pub(super) subxid: u32,
    pub(super) lsn: u64,
    pub(super) len: usize,
}

/// Entries, written one by one.
#[derive(Debug, Default)]
pub(super) struct Entries {
    blocks: Blocks,
    /// The block that is being filled.
    current: Vec<u8>,
}

impl Entries {
    /// Adds the message that begins with `letter` and goes on with `rest`. Blocking where that is
    /// too much for memory.
    pub(super) fn push(
        &mut self,
        (subxid, lsn): (u32, u64),
        (letter, rest): (u8, &[u8]),
        sizes: Sizes,
        budget: &Budget,
    ) -> Result<(), AssembleError> {
        let len = rest.len().saturating_add(1);
        let with_it = self.current.len().saturating_add(ENTRY_HEAD + len);
        if !self.current.is_empty() && with_it > sizes.chunk {
            self.close();
        }
        self.current.extend_from_slice(&subxid.to_be_bytes());
        self.current.extend_from_slice(&lsn.to_be_bytes());
        let short = u32::try_from(len).unwrap_or(u32::MAX);
        self.current.extend_from_slice(&short.to_be_bytes());
        self.current.push(letter);
        let (first, behind) = rest.split_at(rest.len().min(sizes.part));
        self.current.extend_from_slice(first);
        for part in behind.chunks(sizes.part) {
            self.close();
            self.blocks.bound(budget)?;
            self.current.extend_from_slice(part);
        }
        Ok(())
    }

    fn close(&mut self) {
        self.blocks.push(mem::take(&mut self.current));
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.blocks
            .memory_bytes()
            .saturating_add(self.current.len())
    }

    pub(super) fn spilled_bytes(&self) -> u64 {
        self.blocks.spilled_bytes()
    }

    /// Writes all that is in memory to the file. Blocking.
    pub(super) fn spill(&mut self, budget: &Budget) -> Result<(), AssembleError> {
        if !self.current.is_empty() {
            self.close();
        }
        Ok(self.blocks.spill(&budget.scratch)?)
    }

    /// All of them.
    pub(super) fn into_blocks(mut self) -> Blocks {
        if !self.current.is_empty() {
            self.close();
        }
        self.blocks
    }
}

/// Reads entries out of their blocks.
#[derive(Debug, Default)]
pub(super) struct EntryReader {
    /// What of the last entry is in the next blocks.
    missing: usize,
}

/// What a block has next.
#[derive(Debug)]
pub(super) enum EntryPart<'a> {
    /// An entry, and its message as far as that is in this block.
    Begin(EntryHead, &'a [u8]),
    /// More of it.
    Rest(&'a [u8]),
}

impl EntryReader {
    /// Shows what is in the next block.
    pub(super) fn read<E: From<io::Error>>(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(EntryPart<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut left = block;
        while !left.is_empty() {
            if self.missing > 0 {
                let (rest, behind) = left.split_at(left.len().min(self.missing));
                self.missing -= rest.len();
                left = behind;
                each(EntryPart::Rest(rest))?;
                continue;
            }
            let (head, behind) = entry_head(left).ok_or_else(broken)?;
            let (message, behind) = behind.split_at(behind.len().min(head.len));
            self.missing = head.len - message.len();
            left = behind;
            each(EntryPart::Begin(head, message))?;
        }
        Ok(())
    }
}

fn entry_head(bytes: &[u8]) -> Option<(EntryHead, &[u8])> {
    let (subxid, rest) = bytes.split_first_chunk()?;
    let (lsn, rest) = rest.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let head = EntryHead {
        subxid: u32::from_be_bytes(*subxid),
        lsn: u64::from_be_bytes(*lsn),
        len: usize::try_from(u32::from_be_bytes(*len)).ok()?,
    };
    Some((head, rest))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an entry is broken")
}

impl EntryHead {
    /// The LSN of its message's header.
    pub(super) const fn header_lsn(self) -> Lsn {
        Lsn::new(self.lsn)
    }
}
