//! The bytes of `roles.json`, vouched for by a checksum: see `docs/format.md`.
//!
//! One line for each role. Verifiers are in it, passwords never are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::disk::{vouch, vouched};

use super::{Rights, Role, RoleSet};

const VERSION: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    next_oid: u32,
    roles: Vec<Stored>,
    version: u32,
}

/// Only to tell another version from damage.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

/// A role's line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
struct Stored {
    oid: u32,
    name: String,
    login: bool,
    superuser: bool,
    replication: bool,
    publish: bool,
    monitor: bool,
    verifier: Option<String>,
    connection_limit: Option<u32>,
    valid_until_unix_ms: Option<u64>,
    databases: BTreeSet<String>,
}

/// Says nothing of the verifier.
impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stored")
            .field("oid", &self.oid)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The file's bytes.
pub(super) fn encode(set: &RoleSet) -> Result<Vec<u8>, String> {
    let mut roles = String::new();
    for (index, role) in set.iter().enumerate() {
        roles.push_str(if index == 0 { "\n    " } else { ",\n    " });
        let line = serde_json::to_string(&Stored::of(role));
        roles.push_str(&line.map_err(|error| error.to_string())?);
    }
    let end = if roles.is_empty() { "" } else { "\n  " };
    let next_oid = set.next_oid();
    let json = format!(
        "{{\n  \"next_oid\": {next_oid},\n  \"roles\": [{roles}{end}],\n  \
         \"version\": {VERSION}\n}}\n"
    );
    Ok(vouch(&json))
}

/// What the bytes say, or what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<RoleSet, String> {
    let json = vouched(bytes)?;
    let Versioned { version } = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    if version != VERSION {
        return Err(format!("version {version} is not known"));
    }
    let Body {
        next_oid,
        roles,
        version: _known,
    } = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    let roles = roles.into_iter().map(Stored::role);
    RoleSet::of(roles.collect::<Result<_, _>>()?, next_oid)
}

impl Stored {
    fn of(role: &Role) -> Self {
        Self {
            oid: role.oid,
            name: role.name.clone(),
            login: role.rights.login,
            superuser: role.rights.superuser,
            replication: role.rights.replication,
            publish: role.rights.publish,
            monitor: role.rights.monitor,
            verifier: role.verifier.as_ref().map(ToString::to_string),
            connection_limit: role.connection_limit,
            valid_until_unix_ms: role.valid_until_unix_ms,
            databases: role.databases.clone(),
        }
    }

    fn role(self) -> Result<Role, String> {
        let verifier = self.verifier.map(|text| text.parse()).transpose();
        let name = self.name;
        Ok(Role {
            oid: self.oid,
            rights: Rights {
                login: self.login,
                superuser: self.superuser,
                replication: self.replication,
                publish: self.publish,
                monitor: self.monitor,
            },
            verifier: verifier.map_err(|error| format!("role \"{name}\": {error}"))?,
            name,
            connection_limit: self.connection_limit,
            valid_until_unix_ms: self.valid_until_unix_ms,
            databases: self.databases,
        })
    }
}

/// Any bytes are roles or an error; roles are read as they were written.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_file(bytes: &[u8]) {
    let _refused = decode(bytes);
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(set) = decode(&vouch(text)) {
        let again = encode(&set).and_then(|bytes| decode(&bytes));
        assert_eq!(again, Ok(set));
    }
    let _refused = text.parse::<super::Verifier>();
}

#[cfg(test)]
mod tests {
    use super::super::{RoleChanges, RoleCommand, Verifier};
    use super::*;

    fn two() -> RoleSet {
        let create = |name: &str, changes: RoleChanges| RoleCommand::Create {
            name: name.to_owned(),
            changes,
        };
        let owner = RoleChanges {
            login: Some(true),
            superuser: Some(true),
            verifier: Some(Some(Verifier::of_password("secret").unwrap())),
            ..RoleChanges::default()
        };
        let app = RoleChanges {
            connection_limit: Some(Some(3)),
            valid_until_unix_ms: Some(Some(1_700_000_000_000)),
            databases: Some(["pgspool".to_owned(), "shop".to_owned()].into()),
            ..RoleChanges::default()
        };
        let commands = [create("owner", owner), create("The \"app\"\n", app)];
        RoleSet::default().after_all(&commands).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        for set in [RoleSet::default(), two()] {
            assert_eq!(decode(&encode(&set).unwrap()), Ok(set));
        }
    }

    #[test]
    fn any_changed_byte_is_found() {
        let bytes = encode(&two()).unwrap();
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 1;
            assert!(decode(&broken).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_spite_of_a_right_checksum() {
        let json = vouched(&encode(&two()).unwrap()).unwrap();
        let json = json.replacen('{', "{\n", 1);
        let changed = [
            ("\"version\": 1", "\"version\": 2", "version 2 is not known"),
            ("\"oid\":16384", "\"oid\":10", "not its own"),
            ("\"oid\":16384", "\"oid\":16385", "not its own"),
            ("\"oid\":16384", "\"oid\":0", "not its own"),
            ("\"name\":\"owner\"", "\"name\":\"pg_owner\"", "is reserved"),
            ("\"name\":\"owner\"", "\"name\":\"\"", "1 to 63 bytes"),
            ("\"login\":true", "\"login\":true,\"x\":1", "unknown field"),
            ("\"login\":true,", "", "missing field `login`"),
            ("SCRAM-SHA-256$", "SCRAM-SHA-512$", "invalid SCRAM-SHA-256"),
            ("16385", "7", "not one of a role"),
        ];
        for (from, to, wanted) in changed {
            let broken = json.replacen(from, to, 1);
            assert_ne!(broken, json, "{from}");
            let found = decode(&vouch(&broken)).unwrap_err();
            assert!(found.contains(wanted), "{from}: {found}");
            assert!(!found.contains("4096"), "a verifier is told: {found}");
        }
        let twice = json.replace("\"The \\\"app\\\"\\n\"", "\"owner\"");
        let found = decode(&vouch(&twice)).unwrap_err();
        assert!(found.contains("is there twice"), "{found}");
    }
}
