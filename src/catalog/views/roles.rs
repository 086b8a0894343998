//! Roles: those that were created, and PostgreSQL's predefined ones, of which `pg_monitor` is what
//! the right MONITOR is shown as.
//!
//! What has no owner of its own belongs to the first superuser, whose OID is PostgreSQL's own for
//! it.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::functions::Row;
use crate::datum::Datum;
use crate::pgerror::PgError;
use crate::roles::{OWNER_OID, Role, RoleSet};

use super::cell::{Cell, NULL, row, time_ms};
use super::{Rows, View};

/// The role that everything belongs to.
pub(super) const BOOTSTRAP_ROLE: u32 = OWNER_OID;
/// `pg_database_owner`, to which `public` belongs.
pub(super) const DATABASE_OWNER: u32 = 6171;
const MONITOR: u32 = 3373;
/// What members of `pg_monitor` are members of by that.
const OF_MONITOR: [u32; 3] = [3374, 3375, 3377];
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

/// Relations that only a superuser may read, as in PostgreSQL.
const SECRET: [&str; 10] = [
    "pg_authid",
    "pg_config",
    "pg_file_settings",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_largeobject",
    "pg_replication_origin_status",
    "pg_shadow",
    "pg_statistic",
    "pg_statistic_ext_data",
];

/// Whether a role may read the view: all but a few may be read by everybody.
pub(in crate::catalog) fn may_read(view: &View, is_superuser: bool) -> bool {
    is_superuser || view.schema != "pg_catalog" || !SECRET.contains(&view.name)
}

/// The error for a view that the session's role may not read.
pub(in crate::catalog) fn check_readable(context: &Context, view: &View) -> Result<(), PgError> {
    if may_read(view, context.rights().superuser) {
        return Ok(());
    }
    let kind = if view.kind == 'r' { "table" } else { "view" };
    let message = format!("permission denied for {kind} {}", view.name);
    Err(PgError::error("42501", message))
}

/// OIDs and names of the roles that are always there.
pub(in crate::catalog) fn predefined_roles() -> impl Iterator<Item = (u32, &'static str)> {
    PREDEFINED.into_iter()
}

/// OIDs and names of all roles.
pub(in crate::catalog) fn roles_by_oid(context: &Context) -> Vec<(u32, String)> {
    let created = created(context.roles()).into_iter();
    let mut roles: Vec<_> = created.map(|role| (role.oid, role.name.clone())).collect();
    roles.extend(PREDEFINED.map(|(oid, name)| (oid, name.to_owned())));
    roles
}

/// The name of the role that everything belongs to.
pub(in crate::catalog) fn owner_name(context: &Context) -> String {
    let owner = context.roles().find_oid(BOOTSTRAP_ROLE);
    owner.map_or_else(|| BOOTSTRAP_ROLE.to_string(), |role| role.name.clone())
}

/// Whether a role may do what members of another may.
pub(in crate::catalog) fn is_member(roles: &RoleSet, member: u32, of: u32) -> bool {
    let Some(role) = roles.find_oid(member) else {
        return member == of || (member == MONITOR && OF_MONITOR.contains(&of));
    };
    let through_monitor = of == MONITOR || OF_MONITOR.contains(&of);
    // Of `pg_database_owner` nobody is a member but the owner of the database.
    let as_superuser = role.rights.superuser && (of != DATABASE_OWNER || member == BOOTSTRAP_ROLE);
    member == of || as_superuser || (role.rights.monitor && through_monitor)
}

/// Roles that were created, oldest first.
fn created(roles: &RoleSet) -> Vec<&Role> {
    let mut created: Vec<&Role> = roles.iter().collect();
    created.sort_by_key(|role| role.oid);
    created
}

/// What the catalog says of a role.
struct Shown<'a> {
    oid: u32,
    name: &'a str,
    /// `None` for a predefined one, which is nothing but a name.
    role: Option<&'a Role>,
}

impl Shown<'_> {
    fn is(&self, right: impl Fn(&Role) -> bool) -> bool {
        self.role.is_some_and(right)
    }

    fn is_superuser(&self) -> bool {
        self.is(|role| role.rights.superuser)
    }

    fn limit(&self) -> i64 {
        let limit = self.role.and_then(|role| role.connection_limit);
        limit.map_or(-1, i64::from)
    }

    fn verifier(&self) -> Datum {
        let verifier = self.role.and_then(|role| role.verifier.as_ref());
        verifier.map_or(NULL, |verifier| Datum::Text(verifier.to_string()))
    }

    fn valid_until(&self) -> Datum {
        let until = self.role.and_then(|role| role.valid_until_unix_ms);
        until.map_or(NULL, time_ms)
    }
}

