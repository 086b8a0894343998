//! The test_decoding plugin: PostgreSQL 15's text. Table lines were recorded from PostgreSQL
//! 15.18 with a table of the columns that change records are shown with.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use std::fs;

use bytes::Bytes;
use pgspool::change::{ChangeRecord, Operation, encode, frame_part_prefix, xid};
use pgspool::disk::RealDisk;
use pgspool::lsn::Lsn;
use pgspool::plugins::{FrameView, Messages, Plugin, Renderer};
use pgspool::relations::RelationStore;
use proptest::prelude::*;

fn start(options: &[(&str, Option<&str>)]) -> Result<Renderer, String> {
    let options: Vec<_> = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
        .collect();
    let path = std::path::Path::new("/nowhere/relations.json");
    let relations = RelationStore::open(std::sync::Arc::new(RealDisk), path).unwrap();
    Renderer::start(Plugin::TestDecoding, &options, relations).map_err(|error| error.to_string())
}

fn render(plugin: &mut Renderer, payload: &[u8], end: u64) -> (Vec<(u64, String)>, Option<Lsn>) {
    let mut out = Messages::default();
    let payload = Bytes::copy_from_slice(payload);
    let view = FrameView {
        end_lsn: Lsn::new(end),
        term: 1,
        timestamp_ms: 1_795_416_672_640,
        payload: &payload,
    };
    let done = plugin.frame(view, &mut out).unwrap();
    let text = |message: &[u8]| String::from_utf8(message.to_vec()).unwrap();
    let messages = out.iter().map(|(lsn, message)| (lsn.get(), text(message)));
    (messages.collect(), done)
}

/// The texts of one payload that is a whole transaction, without xids.
fn lines(payload: &str) -> Vec<String> {
    let mut plugin = start(&[("include-xids", Some("0"))]).unwrap();
    let (messages, done) = render(&mut plugin, payload.as_bytes(), 6000);
    assert_eq!(done, Some(Lsn::new(6000)));
    messages.into_iter().map(|(_, text)| text).collect()
}

fn users(operation: &str, members: &str) -> String {
    format!(
        r#"{{"collection":"users","operation":"{operation}","rid":42,"kind":"row","term":1{members}}}"#
    )
}

#[test]
fn a_row_is_printed_as_postgresql_prints_it() {
    let members = r#","entity_bytes_hex":"0102FF","metadata":{"z":1,"role":"ad'min","f":1.50,"bb":[1,2,{}],"e":{},"g":[],"n":null,"t":true,"x":1e3,"y":1.5e-3,"w":-0,"v":-0.0,"u":"a\"\\\n\u0001\u00e9/é","u":"last"}"#;
    let row = r#"rid[bigint]:42 kind[text]:'row' entity[bytea]:'\x0102ff' document[jsonb]:null metadata[jsonb]:'{"e": {}, "f": 1.50, "g": [], "n": null, "t": true, "u": "last", "v": 0.0, "w": 0, "x": 1000, "y": 0.0015, "z": 1, "bb": [1, 2, {}], "role": "ad''min"}'"#;
    assert_eq!(
        lines(&users("insert", members)),
        [
            "BEGIN",
            &format!("table public.users: INSERT: {row}"),
            "COMMIT"
        ]
    );
    assert_eq!(
        lines(&users("update", members)),
        [
            "BEGIN",
            &format!("table public.users: UPDATE: {row}"),
            "COMMIT"
        ]
    );
    assert_eq!(
        lines(&users("delete", members)),
        [
            "BEGIN",
            "table public.users: DELETE: rid[bigint]:42",
            "COMMIT"
        ]
    );
}

