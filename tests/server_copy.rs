//! Producers over COPY: what is told to be published is durable, and what went wrong is told
//! with what stays.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use pgspool::engine::EngineOptions;
use pgspool::replicas::{CommitPolicy, CommitSettings, QuorumMode};
use support::{RawClient, TestServer, id_of, line};

fn lines(ids: std::ops::RangeInclusive<u64>) -> String {
    ids.map(line).collect()
}

/// All ids after the slot's position, without acknowledging them.
fn ids_after(server: &TestServer, slot: &str, n: usize) -> Vec<u64> {
    let mut client = server.replication();
    client.stream(slot);
    client.ids(n)
}

#[test]
fn copied_lines_are_durable_and_delivered_in_order() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&lines(1..=1000));
    let answer = client.end_copy();
    assert_eq!(answer[0].tag_text(), "COPY 1000");
    assert_eq!(answer[1].body, b"I");
    assert_eq!(
        ids_after(&server, "s", 1000),
        (1..=1000).collect::<Vec<_>>()
    );
    client.begin_copy();
    assert_eq!(client.end_copy()[0].tag_text(), "COPY 0");
}

#[test]
fn data_may_be_cut_anywhere() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let mut client = server.session();
    client.begin_copy();
    let text = lines(1..=20).replace("}\n", "}\r\n");
    let text = text.trim_end();
    for piece in text.as_bytes().chunks(7) {
        client.copy_data(std::str::from_utf8(piece).unwrap());
    }
    client.copy_data("");
    assert_eq!(client.end_copy()[0].tag_text(), "COPY 20");
    assert_eq!(ids_after(&server, "s", 20), (1..=20).collect::<Vec<_>>());
}

#[test]
fn a_bad_line_is_named_and_what_came_before_it_stays() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&lines(1..=41));
    client.copy_data("{\"operation\":\"insert\"}\n");
    client.copy_data(&lines(43..=50));
    let answer = client.until_ready();
    let error = answer[0].fields();
    assert_eq!(error[&'C'], "22P02");
    assert!(error[&'M'].contains("line 42"), "{error:?}");
    assert!(
        error[&'W'].starts_with("COPY changes, line 42"),
        "{error:?}"
    );
    let head = server.engine().head();
    let detail = format!("41 records of this COPY were published, up to {head}.");
    assert_eq!(error[&'D'], detail);
    // What the client still sends of the COPY means nothing.
    client.copy_data(&lines(51..=60));
    client.message(b'c', b"");
    assert_eq!(client.row("SELECT 1")[0].as_deref(), Some("1"));
    assert_eq!(ids_after(&server, "s", 41), (1..=41).collect::<Vec<_>>());
    assert_eq!(server.engine().head(), head);
}

#[test]
fn every_kind_of_bad_line_is_an_error() {
    let server = TestServer::start();
    let mut client = server.session();
    for bad in [
        "x",
        "{",
        "[]",
        "{}",
        "\"a\"",
        "{\"operation\":1}",
        "\u{1}",
        "null",
    ] {
        client.begin_copy();
        client.copy_data(&format!("{bad}\n"));
        let answer = client.until_ready();
        let error = answer[0].fields();
        assert_eq!(error[&'C'], "22P02", "{bad}");
        assert_eq!(error[&'D'], "No record of this COPY was published.");
        client.message(b'c', b"");
    }
}

fn until_published(server: &TestServer, num_records: u64) {
    support::eventually("the lines are published", || {
        let count = server.session().row("SELECT count(*) FROM pgspool.changes");
        count == [Some(num_records.to_string())]
    });
}

#[test]
fn a_copy_that_the_client_gives_up_says_what_stays() {
    let server = TestServer::start();
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&lines(1..=3));
    until_published(&server, 3);
    client.message(b'f', b"no more\0");
    let error = client.until_ready()[0].fields();
    assert_eq!(error[&'C'], "57014");
    assert_eq!(error[&'M'], "COPY from stdin failed: no more");
    assert!(error[&'D'].starts_with("3 records of this COPY were published"));
}

#[test]
fn copies_run_side_by_side_and_in_many_statements() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    std::thread::scope(|scope| {
        for producer in 0..4_u64 {
            let server = &server;
            scope.spawn(move || {
                let mut client = server.session();
                for round in 0..5 {
                    let first = producer * 1000 + round * 100;
                    client.begin_copy();
                    client.copy_data(&lines(first..=first + 99));
                    assert_eq!(client.end_copy()[0].tag_text(), "COPY 100");
                }
            });
        }
    });
    let ids = ids_after(&server, "s", 2000);
    for producer in 0..4_u64 {
        let own: Vec<u64> = ids
            .iter()
            .copied()
            .filter(|id| id / 1000 == producer)
            .collect();
        let expected: Vec<u64> = (producer * 1000..producer * 1000 + 500).collect();
        assert_eq!(own, expected, "each producer's order is kept");
    }
}

