//! What the role that asks may do, one function for each thing that needs a right. Each says
//! what is missing as PostgreSQL 15 says it (42501).
//!
//! A [`Caller`] is made anew for each use, so that ALTER ROLE, REVOKE and DROP ROLE count at
//! once. It decides and does nothing.

use std::collections::BTreeSet;

use crate::pgerror::PgError;
use crate::relations::Command;
use crate::roles::{Rights, RoleSet};
use crate::slots::{SlotSnapshot, SlotUser};

/// SQLSTATE of a missing right.
pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";

const NEEDS_PUBLISH: &str = "Publishing, and defining tables, schemas and publications, needs a \
                             role with the attribute PUBLISH.";

/// The right that a function needs before it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Everybody may call it, or it looks itself at whom it concerns.
    Nothing,
    /// REPLICATION.
    Replication,
    /// PUBLISH.
    Publish,
    /// SUPERUSER.
    Superuser,
}

/// A role as it is at this moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// OID.
    pub(crate) role: u32,
    /// Its rights; none when the role is gone.
    pub(crate) rights: Rights,
    /// Whether there is a role with that OID.
    is_known: bool,
    databases: BTreeSet<String>,
}

impl Caller {
    /// The role with that OID.
    pub(crate) fn new(role: u32, rights: Rights, roles: &RoleSet) -> Self {
        let found = roles.find_oid(role);
        Self {
            role,
            rights,
            is_known: found.is_some(),
            databases: found.map(|role| role.databases.clone()).unwrap_or_default(),
        }
    }

    /// Whether the role is gone.
    pub(crate) const fn is_gone(&self) -> bool {
        !self.is_known
    }

    /// Whether it may use the database.
    pub(crate) fn may_use(&self, database: &str) -> bool {
        self.rights.superuser || self.databases.contains(database)
    }

    /// Whether it may see what others do.
    pub(crate) const fn is_monitor(&self) -> bool {
        self.rights.superuser || self.rights.monitor
    }

    /// Whether it sees all of a session of that role.
    pub(crate) const fn sees_session_of(&self, role: u32) -> bool {
        self.is_monitor() || self.role == role
    }

    /// Whether it may use slots at all.
    const fn is_replication(&self) -> bool {
        self.rights.superuser || self.rights.replication
    }

    const fn is_publisher(&self) -> bool {
        self.rights.superuser || self.rights.publish
    }

    /// Whether it sees the slot, of a database that it may use: its own, all with MONITOR, and
    /// with REPLICATION those that belong to nobody.
    pub(crate) fn sees_slot(&self, slot: &SlotSnapshot) -> bool {
        self.is_monitor()
            || match slot.owner {
                Some(owner) => owner == self.role,
                None => self.rights.replication,
            }
    }

    /// To whom a slot that it makes belongs.
    pub(crate) fn as_owner(&self) -> Option<u32> {
        self.is_known.then_some(self.role)
    }

    /// As who it uses slots.
    pub(crate) fn slot_user(&self, pid: u32) -> SlotUser {
        SlotUser {
            pid,
            role: (!self.rights.superuser).then_some(self.role),
        }
    }

    /// Whether it may open a walsender connection and send replication commands.
    pub(crate) fn check_walsender(&self) -> Result<(), PgError> {
        let message = "must be superuser or replication role to start walsender";
        granted(self.is_replication(), || message.to_owned())
    }

    /// Whether it may make and use slots.
    pub(crate) fn check_slots(&self) -> Result<(), PgError> {
        let message = "must be superuser or replication role to use replication slots";
        granted(self.is_replication(), || message.to_owned())
    }

    /// Whether it may use this slot.
    pub(crate) fn check_slot(&self, slot: &SlotSnapshot) -> Result<(), PgError> {
        self.check_slots()?;
        if self.slot_user(0).may_use(slot.owner) {
            return Ok(());
        }
        let message = format!("permission denied for replication slot \"{}\"", slot.name);
        Err(PgError::of_other_role(message))
    }

    /// Whether it may read `pgspool.changes`.
    pub(crate) fn check_read_changes(&self) -> Result<(), PgError> {
        let denied = granted(self.is_replication(), || denied_for("view changes"));
        denied.map_err(|error| {
            error.with_detail("Reading changes needs a role with the attribute REPLICATION.")
        })
    }

    /// Whether it may COPY into `pgspool.changes`.
    pub(crate) fn check_copy(&self) -> Result<(), PgError> {
        self.check_publish("view changes")
    }

    /// Whether it may publish by way of `what`.
    pub(crate) fn check_publish(&self, what: &str) -> Result<(), PgError> {
        let denied = granted(self.is_publisher(), || denied_for(what));
        denied.map_err(|error| error.with_detail(NEEDS_PUBLISH))
    }

