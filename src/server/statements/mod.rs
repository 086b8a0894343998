//! What kind of statement a text is, and the statements that the session itself carries out.
//!
//! Queries and definitions are only recognised: the catalog parses them. What is neither is 42601
//! when no PostgreSQL would take it, and 0A000 when pgspool does not answer it.

mod copy;
mod cursor;
mod parser;
mod set;
mod transaction;

pub(super) use copy::{CopyOption, CopyRows, CopyValue};
pub(super) use cursor::{Declare, Fetch};
pub(super) use set::SetStatement;
pub(super) use transaction::{Isolation, Modes, TransactionStatement};

use super::lexer::{self, Token, position_at};
use crate::catalog;
use crate::catalog::ddl::{DatabaseStatement, RoleStatement};
use crate::pgerror::PgError;
use crate::relations::Command;
use parser::Parser;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Statement {
    /// SELECT, VALUES, TABLE, WITH: the catalog's.
    Query,
    /// INSERT, UPDATE, DELETE, TRUNCATE: the catalog's.
    Change,
    /// CREATE, ALTER, DROP of tables and publications.
    Definition(Box<Command>),
    /// CREATE, ALTER, DROP of roles, GRANT, REVOKE.
    Roles(Box<RoleStatement>),
    /// CREATE DATABASE, DROP DATABASE, PAUSE, RESUME.
    Database(Box<DatabaseStatement>),
    /// `SHOW name`
    Show(String),
    /// `SHOW ALL`
    ShowAll,
    /// SET, RESET
    Set(SetStatement),
    /// `DISCARD`
    Discard(Discard),
    /// BEGIN, COMMIT, SAVEPOINT, ...
    Transaction(TransactionStatement),
    /// `PREPARE name [(types)] AS statement`
    Prepare {
        /// Name.
        name: String,
        /// Names of the parameters' types.
        types: Vec<String>,
        /// The statement.
        text: String,
    },
    /// `EXECUTE name [(values)]`
    Execute {
        /// Name.
        name: String,
        /// Expressions.
        values: Vec<String>,
    },
    /// `DEALLOCATE name`; no name: all.
    Deallocate(Option<String>),
    /// `DECLARE name CURSOR FOR query`
    Declare(Declare),
    /// `FETCH`, `MOVE`
    Fetch(Fetch),
    /// `CLOSE name`; no name: all.
    Close(Option<String>),
    /// `COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)`
    CopyChanges,
    /// `COPY table FROM STDIN`
    CopyRows(CopyRows),
    /// What asks for the only state that there is, such as `SET ROLE NONE`: its tag.
    Nothing(&'static str),
    /// SQL that is not answered; the error says so when it is executed.
    Refused(PgError),
}

/// What DISCARD throws away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discard {
    /// Everything that a session has.
    All,
    /// Plans: there are none to keep.
    Plans,
    /// Sequences: there are none.
    Sequences,
    /// Temporary tables: there are none.
    Temp,
}

/// A statement as a part of the text that it came in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// What it is.
    pub(super) statement: Statement,
    /// Its own text.
    pub(super) text: String,
    /// Characters of the whole text before it.
    pub(super) num_before: u32,
}

impl Part {
    /// Parses a query string of `user`. Nothing of it may be executed when any part does not parse.
    pub(super) fn parse_all(text: &str, user: &str) -> Result<Vec<Self>, PgError> {
        let statements = lexer::statements(text)?;
        // Counted on from statement to statement: a text may have very many.
        let (mut counted, mut num_before) = (0, 0u32);
        let parse = |tokens: &Vec<lexer::Spanned>| {
            let (first, last) = (tokens.first(), tokens.last());
            let start = first.map_or(0, |token| token.start);
            let end = last.map_or(start, |token| token.end);
            let own = text.get(start..end).unwrap_or_default().to_owned();
            let between = text.get(counted..start).unwrap_or_default();
            num_before =
                num_before.saturating_add(position_at(between, between.len()).saturating_sub(1));
            counted = start;
            let statement = match recognise(Parser::new(text, tokens))? {
                Kind::Done(statement) => statement,
                Kind::Query => {
                    catalog::check_syntax(&own).map_err(|error| error.moved_by(num_before))?;
                    Statement::Query
                }
                Kind::Change => {
                    check_change(&own, tokens).map_err(|error| error.moved_by(num_before))?
                }
                Kind::Definition => match definition(&own, user) {
                    Ok(Some(statement)) => statement,
                    Ok(None) => refused_word(tokens),
                    Err(error) if error.code() == "42601" => {
                        return Err(error.moved_by(num_before));
                    }
                    Err(error) => Statement::Refused(error),
                },
            };
            Ok(Self {
                statement,
                text: own,
                num_before,
            })
        };
        statements.iter().map(parse).collect()
    }

