//! The engine against a model of it: spool, slots and retention together, on a disk that crashes.
//!
//! Promises P1, P2, P3, P4 and P6 over both stores: after any crash the database opens, every slot
//! stands between what was written and what was acknowledged for it, the manifest vouches for its
//! position, and its subscription reads every acknowledged record above it, in order.
//!
//! `PGSPOOL_SEED=n` replays one seed, `PGSPOOL_SEEDS=n` sets how many are run. The spool writes on
//! a thread of its own; the model waits for every answer, so a seed repeats the same operations.
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
use pgspool::disk::{Disk, FakeDisk};
use pgspool::engine::{
    CreateSlotError, Engine, EngineOptions, OpenError, RetentionOutcome, SlotRequest, SlotStart,
    SubscribeError, Subscriber,
};
use pgspool::lsn::Lsn;
use pgspool::slots::{SlotName, SlotSnapshot, SlotStore};
use pgspool::spool::{self, Cursor, MANIFEST_FILE, MemoryRead, ReadError, read_manifest};
use pgspool::wire::Progress;

mod engine_support;

use engine_support::{insert, options};

const DIR: &str = "data/db";
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const PID: u32 = 9;

#[test]
fn slots_and_spool_agree_after_every_crash() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let only: Option<u64> = number("PGSPOOL_SEED");
    let seeds = number("PGSPOOL_SEEDS").unwrap_or(500).max(1);
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "repeat with PGSPOOL_SEED={seed}");
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    for _ in 0..5 {
        world.open();
        if world.dice.chance(75) {
            let steps = 1 + world.dice.below(90);
            world.say(format!("crash after {steps} steps"));
            world.disk.crash_after(steps);
        }
        let work = 10 + world.dice.below(50);
        for _ in 0..work {
            if world.step().is_err() {
                assert!(world.disk.has_crashed(), "only a crash may fail anything");
                break;
            }
        }
        world.crash();
    }
    world.open();
    world.story.lines.clear();
}

/// Says what happened when the test fails.
struct Story {
    lines: Vec<String>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("  {}", self.lines.join("\n  "));
        }
    }
}

/// One transaction: its records, and its end and commit time.
#[derive(Debug, Clone, PartialEq)]
struct Txn {
    lsn: Lsn,
    unix_ms: u64,
    ids: Vec<u64>,
}

/// One slot as the model knows it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// On disk, at least.
    persisted: Lsn,
    /// Acknowledged, or its start.
    acknowledged: Lsn,
    temporary: bool,
    /// A create or drop that was not answered: it may be there or not.
    unsure: bool,
}

/// The disk has crashed: nothing can be done any more.
struct Crashed;

struct World {
    disk: FakeDisk,
    engine: Option<Engine>,
    dice: Dice,
    story: Story,
    /// Acknowledged or seen, in order; those that were pruned too.
    txns: Vec<Txn>,
    /// Published after those and not answered: some first ones of them may be there.
    maybe: Vec<Txn>,
    slots: BTreeMap<&'static str, Slot>,
    next_id: u64,
    clock: u64,
}

fn small() -> EngineOptions {
    EngineOptions {
        segment_bytes: 1500,
        ring_frames: 6,
        ring_bytes: 2000,
        ..options()
    }
}

fn open(disk: &FakeDisk) -> Result<Engine, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Engine::open(disk, Path::new(DIR), "db", small(), Moment::at_ms(1))
}

fn name(name: &str) -> SlotName {
    SlotName::parse(name).unwrap()
}

fn request(slot: &str, start: SlotStart, temporary: bool) -> SlotRequest {
    SlotRequest {
        name: name(slot),
        plugin: "json".to_owned(),
        start,
        temporary: temporary.then_some(PID),
        two_phase: false,
        owner: None,
    }
}

/// Everything that a subscriber of the slot gets, up to the head.
fn read(engine: &Engine, slot: &str) -> Vec<Txn> {
    try_read(engine, slot).unwrap()
}

fn try_read(engine: &Engine, slot: &str) -> Result<Vec<Txn>, SubscribeError> {
    let who = Subscriber {
        user: PID.into(),
        application_name: String::new(),
        region: None,
    };
    let mut subscribed = engine.subscribe(&name(slot), Lsn::ZERO, &who, Moment::at_ms(1))?;
    Ok(transactions(&mut subscribed.cursor)?)
}

