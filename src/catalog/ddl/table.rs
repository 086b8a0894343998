//! CREATE TABLE, ALTER TABLE, DROP TABLE.

use sqlparser::tokenizer::Token;

use crate::pgerror::PgError;
use crate::relations::{
    Command, CreateTable, NewColumn, NewKey, NewReplicaIdentity, TableAction, TableName,
};

use super::cursor::Cursor;
use super::types;

/// A column with the keys that its constraints ask for.
struct Column {
    column: NewColumn,
    keys: Vec<NewKey>,
}

/// Behind CREATE TABLE.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Command, PgError> {
    let if_not_exists = cursor.if_not_exists();
    let table = cursor.table_name()?;
    for (word, what) in [
        ("as", "CREATE TABLE AS"),
        ("of", "CREATE TABLE OF"),
        ("partition", "CREATE TABLE PARTITION OF"),
    ] {
        if cursor.peek_word().as_deref() == Some(word) {
            return Err(cursor.unsupported(what));
        }
    }
    let mut new = CreateTable {
        table,
        if_not_exists,
        columns: Vec::new(),
        keys: Vec::new(),
    };
    cursor.expect_token(&Token::LParen)?;
    if !cursor.take_token(&Token::RParen) {
        cursor.list(|cursor| element(cursor, &mut new))?;
        cursor.expect_token(&Token::RParen)?;
    }
    for (word, what) in [
        ("as", "CREATE TABLE AS"),
        ("inherits", "INHERITS"),
        ("partition", "PARTITION BY"),
        ("using", "a table access method"),
        ("with", "a storage parameter"),
        ("without", "WITHOUT OIDS"),
        ("on", "ON COMMIT"),
        ("tablespace", "TABLESPACE"),
    ] {
        if cursor.peek_word().as_deref() == Some(word) {
            return Err(cursor.unsupported(what));
        }
    }
    Ok(Command::CreateTable(new))
}

/// A column or constraint between the parentheses.
fn element(cursor: &mut Cursor<'_>, new: &mut CreateTable) -> Result<(), PgError> {
    if let Some(key) = table_constraint(cursor)? {
        new.keys.push(key);
        return Ok(());
    }
    if cursor.peek_word().as_deref() == Some("like") {
        return Err(cursor.unsupported("LIKE"));
    }
    let table = new.table.name.clone();
    let Column { column, keys } = column(cursor, &table)?;
    new.columns.push(column);
    new.keys.extend(keys);
    Ok(())
}

/// `[CONSTRAINT name] PRIMARY KEY (...)` and its like; `None` when a column begins here.
fn table_constraint(cursor: &mut Cursor<'_>) -> Result<Option<NewKey>, PgError> {
    let position = cursor.position();
    let name = if cursor.take("constraint") {
        Some(cursor.name()?)
    } else {
        None
    };
    let primary = match cursor.peek_word().as_deref() {
        Some("primary") => true,
        Some("unique") => false,
        Some("check") => return Err(cursor.unsupported("CHECK")),
        Some("foreign") => return Err(cursor.unsupported("FOREIGN KEY")),
        Some("exclude") if name.is_some() || cursor.peek_second() == Some(&Token::LParen) => {
            return Err(cursor.unsupported("EXCLUDE"));
        }
        _ if name.is_some() => return Err(cursor.error()),
        _ => return Ok(None),
    };
    cursor.advance();
    if primary {
        cursor.expect("key")?;
    } else {
        nulls_distinct(cursor)?;
    }
    if cursor.peek_word().as_deref() == Some("using") {
        return Err(cursor.unsupported("USING INDEX"));
    }
    let columns = cursor.in_parentheses(Cursor::name)?;
    key_options(cursor)?;
    Ok(Some(NewKey {
        name,
        columns,
        primary,
        position,
    }))
}

fn nulls_distinct(cursor: &mut Cursor<'_>) -> Result<(), PgError> {
    if cursor.peek_word().as_deref() == Some("nulls")
        && cursor.peek_second_word().as_deref() == Some("not")
    {
        return Err(cursor.unsupported("NULLS NOT DISTINCT"));
    }
    cursor.take_all(&["nulls", "distinct"]);
    Ok(())
}

