//! What a client is told besides "no": what is there instead.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use support::{RawClient, TestServer};

fn hint(client: &mut RawClient, query: &str) -> String {
    let fields = client.query(query)[0].fields();
    fields.get(&'H').cloned().unwrap_or_default()
}

#[test]
fn an_unknown_plugin_is_answered_with_those_there_are() {
    let server = TestServer::start();
    let mut client = server.replication();
    let wanted = "pgspool has the output plugins json, pgoutput, test_decoding and wal2json.";
    let query = "CREATE_REPLICATION_SLOT s LOGICAL decoderbufs NOEXPORT_SNAPSHOT";
    assert_eq!(hint(&mut client, query), wanted);
}

#[test]
fn statements_that_are_not_answered_name_those_that_are() {
    let server = TestServer::start();
    let mut client = server.session();
    for query in ["VACUUM", "CREATE INDEX ON a (b)", "SET ROLE a"] {
        assert!(hint(&mut client, query).starts_with("pgspool answers SELECT"));
    }
    for query in [
        "INSERT INTO orders VALUES (1)",
        "COPY orders FROM STDIN",
        "COPY pgspool.changes FROM STDIN",
        "COPY pgspool.changes TO STDOUT",
    ] {
        let copy = "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson).";
        assert!(hint(&mut client, query).ends_with(copy), "{query}");
    }
}

#[test]
fn settings_go_back_as_poolers_ask() {
    let server = TestServer::start();
    let mut client = server.session();
    for (reset, tag) in [
        ("RESET DateStyle", "RESET"),
        ("RESET ALL", "RESET"),
        ("DISCARD ALL", "DISCARD ALL"),
    ] {
        client.query("SET datestyle = 'ISO, DMY'");
        client.query("SET pgspool.region = 'eu'");
        let answer = client.query(reset);
        assert_eq!(answer[0].tag_text(), tag);
        // A changed setting that clients are told of is told.
        assert_eq!(answer[1].body, b"DateStyle\0ISO, MDY\0");
        let style = client.row("SHOW datestyle")[0].clone();
        assert_eq!(style.as_deref(), Some("ISO, MDY"));
    }
    assert_eq!(client.row("SHOW pgspool.region")[0].as_deref(), Some(""));
    client.query("SET pgspool.region = 'eu'");
    client.query("RESET pgspool.region");
    assert_eq!(client.row("SHOW pgspool.region")[0].as_deref(), Some(""));
    assert_eq!(client.failure("RESET nosuch"), "42704");
    client.query("BEGIN");
    assert_eq!(client.failure("DISCARD ALL"), "25001");
}
