//! A table as its upstream describes it: what a Relation message and Type messages say, on top of
//! what was known of it.
//!
//! A Relation message knows no numbers of columns and no names of keys: columns that are called as
//! before keep theirs, and a key of the same columns stays the key that it was.

use crate::datum::{PgType, format_type, info, quote_ident};
use crate::lsn::Lsn;
use crate::pgoutput::{
    Context, DecodeError, Identity, Message, Protocol, RelationColumn as SentColumn,
    RelationDescription,
};
use crate::relations::{
    PUBLIC, Relation, RelationColumn, RelationKey, ReplicaIdentity, UpstreamTable, UpstreamType,
};

/// The schema whose name PostgreSQL leaves away.
const PG_CATALOG: &str = "pg_catalog";

/// Why a description describes no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// It is no message.
    #[error("what an upstream says of a table cannot be read")]
    Malformed(#[from] DecodeError),
    /// It is another message.
    #[error("an upstream describes a table with another message than Relation or Type")]
    OtherMessage,
    /// More columns than numbers for them.
    #[error("a table of an upstream has too many columns")]
    TooManyColumns,
}

/// Reads a Relation message as it is sent outside of streamed transactions.
pub(crate) fn relation_message(bytes: &[u8]) -> Result<RelationDescription<'_>, DescriptionError> {
    let message = Message::decode(bytes, Context::new(Protocol::V1))?;
    let Message::Relation(relation) = message else {
        return Err(DescriptionError::OtherMessage);
    };
    Ok(relation)
}

/// The table that the Relation message `description` describes, whose columns' types the Type
/// messages `types` do (OID and message; all without transaction ids); `previous` is what was known
/// of it. What no message says (numbers of columns, names and OIDs of keys, OIDs of row types, NOT
/// NULL, keys that are not its replica identity) stays as it was, or is nothing, or 0.
pub fn described_table(
    previous: Option<&Relation>,
    description: &[u8],
    types: &[(u32, Vec<u8>)],
) -> Result<Relation, DescriptionError> {
    let message = relation_message(description)?;
    let columns = columns(previous, &message.columns)?;
    let flagged: Vec<i16> = message
        .columns
        .iter()
        .zip(&columns)
        .filter(|(sent, _)| sent.key)
        .map(|(_, column)| column.attnum)
        .collect();
    let upstream = UpstreamTable {
        description: description.to_vec(),
        types: foreign_types(previous, &message.columns, types)?,
    };
    let schema = if message.schema.is_empty() {
        PG_CATALOG
    } else {
        message.schema
    };
    let mut table = Relation {
        oid: message.oid,
        row_type_oid: previous.map_or(0, |previous| previous.row_type_oid),
        array_type_oid: previous.map_or(0, |previous| previous.array_type_oid),
        schema: schema.to_owned(),
        name: message.name.to_owned(),
        columns,
        keys: Vec::new(),
        replica_identity: ReplicaIdentity::Nothing,
        declared: true,
        upstream: Some(Box::new(upstream)),
        since: Lsn::ZERO,
    };
    set_identity(&mut table, previous, message.identity, flagged);
    Ok(table)
}

