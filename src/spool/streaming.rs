//! Transactions that are fetched frame by frame while they are written.
//!
//! Memory and the unsynced part stay bounded whatever the transaction's size; readers see it only
//! after its last sync, and a crash before that leaves an unfinished one, which recovery cuts off.

use std::io;

use super::appender::{Stopped, Writer, number_for};
use super::group::Stamped;
use super::lsn_rule;
use super::size;
use super::ticket::{Appended, Completion};
use super::unit::{End, StreamedUnit};
use crate::lsn::Lsn;

impl Writer {
    /// Appends one transaction; its answer comes with the others of the group that its last frame
    /// is in.
    pub(super) fn append_streamed(
        &mut self,
        unit: StreamedUnit,
        completion: Completion,
    ) -> Result<(), Stopped> {
        let imported_through = self.shared.imported_through;
        let end = match lsn_rule::end_of_streamed(&unit, self.head, imported_through) {
            Ok(end) => end,
            Err(refused) => {
                completion.complete(Err(refused));
                return Ok(());
            }
        };
        if let Err(stopped) = self.stream(unit, end) {
            completion.complete(Err(self.shared.refusal()));
            return Err(stopped);
        }
        let appended = Appended {
            first_lsn: end,
            last_lsn: end,
            num_transactions: 1,
        };
        self.group.done.push((completion, appended));
        Ok(())
    }

    fn stream(&mut self, unit: StreamedUnit, end: Lsn) -> Result<(), Stopped> {
        let base = lsn_rule::local_base(self.head, self.shared.imported_through);
        let count = unit.drafts.num_frames();
        let StreamedUnit {
            term,
            timestamp_ms,
            end: chosen,
            mut drafts,
        } = unit;
        let of = Stamped {
            term,
            timestamp_ms,
            end,
        };
        let begins_at = self.written.saturating_add(size(self.group.buf.len()));
        let (mut counted, mut num_frames) = (0, 0);
        while let Some(draft) = drafts.next_draft().map_err(self.fail(FETCH, OF_PART))? {
            let own = match chosen {
                End::Local => lsn_rule::own_lsn(base, counted),
                End::Chosen(_) | End::Upstream(_) => {
                    lsn_rule::own_lsn_before(end, num_frames, count)
                }
            };
            self.place_draft(&draft, of, number_for(&draft, end, own))?;
            counted = size(draft.counted_frame()).saturating_add(counted);
            num_frames += 1;
        }
        // The end was decided by what the source had said.
        if (counted, num_frames) != (drafts.counted_bytes(), drafts.num_frames()) {
            let error = io::Error::other("it is not what was counted before");
            return Err(self.fail(FETCH, OF_PART)(error));
        }
        self.head = end;
        self.close_transaction(of, num_frames, begins_at)
    }
}

const FETCH: &str = "reading of";
const OF_PART: &str = "a transaction under way";
