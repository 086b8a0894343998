//! A frame of the spool as a row of `pgspool.changes`.

use std::collections::VecDeque;

use memchr::memmem;

use super::search::Search;
use crate::change::{Fields, Hex, PayloadRef, only_change_lsn, public_kind, xid};
use crate::datum::{Array, Datum, write_array};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::relations::RelationStore;
use crate::rows::{
    Captured, CapturedError, CapturedReader, CapturedUnit, Change, captured_records, printed_jsonb,
};
use crate::spool::Frame;

/// Columns, in the order of the view.
pub(super) const LSN: usize = 0;
const CHANGE_LSN: usize = 1;
const XID: usize = 2;
pub(super) const COMMITTED_AT: usize = 3;
const TERM: usize = 4;
const BYTES: usize = 5;
const OPERATION: usize = 6;
pub(super) const COLLECTION: usize = 7;
const RID: usize = 8;
const KIND: usize = 9;
const ENTITY: usize = 10;
const DOCUMENT: usize = 11;
const METADATA: usize = 12;
const CHANGED_COLUMNS: usize = 13;
const OLD: usize = 14;
const OLD_DOCUMENT: usize = 15;
const UNCHANGED: usize = 16;
const PRODUCER: usize = 17;
const SEQ: usize = 18;
const REFRESH_ROWS: usize = 19;
const REFRESH_RECORDS: usize = 20;
const PREFIX: usize = 21;
const TRANSACTIONAL: usize = 22;
/// How many there are.
pub(super) const NUM_COLUMNS: usize = 23;

/// What of a row is known without decoding the record.
const OF_THE_FRAME: u64 = 1 << LSN | 1 << XID | 1 << COMMITTED_AT | 1 << TERM | 1 << BYTES;

/// The frame as a row, with the columns that are read; `None` when it is not asked for.
pub(super) fn of(frame: &Frame, search: &Search) -> Option<Vec<Datum>> {
    if let Some(collection) = &search.collection
        && is_of_another(&frame.payload, collection)
    {
        return None;
    }
    let mut row = Row {
        cells: vec![Datum::Null; NUM_COLUMNS],
        search,
    };
    row.set(LSN, || position(frame.lsn));
    row.set(XID, || Datum::Int(i64::from(xid(frame.lsn))));
    row.set(COMMITTED_AT, || commit_time(frame.timestamp_ms));
    row.set(TERM, || count(frame.term));
    row.set(BYTES, || count(frame.payload.len()));
    if search.columns & !OF_THE_FRAME != 0 {
        let (json, whole) = match PayloadRef::of(&frame.payload) {
            PayloadRef::Whole(json) => (Some(json), true),
            PayloadRef::Part { json, .. } => (Some(json), false),
            PayloadRef::Chunk { .. } | PayloadRef::Opaque(_) => (None, true),
        };
        match json.map(Fields::decode) {
            Some(Ok(fields)) => {
                let own = if whole {
                    only_change_lsn(frame.lsn)
                } else {
                    Lsn::new(fields.lsn)
                };
                row.set(CHANGE_LSN, || position(own));
                row.record(&fields);
            }
            Some(Err(_)) | None => {
                row.set(CHANGE_LSN, || position(frame.lsn));
                row.set(OPERATION, || text("opaque"));
                row.set(ENTITY, || Datum::Bytes(frame.payload.to_vec()));
            }
        }
    }
    Some(row.cells)
}

/// Reads captured transactions, of which a frame holds many changes.
#[derive(Default)]
pub(super) struct CapturedRows {
    reader: CapturedReader,
}

/// The changes of a frame, as far as they are asked for.
struct Collected<'a> {
    frame: &'a Frame,
    search: &'a Search,
    rows: VecDeque<Vec<Datum>>,
}

impl CapturedRows {
    /// The frame's changes as rows; `None` when it is no part of a captured transaction.
    pub(super) fn of(
        &mut self,
        frame: &Frame,
        search: &Search,
        relations: &RelationStore,
    ) -> Option<Result<VecDeque<Vec<Datum>>, PgError>> {
        let PayloadRef::Chunk { payload, .. } = PayloadRef::of(&frame.payload) else {
            return None;
        };
        let mut to = Collected {
            frame,
            search,
            rows: VecDeque::new(),
        };
        let read = self
            .reader
            .frame(frame.lsn, frame.timestamp_ms, payload, relations, &mut to);
        Some(match read {
            Ok(_) => Ok(to.rows),
            Err(error) => Err(PgError::error("XX001", error.to_string())),
        })
    }
}

impl Collected<'_> {
    fn collect(&mut self, unit: &CapturedUnit, change: &Change<'_>) {
        let mut records = captured_records(&unit.set, change);
        if let Some(collection) = &self.search.collection {
            records.retain(|record| record.collection == *collection);
        }
        for record in records {
            let Ok(fields) = Fields::of(&record) else {
                continue;
            };
            let mut row = Row {
                cells: vec![Datum::Null; NUM_COLUMNS],
                search: self.search,
            };
            row.set(LSN, || position(unit.end));
            row.set(CHANGE_LSN, || position(change.lsn));
            if unit.xid != 0 {
                row.set(XID, || Datum::Int(i64::from(unit.xid)));
            }
            row.set(COMMITTED_AT, || Datum::Int(unit.commit_us));
            row.set(TERM, || count(self.frame.term));
            row.record(&fields);
            self.rows.push_back(row.cells);
        }
    }
}

