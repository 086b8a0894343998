//! Statements that define tables, publications, roles and databases: from text to what they ask for.
//!
//! PostgreSQL's grammar, in our own hand: sqlparser knows no publications, and reads the rest
//! otherwise than PostgreSQL does where it goes wrong. Nothing is looked up here; `relations` does
//! what a [`Command`] asks.

mod cursor;
mod database;
mod filter;
mod grant;
mod publication;
mod role;
mod table;
#[cfg(test)]
mod tests;
mod types;

use crate::pgerror::PgError;
use crate::relations::Command;

use cursor::Cursor;

pub(crate) use database::{CreateDatabase, DatabaseStatement, parse_databases};
pub(crate) use grant::HINT as GRANT_HINT;
pub(crate) use role::{RoleOptions, RoleSpec, RoleStatement, Secret, parse_roles};

/// Reads the one statement of `text`; `None` when it defines neither a table nor a publication nor a
/// schema. `user` owns everything there is.
pub(crate) fn parse(text: &str, user: &str) -> Result<Option<Command>, PgError> {
    if !may_define(text) {
        return Ok(None);
    }
    let mut cursor = Cursor::new(text)?;
    let Some(command) = command(&mut cursor, user)? else {
        return Ok(None);
    };
    cursor.end()?;
    Ok(Some(command))
}

/// Whether it can be one of ours by its first word: most statements are not, and are read
/// elsewhere. A comment in front may hide anything.
fn may_define(text: &str) -> bool {
    let text = text.trim_start();
    let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    word.is_empty()
        || ["create", "alter", "drop"]
            .iter()
            .any(|first| word.eq_ignore_ascii_case(first))
}

fn command(cursor: &mut Cursor<'_>, user: &str) -> Result<Option<Command>, PgError> {
    let command = if cursor.take("create") {
        if cursor.take("table") {
            table::create(cursor)?
        } else if cursor.take("publication") {
            publication::create(cursor)?
        } else if cursor.take("schema") {
            create_schema(cursor, user)?
        } else {
            refuse_kinds_of_table(cursor)?;
            return Ok(None);
        }
    } else if cursor.take("alter") {
        if cursor.take("table") {
            table::alter(cursor, user)?
        } else if cursor.take("publication") {
            publication::alter(cursor, user)?
        } else if cursor.peek_word().as_deref() == Some("schema") {
            return Err(cursor.unsupported("ALTER SCHEMA"));
        } else {
            return Ok(None);
        }
    } else if cursor.take("drop") {
        if cursor.take("table") {
            table::drop(cursor)?
        } else if cursor.take("publication") {
            publication::drop(cursor)?
        } else if cursor.take("schema") {
            drop_schema(cursor)?
        } else {
            return Ok(None);
        }
    } else {
        return Ok(None);
    };
    Ok(Some(command))
}

/// CREATE TEMP TABLE and its like.
fn refuse_kinds_of_table(cursor: &Cursor<'_>) -> Result<(), PgError> {
    match cursor.peek_word().as_deref() {
        Some("temp" | "temporary" | "local" | "global") => {
            Err(cursor.unsupported("a temporary table"))
        }
        Some("unlogged") => Err(cursor.unsupported("an unlogged table")),
        Some(_) | None => Ok(()),
    }
}

fn create_schema(cursor: &mut Cursor<'_>, user: &str) -> Result<Command, PgError> {
    let if_not_exists = cursor.if_not_exists();
    let mut name = None;
    if cursor.peek_word().as_deref() != Some("authorization") {
        name = Some(cursor.name()?);
    }
    if cursor.take("authorization") {
        let owner = role(cursor, user)?;
        name.get_or_insert(owner);
    }
    if cursor.peek().is_some() && cursor.end().is_err() {
        return Err(match cursor.peek_word().as_deref() {
            Some("create" | "grant") => cursor.unsupported("CREATE SCHEMA with objects"),
            Some(_) | None => cursor.error(),
        });
    }
    let name = name.unwrap_or_default();
    Ok(Command::CreateSchema {
        name,
        if_not_exists,
    })
}

fn drop_schema(cursor: &mut Cursor<'_>) -> Result<Command, PgError> {
    let if_exists = cursor.if_exists();
    let names = cursor.list(Cursor::name)?;
    let cascade = cursor.drop_behavior();
    Ok(Command::DropSchema {
        names,
        if_exists,
        cascade,
    })
}

/// TO role, which must be the one owner.
fn owner(cursor: &mut Cursor<'_>, user: &str) -> Result<(), PgError> {
    cursor.expect("to")?;
    role(cursor, user)?;
    Ok(())
}

/// The name of a role that there is.
fn role(cursor: &mut Cursor<'_>, user: &str) -> Result<String, PgError> {
    for word in ["current_user", "current_role", "session_user"] {
        if cursor.take(word) {
            return Ok(user.to_owned());
        }
    }
    let name = cursor.name()?;
    if name == user {
        return Ok(name);
    }
    let message = format!("role \"{name}\" does not exist");
    Err(PgError::error("42704", message))
}