fn transactions(cursor: &mut Cursor) -> Result<Vec<Txn>, ReadError> {
    let mut frames = Vec::new();
    loop {
        match cursor.read_memory(1 << 20)? {
            MemoryRead::Frames(more) => frames.extend(more),
            MemoryRead::AtHead => break,
            MemoryRead::NeedsDisk => frames.extend(cursor.read_disk(1 << 20)?),
        }
    }
    let mut txns: Vec<Txn> = Vec::new();
    for frame in frames {
        let text = String::from_utf8_lossy(&frame.payload);
        let (_, rest) = text.split_once("\"rid\":").unwrap();
        let id = rest.split_once(',').unwrap().0.parse().unwrap();
        match txns.last_mut() {
            Some(txn) if txn.lsn == frame.lsn => txn.ids.push(id),
            _ => txns.push(Txn {
                lsn: frame.lsn,
                unix_ms: frame.timestamp_ms,
                ids: vec![id],
            }),
        }
    }
    Ok(txns)
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            disk: FakeDisk::default(),
            engine: None,
            dice: Dice(seed),
            story: Story { lines: Vec::new() },
            txns: Vec::new(),
            maybe: Vec::new(),
            slots: BTreeMap::new(),
            next_id: 1,
            clock: 1000,
        }
    }

    fn say(&mut self, line: String) {
        self.story.lines.push(line);
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn now(&mut self) -> Moment {
        self.clock += self.dice.below(3);
        Moment::at_ms(self.clock)
    }

    fn above(&self, position: Lsn) -> Vec<Txn> {
        let above = self.txns.iter().filter(|txn| txn.lsn > position);
        above.cloned().collect()
    }

    // ---- crashes -------------------------------------------------------------------------

    fn crash(&mut self) {
        let seed = self.dice.below(u64::MAX);
        self.say(format!("crash, seed {seed}"));
        let disk = self.disk.crash(seed);
        self.engine = None;
        self.disk = disk;
        self.check_files();
        // Recovery may be cut short as well.
        while self.dice.chance(30) {
            let (steps, seed) = (self.dice.below(12), self.dice.below(u64::MAX));
            self.say(format!("open, crash after {steps} steps, seed {seed}"));
            self.disk.crash_after(steps);
            let opened = open(&self.disk);
            assert!(opened.is_ok() || self.disk.has_crashed(), "{opened:?}");
            let disk = self.disk.crash(seed);
            drop(opened);
            self.disk = disk;
            self.check_files();
        }
    }

    /// What is on disk makes sense before anything recovers it.
    fn check_files(&self) {
        let path = Path::new(DIR);
        if !self.disk.exists(&path.join(MANIFEST_FILE)).unwrap() {
            return;
        }
        let manifest = read_manifest(&self.disk, path).unwrap();
        for slot in SlotStore::inspect(&self.disk, &path.join("slots.json")).unwrap() {
            assert!(
                slot.restart_lsn <= manifest.durable.lsn,
                "the manifest vouches for {} only: {slot:?}",
                manifest.durable.lsn
            );
            assert!(
                slot.restart_lsn >= manifest.removed_through,
                "removed through {}: {slot:?}",
                manifest.removed_through
            );
        }
    }

    fn open(&mut self) {
        self.engine = Some(open(&self.disk).unwrap());
        self.say(format!("open: head {}", self.engine().head()));
        self.check_transactions();
        self.slots.retain(|_, slot| !slot.temporary);
        self.check_slots();
    }

    /// Everything acknowledged is there, and of the rest only whole first transactions.
    fn check_transactions(&mut self) {
        let engine = self.engine();
        let removed = engine.snapshot().spool.removed_through;
        let found = transactions(&mut engine.read_from(removed).unwrap()).unwrap();
        let head = engine.head();
        let expected = self.above(removed);
        assert!(found.len() >= expected.len(), "{found:?} of {expected:?}");
        assert_eq!(found[..expected.len()], expected);
        let last = self.txns.last().map_or(Lsn::ZERO, |txn| txn.lsn);
        for (txn, maybe) in found[expected.len()..].iter().zip(&self.maybe) {
            assert_eq!((&txn.ids, txn.unix_ms), (&maybe.ids, maybe.unix_ms));
            assert!(txn.lsn > last);
        }
        assert!(found.len() - expected.len() <= self.maybe.len());
        self.txns.extend_from_slice(&found[expected.len()..]);
        self.maybe.clear();
        let last = self.txns.last().map_or(Lsn::ZERO, |txn| txn.lsn);
        assert_eq!(head, last, "the head never goes back");
    }

    /// Every slot is there, where it may be, and reads on from there.
    fn check_slots(&mut self) {
        let snapshot = self.engine().snapshot();
        let (head, removed) = (snapshot.spool.head, snapshot.spool.removed_through);
        let found: BTreeMap<&str, &SlotSnapshot> = snapshot
            .slots
            .iter()
            .map(|slot| (slot.name.as_str(), slot))
            .collect();
        assert!(found.keys().all(|name| self.slots.contains_key(name)));
        self.slots
            .retain(|name, slot| !slot.unsure || found.contains_key(name));
        for (name, slot) in &mut self.slots {
            let now = found.get(name).unwrap_or_else(|| panic!("{name} is lost"));
            assert_eq!(now.invalidation, None, "{now:?}");
            let at = now.restart_lsn;
            assert!(slot.persisted <= at, "{now:?} went back of {slot:?}");
            assert!(at <= slot.acknowledged, "{now:?} is ahead of {slot:?}");
            assert!(
                removed <= at && at <= head,
                "{removed} <= {now:?} <= {head}"
            );
            *slot = Slot {
                persisted: at,
                acknowledged: at,
                temporary: false,
                unsure: false,
            };
        }
        for (name, slot) in &self.slots {
            let expected = self.above(slot.acknowledged);
            assert_eq!(read(self.engine(), name), expected, "slot {name}");
        }
    }

    // ---- operations ----------------------------------------------------------------------

    fn step(&mut self) -> Result<(), Crashed> {
        match self.dice.below(100) {
            0..40 => self.publish(),
            40..50 => self.create(),
            50..75 => {
                self.acknowledge();
                Ok(())
            }
            75..81 => self.maintain(),
            81..86 => self.enforce_retention(),
            86..90 => self.prune_retained(),
            90..95 => self.drop_slot(),
            95..98 => self.subscribe(),
            _ => self.reopen_cleanly(),
        }
    }

    fn publish(&mut self) -> Result<(), Crashed> {
        let now = self.now();
        let mut batch = self.engine().batch(now);
        let mut txns = Vec::new();
        for _ in 0..=self.dice.below(3) {
            let count = 1 + self.dice.below(3) * self.dice.below(2);
            let ids: Vec<u64> = (self.next_id..self.next_id + count).collect();
            self.next_id += count;
            let records: Vec<_> = ids.iter().map(|id| insert("c", *id)).collect();
            batch.push_transaction(&records).unwrap();
            txns.push(Txn {
                lsn: Lsn::ZERO,
                unix_ms: now.unix_ms,
                ids,
            });
        }
        let num = txns.len();
        let published = self.engine().publish(batch);
        self.say(format!("publish {num}: {published:?}"));
        let Ok(published) = published else {
            self.maybe.extend(txns);
            return Err(Crashed);
        };
        let head = self.txns.last().map_or(Lsn::ZERO, |txn| txn.lsn);
        let cursor = self.engine().read_from(head);
        let Ok(seen) = cursor.and_then(|mut cursor| transactions(&mut cursor)) else {
            self.maybe.extend(txns);
            return Err(Crashed);
        };
        assert_eq!(seen.len(), num);
        for (txn, seen) in txns.iter_mut().zip(&seen) {
            txn.lsn = seen.lsn;
        }
        assert_eq!(seen, txns);
        assert_eq!(seen[num - 1].lsn, published.last_lsn);
        self.txns.extend(seen);
        Ok(())
    }

    /// A position somewhere between nothing and the head, most often a transaction's end.
    fn position(&mut self) -> Lsn {
        let head = self.engine().head();
        if self.txns.is_empty() || self.dice.chance(20) {
            return Lsn::new(self.dice.below(head.get() + 100));
        }
        let recent = self.txns.len().min(30) as u64;
        let back = self.dice.below(recent) as usize;
        self.txns[self.txns.len() - 1 - back].lsn
    }

    fn create(&mut self) -> Result<(), Crashed> {
        let slot = NAMES[self.dice.below(4) as usize];
        if self.slots.contains_key(slot) {
            return Ok(());
        }
        let start = match self.dice.below(5) {
            0 => SlotStart::Earliest,
            1 => SlotStart::At(self.position()),
            2 => SlotStart::Time(self.clock.saturating_sub(self.dice.below(30))),
            _ => SlotStart::Head,
        };
        let temporary = self.dice.chance(15);
        let now = self.now();
        let state = self.engine().snapshot().spool;
        let created = self
            .engine()
            .create_slot(request(slot, start, temporary), now);
        self.say(format!("create {slot} at {start:?}: {created:?}"));
        let made = match created {
            Ok(made) => made,
            Err(CreateSlotError::AheadOfHead(_)) => {
                assert!(matches!(start, SlotStart::At(at) if at > state.head));
                return Ok(());
            }
            Err(CreateSlotError::Start(ReadError::Removed { .. })) => {
                assert!(matches!(start, SlotStart::At(at) if at < state.removed_through));
                return Ok(());
            }
            Err(_) => {
                self.note_created(slot, (Lsn::ZERO, state.head), temporary, true);
                return Err(Crashed);
            }
        };
        let at = made.restart_lsn;
        match start {
            SlotStart::Head => assert_eq!(at, state.head),
            SlotStart::Earliest => assert_eq!(at, state.removed_through),
            SlotStart::At(asked) => assert_eq!(at, asked),
            SlotStart::Time(from) => {
                let mut retained = self.above(state.removed_through);
                retained.retain(|txn| txn.unix_ms >= from);
                assert_eq!(self.above(at), retained, "from {from} ms");
            }
        }
        self.note_created(slot, (at, at), temporary, false);
        Ok(())
    }

    fn note_created(&mut self, slot: &'static str, at: (Lsn, Lsn), temporary: bool, unsure: bool) {
        let (persisted, acknowledged) = at;
        let known = Slot {
            persisted,
            acknowledged,
            temporary,
            unsure,
        };
        self.slots.insert(slot, known);
    }

    /// A slot by chance.
    fn any_slot(&mut self) -> Option<&'static str> {
        let nth = self.dice.below(self.slots.len() as u64) as usize;
        self.slots.keys().nth(nth).copied()
    }

    fn acknowledge(&mut self) {
        let Some(slot) = self.any_slot() else {
            return;
        };
        let (flush, apply, now) = (self.position(), self.position(), self.now());
        let progress = Progress {
            write: apply,
            flush,
            apply,
        };
        let head = self.engine().head();
        let after = self.engine().acknowledge(&name(slot), progress, now);
        let known = self.slots.get_mut(slot).unwrap();
        known.acknowledged = known.acknowledged.max(flush.min(head));
        if known.temporary {
            // It has no other place than memory.
            known.persisted = known.acknowledged;
        }
        assert_eq!(after.unwrap().restart_lsn, known.acknowledged);
        self.say(format!("acknowledge {slot} {flush}, applied {apply}"));
    }

    /// All acknowledgements are on disk.
    fn note_persisted(&mut self) {
        for slot in self.slots.values_mut() {
            slot.persisted = slot.acknowledged;
        }
        for slot in self.engine().snapshot().slots {
            assert_eq!(slot.persisted_restart_lsn, slot.restart_lsn);
        }
    }

    fn check_retention(&self, outcome: &RetentionOutcome) {
        assert_eq!(outcome.invalidated, []);
        let floor = self.slots.values().map(|slot| slot.persisted).min();
        let removed = outcome.pruned.removed_through;
        assert!(
            floor.is_none_or(|floor| removed <= floor),
            "removed through {removed}, a slot is at {floor:?} on disk"
        );
    }

    fn maintain(&mut self) -> Result<(), Crashed> {
        let now = self.now();
        let done = self.engine().maintain(now);
        self.say(format!("maintain: {done:?}"));
        let outcome = done.map_err(|_| Crashed)?;
        self.note_persisted();
        self.check_retention(&outcome);
        Ok(())
    }

    fn enforce_retention(&mut self) -> Result<(), Crashed> {
        let now = self.now();
        let done = self.engine().enforce_retention(now);
        self.say(format!("enforce retention: {done:?}"));
        self.check_retention(&done.map_err(|_| Crashed)?);
        Ok(())
    }

    fn prune_retained(&mut self) -> Result<(), Crashed> {
        let (archived, now) = (self.position(), self.now());
        let done = self.engine().prune_retained(archived, now);
        self.say(format!("prune through {archived}: {done:?}"));
        let outcome = done.map_err(|_| Crashed)?;
        self.note_persisted();
        self.check_retention(&outcome);
        Ok(())
    }

    fn drop_slot(&mut self) -> Result<(), Crashed> {
        let Some(slot) = self.any_slot() else {
            return Ok(());
        };
        let temporary = self.slots[slot].temporary;
        let dropped = self
            .engine()
            .drop_slot(&name(slot), temporary.then_some(PID));
        self.say(format!("drop {slot}: {dropped:?}"));
        if dropped.is_err() {
            self.slots.get_mut(slot).unwrap().unsure = true;
            return Err(Crashed);
        }
        self.slots.remove(slot);
        Ok(())
    }

    fn subscribe(&mut self) -> Result<(), Crashed> {
        let Some(slot) = self.any_slot() else {
            return Ok(());
        };
        let at = self.slots[slot].acknowledged;
        self.say(format!("read {slot} from {at}"));
        let found = try_read(self.engine(), slot).map_err(|_| Crashed)?;
        assert_eq!(found, self.above(at), "slot {slot}");
        Ok(())
    }

    fn reopen_cleanly(&mut self) -> Result<(), Crashed> {
        let closed = self.engine().close();
        self.say(format!("close: {closed:?}"));
        closed.map_err(|_| Crashed)?;
        self.note_persisted();
        self.engine = None;
        self.slots.retain(|_, slot| !slot.temporary);
        let Ok(engine) = open(&self.disk) else {
            return Err(Crashed);
        };
        self.engine = Some(engine);
        Ok(())
    }
}

