//! Who comes in: the rule for a connection, and the proof that it asks for.
//!
//! Every error here is FATAL and ends the connection. A state in which somebody is known is
//! reached in one place only, behind a proof.

mod certificate;
mod refusals;
mod scram;

use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::access::Entry;
use super::conn::Conn;
use super::peer::Peer;
use super::startup::{Replication, Startup};
use crate::clock::Moment;
use crate::hba::{Attempt, CertName, ClientCert, HbaRule, Method};
use crate::pgerror::PgError;
use scram::Candidate;

pub use refusals::RefusedLogin;
pub(super) use refusals::{Refusal, Refusals};
pub(super) use scram::MockVerifiers;

/// Who came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The role's OID; its rights are looked up each time they are asked for.
    pub(super) role: u32,
    /// How it was known: `trust`, `scram-sha-256`, `cert`, `peer`.
    pub(super) method: &'static str,
}

/// Lets the client prove who it is, as the rules ask. A refusal is told after a while.
pub(super) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    conn: &mut Conn<S>,
    startup: &Startup,
    peer: &Peer,
    shared: &Shared,
) -> Result<Identity, Refusal> {
    let entry = shared.options.access.entry();
    let attempt = Attempt {
        database: &startup.database,
        is_physical_replication: startup.replication == Replication::Physical,
        user: &startup.user,
        address: peer.ip(),
        is_tls: peer.tls.is_some(),
    };
    let proven = match entry.rules.find(&attempt) {
        Some(rule) => {
            let proven = prove(conn, rule, &entry, &attempt, peer, shared).await;
            proven.map_err(|refusal| Refusal {
                method: Some(rule.method.name()),
                ..refusal
            })
        }
        None => Err(refused_by_rules(RefusedLogin::NoRule, &attempt)),
    };
    if proven.is_err() {
        // All of them: how many wait at a time is bounded by the seats of the waiting room.
        tokio::time::sleep(shared.options.auth_delay).await;
    }
    proven
}

/// The proof that a rule asks for, and the role behind it.
async fn prove<S: AsyncRead + AsyncWrite + Unpin>(
    conn: &mut Conn<S>,
    rule: &HbaRule,
    entry: &Entry,
    attempt: &Attempt<'_>,
    peer: &Peer,
    shared: &Shared,
) -> Result<Identity, Refusal> {
    let user = attempt.user;
    #[cfg(test)]
    go_wrong(user).await?;
    let certificate = match rule.client_cert {
        ClientCert::No => None,
        ClientCert::VerifyCa | ClientCert::VerifyFull => Some(client_certificate(peer)?),
    };
    match rule.method {
        Method::Trust => {}
        Method::Reject => return Err(refused_by_rules(RefusedLogin::Rejected, attempt)),
        Method::ScramSha256 => {
            let roles = shared.databases.roles().current();
            let now_ms = Moment::now().unix_ms;
            let mocks = shared.options.access.mock_verifiers();
            let candidate = Candidate::new(user, &roles, &mocks, now_ms);
            scram::prove(conn, user, peer.tls.as_ref(), candidate).await?;
        }
        Method::Cert => {}
        Method::Peer => check_peer(peer, rule, entry, user).await?,
    }
    if let (ClientCert::VerifyFull, Some(certificate)) = (rule.client_cert, certificate) {
        let names = certificate::names(certificate, rule.cert_name);
        let map = rule.map.as_deref();
        if !names.iter().any(|name| entry.maps.allow(map, name, user)) {
            return Err(wrong_certificate(rule, user, &names));
        }
    }
    admitted(user, rule, shared)
}

/// Users of the door's tests whose proof goes wrong in this way.
#[cfg(test)]
pub(super) const FAILS: &str = "proof_fails";
#[cfg(test)]
pub(super) const HANGS: &str = "proof_hangs";
#[cfg(test)]
pub(super) const PANICS: &str = "proof_panics";

/// Stands for a part of the proof that is out of order, and says so as a statement would.
#[cfg(test)]
async fn go_wrong(user: &str) -> Result<(), Refusal> {
    match user {
        FAILS => {
            let error = PgError::error("58030", "could not read roles");
            Err(Refusal::new(RefusedLogin::Password, error))
        }
        HANGS => std::future::pending().await,
        PANICS => panic!("as a test asked"),
        _ => Ok(()),
    }
}

/// A proof of somebody who does not exist, for fuzzing; bound to the
/// certificate where there is one.
#[cfg(any(test, fuzzing))]
pub(super) async fn prove_stranger<S: AsyncRead + AsyncWrite + Unpin>(
    conn: &mut Conn<S>,
    certificate_pem: Option<&str>,
) {
    let tls = certificate_pem.map(|pem| super::peer::TlsPeer {
        server_certificate_pem: pem.as_bytes().to_vec(),
        ..super::peer::TlsPeer::default()
    });
    let mocks = MockVerifiers::new(b"secret");
    let candidate = Candidate::new("stranger", &crate::roles::RoleSet::default(), &mocks, 0);
    let proven = scram::prove(conn, "stranger", tls.as_ref(), candidate).await;
    assert!(proven.is_err(), "nothing proves a stranger");
}

