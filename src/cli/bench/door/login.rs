//! Logging in with a password, as a client does; and with a proof that is wrong.

use std::io::{self, Read, Write};
use std::num::NonZeroU32;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

use crate::cli::bench::client::Client;

const KEY_BYTES: usize = digest::SHA256_OUTPUT_LEN;
/// What the client adds to the nonce. It guards the client, and a bench has nothing to guard.
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
/// What asks for a password, what goes on, what ends with the server's proof, and what is good.
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// A password of one role. It is hashed for the first login only, as clients that log in often do.
#[derive(Debug)]
pub(super) struct Password {
    text: &'static str,
    salted: OnceLock<[u8; KEY_BYTES]>,
}

impl Password {
    /// This one.
    pub(super) const fn new(text: &'static str) -> Self {
        let salted = OnceLock::new();
        Self { text, salted }
    }

    /// Logs in on a connection that has sent its startup packet.
    pub(super) fn log_in<S: Read + Write>(&self, client: &mut Client<S>) -> io::Result<()> {
        expect_authentication(client, SASL)?;
        client.send(b'p', &initial_response())?;
        let challenge = expect_authentication(client, SASL_CONTINUE)?;
        let answer = self.answer(&challenge).ok_or(io::ErrorKind::InvalidData)?;
        client.send(b'p', answer.as_bytes())?;
        expect_authentication(client, SASL_FINAL)?;
        client.until_ready()
    }

    /// The client's last message, with the proof.
    fn answer(&self, challenge: &[u8]) -> Option<String> {
        let challenge = Challenge::parse(challenge)?;
        let salted = self
            .salted
            .get_or_init(|| salted(self.text.as_bytes(), &challenge.salt, challenge.iterations));
        let without_proof = challenge.without_proof();
        let said = format!("{},{},{without_proof}", first_bare(), challenge.text);
        let proof = STANDARD.encode(proof(salted, said.as_bytes()));
        Some(format!("{without_proof},p={proof}"))
    }
}

/// A last message that is right in all but its proof, made without a hash.
pub(super) fn wrong_answer(challenge: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(challenge).ok()?;
    let nonce = text.split(',').next()?.strip_prefix("r=")?;
    let proof = "QnkgYSBzdHJhbmdlciB3aG8ga25vd3Mgbm90aGluZyE=";
    Some(format!("c=biws,r={nonce},p={proof}"))
}

/// The client's first message, in what goes around it.
pub(super) fn initial_response() -> Vec<u8> {
    let first = format!("n,,{}", first_bare());
    let len = u32::try_from(first.len()).unwrap_or(u32::MAX);
    let mut body = b"SCRAM-SHA-256\0".to_vec();
    body.extend_from_slice(&len.to_be_bytes());
    body.extend_from_slice(first.as_bytes());
    body
}

/// PostgreSQL takes the name out of the startup packet.
fn first_bare() -> String {
    format!("n=,r={NONCE}")
}

/// What the server asks with.
struct Challenge<'a> {
    text: &'a str,
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: NonZeroU32,
}

impl<'a> Challenge<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut parts = text.split(',');
        let mut part = |name: &str| parts.next()?.strip_prefix(name);
        Some(Self {
            text,
            nonce: part("r=")?,
            salt: STANDARD.decode(part("s=")?).ok()?,
            iterations: part("i=")?.parse().ok()?,
        })
    }

    fn without_proof(&self) -> String {
        format!("c=biws,r={}", self.nonce)
    }
}

fn salted(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> [u8; KEY_BYTES] {
    let mut salted = [0; KEY_BYTES];
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(algorithm, iterations, salt, password, &mut salted);
    salted
}

/// That the client has the password, for what both have said.
fn proof(salted: &[u8], said: &[u8]) -> Vec<u8> {
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let client_key = sign(salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = sign(stored_key.as_ref(), said);
    let pairs = client_key.as_ref().iter().zip(signature.as_ref());
    pairs.map(|(key, signature)| key ^ signature).collect()
}

/// What the server says of authentication, behind its kind.
fn expect_authentication<S: Read + Write>(
    client: &mut Client<S>,
    kind: u32,
) -> io::Result<Vec<u8>> {
    let (_, mut body) = client.expect(b'R')?;
    if body.first_chunk() != Some(&kind.to_be_bytes()) {
        let words = format!("authentication {kind} expected, not {body:?}");
        return Err(io::Error::other(words));
    }
    body.drain(..4);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::Verifier;

    /// The example of RFC 7677.
    #[test]
    fn the_proof_is_that_of_the_standard() {
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let parsed = Challenge::parse(challenge.as_bytes()).unwrap();
        let salted = salted(b"pencil", &parsed.salt, parsed.iterations);
        let said = format!(
            "n=user,r=rOprNGfwEbeRWgbNEkqO,{challenge},{}",
            parsed.without_proof()
        );
        assert_eq!(
            STANDARD.encode(proof(&salted, said.as_bytes())),
            "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
    }

    #[test]
    fn the_answer_fits_our_verifiers_and_the_wrong_one_differs_only_in_its_proof() {
        let salt = [7; 16];
        let iterations = NonZeroU32::new(4096).unwrap();
        let verifier = Verifier::with_salt("pencil", &salt, iterations);
        let challenge = format!("r={NONCE}abc,s={},i=4096", STANDARD.encode(salt));
        let answer = Password::new("pencil")
            .answer(challenge.as_bytes())
            .unwrap();
        let (without_proof, proof) = answer.split_once(",p=").unwrap();
        let said = format!("{},{challenge},{without_proof}", first_bare());
        let stored = hmac::Key::new(hmac::HMAC_SHA256, &verifier.stored_key);
        let signature = hmac::sign(&stored, said.as_bytes());
        let proof = STANDARD.decode(proof).unwrap();
        let pairs = proof.iter().zip(signature.as_ref());
        let key: Vec<u8> = pairs.map(|(a, b)| a ^ b).collect();
        let found = digest::digest(&digest::SHA256, &key);
        assert_eq!(found.as_ref(), verifier.stored_key);

        let wrong = wrong_answer(challenge.as_bytes()).unwrap();
        let (same, wrong_proof) = wrong.split_once(",p=").unwrap();
        assert_eq!(same, without_proof);
        let wrong_proof = STANDARD.decode(wrong_proof).unwrap();
        assert_eq!(wrong_proof.len(), proof.len());
        assert_ne!(wrong_proof, proof);
    }

    #[test]
    fn a_challenge_that_is_none_gets_no_answer() {
        for bad in [
            "",
            "r=x",
            "r=x,s=!,i=4096",
            "r=x,s=AAAA,i=0",
            "s=AAAA,r=x,i=1",
        ] {
            let password = Password::new("x");
            assert_eq!(password.answer(bad.as_bytes()), None, "{bad}");
        }
    }
}