    /// What must be one statement or none.
    pub(super) fn only(mut parts: Vec<Self>) -> Result<Option<Self>, PgError> {
        if parts.len() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(PgError::error("42601", message));
        }
        Ok(parts.pop())
    }
}

impl Statement {
    /// Whether it may run in a transaction that failed.
    pub(super) const fn may_end_a_failed_transaction(&self) -> bool {
        matches!(
            self,
            Self::Transaction(
                TransactionStatement::Commit { .. }
                    | TransactionStatement::Rollback { .. }
                    | TransactionStatement::RollbackTo(_)
            )
        )
    }
}

/// What a statement's first words say.
enum Kind {
    Done(Statement),
    Query,
    Change,
    Definition,
}

impl From<Statement> for Kind {
    fn from(statement: Statement) -> Self {
        Self::Done(statement)
    }
}

fn recognise(mut parser: Parser<'_>) -> Result<Kind, PgError> {
    let word = match parser.peek() {
        Some(Token::Word(word)) => word.to_ascii_uppercase(),
        Some(Token::Symbol('(')) => return Ok(Kind::Query),
        _ => return Err(parser.error()),
    };
    if let Some(statement) = transaction::parse(&mut parser)? {
        return Ok(Statement::Transaction(statement).into());
    }
    match word.as_str() {
        "SELECT" | "VALUES" | "TABLE" | "WITH" => return Ok(Kind::Query),
        "INSERT" | "DELETE" => {
            parser.next();
            let second = if word == "INSERT" { "INTO" } else { "FROM" };
            parser.expect(&[second])?;
            return Ok(Kind::Change);
        }
        "UPDATE" | "TRUNCATE" => return Ok(Kind::Change),
        "CREATE" | "ALTER" | "DROP" | "COMMENT" | "GRANT" | "REVOKE" => {
            return Ok(Kind::Definition);
        }
        _ => {}
    }
    if !SQL_COMMANDS.contains(&word.as_str()) {
        return Err(parser.error());
    }
    parser.next();
    let statement = match word.as_str() {
        "SHOW" => set::parse_show(&mut parser)?,
        "SET" => set::parse_set(&mut parser)?,
        "RESET" => set::parse_reset(&mut parser)?,
        "DISCARD" => parse_discard(&mut parser)?,
        "PREPARE" => parse_prepare(&mut parser)?,
        "EXECUTE" => parse_execute(&mut parser)?,
        "DEALLOCATE" => {
            parser.accept(&["PREPARE"]);
            Statement::Deallocate(parse_name_or_all(&mut parser)?)
        }
        "CLOSE" => Statement::Close(parse_name_or_all(&mut parser)?),
        "DECLARE" => cursor::parse_declare(&mut parser)?,
        "FETCH" => Statement::Fetch(cursor::parse_fetch(&mut parser, false)?),
        "MOVE" => Statement::Fetch(cursor::parse_fetch(&mut parser, true)?),
        "COPY" => copy::parse(&mut parser)?,
        "PAUSE" | "RESUME" => parse_pause(&mut parser, word == "PAUSE")?,
        "UNLISTEN" => {
            if !parser.accept_symbol('*') {
                parser.name()?;
            }
            parser.end()?;
            Statement::Nothing("UNLISTEN")
        }
        "LISTEN" | "NOTIFY" => refused_for(
            &format!("{word} is not supported"),
            "There are no notifications here.",
        ),
        other => refused(&format!("{other} is not supported")),
    };
    Ok(statement.into())
}

/// First words of SQL statements, and of two that are ours; no other word begins one.
const SQL_COMMANDS: &[&str] = &[
    "ANALYZE",
    "CALL",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTER",
    "COPY",
    "DEALLOCATE",
    "DECLARE",
    "DISCARD",
    "DO",
    "EXECUTE",
    "EXPLAIN",
    "FETCH",
    "GRANT",
    "IMPORT",
    "LISTEN",
    "LOAD",
    "LOCK",
    "MERGE",
    "MOVE",
    "NOTIFY",
    "PAUSE",
    "PREPARE",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "RESET",
    "RESUME",
    "REVOKE",
    "SECURITY",
    "SET",
    "SHOW",
    "UNLISTEN",
    "VACUUM",
];

