//! Values while a filter is evaluated.

use std::borrow::Cow;

use crate::datum::{Datum, DatumError, NoNames, Numeric, PgType, Style, text_in};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'v> {
    Null,
    Bool(bool),
    /// Integers, times and log positions in their stored form.
    Int(i64),
    Float(f64),
    Numeric(Numeric),
    /// Text, and all that is compared by reading its text.
    Text(Cow<'v, str>),
    Bytes(Cow<'v, [u8]>),
}

impl<'v> Value<'v> {
    /// Reads a value as PostgreSQL prints it.
    pub(super) fn read(ty: PgType, text: &'v str) -> Result<Self, DatumError> {
        match ty {
            PgType::NUMERIC => Numeric::parse(text).map(Self::Numeric),
            PgType::BOOL
            | PgType::INT2
            | PgType::INT4
            | PgType::INT8
            | PgType::OID
            | PgType::XID8
            | PgType::PG_LSN
            | PgType::FLOAT4
            | PgType::FLOAT8
            | PgType::DATE
            | PgType::TIME
            | PgType::TIMESTAMP
            | PgType::TIMESTAMPTZ
            | PgType::INTERVAL
            | PgType::BYTEA => {
                let datum = text_in(ty, text, &NoNames, &Style::utc(0))?;
                Ok(match datum {
                    Datum::Null => Self::Null,
                    Datum::Int(value) if ty == PgType::BOOL => Self::Bool(value != 0),
                    Datum::Int(value) => Self::Int(value),
                    Datum::Float(value) => Self::Float(value),
                    Datum::Text(text) => Self::Text(Cow::Owned(text)),
                    Datum::Bytes(bytes) => Self::Bytes(Cow::Owned(bytes)),
                })
            }
            _ => Ok(Self::Text(Cow::Borrowed(text))),
        }
    }

    /// A truth value; `None` is unknown.
    pub(super) const fn of_truth(truth: Option<bool>) -> Self {
        match truth {
            Some(value) => Self::Bool(value),
            None => Self::Null,
        }
    }

    /// The truth value; `None` is unknown.
    pub(super) const fn truth(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Null
            | Self::Int(_)
            | Self::Float(_)
            | Self::Numeric(_)
            | Self::Text(_)
            | Self::Bytes(_) => None,
        }
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The same, borrowed.
    pub(super) fn by_ref(&'v self) -> Self {
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Int(value) => Self::Int(*value),
            Self::Float(value) => Self::Float(*value),
            Self::Numeric(value) => Self::Numeric(value.clone()),
            Self::Text(text) => Self::Text(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
        }
    }

    /// The same, owning what it borrowed.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Float(value) => Value::Float(value),
            Self::Numeric(value) => Value::Numeric(value),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        }
    }
}

/// A value is not what its type says: a fault of ours that ends the stream rather than the server.
pub(super) fn misplaced(what: &str) -> DatumError {
    DatumError::Stored(what.to_owned())
}
