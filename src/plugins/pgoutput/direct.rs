//! Which messages of an upstream go out as they are stored: those of tables of which a stream sees
//! every column, and every row of the kind of change, in text form. Decided once a table.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::pgoutput::DecodeError;
use crate::publications::{Publications, RowsShown};
use crate::relations::RelationSet;
use crate::rows::{CapturedError, relation_message};

use super::RenderFault;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is not shown.
    Hidden,
    /// It goes out as it is stored.
    Stored,
    /// It must be looked at.
    Decoded,
}

/// What becomes of a table's messages.
#[derive(Debug, Clone, Copy)]
struct Ways {
    insert: Way,
    update: Way,
    delete: Way,
}

/// What was decided for the definitions of a time.
#[derive(Debug, Default)]
pub(super) struct Direct {
    /// Values go out in binary form.
    binary: bool,
    set: Option<Arc<RelationSet>>,
    known: BTreeMap<u32, Ways>,
}

impl Direct {
    pub(super) fn new(binary: bool) -> Self {
        Self {
            binary,
            ..Self::default()
        }
    }

    /// What becomes of a message with this letter about the table `oid`.
    pub(super) fn way(
        &mut self,
        letter: u8,
        oid: u32,
        set: &Arc<RelationSet>,
        publications: &mut Publications,
    ) -> Result<Way, RenderFault> {
        let same = self
            .set
            .as_ref()
            .is_some_and(|known| Arc::ptr_eq(known, set));
        if !same {
            self.set = Some(Arc::clone(set));
            self.known.clear();
        }
        let ways = match self.known.get(&oid) {
            Some(ways) => *ways,
            None => {
                let ways = ways(oid, self.binary, set, publications)?;
                self.known.insert(oid, ways);
                ways
            }
        };
        Ok(match letter {
            b'I' => ways.insert,
            b'U' => ways.update,
            b'D' => ways.delete,
            _ => Way::Decoded,
        })
    }
}

fn ways(
    oid: u32,
    binary: bool,
    set: &Arc<RelationSet>,
    publications: &mut Publications,
) -> Result<Ways, RenderFault> {
    let table = set.relation_by_oid(oid);
    let table = table.ok_or(CapturedError::UnknownTable(oid))?;
    let shown = publications.changes(set, table)?;
    let has_all = match &table.upstream {
        None => false,
        Some(upstream) => {
            let message = relation_message(&upstream.description).map_err(CapturedError::from)?;
            message.columns.iter().all(|sent| {
                let mut live = table.live_columns();
                let place = live.position(|column| column.name == sent.name);
                place.is_some_and(|place| shown.columns.contains(&place))
            })
        }
    };
    let way = |rows| match rows {
        RowsShown::None => Way::Hidden,
        RowsShown::All if has_all && !binary => Way::Stored,
        RowsShown::All | RowsShown::Some => Way::Decoded,
    };
    Ok(Ways {
        insert: way(shown.insert),
        update: way(shown.update),
        delete: way(shown.delete),
    })
}

/// The OID of the table that a message about a row is about.
pub(super) fn table_of(message: &[u8]) -> Result<u32, CapturedError> {
    match message {
        [_, a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(CapturedError::Message(DecodeError {
            tag: message.first().copied(),
            offset: message.len(),
            fault: crate::pgoutput::DecodeFault::Short("the relation's OID"),
        })),
    }
}
