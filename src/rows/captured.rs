//! Transactions as an upstream committed them, read out of their frames: its messages, and the
//! changes of rows that they are.
//!
//! The definitions under which a transaction is read are those of before it; a Relation message in
//! it counts from there on, up to its end.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::change::{ChunkError, ChunkReader};
use crate::datum::EPOCH_US;
use crate::lsn::Lsn;
use crate::pgoutput::{Context, DecodeError, Message, OldTuple, Protocol, Tuple, Value};
use crate::relations::{Relation, RelationSet, RelationStore};

use super::upstream::{DescriptionError, described_table, relation_message};
use super::{Action, Change, OldRow, Row};

/// Why a captured transaction cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapturedError {
    /// Its frames are damaged.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// What should be a message is none.
    #[error("a captured transaction holds what is no message")]
    Message(#[from] DecodeError),
    /// A table's description is none.
    #[error(transparent)]
    Description(#[from] DescriptionError),
    /// A message where none of its kind can be.
    #[error("a captured transaction holds a message that does not belong there")]
    OutOfOrder,
    /// A change of a table that nothing describes.
    #[error("a captured transaction changes a table with OID {0} that is not described")]
    UnknownTable(u32),
    /// A row has not as many values as its table has columns.
    #[error("a captured row of table \"{0}\" has another number of values than it has columns")]
    NumValues(String),
    /// A value is not in text form, or not in UTF-8.
    #[error("a captured row of table \"{0}\" holds a value that is no text")]
    NotText(String),
}

/// What is known of a captured transaction, or of a message that is a unit by itself.
#[derive(Debug, Clone)]
pub(crate) struct CapturedUnit {
    /// Its end.
    pub(crate) end: Lsn,
    /// What Begin and Commit call its final LSN.
    pub(crate) final_lsn: Lsn,
    /// Its id; 0 for a message by itself.
    pub(crate) xid: u32,
    /// Commit time, unix microseconds.
    pub(crate) commit_us: i64,
    /// Begin has an LSN: where an Origin message follows it has none.
    pub(crate) begin_has_lsn: bool,
    /// Its Origin message, where it comes from elsewhere.
    pub(crate) origin: Option<Vec<u8>>,
    /// It is longer than a subscriber that asked for streaming wants to wait for.
    pub(crate) is_large: bool,
    /// The definitions that count where it is read.
    pub(crate) set: Arc<RelationSet>,
}

/// Who is told what a captured transaction holds.
pub(crate) trait Captured {
    /// What goes wrong.
    type Error: From<CapturedError> + From<ChunkError>;

    /// Change or logical message (`I`, `U`, `D`, `T`, `M`) as the upstream sent it. True when that
    /// was enough; otherwise it is decoded.
    fn stored(
        &mut self,
        unit: &CapturedUnit,
        lsn: Lsn,
        message: &[u8],
    ) -> Result<bool, Self::Error>;

    /// The same, decoded.
    fn change(&mut self, unit: &CapturedUnit, change: &Change<'_>) -> Result<(), Self::Error>;

    /// The end of a frame of it.
    fn frame_done(&mut self, unit: &CapturedUnit);

    /// The end of the transaction.
    fn commit(&mut self, unit: &CapturedUnit) -> Result<(), Self::Error>;

    /// A message that belongs to no transaction: the unit is itself.
    fn alone(&mut self, unit: &CapturedUnit, message: &Change<'_>) -> Result<(), Self::Error>;
}

/// Reads captured transactions frame by frame, with buffers that are used again and again.
#[derive(Debug, Default)]
pub(crate) struct CapturedReader {
    chunks: ChunkReader,
    open: Option<Open>,
    rows: Rows,
}

/// The unit that is read.
#[derive(Debug)]
struct Open {
    unit: CapturedUnit,
    has_begun: bool,
    is_over: bool,
    /// The definitions that count behind it.
    behind: Arc<RelationSet>,
    /// Type messages in it, by OID.
    types: Vec<(u32, Vec<u8>)>,
}

/// What changes are decoded with.
#[derive(Debug, Default)]
struct Rows {
    new: Row,
    old: Row,
    layouts: Layouts,
}

/// Which value of a tuple is which column's, by OID of the table, under the definitions of a time.
#[derive(Debug, Default)]
struct Layouts {
    set: Option<Arc<RelationSet>>,
    known: BTreeMap<u32, Layout>,
}

/// Which value of a tuple is which column's.
#[derive(Debug)]
struct Layout {
    num_values: usize,
    /// The value's place, for each column that is not dropped; `None` for one that is not sent.
    places: Vec<Option<usize>>,
}

impl CapturedReader {
    /// Reads a frame of the transaction that ends at `end`; true when it was its last.
    pub(crate) fn frame<C: Captured>(
        &mut self,
        end: Lsn,
        timestamp_ms: u64,
        payload: &[u8],
        relations: &RelationStore,
        to: &mut C,
    ) -> Result<bool, C::Error> {
        let Self { chunks, open, rows } = self;
        let is_first = crate::change::boundary(payload).0;
        if is_first || open.as_ref().is_some_and(|open| open.unit.end != end) {
            *open = is_first.then(|| Open::new(end, timestamp_ms, relations));
        }
        let Some(open) = open else {
            return Err(CapturedError::OutOfOrder.into());
        };
        if let Some(flags) = chunk_flags(payload) {
            open.unit.is_large = flags.large;
        }
        let flags = chunks.read(payload, |lsn, message| open.message(lsn, message, rows, to))?;
        if flags.last && !open.is_over {
            return Err(CapturedError::OutOfOrder.into());
        }
        to.frame_done(&open.unit);
        Ok(flags.last)
    }
}

/// What a payload says of itself.
fn chunk_flags(payload: &[u8]) -> Option<crate::change::ChunkFlags> {
    match crate::change::PayloadRef::of(payload) {
        crate::change::PayloadRef::Chunk { flags, .. } => Some(flags),
        crate::change::PayloadRef::Whole(_)
        | crate::change::PayloadRef::Part { .. }
        | crate::change::PayloadRef::Opaque(_) => None,
    }
}

impl Open {
    fn new(end: Lsn, timestamp_ms: u64, relations: &RelationStore) -> Self {
        let before = relations.at(end.saturating_sub(1));
        let behind = relations.at(end);
        // A publication that came with the transaction's own definitions counts for all of it.
        let set = if Arc::ptr_eq(&before, &behind) {
            before
        } else {
            Arc::new(RelationSet {
                relations: before.relations.clone(),
                ..RelationSet::clone(&behind)
            })
        };
        let commit_us = i64::try_from(timestamp_ms.saturating_mul(1000));
        Self {
            unit: CapturedUnit {
                end,
                final_lsn: end,
                xid: 0,
                commit_us: commit_us.unwrap_or(i64::MAX),
                begin_has_lsn: true,
                origin: None,
                is_large: false,
                set,
            },
            has_begun: false,
            is_over: false,
            behind,
            types: Vec::new(),
        }
    }

    fn message<C: Captured>(
        &mut self,
        lsn: Lsn,
        bytes: &[u8],
        rows: &mut Rows,
        to: &mut C,
    ) -> Result<(), C::Error> {
        if self.is_over {
            return Err(CapturedError::OutOfOrder.into());
        }
        match (bytes.first(), self.has_begun) {
            (Some(b'I' | b'U' | b'D' | b'T' | b'M'), true) => {
                if to.stored(&self.unit, lsn, bytes)? {
                    return Ok(());
                }
                let message = decode(bytes)?;
                rows.change(&self.unit.set, lsn, &message, &mut |change| {
                    to.change(&self.unit, change)
                })
            }
            (Some(b'M'), false) => {
                self.is_over = true;
                if to.stored(&self.unit, lsn, bytes)? {
                    return Ok(());
                }
                let message = decode(bytes)?;
                rows.change(&self.unit.set, lsn, &message, &mut |change| {
                    to.alone(&self.unit, change)
                })
            }
            (Some(b'C'), true) => {
                let Message::Commit(_) = decode(bytes)? else {
                    return Err(CapturedError::OutOfOrder.into());
                };
                self.is_over = true;
                to.commit(&self.unit)
            }
            _ => Ok(self.describe(lsn, bytes)?),
        }
    }

    /// What says something of the transaction or of its tables.
    fn describe(&mut self, lsn: Lsn, bytes: &[u8]) -> Result<(), CapturedError> {
        let message = decode(bytes)?;
        if let Message::Begin {
            final_lsn,
            commit_time,
            xid,
        } = message
            && !self.has_begun
        {
            self.has_begun = true;
            let unit = &mut self.unit;
            unit.final_lsn = final_lsn;
            unit.commit_us = commit_time.saturating_add(EPOCH_US);
            unit.xid = xid;
            unit.begin_has_lsn = lsn != Lsn::ZERO;
            return Ok(());
        }
        if !self.has_begun {
            return Err(CapturedError::OutOfOrder);
        }
        if let Message::Relation(relation) = message {
            return self.table(relation.oid, bytes);
        }
        if let Message::Type { oid, .. } = message {
            self.types.retain(|(known, _)| *known != oid);
            self.types.push((oid, bytes.to_vec()));
            return Ok(());
        }
        let Message::Origin { .. } = message else {
            return Err(CapturedError::OutOfOrder);
        };
        self.unit.origin = Some(bytes.to_vec());
        Ok(())
    }

    /// From here on the table with this OID is what `description` says.
    fn table(&mut self, oid: u32, description: &[u8]) -> Result<(), CapturedError> {
        let set = &self.unit.set;
        let described = described_table(set.relation_by_oid(oid), description, &self.types)?;
        let says_the_same = |table: &&Relation| {
            let (upstream, now) = (table.upstream.as_deref(), described.upstream.as_deref());
            upstream.zip(now).is_some_and(|(upstream, now)| {
                let types = (upstream.types.iter()).zip(&now.types);
                upstream.description == now.description
                    && upstream.types.len() == now.types.len()
                    && { types }.all(|(a, b)| a.oid == b.oid && a.description == b.description)
            })
        };
        if set
            .relation_by_oid(oid)
            .is_some_and(|table| says_the_same(&table))
        {
            return Ok(());
        }
        // What was written down of it knows the names of its keys and types, too.
        let known = self.behind.relation_by_oid(oid).filter(says_the_same);
        let table = known.cloned().unwrap_or(described);
        let mut set = RelationSet::clone(set);
        match set.relations.binary_search_by_key(&oid, |table| table.oid) {
            Ok(place) => {
                if let Some(known) = set.relations.get_mut(place) {
                    *known = table;
                }
            }
            Err(place) => set.relations.insert(place, table),
        }
        self.unit.set = Arc::new(set);
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Result<Message<'_>, CapturedError> {
    Ok(Message::decode(bytes, Context::new(Protocol::V1))?)
}

impl Rows {
    /// Hands the change that `message` is to `each`.
    fn change<E: From<CapturedError>>(
        &mut self,
        set: &Arc<RelationSet>,
        lsn: Lsn,
        message: &Message<'_>,
        each: &mut dyn FnMut(&Change<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { new, old, layouts } = self;
        let find = |oid| table(set, oid);
        if let Message::Insert {
            relation, new: row, ..
        } = message
        {
            let table = find(*relation)?;
            layouts.fill(set, table, row, new)?;
            let action = Action::Insert { table, new };
            return each(&Change { lsn, action });
        }
        if let Message::Update {
            relation,
            old: before,
            new: row,
            ..
        } = message
        {
            let table = find(*relation)?;
            layouts.fill(set, table, row, new)?;
            let old = before.as_ref().map(|before| {
                layouts.fill(set, table, before.tuple(), old)?;
                Ok::<_, CapturedError>(said(before, old))
            });
            let old = old.transpose()?;
            let action = Action::Update { table, old, new };
            return each(&Change { lsn, action });
        }
        let Message::Delete {
            relation,
            old: before,
            ..
        } = message
        else {
            return alone(set, lsn, message, each);
        };
        let table = find(*relation)?;
        layouts.fill(set, table, before.tuple(), old)?;
        let old = Some(said(before, old));
        let action = Action::Delete { table, old };
        each(&Change { lsn, action })
    }
}

/// Hands what is no change of one row to `each`.
fn alone<E: From<CapturedError>>(
    set: &RelationSet,
    lsn: Lsn,
    message: &Message<'_>,
    each: &mut dyn FnMut(&Change<'_>) -> Result<(), E>,
) -> Result<(), E> {
    if let Message::Truncate {
        cascade,
        restart_identity,
        relations,
        ..
    } = message
    {
        let tables = relations.iter().map(|oid| table(set, *oid));
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let action = Action::Truncate {
            tables: &tables,
            cascade: *cascade,
            restart_identity: *restart_identity,
        };
        return each(&Change { lsn, action });
    }
    let Message::Logical {
        transactional,
        prefix,
        content,
        ..
    } = message
    else {
        return Err(CapturedError::OutOfOrder.into());
    };
    let action = Action::Message {
        transactional: *transactional,
        prefix,
        content,
    };
    each(&Change { lsn, action })
}

fn table(set: &RelationSet, oid: u32) -> Result<&Relation, CapturedError> {
    let table = set.relation_by_oid(oid);
    table.ok_or(CapturedError::UnknownTable(oid))
}

const fn said<'a>(before: &OldTuple<'_>, row: &'a Row) -> OldRow<'a> {
    match before {
        OldTuple::Key(_) => OldRow::Key(row),
        OldTuple::Full(_) => OldRow::Full(row),
    }
}

impl Layouts {
    /// The values of `tuple` as a row of `table`.
    fn fill(
        &mut self,
        set: &Arc<RelationSet>,
        table: &Relation,
        tuple: &Tuple<'_>,
        row: &mut Row,
    ) -> Result<(), CapturedError> {
        let same = self
            .set
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, set));
        if !same {
            self.set = Some(Arc::clone(set));
            self.known.clear();
        }
        let layout = match self.known.entry(table.oid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Layout::of(table)?),
        };
        if tuple.0.len() != layout.num_values {
            return Err(CapturedError::NumValues(table.name.clone()));
        }
        row.clear();
        for place in &layout.places {
            match place.and_then(|place| tuple.0.get(place)) {
                None | Some(Value::Null) => row.push_null(),
                Some(Value::Unchanged) => row.push_unchanged(),
                Some(Value::Text(text)) => {
                    let text = std::str::from_utf8(text);
                    row.push_text(text.map_err(|_| CapturedError::NotText(table.name.clone()))?);
                }
                Some(Value::Binary(_)) => {
                    return Err(CapturedError::NotText(table.name.clone()));
                }
            }
        }
        Ok(())
    }
}

impl Layout {
    fn of(table: &Relation) -> Result<Self, CapturedError> {
        let Some(upstream) = &table.upstream else {
            let num_values = table.live_columns().count();
            return Ok(Self {
                num_values,
                places: (0..num_values).map(Some).collect(),
            });
        };
        let message = relation_message(&upstream.description)?;
        let place = |name: &str| message.columns.iter().position(|sent| sent.name == name);
        Ok(Self {
            num_values: message.columns.len(),
            places: table
                .live_columns()
                .map(|column| place(&column.name))
                .collect(),
        })
    }
}
