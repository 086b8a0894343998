//! `pgspool capture check` says what an upstream lacks, and with which statement it is mended.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod capture_support;

use std::process::{Command, Output};

use capture_support::Cluster;

fn check(upstream: &str, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgspool"));
    command
        .args(["capture", "check", "--upstream", upstream])
        .args(more);
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let all = [stdout, stderr].concat();
    (status.success(), String::from_utf8(all).unwrap())
}

#[test]
fn what_is_missing_comes_with_what_mends_it() {
    // Behind the harness's own wal_level: the last one counts.
    let mut upstream = Cluster::start_with(&["wal_level=replica", "max_replication_slots=0"]);
    upstream.run_sql("CREATE TABLE no_key (a int); CREATE ROLE cap LOGIN");
    let as_cap = upstream.conninfo().replace("user=postgres", "user=cap");
    let wants = ["--publication", "p", "--slot", "s"];
    let (is_fine, said) = check(&as_cap, &wants);
    assert!(!is_fine, "{said}");
    for line in [
        "missing wal_level: is replica",
        "ALTER SYSTEM SET wal_level = 'logical'",
        "missing max_replication_slots: 0 of 0 slots are in use",
        "missing role: cap may not replicate",
        "ALTER ROLE cap REPLICATION",
        "missing publication: p does not exist",
        "CREATE PUBLICATION p FOR ALL TABLES",
        "missing replication: ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    upstream.stop();
    upstream.forget_settings();
    upstream.run();
    upstream.run_sql("CREATE PUBLICATION p FOR ALL TABLES; ALTER ROLE cap REPLICATION");
    let (is_fine, said) = check(&as_cap, &wants);
    // What is only inserted into is captured well.
    assert!(is_fine, "{said}");
    let line = "note    replica_identity: public.no_key has none";
    assert!(said.contains(line), "{said}");
    assert!(
        said.contains("ALTER TABLE public.no_key REPLICA IDENTITY FULL"),
        "{said}"
    );
    upstream.run_sql("ALTER TABLE no_key REPLICA IDENTITY FULL");
    let (is_fine, said) = check(&as_cap, &wants);
    assert!(is_fine, "{said}");
    assert!(
        said.contains("ok      slot: is not there, and will be made"),
        "{said}"
    );
    upstream.run_sql("SELECT pg_create_physical_replication_slot('s')");
    let (is_fine, said) = check(&as_cap, &wants);
    assert!(
        !is_fine && said.contains("missing slot: is a physical one"),
        "{said}"
    );
    upstream.run_sql("SELECT pg_create_logical_replication_slot('t', 'pgoutput', false, true)");
    let (is_fine, said) = check(&as_cap, &["--publication", "p", "--slot", "t"]);
    assert!(
        !is_fine && said.contains("missing slot: has two_phase"),
        "{said}"
    );
    // What CREATE DATABASE would make is not missing.
    let made = ["--publication", "made", "--create-publication"];
    let (is_fine, said) = check(&as_cap, &made);
    assert!(
        is_fine && said.contains("ok      publication: made is not there, and will be made"),
        "{said}"
    );
}

#[test]
fn an_upstream_that_is_not_there_is_missing() {
    let (is_fine, said) = check("host=127.0.0.1 port=1 dbname=x user=y", &[]);
    assert!(!is_fine && said.contains("missing connection: "), "{said}");
    let (is_fine, said) = check("host=127.0.0.1 dbname=x password=S3cret", &[]);
    assert!(
        !is_fine && said.contains("cannot contain a password"),
        "{said}"
    );
    assert!(!said.contains("S3cret"), "{said}");
}
