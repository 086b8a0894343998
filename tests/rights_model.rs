//! Random roles, grants and slots: what each role sees and may use is what the rule says.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod dice;
mod rights_support;
mod support;

use std::collections::{BTreeMap, BTreeSet};

use dice::Dice;
use pgspool::slots::SlotName;
use rights_support::{alter, code, column, drop_role, login, role, server_with, slot};
use support::TestServer;

const DATABASES: &[&str] = &["pgspool", "shop", "works"];
const STEPS: usize = 60;
const RIGHTS: &[&str] = &["", "R", "P", "M", "S", "RP", "RM", "PM"];

/// A role as it ought to be.
#[derive(Debug, Clone)]
struct Role {
    oid: u32,
    rights: &'static str,
    databases: Vec<&'static str>,
}

impl Role {
    fn may_use(&self, database: &str) -> bool {
        self.rights.contains('S') || self.databases.contains(&database)
    }

    fn sees_database(&self, database: &str) -> bool {
        self.rights.contains('M') || self.may_use(database)
    }

    fn sees(&self, owner: Option<u32>) -> bool {
        self.rights.contains(['S', 'M'])
            || owner == Some(self.oid)
            || (owner.is_none() && self.rights.contains('R'))
    }

    fn uses(&self, owner: Option<u32>) -> bool {
        self.rights.contains('S')
            || (self.rights.contains('R') && owner.is_none_or(|owner| owner == self.oid))
    }
}

#[derive(Default)]
struct Model {
    roles: BTreeMap<String, Role>,
    /// Owners by database and slot.
    slots: BTreeMap<(&'static str, String), Option<u32>>,
    n: u32,
}

impl Model {
    fn step(&mut self, dice: &mut Dice, server: &TestServer) {
        self.n += 1;
        let rights = dice.pick(RIGHTS);
        let databases: Vec<&'static str> = DATABASES
            .iter()
            .copied()
            .filter(|_| dice.chance(50))
            .collect();
        match dice.below(6) {
            0 | 1 => {
                let name = format!("r{}", self.n);
                let oid = role(server, &name, rights, &databases);
                self.roles.insert(
                    name,
                    Role {
                        oid,
                        rights,
                        databases,
                    },
                );
            }
            2 => {
                if let Some(name) = self.a_role(dice) {
                    alter(server, &name, rights, &databases);
                    let role = self.roles.get_mut(&name).unwrap();
                    (role.rights, role.databases) = (rights, databases);
                }
            }
            3 if dice.chance(40) => {
                if let Some(name) = self.a_role(dice) {
                    drop_role(server, &name);
                    self.roles.remove(&name);
                }
            }
            4 if dice.chance(40) => {
                let owner = self.an_owner(dice);
                if let Some(((database, name), now)) = self.slots.iter_mut().last() {
                    let engine = server.databases.get(database).unwrap();
                    engine
                        .set_slot_owner(&SlotName::parse(name).unwrap(), owner)
                        .unwrap();
                    *now = owner;
                }
            }
            _ => {
                let (database, name) = (dice.pick(DATABASES), format!("s{}", self.n));
                let owner = self.an_owner(dice);
                slot(server, database, &name, owner);
                self.slots.insert((database, name), owner);
            }
        }
    }

    fn a_role(&self, dice: &mut Dice) -> Option<String> {
        self.roles.keys().nth(dice.index(self.roles.len())).cloned()
    }

    fn an_owner(&self, dice: &mut Dice) -> Option<u32> {
        let name = self.a_role(dice).filter(|_| dice.chance(80))?;
        Some(self.roles[&name].oid)
    }

    fn check(&self, dice: &mut Dice, server: &TestServer) {
        let Some(name) = self.a_role(dice) else {
            return;
        };
        let role = &self.roles[&name];
        let database = dice.pick(DATABASES);
        let refused = match role.may_use(database) {
            true => None,
            false => Some("42501"),
        };
        let told = format!("{name} {role:?} in {database}");
        let client = login(server, &name, database, None);
        assert_eq!(client.as_ref().err().map(String::as_str), refused, "{told}");
        let kind = login(server, &name, database, Some("database")).err();
        let may_stream = role.may_use(database) && role.rights.contains(['R', 'S']);
        assert_eq!(kind.is_none(), may_stream, "{told}");
        let Ok(mut client) = client else {
            return;
        };
        let mine = |name: &&&str| role.sees_database(name);
        let seen: BTreeSet<String> = DATABASES.iter().filter(mine).map(|d| (*d).into()).collect();
        assert_eq!(
            column(&mut client, "SELECT datname FROM pg_database"),
            seen,
            "{told}"
        );
        let seen: BTreeSet<String> = self
            .slots
            .iter()
            .filter(|((database, _), owner)| role.sees_database(database) && role.sees(**owner))
            .map(|((database, slot), _)| format!("{database} {slot}"))
            .collect();
        for view in ["pg_replication_slots", "pgspool.slots"] {
            let query = format!("SELECT database || ' ' || slot_name FROM {view}");
            assert_eq!(column(&mut client, &query), seen, "{told} {view}");
        }
        for ((place, slot), owner) in &self.slots {
            if *place == database && dice.chance(30) {
                let used = client.query(&format!("SELECT pgspool.plan_resume('{slot}')"));
                let wanted = if role.uses(*owner) { "" } else { "42501" };
                assert_eq!(code(&used), wanted, "{told} {slot} {owner:?}");
            }
        }
    }
}

#[test]
fn what_is_seen_and_used_is_what_the_rule_says() {
    let mut dice = Dice::seeded();
    let server = server_with(&DATABASES[1..]);
    let mut model = Model::default();
    for _ in 0..STEPS {
        model.step(&mut dice, &server);
        for _ in 0..3 {
            model.check(&mut dice, &server);
        }
    }
    server.stop();
}
