//! What the engine's tests share: a data directory, records, slots.
#![allow(dead_code, unreachable_pub)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pgspool::change::{self, ChangeRecord, Operation};
use pgspool::clock::Moment;
use pgspool::disk::RealDisk;
use pgspool::engine::{
    Engine, EngineOptions, Published, SlotRequest, SlotStart, SubscribeError, Subscriber,
    Subscription,
};
use pgspool::lsn::Lsn;
use pgspool::slots::{SlotName, SlotSnapshot};
use pgspool::spool::{Cursor, Frame, MemoryRead};
use pgspool::wire::Progress;

/// Row LSN `n` of RedDB's dense numbering.
pub fn at(n: u64) -> Lsn {
    Lsn::new(64 * n)
}

/// Nothing is kept for its own sake, nothing is invalidated.
pub fn options() -> EngineOptions {
    let mut options = EngineOptions {
        wal_keep_size: 0,
        ..EngineOptions::default()
    };
    options.limits.max_lag_lsn = 0;
    options.limits.idle_timeout = Duration::ZERO;
    options
}

pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("db")
    }

    pub fn open(&self, options: EngineOptions) -> Engine {
        self.open_at(options, Moment::at_ms(0))
    }

    pub fn open_at(&self, options: EngineOptions, now: Moment) -> Engine {
        Engine::open(Arc::new(RealDisk), &self.path(), "db", options, now).unwrap()
    }

    pub fn name(&self, name: &str) -> SlotName {
        SlotName::parse(name).unwrap()
    }

    pub fn subscribe(
        &self,
        engine: &Engine,
        slot: &str,
        from: Lsn,
    ) -> Result<Subscription, SubscribeError> {
        let who = Subscriber {
            user: 1.into(),
            application_name: "test".to_owned(),
            region: None,
        };
        engine.subscribe(&self.name(slot), from, &who, Moment::at_ms(1))
    }

    pub fn publish(&self, engine: &Engine, records: &[ChangeRecord]) -> Published {
        let mut batch = engine.batch(Moment::at_ms(1));
        for record in records {
            batch.push(record).unwrap();
        }
        engine.publish(batch).unwrap()
    }

    /// The records after `since`, decoded.
    pub fn records(&self, engine: &Engine, since: Lsn) -> Vec<ChangeRecord> {
        let mut cursor = engine.read_from(since).unwrap();
        let frames = drain(&mut cursor);
        frames
            .iter()
            .map(|frame| change::decode(&frame.payload).unwrap())
            .collect()
    }
}

pub fn slot_at(engine: &Engine, name: &str, start: SlotStart) -> SlotSnapshot {
    let name = SlotName::parse(name).unwrap();
    let plugin = "json".to_owned();
    let request = SlotRequest {
        name,
        plugin,
        start,
        temporary: None,
        two_phase: false,
        owner: None,
    };
    engine.create_slot(request, Moment::at_ms(0)).unwrap()
}

/// Row LSNs `applied` and `durable`.
pub fn ack(engine: &Engine, name: &str, applied: u64, durable: u64) {
    let name = SlotName::parse(name).unwrap();
    let progress = Progress {
        write: at(applied),
        flush: at(durable),
        apply: at(applied),
    };
    engine
        .acknowledge(&name, progress, Moment::at_ms(1))
        .unwrap();
}

/// Everything a cursor yields until the head.
pub fn drain(cursor: &mut Cursor) -> Vec<Frame> {
    let mut frames = Vec::new();
    loop {
        match cursor.read_memory(1 << 20).unwrap() {
            MemoryRead::Frames(more) => frames.extend(more),
            MemoryRead::AtHead => return frames,
            MemoryRead::NeedsDisk => frames.extend(cursor.read_disk(1 << 20).unwrap()),
        }
    }
}

/// Everything retained.
pub fn read_all(engine: &Engine) -> Vec<Frame> {
    let oldest = engine.snapshot().spool.removed_through;
    drain(&mut engine.read_from(oldest).unwrap())
}

pub fn lsns(frames: &[Frame]) -> Vec<Lsn> {
    frames.iter().map(|frame| frame.lsn).collect()
}

pub fn insert(collection: &str, id: u64) -> ChangeRecord {
    record(Operation::Insert, collection, id)
}

pub fn update(collection: &str, id: u64) -> ChangeRecord {
    record(Operation::Update, collection, id)
}

pub fn delete(collection: &str, id: u64) -> ChangeRecord {
    ChangeRecord {
        entity_bytes: None,
        ..record(Operation::Delete, collection, id)
    }
}

fn record(operation: Operation, collection: &str, id: u64) -> ChangeRecord {
    ChangeRecord {
        timestamp: 1_700_000_000_000,
        operation,
        entity_bytes: Some(format!("{{\"id\":{id}}}").into_bytes()),
        ..ChangeRecord::insert(collection, id)
    }
}
