//! Captured transactions, rendered, beside what PostgreSQL 15 sent of the same workload.

#![allow(clippy::wildcard_enum_match_arm)] // messages that a test does not care for

use std::collections::HashMap;
use std::sync::Arc;

use super::*;
use crate::change::{ChunkFlags, begin_chunk, begin_message, set_flags};
use crate::pgoutput::{Context, Message, Protocol};
use crate::relations::{Publication, PublishedTable, Relation, Schema};
use crate::rows::described_table;

type Line = (Lsn, Vec<u8>);

/// Messages of a transaction, or a message by itself.
struct Unit {
    end: Lsn,
    messages: Vec<Line>,
}

fn lines(name: &str) -> Vec<(String, String)> {
    let path = format!(
        "{}/tests/fixtures/captured/{name}.tsv",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| line.split_once('\t').unwrap());
    lines.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn recorded() -> Vec<Line> {
    let messages = lines("pgoutput").into_iter();
    messages
        .map(|(lsn, message)| (lsn.parse().unwrap(), hex::decode(message).unwrap()))
        .collect()
}

fn decoded(message: &[u8]) -> Message<'_> {
    Message::decode(message, Context::new(Protocol::V1)).unwrap()
}

fn units(messages: Vec<Line>) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut open = Vec::new();
    for (lsn, message) in messages {
        let end = match (message[0], open.is_empty()) {
            (b'M', true) => Some(lsn.saturating_add(8)),
            (b'C', false) => Some(lsn),
            _ => None,
        };
        open.push((lsn, message));
        if let Some(end) = end {
            let messages = std::mem::take(&mut open);
            units.push(Unit { end, messages });
        }
    }
    assert!(open.is_empty());
    units
}

/// Its chunks, of about `size` bytes.
fn chunks(messages: &[Line], size: usize, large: bool) -> Vec<Bytes> {
    let mut all = Vec::new();
    for (lsn, message) in messages {
        begin_message(*lsn, u32::try_from(message.len()).unwrap(), &mut all);
        all.extend_from_slice(message);
    }
    // Cut anywhere but in what stands before a message.
    let mut cuts = vec![0];
    let (mut at, mut heads) = (0, Vec::new());
    for (_, message) in messages {
        heads.push(at..at + 12);
        at += 12 + message.len();
    }
    while cuts.last().unwrap() + size < all.len() {
        let cut = cuts.last().unwrap() + size;
        let head = heads.iter().find(|head| head.contains(&cut));
        cuts.push(head.map_or(cut, |head| head.end));
    }
    cuts.push(all.len());
    cuts.dedup();
    let count = cuts.len() - 1;
    let ends: Vec<usize> = heads.iter().map(|head| head.start).collect();
    (0..count)
        .map(|number| {
            let mut chunk = Vec::new();
            begin_chunk(&mut chunk);
            chunk.extend_from_slice(&all[cuts[number]..cuts[number + 1]]);
            let cut = cuts[number + 1];
            let flags = ChunkFlags {
                first: number == 0,
                last: number + 1 == count,
                continued: cut < all.len() && !ends.contains(&cut),
                large,
            };
            set_flags(&mut chunk, flags);
            chunk.into()
        })
        .collect()
}

fn store() -> (tempfile::TempDir, RelationStore) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(crate::disk::RealDisk);
    let store = RelationStore::open(disk, &dir.path().join("relations.json")).unwrap();
    (dir, store)
}

fn publication(name: &str, tables: Option<Vec<PublishedTable>>) -> Publication {
    Publication {
        oid: 90_000 + u32::from(name.as_bytes()[0]),
        name: name.to_owned(),
        all_tables: tables.is_none(),
        insert: true,
        update: true,
        delete: true,
        truncate: true,
        via_root: false,
        captured: false,
        tables: tables.unwrap_or_default(),
        schemas: Vec::new(),
    }
}

