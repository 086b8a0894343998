//! What a password is checked with, in the form in which PostgreSQL stores it:
//! `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`, the last three in Base64.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{digest, hmac, pbkdf2};

/// How often a new verifier's password is hashed: as PostgreSQL 15 does.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");
/// Bytes of salt of a new verifier: as PostgreSQL 15 takes.
const SALT_BYTES: usize = 16;
/// Most bytes of salt of a verifier that was made elsewhere: it is sent before each login.
const MAX_SALT_BYTES: usize = 64;
/// Most iterations of one: whoever logs in has to do them, and so has whoever tests the password.
const MAX_ITERATIONS: u32 = 1_000_000;
const SCHEME: &str = "SCRAM-SHA-256";

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

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// A new password that nobody can guess: 24 letters, digits, `-` and `_`.
pub fn random_password() -> Result<String, NoRandomness> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl Verifier {
    /// What to check this password with from now on: a new one each time, since the salt is.
    pub fn of_password(password: &str) -> Result<Self, NoRandomness> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| NoRandomness)?;
        Ok(Self::with_salt(password, &salt, ITERATIONS))
    }

    /// What this password is checked with under that salt.
    pub fn with_salt(password: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let prepared = prepare(password);
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(
            algorithm,
            iterations,
            salt,
            prepared.as_bytes(),
            &mut salted,
        );
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        Self {
            iterations: iterations.get(),
            salt: salt.to_vec(),
            stored_key: array(stored_key.as_ref()),
            server_key: array(hmac::sign(&salted, b"Server Key").as_ref()),
        }
    }

    /// Whether this is the password.
    pub fn fits(&self, password: &str) -> bool {
        let Some(iterations) = NonZeroU32::new(self.iterations) else {
            return false;
        };
        Self::with_salt(password, &self.salt, iterations) == *self
    }
}

fn array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 makes 32 bytes")
}

/// The password as it is hashed: prepared by SASLprep, or as it is where it cannot be.
fn prepare(password: &str) -> Cow<'_, str> {
    match stringprep::saslprep(password) {
        Ok(prepared) if !prepared.is_empty() => prepared,
        Ok(_) | Err(_) => Cow::Borrowed(password),
    }
}

impl FromStr for Verifier {
    type Err = InvalidVerifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('$');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(SCHEME), Some(hashing), Some(keys), None) = parts else {
            return Err(InvalidVerifier);
        };
        let (iterations, salt) = hashing.split_once(':').ok_or(InvalidVerifier)?;
        let (stored_key, server_key) = keys.split_once(':').ok_or(InvalidVerifier)?;
        let is_number = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = match iterations.parse::<NonZeroU32>() {
            Ok(iterations) if is_number && iterations.get() <= MAX_ITERATIONS => iterations,
            Ok(_) | Err(_) => return Err(InvalidVerifier),
        };
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| InvalidVerifier);
        let key = |text: &str| bytes(text)?.try_into().map_err(|_| InvalidVerifier);
        let salt = bytes(salt)?;
        if !(1..=MAX_SALT_BYTES).contains(&salt.len()) {
            return Err(InvalidVerifier);
        }
        Ok(Self {
            iterations: iterations.get(),
            salt,
            stored_key: key(stored_key)?,
            server_key: key(server_key)?,
        })
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| STANDARD.encode(bytes);
        let (salt, iterations) = (text(&self.salt), self.iterations);
        let (stored, server) = (text(&self.stored_key), text(&self.server_key));
        write!(f, "{SCHEME}${iterations}:{salt}${stored}:{server}")
    }
}

/// Says nothing of the secrets.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({SCHEME}, {} iterations)", self.iterations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677's example.
    #[test]
    fn a_verifier_is_what_the_standard_says() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = Verifier::with_salt("pencil", &salt, ITERATIONS);
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                    wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(verifier.to_string(), text);
        assert_eq!(text.parse(), Ok(verifier.clone()));
        assert!(verifier.fits("pencil"));
        assert!(!verifier.fits("pencils"));
    }

    /// What PostgreSQL 15 stored: see the README beside it.
    #[test]
    fn a_verifier_is_the_one_that_postgresql_stores() {
        let recorded = include_str!("../../tests/fixtures/roles/verifiers.tsv");
        let mut compared = 0;
        for line in recorded.lines() {
            let (password, stored) = line.split_once('\t').unwrap();
            let password = String::from_utf8(hex::decode(password).unwrap()).unwrap();
            let parsed: Verifier = stored.parse().unwrap();
            assert_eq!(parsed.to_string(), stored);
            let iterations = NonZeroU32::new(parsed.iterations).unwrap();
            let ours = Verifier::with_salt(&password, &parsed.salt, iterations);
            assert_eq!(ours.to_string(), stored, "{password:?}");
            compared += 1;
        }
        assert!(compared >= 10, "{compared}");
    }

    #[test]
    fn two_verifiers_of_one_password_have_nothing_in_common() {
        let [one, two] = [(); 2].map(|()| Verifier::of_password("secret").unwrap());
        assert!(one.fits("secret") && two.fits("secret"));
        assert_ne!(one.salt, two.salt);
        assert_ne!(one.stored_key, two.stored_key);
    }

    #[test]
    fn made_passwords_are_long_and_never_the_same() {
        let [one, two] = [(); 2].map(|()| random_password().unwrap());
        assert_eq!((one.len(), two.len()), (24, 24));
        assert_ne!(one, two);
    }

    #[test]
    fn what_is_no_verifier_is_refused() {
        let right = Verifier::of_password("x").unwrap().to_string();
        assert!(right.parse::<Verifier>().is_ok());
        let broken = [
            String::new(),
            "SCRAM-SHA-256".to_owned(),
            "md5d8578edf8458ce06fbc5bb76a58c5ca4".to_owned(),
            right.replace("SHA-256", "SHA-1"),
            right.replace("4096", "0"),
            right.replace("4096", "+4096"),
            right.replace("4096", "99999999999"),
            right.replace("4096:", "4096"),
            right.replace('=', ""),
            format!("{right}$"),
            format!(" {right}"),
        ];
        for text in broken {
            assert_eq!(text.parse::<Verifier>(), Err(InvalidVerifier), "{text}");
        }
    }

    #[test]
    fn a_verifier_costs_little_to_keep_to_send_and_to_prove() {
        let text = |iterations: u32, salt: usize| {
            let keys = Verifier::with_salt("x", b"salt", ITERATIONS);
            let salt = vec![7; salt];
            Verifier {
                iterations,
                salt,
                ..keys
            }
            .to_string()
        };
        for (iterations, salt, is_taken) in [
            (1, 1, true),
            (1_000_000, 64, true),
            (1_000_001, 16, false),
            (4096, 0, false),
            (4096, 65, false),
            (4096, 1 << 20, false),
        ] {
            let parsed = text(iterations, salt).parse::<Verifier>();
            assert_eq!(parsed.is_ok(), is_taken, "{iterations} {salt}");
        }
    }

    #[test]
    fn a_verifier_is_shown_without_its_secrets() {
        let verifier = Verifier::of_password("secret").unwrap();
        let shown = format!("{verifier:?}");
        assert_eq!(shown, "Verifier(SCRAM-SHA-256, 4096 iterations)");
    }
}
