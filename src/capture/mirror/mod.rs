//! The upstream's tables and publications, as they become ours.
//!
//! [`Seen`] is what the upstream's catalogs say at one moment (`look`). [`Seen::apply`] makes it the
//! definitions here: tables that are captured, and the publications that can be served from what is
//! captured (`covered`).
//!
//! Rows that are received are read under the definitions of their position, so a definition must
//! not get ahead of the stream. The columns of a table that is known are changed only where the
//! stream has passed the moment of looking (the caller waits for that), and was not told something
//! newer meanwhile ([`Seen::before`]).

mod apply;
mod covered;
mod describe;
mod look;

use std::collections::BTreeSet;

pub(super) use apply::put;

use crate::lsn::Lsn;

/// What an upstream's catalogs say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// The upstream's end before it was looked at: what is defined behind this is newer.
    pub(super) before: Lsn,
    /// Its end afterwards: what ends behind this is made under what was seen, or something newer.
    pub(super) after: Lsn,
    /// Captured tables, by OID.
    tables: Vec<SeenTable>,
    /// Types of their columns that are none of ours, by OID.
    types: Vec<SeenType>,
    /// Publications, by OID.
    publications: Vec<SeenPublication>,
}

impl Seen {
    /// Whether nothing was defined in between.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.tables == other.tables
            && self.types == other.types
            && self.publications == other.publications
    }

    /// The first of `captured` that is not there.
    pub(super) fn missing<'a>(&self, captured: &'a [String]) -> Option<&'a str> {
        let is_there = |name: &String| self.publications.iter().any(|of| of.name == *name);
        let mut missing = captured.iter().filter(|name| !is_there(name));
        missing.next().map(String::as_str)
    }

    /// The first of `captured` that is there, and is another than `known`, (name, OID), says.
    pub(super) fn replaced<'a>(
        &self,
        captured: &'a [String],
        known: &[(String, u32)],
    ) -> Option<&'a str> {
        let is_other = |name: &String| {
            let mut seen = self.publications.iter().filter(|of| of.name == *name);
            let mut known = known.iter().filter(|(of, _)| of == name);
            matches!((seen.next(), known.next()), (Some(seen), Some((_, oid))) if seen.oid != *oid)
        };
        let mut replaced = captured.iter().filter(|name| is_other(name));
        replaced.next().map(String::as_str)
    }

    /// Names and OIDs of the publications.
    pub(super) fn publication_oids(&self) -> Vec<(String, u32)> {
        let all = self.publications.iter();
        all.map(|of| (of.name.clone(), of.oid)).collect()
    }
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenSchema {
    oid: u32,
    name: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenTable {
    oid: u32,
    schema: SeenSchema,
    name: String,
    /// `relreplident`
    identity: u8,
    row_type: u32,
    array_type: u32,
    /// Those that are sent, in order.
    columns: Vec<SeenColumn>,
    keys: Vec<SeenKey>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenColumn {
    /// Its number there, which is not its number here.
    number: i16,
    name: String,
    type_oid: u32,
    typmod: i32,
    not_null: bool,
}

/// A unique index over plain columns.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenKey {
    index_oid: u32,
    constraint_oid: u32,
    name: String,
    primary: bool,
    /// It is the replica identity.
    identity: bool,
    /// Checked at once.
    immediate: bool,
    /// Numbers of the columns there.
    columns: Vec<i16>,
}

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenType {
    oid: u32,
    /// Schema and name of the type below it, where it is a domain.
    schema: String,
    name: String,
    format_name: String,
}

/// A publication.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)]
struct SeenPublication {
    oid: u32,
    name: String,
    all_tables: bool,
    insert: bool,
    update: bool,
    delete: bool,
    truncate: bool,
    via_root: bool,
    /// Whole schemas, with the OIDs of their memberships.
    schemas: Vec<(u32, SeenSchema)>,
    /// All of its tables, also those of schemas.
    tables: Vec<SeenMember>,
}

/// A table of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenMember {
    /// OID of the membership.
    oid: u32,
    table: u32,
    /// OID of its schema.
    schema: u32,
    /// Names of its columns where there is a list.
    columns: Option<BTreeSet<String>>,
    filter: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(publications: &[(&str, u32)]) -> Seen {
        let publication = |(name, oid): &(&str, u32)| SeenPublication {
            oid: *oid,
            name: (*name).to_owned(),
            all_tables: true,
            insert: true,
            update: true,
            delete: true,
            truncate: true,
            via_root: false,
            schemas: Vec::new(),
            tables: Vec::new(),
        };
        Seen {
            publications: publications.iter().map(publication).collect(),
            ..Seen::default()
        }
    }

    #[test]
    fn a_captured_publication_that_is_gone_or_another_is_named() {
        let captured = ["p".to_owned(), "q".to_owned()];
        let before = seen(&[("p", 1), ("q", 2), ("r", 3)]);
        assert_eq!(before.missing(&captured), None);
        let known = before.publication_oids();
        assert_eq!(before.replaced(&captured, &known), None);
        assert_eq!(seen(&[("p", 1)]).missing(&captured), Some("q"));
        assert_eq!(seen(&[("p", 1)]).replaced(&captured, &known), None);
        let again = seen(&[("p", 1), ("q", 9), ("r", 8)]);
        assert_eq!(again.missing(&captured), None);
        assert_eq!(again.replaced(&captured, &known), Some("q"));
        assert_eq!(again.replaced(&captured, &[]), None);
    }
}
