//! Acknowledgements: a thousand slots, a hundred times a second each.

use std::path::Path;
use std::time::{Duration, Instant};

use super::report::{Row, Target, human, rate, real};
use super::{BenchError, sample_record, scratch_engine};
use crate::clock::Moment;
use crate::engine::{SlotRequest, SlotStart};
use crate::slots::SlotName;
use crate::wire::Progress;

const SLOTS: u64 = 1_000;
const PER_SECOND: u64 = 100;
const SECONDS: u64 = 5;

/// CPU seconds a second, and what it wrote to disk.
pub(super) fn run(scratch: &Path) -> Result<Vec<Row>, BenchError> {
    let (_home, engine) = scratch_engine(scratch)?;
    let mut names = Vec::new();
    for number in 0..SLOTS {
        let name = SlotName::parse(&format!("slot_{number}"))?;
        let request = SlotRequest {
            name: name.clone(),
            plugin: "json".to_owned(),
            start: SlotStart::Earliest,
            temporary: None,
            two_phase: false,
            owner: None,
        };
        engine.create_slot(request, Moment::now())?;
        names.push(name);
    }
    let mut batch = engine.batch(Moment::now());
    for id in 0..SECONDS * PER_SECOND {
        batch.push(&sample_record(id))?;
    }
    let published = engine.publish(batch)?;
    let step = published.last_lsn.distance_from(published.first_lsn) / (SECONDS * PER_SECOND);
    let (started, cpu, written) = (Instant::now(), cpu_seconds()?, write_calls()?);
    let mut maintains = 0_u64;
    for tick in 0..SECONDS * PER_SECOND {
        let lsn = published.first_lsn.saturating_add(step * tick);
        let (now, progress) = (
            Moment::now(),
            Progress {
                write: lsn,
                flush: lsn,
                apply: lsn,
            },
        );
        for name in &names {
            engine.acknowledge(name, progress, now)?;
        }
        if tick % PER_SECOND == PER_SECOND - 1 {
            engine.maintain(now)?;
            maintains += 1;
        }
        let due = Duration::from_secs(1) * u32::try_from(tick + 1)? / u32::try_from(PER_SECOND)?;
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    let elapsed = started.elapsed();
    let cores = (cpu_seconds()? - cpu) / elapsed.as_secs_f64();
    let acks = SLOTS * PER_SECOND * SECONDS;
    let writes = write_calls()?.saturating_sub(written);
    Ok(vec![
        Row {
            what: format!(
                "{SLOTS} slots, {}acknowledgements/s",
                human(rate(acks, elapsed))
            ),
            ours: format!("{cores:.2} cores"),
            reference: "1 core".to_owned(),
            figure: cores,
            target: Target::AtMost(1.0),
        },
        Row {
            what: "disk writes an acknowledgement".to_owned(),
            ours: format!("{writes} writes"),
            reference: format!("{acks} acknowledgements, {maintains} s"),
            figure: real(writes) / real(acks),
            target: Target::AtMost(0.01),
        },
    ])
}

/// User and system time of this process.
fn cpu_seconds() -> Result<f64, BenchError> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    // The kernel's clock tick for /proc is 100 a second on every Linux that matters here.
    Ok(real(ticks) / 100.0)
}

/// Write system calls of this process.
fn write_calls() -> Result<u64, BenchError> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("syscw: "));
    Ok(line
        .and_then(|count| count.parse().ok())
        .unwrap_or_default())
}
