//! DECLARE, FETCH and MOVE.

use super::super::lexer::Token;
use super::parser::Parser;
use super::{Statement, refused};
use crate::pgerror::PgError;

/// `DECLARE name CURSOR FOR query`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Declare {
    /// Name.
    pub(in super::super) name: String,
    /// The query.
    pub(in super::super) query: String,
    /// Characters of the statement before the query.
    pub(in super::super) num_before: u32,
}

/// `FETCH n FROM name` or `MOVE n FROM name`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Fetch {
    /// Name of the cursor.
    pub(in super::super) name: String,
    /// Most rows; `None` is all that are left.
    pub(in super::super) num_rows: Option<u64>,
    /// MOVE: the rows are not shown.
    pub(in super::super) is_move: bool,
}

/// What follows DECLARE.
pub(super) fn parse_declare(parser: &mut Parser<'_>) -> Result<Statement, PgError> {
    let name = parser.name()?;
    let mut hold = false;
    loop {
        if parser.accept(&["BINARY"]) {
            return Ok(refused("DECLARE BINARY CURSOR is not supported"));
        }
        if parser.accept(&["SCROLL"]) {
            return Ok(refused("DECLARE SCROLL CURSOR is not supported"));
        }
        let known =
            parser.accept(&["NO", "SCROLL"]) || parser.accept_any(&["INSENSITIVE", "ASENSITIVE"]);
        if !known {
            break;
        }
    }
    parser.expect(&["CURSOR"])?;
    if parser.accept(&["WITH", "HOLD"]) {
        hold = true;
    } else {
        parser.accept(&["WITHOUT", "HOLD"]);
    }
    parser.expect(&["FOR"])?;
    let num_before = parser.num_before();
    let Some((_, query)) = parser.rest() else {
        return Err(parser.error());
    };
    if hold {
        return Ok(refused("DECLARE CURSOR WITH HOLD is not supported"));
    }
    Ok(Statement::Declare(Declare {
        name,
        query: query.to_owned(),
        num_before,
    }))
}

/// What follows FETCH or MOVE.
pub(super) fn parse_fetch(parser: &mut Parser<'_>, is_move: bool) -> Result<Fetch, PgError> {
    let num_rows = parse_direction(parser)?;
    parser.accept_any(&["FROM", "IN"]);
    let name = parser.name()?;
    parser.end()?;
    Ok(Fetch {
        name,
        num_rows,
        is_move,
    })
}

fn parse_direction(parser: &mut Parser<'_>) -> Result<Option<u64>, PgError> {
    let backward = ["PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD"];
    let is_direction = |parser: &Parser<'_>| {
        parser
            .peek()
            .is_some_and(|next| backward.iter().any(|word| next.is_word(word)))
    };
    if is_direction(parser) && !parser.is_last() || parser.peek() == Some(&Token::Symbol('-')) {
        let hint = "Declare it with SCROLL option to enable backward scan.";
        return Err(PgError::error("55000", "cursor can only scan forward").with_hint(hint));
    }
    if parser.accept(&["ALL"]) || parser.accept(&["FORWARD", "ALL"]) {
        return Ok(None);
    }
    parser.accept_any(&["NEXT", "FORWARD"]);
    let Some(Token::Number(number)) = parser.peek() else {
        return Ok(Some(1));
    };
    let number = number.parse().map_err(|_| parser.error())?;
    parser.next();
    Ok(Some(number))
}
