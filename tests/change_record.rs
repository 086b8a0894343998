//! Change records: RedDB's JSON in and out, exact and stable.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use std::fs;

use pgspool::change::{
    ChangeRecord, MessageHead, Operation, ProducerName, decode, deliver, encode, encode_open,
    numbered, own_lsn, payload_term,
};
use proptest::prelude::*;
use serde_json::json;

const G8: &str = r#"{"collection":"users","entity_bytes_hex":"0102ff","kind":"row","lsn":7,"metadata":{"f":1.5,"role":"admin","z":1},"operation":"update","rid":42,"term":3,"timestamp":1234}"#;
const G9: &str = r#"{"collection":"u","kind":"row","lsn":9,"operation":"delete","rid":5,"term":1,"timestamp":1}"#;
const G10: &str = r#"{"collection":"mv","kind":"item","lsn":11,"operation":"refresh","refresh_records_hex":["1020",""],"rid":0,"term":4,"timestamp":99}"#;

fn record() -> ChangeRecord {
    ChangeRecord::insert("", 0).with_kind("entity")
}

fn update() -> ChangeRecord {
    ChangeRecord {
        term: 3,
        lsn: 7,
        timestamp: 1234,
        operation: Operation::Update,
        collection: "users".to_owned(),
        entity_id: 42,
        entity_kind: "row".to_owned(),
        entity_bytes: Some(vec![1, 2, 0xff]),
        metadata: Some(json!({"z": 1, "role": "admin", "f": 1.5})),
        ..record()
    }
}

fn delete() -> ChangeRecord {
    ChangeRecord {
        lsn: 9,
        timestamp: 1,
        operation: Operation::Delete,
        collection: "u".to_owned(),
        entity_id: 5,
        ..record()
    }
}

fn refresh() -> ChangeRecord {
    ChangeRecord {
        term: 4,
        lsn: 11,
        timestamp: 99,
        operation: Operation::Refresh,
        collection: "mv".to_owned(),
        entity_kind: "refresh".to_owned(),
        refresh_records: Some(vec![vec![0x10, 0x20], vec![]]),
        ..record()
    }
}

fn text(record: &ChangeRecord) -> String {
    String::from_utf8(encode(record).unwrap()).unwrap()
}

fn error(payload: &str) -> String {
    decode(payload.as_bytes()).unwrap_err().to_string()
}

#[test]
fn rg8_to_rg10_golden_samples_are_encoded_to_the_byte() {
    assert_eq!(text(&update()), G8);
    assert_eq!(text(&delete()), G9);
    assert_eq!(text(&refresh()), G10);
}

#[test]
fn rg8_to_rg10_golden_samples_decode_and_encode_to_themselves() {
    for golden in [G8, G9, G10] {
        assert_eq!(text(&decode(golden.as_bytes()).unwrap()), golden);
    }
    assert_eq!(decode(G8.as_bytes()).unwrap(), update());
}

#[test]
fn our_fields_stand_between_reddbs_in_order() {
    let full = ChangeRecord {
        changed_columns: Some(vec!["b".to_owned()]),
        metadata: Some(json!(1)),
        ..update()
    };
    let full = full
        .with_old([0xab, 0xcd])
        .with_unchanged(["c", "d"])
        .with_seq(ProducerName::parse("eu \"1\"").unwrap(), u64::MAX);
    let wanted = r#"{"changed_columns":["b"],"collection":"users","entity_bytes_hex":"0102ff","kind":"row","lsn":7,"metadata":1,"old":"abcd","operation":"update","producer":"eu \"1\"","rid":42,"seq":18446744073709551615,"term":3,"timestamp":1234,"unchanged":["c","d"]}"#;
    assert_eq!(text(&full), wanted);
    assert_eq!(decode(wanted.as_bytes()).unwrap(), full);
    assert_eq!(numbered(wanted.as_bytes()), full.numbered);
    assert_eq!(
        numbered(&[b"\x02\x01", wanted.as_bytes()].concat()),
        full.numbered
    );
    // Another term is told anew, and nothing else changes.
    let delivered = decode(&deliver(wanted.as_bytes(), 8)).unwrap();
    assert_eq!(delivered, ChangeRecord { term: 8, ..full });
}

