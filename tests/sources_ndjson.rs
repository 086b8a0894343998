//! Producers' lines: read strictly, cut anywhere, refused with the line's number.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use pgspool::change::{ChangeRecord, Operation, decode, encode, encode_open};
use pgspool::sources::ndjson::{LineError, RecordDecoder, encode_line};
use proptest::prelude::*;

const TERM: u64 = 9;
const NOW: u64 = 1_700_000_000_000;

/// The record with its LSN filled in.
fn filled(bytes: &[u8], lsn_at: usize, lsn: u64) -> String {
    let mut bytes = bytes.to_vec();
    bytes.splice(lsn_at..lsn_at, lsn.to_string().into_bytes());
    String::from_utf8(bytes).unwrap()
}

fn encoded(line: &str) -> Result<String, String> {
    let mut out = b"before".to_vec();
    match encode_line(line.as_bytes(), None, TERM, NOW, &mut out) {
        Ok(open) => {
            assert_eq!((open.start, open.end), (6, out.len()));
            Ok(filled(&out[6..], open.lsn_at, 64))
        }
        Err(error) => {
            assert_eq!(out, b"before");
            Err(error.to_string())
        }
    }
}

/// Feeds `data` in pieces of `size`; the records that came out, and the error if one did.
fn decoded(data: &[u8], size: usize) -> (Vec<String>, Option<LineError>) {
    let mut decoder = RecordDecoder::new(TERM, 1000);
    let mut out = Vec::new();
    let mut records = Vec::new();
    for mut piece in data.chunks(size) {
        while !piece.is_empty() {
            match decoder.next(&mut piece, NOW, &mut out) {
                Ok(Some(open)) => records.push(filled(&out[open.start..open.end], open.lsn_at, 64)),
                Ok(None) => {}
                Err(error) => return (records, Some(error)),
            }
        }
    }
    match decoder.finish(NOW, &mut out) {
        Ok(Some(open)) => records.push(filled(&out[open.start..open.end], open.lsn_at, 64)),
        Ok(None) => {}
        Err(error) => return (records, Some(error)),
    }
    (records, None)
}

#[test]
fn a_line_becomes_the_canonical_record() {
    let line = r#" {"rid": 42, "term": 3, "lsn": "mine", "operation": "update", "kind": "table",
        "collection": "us\u0065rs", "entity_bytes_hex": "0102FF", "ownership_epoch": 2, "range_id": [1],
        "changed_columns": ["a"], "metadata": {"z": 1.0, "a": 18446744073709551615}} "#;
    let wanted = r#"{"changed_columns":["a"],"collection":"users","entity_bytes_hex":"0102ff","kind":"row","lsn":64,"metadata":{"a":18446744073709551615,"z":1.0},"operation":"update","rid":42,"term":9,"timestamp":1700000000000}"#;
    assert_eq!(encoded(line).unwrap(), wanted);
}

#[test]
fn a_given_timestamp_stays_and_zero_means_now() {
    let line = |timestamp: &str| {
        format!(
            r#"{{"operation":"delete","collection":"u","rid":18446744073709551615,"timestamp":{timestamp}}}"#
        )
    };
    assert!(encoded(&line("5")).unwrap().ends_with("\"timestamp\":5}"));
    for missing in ["0", "null"] {
        let wanted = r#""rid":18446744073709551615,"term":9,"timestamp":1700000000000}"#;
        assert!(encoded(&line(missing)).unwrap().ends_with(wanted));
    }
}

#[test]
fn a_refresh_needs_no_rid() {
    let line = r#"{"operation":"refresh","collection":"mv","kind":"refresh","refresh_records_hex":["AA",""]}"#;
    let wanted = r#"{"collection":"mv","kind":"item","lsn":64,"operation":"refresh","refresh_records_hex":["aa",""],"rid":0,"term":9,"timestamp":1700000000000}"#;
    assert_eq!(encoded(line).unwrap(), wanted);
}

