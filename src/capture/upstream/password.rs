//! The password for an upstream, read at the moment it is needed.

use std::fmt;
use std::sync::Arc;

use super::{UpstreamError, on_thread};
use crate::captures::PasswordSource;

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::capture) struct Secret(Arc<str>);

impl Secret {
    pub(super) fn new(text: String) -> Self {
        Self(text.into())
    }

    /// The text itself, for the connection alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Reads it from where it is.
pub(super) async fn read(source: &PasswordSource) -> Result<Secret, UpstreamError> {
    let source = source.clone();
    on_thread(move || read_now(&source)).await?
}

fn read_now(source: &PasswordSource) -> Result<Secret, UpstreamError> {
    match source {
        PasswordSource::None => Ok(Secret::new(String::new())),
        PasswordSource::File(path) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path).map_err(|error| {
                UpstreamError::new(format!("cannot read the password file {shown}: {error}"))
            })?;
            let line = text.lines().next().unwrap_or_default();
            if line.is_empty() {
                let words = format!("the password file {shown} is empty");
                return Err(UpstreamError::new(words));
            }
            Ok(Secret::new(line.to_owned()))
        }
        PasswordSource::Environment(name) => {
            let value = std::env::var(name).map_err(|_| {
                UpstreamError::new(format!(
                    "the environment variable \"{name}\" for the password is not set"
                ))
            })?;
            Ok(Secret::new(value))
        }
    }
}
