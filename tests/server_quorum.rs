//! A producer whose COPY waits until subscribers of every region have confirmed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use pgspool::engine::EngineOptions;
use pgspool::lsn::Lsn;
use pgspool::replicas::{CommitPolicy, CommitSettings, QuorumMode};
use support::{PATIENCE, RawClient, TestServer, line};

fn server_of_regions(names: &[&str]) -> TestServer {
    let regions: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let options = EngineOptions {
        commit: CommitSettings {
            policy: CommitPolicy::Quorum,
            quorum: QuorumMode::Regions(regions),
            timeout: Some(PATIENCE),
            ..CommitSettings::default()
        },
        ..EngineOptions::default()
    };
    TestServer::start_with(options, |_| {})
}

/// A stream whose client declares its region as psql users set an option.
fn stream_in(server: &TestServer, region: &str, slot: &str) -> RawClient {
    let options = format!("-c pgspool.region={region}");
    let mut client = server.replication_with(&[("options", &options)]);
    client.create_slot(slot, "json");
    client.stream(slot);
    client
}

/// Reads the next record and returns its end.
fn receive(client: &mut RawClient, id: u64) -> Lsn {
    let (lsn, text) = client.data();
    assert_eq!(support::id_of(&text), id);
    lsn
}

/// The producer has no answer, also not a little later.
fn assert_waits(producer: &RawClient) {
    let short = Duration::from_millis(100);
    producer.socket.set_read_timeout(Some(short)).unwrap();
    let waiting = producer.socket.peek(&mut [0]).unwrap_err().kind();
    assert!(matches!(
        waiting,
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    producer.socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn copy_one(producer: &mut RawClient, id: u64) {
    producer.begin_copy();
    producer.copy_data(&line(id));
    producer.message(b'c', b"");
}

#[test]
fn w31_a_copy_is_released_when_each_region_has_confirmed_it() {
    let server = server_of_regions(&["us", "eu"]);
    let mut us = stream_in(&server, "us", "in_us");
    let mut more_us = stream_in(&server, "us", "also_in_us");
    let mut eu = stream_in(&server, "eu", "in_eu");
    let mut producer = server.session();
    copy_one(&mut producer, 1);
    let end = receive(&mut us, 1);
    assert_eq!(receive(&mut more_us, 1), end);
    assert_eq!(receive(&mut eu, 1), end);
    assert_waits(&producer);
    // A region counts once.
    us.acknowledge(end);
    more_us.acknowledge(end);
    // Who joins stands at the head already, and has confirmed nothing.
    let _new = stream_in(&server, "eu", "new_in_eu");
    assert!(!server.engine().replicas().is_released(end));
    assert_waits(&producer);
    eu.acknowledge(end);
    let answer = producer.until_ready();
    assert_eq!(answer[0].tag_text(), "COPY 1");
    assert!(server.engine().replicas().is_released(end));
}

#[test]
fn w31_a_region_that_nobody_declares_is_told_at_once() {
    let server = server_of_regions(&["us", "eu"]);
    let _us = stream_in(&server, "us", "in_us");
    let mut producer = server.session();
    copy_one(&mut producer, 1);
    let answer = producer.until_ready();
    let error = answer.iter().find(|message| message.tag == 'E').unwrap();
    assert!(error.fields()[&'M'].contains("eu"), "{:?}", error.fields());
    assert!(server.engine().head() > Lsn::ZERO, "it is durable here");
}
