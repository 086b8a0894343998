//! The one place that turns our errors into PostgreSQL's: SQLSTATE, message, detail, hint.
//!
//! Every match over our own errors is exhaustive, so that a new variant needs a decision here.

mod captures;
mod databases;
mod define;
mod publications;
mod roles;
mod rows;

use std::fmt;
use std::io;

use pgwire::error::{ErrorInfo, SEVERITY_ERROR, SEVERITY_FATAL, SEVERITY_WARNING};
use pgwire::messages::response::ErrorResponse;

use crate::change::EncodeError;
use crate::datum::DatumError;
use crate::engine::{AdvanceError, CreateSlotError, MaintainError, PublishError, SubscribeError};
use crate::lsn::Lsn;
use crate::plugins::PluginError;
use crate::replicas::{BookmarkError, QuorumTimeout, QuorumUnmet};
use crate::resume::AheadOfHead;
use crate::slots::{
    AcquireError, CreateError, DropError, InvalidationCause, OwnerError, PersistError, SlotName,
    SlotNameError, UnknownSlot,
};
use crate::sources::copy_rows::CopyError;
use crate::sources::ndjson::{LineError, RecordError};
use crate::spool::{AppendError, ReadError, WriterFailure};
use crate::wire::{CommandError, CommandErrorKind};

/// Durable here, not confirmed by those that a commit waits for. Of a class of its own: drivers and
/// pools repeat what fails with class 40 or 08, and would publish twice.
const COMMITTED_UNCONFIRMED: &str = "PS001";

/// What to do about what is committed here and not confirmed elsewhere.
const COMMITTED_HINT: &str =
    "The records are durable here and will be delivered; publishing them again would repeat them.";

/// An error as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PgError {
    fatal: bool,
    code: &'static str,
    message: String,
    detail: Option<Box<str>>,
    hint: Option<Box<str>>,
    context: Option<Box<str>>,
    /// Where in the statement's text, in characters from 1.
    position: Option<u32>,
    /// PostgreSQL names no place for it.
    is_nowhere: bool,
    /// What it is about.
    about: Option<Box<About>>,
}

/// The table that an error is about, and perhaps the column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct About {
    schema: Box<str>,
    table: Box<str>,
    column: Option<Box<str>>,
}

