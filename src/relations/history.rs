//! Which definition counts where: what there is now and since when, and what there was before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lsn::Lsn;

use super::{Publication, Relation, RelationSet, Schema};

/// A definition of old. It counts for records above `since`, up to and with `until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Past {
    pub(super) since: Lsn,
    pub(super) until: Lsn,
    #[serde(flatten)]
    pub(super) what: PastItem,
}

/// What it defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PastItem {
    Schema(Schema),
    Relation(Relation),
    Publication(Publication),
}

impl PastItem {
    fn oid(&self) -> u32 {
        match self {
            Self::Schema(schema) => schema.oid,
            Self::Relation(relation) => relation.oid,
            Self::Publication(publication) => publication.oid,
        }
    }
}

/// The present set and the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct History {
    pub(super) current: Arc<RelationSet>,
    /// Since when what is there now counts, by OID; what is missing counts from the beginning.
    pub(super) since: BTreeMap<u32, Lsn>,
    pub(super) past: Vec<Past>,
}

impl History {
    pub(super) fn new(current: RelationSet) -> Self {
        Self {
            current: Arc::new(current),
            since: BTreeMap::new(),
            past: Vec::new(),
        }
    }

    /// Takes `next` as the set that counts above `head`.
    pub(super) fn advance(&mut self, mut next: RelationSet, head: Lsn) {
        let old = Arc::clone(&self.current);
        let was = |relation: &Relation| old.relation_by_oid(relation.oid).cloned();
        for relation in &mut next.relations {
            relation.since = match was(relation) {
                Some(before) if same_relation(&before, relation) => before.since,
                Some(_) | None => head,
            };
        }
        self.turn(
            &old.schemas,
            &next.schemas,
            |s| s.oid,
            PastItem::Schema,
            head,
        );
        self.turn(
            &old.relations,
            &next.relations,
            |r| r.oid,
            PastItem::Relation,
            head,
        );
        let publications = (&old.publications, &next.publications);
        self.turn(
            publications.0,
            publications.1,
            |p| p.oid,
            PastItem::Publication,
            head,
        );
        self.current = Arc::new(next);
    }

    /// Moves what is gone or different to the past.
    fn turn<T: Clone + PartialEq>(
        &mut self,
        old: &[T],
        next: &[T],
        oid: impl Fn(&T) -> u32,
        item: impl Fn(T) -> PastItem,
        head: Lsn,
    ) {
        let mut unchanged: HashMap<u32, &T> = next.iter().map(|item| (oid(item), item)).collect();
        for before in old {
            let id = oid(before);
            if unchanged.get(&id).is_some_and(|now| **now == *before) {
                unchanged.remove(&id);
                continue;
            }
            let since = self.since.remove(&id).unwrap_or(Lsn::ZERO);
            if since < head {
                self.past.push(Past {
                    since,
                    until: head,
                    what: item(before.clone()),
                });
            }
        }
        let changed = unchanged.into_keys().map(|id| (id, head));
        self.since
            .extend(changed.filter(|(_, since)| *since > Lsn::ZERO));
    }

    /// The last position up to which anything but the present set counts.
    pub(super) fn newest(&self) -> Lsn {
        self.since
            .values()
            .copied()
            .max()
            .unwrap_or(Lsn::ZERO)
            .max(self.last_end())
    }

    fn last_end(&self) -> Lsn {
        self.past
            .iter()
            .map(|past| past.until)
            .max()
            .unwrap_or(Lsn::ZERO)
    }

    /// Where the set of a record ending at `lsn` begins: equal answers have equal sets.
    pub(super) fn boundary(&self, lsn: Lsn) -> Lsn {
        let ends = self.past.iter().flat_map(|past| [past.since, past.until]);
        let all = ends.chain(self.since.values().copied());
        all.filter(|at| *at < lsn).max().unwrap_or(Lsn::ZERO)
    }

    /// The set that counts for a record ending at `lsn`.
    pub(super) fn at(&self, lsn: Lsn) -> RelationSet {
        let began = |oid: &u32| self.since.get(oid).is_none_or(|since| *since < lsn);
        let mut set = RelationSet::clone(&self.current);
        set.schemas.retain(|schema| began(&schema.oid));
        set.relations.retain(|relation| began(&relation.oid));
        set.publications
            .retain(|publication| began(&publication.oid));
        for past in self
            .past
            .iter()
            .filter(|past| past.since < lsn && lsn <= past.until)
        {
            match &past.what {
                PastItem::Schema(schema) => set.schemas.push(schema.clone()),
                PastItem::Relation(relation) => set.relations.push(relation.clone()),
                PastItem::Publication(publication) => set.publications.push(publication.clone()),
            }
        }
        set.schemas.sort_by_key(|schema| schema.oid);
        set.relations.sort_by_key(|relation| relation.oid);
        set.publications.sort_by_key(|publication| publication.oid);
        set
    }

