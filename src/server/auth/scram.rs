//! SCRAM-SHA-256, and -PLUS where the connection is encrypted: the exchange with one client.
//!
//! The exchange is the same for who does not exist, has no password, or has one that is no longer
//! valid: such a client gets a verifier that no password fits, always the same for one name.

use std::sync::Arc;

use bytes::Bytes;
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use pgwire::error::PgWireError;
use pgwire::messages::startup::Authentication;
use ring::hmac;
use tokio::io::{AsyncRead, AsyncWrite};

use super::refusals::{Refusal, RefusedLogin};
use crate::pgerror::PgError;
use crate::roles::{RoleSet, Verifier};
use crate::server::conn::{Broken, Conn, Phase};
use crate::server::peer::TlsPeer;

const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";
/// What new verifiers have, so what one that does not exist must have.
const ITERATIONS: u32 = 4096;
const SALT_BYTES: usize = 16;

/// Makes verifiers of roles that do not exist. Clones share the key.
#[derive(Debug, Clone)]
pub(in crate::server) struct MockVerifiers {
    key: Arc<hmac::Key>,
}

impl MockVerifiers {
    /// Those that belong to this secret.
    pub(in crate::server) fn new(secret: &[u8]) -> Self {
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret));
        Self { key }
    }

    /// That of a name: as like a true one as can be, and no password fits it.
    fn of(&self, name: &str) -> Verifier {
        let part = |label: &[u8]| {
            let mut context = hmac::Context::with_key(&self.key);
            context.update(label);
            context.update(name.as_bytes());
            let mut bytes = [0; 32];
            bytes.copy_from_slice(context.sign().as_ref());
            bytes
        };
        let salt = part(b"salt\0");
        Verifier {
            iterations: ITERATIONS,
            salt: salt.iter().copied().take(SALT_BYTES).collect(),
            stored_key: part(b"stored key\0"),
            server_key: part(b"server key\0"),
        }
    }
}

/// What a client's password is checked with.
pub(super) struct Candidate {
    verifier: Verifier,
    /// Why no password may fit.
    doom: Option<String>,
}

impl Candidate {
    /// That of the role `name` at this time.
    pub(super) fn new(name: &str, roles: &RoleSet, mocks: &MockVerifiers, now_ms: u64) -> Self {
        // Made in any case, so that it takes the same time for who is there and who is not.
        let mock = mocks.of(name);
        let (verifier, doom) = match roles.find(name) {
            None => (None, Some(format!("role \"{name}\" does not exist"))),
            Some(role) => match (&role.verifier, role.valid_until_unix_ms) {
                (None, _) => (
                    None,
                    Some(format!("user \"{name}\" has no password assigned")),
                ),
                (Some(_), Some(until)) if until <= now_ms => (
                    None,
                    Some(format!("user \"{name}\" has an expired password")),
                ),
                (Some(verifier), _) => (Some(verifier.clone()), None),
            },
        };
        Self {
            verifier: verifier.unwrap_or(mock),
            doom,
        }
    }
}

/// Lets the client prove that it has the password of `user`.
pub(super) async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
    conn: &mut Conn<S>,
    user: &str,
    tls: Option<&TlsPeer>,
    candidate: Candidate,
) -> Result<(), Refusal> {
    let binding = tls.and_then(|tls| bound(&tls.server_certificate_pem));
    let mut mechanisms = vec![PLAIN.to_owned()];
    if binding.is_some() {
        mechanisms.insert(0, PLUS.to_owned());
    }
    conn.send(&Authentication::SASL(mechanisms));
    let first = answer(conn).await?;
    let (mechanism, first) = initial_response(&first)?;
    let server = match (mechanism, binding) {
        (PLUS, Some(binding)) => binding,
        // The client's word that it saw no -PLUS is checked where there is one.
        (PLAIN, Some(binding)) if first.starts_with(b"y") => binding,
        (PLAIN, _) => ScramServerAuth::new(),
        _ => {
            let message = "client selected an invalid SASL authentication mechanism";
            return Err(malformed(PgError::fatal("08P01", message)));
        }
    };
    check_binding_flag(mechanism, first)?;
    let Candidate { verifier, doom } = candidate;
    let secret = ScramSecret::Verifier {
        salt: verifier.salt,
        iterations: usize::try_from(verifier.iterations).unwrap_or(usize::MAX),
        stored_key: verifier.stored_key.to_vec(),
        server_key: verifier.server_key.to_vec(),
    };
    let begun = server.on_client_first_message_with_secret(first, secret);
    let (server_first, exchange) = begun.map_err(|error| refusal(user, &error))?;
    conn.send(&Authentication::SASLContinue(server_first.into()));
    let last = answer(conn).await?;
    let server_final = exchange.on_client_final_message(&last);
    match (server_final, doom) {
        (Ok(server_final), None) => {
            conn.send(&Authentication::SASLFinal(server_final.into()));
            Ok(())
        }
        (Ok(_), Some(doom)) => Err(wrong_password(user).with_detail(doom)),
        (Err(error), doom) => {
            let refusal = refusal(user, &error);
            Err(match doom {
                Some(doom) => refusal.with_detail(doom),
                None => refusal,
            })
        }
    }
}

