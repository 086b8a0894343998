//! Relations whose rows are the same everywhere: access methods, collations, languages,
//! tablespaces, time zones, and the descriptions of our own views.

use std::sync::{Arc, LazyLock};

use crate::catalog::Context;
use crate::catalog::functions::Row;

use super::cell::{NULL, interval, row};
use super::roles::BOOTSTRAP_ROLE;
use super::schemas::fixed_schema;
use super::{Rows, all};

/// Rows made once a process.
macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident, $rows:expr) => {
        $(#[$doc])*
        pub(super) fn $name(_context: &Arc<Context>) -> Rows {
            static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| $rows);
            Rows::joined(&ROWS, Vec::new())
        }
    };
}

fixed!(
    /// `pg_am`: oid, amname, amhandler, amtype
    access_methods,
    vec![row![2, "heap", 3, 't'], row![403, "btree", 330, 'i']]
);

fixed!(
    /// `pg_tablespace`
    tablespaces,
    vec![
        row![1663, "pg_default", BOOTSTRAP_ROLE, NULL, NULL],
        row![1664, "pg_global", BOOTSTRAP_ROLE, NULL, NULL],
    ]
);

fixed!(
    /// `pg_language`
    languages,
    vec![
        row![12, "internal", BOOTSTRAP_ROLE, false, false, 0, 0, 2246, NULL],
        row![13, "c", BOOTSTRAP_ROLE, false, false, 0, 0, 2247, NULL],
        row![14, "sql", BOOTSTRAP_ROLE, false, true, 0, 0, 2248, NULL],
    ]
);

fixed!(
    /// `pg_collation`
    collations,
    vec![
        collation(100, "default", 'd', None),
        collation(950, "C", 'c', Some("C")),
        collation(951, "POSIX", 'c', Some("POSIX")),
    ]
);

fn collation(oid: u32, name: &str, provider: char, locale: Option<&str>) -> Row {
    let namespace = fixed_schema("pg_catalog");
    row![
        oid,
        name,
        namespace,
        BOOTSTRAP_ROLE,
        provider,
        true,
        -1,
        locale,
        locale,
        NULL,
        NULL,
    ]
}

fixed!(
    /// `pg_description`: what our views and their columns are.
    descriptions,
    described()
);

fn described() -> Vec<Row> {
    /// OIDs of pg_class and pg_namespace.
    const CLASS: u32 = 1259;
    const NAMESPACE: u32 = 2615;
    let schema = "what pgspool shows beyond PostgreSQL";
    let mut rows = vec![row![fixed_schema("pgspool"), NAMESPACE, 0, schema]];
    for view in all() {
        if let Some(description) = view.description {
            rows.push(row![view.oid, CLASS, 0, description]);
        }
        for (attnum, attribute) in (1..).zip(&view.attributes) {
            let attnum: i32 = attnum;
            if let Some(description) = attribute.description {
                rows.push(row![view.oid, CLASS, attnum, description]);
            }
        }
    }
    rows
}

/// `pg_timezone_names`, as the clock stands now.
pub(super) fn time_zones(context: &Arc<Context>) -> Rows {
    let now = jiff::Timestamp::from_microsecond(context.transaction_unix_us).unwrap_or_default();
    let database = jiff::tz::db();
    let names: Vec<String> = database.available().map(|name| name.to_string()).collect();
    let rows = names.into_iter().filter_map(|name| {
        let zone = database.get(&name).ok()?;
        let info = zone.to_offset_info(now);
        let offset = i64::from(info.offset().seconds()) * 1_000_000;
        Some(row![
            name,
            info.abbreviation(),
            interval(offset),
            info.dst() == jiff::tz::Dst::Yes,
        ])
    });
    rows.collect::<Vec<Row>>().into()
}
