//! A captured database: what its capture stores, and that nobody else does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::floor::Promise;
use super::scratch::size;
use super::{Engine, PublishError, PublishTicket, boundary};
use crate::captures::{CaptureFileError, CaptureSettings, StatusCell};
use crate::disk::{Disk, ReplaceError};
use crate::lsn::Lsn;
use crate::relations::{DefineError, RelationSet};
use crate::spool::{AppendError, Boundary, Draft, DraftSource, Drafts, End, StreamedUnit, Unit};

/// The capture of a database.
#[derive(Debug)]
pub struct Capture {
    /// How it fares.
    pub status: StatusCell,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    settings: Mutex<Kept>,
    paused: watch::Sender<bool>,
}

/// The settings as they are on disk.
#[derive(Debug)]
struct Kept {
    settings: CaptureSettings,
    /// A write failed, and nobody knows what it left.
    failed: Option<String>,
}

/// The settings of a capture could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot write the settings of the capture: {error}")]
pub struct PersistCaptureError {
    /// The operating system's words.
    pub error: String,
    /// Their kind.
    pub kind: io::ErrorKind,
}

/// The frames of a captured transaction, chunks of [`change`](crate::change).
#[derive(Debug)]
pub enum CapturedFrames {
    /// Those of a transaction that fits into memory.
    Few(Vec<Bytes>),
    /// Those of a large one, fetched while they are written.
    Streamed(Box<dyn DraftSource>),
}

/// A transaction as the upstream committed it.
#[derive(Debug)]
pub struct CapturedTransaction {
    /// Its end there; above the head.
    pub end: Lsn,
    /// When it was committed, unix milliseconds.
    pub commit_ms: u64,
    /// Its frames.
    pub frames: CapturedFrames,
}

impl Capture {
    /// The capture of the database in `dir`, `None` where that takes records of its own. Blocking.
    pub(super) fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Option<Self>, CaptureFileError> {
        let found = CaptureSettings::read(disk.as_ref(), dir)?;
        Ok(found.map(|settings| Self {
            status: StatusCell::default(),
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            paused: watch::Sender::new(settings.paused),
            settings: Mutex::new(Kept {
                settings,
                failed: None,
            }),
        }))
    }

    /// What it follows.
    pub fn settings(&self) -> CaptureSettings {
        let kept = self.settings.lock();
        kept.unwrap_or_else(PoisonError::into_inner)
            .settings
            .clone()
    }

    /// PAUSE and RESUME, durable before it returns. Who waits for it is woken also where nothing
    /// changes: RESUME has a capture that cannot go on look again. Blocking.
    pub fn set_paused(&self, paused: bool) -> Result<(), PersistCaptureError> {
        let mut kept = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.settings.paused == paused {
            self.paused.send_replace(paused);
            return Ok(());
        }
        if let Some(error) = &kept.failed {
            return Err(persist_error(&io::Error::other(error.clone())));
        }
        let settings = CaptureSettings {
            paused,
            ..kept.settings.clone()
        };
        match settings.write(self.disk.as_ref(), &self.dir) {
            Ok(()) => {}
            Err(ReplaceError::OldStands(error)) => return Err(persist_error(&error)),
            Err(ReplaceError::Unknown(error)) => {
                kept.failed = Some(error.to_string());
                return Err(persist_error(&error));
            }
        }
        kept.settings = settings;
        self.paused.send_replace(paused);
        Ok(())
    }

    /// Whether it is paused, and when that changes.
    pub fn paused(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }
}

fn persist_error(error: &io::Error) -> PersistCaptureError {
    PersistCaptureError {
        error: error.to_string(),
        kind: error.kind(),
    }
}

impl Engine {
    /// Its capture; `None` for a database that takes records of its own.
    pub const fn capture(&self) -> Option<&Arc<Capture>> {
        self.capture.as_ref()
    }

    /// Whether records can be published to it and tables defined in it: an error where it is
    /// captured from an upstream.
    pub fn check_takes_records(&self) -> Result<(), PublishError> {
        match self.capture {
            Some(_) => Err(PublishError::Captured(self.name().to_owned())),
            None => Ok(()),
        }
    }

    fn check_captured(&self) -> Result<(), PublishError> {
        match self.capture {
            Some(_) => Ok(()),
            None => Err(PublishError::NotCaptured(self.name().to_owned())),
        }
    }

