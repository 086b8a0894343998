//! What reads bytes that others wrote, each as one function over any bytes.
//!
//! For the fuzz targets in `fuzz/`, and for the test that gives them their corpus: whatever the
//! bytes, the answer is a value or an error, and what is a value survives being written and read.
//! A broken promise is a panic.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;

use crate::change::{self, Payload};
use crate::disk::RealDisk;
use crate::hba::{Attempt, HbaRules, IdentMaps};
use crate::lsn::Lsn;
use crate::plugins::{FrameView, Messages, Plugin, Renderer};
use crate::relations::RelationStore;
use crate::sources::ndjson::{RecordDecoder, record_from_json};
use crate::spool::frame::{self, Decoded};
use crate::wire::{ReplicationCommand, StandbyMessage};

/// One target: its name in `fuzz/` and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("startup", crate::server::fuzz::startup),
    ("frontend", crate::server::fuzz::frontend),
    ("replication_command", replication_command),
    ("standby_message", standby_message),
    ("frame", frame),
    ("manifest", crate::spool::fuzz_manifest),
    ("slots", slots),
    ("roles", crate::roles::fuzz_file),
    ("relations", crate::relations::fuzz_file),
    ("change_record", change_record),
    ("text_decoders", text_decoders),
    ("sql", sql),
    ("hba", hba),
    ("pgoutput", crate::pgoutput::fuzz),
    ("assembler", crate::capture::fuzz),
];

/// Runs one target; used by `fuzz/`.
pub fn run(name: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, target) = found.expect("a target of that name");
    target(bytes);
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn replication_command(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        let _refused = ReplicationCommand::parse(text);
    }
}

fn standby_message(bytes: &[u8]) {
    let _refused = StandbyMessage::parse(bytes);
}

/// Frames one after the other, of any version; a v3 frame is the bytes that its values encode to,
/// and every plugin has an answer to what it holds.
fn frame(bytes: &[u8]) {
    let mut rest = bytes;
    let mut renderers = renderers();
    let mut out = Messages::default();
    while let Decoded::Frame(frame) = frame::decode(rest) {
        for renderer in &mut renderers {
            out.clear();
            let view = FrameView {
                end_lsn: frame.lsn,
                term: frame.term.unwrap_or(1),
                timestamp_ms: frame.timestamp_ms,
                payload: &Bytes::copy_from_slice(frame.payload),
            };
            let _refused = renderer.frame(view, &mut out);
        }
        let (front, behind) = rest
            .split_at_checked(frame.len)
            .expect("inside of what is there");
        if let Decoded::Frame(v3) = frame::decode_v3(front)
            && let Some(term) = v3.term
        {
            let mut again = Vec::new();
            frame::encode(&mut again, term, v3.lsn, v3.timestamp_ms, v3.payload);
            assert_eq!(again, front, "a frame is encoded as it was read");
        }
        rest = behind;
    }
    let _fault = frame::fault_at_end(rest);
    let _fault = frame::decode_v3(rest);
}

/// One of each plugin.
fn renderers() -> Vec<Renderer> {
    let pgoutput = [
        ("proto_version", "2"),
        ("publication_names", "p"),
        ("messages", "on"),
        ("streaming", "on"),
    ];
    let plugins: [(Plugin, &[(&str, &str)]); 4] = [
        (Plugin::Json, &[]),
        (Plugin::TestDecoding, &[]),
        (Plugin::Wal2Json, &[("format-version", "2")]),
        (Plugin::Pgoutput, &pgoutput),
    ];
    let start = |(plugin, options): (Plugin, &[(&str, &str)])| {
        let options: Vec<_> = options
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
            .collect();
        Renderer::start(plugin, &options, no_relations()).expect("options that there are")
    };
    plugins.into_iter().map(start).collect()
}

fn no_relations() -> RelationStore {
    let path = std::path::Path::new("/nowhere/relations.json");
    RelationStore::open(Arc::new(RealDisk), path).expect("no file is an empty store")
}

fn slots(bytes: &[u8]) {
    crate::slots::fuzz_file(bytes);
    let _refused = crate::slots::reddb::decode(bytes, 1);
    let _refused = crate::slots::reddb::decode_strict(bytes, 1);
}

