//! The domains of `information_schema`: types of its columns, with other names.

use crate::datum::PgType;

/// A domain.
#[derive(Debug, Clone, Copy)]
pub(in crate::catalog) struct Domain {
    pub(in crate::catalog) ty: PgType,
    /// Its array.
    pub(super) array: PgType,
    pub(in crate::catalog) name: &'static str,
    /// What it is made of.
    pub(in crate::catalog) base: PgType,
    pub(in crate::catalog) typmod: i32,
    pub(super) collation: u32,
}

const C_COLLATION: u32 = 950;

/// With the OIDs that a PostgreSQL 15 gives them at initdb.
pub(in crate::catalog) const DOMAINS: [Domain; 5] = [
    Domain::new(13221, "cardinal_number", PgType::INT4, -1, 0),
    Domain::new(13224, "character_data", PgType::VARCHAR, -1, C_COLLATION),
    Domain::new(13226, "sql_identifier", PgType::NAME, -1, C_COLLATION),
    Domain::new(13232, "time_stamp", PgType::TIMESTAMPTZ, 2, 0),
    Domain::new(13234, "yes_or_no", PgType::VARCHAR, 3 + 4, C_COLLATION),
];

impl Domain {
    const fn new(oid: u32, name: &'static str, base: PgType, typmod: i32, collation: u32) -> Self {
        Self {
            ty: PgType(oid),
            array: PgType(oid - 1),
            name,
            base,
            typmod,
            collation,
        }
    }
}

/// The domain `ty`; `None` when it is none.
pub(in crate::catalog) fn domain(ty: PgType) -> Option<&'static Domain> {
    DOMAINS.iter().find(|domain| domain.ty == ty)
}

/// What a type is made of: itself, unless it is a domain.
pub(super) fn base_of(ty: PgType) -> PgType {
    domain(ty).map_or(ty, |domain| domain.base)
}
