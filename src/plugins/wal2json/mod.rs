//! The `wal2json` plugin, as version 2.5 writes it.
//!
//! Format 1 is one JSON text a transaction, which carries the transaction's end (with
//! `write-in-chunks` a message a change, of which the last carries it); format 2 one JSON text a
//! change between a begin and a commit. An update or delete of a table without replica identity
//! is left out, as the original does.

mod filters;
mod format1;
mod format2;
mod options;
mod shown;

use crate::change::only_change_lsn;
use crate::lsn::Lsn;
use crate::relations::Relation;
use crate::rows::{Action, Change};

use super::feed::{Render, Transaction};
use super::options::PluginOption;
use super::{Messages, PluginError, RenderFault};
use options::{FormatVersion, Options};

/// The longest text of one transaction in format 1. Format 2 and `write-in-chunks` know no limit.
const MAX_TRANSACTION: usize = 256 << 20;

/// One stream's settings and its place in a transaction.
#[derive(Debug)]
pub(super) struct Wal2Json {
    options: Options,
    place: Place,
}

/// Where in a transaction a stream is.
#[derive(Debug, Default)]
struct Place {
    /// End LSN of the transaction whose beginning was written.
    begun: Option<Lsn>,
    /// Format 1: a change of it was written.
    has_change: bool,
    /// What is not handed out yet: in format 1 the transaction so far, in format 2 without
    /// transactions the last change, which may turn out to be the one that carries the end.
    held: Vec<u8>,
    /// LSN of the change that is held.
    held_lsn: Option<Lsn>,
}

impl Wal2Json {
    /// Takes the options of wal2json 2.5, with its words for bad ones.
    pub(super) fn start(options: &[PluginOption]) -> Result<Self, PluginError> {
        Ok(Self {
            options: Options::parse(options)?,
            place: Place::default(),
        })
    }

    fn begin(&mut self, transaction: &Transaction<'_>, lsn: Lsn, out: &mut Messages) {
        if self.place.begun == Some(transaction.end) {
            return;
        }
        self.place = Place {
            begun: Some(transaction.end),
            ..Place::default()
        };
        let options = &self.options;
        match options.format {
            FormatVersion::One if options.write_in_chunks => out.push_with(lsn, |text| {
                format1::write_begin(options, transaction, text);
            }),
            FormatVersion::One => {
                format1::write_begin(options, transaction, &mut self.place.held);
            }
            FormatVersion::Two if options.include_transaction => out.push_with(lsn, |text| {
                format2::write_boundary(options, transaction, "B", text);
            }),
            FormatVersion::Two => {}
        }
    }

    /// One change or message that is to be shown, as `write` writes it.
    fn show_in_format_1(
        &mut self,
        lsn: Lsn,
        out: &mut Messages,
        write: impl FnOnce(&Options, &mut Vec<u8>),
    ) -> Result<(), RenderFault> {
        let options = &self.options;
        let follows = std::mem::replace(&mut self.place.has_change, true);
        if options.write_in_chunks {
            out.push_with(lsn, |text| {
                format1::open_change(options, follows, text);
                write(options, text);
            });
            return Ok(());
        }
        let held = &mut self.place.held;
        format1::end_line(options, held);
        format1::open_change(options, follows, held);
        write(options, held);
        if held.len() > MAX_TRANSACTION {
            return Err(RenderFault::TransactionTooLong(MAX_TRANSACTION));
        }
        Ok(())
    }

    /// The same in format 2. Without transactions in it a change waits for the next one: the last
    /// carries the end of its transaction.
    fn show_in_format_2(
        &mut self,
        lsn: Lsn,
        out: &mut Messages,
        write: impl FnOnce(&Options, &mut Vec<u8>),
    ) {
        let options = &self.options;
        if options.include_transaction {
            out.push_with(lsn, |text| write(options, text));
            return;
        }
        if let Some(held_lsn) = self.place.held_lsn.replace(lsn) {
            out.push(held_lsn, &self.place.held);
            self.place.held.clear();
        }
        write(options, &mut self.place.held);
    }

    fn show_table(&self, action: options::Action, table: &Relation) -> bool {
        self.options.actions.contains(&action) && self.options.tables.show(table)
    }
}

impl Render for Wal2Json {
    fn change(
        &mut self,
        transaction: &Transaction<'_>,
        change: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        self.begin(transaction, change.lsn, out);
        let lsn = change.lsn;
        let action = &change.action;
        if let Action::Message { prefix, .. } = action
            && !self.options.messages.show(prefix)
        {
            return Ok(());
        }
        if let Action::Truncate { tables, .. } = action {
            for table in *tables {
                let shown = self.show_table(options::Action::Truncate, table);
                if shown && self.options.format == FormatVersion::Two {
                    self.show_in_format_2(lsn, out, |options, text| {
                        format2::write_truncate(options, transaction, lsn, table, text);
                    });
                }
            }
            return Ok(());
        }
        let Some(shown) = shown::Shown::of(action) else {
            return Ok(());
        };
        if let Some((action, table)) = shown.of_table()
            && !self.show_table(action, table)
        {
            return Ok(());
        }
        match self.options.format {
            FormatVersion::One => self.show_in_format_1(lsn, out, |options, text| {
                format1::write_change(options, &shown, text);
            })?,
            FormatVersion::Two => self.show_in_format_2(lsn, out, |options, text| {
                format2::write_change(options, Some(transaction), lsn, &shown, text);
            }),
        }
        Ok(())
    }

    fn commit(&mut self, transaction: &Transaction<'_>, out: &mut Messages) {
        self.begin(transaction, only_change_lsn(transaction.end), out);
        let place = std::mem::take(&mut self.place);
        let options = &self.options;
        let end = transaction.end;
        match options.format {
            FormatVersion::One => out.push_with(end, |text| {
                if !options.write_in_chunks {
                    text.extend_from_slice(&place.held);
                    format1::end_line(options, text);
                }
                format1::write_end(options, text);
            }),
            FormatVersion::Two if options.include_transaction => out.push_with(end, |text| {
                format2::write_boundary(options, transaction, "C", text);
            }),
            FormatVersion::Two => {
                if place.held_lsn.is_some() {
                    out.push(end, &place.held);
                }
            }
        }
    }

    fn message(
        &mut self,
        _unit: &Transaction<'_>,
        message: &Change<'_>,
        out: &mut Messages,
    ) -> Result<(), RenderFault> {
        let options = &self.options;
        let Some(shown) = shown::Shown::of(&message.action) else {
            return Ok(());
        };
        if let shown::Shown::Message { prefix, .. } = &shown
            && !options.messages.show(prefix)
        {
            return Ok(());
        }
        out.push_with(message.lsn, |text| match options.format {
            FormatVersion::One => format1::write_alone(options, &shown, text),
            FormatVersion::Two => {
                format2::write_change(options, None, message.lsn, &shown, text);
            }
        });
        Ok(())
    }
}