#[test]
fn a_bad_line_says_what_is_wrong_with_it() {
    let rows = [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("[]", "operation is missing"),
        ("{}", "operation is missing"),
        (r#"{"operation":null}"#, "operation is missing"),
        (r#"{"operation":1}"#, "operation is not a string"),
        (
            "{\"operation\":\"insert\"",
            "EOF while parsing an object at line 1 column 21",
        ),
        (
            r#"{"operation":"upsert","collection":"u","rid":1}"#,
            "operation \"upsert\" is none of insert, update, delete, truncate, refresh, message",
        ),
        (r#"{"operation":"insert","rid":1}"#, "collection is missing"),
        (
            r#"{"operation":"insert","rid":1,"collection":""}"#,
            "collection is empty",
        ),
        (
            r#"{"operation":"insert","rid":1,"collection":7}"#,
            "collection is not a string",
        ),
        (
            r#"{"operation":"insert","rid":1,"collection":"\u0000"}"#,
            "collection contains a null character",
        ),
        (
            r#"{"operation":"insert","collection":"u"}"#,
            "rid is missing",
        ),
        (
            r#"{"operation":"delete","collection":"u","rid":null}"#,
            "rid is missing",
        ),
        (
            r#"{"operation":"update","collection":"u","rid":-1}"#,
            "rid is not an integer from 0 to 18446744073709551615",
        ),
        (
            r#"{"operation":"update","collection":"u","rid":18446744073709551616}"#,
            "rid is not an integer from 0 to 18446744073709551615",
        ),
        (
            r#"{"operation":"update","collection":"u","rid":1.5}"#,
            "rid is not an integer from 0 to 18446744073709551615",
        ),
        (
            r#"{"operation":"update","collection":"u","rid":1,"timestamp":"x"}"#,
            "timestamp is not an integer from 0 to 18446744073709551615",
        ),
        (
            r#"{"operation":"update","collection":"u","rid":1,"entity_bytes_hex":{}}"#,
            "entity_bytes_hex is not a string",
        ),
        (
            r#"{"operation":"update","collection":"u","rid":1,"entity_bytes_hex":"abc"}"#,
            "invalid hexadecimal digits in entity_bytes_hex",
        ),
        (
            r#"{"operation":"refresh","collection":"u","refresh_records_hex":["x"]}"#,
            "invalid hexadecimal digits in refresh_records_hex",
        ),
    ];
    for (line, wanted) in rows {
        assert_eq!(encoded(line).unwrap_err(), wanted, "{line}");
    }
}

#[test]
fn a_key_that_no_record_has_is_refused_by_name() {
    for (key, shown) in [
        ("colection", "colection"),
        ("meta\\u0064ta", "metadta"),
        ("Metadata", "Metadata"),
        ("", ""),
        ("a\\nb", "a\u{fffd}b"),
    ] {
        let line = format!(
            r#"{{"operation":"insert","collection":"u","rid":1,"{key}":{{"a":[1]}},"more":1}}"#
        );
        let wanted = format!("unknown key \"{shown}\"");
        assert_eq!(encoded(&line).unwrap_err(), wanted);
        // What is stored already stays readable.
        assert!(decode(line.as_bytes()).is_ok());
    }
    let misspelled = r#"{"operation":"insert","colection":"u","rid":1}"#;
    assert_eq!(
        encoded(misspelled).unwrap_err(),
        "unknown key \"colection\""
    );
    let long = format!(r#"{{"operation":"insert","{}":1}}"#, "k".repeat(5000));
    assert!(encoded(&long).unwrap_err().len() < 200);
}

#[test]
fn records_are_the_same_however_the_data_is_cut() {
    let line = |rid: u32| format!(r#"{{"operation":"delete","collection":"u","rid":{rid}}}"#);
    let data = format!("{}\n\n{}\r\n  \n{}", line(1), line(2), line(3));
    let wanted: Vec<_> = (1..=3).map(|rid| encoded(&line(rid)).unwrap()).collect();
    for size in 1..=data.len() {
        assert_eq!(
            decoded(data.as_bytes(), size),
            (wanted.clone(), None),
            "{size}"
        );
    }
}

#[test]
fn the_end_marker_of_copy_ends_the_data() {
    let data = b"{\"operation\":\"delete\",\"collection\":\"u\",\"rid\":1}\n\\.\nnot json\n";
    for size in 1..=data.len() {
        let (records, error) = decoded(data, size);
        assert_eq!((records.len(), error), (1, None));
    }
}

#[test]
fn an_error_names_its_line_and_what_came_before_is_kept() {
    let good = "{\"operation\":\"delete\",\"collection\":\"u\",\"rid\":1}\n";
    let data = format!("{good}\n{good}{{\"operation\":\t1}}\n{good}");
    for size in 1..=data.len() {
        let (records, error) = decoded(data.as_bytes(), size);
        let error = error.unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(error.line(), 4);
        assert_eq!(error.to_string(), "invalid input syntax for change record");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "operation is not a string");
        let context = "COPY changes, line 4: \"{\"operation\":\u{fffd}1}\"";
        assert_eq!(error.context(), context);
    }
}

#[test]
fn a_line_over_the_limit_is_refused_whatever_it_holds() {
    let data = "x".repeat(1001);
    for size in [1, 999, 2000] {
        let (_, error) = decoded(data.as_bytes(), size);
        let error = error.unwrap();
        assert_eq!(error.to_string(), "line 1 is longer than 1000 bytes");
        assert_eq!(error.context(), "COPY changes, line 1");
    }
}

proptest! {
    #[test]
    fn a_line_and_the_library_give_the_same_bytes(
        rid: u64,
        timestamp: u64,
        collection in "[^\0]+",
        entity in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        note: String,
    ) {
        let record = ChangeRecord {
            term: 1,
            lsn: 1,
            timestamp,
            operation: Operation::Insert,
            collection,
            entity_id: rid,
            entity_kind: "kv".to_owned(),
            entity_bytes: entity,
            metadata: Some(serde_json::json!({"note": note, "n": rid})),
            ..ChangeRecord::insert("", 0)
        };
        let line = encode(&record).unwrap();
        let open = encode_open(&record, TERM, NOW).unwrap();
        let library = filled(&open.bytes, open.lsn_at, 64);
        let copied = encoded(std::str::from_utf8(&line).unwrap()).unwrap();
        prop_assert_eq!(&copied, &library);
        prop_assert!(decode(copied.as_bytes()).is_ok());
    }

    #[test]
    fn random_bytes_never_panic(
        data in prop::collection::vec(any::<u8>(), 0..300),
        size in 1usize..50,
    ) {
        decoded(&data, size);
    }
}
