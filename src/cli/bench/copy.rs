//! COPY of a million records over the wire, against PostgreSQL copying the same file into a
//! logged table of one text column.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use super::BenchError;
use super::client::Client;
use super::postgres::Postgres;
use super::report::{Row, Target, human, median, rate};
use super::server::ServerProcess;

const RECORDS: u64 = 1_000_000;
const ROUNDS: usize = 3;
const MESSAGE: usize = 64 << 10;

/// The row, the disk's ceiling beside it.
pub(super) fn run(scratch: &Path, bin: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    let lines = super::sample_lines(RECORDS)?;
    let ours = ServerProcess::start(exe, scratch)?;
    let postgres = Postgres::start(bin, scratch)?;
    let (mut ours_client, mut theirs_client) = (ours.connect()?, postgres.connect()?);
    theirs_client.query("CREATE TABLE lines (line text)")?;
    let copy_ours = "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)";
    let (mut our_rates, mut their_rates, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let ours = copy(&mut ours_client, copy_ours, &lines)?;
        let theirs = copy(&mut theirs_client, "COPY lines FROM STDIN", &lines)?;
        our_rates.push(ours);
        their_rates.push(theirs);
        ratios.push(ours / theirs);
    }
    let ours = median(our_rates);
    let ceiling = disk_ceiling(scratch, &lines)?;
    Ok(vec![
        Row {
            what: format!("COPY of {}records", human(super::report::real(RECORDS))),
            ours: format!("{}rec/s", human(ours)),
            reference: format!("{}rec/s: PostgreSQL 15", human(median(their_rates))),
            figure: median(ratios),
            target: Target::AtLeast(1.0),
        },
        Row {
            what: "COPY against the disk".to_owned(),
            ours: format!("{}rec/s", human(ours)),
            reference: format!("{}rec/s: the same bytes, 4 MiB a sync", human(ceiling)),
            figure: ours / ceiling,
            target: Target::None,
        },
    ])
}

fn copy(client: &mut Client, sql: &str, lines: &[u8]) -> Result<f64, BenchError> {
    let started = Instant::now();
    client.copy_in(sql, lines, MESSAGE)?;
    Ok(rate(RECORDS, started.elapsed()))
}

/// Records a second if the disk did nothing but take these bytes.
fn disk_ceiling(scratch: &Path, lines: &[u8]) -> Result<f64, BenchError> {
    let file = File::create(scratch.join("ceiling"))?;
    let (started, mut offset) = (Instant::now(), 0);
    for piece in lines.chunks(4 << 20) {
        file.write_all_at(piece, offset)?;
        file.sync_data()?;
        offset += u64::try_from(piece.len())?;
    }
    Ok(rate(RECORDS, started.elapsed()))
}