impl Captured for Collected<'_> {
    type Error = CapturedError;

    /// A table that is not asked for is passed over before its rows are decoded.
    fn stored(
        &mut self,
        unit: &CapturedUnit,
        _lsn: Lsn,
        message: &[u8],
    ) -> Result<bool, CapturedError> {
        let (Some(collection), Some(b'I' | b'U' | b'D')) =
            (&self.search.collection, message.first())
        else {
            return Ok(false);
        };
        let oid = message.get(1..5).and_then(|oid| oid.try_into().ok());
        let oid = oid.map_or(0, u32::from_be_bytes);
        let table = unit.set.relation_by_oid(oid);
        let name = table.and_then(|table| unit.set.collection_of(table));
        Ok(name.is_some_and(|name| name != *collection))
    }

    fn change(&mut self, unit: &CapturedUnit, change: &Change<'_>) -> Result<(), CapturedError> {
        self.collect(unit, change);
        Ok(())
    }

    fn alone(&mut self, unit: &CapturedUnit, message: &Change<'_>) -> Result<(), CapturedError> {
        self.collect(unit, message);
        Ok(())
    }

    fn frame_done(&mut self, _unit: &CapturedUnit) {}

    fn commit(&mut self, _unit: &CapturedUnit) -> Result<(), CapturedError> {
        Ok(())
    }
}

/// Whether the record certainly is of another collection: its name does not stand in the bytes,
/// and nothing there is written with an escape.
fn is_of_another(payload: &[u8], collection: &str) -> bool {
    memmem::find(payload, collection.as_bytes()).is_none()
        && memchr::memchr(b'\\', payload).is_none()
}

struct Row<'a> {
    cells: Vec<Datum>,
    search: &'a Search,
}

impl Row<'_> {
    /// Sets a column, if it is read.
    fn set(&mut self, column: usize, datum: impl FnOnce() -> Datum) {
        if self.search.wants(column)
            && let Some(cell) = self.cells.get_mut(column)
        {
            *cell = datum();
        }
    }

    fn record(&mut self, fields: &Fields<'_>) {
        self.set(OPERATION, || text(fields.operation.name()));
        if let Some((prefix, transactional)) = &fields.message {
            self.set(PREFIX, || text(prefix));
            self.set(TRANSACTIONAL, || Datum::Int(i64::from(*transactional)));
        } else {
            self.set(COLLECTION, || text(&fields.collection));
            self.set(KIND, || text(public_kind(&fields.entity_kind)));
            if fields.refresh_records.is_none() {
                self.set(RID, || text(&fields.entity_id.to_string()));
            }
        }
        self.set(ENTITY, || bytes(fields.entity_bytes.as_ref()));
        self.set(DOCUMENT, || document(fields.entity_bytes.as_ref()));
        self.set(METADATA, || {
            let text = fields.metadata.as_deref().map(ToString::to_string);
            text.as_deref().map_or(Datum::Null, jsonb)
        });
        self.set(CHANGED_COLUMNS, || names(fields.changed_columns.as_deref()));
        self.set(OLD, || bytes(fields.old.as_ref()));
        self.set(OLD_DOCUMENT, || document(fields.old.as_ref()));
        self.set(UNCHANGED, || names(fields.unchanged.as_deref()));
        if let Some(numbered) = &fields.numbered {
            self.set(PRODUCER, || text(numbered.producer.as_str()));
            self.set(SEQ, || text(&numbered.seq.to_string()));
        }
        if let Some(rows) = &fields.refresh_records {
            self.set(REFRESH_ROWS, || count(rows.len()));
            self.set(REFRESH_RECORDS, || {
                let printed = rows.iter().map(|row| Some(printed_bytes(row)));
                array(printed.collect())
            });
        }
    }
}

fn text(text: &str) -> Datum {
    Datum::Text(text.to_owned())
}

fn count(number: impl TryInto<i64>) -> Datum {
    Datum::Int(number.try_into().unwrap_or(i64::MAX))
}

fn position(lsn: Lsn) -> Datum {
    Datum::Int(lsn.get().cast_signed())
}

/// NULL for frames that carry no time.
fn commit_time(unix_ms: u64) -> Datum {
    let us = i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| ms.checked_mul(1000));
    us.filter(|us| *us > 0).map_or(Datum::Null, Datum::Int)
}

fn bytes(hex: Option<&Hex<'_>>) -> Datum {
    hex.map_or(Datum::Null, |hex| Datum::Bytes(hex.to_bytes().into_owned()))
}

