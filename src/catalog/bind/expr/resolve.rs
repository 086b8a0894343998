//! PostgreSQL's choice among overloads: exact types first, then implicit casts, preferred types,
//! and the rule for untyped literals.

use super::casts;
use super::coerce::Coercion;
use super::types;
use crate::datum::PgType;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The candidate of this index.
    One(usize),
    /// None takes these types.
    None,
    /// Several do, equally well.
    Ambiguous,
}

/// Whether a value of type `from` can stand where `to` is asked for.
pub(super) fn coercible(from: PgType, to: PgType) -> bool {
    if from == to || to == PgType::ANY {
        return true;
    }
    match to {
        PgType::ANYARRAY | PgType::ANYCOMPATIBLEARRAY => {
            from == PgType::UNKNOWN || types::element_of(from).is_some()
        }
        PgType::ANYNONARRAY => types::element_of(from).is_none(),
        PgType::ANYELEMENT | PgType::ANYCOMPATIBLE => true,
        _ => from == PgType::UNKNOWN || casts::find(from, to, Coercion::Implicit).is_some(),
    }
}

/// Chooses among `candidates` (their argument types, all as many as `actual`).
pub(super) fn choose(candidates: &[Vec<PgType>], actual: &[PgType]) -> Choice {
    if let Some(exact) = candidates.iter().position(|types| types == actual) {
        return Choice::One(exact);
    }
    let fits = |types: &[PgType]| {
        let mut pairs = actual.iter().zip(types);
        types.len() == actual.len() && pairs.all(|(from, to)| coercible(*from, *to))
    };
    let mut left: Vec<usize> = (0..candidates.len())
        .filter(|index| candidates.get(*index).is_some_and(|types| fits(types)))
        .collect();
    let types_of = |index: usize| candidates.get(index).map_or(&[][..], Vec::as_slice);
    if left.len() > 1 {
        let exact = |index| count(types_of(index), actual, |to, from| to == from);
        keep_best(&mut left, exact);
    }
    if left.len() > 1 {
        let preferred = |to: PgType, from: PgType| {
            to == from || (types::is_preferred(to) && types::category(to) == types::category(from))
        };
        keep_best(&mut left, |index| count(types_of(index), actual, preferred));
    }
    if left.len() > 1 {
        keep_by_category(&mut left, candidates, actual);
    }
    if left.len() > 1 {
        keep_by_known(&mut left, candidates, actual);
    }
    match left.as_slice() {
        [] => Choice::None,
        [one] => Choice::One(*one),
        _ => Choice::Ambiguous,
    }
}

fn count(types: &[PgType], actual: &[PgType], good: impl Fn(PgType, PgType) -> bool) -> usize {
    let known = types
        .iter()
        .zip(actual)
        .filter(|(_, from)| **from != PgType::UNKNOWN);
    known.filter(|(to, from)| good(**to, **from)).count()
}

fn keep_best(left: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = left.iter().map(|index| score(*index)).max().unwrap_or(0);
    left.retain(|index| score(*index) == best);
}

/// For each untyped literal: strings if any candidate takes one, else the category that all take;
/// and there the preferred type if any takes it.
fn keep_by_category(left: &mut Vec<usize>, candidates: &[Vec<PgType>], actual: &[PgType]) {
    let at = |index: usize, position: usize| {
        candidates
            .get(index)
            .and_then(|types| types.get(position))
            .copied()
    };
    let mut wanted: Vec<Option<(char, bool)>> = Vec::new();
    for (position, from) in actual.iter().enumerate() {
        if *from != PgType::UNKNOWN {
            wanted.push(None);
            continue;
        }
        let taken: Vec<PgType> = left
            .iter()
            .filter_map(|index| at(*index, position))
            .collect();
        let first = taken.first().map_or('X', |ty| types::category(*ty));
        let category = if taken.iter().any(|ty| types::category(*ty) == 'S') {
            'S'
        } else if taken.iter().all(|ty| types::category(*ty) == first) {
            first
        } else {
            return;
        };
        let mut same = taken.iter().filter(|ty| types::category(**ty) == category);
        wanted.push(Some((category, same.any(|ty| types::is_preferred(*ty)))));
    }
    let fits = |index: usize| {
        wanted.iter().enumerate().all(|(position, wanted)| {
            let (Some((category, preferred)), Some(ty)) = (wanted, at(index, position)) else {
                return true;
            };
            types::category(ty) == *category && (!preferred || types::is_preferred(ty))
        })
    };
    let kept: Vec<usize> = left.iter().copied().filter(|index| fits(*index)).collect();
    if !kept.is_empty() {
        *left = kept;
    }
}

/// If all known arguments have one type, the untyped ones are taken to have it too.
fn keep_by_known(left: &mut Vec<usize>, candidates: &[Vec<PgType>], actual: &[PgType]) {
    let mut known = actual.iter().copied().filter(|ty| *ty != PgType::UNKNOWN);
    let Some(first) = known.next() else {
        return;
    };
    if known.any(|ty| ty != first) {
        return;
    }
    let fits = |index: &usize| {
        candidates
            .get(*index)
            .is_some_and(|types| types.iter().all(|to| coercible(first, *to)))
    };
    let kept: Vec<usize> = left.iter().copied().filter(fits).collect();
    if let [one] = kept.as_slice() {
        *left = vec![*one];
    }
}
