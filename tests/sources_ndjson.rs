//! Producers' lines: read strictly, cut anywhere, refused with the line's number.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use pgspool::change::{ChangeRecord, Operation, ProducerName, decode, encode, encode_open};
use pgspool::sources::ndjson::{
    LineError, RecordDecoder, RecordError, encode_line, record_from_json,
};
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
fn the_row_before_is_an_object_or_digits() {
    let line = |old: &str| {
        format!(
            r#"{{"operation":"update","collection":"u","rid":1,"timestamp":5,"old":{old},"unchanged":["b","a"]}}"#
        )
    };
    let wanted = |old: &str| {
        format!(
            r#"{{"collection":"u","kind":"row","lsn":64,{old}"operation":"update","rid":1,"term":9,"timestamp":5,"unchanged":["b","a"]}}"#
        )
    };
    let object = r#"{"name": "x", "id": 1.50, "a": {"b" : []} }"#;
    let text = hex::encode(object);
    assert_eq!(
        encoded(&line(object)).unwrap(),
        wanted(&format!("\"old\":\"{text}\","))
    );
    assert_eq!(
        encoded(&line("\"0aFF\"")).unwrap(),
        wanted("\"old\":\"0aff\",")
    );
    assert_eq!(encoded(&line("\"\"")).unwrap(), wanted("\"old\":\"\","));
    assert_eq!(encoded(&line("null")).unwrap(), wanted(""));
    for (old, words) in [
        ("\"x\"", "invalid hexadecimal digits in old"),
        ("[1]", "old is neither an object nor hexadecimal digits"),
        ("7", "old is neither an object nor hexadecimal digits"),
        ("true", "old is neither an object nor hexadecimal digits"),
    ] {
        assert_eq!(encoded(&line(old)).unwrap_err(), words);
    }
    let bad = r#"{"operation":"update","collection":"u","rid":1,"unchanged":"a"}"#;
    assert_eq!(encoded(bad).unwrap_err(), "unchanged is not an array");
}

#[test]
fn messages_and_truncates_have_what_they_need_and_nothing_else() {
    let message =
        r#"{"operation":"message","prefix":"p","entity_bytes_hex":"616263","timestamp":5}"#;
    let wanted = r#"{"collection":"","entity_bytes_hex":"616263","kind":"item","lsn":64,"operation":"message","prefix":"p","rid":0,"term":9,"timestamp":5,"transactional":true}"#;
    assert_eq!(encoded(message).unwrap(), wanted);
    assert_eq!(
        encoded(wanted).unwrap(),
        wanted,
        "what was read can be published again"
    );
    let truncate = r#"{"operation":"truncate","collection":"u","timestamp":5}"#;
    let wanted = r#"{"collection":"u","kind":"row","lsn":64,"operation":"truncate","rid":0,"term":9,"timestamp":5}"#;
    assert_eq!(encoded(truncate).unwrap(), wanted);
    let rows = [
        (r#"{"operation":"message"}"#, "prefix is missing"),
        (
            r#"{"operation":"message","prefix":"\u0000"}"#,
            "prefix contains a null character",
        ),
        (
            r#"{"operation":"message","prefix":"p","collection":"u"}"#,
            "a message belongs to no collection",
        ),
        (
            r#"{"operation":"message","prefix":"p","transactional":1}"#,
            "transactional is not a boolean",
        ),
        (
            r#"{"operation":"delete","collection":"u","rid":1,"prefix":"p"}"#,
            "prefix and transactional are for messages only",
        ),
        (
            r#"{"operation":"delete","collection":"u","rid":1,"transactional":true}"#,
            "prefix and transactional are for messages only",
        ),
        (r#"{"operation":"truncate"}"#, "collection is missing"),
    ];
    for (line, words) in rows {
        assert_eq!(encoded(line).unwrap_err(), words, "{line}");
    }
}

#[test]
fn a_number_is_there_if_and_only_if_the_session_has_a_producer() {
    let producer = ProducerName::parse("eu").unwrap();
    let line = |more: &str| format!(r#"{{"operation":"delete","collection":"u","rid":1{more}}}"#);
    let read = |more: &str, producer| record_from_json(&line(more), producer);
    let numbered = read(r#","seq":18446744073709551615"#, Some(&producer)).unwrap();
    assert_eq!(
        numbered,
        ChangeRecord::delete("u", 1)
            .with_kind("entity")
            .with_seq(producer.clone(), u64::MAX)
    );
    let no_seq = read("", Some(&producer)).unwrap_err();
    assert_eq!(no_seq, RecordError::NoSeq(producer.clone()));
    assert_eq!(
        no_seq.to_string(),
        "record has no seq, but pgspool.producer is \"eu\""
    );
    let no_producer = read(r#","seq":1"#, None).unwrap_err();
    assert_eq!(no_producer, RecordError::NoProducer);
    let own = read(r#","seq":1,"producer":"us""#, Some(&producer)).unwrap_err();
    assert_eq!(own.to_string(), "unknown key \"producer\"");
    for seq in ["-1", "1.5", "\"1\"", "18446744073709551616"] {
        let odd = read(&format!(",\"seq\":{seq}"), Some(&producer)).unwrap_err();
        let words = "seq is not an integer from 0 to 18446744073709551615";
        assert_eq!(odd.to_string(), words);
    }
    let mut decoder = RecordDecoder::new(TERM, 1000).of_producer(Some(producer));
    let data = format!("{}\n{}\n", line(r#","seq":4"#), line(""));
    let (mut piece, mut out) = (data.as_bytes(), Vec::new());
    let open = decoder.next(&mut piece, NOW, &mut out).unwrap().unwrap();
    assert_eq!(open.numbered.unwrap().seq, 4);
    let error = decoder.next(&mut piece, NOW, &mut out).unwrap_err();
    assert_eq!(error.line(), 2);
    assert!(
        error
            .context()
            .starts_with("COPY changes, line 2: \"{\"operation")
    );
}

#[test]
fn a_published_text_is_read_as_a_line_is() {
    for line in [
        r#"{"operation":"insert","collection":"u","rid":1,"metadata":{"a":1.0}}"#,
        r#"{"operation":"insert","collection":"u"}"#,
        r#"{"operation":"insert","colection":"u","rid":1}"#,
        "[]",
        "",
        r#"{"operation":"refresh","collection":"mv","refresh_records_hex":["AA"],"timestamp":7}"#,
    ] {
        let published = record_from_json(line, None);
        let published = published.map_err(|error| error.to_string()).map(|record| {
            let open = encode_open(&record, TERM, NOW).unwrap();
            filled(&open.bytes, open.lsn_at, 64)
        });
        assert_eq!(published, encoded(line), "{line}");
    }
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