/// Live columns in the order of the message, then those that are gone.
fn columns(
    previous: Option<&Relation>,
    sent: &[SentColumn<'_>],
) -> Result<Vec<RelationColumn>, DescriptionError> {
    let known = previous.map_or(&[][..], |previous| &previous.columns);
    let mut last = known.iter().map(|column| column.attnum).max().unwrap_or(0);
    let mut columns = Vec::with_capacity(sent.len());
    for column in sent {
        let before = previous.and_then(|previous| previous.column(column.name));
        let attnum = match before {
            Some(before) => before.attnum,
            None => {
                last = last
                    .checked_add(1)
                    .ok_or(DescriptionError::TooManyColumns)?;
                last
            }
        };
        let is_ours = info(PgType(column.type_oid)).is_some();
        columns.push(RelationColumn {
            name: column.name.to_owned(),
            attnum,
            column_type: if is_ours {
                PgType(column.type_oid)
            } else {
                PgType::TEXT
            },
            typmod: if is_ours { column.typmod } else { -1 },
            not_null: before.is_some_and(|before| before.not_null),
            dropped: false,
            upstream_type: (!is_ours).then_some(column.type_oid),
        });
    }
    let gone = known
        .iter()
        .filter(|known| known.dropped || !sent.iter().any(|column| column.name == known.name));
    columns.extend(gone.map(|gone| RelationColumn {
        dropped: true,
        ..gone.clone()
    }));
    Ok(columns)
}

/// The types of columns that are none of ours and of which there is a message, now or before.
fn foreign_types(
    previous: Option<&Relation>,
    sent: &[SentColumn<'_>],
    types: &[(u32, Vec<u8>)],
) -> Result<Vec<UpstreamType>, DescriptionError> {
    let upstream = previous.and_then(|previous| previous.upstream.as_deref());
    let known = upstream.map_or(&[][..], |upstream| &upstream.types);
    let mut found: Vec<UpstreamType> = Vec::new();
    for oid in sent.iter().map(|column| column.type_oid) {
        if info(PgType(oid)).is_some() || found.iter().any(|of| of.oid == oid) {
            continue;
        }
        let known = known.iter().find(|known| known.oid == oid);
        let now = types.iter().rev().find(|(of, _)| *of == oid);
        match (known, now) {
            (Some(known), now) if now.is_none_or(|(_, now)| *now == known.description) => {
                found.push(known.clone());
            }
            (_, Some((_, description))) => found.push(UpstreamType {
                oid,
                description: description.clone(),
                format_name: format_name(description)?,
            }),
            (_, None) => {}
        }
    }
    Ok(found)
}

/// What `format_type` probably prints of the type that a Type message describes: only the
/// upstream knows. A domain comes as the type below it.
fn format_name(description: &[u8]) -> Result<String, DescriptionError> {
    let message = Message::decode(description, Context::new(Protocol::V1))?;
    let Message::Type { schema, name, .. } = message else {
        return Err(DescriptionError::OtherMessage);
    };
    if schema.is_empty() {
        let ours = crate::datum::type_by_name(name);
        return Ok(ours.map_or_else(|| quote_ident(name), |ours| format_type(ours, -1)));
    }
    let (name, brackets) = match name.strip_prefix('_') {
        Some(element) if !element.is_empty() => (element, "[]"),
        Some(_) | None => (name, ""),
    };
    let name = quote_ident(name);
    Ok(if schema == PUBLIC {
        format!("{name}{brackets}")
    } else {
        format!("{}.{name}{brackets}", quote_ident(schema))
    })
}

/// Sets replica identity and keys: `flagged` are the columns of the replica identity.
fn set_identity(
    table: &mut Relation,
    previous: Option<&Relation>,
    identity: Identity,
    flagged: Vec<i16>,
) {
    let is_live = |number: &i16| {
        let mut live = table.live_columns();
        live.any(|column| column.attnum == *number)
    };
    let mut keys: Vec<RelationKey> = previous
        .map_or(&[][..], |previous| &previous.keys)
        .iter()
        .filter(|key| key.columns.iter().all(is_live))
        .cloned()
        .collect();
    let same = |key: &RelationKey| {
        key.columns.len() == flagged.len() && flagged.iter().all(|of| key.columns.contains(of))
    };
    table.replica_identity = match identity {
        Identity::Nothing => ReplicaIdentity::Nothing,
        Identity::Full => ReplicaIdentity::Full,
        Identity::Default => {
            let primary = keys.iter().any(|key| key.primary && same(key));
            if !primary {
                keys.retain(|key| !key.primary);
                if !flagged.is_empty() {
                    let name = format!("{}_pkey", table.name);
                    keys.insert(0, new_key(name, flagged.clone(), true));
                }
            }
            ReplicaIdentity::Default
        }
        Identity::Index => {
            let named = previous.and_then(Relation::replica_identity_index);
            let named = named.filter(|key| same(key)).map(|key| key.index_oid);
            let known = named.or_else(|| keys.iter().find(|key| same(key)).map(|k| k.index_oid));
            let oid = known.unwrap_or_else(|| {
                let name = format!("{}_replica_identity", table.name);
                keys.retain(|key| key.index_oid != 0 || key.primary);
                keys.insert(0, new_key(name, flagged.clone(), false));
                0
            });
            ReplicaIdentity::Index(oid)
        }
    };
    if matches!(identity, Identity::Default | Identity::Index) {
        for column in &mut table.columns {
            column.not_null |= !column.dropped && flagged.contains(&column.attnum);
        }
    }
    table.keys = keys;
}

/// A key of which only the columns are known.
const fn new_key(name: String, columns: Vec<i16>, primary: bool) -> RelationKey {
    RelationKey {
        index_oid: 0,
        constraint_oid: 0,
        name,
        columns,
        primary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relation(identity: Identity, columns: &[(&str, u32, bool)]) -> Vec<u8> {
        let columns = columns.iter().map(|(name, type_oid, key)| SentColumn {
            key: *key,
            name,
            type_oid: *type_oid,
            typmod: -1,
        });
        let message = Message::Relation(RelationDescription {
            xid: None,
            oid: 17000,
            schema: "public",
            name: "orders",
            identity,
            columns: columns.collect(),
        });
        let mut bytes = Vec::new();
        message.encode(&mut bytes).unwrap();
        bytes
    }

    fn type_message(oid: u32, schema: &str, name: &str) -> (u32, Vec<u8>) {
        let mut bytes = Vec::new();
        let message = Message::Type {
            xid: None,
            oid,
            schema,
            name,
        };
        message.encode(&mut bytes).unwrap();
        (oid, bytes)
    }

    fn columns(table: &Relation) -> Vec<(&str, i16, bool)> {
        let columns = table.columns.iter();
        columns
            .map(|column| (column.name.as_str(), column.attnum, column.dropped))
            .collect()
    }

    #[test]
    fn columns_keep_their_numbers_and_types_of_the_upstream_are_text() {
        let first = relation(Identity::Default, &[("id", 20, true), ("m", 16999, false)]);
        let types = [type_message(16999, "public", "_mood")];
        let table = described_table(None, &first, &types).unwrap();
        assert_eq!(columns(&table), [("id", 1, false), ("m", 2, false)]);
        assert_eq!(table.columns[1].column_type, PgType::TEXT);
        assert_eq!(table.columns[1].upstream_type, Some(16999));
        let upstream = table.upstream.as_ref().unwrap();
        assert_eq!(upstream.description, first);
        assert_eq!(upstream.types[0].format_name, "mood[]");
        assert_eq!(table.primary_key().unwrap().columns, [1]);
        assert!(table.columns[0].not_null && !table.columns[1].not_null);

        let next = relation(
            Identity::Default,
            &[("new", 25, false), ("m", 16999, false), ("id", 20, true)],
        );
        let table = described_table(Some(&table), &next, &[]).unwrap();
        let wanted = [("new", 3, false), ("m", 2, false), ("id", 1, false)];
        assert_eq!(columns(&table), wanted);
        assert_eq!(table.upstream.as_ref().unwrap().types.len(), 1);

        let last = relation(Identity::Default, &[("id", 20, true)]);
        let table = described_table(Some(&table), &last, &[]).unwrap();
        let wanted = [("id", 1, false), ("new", 3, true), ("m", 2, true)];
        assert_eq!(columns(&table), wanted);
        assert!(table.upstream.as_ref().unwrap().types.is_empty());
    }

    #[test]
    fn keys_that_are_known_stay_as_long_as_their_columns_do() {
        let first = relation(Identity::Default, &[("a", 20, true), ("b", 20, true)]);
        let mut table = described_table(None, &first, &[]).unwrap();
        table.keys[0].index_oid = 17003;
        table.keys[0].columns = vec![2, 1];
        let full = relation(Identity::Full, &[("a", 20, true), ("b", 20, true)]);
        let table = described_table(Some(&table), &full, &[]).unwrap();
        assert_eq!(table.replica_identity, ReplicaIdentity::Full);
        assert_eq!(table.primary_key().unwrap().columns, [2, 1]);
        let index = relation(Identity::Index, &[("a", 20, false), ("b", 20, true)]);
        let table = described_table(Some(&table), &index, &[]).unwrap();
        assert_eq!(table.identity_columns(), Some(&[2][..]));
        assert_eq!(table.primary_key().unwrap().index_oid, 17003);
        let table = described_table(Some(&table), &first, &[]).unwrap();
        assert_eq!(table.identity_columns(), Some(&[2, 1][..]));
        let none = relation(Identity::Default, &[("a", 20, false)]);
        let table = described_table(Some(&table), &none, &[]).unwrap();
        assert!(table.keys.is_empty());
    }

    #[test]
    fn what_is_no_description_is_an_error() {
        let good = relation(Identity::Default, &[("id", 16999, true)]);
        for len in 0..good.len() {
            assert!(described_table(None, &good[..len], &[]).is_err(), "{len}");
        }
        let other = (16999, b"B".to_vec());
        assert!(described_table(None, &good, &[other]).is_err());
        let (_, other) = type_message(1, "", "x");
        let error = described_table(None, &other, &[]);
        assert_eq!(error, Err(DescriptionError::OtherMessage));
    }
}
