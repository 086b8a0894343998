//! Who comes in: the rule for a connection, and the proof that it asks for.
//!
//! Every error here is FATAL and ends the connection. A state in which somebody is known is
//! reached in one place only, behind a proof.

use tokio::io::{AsyncRead, AsyncWrite};

use super::Shared;
use super::conn::Conn;
use super::peer::Peer;
use super::startup::{Replication, Startup};
use crate::hba::{Attempt, Method};
use crate::pgerror::PgError;

/// Who came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The role's OID; its rights are looked up each time they are asked for.
    pub(super) role: u32,
    /// How it was known: `trust`, `scram-sha-256`, `cert`, `peer`.
    pub(super) method: &'static str,
}

/// Lets the client prove who it is, as the rules ask.
pub(super) async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    _conn: &mut Conn<S>,
    startup: &Startup,
    peer: &Peer,
    shared: &Shared,
) -> Result<Identity, PgError> {
    let attempt = Attempt {
        database: &startup.database,
        is_physical_replication: startup.replication == Replication::Physical,
        user: &startup.user,
        address: peer.ip(),
        is_tls: peer.tls.is_some(),
    };
    let rules = shared.options.access.rules();
    match rules.find(&attempt).map(|rule| rule.method) {
        Some(Method::Trust) => Ok(Identity {
            // Without roles everybody is the server itself.
            role: shared
                .databases
                .roles()
                .current()
                .find(&startup.user)
                .map_or(0, |role| role.oid),
            method: "trust",
        }),
        Some(Method::Reject | Method::ScramSha256 | Method::Cert | Method::Peer) | None => {
            let message = format!("no pg_hba.conf entry for user \"{}\"", startup.user);
            Err(PgError::fatal("28000", message))
        }
    }
}
