//! Captured databases: what was asked wrongly of them, and upstreams that cannot be followed.

use super::PgError;
use crate::capture::{ConninfoError, UpstreamError};
use crate::captures::CaptureOptionError;

impl From<CaptureOptionError> for PgError {
    fn from(error: CaptureOptionError) -> Self {
        let message = error.to_string();
        match error {
            CaptureOptionError::Slot(error) => error.into(),
            CaptureOptionError::Unknown(_)
            | CaptureOptionError::Twice(_)
            | CaptureOptionError::Missing(_)
            | CaptureOptionError::TwoPasswords
            | CaptureOptionError::NotBoolean(_) => Self::error("42601", message),
            CaptureOptionError::Publications(_)
            | CaptureOptionError::Heartbeat(_)
            | CaptureOptionError::ShortHeartbeat(_)
            | CaptureOptionError::Empty(_) => Self::error("22023", message),
        }
    }
}

impl From<ConninfoError> for PgError {
    fn from(error: ConninfoError) -> Self {
        let message = error.to_string();
        match error {
            ConninfoError::Syntax(_) => Self::error(
                "42601",
                format!("invalid connection string syntax: {message}"),
            ),
            ConninfoError::Password(_) => Self::error("22023", message).with_hint(
                "Put the password into a file or an environment variable of the server, and name \
                 it: password_file = '/etc/pgspool/shop.pw', or password_env = 'SHOP_PASSWORD'.",
            ),
            ConninfoError::UnknownOption(_)
            | ConninfoError::Value(_)
            | ConninfoError::Ports { .. }
            | ConninfoError::HostAndAddress
            | ConninfoError::NoDatabase
            | ConninfoError::UnixSocket => Self::error("22023", message),
            ConninfoError::Unsupported(_) => Self::unsupported(message),
        }
    }
}

impl From<UpstreamError> for PgError {
    fn from(error: UpstreamError) -> Self {
        let message = format!("could not connect to the upstream: {error}");
        Self::error("08006", message).with_hint(
            "\"pgspool capture check\" says what is missing there; with connect = false the \
             database is made all the same, and goes on trying.",
        )
    }
}
