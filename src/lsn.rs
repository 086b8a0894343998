//! A log position that cannot be mixed up with another number.
//!
//! Printed and parsed as PostgreSQL does (`X/X`, upper-case hexadecimal halves); stored and
//! serialised as an exact `u64`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A position in the log. `0/0` means "nothing yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(u64);

impl Lsn {
    /// `0/0`: nothing yet.
    pub const ZERO: Self = Self(0);
    /// The largest position, `FFFFFFFF/FFFFFFFF`.
    pub const MAX: Self = Self(u64::MAX);

    /// The position with the number `value`.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The position as a number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// `bytes` further on, stopping at [`Lsn::MAX`].
    pub const fn saturating_add(self, bytes: u64) -> Self {
        Self(self.0.saturating_add(bytes))
    }

    /// `bytes` further on, or `None` past the end of the number range.
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// `bytes` back, stopping at [`Lsn::ZERO`].
    pub const fn saturating_sub(self, bytes: u64) -> Self {
        Self(self.0.saturating_sub(bytes))
    }

    /// How far this position is past `earlier`; zero when it is not.
    pub const fn distance_from(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The text is not a log position of the form `X/X`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid input syntax for type pg_lsn: \"{0}\"")]
pub struct ParseLsnError(String);

impl FromStr for Lsn {
    type Err = ParseLsnError;

    /// Accepts what PostgreSQL accepts: two halves of one to eight hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('/').and_then(|(high, low)| {
            let high = half(high)?;
            let low = half(low)?;
            Some(Self((u64::from(high) << 32) | u64::from(low)))
        });
        parsed.ok_or_else(|| ParseLsnError(text.to_owned()))
    }
}

fn half(digits: &str) -> Option<u32> {
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if plain {
        u32::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_as_postgresql_does() {
        for (text, value) in [
            ("0/0", 0),
            ("0/1000000", 0x100_0000),
            ("1/ABCDEF01", 0x1_ABCD_EF01),
        ] {
            assert_eq!(text.parse::<Lsn>().unwrap(), Lsn::new(value));
            assert_eq!(Lsn::new(value).to_string(), text);
        }
        assert_eq!("0/00000000".parse::<Lsn>().unwrap(), Lsn::ZERO);
        assert_eq!("FFFFFFFF/ffffffff".parse::<Lsn>().unwrap(), Lsn::MAX);
    }

    #[test]
    fn refuses_what_postgresql_refuses() {
        for text in [
            "",
            "/",
            "0",
            "0/",
            "/0",
            "0/000000000",
            "x/1",
            "+1/1",
            "1/-1",
            "1/1/1",
            " 0/0",
        ] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }
}
