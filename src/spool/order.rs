//! The order that frames must keep inside a spool (pure).
//!
//! Transactions are runs of frames with one LSN, opened by a first frame and closed by a last
//! one; their LSNs rise. Every reader checks this, so that a sound frame in a wrong place is
//! noticed too.

use super::unit::Frame;
use crate::lsn::Lsn;

/// Follows the frames of a spool.
#[derive(Debug, Clone)]
pub(crate) struct FrameOrder {
    last_lsn: Lsn,
    open: bool,
}

impl FrameOrder {
    /// The next transaction must end above `last_lsn`.
    pub(crate) fn after(last_lsn: Lsn) -> Self {
        Self {
            last_lsn,
            open: false,
        }
    }

    /// Takes the next frame; an error says why it cannot stand here.
    pub(crate) fn take(&mut self, frame: &Frame) -> Result<(), String> {
        let lsn = frame.lsn;
        match (self.open, frame.boundary.first) {
            (true, true) => return Err(format!("transaction {} has no end", self.last_lsn)),
            (false, false) => return Err(format!("transaction {lsn} has no beginning")),
            (true, false) if lsn != self.last_lsn => {
                return Err(format!(
                    "position {lsn} inside transaction {}",
                    self.last_lsn
                ));
            }
            (false, true) if lsn <= self.last_lsn => {
                return Err(format!("position {lsn} is not above {}", self.last_lsn));
            }
            (true, false) | (false, true) => {}
        }
        self.last_lsn = lsn;
        self.open = !frame.boundary.last;
        Ok(())
    }

    /// Between two transactions.
    pub(crate) fn is_between(&self) -> bool {
        !self.open
    }

    /// LSN of the last frame taken (or the start).
    pub(crate) fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::frame::FrameVersion;
    use super::super::unit::Boundary;
    use super::*;

    #[test]
    fn only_rising_whole_transactions_are_in_order() {
        type Place = (u64, bool, bool);
        // (lsn, first, last) after position 10
        let table: [(&[Place], bool); 8] = [
            (&[(11, true, true), (12, true, true)], true),
            (
                &[(11, true, false), (11, false, false), (11, false, true)],
                true,
            ),
            (&[(10, true, true)], false),
            (&[(11, true, true), (11, true, true)], false),
            (&[(12, true, true), (11, true, true)], false),
            (&[(11, false, true)], false),
            (&[(11, true, false), (12, false, true)], false),
            (&[(11, true, false), (12, true, true)], false),
        ];
        for (frames, in_order) in table {
            let mut order = FrameOrder::after(Lsn::new(10));
            let taken: Result<(), String> = frames.iter().try_for_each(|(lsn, first, last)| {
                order.take(&Frame {
                    version: FrameVersion::V3,
                    term: 1,
                    lsn: Lsn::new(*lsn),
                    timestamp_ms: 0,
                    boundary: Boundary {
                        first: *first,
                        last: *last,
                    },
                    payload: Bytes::new(),
                })
            });
            assert_eq!(taken.is_ok(), in_order, "{frames:?}: {taken:?}");
        }
    }
}