/// Notes what the units describe as a capture does.
fn mirror(store: &RelationStore, units: &[Unit]) {
    let names: HashMap<u32, String> = lines("types")
        .into_iter()
        .map(|(oid, name)| (oid.parse().unwrap(), name))
        .collect();
    let begin = |set: &mut crate::relations::RelationSet| {
        set.schemas.push(Schema {
            oid: 80_000,
            name: "other".to_owned(),
        });
        set.publications.push(publication("p", None));
    };
    store.mirror(Lsn::ZERO, begin).unwrap();
    for unit in units {
        let mut types = Vec::new();
        for (_, message) in &unit.messages {
            match decoded(message) {
                Message::Type { oid, .. } => types.push((oid, message.clone())),
                Message::Relation(relation) => {
                    let oid = relation.oid;
                    let define = |set: &mut crate::relations::RelationSet| {
                        let mut table =
                            described_table(set.relation_by_oid(oid), message, &types).unwrap();
                        for ty in &mut table.upstream.as_mut().unwrap().types {
                            ty.format_name.clone_from(&names[&ty.oid]);
                        }
                        // NOT NULL is not told either.
                        match table.name.as_str() {
                            "orders" => table.columns[1].not_null = true,
                            "indexed" => table.columns[0].not_null = true,
                            _ => {}
                        }
                        if table.name == "typed" {
                            // The order of its key is not told.
                            table.keys[0].columns = vec![4, 1];
                        }
                        set.relations.retain(|known| known.oid != oid);
                        set.relations.push(table);
                    };
                    store.mirror(unit.end.saturating_sub(1), define).unwrap();
                }
                _ => {}
            }
        }
    }
}

fn start(plugin: &str, options: &[(&str, &str)], store: &RelationStore) -> Renderer {
    let options: Vec<_> = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned())))
        .collect();
    Renderer::start(Plugin::parse(plugin).unwrap(), &options, store.clone()).unwrap()
}

/// What comes out, descriptions at 0/0.
fn render(
    renderer: &mut Renderer,
    units: &[Unit],
    size: usize,
    large: bool,
) -> Result<Vec<Line>, RenderError> {
    let mut told = Told::default();
    let mut lines = Vec::new();
    for unit in units {
        let mut done = None;
        for payload in chunks(&unit.messages, size, large) {
            let mut out = Messages::default();
            let frame = FrameView {
                end_lsn: unit.end,
                term: 1,
                timestamp_ms: 7,
                payload: &payload,
            };
            done = renderer.frame(frame, &mut out)?;
            out.each_with_descriptions(&mut told, |lsn, message| {
                lines.push((lsn.unwrap_or(Lsn::ZERO), message.to_vec()));
            });
        }
        assert_eq!(done, Some(unit.end));
    }
    Ok(lines)
}

/// Without descriptions that say what was said before.
fn without_repeated(lines: Vec<Line>) -> Vec<Line> {
    let mut said: HashMap<(u8, u32), Vec<u8>> = HashMap::new();
    let is_new = |(_, message): &Line| {
        let oid = match decoded(message) {
            Message::Type { oid, .. } => oid,
            Message::Relation(relation) => relation.oid,
            _ => return true,
        };
        said.insert((message[0], oid), message.clone()).as_ref() != Some(message)
    };
    let mut lines = lines;
    let mut is_new = is_new;
    lines.retain(|line| is_new(line));
    lines
}

const PGOUTPUT: &[(&str, &str)] = &[
    ("proto_version", "1"),
    ("publication_names", "p"),
    ("messages", "true"),
];

#[test]
fn pgoutput_sends_the_bytes_and_positions_that_postgresql_sends() {
    let units = units(recorded());
    let (_dir, store) = store();
    mirror(&store, &units);
    let wanted = without_repeated(recorded());
    for size in [usize::MAX / 2, 300, 40] {
        let got = render(
            &mut start("pgoutput", PGOUTPUT, &store),
            &units,
            size,
            false,
        )
        .unwrap();
        let got = without_repeated(got);
        for (number, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            assert_eq!(got.0, wanted.0, "message {number} at {size}: {got:?}");
            assert_eq!(decoded(&got.1), decoded(&wanted.1), "message {number}");
            assert_eq!(got.1, wanted.1);
        }
        assert_eq!(got.len(), wanted.len());
    }
}

/// What is decoded and written anew is what was stored, too.
#[test]
fn pgoutput_sends_the_same_when_it_has_to_look_at_rows() {
    let units = units(recorded());
    let (_dir, store) = store();
    mirror(&store, &units);
    let whole = |set: &mut crate::relations::RelationSet| {
        let table = |table: &Relation| PublishedTable {
            oid: 70_000 + table.oid,
            relation: table.oid,
            columns: None,
            filter: (table.name == "orders").then(|| "(id IS NOT NULL)".to_owned()),
            filter_columns: Vec::new(),
        };
        let tables = set.relations.iter().map(table).collect();
        set.publications.push(publication("filtered", Some(tables)));
    };
    let mut relations = None;
    store
        .mirror(units.last().unwrap().end, |set| {
            whole(set);
            relations = Some(set.clone());
        })
        .unwrap();
    // The last definitions count for all of them now.
    let (_dir, later) = self::store();
    later
        .mirror(Lsn::ZERO, |set| *set = relations.clone().unwrap())
        .unwrap();
    let filtered: Vec<_> = PGOUTPUT
        .iter()
        .map(|(name, value)| (*name, if *value == "p" { "filtered" } else { value }))
        .collect();
    let of = |options: &[(&str, &str)]| {
        let end = units.len() - 3;
        let units = &units[..end];
        let units: Vec<Unit> = units
            .iter()
            .filter(|unit| !unit.messages.iter().any(|(_, m)| m[0] == b'I' && m[9] == 1))
            .map(|unit| Unit {
                end: unit.end,
                messages: unit.messages.clone(),
            })
            .collect();
        render(&mut start("pgoutput", options, &later), &units, 1000, false)
    };
    assert_eq!(of(PGOUTPUT).unwrap(), of(&filtered).unwrap());
}