    /// Queues a transaction of the upstream; await or wait on the ticket for durability. Refused
    /// without room on the disk ([`PublishError::is_disk_full`]). Blocks while the writer's queue
    /// is full.
    pub fn store_captured(
        &self,
        transaction: CapturedTransaction,
    ) -> Result<PublishTicket, PublishError> {
        self.check_captured()?;
        let CapturedTransaction {
            end,
            commit_ms,
            frames,
        } = transaction;
        let (term, end) = (self.term(), End::Upstream(end));
        match frames {
            CapturedFrames::Few(payloads) => {
                let frames = few(payloads)?;
                let drafts = frames.as_slice().iter();
                let bytes = drafts.map(|draft| size(draft.counted_frame())).sum();
                self.admit_bytes(bytes)?;
                let unit = Unit {
                    term,
                    timestamp_ms: commit_ms,
                    end,
                    frames,
                };
                Ok(self.spool.append(vec![unit])?)
            }
            CapturedFrames::Streamed(drafts) => {
                let bytes = drafts.counted_bytes();
                self.admit_bytes(bytes)?;
                let promise = self.floor.promise(bytes);
                let unit = StreamedUnit {
                    term,
                    timestamp_ms: commit_ms,
                    end,
                    drafts: Box::new(Promised {
                        drafts,
                        promise,
                        num_taken: 0,
                    }),
                };
                Ok(self.spool.append_streamed(unit)?)
            }
        }
    }

    /// Whether something may be stored, as far as the disk's floor goes.
    pub fn has_room(&self) -> bool {
        self.admit_bytes(0).is_ok()
    }

    /// Notes that everything upstream up to `to` was received: the head, durable before it
    /// returns. Nothing to do at or below the head. Blocking.
    pub fn advance_received(&self, to: Lsn) -> Result<(), PublishError> {
        self.check_captured()?;
        Ok(self.spool.advance_head(to)?)
    }

    /// Takes the upstream's system identifier and timeline for its own, durably before it
    /// returns. Blocking.
    pub fn follow(&self, system_id: u64, timeline: u64) -> Result<(), AppendError> {
        self.spool.follow(system_id, timeline)
    }

    /// Changes the definitions for what ends above `since`, which may lie above the head; durable
    /// before it returns. What was defined at the same position before is defined anew. Blocking.
    pub fn mirror(
        &self,
        since: Lsn,
        change: impl FnOnce(&mut RelationSet),
    ) -> Result<(), DefineError> {
        self.relations.mirror(since, change)
    }
}

fn few(payloads: Vec<Bytes>) -> Result<Drafts, PublishError> {
    let mut drafts: Vec<Draft> = payloads
        .into_iter()
        .map(|bytes| Draft { bytes, hole: None })
        .collect();
    // Frames in the wrong place would make a spool that does not open any more.
    let last = drafts.len().saturating_sub(1);
    for (at, draft) in drafts.iter().enumerate() {
        if !stands(draft, at == 0, at == last) {
            return Err(PublishError::BrokenFrames);
        }
    }
    match drafts.len() {
        0 => Err(PublishError::Empty),
        1 => drafts.pop().map(Drafts::One).ok_or(PublishError::Empty),
        _ => Ok(Drafts::Many(drafts)),
    }
}

/// Whether a frame says that it stands where it does.
fn stands(draft: &Draft, first: bool, last: bool) -> bool {
    boundary(&draft.bytes) == Boundary { first, last }
}

/// The frames of a large transaction, with the room that was promised to them.
#[derive(Debug)]
struct Promised {
    drafts: Box<dyn DraftSource>,
    promise: Promise,
    num_taken: u64,
}

impl DraftSource for Promised {
    fn memory_bytes(&self) -> u64 {
        self.drafts.memory_bytes()
    }

    fn num_frames(&self) -> u64 {
        self.drafts.num_frames()
    }

    fn counted_bytes(&self) -> u64 {
        self.drafts.counted_bytes()
    }

    fn next_draft(&mut self) -> io::Result<Option<Draft>> {
        let draft = self.drafts.next_draft()?;
        if let Some(draft) = &draft {
            let first = self.num_taken == 0;
            self.num_taken = self.num_taken.saturating_add(1);
            if !stands(draft, first, self.num_taken == self.num_frames()) {
                return Err(io::Error::other(PublishError::BrokenFrames));
            }
            self.promise.keep(size(draft.counted_frame()));
        }
        Ok(draft)
    }
}
