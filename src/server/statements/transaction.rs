//! BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their modes.

use super::super::lexer::Token;
use super::parser::Parser;
use crate::pgerror::PgError;

/// A statement about the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum TransactionStatement {
    /// `BEGIN` or `START TRANSACTION`
    Begin {
        /// The tag to answer.
        tag: &'static str,
        /// What it asks for.
        modes: Modes,
    },
    /// `COMMIT`, `END`
    Commit {
        /// AND CHAIN
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`
    Rollback {
        /// AND CHAIN
        chain: bool,
    },
    /// `SAVEPOINT name`
    Savepoint(String),
    /// `RELEASE [SAVEPOINT] name`
    Release(String),
    /// `ROLLBACK TO [SAVEPOINT] name`
    RollbackTo(String),
    /// Two-phase commit, which is not there.
    TwoPhase(&'static str),
}

/// What a transaction is asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Modes {
    /// ISOLATION LEVEL
    pub(in super::super) isolation: Option<Isolation>,
    /// READ ONLY or READ WRITE
    pub(in super::super) read_only: Option<bool>,
    /// DEFERRABLE
    pub(in super::super) deferrable: Option<bool>,
}

/// An isolation level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Isolation {
    /// READ UNCOMMITTED
    ReadUncommitted,
    /// READ COMMITTED
    ReadCommitted,
    /// REPEATABLE READ
    RepeatableRead,
    /// SERIALIZABLE
    Serializable,
}

impl Isolation {
    /// As the settings show it.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::ReadUncommitted => "read uncommitted",
            Self::ReadCommitted => "read committed",
            Self::RepeatableRead => "repeatable read",
            Self::Serializable => "serializable",
        }
    }
}

/// The transaction statement that comes next, if one does.
pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Option<TransactionStatement>, PgError> {
    let statement = if parser.accept(&["BEGIN"]) {
        parser.accept_any(&["WORK", "TRANSACTION"]);
        let modes = parse_modes(parser)?;
        TransactionStatement::Begin {
            tag: "BEGIN",
            modes,
        }
    } else if parser.accept(&["START"]) {
        parser.expect(&["TRANSACTION"])?;
        let tag = "START TRANSACTION";
        let modes = parse_modes(parser)?;
        TransactionStatement::Begin { tag, modes }
    } else if parser.accept(&["COMMIT", "PREPARED"]) {
        return Ok(Some(TransactionStatement::TwoPhase("COMMIT PREPARED")));
    } else if parser.accept(&["ROLLBACK", "PREPARED"]) {
        return Ok(Some(TransactionStatement::TwoPhase("ROLLBACK PREPARED")));
    } else if parser.accept_any(&["COMMIT", "END"]) {
        let chain = parse_chain(parser)?;
        TransactionStatement::Commit { chain }
    } else if parser.accept_any(&["ROLLBACK", "ABORT"]) {
        parse_rollback(parser)?
    } else if parser.accept(&["SAVEPOINT"]) {
        TransactionStatement::Savepoint(parser.name()?)
    } else if parser.accept(&["RELEASE"]) {
        parser.accept(&["SAVEPOINT"]);
        TransactionStatement::Release(parser.name()?)
    } else {
        return Ok(None);
    };
    parser.end()?;
    Ok(Some(statement))
}

fn parse_rollback(parser: &mut Parser<'_>) -> Result<TransactionStatement, PgError> {
    parser.accept_any(&["WORK", "TRANSACTION"]);
    if parser.accept(&["TO"]) {
        parser.accept(&["SAVEPOINT"]);
        return Ok(TransactionStatement::RollbackTo(parser.name()?));
    }
    let chain = parse_chain(parser)?;
    Ok(TransactionStatement::Rollback { chain })
}

fn parse_chain(parser: &mut Parser<'_>) -> Result<bool, PgError> {
    parser.accept_any(&["WORK", "TRANSACTION"]);
    if !parser.accept(&["AND"]) {
        return Ok(false);
    }
    let chain = !parser.accept(&["NO"]);
    parser.expect(&["CHAIN"])?;
    Ok(chain)
}

/// Modes up to the end of the statement, with or without commas between them.
pub(super) fn parse_modes(parser: &mut Parser<'_>) -> Result<Modes, PgError> {
    let mut modes = Modes::default();
    while !parser.is_at_end() {
        if parser.accept(&["ISOLATION", "LEVEL"]) {
            modes.isolation = Some(parse_isolation(parser)?);
        } else if parser.accept(&["READ", "ONLY"]) {
            modes.read_only = Some(true);
        } else if parser.accept(&["READ", "WRITE"]) {
            modes.read_only = Some(false);
        } else if parser.accept(&["DEFERRABLE"]) {
            modes.deferrable = Some(true);
        } else if parser.accept(&["NOT", "DEFERRABLE"]) {
            modes.deferrable = Some(false);
        } else {
            return Err(parser.error());
        }
        if parser.accept_symbol(',') && parser.is_at_end() {
            return Err(parser.error());
        }
    }
    Ok(modes)
}

fn parse_isolation(parser: &mut Parser<'_>) -> Result<Isolation, PgError> {
    for (words, level) in [
        (&["READ", "UNCOMMITTED"][..], Isolation::ReadUncommitted),
        (&["READ", "COMMITTED"], Isolation::ReadCommitted),
        (&["REPEATABLE", "READ"], Isolation::RepeatableRead),
        (&["SERIALIZABLE"], Isolation::Serializable),
    ] {
        if parser.accept(words) {
            return Ok(level);
        }
    }
    Err(parser.error())
}

/// A level as a value of a setting.
pub(super) fn is_literal(token: Option<&Token>) -> bool {
    matches!(token, Some(Token::Literal(_)))
}
