//! The `pgoutput` plugin: PostgreSQL's logical replication messages.
//!
//! Begin comes with the first change that is shown, so a transaction that shows nothing sends
//! nothing. Begin carries the LSN of that change, each change its own, Commit the transaction's
//! end. What describes a table is noted beside the messages ([`Messages::use_table`]). Local
//! transactions come whole and committed: nothing is streamed or prepared, whatever was asked for.

mod describe;
mod options;

use crate::datum::{EPOCH_US, NoNames, PgType, Style, binary_out, text_in};
use crate::lsn::Lsn;
use crate::pgoutput::{Commit, EncodeError, write};
use crate::publications::{Publications, Shown};
use crate::relations::Relation;
use crate::rows::{Action, Cell, Change, OldRow, Row};

use super::feed::{Render, Transaction};
use super::options::PluginOption;
use super::{Messages, PluginError, RenderFault};
use describe::{Described, Descriptions};
use options::Options;

/// One stream's settings and its place in a transaction.
#[derive(Debug)]
pub(super) struct Pgoutput {
    /// Logical messages are shown.
    messages: bool,
    publications: Publications,
    descriptions: Descriptions,
    /// End of the transaction whose Begin was written.
    begun: Option<Lsn>,
}

impl Pgoutput {
    /// Takes PostgreSQL's options, those of version 16 too.
    pub(super) fn start(options: &[PluginOption]) -> Result<Self, PluginError> {
        let options = Options::parse(options)?;
        Ok(Self {
            messages: options.messages,
            publications: Publications::new(options.publication_names),
            descriptions: Descriptions::new(options.binary),
            begun: None,
        })
    }

    /// All tables are described before the one message that is about them.
    fn truncate(
        &mut self,
        transaction: &Transaction<'_>,
        change: &Change<'_>,
        tables: &[&Relation],
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        let shown = self.publications.decide(transaction.set, change)?;
        let Some(Shown::Truncate {
            tables: shown,
            cascade,
            restart_identity,
        }) = shown
        else {
            return Ok(());
        };
        let oids: Vec<u32> = shown.iter().map(|table| table.oid).collect();
        begin(&mut self.begun, transaction, change, out);
        for table in tables.iter().filter(|table| oids.contains(&table.oid)) {
            let columns = self.publications.columns(transaction.set, table)?;
            self.descriptions
                .note(transaction.set, table, columns, out)?;
        }
        message(change.lsn, out, |bytes| {
            write::truncate(None, cascade, restart_identity, &oids, bytes)
        })
    }
}

impl Render for Pgoutput {
    fn change(
        &mut self,
        transaction: &Transaction<'_>,
        change: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        if let Action::Truncate { tables, .. } = &change.action {
            return self.truncate(transaction, change, tables, out);
        }
        if matches!(change.action, Action::Message { .. }) && !self.messages {
            return Ok(());
        }
        let Self {
            publications,
            descriptions,
            begun,
            ..
        } = self;
        let Some(shown) = publications.decide(transaction.set, change)? else {
            return Ok(());
        };
        begin(begun, transaction, change, out);
        let set = transaction.set;
        match shown {
            Shown::Insert {
                table,
                columns,
                new,
            } => {
                let table = descriptions.note(set, table, columns, out)?;
                message(change.lsn, out, |bytes| {
                    write::insert(None, table.oid, bytes);
                    tuple(write::NEW, table, new, bytes)
                })
            }
            Shown::Update {
                table,
                columns,
                old,
                new,
            } => {
                let table = descriptions.note(set, table, columns, out)?;
                message(change.lsn, out, |bytes| {
                    write::update(None, table.oid, bytes);
                    old.map_or(Ok(()), |old| old_tuple(table, old, bytes))?;
                    tuple(write::NEW, table, new, bytes)
                })
            }
            Shown::Delete {
                table,
                columns,
                old,
            } => {
                let table = descriptions.note(set, table, columns, out)?;
                message(change.lsn, out, |bytes| {
                    write::delete(None, table.oid, bytes);
                    old_tuple(table, old, bytes)
                })
            }
            Shown::Message {
                transactional,
                prefix,
                content,
            } => message(change.lsn, out, |bytes| {
                write::logical(None, transactional, change.lsn, prefix, content, bytes)
            }),
            // What is no truncate is not shown as one.
            Shown::Truncate { .. } => Ok(()),
        }
    }

    fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages) {
        if self.begun.take() != Some(transaction.end) {
            return;
        }
        let commit = Commit {
            commit_lsn: transaction.final_lsn,
            end_lsn: transaction.end,
            commit_time: transaction.commit_us.saturating_sub(EPOCH_US),
        };
        out.push_with(transaction.end, |bytes| write::commit(&commit, bytes));
    }

    fn message(
        &mut self,
        _unit: &Transaction<'_>,
        change: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        let Action::Message {
            transactional,
            prefix,
            content,
        } = &change.action
        else {
            return Ok(());
        };
        if !self.messages {
            return Ok(());
        }
        message(change.lsn, out, |bytes| {
            write::logical(None, *transactional, change.lsn, prefix, content, bytes)
        })
    }
}

/// Writes Begin, unless it was written, in front of `change`.
fn begin(
    begun: &mut Option<Lsn>,
    transaction: &Transaction<'_>,
    change: &Change<'_>,
    out: &mut Messages,
) {
    if *begun == Some(transaction.end) {
        return;
    }
    *begun = Some(transaction.end);
    let commit_time = transaction.commit_us.saturating_sub(EPOCH_US);
    out.push_with(change.lsn, |bytes| {
        write::begin(transaction.final_lsn, commit_time, transaction.xid, bytes);
    });
}

/// Appends the message that `write` appends.
fn message(
    lsn: Lsn,
    out: &mut Messages,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), RenderFault> {
    let mut written = Ok(());
    out.push_with(lsn, |bytes| written = write(bytes));
    Ok(written?)
}

fn old_tuple(table: &Described, old: OldRow<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match old {
        OldRow::Key(row) => tuple(write::KEY, table, row, out),
        OldRow::Full(row) => tuple(write::OLD, table, row, out),
    }
}

fn tuple(letter: u8, table: &Described, row: &Row, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write::tuple(letter, table.columns.len(), out)?;
    for column in &table.columns {
        match (row.cell(column.place), column.binary) {
            (Cell::Null, _) => write::null(out),
            (Cell::Unchanged, _) => write::unchanged(out),
            (Cell::Text(text), None) => write::text_value(text.as_bytes(), out)?,
            (Cell::Text(text), Some(ty)) => value(ty, text, out)?,
        }
    }
    Ok(())
}

/// A value in binary form, or as text where we know no other.
fn value(ty: PgType, text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let binary = text_in(ty, text, &NoNames, &Style::utc(0)).ok();
    let binary = binary.and_then(|datum| {
        let mut bytes = Vec::new();
        binary_out(ty, &datum, &mut bytes).ok().map(|()| bytes)
    });
    match binary {
        Some(bytes) => write::binary_value(&bytes, out),
        None => write::text_value(text.as_bytes(), out),
    }
}

#[cfg(test)]
mod tests;