#[test]
fn messages_and_truncates_read_back() {
    let message = ChangeRecord {
        lsn: 7,
        timestamp: 5,
        ..ChangeRecord::message(false, "p", "abc")
    };
    let wanted = r#"{"collection":"","entity_bytes_hex":"616263","kind":"item","lsn":7,"operation":"message","prefix":"p","rid":0,"term":1,"timestamp":5,"transactional":false}"#;
    assert_eq!(text(&message), wanted);
    assert_eq!(
        decode(wanted.as_bytes()).unwrap(),
        message.with_kind("item")
    );
    let truncate = ChangeRecord::truncate("u");
    assert_eq!(decode(text(&truncate).as_bytes()).unwrap(), truncate);
    let headless = ChangeRecord {
        message: None,
        ..ChangeRecord::message(true, "p", "")
    };
    let two_heads = ChangeRecord {
        message: Some(MessageHead {
            prefix: "p".to_owned(),
            transactional: true,
        }),
        ..delete()
    };
    assert!(encode(&headless).is_err() && encode(&two_heads).is_err());
}

#[test]
fn odd_values_of_our_keys_are_as_good_as_not_there() {
    // Somebody else's record may use the same names for something else.
    let odd = r#"{"operation":"delete","old":"zz","unchanged":"x","producer":"a","seq":"b","prefix":1,"transactional":7}"#;
    let wanted = decode(br#"{"operation":"delete"}"#).unwrap();
    assert_eq!(decode(odd.as_bytes()).unwrap(), wanted);
    for numbers in [
        r#""producer":"","seq":1"#,
        r#""producer":"a""#,
        r#""seq":1"#,
    ] {
        let payload = format!("{{\"operation\":\"delete\",{numbers}}}");
        assert_eq!(decode(payload.as_bytes()).unwrap(), wanted);
    }
}

#[test]
fn rg11_missing_and_odd_members_get_their_defaults() {
    let bare = decode(br#"{"operation":"insert"}"#).unwrap();
    assert_eq!(bare, record());

    let odd = decode(br#"{"operation":"insert","metadata":null,"lsn":-1,"term":0}"#).unwrap();
    assert_eq!((odd.term, odd.lsn), (0, 0));
    assert_eq!(odd.metadata, Some(serde_json::Value::Null));

    let upper = br#"{"operation":"insert","entity_bytes_hex":"ABcd","lsn":7.9}"#;
    let upper = decode(upper).unwrap();
    assert_eq!((upper.lsn, upper.entity_bytes), (7, Some(vec![0xab, 0xcd])));

    for payload in [
        r#"{"operation":"insert","entity_bytes_hex":"zz"}"#,
        r#"{"operation":"insert","entity_bytes_hex":"abc"}"#,
    ] {
        assert_eq!(
            error(payload),
            "invalid hexadecimal digits in entity_bytes_hex"
        );
    }
}

#[test]
fn decoding_follows_reddbs_table() {
    let decoded = |members: &str| {
        let payload = format!("{{\"operation\":\"delete\"{members}}}");
        decode(payload.as_bytes()).unwrap()
    };
    assert_eq!(decoded(r#","term":"2""#).term, 1);
    assert_eq!(decoded(r#","term":-2"#).term, 1);
    assert_eq!(decoded(r#","term":1e3"#).term, 1000);
    assert_eq!(decoded(r#","timestamp":[1]"#).timestamp, 0);
    assert_eq!(decoded(r#","rid":1,"entity_id":2"#).entity_id, 1);
    assert_eq!(decoded(r#","rid":null,"entity_id":2"#).entity_id, 0);
    assert_eq!(decoded(r#","entity_id":2"#).entity_id, 2);
    assert_eq!(
        decoded(r#","kind":"kv","entity_kind":"row""#).entity_kind,
        "kv"
    );
    assert_eq!(decoded(r#","entity_kind":"row""#).entity_kind, "row");
    assert_eq!(decoded("").entity_kind, "entity");
    assert_eq!(decoded(r#","entity_bytes_hex":5"#).entity_bytes, None);
    assert_eq!(
        decoded(r#","entity_bytes_hex":"""#).entity_bytes,
        Some(vec![])
    );
    assert_eq!(
        decoded(r#","refresh_records_hex":null"#).refresh_records,
        None
    );
    assert_eq!(decoded(r#","rid":1,"rid":2"#).entity_id, 2);
    assert_eq!(decoded(r#","r\u0069d":7"#).entity_id, 7);
    assert_eq!(decoded(r#","rid":{"a":[1.5]},"entity_id":2"#).entity_id, 0);
    assert_eq!(decoded(r#","term":-2.5"#).term, 1);
    assert_eq!(decoded(r#","unknown":{"rid":[9,{"x":null}]}"#).entity_id, 0);
}

#[test]
fn what_is_not_a_record_says_why() {
    for payload in [
        "[]",
        "5",
        "{}",
        r#"{"operation":"INSERT"}"#,
        r#"{"operation":"replace"}"#,
        r#"{"operation":1}"#,
    ] {
        assert_eq!(error(payload), "invalid replication operation");
    }
    let with = |members: &str| error(&format!("{{\"operation\":\"refresh\",{members}}}"));
    assert_eq!(
        with(r#""refresh_records_hex":"""#),
        "refresh_records_hex is not an array"
    );
    assert_eq!(
        with(r#""refresh_records_hex":[1]"#),
        "refresh_records_hex entry not a string"
    );
    assert_eq!(
        with(r#""changed_columns":{}"#),
        "changed_columns is not an array"
    );
    assert_eq!(with(r#""rid":18446744073709551616"#), "rid is out of range");
    assert_eq!(with(r#""term":1e19"#), "term is out of range");
    assert_eq!(with(r#""lsn":9007199254740993.5"#), "lsn is out of range");
    assert_eq!(error("{"), "EOF while parsing an object at line 1 column 1");
    assert!(decode(b"\xff{}").is_err());
    assert!(decode(b"").is_err());
}

#[test]
fn constructors_make_what_a_line_would() {
    let rows = [
        (
            ChangeRecord::update("users", 42)
                .with_entity([1, 2, 0xff])
                .with_metadata(json!({"z": 1}))
                .with_changed_columns(["email"])
                .with_timestamp(5),
            r#"{"operation":"update","collection":"users","rid":42,"kind":"row","entity_bytes_hex":"0102ff","metadata":{"z":1},"changed_columns":["email"],"timestamp":5}"#,
        ),
        (
            ChangeRecord::insert("k".to_owned(), 1).with_kind("kv"),
            r#"{"operation":"insert","collection":"k","rid":1,"kind":"kv"}"#,
        ),
        (
            ChangeRecord::delete("users", 1),
            r#"{"operation":"delete","collection":"users","rid":1,"kind":"row"}"#,
        ),
        (
            ChangeRecord::refresh("mv", [vec![0x10], vec![]]),
            r#"{"operation":"refresh","collection":"mv","kind":"refresh","refresh_records_hex":["10",""]}"#,
        ),
    ];
    for (record, line) in rows {
        assert_eq!(record, decode(line.as_bytes()).unwrap());
    }
}

#[test]
fn r16_change_record_roundtrip() {
    let given = ChangeRecord {
        entity_bytes: Some(vec![1, 2, 3]),
        metadata: Some(json!({"role": "admin"})),
        ..update()
    };
    assert_eq!(decode(&encode(&given).unwrap()).unwrap(), given);
}

#[test]
fn r17_refresh_roundtrip_keeps_order_and_empty_rows() {
    let given = ChangeRecord {
        collection: "mv_orders_summary".to_owned(),
        refresh_records: Some(vec![vec![0x10, 0x20, 0x30], vec![0xaa, 0xbb], vec![]]),
        ..refresh()
    };
    let decoded = decode(&encode(&given).unwrap()).unwrap();
    assert_eq!(decoded.term, 4);
    assert_eq!(decoded.operation, Operation::Refresh);
    assert_eq!(decoded.collection, given.collection);
    assert_eq!(decoded.refresh_records, given.refresh_records);
}

#[test]
fn r18_legacy_payload_defaults_its_term() {
    let payload = br#"{"lsn":9,"timestamp":1,"operation":"delete","collection":"users","rid":5,"kind":"row"}"#;
    let decoded = decode(payload).unwrap();
    assert_eq!((decoded.term, decoded.lsn), (1, 9));
    assert_eq!(payload_term(payload), 1);
    assert_eq!(payload_term(b"oldest"), 1);
    assert_eq!(payload_term(G8.as_bytes()), 3);
}

#[test]
fn r20_changed_columns_travel_with_an_update() {
    let columns = vec!["email".to_owned(), "age".to_owned()];
    let given = ChangeRecord {
        changed_columns: Some(columns.clone()),
        ..update()
    };
    assert!(text(&given).starts_with(r#"{"changed_columns":["email","age"],"collection":"#));
    assert_eq!(
        decode(&encode(&given).unwrap()).unwrap().changed_columns,
        Some(columns)
    );
    assert_eq!(decode(G8.as_bytes()).unwrap().changed_columns, None);
}

#[test]
fn w12_numbers_past_2_to_the_53_are_exact_both_ways() {
    for number in [
        (1 << 53) + 1,
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        u64::MAX,
    ] {
        let given = ChangeRecord {
            term: number,
            lsn: number,
            timestamp: number,
            entity_id: number,
            metadata: Some(json!({"n": number, "negative": i64::MIN})),
            ..update()
        };
        assert_eq!(decode(&encode(&given).unwrap()).unwrap(), given);
        let delivered = deliver(&encode(&given).unwrap(), 5).into_owned();
        let delivered = decode(&delivered).unwrap();
        assert_eq!(delivered, ChangeRecord { term: 5, ..given });
    }
}

#[test]
fn metadata_numbers_stay_as_the_producer_wrote_them() {
    let payload = r#"{"operation":"delete","term":2,"metadata":{"b":1.0,"a":2.50,"big":123456789012345678901234567890,"c":0.1000000000000000055511151231257827}}"#;
    let delivered = String::from_utf8(deliver(payload.as_bytes(), 3).into_owned()).unwrap();
    let wanted = r#""metadata":{"a":2.50,"b":1.0,"big":123456789012345678901234567890,"c":0.1000000000000000055511151231257827}"#;
    assert!(delivered.contains(wanted), "{delivered}");
}

#[test]
fn the_frames_term_wins_and_everything_else_is_verbatim() {
    let foreign = G8.replace(",\"kind\"", ", \"kind\"");
    for payload in [
        G8,
        foreign.as_str(),
        "not json",
        "{}",
        "{\"operation\":\"x\",\"term\":9}",
    ] {
        let delivered = deliver(payload.as_bytes(), 3);
        assert!(matches!(delivered, std::borrow::Cow::Borrowed(_)));
        assert_eq!(delivered, payload.as_bytes());
    }
    for payload in [G8, foreign.as_str()] {
        let wanted = G8.replace("\"term\":3", "\"term\":12");
        assert_eq!(deliver(payload.as_bytes(), 12), wanted.as_bytes());
    }
}

#[test]
fn a_hole_is_left_where_the_lsn_goes() {
    let open = encode_open(&update(), 9, 77).unwrap();
    let mut bytes = open.bytes.to_vec();
    bytes.splice(open.lsn_at..open.lsn_at, *b"123");
    let wanted = G8
        .replace("\"lsn\":7", "\"lsn\":123")
        .replace("\"term\":3", "\"term\":9");
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), wanted);
    assert_eq!(own_lsn(&bytes), Some(123));
    let undated = ChangeRecord {
        timestamp: 0,
        ..update()
    };
    let open = encode_open(&undated, 9, 77).unwrap();
    assert!(open.bytes.ends_with(b"\"timestamp\":77}"));
}

#[test]
fn metadata_that_could_not_be_read_back_is_refused() {
    let nested = |levels: u32| ChangeRecord {
        metadata: Some((0..levels).fold(json!(1), |inner, _| json!([{"a": inner}]))),
        ..update()
    };
    let deepest = nested(63);
    assert_eq!(decode(&encode(&deepest).unwrap()).unwrap(), deepest);
    assert_eq!(
        encode(&nested(64)).unwrap_err().to_string(),
        "metadata is nested too deeply"
    );
    let line = text(&deepest).replace("[{\"a\":1}]", "[{\"a\":[1]}]");
    assert!(error(&line).starts_with("recursion limit exceeded"));
}

#[test]
fn nesting_costs_no_stack() {
    let deep = "[".repeat(1 << 20);
    for key in ["metadata", "rid", "changed_columns", "unknown"] {
        let payload = format!("{{\"operation\":\"insert\",\"{key}\":{deep}");
        assert!(decode(payload.as_bytes()).is_err(), "{key}");
    }
    assert!(decode(deep.as_bytes()).is_err());
    // JSON in a string, however often, is a string.
    let inner = "{\"$serde_json::private::RawValue\":\"[]\"}";
    let payload = format!("{{\"operation\":\"insert\",\"metadata\":{inner}}}");
    let metadata = decode(payload.as_bytes()).unwrap().metadata.unwrap();
    assert_eq!(metadata.to_string(), inner);
}

#[test]
fn metadata_is_kept_whatever_its_members_are_called() {
    for metadata in [
        r#"{"$serde_json::private::RawValue":"[]"}"#,
        r#"{"$serde_json::private::RawValue":"not json"}"#,
        r#"{"$serde_json::private::RawValue":5}"#,
        r#"{"$serde_json::private::Number":"5"}"#,
        r#"{"$serde_json::private::Number":"five"}"#,
        r#"[{"a":{"$serde_json::private::Number":[1.50,"x"],"b":"\"\\"}}]"#,
        r#"{"$serde_json::private::RawValue":"{}","z":1.500}"#,
    ] {
        let payload = format!("{{\"operation\":\"insert\",\"metadata\":{metadata}}}");
        let found = decode(payload.as_bytes()).unwrap();
        assert_eq!(found.metadata.as_ref().unwrap().to_string(), metadata);
        let encoded = String::from_utf8(encode(&found).unwrap()).unwrap();
        assert!(encoded.contains(metadata), "{encoded}");
    }
    let escaped = r#"{"operation":"insert","metadata":{"\u0024serde_json\u003a:private::Number":"5","\u0041":"\n"}}"#;
    let found = decode(escaped.as_bytes()).unwrap().metadata.unwrap();
    let wanted = r#"{"$serde_json::private::Number":"5","A":"\n"}"#;
    assert_eq!(found.to_string(), wanted);
    // Numbers that are no metadata still are numbers.
    let payload = br#"{"operation":"insert","rid":5.9,"metadata":1.250}"#;
    let found = decode(payload).unwrap();
    assert_eq!(found.entity_id, 5);
    assert_eq!(found.metadata.unwrap().to_string(), "1.250");
}

/// Payloads of the v3 frames (33-byte header) in a file written by RedDB 1.9.0.
fn reddb_payloads(name: &str) -> Vec<(u64, u64, Vec<u8>)> {
    let path = format!("{}/tests/fixtures/reddb/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = fs::read(path).unwrap();
    let u64_at = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let mut found = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let len = u32::from_le_bytes(file[at + 29..at + 33].try_into().unwrap()) as usize;
        found.push((
            u64_at(at + 5),
            u64_at(at + 13),
            file[at + 33..at + 33 + len].to_vec(),
        ));
        at += 33 + len + 4;
    }
    found
}

#[test]
fn every_record_written_by_reddb_is_encoded_to_the_same_bytes() {
    let expected = format!(
        "{}/tests/fixtures/reddb/shop.expected.tsv",
        env!("CARGO_MANIFEST_DIR")
    );
    let expected = fs::read_to_string(expected).unwrap();
    let payloads = reddb_payloads("shop.rdb.logical.wal");
    assert_eq!(payloads.len(), 600);
    for ((term, lsn, payload), row) in payloads.iter().zip(expected.lines().skip(1)) {
        let decoded = decode(payload).unwrap();
        assert_eq!(encode(&decoded).unwrap(), *payload);
        assert_eq!(deliver(payload, *term), payload.as_slice());
        assert_eq!((decoded.term, decoded.lsn), (*term, *lsn));
        let columns: Vec<_> = row.split('\t').collect();
        let found = [
            decoded.lsn.to_string(),
            decoded.term.to_string(),
            decoded.timestamp.to_string(),
            decoded.operation.name().to_owned(),
            decoded.collection,
            decoded.entity_id.to_string(),
            decoded.entity_kind,
        ];
        assert_eq!(columns[..7], found);
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1_000_000i32..1_000_000).prop_map(|n| json!(f64::from(n) / 64.0 + 1.0 / 128.0)),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map(any::<String>(), inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_record() -> impl Strategy<Value = ChangeRecord> {
    let operation = prop_oneof![
        Just(Operation::Insert),
        Just(Operation::Update),
        Just(Operation::Delete),
        Just(Operation::Refresh),
    ];
    let kind = prop_oneof![
        Just("row"),
        Just("node"),
        Just("edge"),
        Just("kv"),
        Just("document"),
        Just("vector"),
        Just("item"),
    ];
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    (
        (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()),
        operation,
        any::<String>(),
        kind,
        prop::option::of(bytes()),
        prop::option::of(any_json()),
        prop::option::of(prop::collection::vec(bytes(), 0..4)),
        prop::option::of(prop::collection::vec(any::<String>(), 0..4)),
    )
        .prop_map(
            |(numbers, operation, collection, kind, entity_bytes, metadata, rows, columns)| {
                ChangeRecord {
                    term: numbers.0,
                    lsn: numbers.1,
                    timestamp: numbers.2,
                    entity_id: numbers.3,
                    operation,
                    collection,
                    entity_kind: kind.to_owned(),
                    entity_bytes,
                    metadata,
                    refresh_records: rows,
                    changed_columns: columns,
                    ..record()
                }
            },
        )
}

proptest! {
    #[test]
    fn any_record_reads_back_as_it_was(record in any_record()) {
        let encoded = encode(&record).unwrap();
        prop_assert_eq!(decode(&encoded).unwrap(), record.clone());
        prop_assert_eq!(encode(&decode(&encoded).unwrap()).unwrap(), encoded.clone());
        prop_assert_eq!(deliver(&encoded, record.term), encoded.as_slice());
        // It is ordinary JSON with sorted keys to everybody else.
        let foreign: serde_json::Value = serde_json::from_slice(&encoded).unwrap();
        prop_assert_eq!(&foreign["lsn"], &json!(record.lsn));
        prop_assert_eq!(&foreign["collection"], &json!(record.collection));
    }

    #[test]
    fn delivery_changes_the_term_and_nothing_else(record in any_record(), term in any::<u64>()) {
        let delivered = deliver(&encode(&record).unwrap(), term).into_owned();
        prop_assert_eq!(decode(&delivered).unwrap(), ChangeRecord { term, ..record });
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), term: u64) {
        let _ = decode(&bytes);
        let _ = deliver(&bytes, term);
        let _ = pgspool::change::boundary(&bytes);
        let _ = pgspool::change::parse_payload(&bytes.into());
    }

    #[test]
    fn a_damaged_record_never_panics_and_json_is_judged_as_serde_json_does(
        record in any_record(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let mut damaged = encode(&record).unwrap();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let theirs = serde_json::from_slice::<serde_json::Value>(&damaged);
        if decode(&damaged).is_ok() {
            prop_assert!(theirs.is_ok());
        }
        if let Err(ours) = decode(&damaged) {
            let about_json = ours.to_string().contains(" at line ");
            prop_assert!(theirs.is_err() || !about_json, "{}", ours);
        }
        let _ = deliver(&damaged, 1);
    }
}
