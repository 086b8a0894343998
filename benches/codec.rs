//! What one frame or record costs on the hot paths: `cargo bench --bench codec`.
#![allow(missing_docs, clippy::unwrap_used)]

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use pgspool::change::{self, ChangeRecord};
use pgspool::datum::PgType;
use pgspool::disk::RealDisk;
use pgspool::lsn::Lsn;
use pgspool::plugins::{FrameView, Messages, Plugin, Renderer};
use pgspool::relations::{
    Command, CreateTable, NewColumn, NewKey, PublicationOptions, PublicationTarget, RelationStore,
    TableName,
};
use pgspool::sources::ndjson::encode_line;
use pgspool::spool::frame;

fn main() {
    divan::main();
}

fn record() -> ChangeRecord {
    ChangeRecord {
        lsn: 0x100_0100,
        ..ChangeRecord::insert("orders", 1_000_042)
            .with_entity(b"{\"qty\":42,\"price\":19.99}".to_vec())
            .with_timestamp(1_700_000_000_000)
    }
}

#[divan::bench]
fn encode_frame(bencher: Bencher<'_, '_>) {
    let payload = change::encode(&record()).unwrap();
    let mut out = Vec::with_capacity(1024);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        out.clear();
        frame::encode(&mut out, 1, Lsn::new(0x100_0100), 7, black_box(&payload));
    });
}

#[divan::bench]
fn decode_frame(bencher: Bencher<'_, '_>) {
    let mut bytes = Vec::new();
    frame::encode(
        &mut bytes,
        1,
        Lsn::new(0x100_0100),
        7,
        &change::encode(&record()).unwrap(),
    );
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        matches!(
            frame::decode_v3(black_box(&bytes)),
            frame::Decoded::Frame(_)
        )
    });
}

#[divan::bench]
fn decode_record(bencher: Bencher<'_, '_>) {
    let payload = change::encode(&record()).unwrap();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| change::decode(black_box(&payload)).unwrap());
}

/// A producer's line of 240 bytes, and the same record with metadata.
#[divan::bench(args = [false, true])]
fn encode_a_line(bencher: Bencher<'_, '_>, with_metadata: bool) {
    let line = change::encode(&ChangeRecord {
        entity_bytes: Some(vec![b'x'; 48]),
        entity_id: 10_000_042,
        metadata: with_metadata.then(|| serde_json::json!({"source": "web", "user": 1_000_042})),
        ..record()
    })
    .unwrap();
    assert!(with_metadata || line.len() == 240);
    let mut out = Vec::with_capacity(1024);
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        out.clear();
        encode_line(black_box(&line), None, 1, 7, &mut out).unwrap()
    });
}

/// What delivery costs when the frame's term is not the record's.
#[divan::bench]
fn deliver_with_another_term(bencher: Bencher<'_, '_>) {
    let payload = change::encode(&record()).unwrap();
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| change::deliver(black_box(&payload), 2).len());
}

#[divan::bench(args = [Plugin::Json.name(), Plugin::TestDecoding.name()])]
fn render(bencher: Bencher<'_, '_>, plugin: &str) {
    let payload = Bytes::from(change::encode(&record()).unwrap());
    let path = std::path::Path::new("/nowhere/relations.json");
    let relations = RelationStore::open(std::sync::Arc::new(RealDisk), path).unwrap();
    let plugin = Plugin::parse(plugin).unwrap();
    let mut renderer = Renderer::start(plugin, &[], relations).unwrap();
    let mut messages = Messages::default();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        messages.clear();
        let frame = FrameView {
            end_lsn: Lsn::new(0x100_0100),
            term: 1,
            timestamp_ms: 7,
            payload: black_box(&payload),
        };
        renderer.frame(frame, &mut messages)
    });
}

