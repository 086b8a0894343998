//! The replication commands: a query string into a [`ReplicationCommand`].
//!
//! The grammar is PostgreSQL 15's, and as there the first word decides whether a query is a
//! replication command at all. Any input gives a command, an error or "not for me"; nothing
//! panics, and time is linear in the text. It does not say which commands are carried out.

use super::lexer::Token;
use super::parser::Parser;
use super::slot_options::{SlotKind, SlotOptions, skip_generic_option};
use crate::lsn::Lsn;

/// A name and its value, as START_REPLICATION and CREATE_REPLICATION_SLOT carry them.
pub type CommandOption = (String, Option<String>);

/// What SNAPSHOT asks of CREATE_REPLICATION_SLOT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SnapshotAction {
    /// Export a snapshot under a name (PostgreSQL's default).
    #[default]
    Export,
    /// Use it in the running transaction.
    Use,
    /// None.
    Nothing,
}

/// One replication command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicationCommand {
    /// IDENTIFY_SYSTEM
    IdentifySystem,
    /// SHOW name
    Show(String),
    /// CREATE_REPLICATION_SLOT ... LOGICAL
    CreateLogicalSlot {
        /// Slot.
        slot: String,
        /// TEMPORARY
        temporary: bool,
        /// Output plugin.
        plugin: String,
        /// SNAPSHOT
        snapshot: SnapshotAction,
        /// TWO_PHASE
        two_phase: bool,
    },
    /// CREATE_REPLICATION_SLOT ... PHYSICAL
    CreatePhysicalSlot {
        /// Slot.
        slot: String,
    },
    /// DROP_REPLICATION_SLOT
    DropSlot {
        /// Slot.
        slot: String,
        /// WAIT
        wait: bool,
    },
    /// READ_REPLICATION_SLOT
    ReadSlot {
        /// Slot.
        slot: String,
    },
    /// START_REPLICATION SLOT ... LOGICAL
    StartLogical {
        /// Slot.
        slot: String,
        /// Start position.
        start: Lsn,
        /// Options in order.
        options: Vec<CommandOption>,
    },
    /// START_REPLICATION without LOGICAL
    StartPhysical,
    /// BASE_BACKUP
    BaseBackup,
    /// TIMELINE_HISTORY
    TimelineHistory(u32),
}

/// What is wrong with a replication command. PostgreSQL's SQLSTATE for each is named for the
/// floor that maps errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandErrorKind {
    /// It is not in the grammar, or its options conflict (42601).
    Syntax,
    /// An option of CREATE_REPLICATION_SLOT that does not exist (PostgreSQL 15: XX000).
    UnrecognizedOption,
    /// An option with a value that does not exist (22023).
    InvalidValue,
}

/// A replication command that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// What is wrong.
    pub kind: CommandErrorKind,
    /// PostgreSQL's words, for example `syntax error at or near "FOO"`.
    pub message: String,
}

impl CommandError {
    pub(super) const fn syntax(message: String) -> Self {
        Self {
            kind: CommandErrorKind::Syntax,
            message,
        }
    }
}

impl ReplicationCommand {
    /// Parses a query string of a replication connection. `Ok(None)`: not a replication command,
    /// so plain SQL.
    ///
    /// The words that begin a command are taken in any case. PostgreSQL knows them in upper case
    /// only and reads anything else as SQL, where but `show` none of them exists: a `show` that
    /// is not written `SHOW` and is not `show name` is left to SQL
    /// (`show transaction isolation level`).
    pub fn parse(text: &str) -> Result<Option<Self>, CommandError> {
        // A first token that cannot even be read is no command either: SQL complains about it.
        let Ok(mut parser) = Parser::new(text) else {
            return Ok(None);
        };
        let Token::Word(first) = *parser.current() else {
            return Ok(None);
        };
        let rule: fn(&mut Parser<'_>) -> Result<Self, CommandError> =
            match first.to_ascii_uppercase().as_str() {
                "IDENTIFY_SYSTEM" => identify_system,
                "SHOW" => show,
                "CREATE_REPLICATION_SLOT" => create_replication_slot,
                "DROP_REPLICATION_SLOT" => drop_replication_slot,
                "READ_REPLICATION_SLOT" => read_replication_slot,
                "START_REPLICATION" => start_replication,
                "BASE_BACKUP" => base_backup,
                "TIMELINE_HISTORY" => timeline_history,
                _ => return Ok(None),
            };
        let command = parser.advance().and_then(|_| rule(&mut parser));
        if command.is_err() && first != "SHOW" && first.eq_ignore_ascii_case("SHOW") {
            return Ok(None);
        }
        command.map(Some)
    }
}

fn identify_system(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    parser.finish()?;
    Ok(ReplicationCommand::IdentifySystem)
}

fn show(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    let name = parser.dotted_name()?;
    parser.finish()?;
    Ok(ReplicationCommand::Show(name))
}

/// `slot [TEMPORARY] LOGICAL plugin [options]` or `slot [TEMPORARY] PHYSICAL [options]`.
fn create_replication_slot(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    let slot = parser.name()?;
    let temporary = parser.accept_keyword("TEMPORARY")?;
    if parser.accept_keyword("PHYSICAL")? {
        SlotOptions::parse(parser, SlotKind::Physical)?;
        return Ok(ReplicationCommand::CreatePhysicalSlot { slot });
    }
    if !parser.accept_keyword("LOGICAL")? {
        return Err(parser.syntax_error());
    }
    let plugin = parser.name()?;
    let options = SlotOptions::parse(parser, SlotKind::Logical)?;
    Ok(ReplicationCommand::CreateLogicalSlot {
        slot,
        temporary,
        plugin,
        snapshot: options.snapshot,
        two_phase: options.two_phase,
    })
}

/// `slot [WAIT]`.
fn drop_replication_slot(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    let slot = parser.name()?;
    let wait = parser.accept_keyword("WAIT")?;
    parser.finish()?;
    Ok(ReplicationCommand::DropSlot { slot, wait })
}

fn read_replication_slot(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    let slot = parser.dotted_name()?;
    parser.finish()?;
    Ok(ReplicationCommand::ReadSlot { slot })
}

/// `SLOT slot LOGICAL X/X [(options)]` or `[SLOT slot] [PHYSICAL] X/X [TIMELINE n]`.
fn start_replication(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    if parser.accept_keyword("SLOT")? {
        let slot = parser.name()?;
        if parser.accept_keyword("LOGICAL")? {
            let start = parser.position()?;
            let options = parser.option_list(Parser::plugin_option)?;
            parser.finish()?;
            return Ok(ReplicationCommand::StartLogical {
                slot,
                start,
                options: options.unwrap_or_default(),
            });
        }
    }
    parser.accept_keyword("PHYSICAL")?;
    parser.position()?;
    if parser.accept_keyword("TIMELINE")? {
        timeline(parser)?;
    }
    parser.finish()?;
    Ok(ReplicationCommand::StartPhysical)
}

/// `[(options)]`; the options are read for their grammar only.
fn base_backup(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    parser.option_list(skip_generic_option)?;
    parser.finish()?;
    Ok(ReplicationCommand::BaseBackup)
}

fn timeline_history(parser: &mut Parser<'_>) -> Result<ReplicationCommand, CommandError> {
    let number = timeline(parser)?;
    parser.finish()?;
    Ok(ReplicationCommand::TimelineHistory(number))
}

fn timeline(parser: &mut Parser<'_>) -> Result<u32, CommandError> {
    match parser.number()? {
        0 => Err(CommandError::syntax("invalid timeline 0".to_owned())),
        number => Ok(number),
    }
}
