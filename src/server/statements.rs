//! The plain statements that are understood so far, parsed by hand into [`Statement`].
//!
//! Everything else is an honest error: 42601 for what no PostgreSQL would take, 0A000 for SQL
//! that pgspool does not answer.

use super::lexer::{self, Token};
use crate::pgerror::PgError;

/// One plain statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// `SELECT [pg_catalog.]set_config(name, value, is_local)`
    SetConfig {
        /// Setting.
        name: String,
        /// New value.
        value: String,
    },
    /// `SELECT 1`
    SelectOne,
    /// `SELECT version()`
    SelectVersion,
    /// `SHOW name`
    Show(String),
    /// `SET name = value`; no value: back to the default.
    Set {
        /// Setting.
        name: String,
        /// New value.
        value: Option<String>,
    },
    /// `RESET name`
    Reset(String),
    /// `RESET ALL`
    ResetAll,
    /// `DISCARD ALL`
    DiscardAll,
    /// `BEGIN`, with the tag to answer.
    Begin(&'static str),
    /// `COMMIT`
    Commit,
    /// `ROLLBACK`
    Rollback,
    /// `COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)`
    CopyChanges,
    /// SQL that is not answered; the error says so when it is executed.
    Refused(PgError),
}

impl Statement {
    /// Parses a query string. Nothing of it may be executed when any part does not parse.
    pub(super) fn parse_all(text: &str) -> Result<Vec<Self>, PgError> {
        let statements = lexer::statements(text)?;
        statements.iter().map(|tokens| parse(tokens)).collect()
    }
}

/// First words of SQL statements that are not answered.
const SQL_COMMANDS: &[&str] = &[
    "ALTER",
    "ANALYZE",
    "CALL",
    "CHECKPOINT",
    "CLOSE",
    "CLUSTER",
    "COMMENT",
    "CREATE",
    "DEALLOCATE",
    "DECLARE",
    "DELETE",
    "DISCARD",
    "DO",
    "DROP",
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
    "PREPARE",
    "REASSIGN",
    "REFRESH",
    "REINDEX",
    "RELEASE",
    "REVOKE",
    "SAVEPOINT",
    "SECURITY",
    "TABLE",
    "TRUNCATE",
    "UNLISTEN",
    "UPDATE",
    "VACUUM",
    "VALUES",
    "WITH",
];

fn parse(tokens: &[Token]) -> Result<Statement, PgError> {
    let Some((first, rest)) = tokens.split_first() else {
        return Err(PgError::syntax(""));
    };
    let Token::Word(word) = first else {
        return Err(PgError::syntax(&first.shown()));
    };
    match word.to_ascii_uppercase().as_str() {
        "SELECT" => Ok(parse_select(rest)),
        "SHOW" => parse_setting(rest).map(Statement::Show),
        "SET" => parse_set(rest),
        "RESET" => parse_reset(rest),
        "DISCARD" if matches!(rest, [all] if all.is_word("ALL")) => Ok(Statement::DiscardAll),
        "BEGIN" => Ok(Statement::Begin("BEGIN")),
        "START" if rest.first().is_some_and(|t| t.is_word("TRANSACTION")) => {
            Ok(Statement::Begin("START TRANSACTION"))
        }
        "COMMIT" | "END" if is_plain_end(rest) => Ok(Statement::Commit),
        "ROLLBACK" | "ABORT" if is_plain_end(rest) => Ok(Statement::Rollback),
        "COMMIT" | "ROLLBACK" => Ok(refused("this form of transaction end is not supported")),
        "COPY" => parse_copy(rest),
        "INSERT" => Ok(refused_for("INSERT is not supported", COPY_HINT)),
        upper if SQL_COMMANDS.contains(&upper) => Ok(refused(&format!("{upper} is not supported"))),
        _ => Err(PgError::syntax(word)),
    }
}

/// What is answered, for those who sent something else.
const ANSWERED: &str = "pgspool answers SELECT 1, SELECT version(), SELECT set_config(...), SHOW, \
     SET, RESET, DISCARD ALL, BEGIN, COMMIT, ROLLBACK, \
     COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson), and replication commands.";

