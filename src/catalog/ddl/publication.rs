//! CREATE PUBLICATION, ALTER PUBLICATION, DROP PUBLICATION.

use sqlparser::tokenizer::Token;

use crate::pgerror::PgError;
use crate::relations::{
    Command, NewPublishedTable, PublicationAction, PublicationObjects, PublicationOptions,
    PublicationTarget, PublishedActions, SchemaName,
};

use super::cursor::Cursor;
use super::{filter, table};

/// Behind CREATE PUBLICATION.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Command, PgError> {
    let name = cursor.name()?;
    let mut target = PublicationTarget::Objects(PublicationObjects::default());
    if cursor.take("for") {
        target = if cursor.take_all(&["all", "tables"]) {
            PublicationTarget::AllTables
        } else {
            PublicationTarget::Objects(objects(cursor)?)
        };
    }
    let options = if cursor.take("with") {
        options(cursor)?
    } else {
        PublicationOptions::default()
    };
    Ok(Command::CreatePublication {
        name,
        target,
        options,
    })
}

/// Behind ALTER PUBLICATION; `user` is the one owner.
pub(super) fn alter(cursor: &mut Cursor<'_>, user: &str) -> Result<Command, PgError> {
    let name = cursor.name()?;
    let action = if cursor.take("add") {
        PublicationAction::Add(objects(cursor)?)
    } else if cursor.take("drop") {
        PublicationAction::Drop(objects(cursor)?)
    } else if cursor.take("set") {
        if cursor.peek() == Some(&Token::LParen) {
            PublicationAction::SetOptions(options(cursor)?)
        } else {
            PublicationAction::Set(objects(cursor)?)
        }
    } else if cursor.take("rename") {
        cursor.expect("to")?;
        PublicationAction::RenameTo(cursor.name()?)
    } else if cursor.take("owner") {
        super::owner(cursor, user)?;
        PublicationAction::KeepOwner
    } else {
        return Err(cursor.error());
    };
    Ok(Command::AlterPublication { name, action })
}

/// Behind DROP PUBLICATION.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Command, PgError> {
    let if_exists = cursor.if_exists();
    let names = cursor.list(Cursor::name)?;
    cursor.drop_behavior();
    Ok(Command::DropPublication { names, if_exists })
}

/// What a name in the list is: what the last TABLE or TABLES IN SCHEMA said.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Table,
    Schema,
}

/// `TABLE a, b, TABLES IN SCHEMA s, t`
fn objects(cursor: &mut Cursor<'_>) -> Result<PublicationObjects, PgError> {
    let mut found = PublicationObjects::default();
    let mut kind = None;
    cursor.list(|cursor| {
        let announced = cursor.place();
        if cursor.take("table") {
            kind = Some(Kind::Table);
        } else if cursor.take_all(&["tables", "in", "schema"]) {
            kind = Some(Kind::Schema);
        }
        let bare =
            cursor.is_at(announced) && cursor.peek_word().as_deref() == Some("current_schema");
        match kind {
            Some(Kind::Table) if bare => {
                let error = PgError::error("42601", "invalid table name");
                return Err(error.at(cursor.position()));
            }
            Some(Kind::Table) => found.tables.push(published_table(cursor)?),
            Some(Kind::Schema) => found.schemas.push(schema(cursor)?),
            None => return Err(no_kind(cursor)),
        }
        Ok(())
    })?;
    Ok(found)
}

/// A list that begins with a bare name.
fn no_kind(cursor: &mut Cursor<'_>) -> PgError {
    let position = cursor.position();
    if !cursor.take("current_schema")
        && let Err(error) = cursor.name()
    {
        return error;
    }
    PgError::error("42601", "invalid publication object list")
        .with_detail(
            "One of TABLE or TABLES IN SCHEMA must be specified before a standalone table or \
             schema name.",
        )
        .at(position)
}

fn published_table(cursor: &mut Cursor<'_>) -> Result<NewPublishedTable, PgError> {
    let table = table::relation(cursor)?;
    let columns = match cursor.peek() {
        Some(Token::LParen) => Some(cursor.in_parentheses(Cursor::name)?),
        Some(_) | None => None,
    };
    let filter = if cursor.take("where") {
        cursor.expect_token(&Token::LParen)?;
        let filter = filter::parse(cursor)?;
        cursor.expect_token(&Token::RParen)?;
        Some(filter)
    } else {
        None
    };
    Ok(NewPublishedTable {
        table,
        columns,
        filter,
    })
}

