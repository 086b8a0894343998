//! The `pgoutput` plugin: PostgreSQL's logical replication messages.
//!
//! Begin comes with the first change that is shown, so a transaction that shows nothing sends
//! nothing. Begin carries the LSN of that change, each change its own, Commit the transaction's
//! end. What describes a table is noted beside the messages ([`Messages::use_table`]). Messages of
//! an upstream go out as they are stored where that shows what is to be shown (`direct`). Large
//! captured transactions are streamed to who asked for it (`place`); nothing is prepared.

mod describe;
mod direct;
mod options;
mod place;

use crate::datum::{NoNames, PgType, Style, binary_out, text_in};
use crate::lsn::Lsn;
use crate::pgoutput::{EncodeError, write};
use crate::publications::{Publications, Shown};
use crate::relations::Relation;
use crate::rows::{Action, CapturedError, Cell, Change, OldRow, Row};

use super::feed::{Render, Transaction};
use super::options::PluginOption;
use super::{Messages, PluginError, RenderFault};
use describe::{Described, Descriptions};
use direct::{Direct, Way};
use options::Options;
use place::Place;

/// One stream's settings and its place in a transaction.
#[derive(Debug)]
pub(super) struct Pgoutput {
    /// Logical messages are shown.
    messages: bool,
    /// Transactions that come from elsewhere are not.
    only_local: bool,
    publications: Publications,
    descriptions: Descriptions,
    direct: Direct,
    place: Place,
}

impl Pgoutput {
    /// Takes PostgreSQL's options, those of version 16 too.
    pub(super) fn start(options: &[PluginOption]) -> Result<Self, PluginError> {
        let options = Options::parse(options)?;
        Ok(Self {
            messages: options.messages,
            only_local: options.only_local,
            publications: Publications::new(options.publication_names),
            descriptions: Descriptions::new(options.binary),
            direct: Direct::new(options.binary),
            place: Place::new(options.streaming),
        })
    }

    const fn hides(&self, transaction: &Transaction<'_>) -> bool {
        self.only_local && transaction.origin.is_some()
    }

    /// A logical message as it is stored.
    fn stored_message(
        &mut self,
        transaction: &Transaction<'_>,
        lsn: Lsn,
        message: &[u8],
        out: &mut Messages,
    ) {
        if !self.messages {
            return;
        }
        let is_transactional = message.get(1).is_some_and(|flags| *flags & 1 != 0);
        let xid = if is_transactional {
            self.place.begin(transaction, lsn, out)
        } else {
            None
        };
        push_stored(xid, lsn, message, out);
    }

    /// What describes the table `oid`, of which all columns are shown.
    fn describe(
        &mut self,
        transaction: &Transaction<'_>,
        oid: u32,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        let set = transaction.set;
        if let Some(described) = self.descriptions.known(set, oid) {
            self.place.describe(described, out);
            return Ok(());
        }
        let table = set.relation_by_oid(oid);
        let table = table.ok_or(CapturedError::UnknownTable(oid))?;
        let columns = self.publications.columns(set, table)?;
        let described = self.descriptions.of(set, table, columns)?;
        self.place.describe(described, out);
        Ok(())
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
        let xid = self.place.begin(transaction, change.lsn, out);
        for table in tables.iter().filter(|table| oids.contains(&table.oid)) {
            let columns = self.publications.columns(transaction.set, table)?;
            let described = self.descriptions.of(transaction.set, table, columns)?;
            self.place.describe(described, out);
        }
        message(change.lsn, out, |bytes| {
            write::truncate(xid, cascade, restart_identity, &oids, bytes)
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
        if self.hides(transaction) {
            return Ok(());
        }
        if let Action::Truncate { tables, .. } = &change.action {
            return self.truncate(transaction, change, tables, out);
        }
        if matches!(change.action, Action::Message { .. }) && !self.messages {
            return Ok(());
        }
        let Self {
            publications,
            descriptions,
            place,
            ..
        } = self;
        let Some(shown) = publications.decide(transaction.set, change)? else {
            return Ok(());
        };
        let xid = place.begin(transaction, change.lsn, out);
        let set = transaction.set;
        match shown {
            Shown::Insert {
                table,
                columns,
                new,
            } => {
                let table = descriptions.of(set, table, columns)?;
                place.describe(table, out);
                message(change.lsn, out, |bytes| {
                    write::insert(xid, table.oid, bytes);
                    tuple(write::NEW, table, new, bytes)
                })
            }
            Shown::Update {
                table,
                columns,
                old,
                new,
            } => {
                let table = descriptions.of(set, table, columns)?;
                place.describe(table, out);
                message(change.lsn, out, |bytes| {
                    write::update(xid, table.oid, bytes);
                    old.map_or(Ok(()), |old| old_tuple(table, old, bytes))?;
                    tuple(write::NEW, table, new, bytes)
                })
            }
            Shown::Delete {
                table,
                columns,
                old,
            } => {
                let table = descriptions.of(set, table, columns)?;
                place.describe(table, out);
                message(change.lsn, out, |bytes| {
                    write::delete(xid, table.oid, bytes);
                    old_tuple(table, old, bytes)
                })
            }
            Shown::Message {
                transactional,
                prefix,
                content,
            } => message(change.lsn, out, |bytes| {
                write::logical(xid, transactional, change.lsn, prefix, content, bytes)
            }),
            // What is no truncate is not shown as one.
            Shown::Truncate { .. } => Ok(()),
        }
    }

    fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages) {
        self.place.commit(transaction, out);
    }

    fn frame_done(&mut self, _transaction: &Transaction<'_>, out: &mut Messages) {
        self.place.frame_done(out);
    }

    fn stored(
        &mut self,
        transaction: &Transaction<'_>,
        lsn: Lsn,
        message: &[u8],
        out: &mut Messages,
    ) -> Result<bool, RenderFault> {
        if self.hides(transaction) {
            return Ok(true);
        }
        let letter = match message.first() {
            Some(b'M') => {
                self.stored_message(transaction, lsn, message, out);
                return Ok(true);
            }
            Some(letter @ (b'I' | b'U' | b'D')) => *letter,
            Some(_) | None => return Ok(false),
        };
        let oid = direct::table_of(message)?;
        let publications = &mut self.publications;
        let way = self
            .direct
            .way(letter, oid, transaction.set, publications)?;
        match way {
            Way::Hidden => Ok(true),
            Way::Decoded => Ok(false),
            Way::Stored => {
                let xid = self.place.begin(transaction, lsn, out);
                self.describe(transaction, oid, out)?;
                push_stored(xid, lsn, message, out);
                Ok(true)
            }
        }
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

/// Appends a message as it is stored, with `xid` inside of a streamed transaction.
fn push_stored(xid: Option<u32>, lsn: Lsn, message: &[u8], out: &mut Messages) {
    match xid {
        Some(xid) => out.push_with(lsn, |bytes| write::inside_stream(xid, message, bytes)),
        None => out.push(lsn, message),
    }
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
