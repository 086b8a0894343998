//! All roles at one time, and what a command makes of them. Pure: no disk, no clock.

use std::collections::{BTreeMap, BTreeSet};

use super::{FIRST_ROLE_OID, OWNER_OID, Rights, Role, RoleChanges, RoleCommand, RoleError};

/// All roles at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSet {
    roles: BTreeMap<String, Role>,
    next_oid: u32,
}

impl Default for RoleSet {
    fn default() -> Self {
        Self {
            roles: BTreeMap::new(),
            next_oid: FIRST_ROLE_OID,
        }
    }
}

impl RoleSet {
    /// These roles, or what is wrong with them: names that no command makes, a name or an OID
    /// twice, an OID that a new role would get.
    pub fn of(roles: Vec<Role>, next_oid: u32) -> Result<Self, String> {
        let mut set = Self {
            roles: BTreeMap::new(),
            next_oid,
        };
        if next_oid < FIRST_ROLE_OID {
            return Err(format!("the next OID, {next_oid}, is not one of a role"));
        }
        let mut oids = BTreeSet::new();
        for role in roles {
            check_name(&role.name).map_err(|error| error.to_string())?;
            let is_given = (FIRST_ROLE_OID..next_oid).contains(&role.oid);
            if !(is_given || role.oid == OWNER_OID) || !oids.insert(role.oid) {
                let (oid, name) = (role.oid, &role.name);
                return Err(format!(
                    "role \"{name}\" has OID {oid}, which is not its own"
                ));
            }
            if let Some(twice) = set.roles.insert(role.name.clone(), role) {
                return Err(format!("role \"{}\" is there twice", twice.name));
            }
        }
        Ok(set)
    }

    /// One superuser, for tests.
    #[cfg(any(test, fuzzing))]
    #[allow(clippy::unwrap_used, reason = "for tests")]
    pub(crate) fn with_owner(name: &str) -> Self {
        let owner = RoleChanges {
            login: Some(true),
            superuser: Some(true),
            replication: Some(true),
            ..RoleChanges::default()
        };
        let create = RoleCommand::Create {
            name: name.to_owned(),
            changes: owner,
        };
        Self::default().after(&create).expect("a name that is free")
    }

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

    /// The OID that the next role gets.
    pub const fn next_oid(&self) -> u32 {
        self.next_oid
    }

    /// The same roles; new ones get OIDs above `oid`.
    pub(super) fn beyond(&self, oid: u32) -> Self {
        let mut set = self.clone();
        set.next_oid = set.next_oid.max(oid.saturating_add(1));
        set
    }

    /// Whether somebody may come in and do everything.
    pub fn has_administrator(&self) -> bool {
        self.iter().any(Role::is_administrator)
    }

    /// The set after a command, or why there is none.
    pub fn after(&self, command: &RoleCommand) -> Result<Self, RoleError> {
        let mut next = self.clone();
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
        let mut administrators = self.iter().filter(|role| role.is_administrator());
        match administrators.next() {
            Some(last) if !next.has_administrator() => {
                Err(RoleError::LastSuperuser(last.name.clone()))
            }
            Some(_) | None => Ok(next),
        }
    }

    /// The set after several commands, all or nothing.
    pub fn after_all(&self, commands: &[RoleCommand]) -> Result<Self, RoleError> {
        let mut commands = commands.iter();
        commands.try_fold(self.clone(), |set, command| set.after(command))
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
        let oid = if changes.superuser == Some(true) && self.find_oid(OWNER_OID).is_none() {
            OWNER_OID
        } else {
            let next = self.next_oid.checked_add(1).ok_or(RoleError::NoMoreOids)?;
            std::mem::replace(&mut self.next_oid, next)
        };
        let mut role = Role {
            oid,
            name: name.to_owned(),
            rights: Rights::default(),
            verifier: None,
            connection_limit: None,
            valid_until_unix_ms: None,
            databases: BTreeSet::new(),
        };
        role.change(changes);
        self.roles.insert(name.to_owned(), role);
        Ok(())
    }

    fn rename(&mut self, name: &str, to: &str) -> Result<(), RoleError> {
        check_name(to)?;
        let missing = || RoleError::Missing(name.to_owned());
        let mut role = self.roles.remove(name).ok_or_else(missing)?;
        // Its own name is taken too, as everywhere.
        if name == to || self.roles.contains_key(to) {
            return Err(RoleError::Exists(to.to_owned()));
        }
        role.name = to.to_owned();
        self.roles.insert(to.to_owned(), role);
        Ok(())
    }

    fn drop_all(&mut self, names: &[String], if_exists: bool) -> Result<(), RoleError> {
        for name in BTreeSet::from_iter(names) {
            match self.roles.remove(name) {
                Some(role) if role.oid == OWNER_OID => return Err(RoleError::Required(role.name)),
                None if !if_exists => return Err(RoleError::Missing(name.clone())),
                Some(_) | None => {}
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
    /// Whether it may come in and do everything.
    pub const fn is_administrator(&self) -> bool {
        self.rights.superuser && self.rights.login
    }

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
