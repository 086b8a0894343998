//! Errors of making and dropping databases, and of their captures.

use std::error::Error;
use std::io;

use super::PgError;
use crate::engine::{CreateDatabaseError, DropDatabaseError, OpenError, PersistCaptureError};

impl From<CreateDatabaseError> for PgError {
    fn from(error: CreateDatabaseError) -> Self {
        let message = with_causes(&error);
        match error {
            CreateDatabaseError::Exists(_) => Self::error("42P04", message),
            CreateDatabaseError::Open(error) => Self::error(open_code(&error), message),
        }
    }
}

const fn open_code(error: &OpenError) -> &'static str {
    match error {
        OpenError::InvalidName(_) => "42602",
        OpenError::TooManyDatabases { .. } => "53400",
        OpenError::Commit(_) => "22023",
        OpenError::Locked(_) => "55006",
        OpenError::Io { .. }
        | OpenError::Roles(_)
        | OpenError::Spool { .. }
        | OpenError::Slots { .. }
        | OpenError::Relations { .. }
        | OpenError::Define { .. }
        | OpenError::Producers { .. }
        | OpenError::Capture { .. }
        | OpenError::Stray(_) => "58030",
    }
}

impl From<DropDatabaseError> for PgError {
    fn from(error: DropDatabaseError) -> Self {
        let message = error.to_string();
        match error {
            DropDatabaseError::Unknown(_) => Self::error("3D000", message),
            DropDatabaseError::Default(_) => Self::error("42809", message),
            DropDatabaseError::InUse { num_sessions, .. } => {
                let detail = match num_sessions {
                    0 => "A stream uses one of its replication slots.".to_owned(),
                    1 => "There is 1 other session using the database.".to_owned(),
                    more => format!("There are {more} other sessions using the database."),
                };
                Self::error("55006", message).with_detail(detail)
            }
            DropDatabaseError::Io { source, .. } => {
                Self::error("58030", format!("{message}: {source}"))
            }
        }
    }
}

impl From<PersistCaptureError> for PgError {
    fn from(error: PersistCaptureError) -> Self {
        let code = if error.kind == io::ErrorKind::StorageFull {
            "53100"
        } else {
            "58030"
        };
        Self::error(code, error.to_string())
    }
}

/// An error with its causes.
fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}
