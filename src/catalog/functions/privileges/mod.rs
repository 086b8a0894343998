//! Who may do what, as PostgreSQL's functions ask it: what the rights of a role come to in
//! PostgreSQL's privileges. The checks themselves are made where something is done.
//!
//! A superuser may do everything. PUBLISH is INSERT, UPDATE, DELETE and TRUNCATE on tables and
//! CREATE on schemas and databases, REPLICATION is SELECT on tables; databases are given one by
//! one. The catalog may be read by everybody but for its secrets.

mod ask;

use ask::{
    column, data_type, database, function, language, relation, role, schema, sequence, tablespace,
};

use super::{Body, Call, Function as F};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// A function that asks for a privilege.
const fn asks(
    oid: u32,
    name: &'static str,
    args: &'static [T],
    body: fn(&Call<'_>, &[Datum]) -> Result<Datum, PgError>,
) -> F {
    F::new(oid, name, args, T::BOOL, Body::Scalar(body))
}

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    asks(
        3024,
        "has_any_column_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        relation,
    ),
    asks(
        3025,
        "has_any_column_privilege",
        &[T::NAME, T::OID, T::TEXT],
        relation,
    ),
    asks(
        3026,
        "has_any_column_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        relation,
    ),
    asks(
        3027,
        "has_any_column_privilege",
        &[T::OID, T::OID, T::TEXT],
        relation,
    ),
    asks(
        3028,
        "has_any_column_privilege",
        &[T::TEXT, T::TEXT],
        relation,
    ),
    asks(
        3029,
        "has_any_column_privilege",
        &[T::OID, T::TEXT],
        relation,
    ),
    asks(
        3012,
        "has_column_privilege",
        &[T::NAME, T::TEXT, T::TEXT, T::TEXT],
        column,
    ),
    asks(
        3013,
        "has_column_privilege",
        &[T::NAME, T::TEXT, T::INT2, T::TEXT],
        column,
    ),
    asks(
        3014,
        "has_column_privilege",
        &[T::NAME, T::OID, T::TEXT, T::TEXT],
        column,
    ),
    asks(
        3015,
        "has_column_privilege",
        &[T::NAME, T::OID, T::INT2, T::TEXT],
        column,
    ),
    asks(
        3016,
        "has_column_privilege",
        &[T::OID, T::TEXT, T::TEXT, T::TEXT],
        column,
    ),
    asks(
        3017,
        "has_column_privilege",
        &[T::OID, T::TEXT, T::INT2, T::TEXT],
        column,
    ),
    asks(
        3018,
        "has_column_privilege",
        &[T::OID, T::OID, T::TEXT, T::TEXT],
        column,
    ),
    asks(
        3019,
        "has_column_privilege",
        &[T::OID, T::OID, T::INT2, T::TEXT],
        column,
    ),
    asks(
        3020,
        "has_column_privilege",
        &[T::TEXT, T::TEXT, T::TEXT],
        column,
    ),
    asks(
        3021,
        "has_column_privilege",
        &[T::TEXT, T::INT2, T::TEXT],
        column,
    ),
    asks(
        3022,
        "has_column_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        column,
    ),
    asks(
        3023,
        "has_column_privilege",
        &[T::OID, T::INT2, T::TEXT],
        column,
    ),
    asks(
        2250,
        "has_database_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        database,
    ),
    asks(
        2251,
        "has_database_privilege",
        &[T::NAME, T::OID, T::TEXT],
        database,
    ),
    asks(
        2252,
        "has_database_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        database,
    ),
    asks(
        2253,
        "has_database_privilege",
        &[T::OID, T::OID, T::TEXT],
        database,
    ),
    asks(
        2254,
        "has_database_privilege",
        &[T::TEXT, T::TEXT],
        database,
    ),
    asks(2255, "has_database_privilege", &[T::OID, T::TEXT], database),
    asks(
        2256,
        "has_function_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        function,
    ),
    asks(
        2257,
        "has_function_privilege",
        &[T::NAME, T::OID, T::TEXT],
        function,
    ),
    asks(
        2258,
        "has_function_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        function,
    ),
    asks(
        2259,
        "has_function_privilege",
        &[T::OID, T::OID, T::TEXT],
        function,
    ),
    asks(
        2260,
        "has_function_privilege",
        &[T::TEXT, T::TEXT],
        function,
    ),
    asks(2261, "has_function_privilege", &[T::OID, T::TEXT], function),
    asks(
        2262,
        "has_language_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        language,
    ),
    asks(
        2263,
        "has_language_privilege",
        &[T::NAME, T::OID, T::TEXT],
        language,
    ),
    asks(
        2264,
        "has_language_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        language,
    ),
    asks(
        2265,
        "has_language_privilege",
        &[T::OID, T::OID, T::TEXT],
        language,
    ),
    asks(
        2266,
        "has_language_privilege",
        &[T::TEXT, T::TEXT],
        language,
    ),
    asks(2267, "has_language_privilege", &[T::OID, T::TEXT], language),
    asks(
        2268,
        "has_schema_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        schema,
    ),
    asks(
        2269,
        "has_schema_privilege",
        &[T::NAME, T::OID, T::TEXT],
        schema,
    ),
    asks(
        2270,
        "has_schema_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        schema,
    ),
    asks(
        2271,
        "has_schema_privilege",
        &[T::OID, T::OID, T::TEXT],
        schema,
    ),
    asks(2272, "has_schema_privilege", &[T::TEXT, T::TEXT], schema),
    asks(2273, "has_schema_privilege", &[T::OID, T::TEXT], schema),
    asks(
        2181,
        "has_sequence_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        sequence,
    ),
    asks(
        2182,
        "has_sequence_privilege",
        &[T::NAME, T::OID, T::TEXT],
        sequence,
    ),
    asks(
        2183,
        "has_sequence_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        sequence,
    ),
    asks(
        2184,
        "has_sequence_privilege",
        &[T::OID, T::OID, T::TEXT],
        sequence,
    ),
    asks(
        2185,
        "has_sequence_privilege",
        &[T::TEXT, T::TEXT],
        sequence,
    ),
    asks(2186, "has_sequence_privilege", &[T::OID, T::TEXT], sequence),
    asks(
        1922,
        "has_table_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        relation,
    ),
    asks(
        1923,
        "has_table_privilege",
        &[T::NAME, T::OID, T::TEXT],
        relation,
    ),
    asks(
        1924,
        "has_table_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        relation,
    ),
    asks(
        1925,
        "has_table_privilege",
        &[T::OID, T::OID, T::TEXT],
        relation,
    ),
    asks(1926, "has_table_privilege", &[T::TEXT, T::TEXT], relation),
    asks(1927, "has_table_privilege", &[T::OID, T::TEXT], relation),
    asks(
        2390,
        "has_tablespace_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        tablespace,
    ),
    asks(
        2391,
        "has_tablespace_privilege",
        &[T::NAME, T::OID, T::TEXT],
        tablespace,
    ),
    asks(
        2392,
        "has_tablespace_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        tablespace,
    ),
    asks(
        2393,
        "has_tablespace_privilege",
        &[T::OID, T::OID, T::TEXT],
        tablespace,
    ),
    asks(
        2394,
        "has_tablespace_privilege",
        &[T::TEXT, T::TEXT],
        tablespace,
    ),
    asks(
        2395,
        "has_tablespace_privilege",
        &[T::OID, T::TEXT],
        tablespace,
    ),
    asks(
        3138,
        "has_type_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        data_type,
    ),
    asks(
        3139,
        "has_type_privilege",
        &[T::NAME, T::OID, T::TEXT],
        data_type,
    ),
    asks(
        3140,
        "has_type_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        data_type,
    ),
    asks(
        3141,
        "has_type_privilege",
        &[T::OID, T::OID, T::TEXT],
        data_type,
    ),
    asks(3142, "has_type_privilege", &[T::TEXT, T::TEXT], data_type),
    asks(3143, "has_type_privilege", &[T::OID, T::TEXT], data_type),
    asks(2705, "pg_has_role", &[T::NAME, T::NAME, T::TEXT], role),
    asks(2706, "pg_has_role", &[T::NAME, T::OID, T::TEXT], role),
    asks(2707, "pg_has_role", &[T::OID, T::NAME, T::TEXT], role),
    asks(2708, "pg_has_role", &[T::OID, T::OID, T::TEXT], role),
    asks(2709, "pg_has_role", &[T::NAME, T::TEXT], role),
    asks(2710, "pg_has_role", &[T::OID, T::TEXT], role),
];