fn each(context: &Context, make: impl Fn(&Shown<'_>) -> Row) -> Rows {
    let created = created(context.roles()).into_iter().map(|role| Shown {
        oid: role.oid,
        name: &role.name,
        role: Some(role),
    });
    let predefined = PREDEFINED.into_iter().map(|(oid, name)| Shown {
        oid,
        name,
        role: None,
    });
    let rows = created.chain(predefined).map(|shown| make(&shown));
    rows.collect::<Vec<Row>>().into()
}

/// `pg_roles`
pub(super) fn roles(context: &Arc<Context>) -> Rows {
    each(context, |role| {
        let is_superuser = role.is_superuser();
        row![
            role.name,
            is_superuser,
            // rolinherit
            true,
            // rolcreaterole, rolcreatedb
            is_superuser,
            is_superuser,
            role.is(|role| role.rights.login),
            role.is(|role| role.rights.replication),
            role.limit(),
            HIDDEN_PASSWORD,
            role.valid_until(),
            // rolbypassrls, rolconfig
            is_superuser,
            NULL,
            role.oid,
        ]
    })
}

/// `pg_authid`
pub(super) fn authid(context: &Arc<Context>) -> Rows {
    each(context, |role| {
        let is_superuser = role.is_superuser();
        row![
            role.oid,
            role.name,
            is_superuser,
            true,
            is_superuser,
            is_superuser,
            role.is(|role| role.rights.login),
            role.is(|role| role.rights.replication),
            is_superuser,
            role.limit(),
            role.verifier(),
            role.valid_until(),
        ]
    })
}

/// `pg_user`
pub(super) fn users(context: &Arc<Context>) -> Rows {
    who_log_in(context, |_| HIDDEN_PASSWORD.cell())
}

/// `pg_shadow`
pub(super) fn shadow(context: &Arc<Context>) -> Rows {
    who_log_in(context, |role| role.verifier())
}

fn who_log_in(context: &Context, password: impl Fn(&Shown<'_>) -> Datum) -> Rows {
    let users = created(context.roles()).into_iter();
    let rows = users.filter(|role| role.rights.login).map(|role| {
        let shown = Shown {
            oid: role.oid,
            name: &role.name,
            role: Some(role),
        };
        row![
            role.name.as_str(),
            role.oid,
            // usecreatedb
            shown.is_superuser(),
            shown.is_superuser(),
            role.rights.replication,
            // usebypassrls
            shown.is_superuser(),
            password(&shown),
            shown.valid_until(),
            // useconfig
            NULL,
        ]
    });
    rows.collect::<Vec<Row>>().into()
}

/// `pg_group`: roles that cannot log in.
pub(super) fn groups(context: &Arc<Context>) -> Rows {
    let created = created(context.roles()).into_iter();
    let rows = created.filter(|role| !role.rights.login);
    let mut rows: Vec<Row> = rows
        .map(|role| row![role.name.as_str(), role.oid, "{}"])
        .collect();
    rows.extend(PREDEFINED.map(|(oid, name)| {
        let members = match oid {
            MONITOR => monitors(context.roles()),
            _other if OF_MONITOR.contains(&oid) => vec![MONITOR.to_string()],
            _other => Vec::new(),
        };
        row![name, oid, format!("{{{}}}", members.join(","))]
    }));
    rows.into()
}

/// OIDs of the members of `pg_monitor`.
fn monitors(roles: &RoleSet) -> Vec<String> {
    let created = created(roles).into_iter();
    let members = created.filter(|role| role.rights.monitor);
    members.map(|role| role.oid.to_string()).collect()
}

/// `pg_auth_members`
pub(super) fn members(context: &Arc<Context>) -> Rows {
    let granted = OF_MONITOR.map(|role| row![role, MONITOR, BOOTSTRAP_ROLE, false]);
    let mut rows = granted.to_vec();
    let created = created(context.roles()).into_iter();
    // A superuser may see all anyway; the row would only be noise in \\du.
    let members = created.filter(|role| role.rights.monitor && !role.rights.superuser);
    rows.extend(members.map(|role| row![MONITOR, role.oid, BOOTSTRAP_ROLE, false]));
    rows.into()
}

/// `datacl`: who may use a database, in PostgreSQL's letters. CREATE stands for PUBLISH. NULL where
/// nobody but the owner was given anything and the owner has no name.
pub(super) fn database_acl(context: &Context, database: &str) -> Datum {
    let owner = acl_name(&owner_name(context));
    let mut items = vec![format!("{owner}=CTc/{owner}")];
    for role in created(context.roles()) {
        if role.oid != BOOTSTRAP_ROLE && role.databases.contains(database) {
            let letters = if role.rights.publish { "Cc" } else { "c" };
            items.push(format!("{}={letters}/{owner}", acl_name(&role.name)));
        }
    }
    super::cell::array(items)
}

/// A name in an ACL: quoted where it is more than a word.
fn acl_name(name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
    if name.chars().all(is_word) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}
