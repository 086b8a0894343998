//! COPY.

use super::super::lexer::Token;
use super::parser::Parser;
use super::{Statement, refused, refused_for};
use crate::pgerror::PgError;

/// How to publish, for those who tried otherwise.
const HINT: &str = "Publish with COPY table FROM STDIN, where columns are declared, or with \
                    COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson).";

/// How records are published as such.
const NDJSON: &str = "Publish with COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson).";

/// The table whose lines are records.
const CHANGES: [&str; 2] = ["pgspool", "changes"];

/// `COPY table FROM STDIN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct CopyRows {
    /// The parts of the table's name.
    pub(in crate::server) table: Vec<String>,
    /// The columns in their order; `None` is all.
    pub(in crate::server) columns: Option<Vec<String>>,
    /// What was said of the format.
    pub(in crate::server) options: Vec<CopyOption>,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct CopyOption {
    /// Its name in the newer syntax.
    pub(in crate::server) name: String,
    /// What stands behind it.
    pub(in crate::server) value: CopyValue,
    /// Where it stands.
    pub(in crate::server) at: u32,
}

/// What stands behind an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) enum CopyValue {
    /// Nothing.
    None,
    /// A word or string.
    Text(String),
    /// A number, as written.
    Number(String),
    /// `*`
    Star,
    /// Names in parentheses.
    Names(Vec<String>),
}

/// What follows COPY.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    if parser.accept_symbol('(') {
        return Ok(refused_for("COPY from a query is not supported", HINT));
    }
    let mut options = Vec::new();
    let at = parser.position();
    if parser.peek().is_some_and(|next| next.is_word("BINARY")) && !parser.is_name_alone() {
        parser.next();
        options.push(option("format", CopyValue::Text("binary".to_owned()), at));
    }
    let mut table = vec![parser.name()?];
    while parser.accept_symbol('.') {
        table.push(parser.name()?);
    }
    let columns = if parser.accept_symbol('(') {
        Some(names(parser)?)
    } else {
        None
    };
    if parser.accept(&["TO"]) {
        return Ok(refused_for("COPY TO is not supported", HINT));
    }
    parser.expect(&["FROM"])?;
    if !parser.accept(&["STDIN"]) {
        if parser.is_at_end() {
            return Err(parser.error());
        }
        return Ok(refused_for("COPY is supported from STDIN only", HINT));
    }
    if let Some(refused) = parse_options(parser, &mut options)? {
        return Ok(refused);
    }
    if table == CHANGES {
        return Ok(changes(columns.as_deref(), &options));
    }
    Ok(Statement::CopyRows(CopyRows {
        table,
        columns,
        options,
    }))
}

/// COPY of records: all is fixed but the format, which must be said.
fn changes(columns: Option<&[String]>, options: &[CopyOption]) -> Statement {
    if columns.is_some() {
        return refused_for("COPY pgspool.changes takes no column list", NDJSON);
    }
    let mut format = None;
    for option in options {
        if option.name != "format" {
            let message = format!("option \"{}\" not recognized", option.name);
            return Statement::Refused(PgError::error("42601", message));
        }
        let CopyValue::Text(value) = &option.value else {
            let message = "format requires a parameter";
            return Statement::Refused(PgError::error("42601", message));
        };
        if format.replace(value.to_ascii_lowercase()).is_some() {
            let message = "conflicting or redundant options";
            return Statement::Refused(PgError::error("42601", message));
        }
    }
    match format.as_deref() {
        Some("ndjson") => Statement::CopyChanges,
        None | Some("text" | "csv" | "binary") => refused_for(
            "COPY pgspool.changes reads newline-delimited JSON only",
            NDJSON,
        ),
        Some(other) => {
            let message = format!("COPY format \"{other}\" not recognized");
            Statement::Refused(PgError::error("22023", message).with_hint(NDJSON))
        }
    }
}

fn option(name: &str, value: CopyValue, at: u32) -> CopyOption {
    let name = name.to_owned();
    CopyOption { name, value, at }
}