#[test]
fn a_copy_on_a_replication_connection_works_too() {
    let server = TestServer::start();
    let mut client = server.replication();
    client.create_slot("s", "json");
    client.begin_copy();
    client.copy_data(&line(7));
    assert_eq!(client.end_copy()[0].tag_text(), "COPY 1");
    client.stream("s");
    assert_eq!(id_of(&client.data().1), 7);
}

#[test]
fn published_records_outlive_a_restart() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&lines(1..=10));
    assert_eq!(client.end_copy()[0].tag_text(), "COPY 10");
    let (data, head) = (server.data.clone(), server.engine().head());
    drop(client);
    server.stop();
    let server = TestServer::start_on(data, EngineOptions::default(), |_| {});
    assert_eq!(server.engine().head(), head);
    assert_eq!(ids_after(&server, "s", 10), (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_line_longer_than_many_reads_is_one_record() {
    let server = TestServer::start();
    server.replication().create_slot("s", "json");
    let hex = "ab".repeat(3 << 20);
    let long = line(1).replace("0000000000000001", &hex);
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&long);
    client.copy_data(&line(2));
    assert_eq!(client.end_copy()[0].tag_text(), "COPY 2");
    let mut client = server.replication();
    client.stream("s");
    let (_, first) = client.data();
    assert!(first.contains(&hex));
    assert_eq!(id_of(&client.data().1), 2);
}

#[test]
fn a_quorum_that_cannot_confirm_is_told_as_such() {
    let engine = EngineOptions {
        commit: CommitSettings {
            policy: CommitPolicy::AckN(1),
            timeout: Some(Duration::from_millis(100)),
            ..CommitSettings::default()
        },
        ..EngineOptions::default()
    };
    let server = TestServer::start_with(engine, |_| {});
    let mut client = server.session();
    let failed_copy = |client: &mut RawClient| {
        client.begin_copy();
        client.copy_data(&line(1));
        client.end_copy()[0].fields()
    };
    let error = failed_copy(&mut client);
    assert_eq!(error[&'C'], "PS001", "{error:?}");
    assert!(error[&'M'].starts_with("committed here"), "{error:?}");
    let head = server.engine().head();
    let message = format!("committed here at {head}, confirmed by 0 of 1");
    assert_eq!(error[&'M'], message);
    let detail = format!(
        "1 record of this COPY was published, up to {head}. \
         LSN {head} has 0 of 1 confirmations after 100 ms."
    );
    assert_eq!(error[&'D'], detail);

    let mut subscriber = server.replication();
    subscriber.create_slot("s", "json");
    subscriber.stream("s");
    let error = failed_copy(&mut client);
    assert_eq!(error[&'C'], "PS001", "{error:?}");
    client.begin_copy();
    client.copy_data(&line(3));
    client.message(b'c', b"");
    subscriber.ids(2);
    let head = server.engine().head();
    subscriber.acknowledge(head);
    assert_eq!(client.until_ready()[0].tag_text(), "COPY 1");
}

#[test]
fn a_stopping_server_ends_a_copy_with_what_stays() {
    let mut server = TestServer::start();
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&lines(1..=5));
    until_published(&server, 5);
    server.begin_stop();
    let error = client.read().unwrap().fields();
    assert_eq!((&error[&'C'][..], &error[&'S'][..]), ("57P01", "FATAL"));
    assert!(error[&'D'].starts_with("5 records of this COPY were published"));
    assert_eq!(client.read(), None);
}

#[test]
fn a_quorum_over_regions_names_those_that_did_not_confirm() {
    let regions = ["eu", "us"].map(str::to_owned);
    let engine = EngineOptions {
        commit: CommitSettings {
            policy: CommitPolicy::Quorum,
            quorum: QuorumMode::Regions(regions.into()),
            timeout: Some(Duration::from_millis(500)),
            ..CommitSettings::default()
        },
        ..EngineOptions::default()
    };
    let server = TestServer::start_with(engine, |_| {});
    let subscriber = |slot: &str, region: &str| {
        let option = format!("-c pgspool.region={region}");
        let mut client = server.replication_with(&[("options", &option)]);
        client.create_slot(slot, "json");
        client.stream(slot);
        client
    };
    let (mut eu, _us) = (subscriber("a", "eu"), subscriber("b", "us"));
    let mut client = server.session();
    client.begin_copy();
    client.copy_data(&line(1));
    client.message(b'c', b"");
    eu.ids(1);
    let head = server.engine().head();
    eu.acknowledge(head);
    let error = client.until_ready()[0].fields();
    assert_eq!(error[&'C'], "PS001", "{error:?}");
    let detail = format!("LSN {head} has 1 of 2 confirmations after 500 ms. None came from: us.");
    assert!(error[&'D'].ends_with(&detail), "{error:?}");
}
