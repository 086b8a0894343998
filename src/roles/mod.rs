//! Who may come in, and what for: roles with their rights, their password verifiers and their
//! databases, kept durably for the whole data directory.
//!
//! A password is never stored, only what is needed to check one ([`Verifier`], in PostgreSQL's
//! own form). A command works on a copy, which counts when it is on disk. Who is superuser may do
//! everything and use every database; others what they were given.

mod store;
mod verifier;

use std::collections::{BTreeMap, BTreeSet};

pub use store::{RoleOpenError, Roles};
pub use verifier::{InvalidVerifier, NoRandomSalt, Verifier};

/// The first OID that a role may get: PostgreSQL's first for objects of users.
pub const FIRST_ROLE_OID: u32 = 16_384;

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

/// All roles at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoleSet {
    roles: BTreeMap<String, Role>,
    next_oid: u32,
}

impl RoleSet {
    /// The role of that name.
    pub fn find(&self, name: &str) -> Option<&Role> {
        self.roles.get(name)
    }

    /// The role with that OID.
    pub fn find_oid(&self, oid: u32) -> Option<&Role> {
        self.iter().find(|role| role.oid == oid)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// Whether there are none: nobody can come in.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
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
    /// 2BP01: nobody would be left who can log in and may do everything.
    #[error("\"{0}\" is the last superuser that can log in")]
    LastSuperuser(String),
    /// 58030: what is on disk is unknown; nothing is written any more.
    #[error("cannot write the roles: {0}")]
    Persist(String),
}

impl RoleSet {
    /// The set after a command, or why there is none. `next` is untouched on an error.
    pub fn after(&self, command: &RoleCommand) -> Result<Self, RoleError> {
        let mut next = self.clone();
        next.next_oid = next.next_oid.max(FIRST_ROLE_OID);
        match command {
            RoleCommand::Create { name, changes } => next.create(name, changes)?,
            RoleCommand::Alter { name, changes } => next.existing(name)?.change(changes),
            RoleCommand::Rename { name, to } => next.rename(name, to)?,
            RoleCommand::Drop { names, if_exists } => next.drop_all(names, *if_exists)?,
            RoleCommand::Databases {
                databases,
                roles,
                grant,
            } => next.grant(databases, roles, *grant)?,
        }
        Ok(next)
    }

    fn existing(&mut self, name: &str) -> Result<&mut Role, RoleError> {
        let missing = || RoleError::Missing(name.to_owned());
        self.roles.get_mut(name).ok_or_else(missing)
    }

    fn create(&mut self, name: &str, changes: &RoleChanges) -> Result<(), RoleError> {
        check_name(name)?;
        if self.roles.contains_key(name) {
            return Err(RoleError::Exists(name.to_owned()));
        }
        let mut role = Role {
            oid: self.next_oid,
            name: name.to_owned(),
            rights: Rights::default(),
            verifier: None,
            connection_limit: None,
            valid_until_unix_ms: None,
            databases: BTreeSet::new(),
        };
        role.change(changes);
        self.next_oid = self.next_oid.saturating_add(1);
        self.roles.insert(name.to_owned(), role);
        Ok(())
    }

    fn rename(&mut self, name: &str, to: &str) -> Result<(), RoleError> {
        check_name(to)?;
        if self.roles.contains_key(to) {
            return Err(RoleError::Exists(to.to_owned()));
        }
        let missing = || RoleError::Missing(name.to_owned());
        let mut role = self.roles.remove(name).ok_or_else(missing)?;
        role.name = to.to_owned();
        self.roles.insert(to.to_owned(), role);
        Ok(())
    }

    fn drop_all(&mut self, names: &[String], if_exists: bool) -> Result<(), RoleError> {
        for name in names {
            if self.roles.remove(name).is_none() && !if_exists {
                return Err(RoleError::Missing(name.clone()));
            }
        }
        Ok(())
    }

    fn grant(
        &mut self,
        databases: &[String],
        roles: &[String],
        grant: bool,
    ) -> Result<(), RoleError> {
        for name in roles {
            let role = self.existing(name)?;
            for database in databases {
                if grant {
                    role.databases.insert(database.clone());
                } else {
                    role.databases.remove(database);
                }
            }
        }
        Ok(())
    }
}

impl Role {
    fn change(&mut self, changes: &RoleChanges) {
        let set = |right: &mut bool, to: Option<bool>| *right = to.unwrap_or(*right);
        set(&mut self.rights.login, changes.login);
        set(&mut self.rights.superuser, changes.superuser);
        set(&mut self.rights.replication, changes.replication);
        set(&mut self.rights.publish, changes.publish);
        set(&mut self.rights.monitor, changes.monitor);
        if let Some(verifier) = &changes.verifier {
            self.verifier.clone_from(verifier);
        }
        if let Some(limit) = changes.connection_limit {
            self.connection_limit = limit;
        }
        if let Some(until) = changes.valid_until_unix_ms {
            self.valid_until_unix_ms = until;
        }
        if let Some(databases) = &changes.databases {
            self.databases.clone_from(databases);
        }
    }
}

fn check_name(name: &str) -> Result<(), RoleError> {
    if !(1..=63).contains(&name.len()) || name.contains('\0') {
        return Err(RoleError::InvalidName);
    }
    if name.starts_with("pg_") || matches!(name, "public" | "none") {
        return Err(RoleError::ReservedName(name.to_owned()));
    }
    Ok(())
}