impl PgError {
    /// An error that ends the statement.
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            fatal: false,
            code,
            message: message.into(),
            detail: None,
            hint: None,
            context: None,
            position: None,
            is_nowhere: false,
            about: None,
        }
    }

    /// An error that ends the connection.
    pub(crate) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            fatal: true,
            ..Self::error(code, message)
        }
    }

    /// Something PostgreSQL has and pgspool has not.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::error("0A000", message)
    }

    /// PostgreSQL's answer to text that does not parse.
    pub(crate) fn syntax(near: &str) -> Self {
        let message = if near.is_empty() {
            "syntax error at end of input".to_owned()
        } else {
            format!("syntax error at or near \"{near}\"")
        };
        Self::error("42601", message)
    }

    /// The statement was cancelled by a cancel request.
    pub(crate) fn cancelled() -> Self {
        Self::error("57014", "canceling statement due to user request")
    }

    /// A slot belongs to another role.
    pub(crate) fn of_other_role(message: String) -> Self {
        let detail = "The slot belongs to another role; only that role and superusers may use it.";
        Self::error("42501", message).with_detail(detail)
    }

    /// The server stops.
    pub(crate) fn shutdown() -> Self {
        Self::fatal(
            "57P01",
            "terminating connection due to administrator command",
        )
    }

    /// The server stops and takes nobody in any more.
    pub(crate) fn shutting_down() -> Self {
        Self::fatal("57P03", "the database system is shutting down")
    }

    /// The slot was invalidated: why, what is gone, what to do next.
    pub(crate) fn invalidated(
        name: &SlotName,
        cause: InvalidationCause,
        removed_through: Lsn,
        restart_lsn: Lsn,
    ) -> Self {
        let reason = match cause {
            InvalidationCause::WalRemoved => "data that it needs was removed (wal-removed)",
            InvalidationCause::Horizon => {
                "it fell further behind than slot_retention_max_lag_lsn (horizon)"
            }
            InvalidationCause::IdleTimeout => {
                "it was not used for longer than slot_idle_timeout (idle-timeout)"
            }
        };
        Self::error(
            "55000",
            format!("cannot read from logical replication slot \"{name}\""),
        )
        .with_detail(format!(
            "The slot was invalidated because {reason}. It stood at {restart_lsn}; \
             everything up to {removed_through} is gone."
        ))
        .with_hint(
            "Drop the slot, create it again, and copy the present data anew before streaming on.",
        )
    }

    /// Committed here, not confirmed there in time; `missing` are regions without a confirmation.
    pub(crate) fn unconfirmed(timeout: &QuorumTimeout) -> Self {
        let QuorumTimeout {
            target_lsn,
            elapsed_ms,
            observed,
            required,
            regions,
        } = timeout;
        let missing = &regions.missing;
        let message =
            format!("committed here at {target_lsn}, confirmed by {observed} of {required}");
        let mut detail = format!(
            "LSN {target_lsn} has {observed} of {required} confirmations after {elapsed_ms} ms."
        );
        if !missing.is_empty() {
            detail = format!("{detail} None came from: {}.", missing.join(", "));
        }
        Self::error(COMMITTED_UNCONFIRMED, message)
            .with_detail(detail)
            .with_hint(COMMITTED_HINT)
    }

    /// Whether it says that a transaction is committed and not confirmed.
    pub(crate) fn is_committed(&self) -> bool {
        self.code == COMMITTED_UNCONFIRMED
    }

    /// What ended a wait for confirmations, where `unconfirmed` says what is committed: an error
    /// that reads as rolled back must not be told. One that ends the session stays what it is.
    pub(crate) fn of_committed(self, unconfirmed: Self) -> Self {
        if self.fatal {
            return self.with_details_of(unconfirmed);
        }
        let why = format!("The wait ended early: {}.", self.message);
        let detail = match &unconfirmed.detail {
            Some(detail) => format!("{detail} {why}"),
            None => why,
        };
        unconfirmed.with_detail(detail)
    }

    /// A new slot would start behind what its own transaction has yet to commit.
    pub(crate) fn slot_behind_writes() -> Self {
        let message =
            "cannot create logical replication slot in transaction that has performed writes";
        Self::error("25001", message)
    }

    /// The same with DETAIL and HINT of `other`.
    pub(crate) fn with_details_of(mut self, other: Self) -> Self {
        self.detail = other.detail.or(self.detail);
        self.hint = other.hint.or(self.hint);
        self
    }

    /// The same with DETAIL.
    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into().into());
        self
    }

    /// The same with `first` in front of its DETAIL.
    pub(crate) fn with_detail_first(mut self, first: String) -> Self {
        self.detail = Some(match self.detail {
            Some(detail) => format!("{first} {detail}").into(),
            None => first.into(),
        });
        self
    }

    /// The same with HINT.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into().into());
        self
    }

    /// The same with CONTEXT.
    pub(crate) fn with_context(mut self, context: impl Into<String>) -> Self {
        let context = context.into();
        self.context = Some(match self.context {
            // The innermost comes first, each on a line of its own.
            Some(inner) => format!("{inner}\n{context}").into(),
            None => context.into(),
        });
        self
    }

    /// The same with a position in the statement's text, in characters from 1; one that is there
    /// already stays.
    pub(crate) fn at(mut self, position: u32) -> Self {
        if !self.is_nowhere {
            self.position.get_or_insert(position);
        }
        self
    }

    /// The same with no position, whatever is said of one later.
    pub(crate) const fn nowhere(mut self) -> Self {
        self.is_nowhere = true;
        self
    }

    /// The same with its position moved by the characters that stand before its statement.
    pub(crate) fn moved_by(mut self, num_characters: u32) -> Self {
        self.position = self.position.map(|at| at.saturating_add(num_characters));
        self
    }

    /// SQLSTATE.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// The same, ending the connection.
    pub(crate) fn into_fatal(mut self) -> Self {
        self.fatal = true;
        self
    }

    /// The same, its message cut behind so many bytes.
    pub(crate) fn shortened(mut self, most: usize) -> Self {
        let end = self.message.floor_char_boundary(most);
        if end < self.message.len() {
            self.message.truncate(end);
            self.message.push_str("...");
        }
        self
    }

    /// Whether the connection ends with it.
    pub(crate) const fn is_fatal(&self) -> bool {
        self.fatal
    }

    /// The fields of an ErrorResponse.
    pub(crate) fn fields(&self) -> Vec<(u8, String)> {
        let severity = if self.fatal {
            SEVERITY_FATAL
        } else {
            SEVERITY_ERROR
        };
        let mut info = ErrorInfo::new(
            severity.to_owned(),
            self.code.to_owned(),
            self.message.clone(),
        );
        info.severity_nonlocalized = Some(severity.to_owned());
        info.detail = self.detail.clone().map(String::from);
        info.hint = self.hint.clone().map(String::from);
        info.where_context = self.context.clone().map(String::from);
        info.position = self.position.map(|at| at.to_string());
        let mut fields = without_zeros(info);
        if let Some(about) = self.about.as_deref() {
            fields.push((b's', about.schema.to_string()));
            fields.push((b't', about.table.to_string()));
            let column = about.column.as_ref();
            fields.extend(column.map(|column| (b'c', column.to_string())));
        }
        fields
    }

    /// The fields of a NoticeResponse of level WARNING.
    pub(crate) fn warning_fields(code: &'static str, message: &str) -> Vec<(u8, String)> {
        let mut info = ErrorInfo::new(
            SEVERITY_WARNING.to_owned(),
            code.to_owned(),
            message.to_owned(),
        );
        info.severity_nonlocalized = Some(SEVERITY_WARNING.to_owned());
        without_zeros(info)
    }
}