/// How to publish, for those who tried otherwise.
const COPY_HINT: &str = "Publish with COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson).";

fn refused(message: &str) -> Statement {
    refused_for(message, ANSWERED)
}

fn refused_for(message: &str, hint: &str) -> Statement {
    Statement::Refused(PgError::unsupported(message).with_hint(hint))
}

fn is_plain_end(rest: &[Token]) -> bool {
    match rest {
        [] => true,
        [word] => word.is_word("WORK") || word.is_word("TRANSACTION"),
        _ => false,
    }
}

fn parse_select(rest: &[Token]) -> Statement {
    use Token::{Literal, Number, Symbol};
    let call = match rest {
        [schema, Symbol('.'), call @ ..] if schema.is_word("pg_catalog") => call,
        call => call,
    };
    match call {
        [Number(one)] if one == "1" => Statement::SelectOne,
        [function, Symbol('('), Symbol(')')] if function.is_word("version") => {
            Statement::SelectVersion
        }
        [
            function,
            Symbol('('),
            Literal(name),
            Symbol(','),
            Literal(value),
            Symbol(','),
            is_local,
            Symbol(')'),
        ] if function.is_word("set_config") && is_local.is_word("false") => Statement::SetConfig {
            name: name.clone(),
            value: value.clone(),
        },
        _ => refused("this SELECT is not supported yet"),
    }
}

/// The one setting that is named.
fn parse_setting(rest: &[Token]) -> Result<String, PgError> {
    match rest {
        [] => Err(PgError::syntax("")),
        [name] => name.name().ok_or_else(|| PgError::syntax(&name.shown())),
        [class, Token::Symbol('.'), name] => dotted(class, name),
        [time, zone] if time.is_word("TIME") && zone.is_word("ZONE") => Ok("TimeZone".to_owned()),
        [_, second, ..] => Err(PgError::syntax(&second.shown())),
    }
}

fn parse_reset(rest: &[Token]) -> Result<Statement, PgError> {
    match rest {
        [all] if all.is_word("ALL") => Ok(Statement::ResetAll),
        [session, _, ..] if session.is_word("SESSION") => {
            Ok(refused("this form of RESET is not supported"))
        }
        name => parse_setting(name).map(Statement::Reset),
    }
}

fn dotted(class: &Token, name: &Token) -> Result<String, PgError> {
    match (class.name(), name.name()) {
        (Some(class), Some(name)) => Ok(format!("{class}.{name}")),
        _ => Err(PgError::syntax(&class.shown())),
    }
}

fn parse_set(rest: &[Token]) -> Result<Statement, PgError> {
    let rest = match rest {
        [word, rest @ ..] if word.is_word("SESSION") && !rest.is_empty() => rest,
        rest => rest,
    };
    let (name, values) = match rest {
        [word, ..]
            if ["LOCAL", "TRANSACTION", "CHARACTERISTICS", "CONSTRAINTS"]
                .iter()
                .any(|form| word.is_word(form)) =>
        {
            return Ok(refused("this form of SET is not supported"));
        }
        [time, zone, values @ ..] if time.is_word("TIME") && zone.is_word("ZONE") => {
            ("TimeZone".to_owned(), values)
        }
        [class, Token::Symbol('.'), name, assign, values @ ..] if is_assign(assign) => {
            (dotted(class, name)?, values)
        }
        [name, assign, values @ ..] if is_assign(assign) => {
            let name = name.name().ok_or_else(|| PgError::syntax(&name.shown()))?;
            (name, values)
        }
        [_, other, ..] => return Err(PgError::syntax(&other.shown())),
        _ => return Err(PgError::syntax("")),
    };
    Ok(Statement::Set {
        name,
        value: parse_values(values)?,
    })
}

fn is_assign(token: &Token) -> bool {
    *token == Token::Symbol('=') || token.is_word("TO")
}

