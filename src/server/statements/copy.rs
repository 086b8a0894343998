//! COPY.

use super::super::lexer::Token;
use super::parser::Parser;
use super::{Statement, refused_for};
use crate::pgerror::PgError;

/// How to publish, for those who tried otherwise.
pub(super) const HINT: &str = "Publish with COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson).";

/// The one table that is copied into.
const TABLE: &str = "pgspool.changes";

/// What follows COPY.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    if parser.accept_symbol('(') {
        return Ok(refused_for("COPY from a query is not supported", HINT));
    }
    let table = parser.dotted_name()?;
    if table == TABLE && parser.accept_symbol('(') {
        return Ok(refused_for(
            "COPY pgspool.changes takes no column list",
            HINT,
        ));
    }
    if parser.accept(&["TO"]) {
        return Ok(refused_for("COPY TO is not supported", HINT));
    }
    parser.expect(&["FROM"])?;
    if !parser.accept(&["STDIN"]) {
        return Ok(refused_for("COPY is supported from STDIN only", HINT));
    }
    if table != TABLE {
        let message = format!("relation \"{table}\" does not exist");
        let error = PgError::error("42P01", message).with_hint(HINT);
        return Ok(Statement::Refused(error));
    }
    parse_options(parser)
}

fn parse_options(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    parser.accept(&["WITH"]);
    let mut format = None;
    if !parser.is_at_end() {
        if !parser.accept_symbol('(') {
            return Err(parser.error());
        }
        loop {
            parse_option(parser, &mut format)?;
            if !parser.accept_symbol(',') {
                break;
            }
        }
        if !parser.accept_symbol(')') {
            return Err(parser.error());
        }
        parser.end()?;
    }
    Ok(match format.as_deref() {
        Some("ndjson") => Statement::CopyChanges,
        None | Some("text" | "csv" | "binary") => Statement::Refused(
            PgError::unsupported("COPY pgspool.changes reads newline-delimited JSON only")
                .with_hint(HINT),
        ),
        Some(other) => Statement::Refused(
            PgError::error("22023", format!("COPY format \"{other}\" not recognized"))
                .with_hint(HINT),
        ),
    })
}

fn parse_option(parser: &mut Parser<'_>, format: &mut Option<String>) -> Result<(), PgError> {
    if !parser.accept(&["FORMAT"]) {
        let name = parser.name()?;
        let message = format!("option \"{name}\" not recognized");
        return Err(PgError::error("42601", message));
    }
    let Some(Token::Word(value) | Token::Quoted(value) | Token::Literal(value)) = parser.peek()
    else {
        return Err(parser.error());
    };
    if format.replace(value.to_ascii_lowercase()).is_some() {
        return Err(PgError::error("42601", "conflicting or redundant options"));
    }
    parser.next();
    Ok(())
}
