//! The wal2json plugin: version 2.5's JSON. The texts were recorded from PostgreSQL 15.18 with
//! wal2json 2.5, and a table of the columns that change records are shown with; declared tables
//! are compared in `compat/test_text_plugins.py`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use bytes::Bytes;
use pgspool::change::{ChangeRecord, encode, frame_part_prefix};
use pgspool::disk::RealDisk;
use pgspool::lsn::Lsn;
use pgspool::plugins::{FrameView, Messages, Plugin, PluginError, Renderer};
use pgspool::relations::RelationStore;

const VERSION_2: (&str, Option<&str>) = ("format-version", Some("2"));
const INSERT: &str =
    r#"{"collection":"users","operation":"insert","rid":1,"kind":"row","entity_bytes_hex":"00ff"}"#;
const COLUMNS: &str = r#""columnnames":["rid","kind","entity","document","metadata"],"columntypes":["bigint","text","bytea","jsonb","jsonb"]"#;

fn start(options: &[(&str, Option<&str>)]) -> Result<Renderer, PluginError> {
    let options: Vec<_> = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
        .collect();
    let path = std::path::Path::new("/nowhere/relations.json");
    let relations = RelationStore::open(std::sync::Arc::new(RealDisk), path).unwrap();
    Renderer::start(Plugin::Wal2Json, &options, relations)
}

/// The messages of transactions, of which each is one payload that stands alone or several.
fn render(options: &[(&str, Option<&str>)], payloads: &[Vec<u8>]) -> Vec<(u64, String)> {
    let mut plugin = start(options).unwrap();
    let mut out = Messages::default();
    for payload in payloads {
        let payload = Bytes::copy_from_slice(payload);
        let view = FrameView {
            end_lsn: Lsn::new(6000),
            term: 1,
            timestamp_ms: 1_795_416_672_640,
            payload: &payload,
        };
        plugin.frame(view, &mut out).unwrap();
    }
    let text = |message: &[u8]| String::from_utf8(message.to_vec()).unwrap();
    let messages = out.iter().map(|(lsn, message)| (lsn.get(), text(message)));
    messages.collect()
}

fn texts(options: &[(&str, Option<&str>)], payload: &str) -> Vec<String> {
    let messages = render(options, &[payload.as_bytes().to_vec()]);
    messages.into_iter().map(|(_, text)| text).collect()
}

/// Two deletes at 5100 and 5500, as the parts of one transaction that ends at 6000.
fn two_deletes() -> Vec<Vec<u8>> {
    let delete = |first, last, lsn: u64| {
        let record = format!(
            r#"{{"collection":"users","operation":"delete","rid":{lsn},"kind":"row","lsn":{lsn}}}"#
        );
        [&frame_part_prefix(first, last)[..], record.as_bytes()].concat()
    };
    vec![delete(true, false, 5100), delete(false, true, 5500)]
}