/// Names in parentheses, of which the opening one was taken.
fn names(parser: &mut Parser<'_>) -> Result<Vec<String>, PgError> {
    let mut found = vec![parser.name()?];
    while parser.accept_symbol(',') {
        found.push(parser.name()?);
    }
    if !parser.accept_symbol(')') {
        return Err(parser.error());
    }
    Ok(found)
}

/// All that follows STDIN; a statement when something of it is refused.
fn parse_options(
    parser: &mut Parser<'_>,
    options: &mut Vec<CopyOption>,
) -> Result<Option<Statement>, PgError> {
    if parser.accept(&["USING"]) {
        let at = parser.position();
        parser.expect(&["DELIMITERS"])?;
        options.push(option("delimiter", string(parser)?, at));
    }
    parser.accept(&["WITH"]);
    if parser.accept_symbol('(') {
        loop {
            options.push(parse_option(parser)?);
            if !parser.accept_symbol(',') {
                break;
            }
        }
        if !parser.accept_symbol(')') {
            return Err(parser.error());
        }
    } else {
        while let Some(old) = parse_old_option(parser)? {
            options.push(old);
        }
    }
    if parser.peek().is_some_and(|next| next.is_word("WHERE")) {
        return Ok(Some(refused("COPY ... WHERE is not supported")));
    }
    parser.end()?;
    Ok(None)
}

/// `name [value]`
fn parse_option(parser: &mut Parser<'_>) -> Result<CopyOption, PgError> {
    let at = parser.position();
    let name = parser.name()?;
    let value = match parser.peek() {
        Some(Token::Word(word)) => CopyValue::Text(word.to_ascii_lowercase()),
        Some(Token::Quoted(text) | Token::Literal(text)) => CopyValue::Text(text.clone()),
        Some(Token::Number(number)) => CopyValue::Number(number.clone()),
        Some(Token::Symbol('*')) => CopyValue::Star,
        Some(Token::Symbol('(')) => {
            parser.next();
            let value = CopyValue::Names(names(parser)?);
            return Ok(option(&name, value, at));
        }
        Some(Token::Symbol(_)) | None => return Ok(option(&name, CopyValue::None, at)),
    };
    parser.next();
    Ok(option(&name, value, at))
}

/// An option of the older syntax, where the next words are one.
fn parse_old_option(parser: &mut Parser<'_>) -> Result<Option<CopyOption>, PgError> {
    let at = parser.position();
    let format = |name: &str| option("format", CopyValue::Text(name.to_owned()), at);
    let switch = |name: &str| option(name, CopyValue::Text("true".to_owned()), at);
    if parser.accept(&["BINARY"]) {
        return Ok(Some(format("binary")));
    }
    if parser.accept(&["CSV"]) {
        return Ok(Some(format("csv")));
    }
    if parser.accept(&["FREEZE"]) {
        return Ok(Some(switch("freeze")));
    }
    if parser.accept(&["HEADER"]) {
        return Ok(Some(switch("header")));
    }
    for name in ["delimiter", "null", "quote", "escape"] {
        if parser.accept(&[name]) {
            parser.accept(&["AS"]);
            return Ok(Some(option(name, string(parser)?, at)));
        }
    }
    if parser.accept(&["ENCODING"]) {
        return Ok(Some(option("encoding", string(parser)?, at)));
    }
    if !parser.accept(&["FORCE"]) {
        return Ok(None);
    }
    let name = if parser.accept(&["QUOTE"]) {
        if parser.accept_symbol('*') {
            return Ok(Some(option("force_quote", CopyValue::Star, at)));
        }
        "force_quote"
    } else if parser.accept(&["NOT", "NULL"]) {
        "force_not_null"
    } else if parser.accept(&["NULL"]) {
        "force_null"
    } else {
        return Err(parser.error());
    };
    let mut columns = vec![parser.name()?];
    while parser.accept_symbol(',') {
        columns.push(parser.name()?);
    }
    Ok(Some(option(name, CopyValue::Names(columns), at)))
}

fn string(parser: &mut Parser<'_>) -> Result<CopyValue, PgError> {
    let Some(Token::Literal(text)) = parser.peek() else {
        return Err(parser.error());
    };
    parser.next();
    Ok(CopyValue::Text(text.clone()))
}
