//! A slot's name, checked once and cheap to copy.

use std::fmt;
use std::sync::Arc;

/// A slot's name: `[a-z0-9_]{1,63}`. Copies share the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotName(Arc<str>);

/// Not a slot name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotNameError {
    /// Empty.
    #[error("replication slot name \"{0}\" is too short")]
    TooShort(String),
    /// Longer than 63 bytes.
    #[error("replication slot name \"{0}\" is too long")]
    TooLong(String),
    /// A character that is not allowed.
    #[error("replication slot name \"{0}\" contains invalid character")]
    InvalidCharacter(String),
}

impl SlotName {
    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, SlotNameError> {
        if name.is_empty() {
            return Err(SlotNameError::TooShort(name.to_owned()));
        }
        if name.len() > 63 {
            return Err(SlotNameError::TooLong(name.to_owned()));
        }
        if !name
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        {
            return Err(SlotNameError::InvalidCharacter(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_postgresqls() {
        assert_eq!(SlotName::parse("orders_2").unwrap().as_str(), "orders_2");
        assert!(SlotName::parse(&"x".repeat(63)).is_ok());
        assert!(matches!(
            SlotName::parse(""),
            Err(SlotNameError::TooShort(_))
        ));
        assert!(matches!(
            SlotName::parse(&"x".repeat(64)),
            Err(SlotNameError::TooLong(_))
        ));
        for bad in ["Orders", "a-b", "a b", "a\"b", "é"] {
            assert!(matches!(
                SlotName::parse(bad),
                Err(SlotNameError::InvalidCharacter(_))
            ));
        }
    }
}