#[test]
fn a_transaction_is_one_text_in_format_1_and_carries_its_end() {
    let wanted = format!(
        r#"{{"change":[{{"kind":"insert","schema":"public","table":"users",{COLUMNS},"columnvalues":[1,"row","00ff",null,null]}}]}}"#
    );
    assert_eq!(render(&[], &[INSERT.into()]), [(6000, wanted)]);
    let messages = render(&[], &two_deletes());
    assert_eq!(messages.len(), 1);
    let key = |rid| {
        format!(
            r#"{{"kind":"delete","schema":"public","table":"users","oldkeys":{{"keynames":["rid"],"keytypes":["bigint"],"keyvalues":[{rid}]}}}}"#
        )
    };
    let wanted = format!(r#"{{"change":[{},{}]}}"#, key(5100), key(5500));
    assert_eq!(messages[0], (6000, wanted));
}

#[test]
fn chunks_are_messages_of_their_own() {
    let messages = render(&[("write-in-chunks", None)], &two_deletes());
    let shapes: Vec<_> = messages
        .iter()
        .map(|(lsn, text)| (*lsn, text.get(..9).unwrap_or(text)))
        .collect();
    assert_eq!(
        shapes,
        [
            (5100, "{\"change\""),
            (5100, "{\"kind\":\""),
            (5500, ",{\"kind\":"),
            (6000, "]}")
        ]
    );
}

#[test]
fn lines_are_broken_and_indented_as_the_original_does() {
    let options = [("pretty-print", None), ("include-types", Some("0"))];
    let update = r#"{"collection":"users","operation":"truncate","rid":0,"kind":"row"}"#;
    assert_eq!(texts(&options, update), ["{\n\t\"change\": [\n\t]\n}"]);
    let delete = r#"{"collection":"users","operation":"delete","rid":1,"kind":"row"}"#;
    assert_eq!(
        texts(&options, delete),
        [
            "{\n\t\"change\": [\n\t\t{\n\t\t\t\"kind\": \"delete\",\n\t\t\t\"schema\": \"public\",\n\
             \t\t\t\"table\": \"users\",\n\t\t\t\"oldkeys\": {\n\t\t\t\t\"keynames\": [\"rid\"],\n\
             \t\t\t\t\"keyvalues\": [1]\n\t\t\t}\n\t\t}\n\t]\n}"
        ]
    );
}

#[test]
fn format_2_writes_a_text_a_change_between_begin_and_commit() {
    let options = [VERSION_2, ("include-lsn", None), ("include-xids", None)];
    let wanted = [
        (
            5100,
            r#"{"action":"B","xid":750,"lsn":"0/1768","nextlsn":"0/1770"}"#,
        ),
        (
            5100,
            r#"{"action":"D","xid":750,"lsn":"0/13EC","schema":"public","table":"users","identity":[{"name":"rid","type":"bigint","value":5100}]}"#,
        ),
        (
            5500,
            r#"{"action":"D","xid":750,"lsn":"0/157C","schema":"public","table":"users","identity":[{"name":"rid","type":"bigint","value":5500}]}"#,
        ),
        (
            6000,
            r#"{"action":"C","xid":750,"lsn":"0/1768","nextlsn":"0/1770"}"#,
        ),
    ];
    let wanted = wanted.map(|(lsn, text)| (lsn, text.to_owned()));
    assert_eq!(render(&options, &two_deletes()), wanted);
}

#[test]
fn without_a_commit_the_last_change_carries_the_end() {
    let off = ("include-transaction", Some("off"));
    let lsns = |options: &[_]| {
        let messages = render(options, &two_deletes());
        messages.iter().map(|(lsn, _)| *lsn).collect::<Vec<_>>()
    };
    assert_eq!(lsns(&[VERSION_2, off]), [5100, 6000]);
    assert!(lsns(&[VERSION_2, off, ("actions", Some("insert"))]).is_empty());
}

#[test]
fn a_message_belongs_to_its_transaction_or_to_none() {
    let payload = |transactional| {
        let record = ChangeRecord::message(transactional, "p", "co\"n");
        vec![encode(&record).unwrap()]
    };
    let all = ["include-xids", "include-timestamp", "include-origin"].map(|name| (name, None));
    let options = [&all[..], &[VERSION_2]].concat();
    assert_eq!(
        render(&options, &payload(false)),
        [(
            6000,
            r#"{"action":"M","xid":null,"timestamp":null,"origin":null,"transactional":false,"prefix":"p","content":"co\"n"}"#.to_owned()
        )]
    );
    assert_eq!(
        render(&options, &payload(true))[1].1,
        r#"{"action":"M","xid":750,"timestamp":"2026-11-23 06:51:12.64+00","origin":0,"transactional":true,"prefix":"p","content":"co\"n"}"#
    );
    assert_eq!(
        render(&all, &payload(false))[0].1,
        r#"{"change":[{"kind":"message","transactional":false,"prefix":"p","content":"co\"n"}]}"#
    );
    let hidden = [VERSION_2, ("filter-msg-prefixes", Some("p"))];
    assert!(render(&hidden, &payload(false)).is_empty());
    let shown = [VERSION_2, ("add-msg-prefixes", Some("p, q"))];
    assert_eq!(render(&shown, &payload(false)).len(), 1);
}

#[test]
fn what_is_no_text_is_shown_as_bytea_is() {
    let record = ChangeRecord::message(false, "p", [0, 0xff]);
    let messages = render(&[VERSION_2], &[encode(&record).unwrap()]);
    let wanted = r#"{"action":"M","transactional":false,"prefix":"p","content":"\\x00ff"}"#;
    assert_eq!(messages[0].1, wanted);
}

#[test]
fn tables_and_actions_that_are_not_wanted_are_left_out() {
    for (option, is_shown) in [
        (("filter-tables", "public.users"), false),
        (("filter-tables", "*.orders"), true),
        (("add-tables", "*.users"), true),
        (("add-tables", "sales.*"), false),
        (("actions", "update, delete"), false),
        (("actions", "insert"), true),
    ] {
        let options = [VERSION_2, (option.0, Some(option.1))];
        let shown = texts(&options, INSERT).len() == 3;
        assert_eq!(shown, is_shown, "{option:?}");
    }
}

#[test]
fn an_option_that_is_wrong_is_refused_in_the_originals_words() {
    let text = |name: &str, value: &str| {
        format!("could not parse value \"{value}\" for parameter \"{name}\"")
    };
    let unknown = "option \"numeric-data-types-as-string\" = \"(null)\" is unknown";
    let deprecated = "parameter \"include-unchanged-toast\" was deprecated";
    for (name, value, wanted) in [
        (
            "include-pk",
            Some("x"),
            PluginError::InvalidOption(text("include-pk", "x")),
        ),
        (
            "pretty-print",
            Some(""),
            PluginError::InvalidOption(text("pretty-print", "")),
        ),
        (
            "add-tables",
            Some("x"),
            PluginError::InvalidName(text("add-tables", "x")),
        ),
        (
            "numeric-data-types-as-string",
            None,
            PluginError::InvalidOption(unknown.to_owned()),
        ),
        (
            "include-unchanged-toast",
            Some("1"),
            PluginError::InvalidName(deprecated.to_owned()),
        ),
    ] {
        assert_eq!(start(&[(name, value)]).unwrap_err(), wanted);
    }
    for name in ["filter-origins", "include-domain-data-type"] {
        start(&[(name, Some("1"))]).unwrap();
    }
}