fn text(plugin: &str, options: &[(&str, &str)]) -> Vec<String> {
    let units = units(recorded());
    let (_dir, store) = store();
    mirror(&store, &units);
    let lines = render(&mut start(plugin, options, &store), &units, 200, false).unwrap();
    let text = lines.into_iter();
    text.map(|(_, text)| String::from_utf8(text).unwrap())
        .collect()
}

fn same_text(name: &str, got: &[String], mend: impl Fn(&str) -> String) {
    let wanted: Vec<String> = lines(name).iter().map(|(_, text)| mend(text)).collect();
    for (got, wanted) in got.iter().zip(&wanted) {
        assert_eq!(got, wanted);
    }
    assert_eq!(got.len(), wanted.len());
}

#[test]
fn test_decoding_prints_what_postgresql_prints() {
    let options = [("skip-empty-xacts", "1"), ("include-timestamp", "1")];
    let got = text("test_decoding", &options);
    same_text("test_decoding", &got, str::to_owned);
    let local = text("test_decoding", &[options[0], ("only-local", "1")]);
    assert_eq!(got.len() - local.len(), 4);
}

#[test]
fn wal2json_prints_what_the_original_prints_but_for_numbers_of_origins() {
    for version in ["1", "2"] {
        let mut options = vec![("format-version", version)];
        for name in [
            "include-xids",
            "include-timestamp",
            "include-origin",
            "include-lsn",
            "include-types",
            "include-typmod",
            "include-type-oids",
            "include-pk",
            "include-not-null",
            "include-column-positions",
        ] {
            options.push((name, "1"));
        }
        let got = text("wal2json", &options);
        same_text(&format!("wal2json{version}"), &got, |text| {
            text.replace("\"origin\":1,", "\"origin\":null,")
        });
    }
}

