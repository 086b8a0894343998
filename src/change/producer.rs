//! Who numbers its records: a producer that names itself, and the rising number of each record.

use std::fmt;
use std::sync::Arc;

/// The longest name, bytes.
const MAX_NAME: usize = 63;

/// The name of a producer: 1 to 63 bytes of text without control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerName(Arc<str>);

/// Not a producer's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("producer name is {0}")]
pub struct ProducerNameError(&'static str);

impl ProducerName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, ProducerNameError> {
        if name.is_empty() {
            return Err(ProducerNameError("empty"));
        }
        if name.len() > MAX_NAME {
            return Err(ProducerNameError("longer than 63 bytes"));
        }
        if name.contains(char::is_control) {
            return Err(ProducerNameError(
                "not plain text: it contains a control character",
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProducerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record's place among all records of its producer. Numbers rise from record to record; gaps
/// are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Who made it.
    pub producer: ProducerName,
    /// Its number.
    pub seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_63_bytes_of_text() {
        let longest = "x".repeat(63);
        for name in ["a", "Bestellungen äöü", "a.b/c:1", longest.as_str()] {
            assert_eq!(ProducerName::parse(name).unwrap().as_str(), name);
        }
        let long = "x".repeat(64);
        for name in ["", "a\0", "a\nb", "ä\u{7f}", long.as_str()] {
            assert!(ProducerName::parse(name).is_err(), "{name:?}");
        }
    }
}
