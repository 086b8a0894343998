//! What a session may ask about itself and the server.

use super::args::{
    array_of, bool_datum, boolean, invalid, is_null, numeric, or_null, text, text_datum,
};
use super::given::void;
use super::{Body, Call, Function as F};
use crate::catalog::databases::DatabaseSnapshot;
use crate::catalog::rights::Needs;
use crate::datum::{Datum, Numeric, PgType as T};
use crate::pgerror::PgError;
use crate::relations::schemas_searched;

/// OIDs of `pg_tablespace`.
const DEFAULT_TABLESPACE: u32 = 1663;
const GLOBAL_TABLESPACE: u32 = 1664;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(89, "version", &[], T::TEXT, Body::Scalar(version)),
    F::new(
        861,
        "current_database",
        &[],
        T::NAME,
        Body::Scalar(current_database),
    ),
    F::new(
        745,
        "current_user",
        &[],
        T::NAME,
        Body::Scalar(current_user),
    ),
    F::new(
        746,
        "session_user",
        &[],
        T::NAME,
        Body::Scalar(current_user),
    ),
    F::new(
        710,
        "getpgusername",
        &[],
        T::NAME,
        Body::Scalar(current_user),
    ),
    F::new(
        1402,
        "current_schema",
        &[],
        T::NAME,
        Body::Scalar(current_schema),
    ),
    F::new(
        1403,
        "current_schemas",
        &[T::BOOL],
        T::NAME_ARRAY,
        Body::Scalar(current_schemas),
    ),
    F::new(
        2077,
        "current_setting",
        &[T::TEXT],
        T::TEXT,
        Body::Scalar(current_setting),
    ),
    F::new(
        3294,
        "current_setting",
        &[T::TEXT, T::BOOL],
        T::TEXT,
        Body::Scalar(current_setting),
    ),
    F::new(
        2078,
        "set_config",
        &[T::TEXT, T::TEXT, T::BOOL],
        T::TEXT,
        Body::Scalar(set_config),
    )
    .lax()
    .acts(Needs::Nothing),
    F::new(
        2026,
        "pg_backend_pid",
        &[],
        T::INT4,
        Body::Scalar(backend_pid),
    ),
    F::new(
        2560,
        "pg_postmaster_start_time",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(start_time),
    ),
    F::new(
        2034,
        "pg_conf_load_time",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(start_time),
    ),
    F::new(
        3810,
        "pg_is_in_recovery",
        &[],
        T::BOOL,
        Body::Scalar(is_false),
    )
    .volatile(),
    F::new(
        2855,
        "pg_is_other_temp_schema",
        &[T::OID],
        T::BOOL,
        Body::Scalar(is_false),
    ),
    F::new(
        315,
        "pg_jit_available",
        &[],
        T::BOOL,
        Body::Scalar(is_false),
    )
    .volatile(),
    F::new(2854, "pg_my_temp_schema", &[], T::OID, Body::Scalar(zero)),
    F::new(
        2196,
        "inet_client_addr",
        &[],
        T::INET,
        Body::Scalar(client_address),
    )
    .lax(),
    F::new(
        2197,
        "inet_client_port",
        &[],
        T::INT4,
        Body::Scalar(client_port),
    )
    .lax(),
    F::new(
        2198,
        "inet_server_addr",
        &[],
        T::INET,
        Body::Scalar(server_address),
    )
    .lax(),
    F::new(
        2199,
        "inet_server_port",
        &[],
        T::INT4,
        Body::Scalar(server_port),
    )
    .lax(),
    F::new(
        810,
        "pg_client_encoding",
        &[],
        T::NAME,
        Body::Scalar(client_encoding),
    ),
    F::new(
        1039,
        "getdatabaseencoding",
        &[],
        T::NAME,
        Body::Scalar(client_encoding),
    ),
    F::new(
        2561,
        "pg_blocking_pids",
        &[T::INT4],
        T::INT4_ARRAY,
        Body::Scalar(nobody),
    )
    .volatile(),
    F::new(
        3376,
        "pg_safe_snapshot_blocking_pids",
        &[T::INT4],
        T::INT4_ARRAY,
        Body::Scalar(nobody),
    )
    .volatile(),
    F::new(
        2288,
        "pg_size_pretty",
        &[T::INT8],
        T::TEXT,
        Body::Scalar(size_pretty),
    ),
    F::new(
        3166,
        "pg_size_pretty",
        &[T::NUMERIC],
        T::TEXT,
        Body::Scalar(size_pretty),
    ),
    F::new(
        3334,
        "pg_size_bytes",
        &[T::TEXT],
        T::INT8,
        Body::Scalar(size_bytes),
    ),
    F::new(
        2168,
        "pg_database_size",
        &[T::NAME],
        T::INT8,
        Body::Scalar(database_size),
    )
    .volatile(),
    F::new(
        2324,
        "pg_database_size",
        &[T::OID],
        T::INT8,
        Body::Scalar(database_size_by_oid),
    )
    .volatile(),
    F::new(
        2322,
        "pg_tablespace_size",
        &[T::OID],
        T::INT8,
        Body::Scalar(tablespace_size_by_oid),
    )
    .volatile(),
    F::new(
        2323,
        "pg_tablespace_size",
        &[T::NAME],
        T::INT8,
        Body::Scalar(tablespace_size),
    )
    .volatile(),
    F::new(
        2325,
        "pg_relation_size",
        &[T::REGCLASS],
        T::INT8,
        Body::Scalar(zero),
    )
    .volatile(),
    F::new(
        2332,
        "pg_relation_size",
        &[T::REGCLASS, T::TEXT],
        T::INT8,
        Body::Scalar(zero),
    )
    .volatile(),
    F::new(
        2997,
        "pg_table_size",
        &[T::REGCLASS],
        T::INT8,
        Body::Scalar(zero),
    )
    .volatile(),
    F::new(
        2998,
        "pg_indexes_size",
        &[T::REGCLASS],
        T::INT8,
        Body::Scalar(zero),
    )
    .volatile(),
    F::new(
        2286,
        "pg_total_relation_size",
        &[T::REGCLASS],
        T::INT8,
        Body::Scalar(zero),
    )
    .volatile(),
    F::new(
        2943,
        "txid_current",
        &[],
        T::INT8,
        Body::Scalar(transaction_id),
    ),
    F::new(
        5059,
        "pg_current_xact_id",
        &[],
        T::XID8,
        Body::Scalar(transaction_id),
    ),
    F::new(
        3348,
        "txid_current_if_assigned",
        &[],
        T::INT8,
        Body::Scalar(none),
    ),
    F::new(
        5060,
        "pg_current_xact_id_if_assigned",
        &[],
        T::XID8,
        Body::Scalar(none),
    ),
    // Nobody holds such a lock; connection pools ask before they hand a session on.
    F::new(
        2892,
        "pg_advisory_unlock_all",
        &[],
        T::VOID,
        Body::Scalar(|_, _| Ok(void())),
    )
    .volatile(),
];

