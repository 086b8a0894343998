//! What describes a table to a subscriber, kept until it is another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;

use crate::datum::PgType;
use crate::pgoutput::{EncodeError, Identity, Message, RelationColumn, RelationDescription};
use crate::plugins::Messages;
use crate::relations::{Relation, RelationSet, ReplicaIdentity};

/// The schema whose name PostgreSQL leaves away.
const PG_CATALOG: &str = "pg_catalog";

/// Descriptions of the tables that a stream shows.
#[derive(Debug, Default)]
pub(super) struct Descriptions {
    binary: bool,
    /// What is known of tables was looked at under these definitions.
    set: Option<Arc<RelationSet>>,
    known: BTreeMap<u32, Described>,
}

/// A table as it is sent.
#[derive(Debug)]
pub(super) struct Described {
    /// Its OID.
    pub(super) oid: u32,
    /// Those columns that are sent: their places among the table's, and how their values go out.
    pub(super) columns: Vec<Sent>,
    messages: Arc<[Bytes]>,
    /// It is so under the definitions that count.
    is_checked: bool,
}

/// A column that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Its place among the columns of the table that are not dropped.
    pub(super) place: usize,
    /// Its type, where values of it go out in binary form if they have one.
    pub(super) binary: Option<PgType>,
}

impl Descriptions {
    pub(super) fn new(binary: bool) -> Self {
        Self {
            binary,
            ..Self::default()
        }
    }

    /// Notes in `out` that the next message is about `table`, of which `columns` are published.
    /// These depend on nothing but the definitions `set`.
    pub(super) fn note(
        &mut self,
        set: &Arc<RelationSet>,
        table: &Relation,
        columns: &[usize],
        out: &mut Messages,
    ) -> Result<&Described, EncodeError> {
        let same = self
            .set
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, set));
        if !same {
            self.set = Some(Arc::clone(set));
            self.known.retain(|oid, described| {
                described.is_checked = false;
                set.relation_by_oid(*oid).is_some()
            });
        }
        let described = match self.known.entry(table.oid) {
            Entry::Occupied(known) => {
                let known = known.into_mut();
                if !known.is_checked {
                    *known = Described::new(table, columns, self.binary, Some(&known.messages))?;
                }
                known
            }
            Entry::Vacant(place) => {
                place.insert(Described::new(table, columns, self.binary, None)?)
            }
        };
        out.use_table(described.oid, &described.messages);
        Ok(described)
    }
}

impl Described {
    /// `table` and its published columns; the messages that were `sent` stay when they say the
    /// same.
    fn new(
        table: &Relation,
        columns: &[usize],
        is_binary: bool,
        sent: Option<&Arc<[Bytes]>>,
    ) -> Result<Self, EncodeError> {
        let mut message = Vec::new();
        Message::Relation(description(table, columns)).encode(&mut message)?;
        let messages = match sent {
            Some(sent) if sent.iter().eq([&message]) => Arc::clone(sent),
            Some(_) | None => [Bytes::from(message)].into(),
        };
        let live: Vec<PgType> = table
            .live_columns()
            .map(|column| column.column_type)
            .collect();
        let column = |&place: &usize| Sent {
            place,
            binary: live.get(place).copied().filter(|_| is_binary),
        };
        Ok(Self {
            oid: table.oid,
            columns: columns.iter().map(column).collect(),
            messages,
            is_checked: true,
        })
    }
}

/// Types have no messages of their own: all that columns can have are built in.
fn description<'a>(table: &'a Relation, columns: &[usize]) -> RelationDescription<'a> {
    let key = table.identity_columns().unwrap_or_default();
    let is_full = table.replica_identity == ReplicaIdentity::Full;
    let columns = table
        .live_columns()
        .enumerate()
        .filter(|(place, _)| columns.contains(place))
        .map(|(_, column)| RelationColumn {
            key: is_full || key.contains(&column.attnum),
            name: &column.name,
            type_oid: column.column_type.0,
            typmod: column.typmod,
        });
    RelationDescription {
        xid: None,
        oid: table.oid,
        schema: if table.schema == PG_CATALOG {
            ""
        } else {
            &table.schema
        },
        name: &table.name,
        identity: match table.replica_identity {
            ReplicaIdentity::Default => Identity::Default,
            ReplicaIdentity::Full => Identity::Full,
            ReplicaIdentity::Nothing => Identity::Nothing,
            ReplicaIdentity::Index(_) => Identity::Index,
        },
        columns: columns.collect(),
    }
}
