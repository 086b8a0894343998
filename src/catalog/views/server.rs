//! What the server has beside data: schemas, roles, databases, sessions, settings.

use std::sync::Arc;

use crate::catalog::Context;

use super::Rows;
use super::cell::{NULL, row};

/// The role that everything belongs to.
pub(super) const BOOTSTRAP_ROLE: u32 = 10;

/// `pg_database_owner`, to which `public` belongs.
const DATABASE_OWNER: u32 = 6171;

/// OIDs of the schemas that are always there.
pub(super) const PG_CATALOG: u32 = 11;
pub(super) const INFORMATION_SCHEMA: u32 = 13207;
pub(super) const PGSPOOL: u32 = 9000;
pub(super) const PUBLIC: u32 = 2200;

/// `pg_namespace`.
pub(super) fn namespaces(context: &Arc<Context>) -> Rows {
    let owner = context.host.session().user;
    let acl = format!("{{{owner}=UC/{owner},=U/{owner}}}");
    let public = "{pg_database_owner=UC/pg_database_owner,=U/pg_database_owner}";
    vec![
        row![PG_CATALOG, "pg_catalog", BOOTSTRAP_ROLE, acl.as_str()],
        row![99, "pg_toast", BOOTSTRAP_ROLE, NULL],
        row![PUBLIC, "public", DATABASE_OWNER, public],
        row![PGSPOOL, "pgspool", BOOTSTRAP_ROLE, acl.as_str()],
        row![
            INFORMATION_SCHEMA,
            "information_schema",
            BOOTSTRAP_ROLE,
            acl.as_str()
        ],
    ]
    .into()
}
