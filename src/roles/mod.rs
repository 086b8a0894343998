//! Who may come in, and what for: roles with their rights, their password verifiers and their
//! databases, kept durably for the whole data directory.
//!
//! A password is never stored, only what is needed to check one ([`Verifier`], in PostgreSQL's
//! own form). A command works on a copy, which counts when it is on disk. Who is superuser may do
//! everything and use every database; others what they were given.

mod file;
mod set;
mod store;
mod verifier;

use std::collections::BTreeSet;

#[cfg(any(test, fuzzing))]
pub(crate) use file::fuzz_file;
pub use set::RoleSet;
pub use store::{ROLES_FILE, RoleOpenError, Roles};
pub use verifier::{InvalidVerifier, NoRandomness, Verifier, random_password};

/// The first OID that a role may get: PostgreSQL's first for objects of users.
pub const FIRST_ROLE_OID: u32 = 16_384;

/// The first superuser has it, as in PostgreSQL: what has no owner of its own belongs to that role.
pub const OWNER_OID: u32 = 10;

/// What a role may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct Rights {
    /// Come in at all.
    pub login: bool,
    /// Everything.
    pub superuser: bool,
    /// Replication commands, slots, reading changes.
    pub replication: bool,
    /// Publish changes and define tables and publications.
    pub publish: bool,
    /// See the slots, streams and sessions of others.
    pub monitor: bool,
}

/// One role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// OID.
    pub oid: u32,
    /// Name.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
    /// What a password is checked with; without one no password fits.
    pub verifier: Option<Verifier>,
    /// Most sessions at a time; `None`: no limit of its own.
    pub connection_limit: Option<u32>,
    /// The password does not count from this time on, unix milliseconds.
    pub valid_until_unix_ms: Option<u64>,
    /// Databases that it may use; a superuser may use all.
    pub databases: BTreeSet<String>,
}

impl Role {
    /// Whether it may use the database.
    pub fn may_use(&self, database: &str) -> bool {
        self.rights.superuser || self.databases.contains(database)
    }
}

/// A change of the roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleCommand {
    /// CREATE ROLE
    Create {
        /// Its name.
        name: String,
        /// What it begins with.
        changes: RoleChanges,
    },
    /// ALTER ROLE
    Alter {
        /// Its name.
        name: String,
        /// What changes.
        changes: RoleChanges,
    },
    /// ALTER ROLE ... RENAME TO
    Rename {
        /// Its name.
        name: String,
        /// Its new one.
        to: String,
    },
    /// DROP ROLE
    Drop {
        /// Whose; all or none go.
        names: Vec<String>,
        /// IF EXISTS
        if_exists: bool,
    },
    /// GRANT CONNECT ON DATABASE, REVOKE
    Databases {
        /// Which databases.
        databases: Vec<String>,
        /// To or from whom.
        roles: Vec<String>,
        /// GRANT, not REVOKE.
        grant: bool,
    },
}

/// What a command changes of a role; `None` leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleChanges {
    /// LOGIN
    pub login: Option<bool>,
    /// SUPERUSER
    pub superuser: Option<bool>,
    /// REPLICATION
    pub replication: Option<bool>,
    /// PUBLISH
    pub publish: Option<bool>,
    /// MONITOR
    pub monitor: Option<bool>,
    /// PASSWORD; `Some(None)` takes it away.
    pub verifier: Option<Option<Verifier>>,
    /// CONNECTION LIMIT; `Some(None)` is none.
    pub connection_limit: Option<Option<u32>>,
    /// VALID UNTIL; `Some(None)` is for ever.
    pub valid_until_unix_ms: Option<Option<u64>>,
    /// The databases it may use, instead of those it had.
    pub databases: Option<BTreeSet<String>>,
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// 42710
    #[error("role \"{0}\" already exists")]
    Exists(String),
    /// 42704
    #[error("role \"{0}\" does not exist")]
    Missing(String),
    /// 42939
    #[error("role name \"{0}\" is reserved")]
    ReservedName(String),
    /// 42602
    #[error("role names have 1 to 63 bytes and no zero among them")]
    InvalidName,
    /// 54000: every OID was given to a role once.
    #[error("there is no OID left for a role")]
    NoMoreOids,
    /// 2BP01: everything belongs to it.
    #[error("cannot drop role {0} because it is required by the database system")]
    Required(String),
    /// 2BP01: nobody would be left who can log in and may do everything.
    #[error("\"{0}\" is the last superuser that can log in")]
    LastSuperuser(String),
    /// 58030: what is on disk is unknown; nothing is written any more.
    #[error("cannot write the roles: {0}")]
    Persist(String),
}