/// The side of an exchange that is bound to this certificate; `None` where it cannot be.
fn bound(certificate_pem: &[u8]) -> Option<ScramServerAuth> {
    // Reading one that is not there is not tried.
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate_pem).ok()?;
    pem.parse_x509().ok()?;
    let mut server = ScramServerAuth::new();
    match server.configure_certificate(certificate_pem) {
        Ok(()) => Some(server),
        Err(error) => {
            tracing::debug!(%error, "no channel binding with this certificate");
            None
        }
    }
}

/// What the client answers.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(conn: &mut Conn<S>) -> Result<Bytes, Refusal> {
    let gone = |what: String| {
        let error = PgError::fatal("08006", "connection closed while authenticating");
        Refusal::new(RefusedLogin::Protocol, error).with_detail(what)
    };
    conn.flush()
        .await
        .map_err(|error| gone(error.to_string()))?;
    match conn.read_message(Phase::Authentication).await {
        Ok(message) => Ok(message.body),
        Err(Broken::Closed) => Err(gone("closed by the client".to_owned())),
        Err(Broken::Io(error)) => Err(gone(error.to_string())),
        Err(Broken::Refused(error)) => Err(malformed(error)),
    }
}

/// Mechanism and data of a SASLInitialResponse.
fn initial_response(body: &[u8]) -> Result<(&str, &[u8]), Refusal> {
    let invalid = || malformed(PgError::fatal("08P01", "invalid password packet"));
    let end = memchr::memchr(0, body).ok_or_else(invalid)?;
    let (mechanism, rest) = body.split_at_checked(end).ok_or_else(invalid)?;
    let mechanism = std::str::from_utf8(mechanism).map_err(|_| invalid())?;
    let rest = rest.get(1..).ok_or_else(invalid)?;
    let (length, data) = rest.split_first_chunk::<4>().ok_or_else(invalid)?;
    let is_whole = u32::try_from(data.len()).is_ok_and(|len| len == u32::from_be_bytes(*length));
    if !is_whole || data.is_empty() {
        return Err(invalid());
    }
    Ok((mechanism, data))
}

/// The flag at the front of the client's first message must go with its mechanism.
fn check_binding_flag(mechanism: &str, first: &[u8]) -> Result<(), Refusal> {
    let detail = match (mechanism, first.first()) {
        (PLAIN, Some(b'p')) => {
            "The client selected SCRAM-SHA-256 without channel binding, but the SCRAM message \
             includes channel binding data."
        }
        (PLUS, Some(b'n' | b'y')) => {
            "The client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include \
             channel binding data."
        }
        _ => return Ok(()),
    };
    let error = PgError::fatal("08P01", "malformed SCRAM message").with_detail(detail);
    Err(malformed(error))
}

fn malformed(error: PgError) -> Refusal {
    Refusal::new(RefusedLogin::Protocol, error)
}

/// What a failed exchange is refused with.
fn refusal(user: &str, error: &PgWireError) -> Refusal {
    if matches!(error, PgWireError::InvalidPassword(_)) {
        return wrong_password(user);
    }
    let words = error.to_string();
    let told = if words.contains("Channel binding mismatch") {
        PgError::fatal("28000", "SCRAM channel binding check failed")
    } else if words.contains("downgrade") {
        PgError::fatal("28000", "SCRAM channel binding negotiation error").with_detail(
            "The client supports SCRAM channel binding but thinks the server does not.  \
             However, this server does support channel binding.",
        )
    } else if words.contains("Unsupported channel binding type") {
        PgError::fatal("08P01", "unsupported SCRAM channel-binding type")
    } else if words.contains("Nonce mismatch") {
        PgError::fatal("08P01", "invalid SCRAM response").with_detail("Nonce does not match.")
    } else {
        PgError::fatal("08P01", "malformed SCRAM message")
    };
    malformed(told)
}

/// The one text for all that is wrong with a password.
pub(super) fn wrong_password(user: &str) -> Refusal {
    let message = format!("password authentication failed for user \"{user}\"");
    Refusal::new(RefusedLogin::Password, PgError::fatal("28P01", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_role_has_always_the_same_salt_and_a_count_like_others() {
        let mocks = MockVerifiers::new(b"secret");
        let real = Verifier::of_password("x").unwrap();
        let mock = mocks.of("ann");
        assert_eq!(mock, MockVerifiers::new(b"secret").of("ann"));
        assert_ne!(mock.salt, mocks.of("bob").salt);
        assert_ne!(mock.salt, MockVerifiers::new(b"other").of("ann").salt);
        assert_eq!(mock.iterations, real.iterations);
        assert_eq!(mock.salt.len(), real.salt.len());
    }

    #[test]
    fn broken_first_answers_are_refused() {
        let good = b"SCRAM-SHA-256\0\0\0\0\x03n,,";
        assert_eq!(initial_response(good).unwrap(), (PLAIN, &b"n,,"[..]));
        for cut in 0..good.len() {
            assert!(initial_response(&good[..cut]).is_err(), "{cut}");
        }
        for bad in [
            &b"SCRAM-SHA-256\0\xff\xff\xff\xff"[..],
            b"\xff\0\0\0\0\x01n",
            b"SCRAM-SHA-256\0\0\0\0\x02n,,",
        ] {
            assert!(initial_response(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_none_binds_nothing() {
        for pem in [
            &b""[..],
            b"nonsense",
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(bound(pem).is_none());
        }
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        assert!(bound(own.cert.pem().as_bytes()).is_some());
    }
}
