//! Which slots go when the disk is full and slots may go for it: a pure function.

use crate::lsn::Lsn;

use super::SlotName;
use super::retention::RetainedSpan;

/// A valid slot and what it holds back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name.
    pub name: SlotName,
    /// Everything above this it needs: its position on disk.
    pub persisted_restart_lsn: Lsn,
    /// A stream or session has it.
    pub in_use: bool,
}

/// The slots to invalidate so that `missing` bytes become free: those that nobody uses, the one
/// furthest behind first, and no more than it takes. `spans` are oldest first, the newest stays;
/// nothing above `ceiling` may go. None at all when that would free nothing more than is free to
/// go already.
pub fn plan(
    mut holders: Vec<Holder>,
    spans: &[RetainedSpan],
    ceiling: Lsn,
    missing: u64,
) -> Vec<SlotName> {
    holders.sort_by_key(|holder| holder.persisted_restart_lsn);
    let position = |n: usize| {
        let held = holders.get(n).map(|holder| holder.persisted_restart_lsn);
        held.map_or(ceiling, |held| held.min(ceiling))
    };
    let mut most = freed(spans, position(0));
    let mut num_slots = 0;
    for (n, holder) in (1..).zip(&holders) {
        if most >= missing || holder.in_use {
            break;
        }
        let bytes = freed(spans, position(n));
        if bytes > most {
            most = bytes;
            num_slots = n;
        }
    }
    holders.truncate(num_slots);
    holders.into_iter().map(|holder| holder.name).collect()
}

/// Bytes that go when everything at or below `upto` may.
fn freed(spans: &[RetainedSpan], upto: Lsn) -> u64 {
    let older = spans.split_last().map_or(&[][..], |(_, older)| older);
    let gone = older.iter().take_while(|span| span.last_lsn <= upto);
    gone.fold(0, |sum, span| sum.saturating_add(span.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str, at: u64, in_use: bool) -> Holder {
        Holder {
            name: SlotName::parse(name).unwrap(),
            persisted_restart_lsn: Lsn::new(at),
            in_use,
        }
    }

    #[test]
    fn the_slot_furthest_behind_that_nobody_uses_goes_first_and_no_more_than_it_takes() {
        let spans = [(10, 100), (20, 100), (30, 100), (40, 50)].map(|(last, bytes)| RetainedSpan {
            last_lsn: Lsn::new(last),
            bytes,
        });
        let (free, used) = (false, true);
        let top = Lsn::MAX;
        for (slots, ceiling, missing, wanted) in [
            // One is enough.
            (&[("b", 20, free), ("a", 5, free)][..], top, 150, &["a"][..]),
            // Two are needed.
            (&[("b", 20, free), ("a", 5, free)], top, 250, &["a", "b"]),
            // More than there is to free: what frees most.
            (&[("b", 35, free), ("a", 5, free)], top, 900, &["a"]),
            // Two at one place go together.
            (&[("b", 5, free), ("a", 5, free)], top, 1, &["a", "b"]),
            // One that is used holds all above it.
            (&[("u", 10, used), ("a", 5, free)], top, 900, &["a"]),
            (&[("u", 5, used), ("a", 10, free)], top, 900, &[]),
            // Nothing would be gained.
            (&[("a", 35, free)], top, 900, &[]),
            (&[("a", 5, free)], Lsn::new(9), 900, &[]),
            // Enough is free to go without it.
            (&[("a", 10, free)], top, 100, &[]),
            (&[], top, 900, &[]),
        ] {
            let holders = slots.iter().map(|&(name, at, used)| holder(name, at, used));
            let mut gone = plan(holders.collect(), &spans, ceiling, missing);
            gone.sort();
            let names: Vec<_> = gone.iter().map(ToString::to_string).collect();
            assert_eq!(names, wanted, "{slots:?} {missing}");
        }
    }
}