/// What may stand behind a key: what is the rule is taken, all else refused.
fn key_options(cursor: &mut Cursor<'_>) -> Result<(), PgError> {
    for (word, what) in [
        ("include", "INCLUDE"),
        ("with", "a storage parameter"),
        ("using", "USING INDEX TABLESPACE"),
    ] {
        if cursor.peek_word().as_deref() == Some(word) {
            return Err(cursor.unsupported(what));
        }
    }
    loop {
        if cursor.peek_word().as_deref() == Some("deferrable") {
            return Err(cursor.unsupported("DEFERRABLE"));
        }
        if cursor.take_all(&["initially", "deferred"]) {
            return Err(cursor.unsupported("INITIALLY DEFERRED"));
        }
        let taken =
            cursor.take_all(&["not", "deferrable"]) || cursor.take_all(&["initially", "immediate"]);
        if !taken {
            return Ok(());
        }
    }
}

fn column(cursor: &mut Cursor<'_>, table: &str) -> Result<Column, PgError> {
    let name = cursor.name()?;
    let typed = types::parse(cursor)?;
    types::check_column(&name, typed)?;
    let (column_type, typmod) = typed;
    let mut keys = Vec::new();
    let mut nullable: Option<bool> = None;
    loop {
        let start = cursor.position();
        let constraint = if cursor.take("constraint") {
            Some(cursor.name()?)
        } else {
            None
        };
        let position = cursor.position();
        let says = match cursor.peek_word().as_deref() {
            Some("not") if cursor.peek_second_word().as_deref() == Some("null") => {
                cursor.advance();
                Some(false)
            }
            Some("null") => Some(true),
            Some(word @ ("primary" | "unique")) => {
                let key = column_key(cursor, word == "primary", &name, constraint, start)?;
                keys.push(key);
                continue;
            }
            Some(word) => {
                refuse_constraint(cursor, word)?;
                if constraint.is_some() {
                    return Err(cursor.error());
                }
                break;
            }
            None => break,
        };
        if let Some(says) = says {
            cursor.advance();
            if nullable.is_some_and(|before| before != says) {
                let message = format!(
                    "conflicting NULL/NOT NULL declarations for column \"{name}\" of table \
                     \"{table}\""
                );
                return Err(PgError::error("42601", message).at(position));
            }
            nullable = Some(says);
        }
    }
    let column = NewColumn {
        name,
        column_type,
        typmod,
        not_null: nullable == Some(false),
    };
    Ok(Column { column, keys })
}

fn column_key(
    cursor: &mut Cursor<'_>,
    primary: bool,
    column: &str,
    name: Option<String>,
    position: u32,
) -> Result<NewKey, PgError> {
    cursor.advance();
    if primary {
        cursor.expect("key")?;
    } else {
        nulls_distinct(cursor)?;
    }
    key_options(cursor)?;
    Ok(NewKey {
        name,
        columns: vec![column.to_owned()],
        primary,
        position,
    })
}

/// What PostgreSQL has for a column and this has not.
fn refuse_constraint(cursor: &Cursor<'_>, word: &str) -> Result<(), PgError> {
    let what = match word {
        "default" => "DEFAULT",
        "check" => "CHECK",
        "references" => "REFERENCES",
        "generated" => "GENERATED",
        "collate" => "COLLATE",
        "compression" => "COMPRESSION",
        "storage" => "STORAGE",
        _ => return Ok(()),
    };
    Err(cursor.unsupported(what))
}

/// Behind DROP TABLE.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Command, PgError> {
    let if_exists = cursor.if_exists();
    let tables = cursor.list(dropped_table)?;
    cursor.drop_behavior();
    Ok(Command::DropTable { tables, if_exists })
}

fn dropped_table(cursor: &mut Cursor<'_>) -> Result<TableName, PgError> {
    cursor.table_name()
}

/// Behind ALTER TABLE; `user` is the one owner.
pub(super) fn alter(cursor: &mut Cursor<'_>, user: &str) -> Result<Command, PgError> {
    let if_exists = cursor.if_exists();
    let table = relation(cursor)?;
    for (words, what) in [
        (&["rename"][..], "ALTER TABLE ... RENAME"),
        (&["set", "schema"], "ALTER TABLE ... SET SCHEMA"),
        (&["attach"], "ATTACH PARTITION"),
        (&["detach"], "DETACH PARTITION"),
    ] {
        let place = cursor.place();
        let found = cursor.take_all(words);
        cursor.go_back(place);
        if found {
            return Err(cursor.unsupported(what));
        }
    }
    let actions = cursor.list(|cursor| action(cursor, &table, user))?;
    Ok(Command::AlterTable {
        table,
        if_exists,
        actions,
    })
}