// ---- one rule each -----------------------------------------------------------------------

fn filled() -> (FakeDisk, Engine) {
    let disk = FakeDisk::default();
    let engine = open(&disk).unwrap();
    (disk, engine)
}

fn publish(engine: &Engine, ids: std::ops::Range<u64>) {
    for id in ids {
        let mut batch = engine.batch(Moment::at_ms(1));
        batch.push(&insert("c", id)).unwrap();
        engine.publish(batch).unwrap();
    }
}

fn confirm_head(engine: &Engine, slot: &str) {
    let head = engine.head();
    let progress = Progress {
        write: head,
        flush: head,
        apply: head,
    };
    let now = Moment::at_ms(2);
    engine.acknowledge(&name(slot), progress, now).unwrap();
}

#[test]
fn p4_retention_counts_on_written_positions_only() {
    let (disk, engine) = filled();
    let slot = request("a", SlotStart::Head, false);
    engine.create_slot(slot, Moment::at_ms(1)).unwrap();
    publish(&engine, 0..100);
    assert!(engine.snapshot().segments.len() > 3);
    confirm_head(&engine, "a");
    let outcome = engine.enforce_retention(Moment::at_ms(3)).unwrap();
    assert_eq!(
        outcome.pruned.num_segments, 0,
        "the disk knows of no acknowledgement"
    );
    let crashed = disk.crash(1);
    drop(engine);
    let engine = open(&crashed).unwrap();
    assert_eq!(read(&engine, "a").len(), 100);
    confirm_head(&engine, "a");
    let outcome = engine.maintain(Moment::at_ms(3)).unwrap();
    assert!(outcome.pruned.num_segments > 3, "now it does");
}

