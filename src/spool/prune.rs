//! Which segments may go (pure).

use super::segment::Extent;
use crate::lsn::Lsn;

/// What pruning may do with the active segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveSegment {
    /// Leave it, whatever it holds.
    Keep,
    /// Seal and remove it too when all of it lies at or below the position.
    Include,
}

/// What a prune removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneOutcome {
    /// Segment files removed.
    pub num_segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Everything at or below this is gone.
    pub removed_through: Lsn,
}

/// What to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// So many of the oldest segments go, the active one counted when it is sealed for it.
    pub(crate) num_segments: usize,
    /// The active segment is sealed first.
    pub(crate) seal_active: bool,
}

/// Plans a prune of everything at or below `upto`. `segments` are all of them, oldest first, the
/// active one last. Only whole segments go, only from the old end, and an empty active segment
/// stays.
pub(crate) fn plan(segments: &[Extent], upto: Lsn, active: ActiveSegment) -> Plan {
    let goes = |extent: &&Extent| extent.frames > 0 && extent.last_lsn <= upto;
    let sealed = segments.iter().take_while(|extent| extent.sealed);
    let num_sealed = sealed.clone().count();
    let num_old = sealed.take_while(goes).count();
    let seal_active = active == ActiveSegment::Include
        && num_old == num_sealed
        && segments
            .last()
            .filter(goes)
            .is_some_and(|last| !last.sealed);
    Plan {
        num_segments: num_old + usize::from(seal_active),
        seal_active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(last: u64, frames: u64, sealed: bool) -> Extent {
        Extent {
            last_lsn: Lsn::new(last),
            frames,
            sealed,
            ..Extent::default()
        }
    }

    #[test]
    fn only_whole_segments_at_or_below_the_position_go() {
        use ActiveSegment::{Include, Keep};
        let full = [
            extent(10, 5, true),
            extent(20, 5, true),
            extent(25, 1, false),
        ];
        let empty = [extent(10, 5, true), extent(0, 0, false)];
        let table = [
            (&full[..], 9, Keep, (0, false)),
            (&full[..], 10, Keep, (1, false)),
            (&full[..], 19, Include, (1, false)),
            (&full[..], 24, Include, (2, false)),
            (&full[..], 25, Keep, (2, false)),
            (&full[..], 25, Include, (3, true)),
            (&full[..], u64::MAX, Include, (3, true)),
            (&empty[..], 25, Include, (1, false)),
            (&empty[..], 0, Include, (0, false)),
            (&empty[1..], 99, Include, (0, false)),
        ];
        for (segments, upto, active, (num_segments, seal_active)) in table {
            let expected = Plan {
                num_segments,
                seal_active,
            };
            assert_eq!(
                plan(segments, Lsn::new(upto), active),
                expected,
                "{upto} {active:?}"
            );
        }
    }
}