fn version(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let number = call.context.host.setting("server_version")?;
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    let own = env!("CARGO_PKG_VERSION");
    Ok(text_datum(format!(
        "PostgreSQL {number} (pgspool {own}) on {arch}-{os}, 64-bit"
    )))
}

fn current_database(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(call.context.host.session().database))
}

/// As it is called now; a role that was dropped keeps its last name.
fn current_user(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let name = call.context.own_role().map(|role| role.name.clone());
    Ok(text_datum(
        name.unwrap_or_else(|| call.context.host.session().user),
    ))
}

/// Schemas of the search path that exist; `implied` is pg_catalog, which is searched first.
fn search_path(call: &Call<'_>, implied: bool) -> Vec<String> {
    let path = call.context.host.setting("search_path").unwrap_or_default();
    let names = call.names();
    let mut found: Vec<String> = Vec::new();
    for name in schemas_searched(&path, &call.context.host.session().user) {
        if names.schema_oid(&name).is_some() && !found.contains(&name) {
            found.push(name);
        }
    }
    let catalog = "pg_catalog".to_owned();
    if implied && !found.contains(&catalog) {
        found.insert(0, catalog);
    }
    found
}

fn current_schema(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(search_path(call, false).into_iter().next()))
}

fn current_schemas(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let path = search_path(call, boolean(args, 0)?);
    Ok(array_of(path.into_iter().map(Some).collect()))
}

fn current_setting(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let missing_ok = args.len() > 1 && boolean(args, 1)?;
    match call.context.host.setting(text(args, 0)?) {
        Ok(value) => Ok(text_datum(value)),
        Err(error) if missing_ok && error.code() == "42704" => Ok(Datum::Null),
        Err(error) => Err(error),
    }
}

/// A NULL value resets.
fn set_config(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    if is_null(args, 0) {
        return Err(PgError::error("22004", "SET requires parameter name"));
    }
    let name = text(args, 0)?;
    let value = if is_null(args, 1) { "" } else { text(args, 1)? };
    let is_local = !is_null(args, 2) && boolean(args, 2)?;
    Ok(text_datum(
        call.context.host.set_config(name, value, is_local)?,
    ))
}

fn backend_pid(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(call.context.host.session().pid.into()))
}

fn start_time(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let ms = i64::try_from(call.context.host.server_started_unix_ms()).unwrap_or(0);
    Ok(Datum::Int(ms.saturating_mul(1_000)))
}

fn is_false(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(bool_datum(false))
}

fn zero(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(0))
}

fn none(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Null)
}

fn nobody(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(array_of(Vec::new()))
}

