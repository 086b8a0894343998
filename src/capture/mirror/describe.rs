//! A table as the upstream's pgoutput would describe it.

use super::{Seen, SeenTable};
use crate::datum::{PgType, info};
use crate::pgoutput::{Identity, Message, RelationColumn, RelationDescription};

/// The first OID of a type that is described: those below it are built in.
const FIRST_DESCRIBED_TYPE: u32 = 10_000;

/// The schema whose name is left away.
const PG_CATALOG: &str = "pg_catalog";

/// A Relation message, and the Type messages in front of it.
pub(super) struct Description {
    pub(super) relation: Vec<u8>,
    pub(super) types: Vec<(u32, Vec<u8>)>,
}

impl Seen {
    /// The messages for `table`; `None` where its names cannot be sent.
    pub(super) fn describe(&self, table: &SeenTable) -> Option<Description> {
        let mut types: Vec<(u32, Vec<u8>)> = Vec::new();
        for oid in table.columns.iter().map(|column| column.type_oid) {
            let is_known = types.iter().any(|(known, _)| *known == oid);
            if oid < FIRST_DESCRIBED_TYPE || is_known || info(PgType(oid)).is_some() {
                continue;
            }
            let named = self.types.iter().find(|named| named.oid == oid)?;
            let mut out = Vec::new();
            let message = Message::Type {
                xid: None,
                oid,
                schema: schema(&named.schema),
                name: &named.name,
            };
            message.encode(&mut out).ok()?;
            types.push((oid, out));
        }
        let identity = Identity::from_letter(table.identity)?;
        let key = identity_columns(table, identity);
        let columns = table.columns.iter().map(|column| RelationColumn {
            key: identity == Identity::Full || key.contains(&column.number),
            name: &column.name,
            type_oid: column.type_oid,
            typmod: column.typmod,
        });
        let message = Message::Relation(RelationDescription {
            xid: None,
            oid: table.oid,
            schema: schema(&table.schema.name),
            name: &table.name,
            identity,
            columns: columns.collect(),
        });
        let mut relation = Vec::new();
        message.encode(&mut relation).ok()?;
        Some(Description { relation, types })
    }
}

fn schema(name: &str) -> &str {
    if name == PG_CATALOG { "" } else { name }
}

/// Numbers of the columns by which a subscriber finds a row.
fn identity_columns(table: &SeenTable, identity: Identity) -> &[i16] {
    let mut keys = table.keys.iter();
    let key = match identity {
        Identity::Default => keys.find(|key| key.primary && key.immediate),
        Identity::Index => keys.find(|key| key.identity),
        Identity::Nothing | Identity::Full => None,
    };
    key.map_or(&[], |key| &key.columns)
}