/// A table of three columns and a publication of all tables.
fn declared(folder: &std::path::Path) -> RelationStore {
    let path = folder.join("relations.json");
    let relations = RelationStore::open(std::sync::Arc::new(RealDisk), &path).unwrap();
    let column = |name: &str, column_type| NewColumn {
        name: name.to_owned(),
        column_type,
        typmod: -1,
        not_null: false,
    };
    let table = Command::CreateTable(CreateTable {
        table: TableName {
            schema: None,
            name: "orders".to_owned(),
            position: 1,
        },
        if_not_exists: false,
        columns: vec![
            column("id", PgType::INT8),
            column("qty", PgType::INT4),
            column("price", PgType::NUMERIC),
        ],
        keys: vec![NewKey {
            name: None,
            columns: vec!["id".to_owned()],
            primary: true,
            position: 1,
        }],
    });
    let publication = Command::CreatePublication {
        name: "p".to_owned(),
        target: PublicationTarget::AllTables,
        options: PublicationOptions::default(),
    };
    for command in [table, publication] {
        relations.apply(&command, Lsn::new(1)).unwrap();
    }
    relations
}

/// A row of a declared table in pgoutput: reading the record and the document, and the message.
#[divan::bench(args = [false, true])]
fn render_pgoutput(bencher: Bencher<'_, '_>, is_binary: bool) {
    let folder = tempfile::tempdir().unwrap();
    let relations = declared(folder.path());
    let record = record().with_entity(b"{\"id\":42,\"qty\":42,\"price\":\"19.99\"}".to_vec());
    let payload = Bytes::from(change::encode(&record).unwrap());
    let option = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let options = [
        option("proto_version", "1"),
        option("publication_names", "p"),
        option("binary", if is_binary { "on" } else { "off" }),
    ];
    let mut renderer = Renderer::start(Plugin::Pgoutput, &options, relations).unwrap();
    let mut messages = Messages::default();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        messages.clear();
        let frame = FrameView {
            end_lsn: Lsn::new(0x100_0100),
            term: 1,
            timestamp_ms: 7,
            payload: black_box(&payload),
        };
        renderer.frame(frame, &mut messages).unwrap();
        assert!(messages.len() == 3);
    });
}

/// The row of `pgspool bench fanout`: four columns, all of them in PostgreSQL's own form.
fn fan(folder: &std::path::Path) -> RelationStore {
    let path = folder.join("relations.json");
    let relations = RelationStore::open(std::sync::Arc::new(RealDisk), &path).unwrap();
    let column = |name: &str, column_type, typmod| NewColumn {
        name: name.to_owned(),
        column_type,
        typmod,
        not_null: false,
    };
    let table = Command::CreateTable(CreateTable {
        table: TableName {
            schema: None,
            name: "fan".to_owned(),
            position: 1,
        },
        if_not_exists: false,
        columns: vec![
            column("id", PgType::INT4, -1),
            column("name", PgType::TEXT, -1),
            column("amount", PgType::NUMERIC, (12 << 16) + 2 + 4),
            column("at", PgType::TIMESTAMPTZ, -1),
        ],
        keys: vec![NewKey {
            name: None,
            columns: vec!["id".to_owned()],
            primary: true,
            position: 1,
        }],
    });
    let publication = Command::CreatePublication {
        name: "p".to_owned(),
        target: PublicationTarget::AllTables,
        options: PublicationOptions::default(),
    };
    for command in [table, publication] {
        relations.apply(&command, Lsn::new(1)).unwrap();
    }
    relations
}

/// A row of `pgspool bench fanout` in pgoutput, alone in its transaction.
#[divan::bench]
fn render_fan_row(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().unwrap();
    let document = "{\"id\":123456,\"name\":\"order 123456 of a customer who likes his parcels \
                    large\",\"amount\":123456.56,\"at\":\"2026-03-04 05:06:36.123456+00\"}";
    let record = ChangeRecord {
        lsn: 0x100_0100,
        ..ChangeRecord::insert("fan", 123_456)
            .with_entity(document)
            .with_timestamp(1_700_000_000_000)
    };
    let payload = Bytes::from(change::encode(&record).unwrap());
    let option = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let options = [
        option("proto_version", "1"),
        option("publication_names", "p"),
    ];
    let mut renderer = Renderer::start(Plugin::Pgoutput, &options, fan(folder.path())).unwrap();
    let mut messages = Messages::default();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        messages.clear();
        let frame = FrameView {
            end_lsn: Lsn::new(0x100_0100),
            term: 1,
            timestamp_ms: 7,
            payload: black_box(&payload),
        };
        renderer.frame(frame, &mut messages).unwrap();
        assert!(messages.len() == 3);
    });
}
