//! The slot store against a model, on a disk that crashes and fails at random.
//!
//! Every seed runs on its own; `PGSPOOL_SEED=n` repeats one, `PGSPOOL_SEEDS=n` sets how many are
//! run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

mod dice;

use dice::Dice;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use pgspool::clock::Moment;
use pgspool::disk::{Disk, FakeDisk, FakeError, FakeOp};
use pgspool::lsn::Lsn;
use pgspool::slots::{InvalidationCause, NewSlot, SlotLimits, SlotName, SlotStore};

const SEEDS: u64 = 500;
const PATH: &str = "d/slots.json";

/// Restart, confirmed, invalid.
type Known = BTreeMap<String, (u64, u64, bool)>;

#[test]
fn durable_slot_changes_survive_every_crash_and_failed_ones_are_whole_or_absent() {
    let only: Option<u64> = dice::number("PGSPOOL_SEED");
    let seeds = dice::number("PGSPOOL_SEEDS").unwrap_or(SEEDS).max(1);
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "repeat with PGSPOOL_SEED={seed}");
    }
}

fn run(seed: u64) {
    let mut random = Dice(seed);
    let mut disk = FakeDisk::default();
    disk.create_dir_all(Path::new("d")).unwrap();
    let mut durable = Known::new();
    let mut generation = 0;
    for life in 0..4 {
        let store = SlotStore::open(Arc::new(disk.clone()), Path::new(PATH), at(0)).unwrap();
        assert!(store.generation() > generation);
        generation = store.generation();
        assert_eq!(known(&store), durable);
        if random.below(2) == 0 {
            let ops = [FakeOp::Write, FakeOp::Sync, FakeOp::Rename, FakeOp::SyncDir];
            let op = ops[random.below(4) as usize];
            disk.fail(op, 1 + random.below(12), FakeError::Io);
        } else {
            disk.crash_after(1 + random.below(80));
        }
        let maybe = live(&store, &disk, &mut random, &mut durable);
        disk = disk.crash(seed * 10 + life);
        let found = SlotStore::inspect(&disk, Path::new(PATH)).unwrap();
        let found = from(found);
        let allowed = found == durable || maybe.as_ref() == Some(&found);
        assert!(allowed, "{found:?} is neither {durable:?} nor {maybe:?}");
        durable = found;
    }
}

/// Runs until the store fails, or long enough. Returns what the failed write may have left.
fn live(
    store: &SlotStore,
    disk: &FakeDisk,
    random: &mut Dice,
    durable: &mut Known,
) -> Option<Known> {
    let limits = SlotLimits {
        max_lag_lsn: 0,
        ..SlotLimits::default()
    };
    for _ in 0..60 {
        let text = format!("s{}", random.below(4));
        let name = SlotName::parse(&text).unwrap();
        let mut wanted = durable.clone();
        let before = known(store);
        let (done, changes_memory) = match random.below(10) {
            0 | 1 => {
                let start = random.below(100);
                wanted.entry(text).or_insert((start, start, false));
                let new = NewSlot {
                    name,
                    plugin: "json".to_owned(),
                    start: Lsn::new(start),
                    temporary: None,
                    two_phase: false,
                    owner: None,
                };
                let exists = before.contains_key(new.name.as_str());
                (exists || store.create(new, &limits, at(1)).is_ok(), true)
            }
            2 => {
                let existed = wanted.remove(&text).is_some();
                (!existed || store.drop_slot(&name, None).is_ok(), true)
            }
            3 => {
                if let Some(slot) = wanted.get_mut(&text) {
                    slot.2 = true;
                }
                let cause = InvalidationCause::WalRemoved;
                (store.invalidate(&name, cause, at(1)).is_ok(), true)
            }
            4 | 5 => {
                wanted = before.clone();
                (store.persist().is_ok(), false)
            }
            _ => {
                let applied = Lsn::new(random.below(1000));
                let to = Lsn::new(random.below(1000));
                let _unknown = store.advance(&name, applied, to, at(1));
                (true, false)
            }
        };
        if !done {
            if changes_memory {
                assert_eq!(known(store), before, "a failed change is not visible");
            }
            if store.failure().is_none() && !disk.has_crashed() {
                continue; // The old file stands, and the next change is written.
            }
            let stays = store.failure().is_none() || store.persist().is_err();
            assert!(stays, "a failure stays");
            return Some(wanted);
        }
        *durable = wanted;
        for (name, slot) in durable.iter() {
            let now = store.slot(&SlotName::parse(name).unwrap()).unwrap();
            assert_eq!(now.persisted_restart_lsn.get(), slot.0);
            assert!(now.restart_lsn.get() >= slot.0);
        }
    }
    None
}

fn known(store: &SlotStore) -> Known {
    from(store.snapshot())
}

fn from(slots: Vec<pgspool::slots::SlotSnapshot>) -> Known {
    let entry = |slot: pgspool::slots::SlotSnapshot| {
        (
            slot.name.as_str().to_owned(),
            (
                slot.restart_lsn.get(),
                slot.confirmed_lsn.get(),
                slot.invalidation.is_some(),
            ),
        )
    };
    slots.into_iter().map(entry).collect()
}

fn at(ms: u64) -> Moment {
    Moment::at_ms(ms)
}