/// The JSON value that the bytes are the text of, if they are.
fn document(hex: Option<&Hex<'_>>) -> Datum {
    let Some(bytes) = hex.map(Hex::to_bytes) else {
        return Datum::Null;
    };
    std::str::from_utf8(&bytes).map_or(Datum::Null, jsonb)
}

/// NULL where a `jsonb` cannot hold it.
fn jsonb(text: &str) -> Datum {
    printed_jsonb(text).map_or(Datum::Null, Datum::Text)
}

fn names<S: AsRef<str>>(names: Option<&[S]>) -> Datum {
    names.map_or(Datum::Null, |names| {
        array(
            names
                .iter()
                .map(|name| Some(name.as_ref().to_owned()))
                .collect(),
        )
    })
}

fn array(elements: Vec<Option<String>>) -> Datum {
    let mut printed = String::new();
    write_array(&Array::of(elements), ',', &mut printed);
    Datum::Text(printed)
}

fn printed_bytes(hex: &Hex<'_>) -> String {
    let mut digits = b"\\x".to_vec();
    hex.write(&mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::change::{ChunkFlags, begin_chunk, begin_message, set_flags};
    use crate::pgoutput::{
        Commit, Identity, Message, OldTuple, RelationColumn, RelationDescription, Tuple, Value,
    };

    fn frame() -> Frame {
        let column = |key, name, type_oid| RelationColumn {
            key,
            name,
            type_oid,
            typmod: -1,
        };
        let end = Lsn::new(0x2000);
        let row = |id| Tuple(vec![Value::Text(id), Value::Null]);
        let messages = [
            Message::Begin {
                final_lsn: Lsn::new(0x1ff0),
                commit_time: 5_000_000,
                xid: 777,
            },
            Message::Relation(RelationDescription {
                xid: None,
                oid: 17000,
                schema: "public",
                name: "orders",
                identity: Identity::Default,
                columns: vec![column(true, "id", 23), column(false, "note", 25)],
            }),
            Message::Insert {
                xid: None,
                relation: 17000,
                new: row(b"7"),
            },
            Message::Delete {
                xid: None,
                relation: 17000,
                old: OldTuple::Key(row(b"7")),
            },
            Message::Commit(Commit {
                commit_lsn: Lsn::new(0x1ff0),
                end_lsn: end,
                commit_time: 5_000_000,
            }),
        ];
        let mut payload = Vec::new();
        begin_chunk(&mut payload);
        for message in messages {
            let mut bytes = Vec::new();
            message.encode(&mut bytes).unwrap();
            let len = u32::try_from(bytes.len()).unwrap();
            begin_message(Lsn::new(0x1800), len, &mut payload);
            payload.extend_from_slice(&bytes);
        }
        let flags = ChunkFlags {
            first: true,
            last: true,
            ..ChunkFlags::default()
        };
        set_flags(&mut payload, flags);
        Frame {
            version: crate::spool::frame::FrameVersion::V3,
            term: 1,
            lsn: end,
            timestamp_ms: 9,
            boundary: crate::spool::Boundary {
                first: true,
                last: true,
            },
            payload: payload.into(),
        }
    }

    fn rows(collection: Option<&str>) -> Vec<Vec<Datum>> {
        let disk = Arc::new(crate::disk::RealDisk);
        let path = std::path::Path::new("/nowhere/relations.json");
        let relations = RelationStore::open(disk, path).unwrap();
        let search = Search {
            upto: Lsn::MAX,
            collection: collection.map(str::to_owned),
            columns: u64::MAX,
            ..Search::default()
        };
        let mut captured = CapturedRows::default();
        let rows = captured.of(&frame(), &search, &relations);
        rows.unwrap().unwrap().into()
    }

    #[test]
    fn a_captured_frame_has_a_row_for_each_change() {
        let rows = rows(None);
        assert_eq!(rows.len(), 2);
        let shown = |row: &[Datum], column: usize| row[column].clone();
        assert_eq!(shown(&rows[0], LSN), position(Lsn::new(0x2000)));
        assert_eq!(shown(&rows[0], CHANGE_LSN), position(Lsn::new(0x1800)));
        assert_eq!(shown(&rows[0], XID), Datum::Int(777));
        let committed = crate::datum::EPOCH_US + 5_000_000;
        assert_eq!(shown(&rows[0], COMMITTED_AT), Datum::Int(committed));
        assert_eq!(shown(&rows[0], OPERATION), text("insert"));
        assert_eq!(shown(&rows[0], COLLECTION), text("orders"));
        assert_eq!(shown(&rows[0], RID), text("7"));
        assert_eq!(
            shown(&rows[0], DOCUMENT),
            text(r#"{"id": 7, "note": null}"#)
        );
        assert_eq!(shown(&rows[1], OPERATION), text("delete"));
        assert_eq!(shown(&rows[1], OLD_DOCUMENT), text(r#"{"id": 7}"#));
    }

    #[test]
    fn a_collection_is_looked_for_without_decoding_others() {
        assert_eq!(rows(Some("orders")).len(), 2);
        assert!(rows(Some("other")).is_empty());
    }
}