/// The spool file that is written to.
fn active_segment(disk: &FakeDisk) -> std::path::PathBuf {
    let manifest = read_manifest(disk, Path::new(DIR)).unwrap();
    spool::segment_folder(Path::new(DIR)).join(manifest.active.name)
}

fn assert_corrupt(opened: Result<Engine, OpenError>) {
    match opened {
        Err(OpenError::Spool {
            source: spool::OpenError::Corrupt { .. },
            ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn p5_an_active_segment_cut_behind_a_slot_is_corruption() {
    let (disk, engine) = filled();
    let slot = request("a", SlotStart::Head, false);
    engine.create_slot(slot, Moment::at_ms(1)).unwrap();
    let manifest = Path::new(DIR).join(MANIFEST_FILE);
    let older_manifest = disk.read(&manifest).unwrap();
    publish(&engine, 0..3);
    confirm_head(&engine, "a");
    engine.persist_slots().unwrap();
    drop(engine);
    let segment = active_segment(&disk);
    let bytes = disk.read(&segment).unwrap();
    for end in (0..bytes.len()).step_by(7) {
        disk.put(&segment, &bytes[..end]);
        assert_corrupt(open(&disk));
    }
    // The slot alone says so when the manifest is an older one.
    disk.put(&manifest, &older_manifest);
    for end in (0..bytes.len()).step_by(7) {
        disk.put(&segment, &bytes[..end]);
        assert_corrupt(open(&disk));
    }
    disk.put(&segment, &bytes);
    let engine = open(&disk).unwrap();
    assert_eq!(read(&engine, "a"), [], "whole again");
}