/// A payload as it is stored, a record as a producer sends it, and both in the lines of a COPY.
fn change_record(bytes: &[u8]) {
    let stored = change::decode(bytes);
    if let Ok(record) = stored
        && let Ok(encoded) = change::encode(&record)
    {
        let again = change::decode(&encoded).map(|record| change::encode(&record).ok());
        assert_eq!(
            again.ok(),
            Some(Some(encoded)),
            "a record is read as it was written"
        );
    }
    let payload: Payload = change::parse_payload(&Bytes::copy_from_slice(bytes));
    drop(payload);
    if let Some(text) = text(bytes) {
        let _refused = record_from_json(text, None);
    }
    let mut lines = RecordDecoder::new(1, 1 << 16);
    let (mut piece, mut out) = (bytes, Vec::new());
    while let Ok(Some(_)) = lines.next(&mut piece, 1, &mut out) {}
    let _refused = lines.finish(1, &mut out);
}

/// A line `plugin`, tab, `option=value`, tab, ..., and payloads with an empty line between two: what
/// the decoders write is text, and JSON where it is to be.
fn text_decoders(bytes: &[u8]) {
    let line = bytes.split(|byte| *byte == b'\n').next();
    let line = line.unwrap_or_default();
    let Some(head) = text(line) else {
        return;
    };
    let mut words = head.split('\t');
    let plugin = match words.next().map(Plugin::parse) {
        Some(Ok(plugin @ (Plugin::TestDecoding | Plugin::Wal2Json))) => plugin,
        Some(Ok(Plugin::Json | Plugin::Pgoutput) | Err(_)) | None => return,
    };
    let option = |word: &str| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    };
    let options: Vec<_> = words.map(option).collect();
    let Ok(mut renderer) = Renderer::start(plugin, &options, no_relations()) else {
        return;
    };
    let is_json = plugin == Plugin::Wal2Json && !head.contains("write-in-chunks");
    let rest = bytes.get(line.len() + 1..).unwrap_or_default();
    let mut out = Messages::default();
    for (end, payload) in (1..).zip(between_empty_lines(rest)) {
        let frame = FrameView {
            end_lsn: Lsn::new(end * 1000),
            term: 1,
            timestamp_ms: end,
            payload: &Bytes::copy_from_slice(payload),
        };
        let _refused = renderer.frame(frame, &mut out);
    }
    for (_, message) in out.iter() {
        assert!(text(message).is_some(), "a message is text");
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(message);
        assert!(!is_json || json.is_ok(), "a message is JSON");
    }
}

fn between_empty_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some(at) = rest.windows(2).position(|two| two == b"\n\n") {
        let (part, behind) = rest.split_at(at);
        parts.push(part);
        rest = behind.get(2..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

fn sql(bytes: &[u8]) {
    if let Some(text) = text(bytes) {
        crate::server::fuzz::statements(text);
        crate::catalog::fuzz(text);
    }
}

/// Rules and maps; what fits a connection is looked for in both.
fn hba(bytes: &[u8]) {
    let Some(text) = text(bytes) else {
        return;
    };
    if let Ok(rules) = HbaRules::parse(text) {
        for address in [None, Some(IpAddr::V4(Ipv4Addr::LOCALHOST))] {
            let _found = rules.find(&Attempt {
                database: "pgspool",
                is_physical_replication: false,
                user: "ann",
                address,
                is_tls: address.is_none(),
            });
        }
    }
    if let Ok(maps) = IdentMaps::parse(text) {
        let _allowed = maps.allow(Some("m"), "ann@example.org", "ann");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_input_of_the_corpus_is_a_value_or_an_error() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().collect();
            assert!(files.len() >= 5, "{name}: {} inputs", files.len());
            for file in files {
                let path = file.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                println!("{}", path.display());
                target(&bytes);
                // Nor does a beginning of it do harm.
                target(bytes.get(..bytes.len() / 2).unwrap());
            }
        }
    }

    #[test]
    fn every_target_has_a_program_and_every_program_a_target() {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
        let files = fs::read_dir(programs).unwrap();
        let stem = |file: fs::DirEntry| {
            file.path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        };
        let mut found: Vec<_> = files.map(|file| stem(file.unwrap())).collect();
        found.sort();
        let mut names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        assert_eq!(found, names);
    }
}
