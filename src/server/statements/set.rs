//! SET, SHOW and RESET.

use super::super::lexer::Token;
use super::parser::Parser;
use super::transaction::{is_literal, parse_modes};
use super::{Modes, Statement, refused};
use crate::datum::quote_ident;
use crate::pgerror::PgError;

/// A statement that changes settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum SetStatement {
    /// `SET name = value`; no value: back to the default.
    One {
        /// Setting.
        name: String,
        /// New value.
        value: Option<String>,
        /// Until the transaction ends.
        local: bool,
    },
    /// `SET TRANSACTION`
    Transaction(Modes),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION`
    Characteristics(Modes),
    /// `RESET name`
    Reset(String),
    /// `RESET ALL`
    ResetAll,
}

/// What follows SHOW.
pub(super) fn parse_show(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    if parser.accept(&["ALL"]) {
        parser.end()?;
        return Ok(Statement::ShowAll);
    }
    let name = parse_setting(parser)?;
    Ok(Statement::Show(name))
}

/// What follows RESET.
pub(super) fn parse_reset(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    if parser.accept(&["ALL"]) {
        parser.end()?;
        return Ok(Statement::Set(SetStatement::ResetAll));
    }
    if parser.accept(&["SESSION", "AUTHORIZATION"]) || parser.accept(&["ROLE"]) {
        parser.end()?;
        return Ok(Statement::Nothing("RESET"));
    }
    let name = parse_setting(parser)?;
    Ok(Statement::Set(SetStatement::Reset(name)))
}

/// The one setting that is named.
fn parse_setting(parser: &mut Parser<'_>) -> Result<String, PgError> {
    let name = if parser.accept(&["TIME", "ZONE"]) {
        "TimeZone".to_owned()
    } else if parser.accept(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        "transaction_isolation".to_owned()
    } else if parser.accept(&["SESSION", "AUTHORIZATION"]) {
        "session_authorization".to_owned()
    } else {
        parser.dotted_name()?
    };
    parser.end()?;
    Ok(name)
}

/// What follows SET.
pub(super) fn parse_set(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    if parser.accept(&["TRANSACTION"]) {
        if parser.accept(&["SNAPSHOT"]) && is_literal(parser.peek()) {
            return Ok(refused("SET TRANSACTION SNAPSHOT is not supported"));
        }
        return Ok(Statement::Set(SetStatement::Transaction(some_modes(
            parser,
        )?)));
    }
    if parser.accept(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
        return Ok(Statement::Set(SetStatement::Characteristics(some_modes(
            parser,
        )?)));
    }
    // There is one user: the default ones, which connection pools go back to, are the only ones.
    for (words, own) in [
        (&["SESSION", "AUTHORIZATION"][..], Some("DEFAULT")),
        (&["SESSION", "SESSION", "AUTHORIZATION"], Some("DEFAULT")),
        (&["LOCAL", "SESSION", "AUTHORIZATION"], Some("DEFAULT")),
        (&["ROLE"], Some("NONE")),
        (&["SESSION", "ROLE"], Some("NONE")),
        (&["LOCAL", "ROLE"], Some("NONE")),
        (&["CONSTRAINTS"], None),
    ] {
        if !parser.assigns_next() && parser.accept(words) {
            if own.is_some_and(|own| parser.is_last() && parser.accept(&[own])) {
                return Ok(Statement::Nothing("SET"));
            }
            return Ok(refused(&format!(
                "SET {} is not supported",
                words.join(" ")
            )));
        }
    }
    let local = !parser.assigns_next() && parser.accept(&["LOCAL"]);
    if !local && !parser.assigns_next() {
        parser.accept(&["SESSION"]);
    }
    let (name, value) = parse_assignment(parser)?;
    Ok(Statement::Set(SetStatement::One { name, value, local }))
}

fn some_modes(parser: &mut Parser<'_>) -> Result<Modes, PgError> {
    if parser.is_at_end() {
        return Err(parser.error());
    }
    parse_modes(parser)
}

fn parse_assignment(parser: &mut Parser<'_>) -> Result<(String, Option<String>), PgError> {
    if parser.accept(&["TIME", "ZONE"]) {
        let local = parser.accept(&["LOCAL"]);
        let value = if local {
            None
        } else {
            parse_values(parser, &plain)?
        };
        parser.end()?;
        return Ok(("TimeZone".to_owned(), value));
    }
    for (word, name) in [("NAMES", "client_encoding"), ("SCHEMA", "search_path")] {
        if !parser.assigns_next() && parser.accept(&[word]) {
            let value = if parser.is_at_end() {
                None
            } else {
                parse_values(parser, writer_for(name))?
            };
            return Ok((name.to_owned(), value));
        }
    }
    let name = parser.dotted_name()?;
    if !parser.accept_symbol('=') {
        parser.expect(&["TO"])?;
    }
    let value = parse_values(parser, writer_for(&name))?;
    Ok((name, value))
}

/// How a value that is a word or a string is written into the setting's text: a list of names
/// holds identifiers.
fn writer_for(setting: &str) -> &'static dyn Fn(&str) -> String {
    if setting.eq_ignore_ascii_case("search_path") {
        &quote_ident
    } else {
        &plain
    }
}

fn plain(text: &str) -> String {
    text.to_owned()
}

/// A list of values as one text; `None` for DEFAULT.
fn parse_values(
    parser: &mut Parser<'_>,
    write: &dyn Fn(&str) -> String,
) -> Result<Option<String>, PgError> {
    if parser.accept(&["DEFAULT"]) {
        parser.end()?;
        return Ok(None);
    }
    let mut texts = vec![];
    loop {
        let sign = if parser.accept_symbol('-') { "-" } else { "" };
        if sign.is_empty() {
            parser.accept_symbol('+');
        }
        match parser.peek() {
            Some(Token::Number(text)) => texts.push(format!("{sign}{text}")),
            Some(Token::Word(text)) if sign.is_empty() => {
                texts.push(write(&text.to_ascii_lowercase()))
            }
            Some(Token::Literal(text) | Token::Quoted(text)) if sign.is_empty() => {
                texts.push(write(text));
            }
            _ => return Err(parser.error()),
        }
        parser.next();
        if !parser.accept_symbol(',') {
            break;
        }
    }
    parser.end()?;
    Ok(Some(texts.join(", ")))
}
