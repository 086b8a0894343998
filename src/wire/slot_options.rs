//! The options of CREATE_REPLICATION_SLOT: what is written there into what is meant.
//!
//! Both spellings give the same list of options: the parenthesised one of PostgreSQL 15 and the
//! legacy keywords. Checks, their order and their words are PostgreSQL 15's.

use super::command::{CommandError, CommandErrorKind, SnapshotAction};
use super::lexer::{Token, folded};
use super::parser::Parser;

/// Which kind of slot the options belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SlotKind {
    Logical,
    Physical,
}

/// What the options ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SlotOptions {
    pub(super) snapshot: SnapshotAction,
    pub(super) two_phase: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Absent,
    Text(String),
    Number(u32),
}

#[derive(Debug)]
struct RawOption {
    name: String,
    value: Value,
}

impl SlotOptions {
    /// Reads the options that stand at the end of the command.
    pub(super) fn parse(parser: &mut Parser<'_>, kind: SlotKind) -> Result<Self, CommandError> {
        let raw = match parser.option_list(generic_option)? {
            Some(options) => options,
            None => legacy_options(parser)?,
        };
        parser.finish()?;
        Self::from_raw(&raw, kind)
    }

    fn from_raw(raw: &[RawOption], kind: SlotKind) -> Result<Self, CommandError> {
        let mut snapshot = None;
        let mut two_phase = None;
        let mut reserve_wal = None;
        for option in raw {
            match option.name.as_str() {
                "snapshot" => {
                    only_once(snapshot.is_some(), kind == SlotKind::Logical)?;
                    snapshot = Some(option.snapshot_action()?);
                }
                "two_phase" => {
                    only_once(two_phase.is_some(), kind == SlotKind::Logical)?;
                    two_phase = Some(option.boolean()?);
                }
                "reserve_wal" => {
                    only_once(reserve_wal.is_some(), kind == SlotKind::Physical)?;
                    reserve_wal = Some(option.boolean()?);
                }
                name => {
                    return Err(CommandError {
                        kind: CommandErrorKind::UnrecognizedOption,
                        message: format!("unrecognized option: {name}"),
                    });
                }
            }
        }
        Ok(Self {
            snapshot: snapshot.unwrap_or_default(),
            two_phase: two_phase.unwrap_or(false),
        })
    }
}

impl RawOption {
    fn snapshot_action(&self) -> Result<SnapshotAction, CommandError> {
        let action = match &self.value {
            Value::Absent => {
                let message = format!("{} requires a parameter", self.name);
                return Err(CommandError::syntax(message));
            }
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
        };
        match action.as_str() {
            "export" => Ok(SnapshotAction::Export),
            "nothing" => Ok(SnapshotAction::Nothing),
            "use" => Ok(SnapshotAction::Use),
            other => Err(CommandError {
                kind: CommandErrorKind::InvalidValue,
                message: format!(
                    "unrecognized value for CREATE_REPLICATION_SLOT option \"{}\": \"{other}\"",
                    self.name
                ),
            }),
        }
    }

    fn boolean(&self) -> Result<bool, CommandError> {
        let is = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
        match &self.value {
            Value::Absent | Value::Number(1) => Ok(true),
            Value::Number(0) => Ok(false),
            Value::Text(text) if is(text, "true") || is(text, "on") => Ok(true),
            Value::Text(text) if is(text, "false") || is(text, "off") => Ok(false),
            Value::Text(_) | Value::Number(_) => {
                let message = format!("{} requires a Boolean value", self.name);
                Err(CommandError::syntax(message))
            }
        }
    }
}

fn only_once(given: bool, fits_the_kind: bool) -> Result<(), CommandError> {
    if given || !fits_the_kind {
        let message = "conflicting or redundant options".to_owned();
        return Err(CommandError::syntax(message));
    }
    Ok(())
}

/// Reads an option for its grammar only.
pub(super) fn skip_generic_option(parser: &mut Parser<'_>) -> Result<(), CommandError> {
    generic_option(parser).map(drop)
}

/// `name`, `name word`, `name 'literal'` or `name 1`. Here a keyword may be a name.
fn generic_option(parser: &mut Parser<'_>) -> Result<RawOption, CommandError> {
    let name = match parser.current() {
        Token::Word(word) => folded(word),
        Token::QuotedName(name) => name.clone(),
        Token::Literal(_)
        | Token::Number(_)
        | Token::Position(_)
        | Token::Symbol(_)
        | Token::End => return Err(parser.syntax_error()),
    };
    parser.advance()?;
    let value = match parser.current() {
        Token::Word(_) | Token::QuotedName(_) => Value::Text(parser.name()?),
        Token::Literal(text) => {
            let text = text.clone();
            parser.advance()?;
            Value::Text(text)
        }
        Token::Number(_) => Value::Number(parser.number()?),
        Token::Position(_) | Token::Symbol(_) | Token::End => Value::Absent,
    };
    Ok(RawOption { name, value })
}

/// PostgreSQL 14's spelling: bare keywords, in any order.
fn legacy_options(parser: &mut Parser<'_>) -> Result<Vec<RawOption>, CommandError> {
    let mut options = Vec::new();
    loop {
        let (name, value) = if parser.accept_keyword("EXPORT_SNAPSHOT")? {
            ("snapshot", Value::Text("export".to_owned()))
        } else if parser.accept_keyword("NOEXPORT_SNAPSHOT")? {
            ("snapshot", Value::Text("nothing".to_owned()))
        } else if parser.accept_keyword("USE_SNAPSHOT")? {
            ("snapshot", Value::Text("use".to_owned()))
        } else if parser.accept_keyword("RESERVE_WAL")? {
            ("reserve_wal", Value::Absent)
        } else if parser.accept_keyword("TWO_PHASE")? {
            ("two_phase", Value::Absent)
        } else {
            return Ok(options);
        };
        options.push(RawOption {
            name: name.to_owned(),
            value,
        });
    }
}