fn schema(cursor: &mut Cursor<'_>) -> Result<SchemaName, PgError> {
    if cursor.take("current_schema") {
        return Ok(SchemaName::Current);
    }
    let position = cursor.position();
    let name = cursor.name()?;
    match cursor.peek() {
        Some(Token::Period) => Err(PgError::error("42601", "invalid schema name").at(position)),
        Some(_) | None => Ok(SchemaName::Named(name)),
    }
}

/// `(publish = 'insert', publish_via_partition_root)`
fn options(cursor: &mut Cursor<'_>) -> Result<PublicationOptions, PgError> {
    let mut found = PublicationOptions::default();
    cursor.in_parentheses(|cursor| option(cursor, &mut found))?;
    Ok(found)
}

fn option(cursor: &mut Cursor<'_>, found: &mut PublicationOptions) -> Result<(), PgError> {
    let position = cursor.position();
    let name = cursor.label()?;
    let value = if cursor.take_token(&Token::Eq) {
        Some(value(cursor)?)
    } else {
        None
    };
    let twice = || PgError::error("42601", "conflicting or redundant options").at(position);
    match name.as_str() {
        "publish" => {
            if found.actions.is_some() {
                return Err(twice());
            }
            let Some(value) = value else {
                return Err(PgError::error("42601", "publish requires a parameter"));
            };
            found.actions = Some(actions(&value)?);
        }
        "publish_via_partition_root" => {
            if found.via_root.is_some() {
                return Err(twice());
            }
            found.via_root = Some(boolean(&name, value.as_deref())?);
        }
        _ => {
            let message = format!("unrecognized publication parameter: \"{name}\"");
            return Err(PgError::error("42601", message));
        }
    }
    Ok(())
}

/// A value: a string, a number or a word.
fn value(cursor: &mut Cursor<'_>) -> Result<String, PgError> {
    let minus = cursor.take_token(&Token::Minus);
    let value = match cursor.peek() {
        Some(Token::Number(digits, _)) if minus => format!("-{digits}"),
        Some(Token::Number(digits, _)) => digits.clone(),
        Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) if !minus => {
            text.clone()
        }
        Some(Token::Word(_)) if !minus => return cursor.label(),
        Some(_) | None => return Err(cursor.error()),
    };
    cursor.advance();
    Ok(value)
}

fn boolean(name: &str, value: Option<&str>) -> Result<bool, PgError> {
    let lower = value.map(str::to_ascii_lowercase);
    match lower.as_deref() {
        None | Some("1" | "true" | "on") => Ok(true),
        Some("0" | "false" | "off") => Ok(false),
        Some(_) => {
            let message = format!("{name} requires a Boolean value");
            Err(PgError::error("42601", message))
        }
    }
}

/// The value of `publish`: names by commas.
fn actions(value: &str) -> Result<PublishedActions, PgError> {
    let mut actions = PublishedActions {
        insert: false,
        update: false,
        delete: false,
        truncate: false,
    };
    if value.trim().is_empty() {
        return Ok(actions);
    }
    for part in value.split(',') {
        let part = part.trim();
        let plain = match part
            .strip_prefix('"')
            .and_then(|part| part.strip_suffix('"'))
        {
            Some(quoted) => quoted.to_owned(),
            None => part.to_lowercase(),
        };
        if plain.is_empty() || (plain == part.to_lowercase() && part.contains([' ', '\t'])) {
            let message = "invalid list syntax in parameter \"publish\"";
            return Err(PgError::error("42601", message));
        }
        match plain.as_str() {
            "insert" => actions.insert = true,
            "update" => actions.update = true,
            "delete" => actions.delete = true,
            "truncate" => actions.truncate = true,
            _ => {
                let message =
                    format!("unrecognized value for publication option \"publish\": \"{plain}\"");
                return Err(PgError::error("42601", message));
            }
        }
    }
    Ok(actions)
}