/// A zero byte inside a field would end it and break the message behind it.
fn without_zeros(info: ErrorInfo) -> Vec<(u8, String)> {
    let mut fields = ErrorResponse::from(info).fields;
    for (_, value) in &mut fields {
        if value.contains('\0') {
            *value = value.replace('\0', "\u{FFFD}");
        }
    }
    fields
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}

impl From<CommandError> for PgError {
    fn from(error: CommandError) -> Self {
        let code = match error.kind {
            CommandErrorKind::Syntax => "42601",
            CommandErrorKind::UnrecognizedOption => "XX000",
            CommandErrorKind::InvalidValue => "22023",
        };
        Self::error(code, error.message)
    }
}

impl From<SlotNameError> for PgError {
    fn from(error: SlotNameError) -> Self {
        let message = error.to_string();
        match error {
            SlotNameError::TooShort(_) => Self::error("42602", message),
            SlotNameError::TooLong(_) => Self::error("42622", message),
            SlotNameError::InvalidCharacter(_) => Self::error("42602", message).with_hint(
                "Replication slot names may only contain lower case letters, numbers, \
                 and the underscore character.",
            ),
        }
    }
}

impl From<CreateError> for PgError {
    fn from(error: CreateError) -> Self {
        let message = error.to_string();
        match error {
            CreateError::Exists(_) => Self::error("42710", message),
            CreateError::TooMany => Self::error("53400", message)
                .with_hint("Free one or increase max_replication_slots."),
            CreateError::Persist(error) => error.into(),
        }
    }
}

