//! A change record as changes of rows of its table.

use crate::change::{Fields, Hex, Operation};
use crate::lsn::Lsn;
use crate::relations::RelationSet;

use super::{Action, Change, Row, RowError};

/// Reads records, with buffers that are used again and again.
#[derive(Debug, Default)]
pub struct RecordReader {
    new: Row,
    old: Row,
}

impl RecordReader {
    /// Hands what the record at `lsn` does to `each`, change by change: a refresh is a truncate
    /// and an insert for each of its rows.
    pub(crate) fn read<E: From<RowError>>(
        &mut self,
        lsn: Lsn,
        fields: &Fields<'_>,
        _set: &RelationSet,
        each: &mut dyn FnMut(Change<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.new.clear();
        self.old.clear();
        if fields.operation != Operation::Message {
            return Ok(());
        }
        let content = fields.entity_bytes.as_ref().map(Hex::to_bytes);
        let (prefix, transactional) = match &fields.message {
            Some((prefix, transactional)) => (prefix.as_ref(), *transactional),
            None => ("", true),
        };
        let action = Action::Message {
            transactional,
            prefix,
            content: &content.unwrap_or_default(),
        };
        each(Change { lsn, action })
    }
}
