//! Which LSN a transaction ends at, and which its changes have (pure).
//!
//! Positions are byte-like: a local transaction advances by the bytes of its frames, so that
//! `pg_wal_lsn_diff` means bytes and there is always room between two ends.

use super::error::AppendError;
use super::unit::{Draft, End, Stamp, StreamedUnit, Unit};
use super::{FIRST_LSN, MIN_LSN_STEP};
use crate::lsn::Lsn;

/// The previous end that a writer-chosen LSN builds on: never below [`FIRST_LSN`], nor below
/// what was imported.
pub(super) fn local_base(head: Lsn, imported_through: Lsn) -> Lsn {
    head.max(FIRST_LSN).max(imported_through)
}

/// End of a local transaction of `counted_bytes` after the end `previous`: the bytes rounded up
/// to 8, but at least [`MIN_LSN_STEP`]. `None` past the end of the number range.
pub fn local_end(previous: Lsn, counted_bytes: u64) -> Option<Lsn> {
    let rounded = counted_bytes.checked_next_multiple_of(8)?;
    previous.checked_add(rounded.max(MIN_LSN_STEP))
}

/// Own LSN of a change in a local transaction after the end `previous`, when the frames before
/// its frame in that transaction count `bytes_before` (37 and the payload each, holes as 20
/// digits). Strictly rising, at least `previous + 8`, below the end minus 8.
pub fn own_lsn(previous: Lsn, bytes_before: u64) -> Lsn {
    previous.saturating_add(8).saturating_add(bytes_before & !7)
}

/// Own LSN of change `index` (from 0) of `count` in a transaction whose end was chosen by the
/// caller: counted back from the end, 8 apart, the last one at `end - 56`.
pub fn own_lsn_before(end: Lsn, index: u64, count: u64) -> Lsn {
    let behind = count.saturating_sub(index).saturating_mul(8);
    end.saturating_sub(behind).saturating_sub(48)
}

/// The least step between the previous end and a chosen end of this transaction: room for its
/// changes' own LSNs (none are needed when no frame is stamped with one).
pub fn least_step(frames: &[Draft]) -> u64 {
    if has_own_lsns(frames) {
        step_of(u64::try_from(frames.len()).unwrap_or(u64::MAX))
    } else {
        MIN_LSN_STEP
    }
}

/// Room for the own LSNs of so many changes.
const fn step_of(count: u64) -> u64 {
    count.saturating_mul(8).saturating_add(56)
}

fn has_own_lsns(frames: &[Draft]) -> bool {
    frames
        .iter()
        .any(|draft| matches!(draft.hole, Some((_, Stamp::OwnLsn))))
}

/// The end LSN of `unit` after `head`, or why it cannot have one.
pub(super) fn end_of(unit: &Unit, head: Lsn, imported_through: Lsn) -> Result<Lsn, AppendError> {
    let frames = unit.frames.as_slice();
    match unit.end {
        End::Chosen(lsn) => chosen_end(lsn, head, least_step(frames), has_own_lsns(frames)),
        End::Upstream(lsn) => upstream_end(lsn, head),
        End::Local => {
            let counted = u64::try_from(unit.counted_bytes()).unwrap_or(u64::MAX);
            next_local_end(head, imported_through, counted)
        }
    }
}

/// The same for one that is fetched while it is written, which always has room for own LSNs.
pub(super) fn end_of_streamed(
    unit: &StreamedUnit,
    head: Lsn,
    imported_through: Lsn,
) -> Result<Lsn, AppendError> {
    match unit.end {
        End::Chosen(lsn) => {
            let step = step_of(unit.drafts.num_frames());
            chosen_end(lsn, head, step, true)
        }
        End::Upstream(lsn) => upstream_end(lsn, head),
        End::Local => next_local_end(head, imported_through, unit.drafts.counted_bytes()),
    }
}

fn next_local_end(head: Lsn, imported_through: Lsn, counted: u64) -> Result<Lsn, AppendError> {
    let base = local_base(head, imported_through);
    local_end(base, counted).ok_or(AppendError::LsnNotRising {
        lsn: Lsn::MAX,
        head: base,
        step: counted.max(MIN_LSN_STEP),
    })
}

/// An upstream's own transactions may lie as near to each other as it likes.
fn upstream_end(lsn: Lsn, head: Lsn) -> Result<Lsn, AppendError> {
    match lsn > head {
        true => Ok(lsn),
        false => Err(AppendError::LsnNotRising { lsn, head, step: 1 }),
    }
}