/// A list of values as one text; `None` for DEFAULT.
fn parse_values(values: &[Token]) -> Result<Option<String>, PgError> {
    if let [only] = values
        && only.is_word("DEFAULT")
    {
        return Ok(None);
    }
    if values.is_empty() {
        return Err(PgError::syntax(""));
    }
    let mut texts = vec![];
    for item in values.split(|token| *token == Token::Symbol(',')) {
        let text = match item {
            [Token::Word(text) | Token::Literal(text) | Token::Number(text)] => text.clone(),
            [Token::Quoted(text)] => text.clone(),
            [Token::Symbol('-'), Token::Number(text)] => format!("-{text}"),
            [other, ..] => return Err(PgError::syntax(&other.shown())),
            [] => return Err(PgError::syntax(",")),
        };
        texts.push(text);
    }
    Ok(Some(texts.join(", ")))
}

fn parse_copy(rest: &[Token]) -> Result<Statement, PgError> {
    use Token::Symbol;
    let (table, rest) = match rest {
        [schema, Symbol('.'), table, rest @ ..] => (dotted(schema, table)?, rest),
        [Symbol('('), ..] => {
            return Ok(refused_for("COPY from a query is not supported", COPY_HINT));
        }
        [table, rest @ ..] => {
            let name = table
                .name()
                .ok_or_else(|| PgError::syntax(&table.shown()))?;
            (name, rest)
        }
        [] => return Err(PgError::syntax("")),
    };
    let rest = match rest {
        [Symbol('('), ..] if table == "pgspool.changes" => {
            return Ok(refused_for(
                "COPY pgspool.changes takes no column list",
                COPY_HINT,
            ));
        }
        [direction, ..] if direction.is_word("TO") => {
            return Ok(refused_for("COPY TO is not supported", COPY_HINT));
        }
        [direction, source, rest @ ..] if direction.is_word("FROM") && source.is_word("STDIN") => {
            rest
        }
        [direction, ..] if direction.is_word("FROM") => {
            return Ok(refused_for("COPY is supported from STDIN only", COPY_HINT));
        }
        [other, ..] => return Err(PgError::syntax(&other.shown())),
        [] => return Err(PgError::syntax("")),
    };
    if table != "pgspool.changes" {
        let message = format!("relation \"{table}\" does not exist");
        let error = PgError::error("42P01", message).with_hint(COPY_HINT);
        return Ok(Statement::Refused(error));
    }
    parse_copy_options(rest)
}