impl From<CreateSlotError> for PgError {
    fn from(error: CreateSlotError) -> Self {
        match error {
            CreateSlotError::Slot(error) => error.into(),
            CreateSlotError::Start(error) => error.into(),
            CreateSlotError::AheadOfHead(error) => error.into(),
            CreateSlotError::Spool(error) => error.into(),
            CreateSlotError::NothingReceived(_) => Self::error("55000", error.to_string())
                .with_hint("Create it when pgspool.captures shows a received_lsn."),
        }
    }
}

impl From<AheadOfHead> for PgError {
    fn from(error: AheadOfHead) -> Self {
        Self::error("55000", error.to_string()).with_hint(
            "Start at 0/0 to go on where the slot stands. A position above the head usually \
             comes from another server.",
        )
    }
}

impl From<DropError> for PgError {
    fn from(error: DropError) -> Self {
        let message = error.to_string();
        match error {
            DropError::Unknown(_) => Self::error("42704", message),
            DropError::Active { .. } => Self::error("55006", message),
            DropError::NotOwner(_) => Self::of_other_role(message),
            DropError::Persist(error) => error.into(),
        }
    }
}

impl From<AcquireError> for PgError {
    fn from(error: AcquireError) -> Self {
        let message = error.to_string();
        match error {
            AcquireError::Unknown(_) => Self::error("42704", message),
            AcquireError::Active { .. } => Self::error("55006", message),
            AcquireError::NotOwner(_) => Self::of_other_role(message),
        }
    }
}

impl From<SubscribeError> for PgError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Acquire(error) => error.into(),
            SubscribeError::Invalidated {
                name,
                cause,
                removed_through,
                restart_lsn,
            } => Self::invalidated(&name, cause, removed_through, restart_lsn),
            SubscribeError::AheadOfHead(error) => error.into(),
            SubscribeError::Read(error) => error.into(),
            SubscribeError::Persist(error) => error.into(),
        }
    }
}

impl From<AdvanceError> for PgError {
    fn from(error: AdvanceError) -> Self {
        let message = error.to_string();
        match error {
            AdvanceError::Acquire(error) => error.into(),
            AdvanceError::Backwards { .. } => Self::error("55000", message),
            AdvanceError::Invalidated { cause, .. } => Self::error("55000", message)
                .with_detail(format!("The slot was invalidated ({cause})."))
                .with_hint("Drop the slot and create it again."),
            AdvanceError::Maintain(error) => error.into(),
        }
    }
}

impl From<MaintainError> for PgError {
    fn from(error: MaintainError) -> Self {
        match error {
            MaintainError::Slots(error) => error.into(),
            MaintainError::Producers(error) => Self::error("58030", error.to_string()),
            MaintainError::Spool(error) => error.into(),
        }
    }
}

impl From<OwnerError> for PgError {
    fn from(error: OwnerError) -> Self {
        match error {
            OwnerError::Unknown(error) => error.into(),
            OwnerError::Persist(error) => error.into(),
        }
    }
}

impl From<UnknownSlot> for PgError {
    fn from(error: UnknownSlot) -> Self {
        Self::error("42704", error.to_string())
    }
}

impl From<BookmarkError> for PgError {
    fn from(error: BookmarkError) -> Self {
        let message = error.to_string();
        match error {
            BookmarkError::TermMismatch { .. } => Self::error("55000", message).with_hint(
                "History went on under another leader; read what is there and write again.",
            ),
            BookmarkError::Timeout { .. } => Self::error("57014", message),
        }
    }
}

impl From<PersistError> for PgError {
    fn from(error: PersistError) -> Self {
        Self::error("58030", error.to_string())
    }
}

impl From<ReadError> for PgError {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::Removed { .. } => Self::error("58P01", message),
            ReadError::Corrupt { .. } => Self::error("XX001", message)
                .with_hint("Stop the server, then run \"pgspool check\" on its data directory."),
            ReadError::Io { .. } => Self::error("58030", message),
        }
    }
}

