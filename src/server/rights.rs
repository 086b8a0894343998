//! What the role of a session may do, asked again each time: at the door, at each message, and
//! once a second while a stream runs.
//!
//! What needs which right is said in [`Caller`]; this module knows when a connection may begin
//! and when it must end. A session whose role was dropped ends with 57P01; one whose role lost
//! its database, or REPLICATION where it is a walsender, with 42501.

use std::sync::Arc;

use super::Shared;
use super::startup::{Replication, Startup};
use crate::catalog::Caller;
use crate::engine::Engine;
use crate::pgerror::PgError;
use crate::roles::RoleSet;

impl Shared {
    /// The role as it is now.
    pub(super) fn caller(&self, role: u32) -> Caller {
        let roles = self.databases.roles().current();
        Caller::new(role, self.rights_of(role), &roles)
    }
}

/// Whether a role may open such a connection, before its database is looked for.
pub(super) fn check_entry(role: u32, startup: &Startup, shared: &Shared) -> Result<(), PgError> {
    match startup.replication {
        Replication::No => Ok(()),
        Replication::Logical | Replication::Physical => {
            let checked = shared.caller(role).check_walsender();
            checked.map_err(PgError::into_fatal)
        }
    }
}

/// Whether a role may use the database that was found for its connection. A physical replication
/// connection, too: what it is told is that of the default database.
pub(super) fn check_database(role: u32, engine: &Engine, shared: &Shared) -> Result<(), PgError> {
    let checked = shared.caller(role).check_database(engine.name());
    checked.map_err(PgError::into_fatal)
}

/// Whether a session may go on.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    role: u32,
    is_walsender: bool,
    /// The roles under which it was found that it may.
    good_under: Option<Arc<RoleSet>>,
}

impl Standing {
    /// That of a session of `role`.
    pub(super) const fn new(
        shared: Arc<Shared>,
        engine: Arc<Engine>,
        role: u32,
        is_walsender: bool,
    ) -> Self {
        Self {
            shared,
            engine,
            role,
            is_walsender,
            good_under: None,
        }
    }

    /// The error that ends the session when its role is gone or may not have it any more. Costs
    /// next to nothing while no role changes.
    pub(super) fn check(&mut self) -> Result<(), PgError> {
        let roles = self.shared.databases.roles().current();
        let good_under = self.good_under.as_ref();
        if good_under.is_some_and(|good| Arc::ptr_eq(good, &roles)) {
            return Ok(());
        }
        let caller = self.shared.caller(self.role);
        if caller.is_gone() {
            return Err(PgError::shutdown().with_detail("The role of this session was dropped."));
        }
        let checked = if self.is_walsender {
            caller.check_walsender()
        } else {
            Ok(())
        };
        let checked = checked.and_then(|()| caller.check_database(self.engine.name()));
        checked.map_err(PgError::into_fatal)?;
        self.good_under = Some(roles);
        Ok(())
    }

    /// Whether the session's role is a superuser now.
    pub(super) fn is_superuser(&self) -> bool {
        self.shared.rights_of(self.role).superuser
    }

    /// The session's role as it is now.
    pub(super) fn caller(&self) -> Caller {
        self.shared.caller(self.role)
    }
}
