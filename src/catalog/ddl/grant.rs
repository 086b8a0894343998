//! GRANT and REVOKE: the right to use a database, and `pg_monitor`. Nothing else is granted here:
//! what a role may do otherwise are options of the role.

use sqlparser::tokenizer::Token;

use crate::pgerror::PgError;

use super::cursor::Cursor;
use super::role::{self, RoleStatement};

/// How to give rights, for those who tried otherwise.
pub(crate) const HINT: &str = "Rights are options of a role (REPLICATION, PUBLISH, MONITOR, \
     SUPERUSER); what is granted is CONNECT ON DATABASE, and pg_monitor.";

/// Privileges that PostgreSQL knows, and whether databases have them.
const PRIVILEGES: [(&str, bool); 16] = [
    ("all", true),
    ("connect", true),
    ("create", true),
    ("temp", true),
    ("temporary", true),
    ("select", false),
    ("insert", false),
    ("update", false),
    ("delete", false),
    ("truncate", false),
    ("references", false),
    ("trigger", false),
    ("usage", false),
    ("execute", false),
    ("set", false),
    ("alter", false),
];

/// One word of the list behind GRANT, with where it stands: a privilege or a role.
struct Given {
    name: String,
    /// Behind it stood more: a list of columns, SYSTEM.
    position: u32,
}

/// Behind GRANT.
pub(super) fn grant(cursor: &mut Cursor<'_>) -> Result<RoleStatement, PgError> {
    statement(cursor, true)
}

/// Behind REVOKE.
pub(super) fn revoke(cursor: &mut Cursor<'_>) -> Result<RoleStatement, PgError> {
    for option in ["grant", "admin"] {
        if cursor.take_all(&[option, "option", "for"]) {
            return Err(PgError::unsupported("passing rights on is not supported"));
        }
    }
    statement(cursor, false)
}

fn statement(cursor: &mut Cursor<'_>, grant: bool) -> Result<RoleStatement, PgError> {
    let given = cursor.list(given)?;
    let direction = if grant { "to" } else { "from" };
    if !cursor.take("on") {
        cursor.expect(direction)?;
        let roles = cursor.list(grantee)?;
        options(cursor, grant)?;
        return Ok(RoleStatement::Members {
            granted: given.into_iter().map(|given| given.name).collect(),
            roles,
            grant,
        });
    }
    if !cursor.take("database") {
        let error = PgError::unsupported("rights on anything but databases are not supported");
        return Err(error.with_hint(HINT).at(cursor.position()));
    }
    check_privileges(&given, grant)?;
    let databases = cursor.list(Cursor::name)?;
    cursor.expect(direction)?;
    let roles = cursor.list(grantee)?;
    options(cursor, grant)?;
    Ok(RoleStatement::Databases {
        databases,
        roles,
        grant,
    })
}

fn given(cursor: &mut Cursor<'_>) -> Result<Given, PgError> {
    let position = cursor.position();
    // Keywords such as SELECT, ALL and CREATE are privileges.
    let name = cursor.label()?;
    if name == "all" {
        cursor.take("privileges");
    }
    if cursor.peek() == Some(&Token::LParen) {
        return Err(cursor.unsupported("a right on columns"));
    }
    Ok(Given { name, position })
}

/// Of a database, CONNECT is given; with it goes all that there is.
fn check_privileges(given: &[Given], grant: bool) -> Result<(), PgError> {
    for Given { name, position } in given {
        let known = PRIVILEGES.iter().find(|(known, _)| known == name);
        match known {
            None => {
                let message = format!("unrecognized privilege type \"{name}\"");
                return Err(PgError::error("42601", message));
            }
            Some((_, false)) => {
                let name = name.to_uppercase();
                let message = format!("invalid privilege type {name} for database");
                return Err(PgError::error("0LP01", message));
            }
            Some(_) if name == "connect" || (name == "all" && !grant) => {}
            // What nobody has can be taken.
            Some(_) if !grant => {}
            Some(_) => {
                let name = name.to_uppercase();
                let message = format!("GRANT {name} ON DATABASE is not supported");
                let error = PgError::unsupported(message).with_hint(HINT);
                return Err(error.at(*position));
            }
        }
    }
    Ok(())
}

fn grantee(cursor: &mut Cursor<'_>) -> Result<role::RoleSpec, PgError> {
    cursor.take("group");
    role::spec(cursor)
}

/// What may stand behind the roles.
fn options(cursor: &mut Cursor<'_>, grant: bool) -> Result<(), PgError> {
    if grant && cursor.peek_word().as_deref() == Some("with") {
        return Err(cursor.unsupported("passing rights on"));
    }
    if cursor.peek_word().as_deref() == Some("granted") {
        return Err(cursor.unsupported("GRANTED BY"));
    }
    if !grant {
        cursor.drop_behavior();
    }
    Ok(())
}