impl From<AppendError> for PgError {
    fn from(error: AppendError) -> Self {
        let message = error.to_string();
        match error {
            AppendError::PayloadTooLarge { .. } => Self::error("54000", message),
            AppendError::LsnNotRising { .. } | AppendError::AheadOfHead { .. } => {
                Self::error("55000", message)
            }
            AppendError::Manifest {
                kind: io::ErrorKind::StorageFull,
                ..
            } => Self::error("53100", message),
            AppendError::Manifest { .. } => Self::error("58030", message),
            AppendError::Stopped(failure) => writer_stopped(&failure, message),
            AppendError::Closed => Self::error("57P03", message),
        }
    }
}

fn writer_stopped(failure: &WriterFailure, message: String) -> PgError {
    let code = if failure.kind == io::ErrorKind::StorageFull {
        "53100"
    } else {
        "58030"
    };
    PgError::error(code, message)
        .with_hint("Nothing more can be published until the server is started again.")
}

impl From<PublishError> for PgError {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        match error {
            PublishError::Append(error) => error.into(),
            PublishError::Define(error) => error.into(),
            PublishError::Buffer {
                kind: io::ErrorKind::StorageFull,
                ..
            } => Self::error("53100", message),
            PublishError::Buffer { .. } => Self::error("58030", message),
            PublishError::Throttled { .. } => Self::error("53400", message)
                .with_hint("Publish again when the replicas have caught up."),
            PublishError::TempFileLimit { .. } => Self::error("53400", message),
            PublishError::DiskFull { free, floor } => Self::error("53100", message)
                .with_detail(format!(
                    "{free} bytes are free; {floor} and what is being written are kept free."
                ))
                .with_hint(
                    "Free space on the file system, or drop replication slots that nobody needs. \
                     Reading, acknowledging and dropping slots go on, and publishing does as \
                     soon as there is space again.",
                ),
            PublishError::Row(error) => (*error).into(),
            PublishError::Identity(error) => (*error).into(),
            PublishError::Captured(_) => Self::error("55000", message)
                .with_hint("Write to the upstream; what is committed there comes here."),
            PublishError::NotCaptured(_) => Self::error("55000", message),
            PublishError::BrokenFrames => Self::error("XX000", message),
            PublishError::Overtaken { .. } => Self::error("55000", message).with_hint(
                "Nothing of the block is stored, and the same numbers would be taken for repeated \
                 ones. Let one connection at a time publish under a producer's name, and number \
                 the records anew.",
            ),
            PublishError::Encode(EncodeError::MetadataTooDeep) => Self::error("54000", message),
            PublishError::Encode(EncodeError::MessageHead)
            | PublishError::StandsAlone
            | PublishError::NumberedAtPosition
            | PublishError::Empty => Self::error("22023", message),
        }
    }
}

impl From<CopyError> for PgError {
    fn from(error: CopyError) -> Self {
        let code = match &error {
            CopyError::MissingData(_)
            | CopyError::ExtraData
            | CopyError::UnterminatedQuote
            | CopyError::StrayEnd { .. }
            | CopyError::MarkerCorrupt
            | CopyError::MarkerStyle
            | CopyError::Binary(_)
            | CopyError::Header(_) => "22P04",
            CopyError::Encoding(_) => "22021",
            CopyError::TooLong { .. } => "54000",
        };
        let made = Self::error(code, error.to_string());
        match error.hint() {
            Some(hint) => made.with_hint(hint),
            None => made,
        }
    }
}

impl From<LineError> for PgError {
    fn from(error: LineError) -> Self {
        let context = error.context();
        let error = match &error {
            LineError::Invalid { line, reason, .. } => {
                Self::error("22P02", format!("{error} on line {line}: {reason}"))
            }
            LineError::Numbering { line, .. } => {
                Self::error("22023", format!("{error} (line {line})"))
            }
            LineError::TooLong(_) => Self::error("54000", error.to_string()),
        };
        error.with_context(context)
    }
}