/// The role that was proven, if it is there and may log in.
fn admitted(user: &str, rule: &HbaRule, shared: &Shared) -> Result<Identity, Refusal> {
    let roles = shared.databases.roles().current();
    let Some(role) = roles.find(user) else {
        let error = PgError::fatal("28000", format!("role \"{user}\" does not exist"));
        return Err(Refusal::new(RefusedLogin::NoRole, error));
    };
    if !role.rights.login {
        let message = format!("role \"{user}\" is not permitted to log in");
        let error = PgError::fatal("28000", message);
        return Err(Refusal::new(RefusedLogin::NoLogin, error));
    }
    Ok(Identity {
        role: role.oid,
        method: rule.method.name(),
    })
}

fn client_certificate(peer: &Peer) -> Result<&[u8], Refusal> {
    let certificate = peer
        .tls
        .as_ref()
        .and_then(|tls| tls.client_certificate.as_deref());
    certificate.ok_or_else(|| {
        let error = PgError::fatal("28000", "connection requires a valid client certificate");
        Refusal::new(RefusedLogin::Certificate, error)
    })
}

fn wrong_certificate(rule: &HbaRule, user: &str, names: &[String]) -> Refusal {
    let what = match rule.cert_name {
        CertName::CommonName => "CN",
        CertName::DistinguishedName => "DN",
        CertName::AlternativeName => "SAN",
    };
    let detail = format!("the certificate's {what} is {names:?}");
    let (code, message) = match rule.method {
        // Beside a password it reads as a wrong password does.
        Method::ScramSha256 => {
            let refusal = scram::wrong_password(user);
            return Refusal {
                reason: RefusedLogin::Certificate,
                ..refusal.with_detail(detail)
            };
        }
        Method::Cert => ("28000", "certificate"),
        Method::Trust => ("28000", "\"trust\""),
        Method::Peer => ("28000", "Peer"),
        Method::Reject => ("28000", "host rejected"),
    };
    let message = format!("{message} authentication failed for user \"{user}\"");
    Refusal::new(RefusedLogin::Certificate, PgError::fatal(code, message)).with_detail(detail)
}

/// The user of the operating system must be the role, or one that a map says may be it.
async fn check_peer(peer: &Peer, rule: &HbaRule, entry: &Entry, user: &str) -> Result<(), Refusal> {
    let refused = |detail: String| {
        let message = format!("Peer authentication failed for user \"{user}\"");
        Refusal::new(RefusedLogin::Peer, PgError::fatal("28000", message)).with_detail(detail)
    };
    let Some(uid) = peer.unix_uid else {
        return Err(refused(
            "the system does not say whose the socket is".to_owned(),
        ));
    };
    // The list of users may be on another machine.
    let found = tokio::task::spawn_blocking(move || uzers::get_user_by_uid(uid)).await;
    let Some(found) = found.ok().flatten() else {
        return Err(refused(format!(
            "there is no system user with the id {uid}"
        )));
    };
    let Some(system_user) = found.name().to_str() else {
        return Err(refused(format!(
            "the system user {uid} has no name in UTF-8"
        )));
    };
    if entry.maps.allow(rule.map.as_deref(), system_user, user) {
        return Ok(());
    }
    Err(refused(format!(
        "system user \"{system_user}\" may not be this role"
    )))
}

/// What is told where no rule fits, and where the one that fits lets nobody in.
fn refused_by_rules(reason: RefusedLogin, attempt: &Attempt<'_>) -> Refusal {
    let Attempt {
        database,
        user,
        is_tls,
        ..
    } = attempt;
    let host = attempt.address.map_or_else(
        || "[local]".to_owned(),
        |address| address.to_canonical().to_string(),
    );
    let encryption = if *is_tls {
        "SSL encryption"
    } else {
        "no encryption"
    };
    let whom = match (reason, attempt.is_physical_replication) {
        (RefusedLogin::Rejected, true) => "pg_hba.conf rejects replication connection for host",
        (RefusedLogin::Rejected, false) => "pg_hba.conf rejects connection for host",
        (_, true) => "no pg_hba.conf entry for replication connection from host",
        (_, false) => "no pg_hba.conf entry for host",
    };
    let mut message = format!("{whom} \"{host}\", user \"{user}\"");
    if !attempt.is_physical_replication {
        message = format!("{message}, database \"{database}\"");
    }
    let message = format!("{message}, {encryption}");
    Refusal::new(reason, PgError::fatal("28000", message))
}