fn chosen_end(lsn: Lsn, head: Lsn, step: u64, own_lsns: bool) -> Result<Lsn, AppendError> {
    // The very first position may be anything above zero that leaves room for own LSNs.
    let is_first = head == Lsn::ZERO && !own_lsns;
    let needed = if is_first { 1 } else { step };
    match head.checked_add(needed) {
        Some(least) if lsn >= least => Ok(lsn),
        _ => Err(AppendError::LsnNotRising { lsn, head, step }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::unit::Drafts;
    use super::*;

    fn draft(len: usize, hole: Option<(usize, Stamp)>) -> Draft {
        Draft {
            bytes: Bytes::from(vec![b'x'; len]),
            hole,
        }
    }

    fn unit(lsn: Option<u64>, frames: Vec<Draft>) -> Unit {
        Unit {
            term: 1,
            timestamp_ms: 0,
            end: lsn.map_or(End::Local, |lsn| End::Chosen(Lsn::new(lsn))),
            frames: Drafts::Many(frames),
        }
    }

    #[test]
    fn local_ends_advance_by_rounded_bytes_and_at_least_64() {
        let table = [
            (0, 64),
            (37, 64),
            (64, 64),
            (65, 72),
            (237, 240),
            (240, 240),
        ];
        for (bytes, step) in table {
            let previous = Lsn::new(1000);
            assert_eq!(
                local_end(previous, bytes),
                Some(Lsn::new(1000 + step)),
                "{bytes}"
            );
        }
        assert_eq!(local_end(Lsn::new(u64::MAX - 63), 1), None);
        assert_eq!(local_end(Lsn::ZERO, u64::MAX), None);
    }

    #[test]
    fn the_first_local_end_lies_above_the_first_lsn_and_the_import() {
        let one = unit(None, vec![draft(10, Some((3, Stamp::EndLsn)))]);
        // 37 + 10 + 20 digits = 67, rounded to 72
        let first = end_of(&one, Lsn::ZERO, Lsn::ZERO).unwrap();
        assert_eq!(first, Lsn::new(FIRST_LSN.get() + 72));
        let after_small_import = end_of(&one, Lsn::new(640), Lsn::new(640)).unwrap();
        assert_eq!(after_small_import, first);
        let far = Lsn::new(1 << 40);
        let after_large_import = end_of(&one, Lsn::ZERO, far).unwrap();
        assert_eq!(after_large_import, Lsn::new((1 << 40) + 72));
    }

    #[test]
    fn own_lsns_rise_strictly_inside_their_transaction() {
        for payload in 0..70 {
            for count in 1..20_u64 {
                let previous = Lsn::new(4096);
                let frame = payload + 37;
                let end = local_end(previous, frame * count).unwrap();
                let own: Vec<Lsn> = (0..count).map(|k| own_lsn(previous, frame * k)).collect();
                assert!(own[0] >= Lsn::new(4096 + 8));
                assert!(own.windows(2).all(|pair| pair[0] < pair[1]));
                assert!(
                    own[own.len() - 1] < end.saturating_sub(8),
                    "{payload} {count}"
                );
            }
        }
    }

    #[test]
    fn own_lsns_before_a_chosen_end_rise_strictly_inside_the_least_step() {
        for count in 1..50_u64 {
            let previous = Lsn::new(640);
            let drafts = vec![draft(1, Some((0, Stamp::OwnLsn))); usize::try_from(count).unwrap()];
            let end = previous.saturating_add(least_step(&drafts));
            let own: Vec<Lsn> = (0..count).map(|k| own_lsn_before(end, k, count)).collect();
            assert!(own[0] >= previous.saturating_add(8));
            assert!(own.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!(own[own.len() - 1], end.saturating_sub(56));
        }
    }

    #[test]
    fn chosen_ends_must_leave_room() {
        let plain = || vec![draft(5, None)];
        let stamped = |n| vec![draft(5, Some((0, Stamp::OwnLsn))); n];
        let table = [
            (0, 1, plain(), true),
            (0, 0, plain(), false),
            (0, 63, stamped(1), false),
            (0, 64, stamped(1), true),
            (64, 127, plain(), false),
            (64, 128, plain(), true),
            (64, 64, plain(), false),
            (64, 10, plain(), false),
            (64, 128, stamped(2), false),
            (64, 136, stamped(2), true),
            (u64::MAX - 10, u64::MAX, plain(), false),
            (u64::MAX - 64, u64::MAX, plain(), true),
        ];
        for (head, lsn, frames, fits) in table {
            let found = end_of(&unit(Some(lsn), frames), Lsn::new(head), Lsn::ZERO);
            assert_eq!(found.is_ok(), fits, "{lsn} after {head}");
        }
    }
}
