//! Which of the upstream's publications can be served from what is captured.
//!
//! A publication that holds a table, a column, a row or an operation that is not captured would
//! give its subscribers less than the upstream does, without a word. It is not shown here at all,
//! so that subscribing to it is PostgreSQL's error for a publication that does not exist.

use super::{Seen, SeenMember, SeenPublication};

impl Seen {
    /// Those that can, in order.
    pub(super) fn covered(&self, captured: &[String]) -> Vec<&SeenPublication> {
        let all = self.publications.iter();
        all.filter(|of| captured.contains(&of.name) || self.is_covered(of, captured))
            .collect()
    }

    /// Names of those that cannot.
    pub(in crate::capture) fn left_out(&self, captured: &[String]) -> Vec<&str> {
        let covered = self.covered(captured);
        let all = self.publications.iter();
        all.filter(|of| !covered.iter().any(|covered| covered.oid == of.oid))
            .map(|of| of.name.as_str())
            .collect()
    }

    fn is_covered(&self, wanted: &SeenPublication, captured: &[String]) -> bool {
        let mut captured = self
            .publications
            .iter()
            .filter(|of| captured.contains(&of.name) && has_operations(of, wanted));
        if wanted.all_tables && !captured.clone().any(|of| of.all_tables) {
            return false;
        }
        wanted.tables.iter().all(|member| {
            captured.clone().any(|of| {
                let mut members = of.tables.iter();
                members.any(|has| has.table == member.table && holds(has, member))
            })
        }) && (!wanted.tables.is_empty() || captured.next().is_some())
    }
}

/// Whether all that is done to `wanted`'s tables is captured by `of`.
const fn has_operations(of: &SeenPublication, wanted: &SeenPublication) -> bool {
    (of.insert || !wanted.insert)
        && (of.update || !wanted.update)
        && (of.delete || !wanted.delete)
        && (of.truncate || !wanted.truncate)
}

/// Whether `has` has all rows and columns of `wanted`.
fn holds(has: &SeenMember, wanted: &SeenMember) -> bool {
    let columns = match (&has.columns, &wanted.columns) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(has), Some(wanted)) => wanted.is_subset(has),
    };
    columns && (has.filter.is_none() || has.filter == wanted.filter)
}