fn client_address(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(
        call.context
            .host
            .session()
            .client
            .map(|client| client.ip().to_string()),
    ))
}

fn client_port(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let client = call.context.host.session().client;
    Ok(client.map_or(Datum::Null, |client| Datum::Int(client.port().into())))
}

fn server_address(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(or_null(
        call.context
            .host
            .session()
            .server
            .map(|server| server.ip().to_string()),
    ))
}

fn server_port(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let server = call.context.host.session().server;
    Ok(server.map_or(Datum::Null, |server| Datum::Int(server.port().into())))
}

fn client_encoding(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum("UTF8"))
}

/// Units with how much of the one before each is.
const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];

/// In the greatest unit of which there are fewer than 10240, halves rounded away from zero.
fn size_pretty(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let size = numeric(args, 0)?;
    let Numeric::Finite(number) = &size else {
        return Ok(text_datum(format!("{size} bytes")));
    };
    let limit = bigdecimal::BigDecimal::from(10 * 1024);
    if number.abs() < limit {
        return Ok(text_datum(format!("{size} bytes")));
    }
    // Twice the number in each unit, cut, so that the last bit rounds.
    let (whole, _) = number
        .with_scale_round(0, bigdecimal::RoundingMode::Down)
        .into_bigint_and_scale();
    let mut twice: bigdecimal::num_bigint::BigInt = whole / 512;
    let most = bigdecimal::num_bigint::BigInt::from(20 * 1024 - 1);
    let mut unit = 1;
    while twice.magnitude() >= most.magnitude() && unit + 1 < UNITS.len() {
        twice /= 1024;
        unit += 1;
    }
    let one = bigdecimal::num_bigint::BigInt::from(1);
    let negative = twice.sign() == bigdecimal::num_bigint::Sign::Minus;
    let rounded = if negative {
        (twice - one) / 2
    } else {
        (twice + one) / 2
    };
    let name = UNITS.get(unit).copied().unwrap_or("PB");
    Ok(text_datum(format!("{rounded} {name}")))
}

fn size_bytes(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let given = text(args, 0)?;
    let bad = || invalid(format!("invalid size: \"{given}\""));
    let trimmed = given.trim();
    let number_end = |text: &str| {
        let sign = usize::from(text.starts_with(['-', '+']));
        let rest = text.get(sign..).unwrap_or("");
        sign + rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len())
    };
    let (number, unit) = trimmed.split_at(number_end(trimmed));
    let number = Numeric::parse(number).map_err(|_| bad())?;
    let unit = unit.trim();
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        other => {
            let at = UNITS
                .iter()
                .position(|known| known.eq_ignore_ascii_case(other));
            at.and_then(|at| u32::try_from(at).ok()).ok_or_else(|| {
                bad()
                    .with_detail(format!("Invalid size unit: \"{unit}\"."))
                    .with_hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")
            })?
        }
    };
    let size = number.multiply(&Numeric::from_int(1024_i64.pow(power)))?;
    size.to_int()
        .map(Datum::Int)
        .ok_or_else(|| super::args::out_of_range("bigint"))
}

fn database_size(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let name = text(args, 0)?;
    let mut databases = call.context.databases().iter();
    let found = databases.find(|database| database.state.database == name);
    let found = found
        .ok_or_else(|| PgError::error("3D000", format!("database \"{name}\" does not exist")))?;
    Ok(Datum::Int(size_of(found)))
}

fn database_size_by_oid(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let oid = super::args::oid(args, 0)?;
    let mut databases = call.context.databases().iter();
    let found = databases.find(|database| database.oid == oid);
    Ok(found.map_or(Datum::Null, |found| Datum::Int(size_of(found))))
}

/// All databases are in the default one.
fn tablespace_size_by_oid(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(match super::args::oid(args, 0)? {
        DEFAULT_TABLESPACE => {
            let databases = call.context.databases().iter();
            Datum::Int(databases.map(size_of).fold(0, i64::saturating_add))
        }
        GLOBAL_TABLESPACE => Datum::Int(0),
        _ => Datum::Null,
    })
}

fn tablespace_size(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let oid = match text(args, 0)? {
        "pg_default" => DEFAULT_TABLESPACE,
        "pg_global" => GLOBAL_TABLESPACE,
        name => {
            let message = format!("tablespace \"{name}\" does not exist");
            return Err(PgError::error("42704", message));
        }
    };
    tablespace_size_by_oid(call, &[Datum::Int(oid.into())])
}

/// The transaction id that one ending at the head would have.
fn transaction_id(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let head = call.context.host.engine().head();
    Ok(Datum::Int(crate::change::xid(head).into()))
}

/// Bytes of its spool.
fn size_of(database: &DatabaseSnapshot) -> i64 {
    i64::try_from(database.state.spool.bytes).unwrap_or(i64::MAX)
}
