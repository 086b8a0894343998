//! The bytes of a transaction under way, in blocks: in memory, or the older of them in a file.

use std::collections::VecDeque;
use std::io;

use crate::engine::{PublishError, Scratch, Spill};

/// What of a transaction may be in memory, and where the rest goes.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    /// Bytes in memory of all transactions under way.
    pub(super) work_mem: usize,
    /// Where what is above that goes.
    pub(super) scratch: Scratch,
}

/// Blocks in the order in which they came, each handed out as it was pushed.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    spill: Spill,
    /// How many of the file's were handed out.
    num_taken: usize,
    /// Those behind the file's.
    memory: VecDeque<Vec<u8>>,
    memory_bytes: usize,
}

impl Blocks {
    pub(super) fn push(&mut self, block: Vec<u8>) {
        self.memory_bytes = self.memory_bytes.saturating_add(block.len());
        self.memory.push_back(block);
    }

    /// Bytes of those in memory.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Bytes of those in the file.
    pub(super) fn spilled_bytes(&self) -> u64 {
        self.spill.end()
    }

    /// Whether all of it is in memory.
    pub(super) fn is_in_memory(&self) -> bool {
        self.spill.end() == 0
    }

    /// Writes all that is in memory to the file. Blocking.
    pub(super) fn spill(&mut self, scratch: &Scratch) -> Result<(), PublishError> {
        while let Some(block) = self.memory.front() {
            self.spill.append(scratch, block)?;
            self.drop_front();
        }
        Ok(())
    }

    /// Spills if this alone is more than may be in memory. Blocking.
    pub(super) fn bound(&mut self, budget: &Budget) -> Result<(), PublishError> {
        if self.memory_bytes > budget.work_mem {
            self.spill(&budget.scratch)?;
        }
        Ok(())
    }

    fn drop_front(&mut self) -> Option<Vec<u8>> {
        let block = self.memory.pop_front()?;
        self.memory_bytes = self.memory_bytes.saturating_sub(block.len());
        Some(block)
    }

    /// Shows every block, none of which was taken. Blocking.
    pub(super) fn look<E: From<io::Error>>(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for chunk in &self.spill.chunks {
            each(&self.spill.read(*chunk)?)?;
        }
        self.memory.iter().try_for_each(|block| each(block))
    }

    /// Takes the next block, `None` behind the last. Blocking.
    pub(super) fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.spill.chunks.get(self.num_taken) {
            Some(chunk) => {
                self.num_taken += 1;
                self.spill.read(*chunk).map(Some)
            }
            None => Ok(self.drop_front()),
        }
    }
}