#[test]
fn json_makes_change_records() {
    let got = text("json", &[]);
    let records: Vec<serde_json::Value> = got
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let entity = |of: &serde_json::Value, member: &str| {
        let bytes = hex::decode(of[member].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!(records[0]["operation"], "insert");
    assert_eq!(records[0]["collection"], "orders");
    assert_eq!(records[0]["rid"], 1);
    let wanted = r#"{"id":1,"Total":9.50,"note":"it's","at":"2024-02-29 12:00:00.5+00","ok":true}"#;
    assert_eq!(entity(&records[0], "entity_bytes_hex"), wanted);
    let moved = &records[3];
    assert_eq!(moved["operation"], "update");
    assert_eq!(moved["old"], hex::encode(r#"{"id":2}"#));
    assert!(records.iter().any(|of| of["collection"] == "other.things"));
    assert!(records.iter().any(|of| of["operation"] == "truncate"));
    assert!(records.iter().any(|of| of["operation"] == "message"));
}

#[test]
fn a_large_transaction_is_streamed_to_who_asked_for_it() {
    let units = units(recorded());
    let (_dir, store) = store();
    mirror(&store, &units);
    let mut options = PGOUTPUT.to_vec();
    options[0].1 = "2";
    options.push(("streaming", "on"));
    let mut renderer = start("pgoutput", &options, &store);
    let got = render(&mut renderer, &units, 300, true).unwrap();
    let mut decoder = crate::pgoutput::Decoder::new(Protocol::V2, false);
    let (mut inside, mut plain, mut pieces) = (None, Vec::new(), 0);
    let mut described: Vec<u32> = Vec::new();
    for (lsn, bytes) in &got {
        let message = decoder.decode(bytes).unwrap();
        let xid = inside;
        match message {
            Message::StreamStart { xid: of, first } => {
                assert_eq!(first, pieces == 0 || xid != Some(of), "{pieces}");
                pieces += 1;
                inside = Some(of);
                described.clear();
                continue;
            }
            Message::StreamStop => continue,
            Message::StreamCommit { xid: of, commit } => {
                assert_eq!(Some(of), xid);
                assert_eq!(commit.end_lsn, *lsn);
                inside = None;
                plain.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if !decoder.in_stream() {
            assert!(matches!(
                message,
                Message::Logical {
                    transactional: false,
                    ..
                }
            ));
            continue;
        }
        if bytes[0] != b'O' {
            assert_eq!(bytes[1..5], xid.unwrap().to_be_bytes());
            plain.push([&bytes[..1], &bytes[5..]].concat());
        }
    }
    assert!(pieces > plain.iter().filter(|message| message.is_empty()).count());
    // The changes are those of the same transactions in one.
    let changes = |lines: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        let is_change = |m: &Vec<u8>| m.first().is_some_and(|l| b"IUDT".contains(l));
        lines.into_iter().filter(is_change).collect()
    };
    let wanted = recorded().into_iter().map(|(_, message)| message).collect();
    assert_eq!(changes(plain), changes(wanted));
    // Who did not ask for it gets them whole.
    let got = render(&mut start("pgoutput", PGOUTPUT, &store), &units, 300, true).unwrap();
    assert_eq!(without_repeated(got), without_repeated(recorded()));
}

#[test]
fn origin_none_shows_only_what_comes_from_nowhere_else() {
    let units = units(recorded());
    let (_dir, store) = store();
    mirror(&store, &units);
    let mut options = PGOUTPUT.to_vec();
    options.push(("origin", "none"));
    let got = render(&mut start("pgoutput", &options, &store), &units, 300, false).unwrap();
    assert!(!got.iter().any(|(_, message)| message[0] == b'O'));
    let begins = |lines: &[Line]| lines.iter().filter(|(_, m)| m[0] == b'B').count();
    assert_eq!(begins(&got) + 1, begins(&recorded()));
}

#[test]
fn a_column_list_reduces_description_and_rows() {
    let units = units(recorded());
    let (_dir, store) = store();
    mirror(&store, &units);
    let listed = |set: &mut crate::relations::RelationSet| {
        let oid = set.relation("public", "typed").unwrap().oid;
        set.publications.push(publication(
            "listed",
            Some(vec![PublishedTable {
                oid: 70_000,
                relation: oid,
                columns: Some(vec![1, 3, 4]),
                filter: None,
                filter_columns: Vec::new(),
            }]),
        ));
    };
    let mut last = None;
    let end = units.last().unwrap().end;
    store
        .mirror(end, |set| {
            listed(set);
            last = Some(set.clone());
        })
        .unwrap();
    let (_dir, later) = self::store();
    later.mirror(Lsn::ZERO, |set| *set = last.unwrap()).unwrap();
    let options = [("proto_version", "1"), ("publication_names", "listed")];
    let got = render(
        &mut start("pgoutput", &options, &later),
        &units[2..3],
        300,
        false,
    )
    .unwrap();
    let letters: String = got.iter().map(|(_, m)| char::from(m[0])).collect();
    assert_eq!(letters, "BYYRIC");
    let Message::Relation(relation) = decoded(&got[3].1) else {
        panic!()
    };
    let names: Vec<&str> = relation.columns.iter().map(|column| column.name).collect();
    assert_eq!(names, ["a", "ms", "d"]);
    let Message::Insert { new, .. } = decoded(&got[4].1) else {
        panic!()
    };
    assert_eq!(new.0.len(), 3);
}

/// Cut or changed anywhere, captured transactions are an error or something else; never a panic.
#[test]
fn damaged_chunks_never_panic() {
    let units = units(recorded());
    let (_dir, store) = store();
    mirror(&store, &units);
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .subsec_nanos();
    let seed = std::env::var("PGSPOOL_SEED").map_or(seed, |seed| seed.parse().unwrap());
    println!("PGSPOOL_SEED={seed}");
    let mut state = u64::from(seed) | 1;
    let mut dice = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    let plugins = ["pgoutput", "test_decoding", "wal2json", "json"];
    let mut refused = 0;
    for round in 0..3000 {
        let plugin = plugins[round % plugins.len()];
        let options = if plugin == "pgoutput" { PGOUTPUT } else { &[] };
        let mut renderer = start(plugin, options, &store);
        let unit = &units[dice(units.len())];
        let mut out = Messages::default();
        for payload in chunks(&unit.messages, 100 + dice(2000), false) {
            let mut payload = payload.to_vec();
            match dice(4) {
                0 => payload.truncate(dice(payload.len())),
                1 => payload.push(0),
                _ => {
                    let at = dice(payload.len());
                    payload[at] ^= 1 << dice(8);
                }
            }
            let frame = FrameView {
                end_lsn: unit.end,
                term: 1,
                timestamp_ms: 7,
                payload: &payload.into(),
            };
            if renderer.frame(frame, &mut out).is_err() {
                refused += 1;
                break;
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}