impl From<RecordError> for PgError {
    fn from(error: RecordError) -> Self {
        match &error {
            RecordError::Invalid(reason) => {
                let words = format!("invalid input syntax for change record: {reason}");
                Self::error("22P02", words)
            }
            RecordError::NoSeq(_) | RecordError::NoProducer => {
                Self::error("22023", error.to_string())
            }
        }
    }
}

impl From<DatumError> for PgError {
    fn from(error: DatumError) -> Self {
        let code = match &error {
            DatumError::Syntax { .. } | DatumError::Malformed { .. } => "22P02",
            DatumError::DatetimeSyntax { .. } => "22007",
            DatumError::OutOfRange { .. } | DatumError::Overflow { .. } => "22003",
            DatumError::DatetimeOverflow(_) => "22008",
            DatumError::TimeZoneDisplacement(_) => "22009",
            DatumError::UnknownTimeZone(_) | DatumError::InvalidParameter(_) => "22023",
            DatumError::TooLong(_) => "22001",
            DatumError::Encoding(_) => "22021",
            DatumError::Untranslatable(_) => "22P05",
            DatumError::TooDeep => "54001",
            DatumError::TooLarge(_) => "54000",
            DatumError::UndefinedRelation(_) => "42P01",
            DatumError::UndefinedObject { .. } => "42704",
            DatumError::UndefinedFunction(_) => "42883",
            DatumError::UndefinedSchema(_) => "3F000",
            DatumError::Binary(_) => "22P03",
            DatumError::Short => "08P01",
            DatumError::ElementType(..) => "42804",
            DatumError::Stored(_) | DatumError::JsonbVersion(_) => "XX000",
            DatumError::NoFunction(..) => "42883",
            DatumError::Unsupported(_) => "0A000",
        };
        let told = Self::error(code, error.to_string());
        match error.detail() {
            "" => told,
            detail => told.with_detail(detail),
        }
    }
}

impl From<QuorumUnmet> for PgError {
    fn from(error: QuorumUnmet) -> Self {
        let message = format!("committed here, but not confirmed: {error}");
        match error {
            QuorumUnmet::InsufficientReplicas { .. } | QuorumUnmet::MissingRegions { .. } => {
                Self::error(COMMITTED_UNCONFIRMED, message).with_hint(COMMITTED_HINT)
            }
        }
    }
}

impl From<PluginError> for PgError {
    fn from(error: PluginError) -> Self {
        let message = error.to_string();
        match error {
            PluginError::UnknownPlugin(_) => Self::error("58P01", message).with_hint(
                "pgspool has the output plugins json, pgoutput, test_decoding and wal2json.",
            ),
            PluginError::InvalidOption(_) => Self::error("22023", message),
            PluginError::InvalidName(_) => Self::error("42602", message),
            PluginError::Unsupported(_) => Self::unsupported(message),
            PluginError::Syntax(_) => Self::error("42601", message),
            PluginError::UnknownOption(_) => Self::error("XX000", message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_as_postgresql_orders_them() {
        let error = PgError::fatal("08P01", "broken\0here").with_hint("h");
        let fields: Vec<(char, String)> = error
            .fields()
            .into_iter()
            .map(|(code, value)| (char::from(code), value))
            .collect();
        let expected = [
            ('S', "FATAL"),
            ('V', "FATAL"),
            ('C', "08P01"),
            ('M', "broken\u{FFFD}here"),
            ('H', "h"),
        ];
        assert_eq!(
            fields,
            expected.map(|(code, value)| (code, value.to_owned()))
        );
    }

    #[test]
    fn an_invalidated_slot_says_why_what_is_gone_and_what_to_do() {
        let name = SlotName::parse("warehouse").unwrap();
        let error = PgError::invalidated(
            &name,
            InvalidationCause::WalRemoved,
            Lsn::new(0x200),
            Lsn::new(0x100),
        );
        let detail = error.detail.unwrap();
        assert!(detail.contains("wal-removed") && detail.contains("0/200"));
        assert!(detail.contains("0/100") && error.hint.unwrap().contains("create it again"));
    }
}
