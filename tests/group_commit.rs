//! W-21: writers that wait together share a sync.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::thread;

use pgspool::change::{ChangeRecord, decode};
use pgspool::clock::Moment;
use pgspool::disk::RealDisk;
use pgspool::engine::{Engine, EngineOptions};

const WRITERS: u64 = 64;
const EACH: u64 = 25;

fn record(id: u64) -> ChangeRecord {
    let text = format!(r#"{{"operation":"insert","collection":"c","kind":"row","rid":{id}}}"#);
    decode(text.as_bytes()).unwrap()
}

#[test]
fn w21_writers_that_wait_together_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk);
    let options = EngineOptions::default();
    let engine = Engine::open(disk, dir.path(), "w21", options, Moment::now()).unwrap();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let engine = &engine;
            scope.spawn(move || {
                for number in 0..EACH {
                    let mut batch = engine.batch(Moment::now());
                    batch.push(&record(writer * EACH + number)).unwrap();
                    engine.publish(batch).unwrap();
                }
            });
        }
    });
    let state = engine.snapshot().spool;
    println!(
        "{} records in {} syncs",
        state.num_appended, state.num_syncs
    );
    assert_eq!(state.num_appended, WRITERS * EACH);
    assert!(
        state.num_syncs * 4 < state.num_appended,
        "{} syncs",
        state.num_syncs
    );
}
