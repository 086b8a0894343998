//! Readers that nobody uses now, kept for who goes on where they stand.

use std::collections::BTreeMap;
use std::time::Duration;

use super::piece::Position;
use super::reader::Reader;

/// Which channel's reader, where it stands, and a number of its own.
type ReaderKey = (u64, Position, u64);

/// Readers that nobody uses now.
#[derive(Debug, Default)]
pub(super) struct Resting {
    kept: BTreeMap<ReaderKey, Kept>,
    bytes: usize,
    num_made: u64,
}

#[derive(Debug)]
struct Kept {
    reader: Box<Reader>,
    weight: usize,
    /// Steady time since which it is not used.
    since: Duration,
}

impl Resting {
    /// Bytes that they hold.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Keeps a reader; hands out one that has to go when the channel has more than `most` then.
    pub(super) fn insert(
        &mut self,
        channel: u64,
        reader: Box<Reader>,
        now: Duration,
        most: usize,
    ) -> Option<Box<Reader>> {
        self.num_made += 1;
        let key = (channel, reader.position(), self.num_made);
        let weight = reader.weight();
        self.bytes += weight;
        let kept = Kept {
            reader,
            weight,
            since: now,
        };
        self.kept.insert(key, kept);
        if self.of(channel).count() <= most {
            return None;
        }
        let oldest = self.of(channel).min_by_key(|(.., number)| *number)?;
        self.remove(oldest)
    }

    /// Takes a reader of the channel that stands at `at`.
    pub(super) fn take(&mut self, channel: u64, at: Position) -> Option<Box<Reader>> {
        let there = (channel, at, 0)..=(channel, at, u64::MAX);
        let key = *self.kept.range(there).next()?.0;
        self.remove(key)
    }

    /// Hands out the channel's readers.
    pub(super) fn remove_channel(&mut self, channel: u64) -> Vec<Box<Reader>> {
        let keys: Vec<_> = self.of(channel).collect();
        self.remove_all(keys)
    }

    /// Hands out what rests since before `since`, but those that `is_needed` for a channel's
    /// stream: going again into the middle of a transaction means to render it from its beginning.
    pub(super) fn remove_unused(
        &mut self,
        since: Duration,
        is_needed: impl Fn(u64, Position) -> bool,
    ) -> Vec<Box<Reader>> {
        let unused = self.kept.iter().filter(|(key, kept)| {
            kept.since < since && !(key.1.frames > 0 && is_needed(key.0, key.1))
        });
        let keys = unused.map(|(key, _)| *key).collect();
        self.remove_all(keys)
    }

    /// Hands out the longest unused until the others hold no more than that many bytes, but those
    /// that `is_needed` in the middle of a transaction.
    pub(super) fn shrink(
        &mut self,
        most_bytes: usize,
        is_needed: impl Fn(u64, Position) -> bool,
    ) -> Vec<Box<Reader>> {
        let mut too_many = self.bytes.saturating_sub(most_bytes);
        if too_many == 0 {
            return Vec::new();
        }
        let mut unused: Vec<_> = self.kept.iter().collect();
        unused.sort_by_key(|(key, _)| key.2);
        let mut keys = Vec::new();
        for (key, kept) in unused {
            if too_many > 0 && !(key.1.frames > 0 && is_needed(key.0, key.1)) {
                too_many = too_many.saturating_sub(kept.weight);
                keys.push(*key);
            }
        }
        self.remove_all(keys)
    }

    fn of(&self, channel: u64) -> impl Iterator<Item = ReaderKey> {
        let first = (channel, Position::after(crate::lsn::Lsn::ZERO), 0);
        let from = self.kept.range(first..).map(|(key, _)| *key);
        from.take_while(move |key| key.0 == channel)
    }

    fn remove_all(&mut self, keys: Vec<ReaderKey>) -> Vec<Box<Reader>> {
        let removed = keys.into_iter().filter_map(|key| self.remove(key));
        removed.collect()
    }

    fn remove(&mut self, key: ReaderKey) -> Option<Box<Reader>> {
        let kept = self.kept.remove(&key)?;
        self.bytes = self.bytes.saturating_sub(kept.weight);
        Some(kept.reader)
    }
}
