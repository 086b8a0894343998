//! What an upstream answers instead of success.

use pg_walstream::ReplicationError;

/// Why an upstream cannot be reached, or refused. No password is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UpstreamError {
    message: String,
    /// What the server said it is, where it was the server.
    sqlstate: Option<String>,
    /// It sent a message that the client crate does not take, and sends it each time.
    is_too_long: bool,
}

/// What the client crate says of a message that it does not take: its length stands before that.
const TOO_LONG: &str = " exceeds maximum allowed ";

impl UpstreamError {
    /// With words of ours.
    pub(in crate::capture) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            sqlstate: None,
            is_too_long: false,
        }
    }

    /// Whether a message was longer than can be received: trying again is of no use.
    pub(in crate::capture) const fn is_too_long(&self) -> bool {
        self.is_too_long
    }

    /// The SQLSTATE that the server gave.
    pub fn sqlstate(&self) -> Option<&str> {
        self.sqlstate.as_deref()
    }

    /// The same with words in front of it.
    pub(in crate::capture) fn within(self, place: &str) -> Self {
        Self {
            message: format!("{place}: {}", self.message),
            ..self
        }
    }

    /// The client crate's error, without its own words and without `secret`.
    pub(super) fn of(error: &ReplicationError, secret: &str) -> Self {
        let mut text = error.to_string();
        if !secret.is_empty() {
            text = text.replace(secret, "********");
        }
        let (message, sqlstate) = plain(&text);
        let is_protocol = matches!(error, ReplicationError::Protocol(_));
        Self {
            is_too_long: is_protocol && message.contains(TOO_LONG),
            message,
            sqlstate,
        }
    }
}

/// What is said between the crate's words: `... ERROR: MESSAGE (SQLSTATE 42704)\nHINT: ...`.
fn plain(text: &str) -> (String, Option<String>) {
    const MARK: &str = " (SQLSTATE ";
    let Some((said, behind)) = text.rsplit_once(MARK) else {
        // Two words about its kind stand in front.
        let kinds = [
            "Transient connection error: ",
            "Permanent connection error: ",
            "Replication connection error: ",
            "Protocol parsing error: ",
            "Configuration error: ",
            "IO error: ",
        ];
        let bare = kinds.iter().find_map(|kind| text.strip_prefix(kind));
        return (bare.unwrap_or(text).to_owned(), None);
    };
    let sqlstate = behind.get(..5).map(str::to_owned);
    let levels = ["FATAL: ", "ERROR: ", "PANIC: "];
    let start = levels.iter().filter_map(|level| said.find(level)).min();
    let mut message = said.get(start.unwrap_or(0)..).unwrap_or(said).to_owned();
    let more = behind
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("ROUTINE:"));
    for line in more {
        message.push_str("; ");
        message.push_str(line);
    }
    (message, sqlstate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_kept_and_the_crates_are_not() {
        let error = ReplicationError::ReplicationSlot(
            "Query execution failed: ERROR: replication slot \"s\" does not exist (SQLSTATE 42704)\
             \nHINT: make one\nROUTINE: ReplicationSlotAcquire"
                .to_owned(),
        );
        let error = UpstreamError::of(&error, "");
        assert_eq!(error.sqlstate(), Some("42704"));
        let wanted = "ERROR: replication slot \"s\" does not exist; HINT: make one";
        assert_eq!(error.to_string(), wanted);
        let error = ReplicationError::TransientConnection("refused by S3cret".to_owned());
        let error = UpstreamError::of(&error, "S3cret");
        assert_eq!(error.to_string(), "refused by ********");
        assert_eq!(error.sqlstate(), None);
    }

    #[test]
    fn a_message_that_is_too_long_is_told_from_what_passes() {
        let words = "message length 209715262 exceeds maximum allowed 134217728 bytes";
        let error = ReplicationError::Protocol(words.to_owned());
        assert!(UpstreamError::of(&error, "").is_too_long());
        let error = ReplicationError::TransientConnection(words.to_owned());
        assert!(!UpstreamError::of(&error, "").is_too_long());
        let error = ReplicationError::Protocol("expected 'R', got 'X'".to_owned());
        assert!(!UpstreamError::of(&error, "").is_too_long());
    }
}