/// `[ONLY] name [*]`, `ONLY (name)`
pub(super) fn relation(cursor: &mut Cursor<'_>) -> Result<TableName, PgError> {
    if cursor.take("only") {
        if cursor.take_token(&Token::LParen) {
            let table = cursor.table_name()?;
            cursor.expect_token(&Token::RParen)?;
            return Ok(table);
        }
        return cursor.table_name();
    }
    let table = cursor.table_name()?;
    cursor.take_token(&Token::Mul);
    Ok(table)
}

fn action(cursor: &mut Cursor<'_>, table: &TableName, user: &str) -> Result<TableAction, PgError> {
    let what = match cursor.peek_word().as_deref() {
        Some("add") => {
            cursor.advance();
            return add(cursor, table);
        }
        Some("drop") => {
            cursor.advance();
            return drop_part(cursor);
        }
        Some("alter") => {
            cursor.advance();
            return alter_column(cursor);
        }
        Some("replica") => {
            cursor.advance();
            cursor.expect("identity")?;
            return replica_identity(cursor).map(TableAction::ReplicaIdentity);
        }
        Some("owner") => {
            cursor.advance();
            super::owner(cursor, user)?;
            return Ok(TableAction::KeepOwner);
        }
        Some("set") => "ALTER TABLE ... SET",
        Some("reset") => "ALTER TABLE ... RESET",
        Some("enable") => "ALTER TABLE ... ENABLE",
        Some("disable") => "ALTER TABLE ... DISABLE",
        Some("force") => "ALTER TABLE ... FORCE",
        Some("no") => "ALTER TABLE ... NO",
        Some("cluster") => "ALTER TABLE ... CLUSTER",
        Some("inherit") => "ALTER TABLE ... INHERIT",
        Some("validate") => "ALTER TABLE ... VALIDATE",
        Some("of") => "ALTER TABLE ... OF",
        Some(_) | None => return Err(cursor.error()),
    };
    Err(cursor.unsupported(what))
}

fn add(cursor: &mut Cursor<'_>, table: &TableName) -> Result<TableAction, PgError> {
    if let Some(key) = table_constraint(cursor)? {
        return Ok(TableAction::AddKey(key));
    }
    cursor.take("column");
    let if_not_exists = cursor.if_not_exists();
    let Column { column, keys } = column(cursor, &table.name)?;
    Ok(TableAction::AddColumn {
        column,
        keys,
        if_not_exists,
    })
}

fn drop_part(cursor: &mut Cursor<'_>) -> Result<TableAction, PgError> {
    if cursor.take("constraint") {
        let if_exists = cursor.if_exists();
        let name = cursor.name()?;
        cursor.drop_behavior();
        return Ok(TableAction::DropConstraint { name, if_exists });
    }
    cursor.take("column");
    let if_exists = cursor.if_exists();
    let name = cursor.name()?;
    let cascade = cursor.drop_behavior();
    Ok(TableAction::DropColumn {
        name,
        if_exists,
        cascade,
    })
}

fn alter_column(cursor: &mut Cursor<'_>) -> Result<TableAction, PgError> {
    if cursor.peek_word().as_deref() == Some("constraint") {
        return Err(cursor.unsupported("ALTER CONSTRAINT"));
    }
    cursor.take("column");
    let column = cursor.name()?;
    if cursor.take_all(&["set", "not", "null"]) {
        let not_null = true;
        return Ok(TableAction::SetNotNull { column, not_null });
    }
    if cursor.take_all(&["drop", "not", "null"]) {
        let not_null = false;
        return Ok(TableAction::SetNotNull { column, not_null });
    }
    match cursor.peek_word().as_deref() {
        Some("set" | "drop" | "type" | "add" | "restart" | "reset") => {
            Err(cursor.unsupported("this form of ALTER COLUMN"))
        }
        Some(_) | None => Err(cursor.error()),
    }
}

fn replica_identity(cursor: &mut Cursor<'_>) -> Result<NewReplicaIdentity, PgError> {
    if cursor.take("default") {
        Ok(NewReplicaIdentity::Default)
    } else if cursor.take("full") {
        Ok(NewReplicaIdentity::Full)
    } else if cursor.take("nothing") {
        Ok(NewReplicaIdentity::Nothing)
    } else if cursor.take_all(&["using", "index"]) {
        cursor.name().map(NewReplicaIdentity::UsingIndex)
    } else {
        Err(cursor.error())
    }
}