/// The lines are PostgreSQL 15's for a table with these columns, but for what only we have: the
/// kind of an old row (it is not told apart from its key), and members of a document.
#[test]
fn an_old_row_is_printed_as_postgresql_prints_an_old_key() {
    let old = hex::encode(r#"{"a": 1}"#);
    let before = format!(r#"rid[bigint]:42 entity[bytea]:'\x{old}' document[jsonb]:'{{"a": 1}}'"#);
    let after = "rid[bigint]:42 kind[text]:'row' entity[bytea]:'\\x03' document[jsonb]:null \
                 metadata[jsonb]:null";
    let members = format!(r#","entity_bytes_hex":"03","old":"{old}""#);
    assert_eq!(
        lines(&users("update", &members))[1],
        format!("table public.users: UPDATE: old-key: {before} new-tuple: {after}")
    );
    assert_eq!(
        lines(&users("delete", r#","old":"03""#))[1],
        r"table public.users: DELETE: rid[bigint]:42 entity[bytea]:'\x03'"
    );
}

#[test]
fn an_unchanged_column_is_printed_as_one() {
    let rows = [
        (
            r#","unchanged":["entity"],"metadata":1"#,
            "entity[bytea]:unchanged-toast-datum document[jsonb]:unchanged-toast-datum \
             metadata[jsonb]:'1'",
        ),
        (
            r#","unchanged":["metadata","document"],"entity_bytes_hex":"03""#,
            r"entity[bytea]:'\x03' document[jsonb]:unchanged-toast-datum metadata[jsonb]:unchanged-toast-datum",
        ),
        (
            r#","unchanged":["note","Big one"],"entity_bytes_hex":"7b7d""#,
            r#"entity[bytea]:'\x7b7d' document[jsonb]:'{}' metadata[jsonb]:null note[jsonb]:unchanged-toast-datum "Big one"[jsonb]:unchanged-toast-datum"#,
        ),
    ];
    for (members, wanted) in rows {
        let wanted =
            format!("table public.users: UPDATE: rid[bigint]:42 kind[text]:'row' {wanted}");
        assert_eq!(lines(&users("update", members))[1], wanted);
    }
}

#[test]
fn a_message_stands_in_its_transaction_or_alone() {
    let payload =
        |transactional| encode(&ChangeRecord::message(transactional, "p", "abc")).unwrap();
    let inside = "message: transactional: 1 prefix: p, sz: 3 content:abc";
    let alone = "message: transactional: 0 prefix: p, sz: 3 content:abc";
    let mut plugin = start(&[("include-xids", Some("0"))]).unwrap();
    let (messages, done) = render(&mut plugin, &payload(true), 6000);
    let texts: Vec<_> = messages.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(
        (texts, done),
        (vec!["BEGIN", inside, "COMMIT"], Some(Lsn::new(6000)))
    );
    let (messages, done) = render(&mut plugin, &payload(false), 6000);
    assert_eq!(
        (messages, done),
        (vec![(6000, alone.to_owned())], Some(Lsn::new(6000)))
    );
    // As PostgreSQL does it, a transaction without a changed row is an empty one.
    let options = [("include-xids", Some("0")), ("skip-empty-xacts", Some("1"))];
    let mut plugin = start(&options).unwrap();
    let (messages, done) = render(&mut plugin, &payload(true), 6000);
    let texts: Vec<_> = messages.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!((texts, done), (vec![inside], Some(Lsn::new(6000))));
    let bytes = encode(&ChangeRecord::message(false, "p", [0, 0xff])).unwrap();
    let (messages, _) = render(&mut plugin, &bytes, 6000);
    assert_eq!(
        messages[0].1,
        r"message: transactional: 0 prefix: p, sz: 2 content:\x00ff"
    );
}

#[test]
fn a_truncate_is_printed_as_postgresql_prints_it() {
    let wanted = "table public.users: TRUNCATE: (no-flags)";
    assert_eq!(lines(&users("truncate", "")), ["BEGIN", wanted, "COMMIT"]);
}

#[test]
fn a_refresh_shows_its_metadata_once() {
    let members = r#","metadata":{"a":1},"refresh_records_hex":["00","01","02"]"#;
    let rows = lines(&users("refresh", members));
    let shown = rows.iter().filter(|row| row.contains("metadata[jsonb]:'{"));
    assert_eq!(shown.count(), 1, "{rows:?}");
    assert_eq!(
        rows.iter()
            .filter(|row| row.contains("metadata[jsonb]:null"))
            .count(),
        2
    );
}

#[test]
fn a_refresh_is_a_truncate_and_its_rows() {
    let row = hex::encode(r#" {"b":2,"a":[1.50]} "#);
    let members = format!(r#","refresh_records_hex":["{row}",""]"#);
    assert_eq!(
        lines(&users("refresh", &members)),
        [
            "BEGIN",
            "table public.users: TRUNCATE: (no-flags)",
            &format!(
                "table public.users: INSERT: rid[bigint]:null kind[text]:'row' entity[bytea]:'\\x{row}' document[jsonb]:'{{\"a\": [1.50], \"b\": 2}}' metadata[jsonb]:null"
            ),
            r"table public.users: INSERT: rid[bigint]:null kind[text]:'row' entity[bytea]:'\x' document[jsonb]:null metadata[jsonb]:null",
            "COMMIT",
        ]
    );
}

#[test]
fn names_are_quoted_where_postgresql_quotes_them() {
    for (collection, shown) in [
        ("user", "public.\"user\""),
        ("café", "public.\"café\""),
        ("Orders x", "public.\"Orders x\""),
        ("orders", "public.orders"),
    ] {
        let payload = format!(r#"{{"collection":"{collection}","operation":"delete","rid":1}}"#);
        let wanted = format!("table {shown}: DELETE: rid[bigint]:1");
        assert_eq!(lines(&payload)[1], wanted);
    }
}

#[test]
fn only_objects_and_arrays_are_documents() {
    for (entity, document) in [
        ("[1]", "'[1]'"),
        ("{\"it's\":\"it's\"}", "'{\"it''s\": \"it''s\"}'"),
        ("5", "null"),
        ("\"a\"", "null"),
        ("{", "null"),
        ("{} {}", "null"),
    ] {
        let members = format!(r#","entity_bytes_hex":"{}""#, hex::encode(entity));
        let line = lines(&users("insert", &members)).remove(1);
        let wanted = format!("document[jsonb]:{document} metadata");
        assert!(line.contains(&wanted), "{line}");
    }
}

#[test]
fn begin_and_change_carry_the_changes_lsn_and_commit_the_end() {
    let (messages, done) = render(
        &mut start(&[]).unwrap(),
        users("delete", "").as_bytes(),
        6000,
    );
    assert_eq!(done, Some(Lsn::new(6000)));
    assert_eq!(xid(Lsn::new(6000)), 750);
    let wanted = [
        (5944, "BEGIN 750".to_owned()),
        (
            5944,
            "table public.users: DELETE: rid[bigint]:42".to_owned(),
        ),
        (6000, "COMMIT 750".to_owned()),
    ];
    assert_eq!(messages, wanted);
}

#[test]
fn a_transaction_of_several_has_one_begin_and_one_commit() {
    let mut plugin = start(&[]).unwrap();
    for end in [6000, 12_000] {
        let own = [end - 900, end - 500, end - 100];
        let mut all = Vec::new();
        for (index, lsn) in own.into_iter().enumerate() {
            let mut payload = frame_part_prefix(index == 0, index == 2).to_vec();
            payload.extend(users("delete", &format!(",\"lsn\":{lsn}")).into_bytes());
            let (messages, done) = render(&mut plugin, &payload, end);
            assert_eq!(done, (index == 2).then_some(Lsn::new(end)));
            all.extend(messages);
        }
        let found: Vec<_> = all.iter().map(|(lsn, text)| (*lsn, &text[..5])).collect();
        assert_eq!(
            found,
            [
                (own[0], "BEGIN"),
                (own[0], "table"),
                (own[1], "table"),
                (own[2], "table"),
                (end, "COMMI")
            ]
        );
    }
}

#[test]
fn options_are_postgresql_15s() {
    let render = |options: &[(&str, Option<&str>)]| {
        let (messages, _) = render(
            &mut start(options).unwrap(),
            users("delete", "").as_bytes(),
            6000,
        );
        (messages[0].1.clone(), messages[2].1.clone())
    };
    let texts = |begin: &str, commit: &str| (begin.to_owned(), commit.to_owned());
    assert_eq!(
        render(&[("include-xids", Some("off"))]),
        texts("BEGIN", "COMMIT")
    );
    assert_eq!(
        render(&[("include-xids", Some("on")), ("include-timestamp", None)]),
        texts("BEGIN 750", "COMMIT 750 (at 2026-11-23 06:51:12.64+00)")
    );
    let ignored = [
        "force-binary",
        "skip-empty-xacts",
        "only-local",
        "include-rewrites",
        "stream-changes",
    ];
    for name in ignored {
        assert_eq!(
            render(&[(name, Some("true"))]),
            texts("BEGIN 750", "COMMIT 750")
        );
        assert_eq!(render(&[(name, None)]), texts("BEGIN 750", "COMMIT 750"));
        let error = format!("could not parse value \"maybe\" for parameter \"{name}\"");
        assert_eq!(start(&[(name, Some("maybe"))]).unwrap_err(), error);
    }
    for (name, value, error) in [
        (
            "include-xids",
            Some("x"),
            "could not parse value \"x\" for parameter \"include-xids\"",
        ),
        (
            "include-timestamp",
            Some(""),
            "could not parse value \"\" for parameter \"include-timestamp\"",
        ),
        ("nosuch", Some("1"), "option \"nosuch\" = \"1\" is unknown"),
        ("nosuch", None, "option \"nosuch\" = \"(null)\" is unknown"),
        (
            "Include-xids",
            Some("1"),
            "option \"Include-xids\" = \"1\" is unknown",
        ),
    ] {
        assert_eq!(start(&[(name, value)]).unwrap_err(), error);
    }
}

/// The shape of every line, compared with a recording of PostgreSQL 15.18.
#[test]
fn begin_truncate_and_commit_look_as_recorded() {
    let path = "/tests/fixtures/wire/pg_recvlogical-start-test_decoding.txt";
    let recording = fs::read_to_string(format!("{}{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut plugin = start(&[("include-xids", Some("on")), ("include-timestamp", None)]).unwrap();
    let (messages, _) = render(&mut plugin, users("refresh", "").as_bytes(), 6000);
    let shape = |text: &str| {
        let digit = |c: char| if c.is_ascii_digit() { '0' } else { c };
        text.chars().map(digit).collect::<String>()
    };
    let recorded: Vec<_> = recording
        .lines()
        .filter(|line| line.contains("XLogData"))
        .filter_map(|line| line.split_once(" b'").or_else(|| line.split_once(" b\"")))
        .map(|(_, text)| shape(&text[..text.len() - 1]).replace("t0", "users"))
        .collect();
    for (_, text) in messages {
        // The recorded clock has microseconds, ours milliseconds.
        let wanted = shape(&text.replace(".64+", ".640000+"));
        assert!(
            recorded.contains(&wanted),
            "{wanted} is not in {recorded:#?}"
        );
    }
}

#[test]
fn what_is_not_a_record_is_printed_as_a_message() {
    for (payload, wanted) in [
        (&b"plain"[..], "sz: 5 content:plain"),
        (b"{\"a\":1}", "sz: 7 content:{\"a\":1}"),
        (b"", "sz: 0 content:"),
        (b"\x01\x13\xff", r"sz: 3 content:\x0113ff"),
        (b"a\0", r"sz: 2 content:\x6100"),
    ] {
        let (messages, done) = render(&mut start(&[]).unwrap(), payload, 6000);
        assert_eq!(done, Some(Lsn::new(6000)));
        let wanted = format!("message: transactional: 0 prefix: pgspool, {wanted}");
        assert_eq!(messages, [(6000, wanted)]);
    }
}

proptest! {
    #[test]
    fn every_message_is_text_whatever_is_stored(
        payload in prop::collection::vec(any::<u8>(), 0..100),
        collection: String,
        entity in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let mut plugin = start(&[]).unwrap();
        // What begins like a chunk of a captured transaction is one, or damaged.
        if payload.first() != Some(&1) {
            render(&mut plugin, &payload, 6000);
        }
        let record = ChangeRecord {
            term: 1,
            lsn: 1,
            timestamp: 1,
            operation: Operation::Insert,
            collection: collection.clone(),
            entity_id: u64::MAX,
            entity_kind: "row".to_owned(),
            entity_bytes: Some(entity),
            metadata: Some(collection.into()),
            ..ChangeRecord::insert("", 0)
        };
        let (messages, _) = render(&mut plugin, &encode(&record).unwrap(), 6000);
        prop_assert_eq!(messages.len(), 3);
    }
}
