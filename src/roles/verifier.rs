//! What a password is checked with, in the form in which PostgreSQL stores it:
//! `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, the last three in Base64.

use std::fmt;
use std::str::FromStr;

/// What a password is checked with; the password cannot be found from it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// How often the password was hashed.
    pub iterations: u32,
    /// What it was mixed with.
    pub salt: Vec<u8>,
    /// Checks the client's proof.
    pub stored_key: [u8; 32],
    /// Proves the server to the client.
    pub server_key: [u8; 32],
}

/// The text is not in that form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid SCRAM-SHA-256 verifier")]
pub struct InvalidVerifier;

impl FromStr for Verifier {
    type Err = InvalidVerifier;

    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        Err(InvalidVerifier)
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SCRAM-SHA-256${}", self.iterations)
    }
}

/// Says nothing of the secrets.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier(SCRAM-SHA-256, {} iterations)", self.iterations)
    }
}