fn parse_copy_options(rest: &[Token]) -> Result<Statement, PgError> {
    let rest = match rest {
        [with, rest @ ..] if with.is_word("WITH") => rest,
        rest => rest,
    };
    let options = match rest {
        [] => &[],
        [Token::Symbol('('), options @ .., Token::Symbol(')')] => options,
        [other, ..] => return Err(PgError::syntax(&other.shown())),
    };
    let mut format = None;
    for option in options
        .split(|token| *token == Token::Symbol(','))
        .filter(|_| !options.is_empty())
    {
        match option {
            [
                name,
                Token::Word(value) | Token::Quoted(value) | Token::Literal(value),
            ] if name.is_word("FORMAT") => {
                if format.replace(value.to_ascii_lowercase()).is_some() {
                    return Err(PgError::error("42601", "conflicting or redundant options"));
                }
            }
            [name, ..] => {
                let message = format!("option \"{}\" not recognized", name.shown());
                return Err(PgError::error("42601", message));
            }
            [] => return Err(PgError::syntax(",")),
        }
    }
    Ok(match format.as_deref() {
        Some("ndjson") => Statement::CopyChanges,
        None | Some("text" | "csv" | "binary") => Statement::Refused(
            PgError::unsupported("COPY pgspool.changes reads newline-delimited JSON only")
                .with_hint(COPY_HINT),
        ),
        Some(other) => Statement::Refused(
            PgError::error("22023", format!("COPY format \"{other}\" not recognized"))
                .with_hint(COPY_HINT),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Statement, PgError> {
        let mut all = Statement::parse_all(text)?;
        assert_eq!(all.len(), 1, "{text}");
        Ok(all.remove(0))
    }

    #[test]
    fn copy_is_read_in_every_spelling() {
        for text in [
            "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)",
            "COPY  pgspool.changes FROM STDIN with (format ndjson)",
            "copy \"pgspool\".\"changes\" from stdin (FORMAT 'NDJSON');",
            "COPY PgSpool . Changes FROM STDIN WITH ( format \"ndjson\" ) ;",
        ] {
            assert_eq!(one(text), Ok(Statement::CopyChanges), "{text}");
        }
    }

    #[test]
    fn copies_that_are_not_ours_are_refused_by_name() {
        for (text, code) in [
            ("COPY orders FROM STDIN", "42P01"),
            ("COPY changes FROM STDIN WITH (FORMAT ndjson)", "42P01"),
            ("COPY pgspool.changes FROM STDIN", "0A000"),
            ("COPY pgspool.changes FROM STDIN WITH (FORMAT csv)", "0A000"),
            ("COPY pgspool.changes FROM STDIN WITH (FORMAT x)", "22023"),
            ("COPY pgspool.changes TO STDOUT", "0A000"),
            ("COPY (SELECT 1) TO STDOUT", "0A000"),
            (
                "COPY pgspool.changes (a) FROM STDIN (FORMAT ndjson)",
                "0A000",
            ),
            ("COPY pgspool.changes FROM '/tmp/x'", "0A000"),
        ] {
            let Ok(Statement::Refused(error)) = one(text) else {
                panic!("{text} was not refused");
            };
            assert!(error.to_string().starts_with(code), "{text}: {error}");
        }
        for text in [
            "COPY",
            "COPY a",
            "COPY a b",
            "COPY pgspool.changes FROM STDIN (nosuch 1)",
        ] {
            assert!(one(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_statements_that_clients_send_are_known() {
        let set = |name: &str, value: &str| Statement::Set {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        };
        for (text, statement) in [
            (
                "SELECT pg_catalog.set_config('search_path', '', false);",
                Statement::SetConfig {
                    name: "search_path".to_owned(),
                    value: String::new(),
                },
            ),
            ("select 1", Statement::SelectOne),
            ("SELECT version()", Statement::SelectVersion),
            (
                "SHOW server_version",
                Statement::Show("server_version".to_owned()),
            ),
            (
                "SET statement_timeout = 90000",
                set("statement_timeout", "90000"),
            ),
            ("SET SESSION my.x TO 'a'", set("my.x", "a")),
            ("SET datestyle TO ISO, DMY", set("datestyle", "ISO, DMY")),
            (
                "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ",
                Statement::Begin("BEGIN"),
            ),
            ("RESET ALL", Statement::ResetAll),
            (
                "RESET statement_timeout",
                Statement::Reset("statement_timeout".to_owned()),
            ),
            (
                "RESET pgspool.region",
                Statement::Reset("pgspool.region".to_owned()),
            ),
            ("RESET TIME ZONE", Statement::Reset("TimeZone".to_owned())),
            ("discard all", Statement::DiscardAll),
            ("END", Statement::Commit),
            ("ABORT WORK", Statement::Rollback),
        ] {
            assert_eq!(one(text), Ok(statement), "{text}");
        }
    }

    #[test]
    fn what_is_not_sql_is_a_syntax_error_and_what_is_not_answered_says_so() {
        for text in [
            "IDENTIFY_SYSTEM",
            "START_REPLICATION SLOT a LOGICAL 0/0",
            "12",
            "foo",
            "SET",
        ] {
            assert!(one(text).is_err(), "{text}");
        }
        for text in [
            "INSERT INTO a VALUES (1)",
            "SELECT 2",
            "CREATE TABLE a()",
            "SET LOCAL a = 1",
            "DISCARD PLANS",
            "RESET SESSION AUTHORIZATION",
        ] {
            assert!(matches!(one(text), Ok(Statement::Refused(_))), "{text}");
        }
        assert_eq!(Statement::parse_all(" ; "), Ok(vec![]));
        assert_eq!(Statement::parse_all("BEGIN; SELECT 1").unwrap().len(), 2);
        assert!(Statement::parse_all("BEGIN; foo").is_err());
    }
}
