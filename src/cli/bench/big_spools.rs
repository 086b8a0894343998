//! A 4 GiB spool against a 64 MiB one: opening, resuming from the middle, pruning.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::report::{Row, Target, median};
use super::{BenchError, Home, sample_record};
use crate::clock::Moment;
use crate::disk::RealDisk;
use crate::engine::{Engine, EngineOptions};
use crate::lsn::Lsn;
use crate::spool::MemoryRead;

const SMALL: u64 = 64 << 20;
const BIG: u64 = 4 << 30;
const ROUNDS: usize = 7;

/// The three rows.
pub(super) fn run(scratch: &Path) -> Result<Vec<Row>, BenchError> {
    let (small, big) = (Home::new(scratch)?, Home::new(scratch)?);
    fill(&small, SMALL)?;
    fill(&big, BIG)?;
    let (mut opens, mut resumes) = ((vec![], vec![]), (vec![], vec![]));
    for _ in 0..ROUNDS {
        for (home, opens, resumes) in [
            (&small, &mut opens.0, &mut resumes.0),
            (&big, &mut opens.1, &mut resumes.1),
        ] {
            let (open, resume) = open_and_resume(home)?;
            opens.push(open.as_secs_f64() * 1e3);
            resumes.push(resume.as_secs_f64() * 1e3);
        }
    }
    let prune = prune_half(&big)?;
    Ok(vec![
        compare("time to the first record from the middle", resumes),
        compare("opening", opens),
        Row {
            what: "pruning half of a 4 GiB spool".to_owned(),
            ours: format!("{:.1} ms", prune.as_secs_f64() * 1e3),
            reference: "50 ms".to_owned(),
            figure: prune.as_secs_f64() / 0.050,
            target: Target::AtMost(1.0),
        },
    ])
}

fn compare(what: &str, (small, big): (Vec<f64>, Vec<f64>)) -> Row {
    let (small, big) = (median(small), median(big));
    Row {
        what: format!("{what}, 4 GiB against 64 MiB"),
        ours: format!("{big:.2} ms"),
        reference: format!("{small:.2} ms"),
        figure: big / small,
        target: Target::AtMost(2.0),
    }
}

/// Fills sealed segments of 64 MiB up to `bytes`, then half of an active one.
fn fill(home: &Home, bytes: u64) -> Result<(), BenchError> {
    let engine = open(home)?;
    let record = sample_record(3);
    loop {
        let mut batch = engine.batch(Moment::now());
        for _ in 0..10_000 {
            batch.push(&record)?;
        }
        engine.publish(batch)?;
        let segments = engine.snapshot().segments;
        let sealed: u64 = segments.iter().filter(|s| s.sealed).map(|s| s.bytes).sum();
        let active = segments.last().map_or(0, |s| s.bytes);
        if sealed >= bytes && active >= SMALL / 2 {
            engine.close()?;
            return Ok(());
        }
    }
}

fn open(home: &Home) -> Result<Engine, BenchError> {
    let options = EngineOptions::default();
    Ok(Engine::open(
        Arc::new(RealDisk),
        home.path(),
        "bench",
        options,
        Moment::now(),
    )?)
}

/// The files are in the page cache both times: this measures work, not the disk's seek.
fn open_and_resume(home: &Home) -> Result<(Duration, Duration), BenchError> {
    let started = Instant::now();
    let engine = open(home)?;
    let opened = started.elapsed();
    let state = engine.snapshot().spool;
    let span = state.head.distance_from(state.removed_through);
    let middle = Lsn::new(state.removed_through.get() + span / 2);
    let started = Instant::now();
    let mut cursor = engine.read_from(middle)?;
    match cursor.read_memory(1)? {
        MemoryRead::Frames(frames) => drop(frames),
        MemoryRead::AtHead | MemoryRead::NeedsDisk => drop(cursor.read_disk(1)?),
    }
    let resumed = started.elapsed();
    engine.close()?;
    Ok((opened, resumed))
}

fn prune_half(home: &Home) -> Result<Duration, BenchError> {
    let engine = open(home)?;
    let segments = engine.snapshot().segments;
    let upto = segments
        .get(segments.len() / 2)
        .map_or(Lsn::ZERO, |segment| segment.last_lsn);
    let started = Instant::now();
    engine.prune_retained(upto, Moment::now())?;
    let took = started.elapsed();
    engine.close()?;
    Ok(took)
}
