//! The first pass of an import: what is there, and whether all of it can be taken over.

use std::io;
use std::path::{Path, PathBuf};

use crate::change;
use crate::clock::Moment;
use crate::disk::{Disk, RealDisk};
use crate::lsn::Lsn;
use crate::slots::reddb::{self, RedSlot};
use crate::slots::{Invalidation, InvalidationCause, SlotName};
use crate::spool::RecoveryMode;
use crate::spool::frame::FrameVersion;
use crate::spool::reddb_file::{RedDbEnd, RedDbFrame, RedDbNames, RedDbReader};

use super::{ImportError, scaled};

/// A RedDB spool and its slots, found fit for import.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) spool: PathBuf,
    pub(super) frames: FrameSurvey,
    pub(super) slots: Vec<SlotPlan>,
}

/// What the spool file holds.
#[derive(Debug)]
pub(super) struct FrameSurvey {
    pub(super) num_frames: u64,
    pub(super) num_v1: u64,
    pub(super) num_v2: u64,
    pub(super) num_v3: u64,
    pub(super) num_v3_epoch: u64,
    /// Zero when there are no frames.
    pub(super) first_position: u64,
    pub(super) last_position: u64,
    pub(super) highest_term: u64,
    pub(super) end: RedDbEnd,
}

/// A slot with its name and positions here.
#[derive(Debug)]
pub(super) struct SlotPlan {
    pub(super) name: SlotName,
    /// RedDB's position, where it lay above the last record.
    pub(super) stood_above: Option<u64>,
    pub(super) restart_lsn: Lsn,
    pub(super) confirmed_lsn: Lsn,
    pub(super) last_seen_unix_ms: u64,
    pub(super) invalidation: Option<Invalidation>,
}

impl Source {
    /// Reads and judges everything; writes nothing.
    pub(super) fn survey(
        data_path: &Path,
        renames: &[(String, String)],
        recovery: RecoveryMode,
        now: Moment,
    ) -> Result<Self, ImportError> {
        let names = RedDbNames::of(data_path);
        let frames = FrameSurvey::read(&names.spool, recovery)?;
        let slots = read_slots(&names.slots, renames, &frames, now)?;
        Ok(Self {
            spool: names.spool,
            frames,
            slots,
        })
    }
}

impl FrameSurvey {
    fn read(path: &Path, recovery: RecoveryMode) -> Result<Self, ImportError> {
        let mut reader = RedDbReader::open(&RealDisk, path).map_err(|e| read_error(path, e))?;
        let mut survey = Self {
            num_frames: 0,
            num_v1: 0,
            num_v2: 0,
            num_v3: 0,
            num_v3_epoch: 0,
            first_position: 0,
            last_position: 0,
            highest_term: 1,
            end: RedDbEnd::Clean,
        };
        while let Some(frame) = reader.next_frame().map_err(|e| read_error(path, e))? {
            survey.take(&frame).map_err(|reason| ImportError::Frame {
                offset: frame.offset,
                reason,
            })?;
        }
        if let Some(end) = reader.end() {
            end.accept(recovery)
                .map_err(|source| ImportError::Damaged {
                    path: path.to_owned(),
                    source,
                })?;
            survey.end = end.clone();
        }
        Ok(survey)
    }

    fn take(&mut self, frame: &RedDbFrame) -> Result<(), String> {
        let position = frame.lsn.get();
        if position <= self.last_position {
            let before = self.last_position;
            return Err(format!(
                "position {position} does not lie above {before} before it"
            ));
        }
        if scaled(position).is_none() {
            return Err(format!("position {position} is above 2^57"));
        }
        if change::boundary(&frame.payload) != (true, true) {
            return Err("the payload is a part of a transaction, not a record".to_owned());
        }
        if self.num_frames == 0 {
            self.first_position = position;
        }
        self.last_position = position;
        self.highest_term = self.highest_term.max(term(frame));
        self.num_frames += 1;
        match frame.version {
            FrameVersion::V1 => self.num_v1 += 1,
            FrameVersion::V2 => self.num_v2 += 1,
            FrameVersion::V3 => self.num_v3 += 1,
            FrameVersion::V3Epoch => self.num_v3_epoch += 1,
        }
        Ok(())
    }
}

/// The frame's term; versions 1 and 2 have none of their own, so their payload's, else 1.
pub(super) fn term(frame: &RedDbFrame) -> u64 {
    frame.term_or(|payload| Some(change::payload_term(payload)))
}

fn read_slots(
    path: &Path,
    renames: &[(String, String)],
    frames: &FrameSurvey,
    now: Moment,
) -> Result<Vec<SlotPlan>, ImportError> {
    let bytes = match RealDisk.read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read_error(path, error)),
    };
    let slots = reddb::decode_strict(&bytes, now.unix_ms).map_err(|source| ImportError::Slots {
        path: path.to_owned(),
        source,
    })?;
    let named = reddb::name_all(slots, renames).map_err(ImportError::SlotIds)?;
    let plan = |(name, slot)| SlotPlan::new(name, &slot, frames, now);
    named.into_iter().map(plan).collect()
}

impl SlotPlan {
    fn new(
        name: SlotName,
        slot: &RedSlot,
        frames: &FrameSurvey,
        now: Moment,
    ) -> Result<Self, ImportError> {
        // A slot above the last record (RedDB forgets its head when everything was pruned) has
        // nothing to get from this file; what is published next lies above both.
        let position = |position: u64| {
            scaled(position.min(frames.last_position)).ok_or_else(|| ImportError::SlotPosition {
                slot: name.clone(),
                position,
            })
        };
        Ok(Self {
            stood_above: (slot.restart_lsn > frames.last_position).then_some(slot.restart_lsn),
            restart_lsn: position(slot.restart_lsn)?,
            confirmed_lsn: position(slot.confirmed_lsn.max(slot.restart_lsn))?,
            last_seen_unix_ms: slot.last_seen_at_unix_ms,
            invalidation: invalidation(slot, frames, now),
            name,
        })
    }
}

/// Why the slot cannot be used, if so: as RedDB recorded it, or since the file begins behind what
/// the slot needs next (which RedDB would find out when its replica comes back), or since damage was
/// left out: nobody knows up to which position records went with it.
fn invalidation(slot: &RedSlot, frames: &FrameSurvey, now: Moment) -> Option<Invalidation> {
    let gone = slot.restart_lsn.saturating_add(1) < frames.first_position;
    let cut = matches!(frames.end, RedDbEnd::Corrupt { .. });
    let lost = (gone || cut).then_some(InvalidationCause::WalRemoved);
    slot.invalidation_reason.or(lost).map(|cause| Invalidation {
        cause,
        at_unix_ms: slot.invalidated_at_unix_ms.unwrap_or(now.unix_ms),
    })
}

pub(super) fn read_error(path: &Path, source: io::Error) -> ImportError {
    ImportError::Read {
        path: path.to_owned(),
        source,
    }
}
