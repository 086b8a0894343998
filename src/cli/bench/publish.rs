//! Publishing through the library, against one write and one sync on a bare file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::report::{Row, Target, human, median, rate, real};
use super::{BenchError, sample_record, scratch_engine};
use crate::clock::Moment;
use crate::engine::Engine;

const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;

/// 64 publishers with one record in flight each, and one alone.
pub(super) fn run(scratch: &Path) -> Result<Vec<Row>, BenchError> {
    let many = against_bare_file(scratch, 64)?;
    let one = against_bare_file(scratch, 1)?;
    Ok(vec![many.row(64, 0.6), one.row(1, 0.8)])
}

struct Measured {
    ours: f64,
    ideal: f64,
    ratio: f64,
    records_per_sync: f64,
}

impl Measured {
    fn row(&self, threads: usize, target: f64) -> Row {
        Row {
            what: format!(
                "publish, {threads} threads, 200-byte records ({:.1} records per sync)",
                self.records_per_sync
            ),
            ours: format!("{}rec/s", human(self.ours)),
            reference: format!(
                "{}rec/s: {threads} / t{threads} on a bare file",
                human(self.ideal)
            ),
            figure: self.ratio,
            target: Target::AtLeast(target),
        }
    }
}

/// Rounds of both in turn, so that a change of the disk's mood meets both.
fn against_bare_file(scratch: &Path, threads: usize) -> Result<Measured, BenchError> {
    let (_home, engine) = scratch_engine(scratch)?;
    let frame_bytes = frame_bytes(&engine)?;
    let bare = File::create(scratch.join("bare"))?;
    let (mut ours, mut ideals, mut ratios, mut per_sync) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let ideal = bare_file(&bare, threads, frame_bytes)?;
        let before = engine.snapshot().spool;
        let figure = publish(&engine, threads)?;
        let after = engine.snapshot().spool;
        let syncs = (after.num_syncs - before.num_syncs).max(1);
        per_sync.push(real(after.num_appended - before.num_appended) / real(syncs));
        ours.push(figure);
        ideals.push(ideal);
        ratios.push(figure / ideal);
    }
    Ok(Measured {
        ours: median(ours),
        ideal: median(ideals),
        ratio: median(ratios),
        records_per_sync: median(per_sync),
    })
}

/// Bytes that one of our records takes in the spool.
fn frame_bytes(engine: &Engine) -> Result<usize, BenchError> {
    let mut batch = engine.batch(Moment::now());
    batch.push(&sample_record(1))?;
    let payload = batch.num_bytes() + 8;
    engine.publish(batch)?;
    Ok(payload + crate::spool::frame::OVERHEAD)
}

/// Records a second that `frames` frames with one write and one sync allow.
fn bare_file(file: &File, frames: usize, frame_bytes: usize) -> Result<f64, BenchError> {
    let block = vec![b'x'; frames * frame_bytes];
    let step = u64::try_from(block.len()).unwrap_or(u64::MAX);
    let (mut offset, mut groups) = (file.metadata()?.len(), 0_u64);
    let started = Instant::now();
    while started.elapsed() < ROUND {
        file.write_all_at(&block, offset)?;
        file.sync_data()?;
        offset += step;
        groups += 1;
    }
    let frames = u64::try_from(frames).unwrap_or(u64::MAX);
    Ok(rate(groups * frames, started.elapsed()))
}

/// Records a second from `threads` publishers that each wait for their record.
fn publish(engine: &Engine, threads: usize) -> Result<f64, BenchError> {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    let results: Vec<Result<(), BenchError>> = thread::scope(|scope| {
        let publisher = || {
            let record = sample_record(7);
            while !stop.load(Ordering::Relaxed) {
                let mut batch = engine.batch(Moment::now());
                batch.push(&record)?;
                engine.publish(batch)?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(publisher)).collect();
        thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        handles.into_iter().map(super::joined).collect()
    });
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(rate(done.load(Ordering::Relaxed), started.elapsed()))
}
