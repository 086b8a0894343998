//! What was promised and what was delivered, over all connections and crashes.

use std::collections::HashMap;
/// Records sent together.
pub struct Batch {
    pub ids: Vec<u64>,
    /// In a transaction block: all of them or none.
    pub block: bool,
    pub acknowledged: bool,
}

/// What one connection of a subscriber saw and said.
#[derive(Default)]
pub struct Run {
    /// Position of the message (that of the last one is the transaction's end), record.
    pub seen: Vec<(u64, u64)>,
    /// Ends of transactions: how many records were seen then, and the position.
    pub ends: Vec<(usize, u64)>,
    /// Positions that it confirmed.
    pub confirmed: Vec<u64>,
}

impl Run {
    pub fn highest_confirmed(&self) -> u64 {
        self.confirmed.last().copied().unwrap_or(0)
    }
}

/// What one slot delivered over all its connections, put together.
#[derive(Default)]
pub struct History {
    pub seen: Vec<(u64, u64)>,
    /// Where the slot was made.
    pub start: u64,
    /// The highest position that the client ever confirmed; the slot's start before that.
    confirmed: u64,
    /// The slot's position on disk when the server was last down.
    pub persisted: u64,
}

impl History {
    /// A slot that was made at `start`.
    pub fn new(start: u64) -> Self {
        Self {
            seen: Vec::new(),
            start,
            confirmed: start,
            persisted: start,
        }
    }

    /// Adds a connection's run. It begins with the first record above the position on disk: what
    /// was seen before of that comes again as it was, then it goes on.
    pub fn take(&mut self, run: &Run) {
        for pair in run.seen.windows(2) {
            assert!(pair[0].0 < pair[1].0, "out of order: {pair:?}");
        }
        let known = self.seen.partition_point(|(lsn, _)| *lsn <= self.persisted);
        let repeated = (self.seen.len() - known).min(run.seen.len());
        let (again, new) = run.seen.split_at(repeated);
        assert_eq!(
            again,
            &self.seen[known..known + repeated],
            "not what follows {} on disk",
            self.persisted
        );
        self.seen.extend_from_slice(new);
        self.confirmed = self.confirmed.max(run.highest_confirmed());
    }

    /// The newest record that was ever delivered.
    pub fn newest(&self) -> u64 {
        self.seen.last().map_or(self.start, |&(lsn, _)| lsn)
    }

    /// Compares the slot's position on disk after a crash with what the client ever confirmed.
    pub fn crashed(&mut self, slot: &str, on_disk: u64) {
        assert!(
            on_disk <= self.confirmed,
            "slot {slot}: {on_disk} on disk, only {} confirmed",
            self.confirmed
        );
        assert!(
            on_disk >= self.persisted,
            "slot {slot} went back from {} to {on_disk}",
            self.persisted
        );
        self.persisted = on_disk;
    }
}

/// Everything that was promised and everything that was delivered.
#[derive(Default)]
pub struct Ledger {
    pub batches: Vec<Batch>,
    pub prompt: History,
    pub lagging: History,
}

impl Ledger {
    pub fn acknowledged(&self) -> usize {
        let batches = self.batches.iter().filter(|batch| batch.acknowledged);
        batches.map(|batch| batch.ids.len()).sum()
    }

    /// Acknowledged records, and those that each slot delivered: what must grow.
    pub fn progress(&self) -> [usize; 3] {
        let delivered = [&self.prompt, &self.lagging].map(|history| history.seen.len());
        [self.acknowledged(), delivered[0], delivered[1]]
    }

    /// Both subscribers saw the same, as far as both came.
    pub fn check_same(&self) {
        let both = self.prompt.seen.len().min(self.lagging.seen.len());
        let (prompt, lagging) = (&self.prompt.seen[..both], &self.lagging.seen[..both]);
        for (at, (prompt, lagging)) in prompt.iter().zip(lagging).enumerate() {
            assert_eq!(prompt, lagging, "record {at}");
        }
    }

    /// Both have everything that was acknowledged, once, in the order of its producer.
    pub fn check_complete(&self) {
        self.check_same();
        assert_eq!(
            self.prompt.seen.len(),
            self.lagging.seen.len(),
            "one subscriber misses the end"
        );
        let mut place = HashMap::new();
        for (at, (_, id)) in self.prompt.seen.iter().enumerate() {
            assert!(
                place.insert(*id, at).is_none(),
                "record {id:x} was stored twice"
            );
        }
        let mut previous = HashMap::new();
        for batch in self.batches.iter().filter(|batch| batch.block) {
            let first = place.get(&batch.ids[0]).copied();
            let whole = (0..).zip(&batch.ids);
            let found = whole.map(|(n, id)| place.get(id) == first.map(|at| at + n).as_ref());
            let none = batch.ids.iter().all(|id| !place.contains_key(id));
            assert!(
                none || found.into_iter().all(|found| found),
                "a part of block {:x}, or something in between",
                batch.ids[0]
            );
        }
        for batch in &self.batches {
            for id in &batch.ids {
                let Some(at) = place.remove(id) else {
                    assert!(!batch.acknowledged, "acknowledged record {id:x} is missing");
                    continue;
                };
                let last = previous.insert(id >> 48, at);
                assert!(
                    last < Some(at),
                    "record {id:x} stands before its predecessor"
                );
            }
        }
        assert!(place.is_empty(), "records that nobody sent: {place:?}");
    }
}
