//! `pgspool.changes`: retained records, read from the spool while SQLite asks for them.
//!
//! Bounds on `lsn` and a lower bound on `committed_at` are looked up in the seek index; records
//! of other collections are passed over without being decoded where that can be told from their
//! bytes. Rows come in the order of their positions. A statement sees what was there when it
//! began. No more than one block of the spool is in memory. A captured transaction's frame is decoded
//! to the rows of its changes.

mod row;
mod search;

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::views::View;
use super::seat::Seat;
use super::vtab::{Plan, Scan, Table, Wanted};
use super::{Context, view_scan};
use crate::datum::Datum;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::spool::{Cursor, Frame, MemoryRead, ReadError};
use row::CapturedRows;
use search::Search;

/// Frames are read in blocks of about this many bytes.
const READ_BYTES: usize = 256 << 10;

/// The view as SQLite reads it.
pub(super) struct ChangesTable {
    pub(super) view: &'static View,
}

impl Table for ChangesTable {
    fn declaration(&self) -> String {
        view_scan::declaration(self.view)
    }

    fn plan(&self, wanted: &Wanted) -> Option<Plan> {
        Some(search::plan(wanted))
    }

    fn open(&self, _: &Arc<Seat>) -> Box<dyn Scan> {
        Box::new(ChangesScan::default())
    }
}

#[derive(Default)]
struct ChangesScan {
    search: Search,
    source: Option<Cursor>,
    frames: VecDeque<Frame>,
    captured: CapturedRows,
    /// Of the frame that was read last, which holds many.
    rows: VecDeque<Vec<Datum>>,
    row: Option<Vec<Datum>>,
    rowid: i64,
}

impl Scan for ChangesScan {
    fn start(
        &mut self,
        context: &Arc<Context>,
        plan: &str,
        args: Vec<Datum>,
    ) -> Result<(), PgError> {
        context.host.caller().check_read_changes()?;
        let engine = context.host.engine();
        self.search = search::of(plan, &args, engine)?;
        let seen = context
            .databases()
            .iter()
            .find(|database| database.state.database == engine.name());
        if let Some(database) = seen {
            self.search.upto = self.search.upto.min(database.state.spool.head);
        }
        self.frames.clear();
        self.rows.clear();
        self.rowid = 0;
        self.source = if self.search.is_empty() {
            None
        } else {
            Some(begin(engine, self.search.since)?)
        };
        self.next(context)
    }

    fn next(&mut self, context: &Arc<Context>) -> Result<(), PgError> {
        self.row = self.rows.pop_front();
        while self.row.is_none() {
            let Some(frame) = self.frames.pop_front() else {
                if !self.read(context)? {
                    return Ok(());
                }
                continue;
            };
            if frame.lsn > self.search.upto {
                self.source = None;
                self.frames.clear();
                return Ok(());
            }
            let relations = context.host.engine().relations();
            self.row = match self.captured.of(&frame, &self.search, relations) {
                Some(rows) => {
                    self.rows = rows?;
                    self.rows.pop_front()
                }
                None => row::of(&frame, &self.search),
            };
        }
        self.rowid = self.rowid.saturating_add(1);
        Ok(())
    }

    fn row(&self) -> Option<&[Datum]> {
        self.row.as_deref()
    }

    fn rowid(&self) -> i64 {
        self.rowid
    }
}

impl ChangesScan {
    /// Reads the next frames; false when there are no more.
    fn read(&mut self, context: &Context) -> Result<bool, PgError> {
        context.check_cancelled()?;
        let Some(cursor) = &mut self.source else {
            return Ok(false);
        };
        let frames = match cursor.read_memory(READ_BYTES).map_err(broken)? {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::AtHead => Vec::new(),
            MemoryRead::NeedsDisk => cursor.read_disk(READ_BYTES).map_err(broken)?,
        };
        if frames.is_empty() {
            self.source = None;
        }
        self.frames.extend(frames);
        Ok(self.source.is_some())
    }
}

/// A reader after `since`, or after what was removed: the view shows what is retained.
fn begin(engine: &Engine, since: Lsn) -> Result<Cursor, PgError> {
    let mut since = since;
    loop {
        match engine.read_from(since) {
            Ok(cursor) => return Ok(cursor),
            // Positions up to which data is removed only rise, and end at the head.
            Err(ReadError::Removed {
                removed_through, ..
            }) if removed_through > since => since = removed_through,
            Err(error) => return Err(error.into()),
        }
    }
}

/// The spool cannot be read on. What was removed under the reader is not passed over in silence.
fn broken(error: ReadError) -> PgError {
    match error {
        ReadError::Removed {
            removed_through, ..
        } => PgError::error(
            "58P01",
            "requested change records have been removed while they were read",
        )
        .with_detail(format!("Everything up to {removed_through} is gone."))
        .with_hint("Run the statement again; it begins with what is retained."),
        error @ (ReadError::Corrupt { .. } | ReadError::Io { .. }) => error.into(),
    }
}

#[cfg(test)]
mod tests;
