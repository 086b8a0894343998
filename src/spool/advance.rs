//! A head that moves without a transaction: an upstream said that nothing ends before a position.
//!
//! The manifest remembers it beside the end of the last transaction before, so that a start tells
//! a head that was moved from transactions that were lost.

use std::sync::atomic::Ordering;

use super::appender::{Stopped, Writer};
use super::error::AppendError;
use super::manifest::IdleStretch;
use crate::lsn::Lsn;

impl Writer {
    /// Moves the head, durably before anybody sees it. Called only when all is synced.
    pub(super) fn advance_head(&mut self, to: Lsn) -> Result<Result<(), AppendError>, Stopped> {
        if to <= self.head {
            return Ok(Ok(()));
        }
        let before = (self.head, self.manifest.idle);
        self.head = to;
        self.manifest.idle = Some(IdleStretch {
            after: self.last_end(),
            upto: to,
        });
        if let Err(refused) = self.try_store_manifest()? {
            (self.head, self.manifest.idle) = before;
            self.manifest.head = self.head;
            return Ok(Err(refused));
        }
        self.shared.advance(to);
        Ok(Ok(()))
    }

    /// Takes an upstream's identity. Called only when all is synced.
    pub(super) fn follow(
        &mut self,
        system_id: u64,
        timeline: u64,
    ) -> Result<Result<(), AppendError>, Stopped> {
        let before = (self.manifest.system_id, self.manifest.term);
        (self.manifest.system_id, self.manifest.term) = (system_id, timeline);
        if let Err(refused) = self.try_store_manifest()? {
            (self.manifest.system_id, self.manifest.term) = before;
            return Ok(Err(refused));
        }
        self.shared.system_id.store(system_id, Ordering::Release);
        self.shared.term.store(timeline, Ordering::Release);
        Ok(Ok(()))
    }

    /// End of the last transaction that was placed.
    pub(super) fn last_end(&self) -> Lsn {
        if self.whole.frames > 0 {
            self.whole.last_lsn
        } else {
            self.manifest.active.first_position
        }
    }
}
