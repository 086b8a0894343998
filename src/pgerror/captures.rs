//! Captured databases: what was asked wrongly of them, and upstreams that cannot be followed.

use super::PgError;
use crate::capture::{ConninfoError, NoContact};
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

impl From<NoContact> for PgError {
    fn from(error: NoContact) -> Self {
        const CHECK: &str = "\"pgspool capture check\" says what is missing there.";
        const RETRY: &str = "\"pgspool capture check\" says what is missing there; with connect = \
                             false the database is made all the same, and goes on trying.";
        match error {
            NoContact::Failed(error) if error.is_connecting() => {
                let message = format!("could not connect to the upstream: {error}");
                Self::error("08006", message).with_hint(RETRY)
            }
            NoContact::Failed(error) => {
                let message = format!("could not follow the upstream: {error}");
                let code = error.sqlstate().map_or("55000", of_upstream);
                Self::error(code, message).with_hint(RETRY)
            }
            NoContact::DiskFull(error) => {
                Self::error("53100", format!("could not follow the upstream: {error}"))
            }
            NoContact::Stopped(message) => {
                let message = format!("could not follow the upstream: {message}");
                Self::error("55000", message).with_hint(CHECK)
            }
        }
    }
}

/// The upstream's SQLSTATE where it may be ours too: those about a connection or a server that ends
/// would be taken for this one's.
fn of_upstream(code: &str) -> &'static str {
    const KEPT: &[&str] = &[
        "0A000", "22023", "42501", "42601", "42704", "42710", "53000", "53100", "53200", "53300",
        "53400", "54000", "55000", "55006", "57014", "58P01",
    ];
    let mut kept = KEPT.iter().filter(|kept| **kept == code);
    kept.next().copied().unwrap_or("55000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_contact_that_fails_says_what_failed() {
        let stopped = PgError::from(NoContact::Stopped("no slot".to_owned()));
        assert_eq!(stopped.code, "55000");
        assert_eq!(stopped.message, "could not follow the upstream: no slot");
        assert_eq!(of_upstream("42704"), "42704");
        assert_eq!(of_upstream("57P01"), "55000");
    }
}