    /// Whether each thing's definitions follow one another: what is wrong, if not. `gaps` says that
    /// they may come back after a while, as a table of an upstream does that is taken out of a
    /// publication and added to it again.
    pub(super) fn check(&self, gaps: bool) -> Result<(), String> {
        let follows = |end: Lsn, since: Lsn| end == since || (gaps && end < since);
        let mut ends: BTreeMap<u32, Lsn> = BTreeMap::new();
        for past in &self.past {
            let oid = past.what.oid();
            let begins_behind = ends.get(&oid).is_none_or(|end| follows(*end, past.since));
            if past.since >= past.until || !begins_behind {
                return Err(format!("the history of OID {oid} is not in order"));
            }
            ends.insert(oid, past.until);
        }
        let set = &self.current;
        let schemas = set.schemas.iter().map(|schema| schema.oid);
        let relations = set.relations.iter().map(|relation| relation.oid);
        let publications = set.publications.iter().map(|publication| publication.oid);
        for oid in schemas.chain(relations).chain(publications) {
            let since = self.since.get(&oid).copied().unwrap_or(Lsn::ZERO);
            if ends.get(&oid).is_some_and(|end| !follows(*end, since)) {
                return Err(format!("OID {oid} does not follow its history"));
            }
        }
        Ok(())
    }

    /// Forgets what counts only for records above `head`, as if it had never been defined.
    pub(super) fn forget_above(&mut self, head: Lsn) {
        let set = self.at(Lsn::new(head.get().saturating_add(1)));
        self.since.retain(|_, since| *since <= head);
        let (past, again): (Vec<Past>, Vec<Past>) = std::mem::take(&mut self.past)
            .into_iter()
            .filter(|past| past.since <= head)
            .partition(|past| past.until <= head);
        self.past = past;
        let again = again.iter().map(|past| (past.what.oid(), past.since));
        self.since
            .extend(again.filter(|(_, since)| *since > Lsn::ZERO));
        self.current = Arc::new(set);
    }

    /// Forgets what counts only for records up to and with `removed_through`, which are gone.
    pub(super) fn forget_below(&mut self, removed_through: Lsn) {
        self.past.retain(|past| past.until > removed_through);
    }
}

/// Whether nothing but the position differs.
fn same_relation(before: &Relation, now: &Relation) -> bool {
    let now = Relation {
        since: before.since,
        ..now.clone()
    };
    *before == now
}

#[cfg(test)]
mod tests {
    use super::super::PUBLIC_OID;
    use super::*;

    #[test]
    fn definitions_with_a_gap_or_an_overlap_are_refused() {
        let set = RelationSet::default();
        let public = set.schema("public").unwrap().clone();
        let looked = |ranges: &[(u64, u64)], now: u64, gaps: bool| {
            let mut history = History::new(set.clone());
            history.past = ranges
                .iter()
                .map(|(since, until)| Past {
                    since: Lsn::new(*since),
                    until: Lsn::new(*until),
                    what: PastItem::Schema(public.clone()),
                })
                .collect();
            history.since.insert(PUBLIC_OID, Lsn::new(now));
            history.check(gaps).is_ok()
        };
        let check = |ranges: &[(u64, u64)], now: u64| looked(ranges, now, false);
        assert!(check(&[], 7));
        assert!(check(&[(5, 10), (10, 20)], 20));
        for (ranges, now) in [
            (&[(5, 10), (11, 20)][..], 20),
            (&[(5, 10), (9, 20)], 20),
            (&[(10, 20), (5, 10)], 20),
            (&[(5, 5)], 5),
            (&[(5, 10)], 11),
            (&[(5, 10)], 9),
        ] {
            assert!(!check(ranges, now), "{ranges:?} {now}");
        }
        assert!(looked(&[(5, 10), (11, 20)], 25, true));
        assert!(!looked(&[(5, 10), (9, 20)], 20, true));
        assert!(!looked(&[(5, 10)], 9, true));
    }
}
