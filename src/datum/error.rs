//! Why a text, bytes or a value are not a value of a type.

/// Why a text or bytes are not a value of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatumError {
    /// Does not parse (22P02).
    #[error("invalid input syntax for type {type_name}: \"{text}\"")]
    Syntax {
        /// Type as PostgreSQL prints it.
        type_name: String,
        /// The input.
        text: String,
    },
    /// Does not parse, and there is more to say about it (22P02).
    #[error("{message}")]
    Malformed {
        /// What is wrong.
        message: String,
        /// Where or why; empty for nothing.
        detail: String,
    },
    /// A date or time does not parse (22007).
    #[error("invalid input syntax for type {type_name}: \"{text}\"")]
    DatetimeSyntax {
        /// Type.
        type_name: String,
        /// The input.
        text: String,
    },
    /// Parses, and does not fit (22003).
    #[error("value \"{text}\" is out of range for type {type_name}")]
    OutOfRange {
        /// Type.
        type_name: String,
        /// The input.
        text: String,
    },
    /// A number does not fit, said in words of its own (22003).
    #[error("{message}")]
    Overflow {
        /// What does not fit.
        message: String,
        /// The rule; empty for nothing.
        detail: String,
    },
    /// A date or time does not fit (22008).
    #[error("{0}")]
    DatetimeOverflow(String),
    /// An offset from UTC that no zone has (22009).
    #[error("time zone displacement out of range: \"{0}\"")]
    TimeZoneDisplacement(String),
    /// No such time zone (22023).
    #[error("time zone \"{0}\" not recognized")]
    UnknownTimeZone(String),
    /// Longer than its type modifier allows (22001).
    #[error("value too long for type {0}")]
    TooLong(String),
    /// Not UTF-8, or a character that no text may have (22021).
    #[error("invalid byte sequence for encoding \"UTF8\": {0}")]
    Encoding(String),
    /// An escape for a character that no text may have (22P05).
    #[error("unsupported Unicode escape sequence")]
    Untranslatable(String),
    /// A parameter that means nothing (22023).
    #[error("{0}")]
    InvalidParameter(String),
    /// Nested too deeply (54001).
    #[error("stack depth limit exceeded")]
    TooDeep,
    /// An array of more than it may have (54000).
    #[error("{0}")]
    TooLarge(String),
    /// No relation of that name (42P01).
    #[error("relation \"{0}\" does not exist")]
    UndefinedRelation(String),
    /// No type, role or other object of that name (42704).
    #[error("{kind} \"{name}\" does not exist")]
    UndefinedObject {
        /// `type`, `role`, ...
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// No function of that name (42883).
    #[error("function \"{0}\" does not exist")]
    UndefinedFunction(String),
    /// No schema of that name (3F000).
    #[error("schema \"{0}\" does not exist")]
    UndefinedSchema(String),
    /// Bytes in binary form that are none (22P03).
    #[error("incorrect binary data format for type {0}")]
    Binary(String),
    /// Fewer bytes in binary form than the type has (08P01).
    #[error("insufficient data left in message")]
    Short,
    /// An array of another type in binary form (42804).
    #[error("binary data has array element type {0} instead of expected {1}")]
    ElementType(String, String),
    /// A form of jsonb that is not known (XX000).
    #[error("unsupported jsonb version number {0}")]
    JsonbVersion(u8),
    /// A value is not in the stored form of its type (XX000).
    #[error("a value is not in the stored form of type {0}")]
    Stored(String),
    /// A type that has no such form in PostgreSQL either (42883): `binary output`, and its name.
    #[error("no {0} function available for type {1}")]
    NoFunction(&'static str, String),
    /// No such form of this type here (0A000).
    #[error("{0} is not supported")]
    Unsupported(String),
}

impl DatumError {
    /// DETAIL; empty for none.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Malformed { detail, .. }
            | Self::Overflow { detail, .. }
            | Self::Untranslatable(detail) => detail,
            Self::Syntax { .. }
            | Self::DatetimeSyntax { .. }
            | Self::OutOfRange { .. }
            | Self::DatetimeOverflow(_)
            | Self::TimeZoneDisplacement(_)
            | Self::UnknownTimeZone(_)
            | Self::TooLong(_)
            | Self::Encoding(_)
            | Self::InvalidParameter(_)
            | Self::TooDeep
            | Self::TooLarge(_)
            | Self::UndefinedRelation(_)
            | Self::UndefinedObject { .. }
            | Self::UndefinedFunction(_)
            | Self::UndefinedSchema(_)
            | Self::Binary(_)
            | Self::Short
            | Self::ElementType(..)
            | Self::JsonbVersion(_)
            | Self::Stored(_)
            | Self::NoFunction(..)
            | Self::Unsupported(_) => "",
        }
    }

    pub(super) fn syntax(type_name: &str, text: &str) -> Self {
        Self::Syntax {
            type_name: type_name.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn datetime(type_name: &str, text: &str) -> Self {
        Self::DatetimeSyntax {
            type_name: type_name.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn range(type_name: &str, text: &str) -> Self {
        Self::OutOfRange {
            type_name: type_name.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) fn field_range(text: &str) -> Self {
        Self::DatetimeOverflow(format!("date/time field value out of range: \"{text}\""))
    }

    pub(super) fn overflow(message: &str) -> Self {
        Self::Overflow {
            message: message.to_owned(),
            detail: String::new(),
        }
    }
}
