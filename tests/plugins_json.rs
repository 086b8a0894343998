//! The json plugin: what is stored is what is sent.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use bytes::Bytes;
use pgspool::change::frame_part_prefix;
use pgspool::disk::RealDisk;
use pgspool::lsn::Lsn;
use pgspool::plugins::{FrameView, Messages, Plugin, PluginError, Renderer};
use pgspool::relations::RelationStore;

const RECORD: &str = r#"{"collection":"u","kind":"row","lsn":16777280,"operation":"delete","rid":5,"term":1,"timestamp":1}"#;

fn view(payload: &Bytes, end: u64, term: u64) -> FrameView<'_> {
    FrameView {
        end_lsn: Lsn::new(end),
        term,
        timestamp_ms: 1,
        payload,
    }
}

fn part(first: bool, last: bool, json: &str) -> Bytes {
    let mut payload = frame_part_prefix(first, last).to_vec();
    payload.extend_from_slice(json.as_bytes());
    payload.into()
}

fn no_relations() -> RelationStore {
    let path = std::path::Path::new("/nowhere/relations.json");
    RelationStore::open(std::sync::Arc::new(RealDisk), path).unwrap()
}

fn json() -> Renderer {
    Renderer::start(Plugin::Json, &[], no_relations()).unwrap()
}

fn messages(out: &Messages) -> Vec<(u64, String)> {
    let text = |message: &[u8]| String::from_utf8(message.to_vec()).unwrap();
    out.iter()
        .map(|(lsn, message)| (lsn.get(), text(message)))
        .collect()
}

#[test]
fn a_whole_transaction_is_one_message_at_its_end() {
    let mut out = Messages::default();
    let payload = Bytes::from_static(RECORD.as_bytes());
    let done = json()
        .frame(view(&payload, 16_777_280, 1), &mut out)
        .unwrap();
    assert_eq!(done, Some(Lsn::new(16_777_280)));
    assert_eq!(messages(&out), [(16_777_280, RECORD.to_owned())]);
}

#[test]
fn only_the_last_message_of_a_transaction_carries_its_end() {
    let at = |lsn: u64| RECORD.replace("16777280", &lsn.to_string());
    let mut out = Messages::default();
    let mut plugin = json();
    let frames = [
        part(true, false, &at(1000)),
        part(false, false, &at(1100)),
        part(false, true, &at(1200)),
    ];
    let done = frames
        .each_ref()
        .map(|payload| plugin.frame(view(payload, 1264, 1), &mut out).unwrap());
    assert_eq!(done, [None, None, Some(Lsn::new(1264))]);
    assert_eq!(
        messages(&out),
        [(1000, at(1000)), (1100, at(1100)), (1264, at(1200))]
    );
}

#[test]
fn the_frames_term_wins() {
    let mut out = Messages::default();
    let mut plugin = json();
    plugin
        .frame(
            view(&Bytes::from_static(RECORD.as_bytes()), 64, 7),
            &mut out,
        )
        .unwrap();
    plugin
        .frame(view(&part(true, true, RECORD), 128, 8), &mut out)
        .unwrap();
    let with = |term: &str| RECORD.replace("\"term\":1", &format!("\"term\":{term}"));
    assert_eq!(messages(&out), [(64, with("7")), (128, with("8"))]);
}

#[test]
fn what_is_not_a_record_goes_out_as_it_is() {
    for payload in [
        "plain",
        "{broken",
        "",
        "\u{1}\u{10}no chunk",
        "\u{2}\u{0}not json",
    ] {
        let mut out = Messages::default();
        let stored = Bytes::from_static(payload.as_bytes());
        let done = json().frame(view(&stored, 64, 7), &mut out).unwrap();
        assert_eq!(done, Some(Lsn::new(64)), "{payload:?}");
        assert_eq!(messages(&out), [(64, payload.to_owned())]);
    }
}

/// No hexadecimal of JSON of hexadecimal: a message is never longer than the stored payload.
#[test]
fn w28_bytes_sent_are_the_payloads_even_at_the_cap() {
    const CAP: usize = 256 << 20;
    let head = br#"{"collection":"big","entity_bytes_hex":""#;
    let tail = br#"","kind":"row","lsn":64,"operation":"insert","rid":1,"term":1,"timestamp":1}"#;
    for len in [1000, 1 << 20, CAP] {
        let mut payload = head.to_vec();
        payload.resize(len - tail.len() - (len - tail.len() - head.len()) % 2, b'a');
        payload.extend_from_slice(tail);
        let payload = Bytes::from(payload);
        let mut out = Messages::default();
        json().frame(view(&payload, 64, 1), &mut out).unwrap();
        let (_, message) = out.iter().next().unwrap();
        assert!(message == payload, "changed at {len}");
        assert_eq!(out.num_bytes(), payload.len());
        assert_eq!(out.len(), 1);
    }
}

#[test]
fn there_are_no_options() {
    let options = [("include-xids".to_owned(), Some("1".to_owned()))];
    let error = Renderer::start(Plugin::Json, &options, no_relations()).unwrap_err();
    let wanted = "option \"include-xids\" = \"1\" is unknown".to_owned();
    assert_eq!(error, PluginError::InvalidOption(wanted));
}

#[test]
fn unknown_plugins_are_named_in_postgresqls_words() {
    let error = Plugin::parse("nosuchplugin").unwrap_err();
    let wanted = "could not access file \"nosuchplugin\": No such file or directory";
    assert_eq!(error.to_string(), wanted);
    for plugin in [Plugin::Json, Plugin::TestDecoding] {
        assert_eq!(Plugin::parse(plugin.name()), Ok(plugin));
    }
}
