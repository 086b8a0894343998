//! Who may do what: there is no authentication yet, so whoever is connected may do everything that
//! there is to do. Names and OIDs are looked up all the same.

use super::args::{bool_datum, is_null, oid};
use super::{Body, Call, Function as F};
use crate::datum::{Datum, DatumError, Names, PgType as T, text_in};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        3024,
        "has_any_column_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        3025,
        "has_any_column_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        3026,
        "has_any_column_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        3027,
        "has_any_column_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        3028,
        "has_any_column_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        3029,
        "has_any_column_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        3012,
        "has_column_privilege",
        &[T::NAME, T::TEXT, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3013,
        "has_column_privilege",
        &[T::NAME, T::TEXT, T::INT2, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3014,
        "has_column_privilege",
        &[T::NAME, T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3015,
        "has_column_privilege",
        &[T::NAME, T::OID, T::INT2, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3016,
        "has_column_privilege",
        &[T::OID, T::TEXT, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3017,
        "has_column_privilege",
        &[T::OID, T::TEXT, T::INT2, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3018,
        "has_column_privilege",
        &[T::OID, T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3019,
        "has_column_privilege",
        &[T::OID, T::OID, T::INT2, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3020,
        "has_column_privilege",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3021,
        "has_column_privilege",
        &[T::TEXT, T::INT2, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3022,
        "has_column_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        3023,
        "has_column_privilege",
        &[T::OID, T::INT2, T::TEXT],
        T::BOOL,
        Body::Scalar(column),
    ),
    F::new(
        2250,
        "has_database_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(database),
    ),
    F::new(
        2251,
        "has_database_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(database),
    ),
    F::new(
        2252,
        "has_database_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(database),
    ),
    F::new(
        2253,
        "has_database_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(database),
    ),
    F::new(
        2254,
        "has_database_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(database),
    ),
    F::new(
        2255,
        "has_database_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(database),
    ),
    F::new(
        2256,
        "has_function_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(function),
    ),
    F::new(
        2257,
        "has_function_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(function),
    ),
    F::new(
        2258,
        "has_function_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(function),
    ),
    F::new(
        2259,
        "has_function_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(function),
    ),
    F::new(
        2260,
        "has_function_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(function),
    ),
    F::new(
        2261,
        "has_function_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(function),
    ),
    F::new(
        2262,
        "has_language_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2263,
        "has_language_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2264,
        "has_language_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2265,
        "has_language_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2266,
        "has_language_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2267,
        "has_language_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2268,
        "has_schema_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(schema),
    ),
    F::new(
        2269,
        "has_schema_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(schema),
    ),
    F::new(
        2270,
        "has_schema_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(schema),
    ),
    F::new(
        2271,
        "has_schema_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(schema),
    ),
    F::new(
        2272,
        "has_schema_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(schema),
    ),
    F::new(
        2273,
        "has_schema_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(schema),
    ),
    F::new(
        2181,
        "has_sequence_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        2182,
        "has_sequence_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        2183,
        "has_sequence_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        2184,
        "has_sequence_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        2185,
        "has_sequence_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        2186,
        "has_sequence_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        1922,
        "has_table_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        1923,
        "has_table_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        1924,
        "has_table_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        1925,
        "has_table_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        1926,
        "has_table_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        1927,
        "has_table_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(relation),
    ),
    F::new(
        2390,
        "has_tablespace_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2391,
        "has_tablespace_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2392,
        "has_tablespace_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2393,
        "has_tablespace_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2394,
        "has_tablespace_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2395,
        "has_tablespace_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        3138,
        "has_type_privilege",
        &[T::NAME, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(data_type),
    ),
    F::new(
        3139,
        "has_type_privilege",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(data_type),
    ),
    F::new(
        3140,
        "has_type_privilege",
        &[T::OID, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(data_type),
    ),
    F::new(
        3141,
        "has_type_privilege",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(data_type),
    ),
    F::new(
        3142,
        "has_type_privilege",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(data_type),
    ),
    F::new(
        3143,
        "has_type_privilege",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(data_type),
    ),
    F::new(
        2705,
        "pg_has_role",
        &[T::NAME, T::NAME, T::TEXT],
        T::BOOL,
        Body::Scalar(role),
    ),
    F::new(
        2706,
        "pg_has_role",
        &[T::NAME, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(role),
    ),
    F::new(
        2707,
        "pg_has_role",
        &[T::OID, T::NAME, T::TEXT],
        T::BOOL,
        Body::Scalar(role),
    ),
    F::new(
        2708,
        "pg_has_role",
        &[T::OID, T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(role),
    ),
    F::new(
        2709,
        "pg_has_role",
        &[T::NAME, T::TEXT],
        T::BOOL,
        Body::Scalar(role),
    ),
    F::new(
        2710,
        "pg_has_role",
        &[T::OID, T::TEXT],
        T::BOOL,
        Body::Scalar(role),
    ),
];

/// What stands in front of the privilege: the last name or OID but `behind`.
fn object(args: &[Datum], behind: usize) -> Option<(&Datum, usize)> {
    let at = args.len().checked_sub(behind + 1)?;
    args.get(at).map(|object| (object, at))
}

/// Whether the object is there: a name that is none is an error, an OID that is none is NULL.
fn allowed(call: &Call<'_>, args: &[Datum], ty: T, behind: usize) -> Result<Datum, PgError> {
    user(call, args, behind)?;
    let names = call.names();
    match object(args, behind) {
        Some((Datum::Text(name), _)) => {
            text_in(ty, name, &names, call.style())?;
            Ok(bool_datum(true))
        }
        Some((_, at)) if !is_null(args, at) => {
            let found = names.name_of(ty, oid(args, at)?);
            Ok(found.map_or(Datum::Null, |_| bool_datum(true)))
        }
        Some(_) | None => Ok(Datum::Null),
    }
}

/// The user in front of everything, if one is named.
fn user(call: &Call<'_>, args: &[Datum], behind: usize) -> Result<(), PgError> {
    if args.len() > behind + 1
        && let Some(Datum::Text(name)) = args.first()
        && name != "public"
        && call.names().oid_of(T::REGROLE, &quoted(name)).is_none()
    {
        return Err(DatumError::UndefinedObject {
            kind: "role",
            name: name.clone(),
        }
        .into());
    }
    Ok(())
}

/// A name is given as it is, not as SQL writes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn relation(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    allowed(call, args, T::REGCLASS, 1)
}

fn column(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    allowed(call, args, T::REGCLASS, 2)
}

fn schema(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    allowed(call, &as_identifiers(args, 1), T::REGNAMESPACE, 1)
}

fn function(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    allowed(call, args, T::REGPROCEDURE, 1)
}

fn data_type(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    allowed(call, args, T::REGTYPE, 1)
}

/// Arguments with the object's name as SQL writes it.
fn as_identifiers(args: &[Datum], behind: usize) -> Vec<Datum> {
    let mut args = args.to_vec();
    let at = args.len().saturating_sub(behind + 1);
    if let Some(Datum::Text(name)) = args.get_mut(at) {
        *name = quoted(name);
    }
    args
}

fn role(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    allowed(call, &as_identifiers(args, 1), T::REGROLE, 1)
}

fn database(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    user(call, args, 1)?;
    let databases = call.context.databases();
    match object(args, 1) {
        Some((Datum::Text(name), _)) => {
            if databases
                .iter()
                .any(|database| database.state.database == *name)
            {
                return Ok(bool_datum(true));
            }
            let message = format!("database \"{}\" does not exist", name);
            Err(PgError::error("3D000", message))
        }
        Some((Datum::Int(oid), _)) => {
            let found = databases
                .iter()
                .any(|database| i64::from(database.oid) == *oid);
            Ok(if found { bool_datum(true) } else { Datum::Null })
        }
        Some(_) | None => Ok(Datum::Null),
    }
}

fn always(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(true))
}
