//! Resident memory while ten million records pass through and one subscriber does not read.

use std::path::Path;

use super::BenchError;
use super::report::{Row, Target, human, real};
use super::server::ServerProcess;

const RECORDS: u64 = 10_000_000;
const PER_COPY: u64 = 500_000;
const LIMIT: u64 = 300 << 20;

/// The largest resident size seen after each of the copies.
pub(super) fn run(scratch: &Path, exe: &Path) -> Result<Vec<Row>, BenchError> {
    let server = ServerProcess::start(exe, scratch)?;
    let mut stalled = server.connect_replication()?;
    stalled.query("CREATE_REPLICATION_SLOT stalled LOGICAL json (SNAPSHOT 'nothing')")?;
    stalled.send_query("START_REPLICATION SLOT stalled LOGICAL 0/0")?;
    stalled.expect(b'W')?;
    let lines = super::sample_lines(PER_COPY)?;
    let mut producer = server.connect()?;
    let (mut first, mut largest) = (0, 0);
    for _ in 0..RECORDS / PER_COPY {
        let copy = "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)";
        producer.copy_in(copy, &lines, 64 << 10)?;
        let resident = server.resident()?;
        first = if first == 0 { resident } else { first };
        largest = largest.max(resident);
    }
    let what = format!(
        "resident, {}records past a stalled subscriber",
        human(real(RECORDS))
    );
    Ok(vec![Row {
        what,
        ours: format!(
            "{}B at most, {}B after the first 500 k",
            human(real(largest)),
            human(real(first))
        ),
        reference: "300 MiB".to_owned(),
        figure: real(largest) / real(LIMIT),
        target: Target::AtMost(1.0),
    }])
}
