//! Facts of tables, publications and names that hold for all of ours.

use super::visible::or_null_bool;
use crate::catalog::functions::args::{bool_datum, oid, or_null, text, text_datum};
use crate::catalog::functions::{Body, Call, Function as F, Row};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        2082,
        "pg_operator_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        2083,
        "pg_opclass_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3829,
        "pg_opfamily_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3815,
        "pg_collation_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(always),
    ),
    F::new(
        2093,
        "pg_conversion_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3403,
        "pg_statistics_obj_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3756,
        "pg_ts_parser_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3757,
        "pg_ts_dict_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3768,
        "pg_ts_template_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        3758,
        "pg_ts_config_is_visible",
        &[T::OID],
        T::BOOL,
        Body::Scalar(never),
    ),
    F::new(
        1641,
        "pg_get_viewdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        2506,
        "pg_get_viewdef",
        &[T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3159,
        "pg_get_viewdef",
        &[T::OID, T::INT4],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1573,
        "pg_get_ruledef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        2504,
        "pg_get_ruledef",
        &[T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1662,
        "pg_get_triggerdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        2730,
        "pg_get_triggerdef",
        &[T::OID, T::BOOL],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3415,
        "pg_get_statisticsobjdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        6174,
        "pg_get_statisticsobjdef_columns",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3352,
        "pg_get_partkeydef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3408,
        "pg_get_partition_constraintdef",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1665,
        "pg_get_serial_sequence",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3808,
        "pg_get_function_arg_default",
        &[T::OID, T::INT4],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        6197,
        "pg_get_function_sqlbody",
        &[T::OID],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        3778,
        "pg_tablespace_location",
        &[T::OID],
        T::TEXT,
        Body::Scalar(tablespace_location),
    ),
    F::new(
        2999,
        "pg_relation_filenode",
        &[T::REGCLASS],
        T::OID,
        Body::Scalar(none),
    ),
    F::new(
        3034,
        "pg_relation_filepath",
        &[T::REGCLASS],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        1993,
        "shobj_description",
        &[T::OID, T::NAME],
        T::TEXT,
        Body::Scalar(none),
    ),
    F::new(
        6121,
        "pg_relation_is_publishable",
        &[T::REGCLASS],
        T::BOOL,
        Body::Scalar(is_publishable),
    ),
    F::new(
        6120,
        "pg_get_replica_identity_index",
        &[T::REGCLASS],
        T::REGCLASS,
        Body::Scalar(identity_index),
    ),
    F::new(
        6119,
        "pg_get_publication_tables",
        &[T::TEXT],
        T::RECORD,
        Body::Table {
            columns: &[
                ("relid", T::OID),
                ("attrs", T::INT2VECTOR),
                ("qual", T::PG_NODE_TREE),
            ],
            rows: publication_tables,
        },
    )
    .named(&["pubname"]),
];

/// There are none of these.
fn never(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Null)
}

fn always(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(true))
}

fn none(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Null)
}

fn tablespace_location(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    // pg_default and pg_global, which are where all else is.
    Ok(match oid(args, 0)? {
        0 | 1663 | 1664 => text_datum(""),
        _ => Datum::Null,
    })
}

fn is_publishable(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let wanted = oid(args, 0)?;
    let set = call.context.relations();
    if set.relations.iter().any(|relation| relation.oid == wanted) {
        return Ok(bool_datum(true));
    }
    Ok(or_null_bool(
        call.names().relation_is_visible(wanted).map(|_| false),
    ))
}

fn identity_index(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let set = call.context.relations();
    let relation = set.relation_by_oid(oid(args, 0)?);
    let key = relation.and_then(|relation| relation.replica_identity_index());
    Ok(key.map_or(Datum::Null, |key| Datum::Int(key.index_oid.into())))
}

fn publication_tables(call: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let name = text(args, 0)?;
    let set = call.context.relations();
    let Some(publication) = set
        .publications
        .iter()
        .find(|publication| publication.name == name)
    else {
        let message = format!("publication \"{name}\" does not exist");
        return Err(PgError::error("42704", message));
    };
    let tables = set.publication_tables(publication).into_iter();
    let rows = tables.map(|table| {
        let columns = table.relation.live_columns().map(|column| column.attnum);
        let columns =
            columns.filter(|attnum| table.attnums.is_none_or(|only| only.contains(attnum)));
        let attrs: Vec<String> = columns.map(|attnum| attnum.to_string()).collect();
        vec![
            Datum::Int(table.relation.oid.into()),
            text_datum(attrs.join(" ")),
            or_null(table.filter),
        ]
    });
    Ok(rows.collect())
}