/// What is answered, for those who sent something else.
const ANSWERED: &str = "pgspool answers SELECT over its views and functions, tables' and \
     publications' definitions, INSERT, UPDATE, DELETE, TRUNCATE and COPY FROM STDIN of declared \
     tables, databases, roles, PAUSE, RESUME, SHOW, SET, RESET, transactions, cursors, prepared statements, \
     COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson), and replication commands.";

fn refused(message: &str) -> Statement {
    refused_for(message, ANSWERED)
}

fn refused_for(message: &str, hint: &str) -> Statement {
    Statement::Refused(PgError::unsupported(message).with_hint(hint))
}

/// A statement that changes tables, if it can be parsed.
fn check_change(text: &str, tokens: &[lexer::Spanned]) -> Result<Statement, PgError> {
    match catalog::check_syntax(text) {
        Ok(()) => Ok(Statement::Change),
        // The parser knows no such thing.
        Err(error) => match tokens.iter().any(|next| next.token.is_word("OVERRIDING")) {
            true => Ok(refused("INSERT ... OVERRIDING is not supported")),
            false => Err(error),
        },
    }
}

/// A definition of something that pgspool has.
fn definition(text: &str, user: &str) -> Result<Option<Statement>, PgError> {
    if let Some(statement) = catalog::ddl::parse_roles(text)? {
        return Ok(Some(Statement::Roles(Box::new(statement))));
    }
    if let Some(statement) = catalog::ddl::parse_databases(text)? {
        return Ok(Some(Statement::Database(Box::new(statement))));
    }
    let command = catalog::ddl::parse(text, user)?;
    Ok(command.map(|command| Statement::Definition(Box::new(command))))
}

/// A definition of something that pgspool does not have.
fn refused_word(tokens: &[lexer::Spanned]) -> Statement {
    let words = tokens.iter().map_while(|next| match &next.token {
        Token::Word(word) => Some(word.to_ascii_uppercase()),
        Token::Quoted(_) | Token::Literal(_) | Token::Number(_) | Token::Symbol(_) => None,
    });
    let words: Vec<String> = words.take(2).collect();
    refused(&format!("{} is not supported", words.join(" ")))
}

fn parse_discard(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    let what = if parser.accept(&["ALL"]) {
        Discard::All
    } else if parser.accept(&["PLANS"]) {
        Discard::Plans
    } else if parser.accept(&["SEQUENCES"]) {
        Discard::Sequences
    } else if parser.accept_any(&["TEMP", "TEMPORARY"]) {
        Discard::Temp
    } else {
        return Err(parser.error());
    };
    parser.end()?;
    Ok(Statement::Discard(what))
}

fn parse_name_or_all(parser: &mut Parser<'_>) -> Result<Option<String>, PgError> {
    let name = if parser.accept(&["ALL"]) {
        None
    } else {
        Some(parser.name()?)
    };
    parser.end()?;
    Ok(name)
}

/// What follows PAUSE or RESUME.
fn parse_pause(parser: &mut Parser<'_>, pause: bool) -> Result<Statement, PgError> {
    let name = match parser.is_at_end() {
        true => None,
        false => Some(parser.name()?),
    };
    parser.end()?;
    let statement = DatabaseStatement::Pause { name, pause };
    Ok(Statement::Database(Box::new(statement)))
}

fn parse_prepare(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    let name = parser.name()?;
    if name == "transaction" && parser.peek().is_some_and(|next| next.name().is_none()) {
        return Ok(refused("PREPARE TRANSACTION is not supported"));
    }
    let types = if parser.accept_symbol('(') {
        parser.arguments()?
    } else {
        vec![]
    };
    parser.expect(&["AS"])?;
    let Some((_, text)) = parser.rest() else {
        return Err(parser.error());
    };
    let text = text.to_owned();
    Ok(Statement::Prepare { name, types, text })
}

fn parse_execute(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    let name = parser.name()?;
    let values = if parser.accept_symbol('(') {
        parser.arguments()?
    } else {
        vec![]
    };
    parser.end()?;
    Ok(Statement::Execute { name, values })
}

#[cfg(test)]
mod tests;
