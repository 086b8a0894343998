//! Roles: the one that runs the session, which owns everything, and PostgreSQL's predefined ones.
//!
//! There is no authentication yet: whoever is connected is the superuser. So the role with OID 10,
//! to which all belongs, has the name of the session's user, as on a PostgreSQL whose cluster that
//! user made.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;

use super::Rows;
use super::cell::{NULL, row};

/// The role that everything belongs to.
pub(super) const BOOTSTRAP_ROLE: u32 = 10;
/// `pg_database_owner`, to which `public` belongs.
pub(super) const DATABASE_OWNER: u32 = 6171;
const MONITOR: u32 = 3373;
const HIDDEN_PASSWORD: &str = "********";

/// Roles that every PostgreSQL 15 has.
const PREDEFINED: [(u32, &str); 12] = [
    (MONITOR, "pg_monitor"),
    (3374, "pg_read_all_settings"),
    (3375, "pg_read_all_stats"),
    (3377, "pg_stat_scan_tables"),
    (4200, "pg_signal_backend"),
    (4544, "pg_checkpoint"),
    (4569, "pg_read_server_files"),
    (4570, "pg_write_server_files"),
    (4571, "pg_execute_server_program"),
    (DATABASE_OWNER, "pg_database_owner"),
    (6181, "pg_read_all_data"),
    (6182, "pg_write_all_data"),
];

/// OIDs and names of the roles that are always there.
pub(in crate::catalog) fn predefined_roles() -> impl Iterator<Item = (u32, &'static str)> {
    PREDEFINED.into_iter()
}

/// OIDs and names of all roles.
pub(in crate::catalog) fn roles_by_oid(context: &Context) -> Vec<(u32, String)> {
    let mut roles = vec![(BOOTSTRAP_ROLE, context.host.session().user)];
    roles.extend(PREDEFINED.map(|(oid, name)| (oid, name.to_owned())));
    roles
}

fn each(context: &Context, make: impl Fn(u32, String, bool) -> Row) -> Rows {
    let roles = roles_by_oid(context).into_iter();
    let rows = roles.map(|(oid, name)| make(oid, name, oid == BOOTSTRAP_ROLE));
    rows.collect::<Vec<Row>>().into()
}

/// `pg_roles`
pub(super) fn roles(context: &Arc<Context>) -> Rows {
    each(context, |oid, name, is_user| {
        row![
            name,
            is_user,
            true,
            is_user,
            is_user,
            is_user,
            is_user,
            -1,
            HIDDEN_PASSWORD,
            NULL,
            is_user,
            NULL,
            oid,
        ]
    })
}

/// `pg_authid`
pub(super) fn authid(context: &Arc<Context>) -> Rows {
    each(context, |oid, name, is_user| {
        row![
            oid, name, is_user, true, is_user, is_user, is_user, is_user, is_user, -1, NULL, NULL,
        ]
    })
}

/// `pg_user`
pub(super) fn users(context: &Arc<Context>) -> Rows {
    let user = context.host.session().user;
    vec![row![
        user,
        BOOTSTRAP_ROLE,
        true,
        true,
        true,
        true,
        HIDDEN_PASSWORD,
        NULL,
        NULL,
    ]]
    .into()
}

/// `pg_shadow`
pub(super) fn shadow(context: &Arc<Context>) -> Rows {
    let user = context.host.session().user;
    vec![row![
        user,
        BOOTSTRAP_ROLE,
        true,
        true,
        true,
        true,
        NULL,
        NULL,
        NULL
    ]]
    .into()
}

/// `pg_group`
pub(super) fn groups(_context: &Arc<Context>) -> Rows {
    let rows = PREDEFINED.map(|(oid, name)| {
        let members = match oid {
            3374 | 3375 | 3377 => "{3373}",
            _other => "{}",
        };
        row![name, oid, members]
    });
    rows.to_vec().into()
}

/// `pg_auth_members`
pub(super) fn members(_context: &Arc<Context>) -> Rows {
    let granted = [3374, 3375, 3377];
    let rows = granted.map(|role| row![role, MONITOR, BOOTSTRAP_ROLE, false]);
    rows.to_vec().into()
}