    /// Whether it may call a function that needs a right.
    pub(super) fn check_call(&self, function: &str, needs: Needs) -> Result<(), PgError> {
        let name = || format!("function {function}");
        match needs {
            Needs::Nothing => Ok(()),
            Needs::Replication => self.check_slots(),
            Needs::Publish => self.check_publish(&name()),
            Needs::Superuser => granted(self.rights.superuser, || denied_for(&name())),
        }
    }

    /// Whether it may define that in `database`.
    pub(crate) fn check_define(&self, command: &Command, database: &str) -> Result<(), PgError> {
        if self.is_publisher() {
            return Ok(());
        }
        let owner = |kind: &str, name: Option<&str>| {
            let name = name.unwrap_or_default();
            denied(format!("must be owner of {kind} {name}"))
        };
        let error = match command {
            Command::Within { command, .. } => return self.check_define(command, database),
            Command::CreateTable(create) => {
                let schema = create.table.schema();
                denied(denied_for(&format!("schema {schema}"))).at(create.table.position)
            }
            Command::CreateSchema { .. } | Command::CreatePublication { .. } => {
                denied(denied_for(&format!("database {database}")))
            }
            Command::AlterTable { table, .. } => owner("table", Some(&table.name)),
            Command::DropTable { tables, .. } => {
                owner("table", tables.first().map(|table| table.name.as_str()))
            }
            Command::AlterPublication { name, .. } => owner("publication", Some(name)),
            Command::DropPublication { names, .. } => {
                owner("publication", names.first().map(String::as_str))
            }
            Command::DropSchema { names, .. } => owner("schema", names.first().map(String::as_str)),
        };
        Err(error.with_detail(NEEDS_PUBLISH))
    }

    /// Whether it may make a database.
    pub(crate) fn check_create_database(&self) -> Result<(), PgError> {
        granted(self.rights.superuser, || {
            "permission denied to create database".to_owned()
        })
    }

    /// Whether it may drop that database: all belong to the superusers.
    pub(crate) fn check_drop_database(&self, database: &str) -> Result<(), PgError> {
        granted(self.rights.superuser, || {
            format!("must be owner of database {database}")
        })
    }

    /// Whether it may hold up the capture of that database.
    pub(crate) fn check_pause(&self, database: &str) -> Result<(), PgError> {
        self.check_drop_database(database)
    }

    /// Whether it may cancel what a session of that role runs. Only its own, unless it may do
    /// everything: MONITOR looks and touches nothing.
    pub(crate) fn check_cancel(&self, target: &Self) -> Result<(), PgError> {
        self.check_signal(
            target,
            ["cancel superuser query", "query is being canceled"],
        )
    }

    /// Whether it may end a session of that role.
    pub(crate) fn check_terminate(&self, target: &Self) -> Result<(), PgError> {
        let words = ["terminate superuser process", "process is being terminated"];
        self.check_signal(target, words)
    }

    fn check_signal(&self, target: &Self, [all, one]: [&str; 2]) -> Result<(), PgError> {
        if self.rights.superuser {
            return Ok(());
        }
        granted(!target.rights.superuser, || {
            format!("must be a superuser to {all}")
        })?;
        granted(self.role == target.role, || {
            format!("must be a member of the role whose {one} or member of pg_signal_backend")
        })
    }

    /// Whether it may look at a setting that tells of the server's files.
    pub(crate) fn check_examine(&self, setting: &str) -> Result<(), PgError> {
        granted(self.is_monitor() || !is_hidden_setting(setting), || {
            format!(
                "must be superuser or have privileges of pg_read_all_settings to examine \
                 \"{setting}\""
            )
        })
    }

    /// Whether it may use that database: asked when a session begins, and again while it lasts.
    pub(crate) fn check_database(&self, database: &str) -> Result<(), PgError> {
        let denied = granted(self.may_use(database), || {
            denied_for(&format!("database \"{database}\""))
        });
        denied.map_err(|error| error.with_detail("User does not have CONNECT privilege."))
    }
}

/// Whether PostgreSQL shows that setting to superusers and `pg_read_all_settings` only.
pub(crate) fn is_hidden_setting(name: &str) -> bool {
    const HIDDEN: &[&str] = &[
        "config_file",
        "data_directory",
        "dynamic_library_path",
        "external_pid_file",
        "hba_file",
        "ident_file",
        "krb_server_keyfile",
        "log_directory",
        "log_filename",
        "session_preload_libraries",
        "shared_preload_libraries",
        "unix_socket_directories",
    ];
    HIDDEN
        .iter()
        .any(|hidden| hidden.eq_ignore_ascii_case(name))
}

fn granted(granted: bool, message: impl FnOnce() -> String) -> Result<(), PgError> {
    if granted {
        return Ok(());
    }
    Err(denied(message()))
}

fn denied(message: String) -> PgError {
    PgError::error(INSUFFICIENT_PRIVILEGE, message)
}

fn denied_for(what: &str) -> String {
    format!("permission denied for {what}")
}
