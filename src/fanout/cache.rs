//! Pieces that were made, as many as fit into a number of bytes.
//!
//! What was made first goes first, used or not: streams read in order, so that what one behind the
//! others has just used is of no more use, and what it wants next is older. The newest piece stays
//! whatever its size, so that those who come for it in the next moment find it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::piece::{Piece, Position};

/// What a piece takes.
const ONE_MORE: usize = 128 << 10;

/// Which channel's piece, and where it begins.
pub(super) type PieceKey = (u64, Position);

/// Pieces that were made.
#[derive(Debug)]
pub(super) struct Cache {
    most_bytes: usize,
    bytes: usize,
    /// Bytes that something else takes of the bound.
    beside: usize,
    kept: BTreeMap<PieceKey, Kept>,
    /// In the order in which they were made.
    order: BTreeMap<u64, PieceKey>,
    num_made: u64,
}

#[derive(Debug)]
struct Kept {
    piece: Arc<Piece>,
    /// Its place in the order.
    made: u64,
    /// Steady time of the last use.
    used_at: Duration,
}

impl Cache {
    /// An empty one that keeps at most about so many bytes.
    pub(super) const fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            bytes: 0,
            beside: 0,
            kept: BTreeMap::new(),
            order: BTreeMap::new(),
            num_made: 0,
        }
    }

    /// Bytes that are kept.
    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Something else takes so many bytes of the bound. Half of it stays for pieces.
    pub(super) const fn set_beside(&mut self, bytes: usize) {
        self.beside = bytes;
    }

    /// How many bytes pieces may take.
    fn room(&self) -> usize {
        self.most_bytes - self.beside.min(self.most_bytes / 2)
    }

    /// The channel's piece in which a stream that stands at `at` goes on.
    pub(super) fn find(&mut self, channel: u64, at: Position, now: Duration) -> Option<Arc<Piece>> {
        let upto = (channel, at);
        let (key, kept) = self.kept.range_mut(..=upto).next_back()?;
        if key.0 != channel || kept.piece.join(at).is_none() {
            return None;
        }
        kept.used_at = now;
        Some(Arc::clone(&kept.piece))
    }

    /// Where the channel's first piece behind `at` begins.
    pub(super) fn next_begin(&self, channel: u64, at: Position) -> Option<Position> {
        let behind = (
            std::ops::Bound::Excluded((channel, at)),
            std::ops::Bound::Unbounded,
        );
        let (key, _) = self.kept.range(behind).next()?;
        (key.0 == channel).then_some(key.1)
    }

    /// Whether the channel has a piece for a stream that stands at `at`.
    pub(super) fn holds(&self, channel: u64, at: Position) -> bool {
        let found = self.kept.range(..=(channel, at)).next_back();
        found.is_some_and(|(key, kept)| key.0 == channel && kept.piece.join(at).is_some())
    }

    /// The piece that has to go when one more comes; `None` while there is room.
    pub(super) fn next_to_go(&self) -> Option<(u64, &Piece)> {
        if self.bytes + ONE_MORE < self.room() {
            return None;
        }
        let key = self.order.values().next()?;
        Some((key.0, &*self.kept.get(key)?.piece))
    }

    /// Keeps a piece and hands out what has to go for it.
    pub(super) fn insert(
        &mut self,
        channel: u64,
        piece: &Arc<Piece>,
        now: Duration,
    ) -> Vec<Arc<Piece>> {
        let key = (channel, piece.begin());
        let mut gone: Vec<_> = self.remove(key).into_iter().collect();
        self.num_made += 1;
        self.bytes += piece.weight();
        self.order.insert(self.num_made, key);
        let kept = Kept {
            piece: Arc::clone(piece),
            made: self.num_made,
            used_at: now,
        };
        self.kept.insert(key, kept);
        while self.bytes > self.room()
            && self.kept.len() > 1
            && let Some(oldest) = self.order.values().next()
        {
            gone.extend(self.remove(*oldest));
        }
        gone
    }

    /// Hands out the channel's pieces.
    pub(super) fn remove_channel(&mut self, channel: u64) -> Vec<Arc<Piece>> {
        let first = (channel, Position::after(crate::lsn::Lsn::ZERO));
        let of_channel = self.kept.range(first..);
        let keys: Vec<_> = of_channel
            .map(|(key, _)| *key)
            .take_while(|key| key.0 == channel)
            .collect();
        keys.into_iter()
            .filter_map(|key| self.remove(key))
            .collect()
    }

    /// Hands out what was not used since.
    pub(super) fn remove_unused(&mut self, since: Duration) -> Vec<Arc<Piece>> {
        let unused = self.kept.iter().filter(|(_, kept)| kept.used_at < since);
        let keys: Vec<_> = unused.map(|(key, _)| *key).collect();
        keys.into_iter()
            .filter_map(|key| self.remove(key))
            .collect()
    }

    fn remove(&mut self, key: PieceKey) -> Option<Arc<Piece>> {
        let kept = self.kept.remove(&key)?;
        self.order.remove(&kept.made);
        self.bytes = self.bytes.saturating_sub(kept.piece.weight());
        Some(kept.piece)
    }
}
