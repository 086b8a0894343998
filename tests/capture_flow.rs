//! What an upstream commits arrives here once, whatever is restarted in between.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod capture_support;

use capture_support::{Captured, Cluster, wait_until};
use pgspool::captures::CaptureState;

#[test]
fn a_committed_row_arrives_and_is_acknowledged() {
    let upstream = Cluster::start();
    upstream.run_sql("CREATE TABLE t (id int PRIMARY KEY, note text)");
    let mut captured = Captured::new(&upstream.settings());
    captured.start().unwrap();
    // The table is known before its first row.
    let set = captured.engine().relations().current();
    let table = set.relation("public", "t").unwrap();
    assert_eq!(table.columns.len(), 2);
    assert!(set.publication("p").is_some_and(|of| of.all_tables));

    upstream.run_sql("INSERT INTO t VALUES (1, 'one')");
    upstream.run_sql("INSERT INTO t VALUES (2, 'two')");
    let end = upstream.position();
    captured.wait_for_head(end);
    assert_eq!(captured.inserted(), ["1", "2"]);
    // What was known is not described again.
    let letters: Vec<u8> = captured.messages().iter().map(|(_, _, m)| m[0]).collect();
    assert_eq!(letters, b"BICBIC");
    let confirmed = "SELECT confirmed_flush_lsn FROM pg_replication_slots";
    wait_until("the slot is acknowledged", || {
        upstream
            .ask(confirmed)
            .parse::<pgspool::lsn::Lsn>()
            .unwrap()
            >= end
    });
    captured.wait_for_state(CaptureState::Streaming);
    let status = captured.status();
    assert_eq!(status.num_transactions, 2);
    assert_eq!(status.stop, None);
    assert!(status.acknowledged_lsn >= end);
    captured.stop();
}
