//! A session's settings: the few of PostgreSQL's that clients ask for, set or are told.
//!
//! Values are checked and put into PostgreSQL's spelling when they are set, so that reading one
//! cannot fail. A setting that would change nothing here is accepted only where its value makes
//! no difference to what pgspool answers. What a transaction sets is undone when it is rolled
//! back, and at its end where it was set with LOCAL.

mod described;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{ShownSetting, ShownSettings};
use crate::catalog::SettingRow;
use crate::change::ProducerName;
use crate::pgerror::PgError;
use crate::replicas::SynchronousCommit;
use crate::units::{self, print_milliseconds};
use table::{Kind, REPORTED, TABLE, checked, find, is_custom, unrecognized};

/// One session's settings.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// What differs from [`TABLE`] in every session of this user.
    start: Values,
    /// The server's settings as they are now: what sessions begin with, and what they can see and
    /// not change.
    of_server: ShownSettings,
    /// What the client asked for when it connected.
    of_client: Values,
    now: Changes,
    /// Names with a class that were set at some time, in lower case: those can be read from then on.
    named: BTreeSet<String>,
    /// Copies of `now`, from the transaction's begin and from each savepoint.
    levels: Vec<Changes>,
    /// The reported settings as the client knows them.
    told: Vec<String>,
}

/// The setting with a class that is ours: who publishes.
const PRODUCER: &str = "pgspool.producer";

/// Most names with a class in a session.
const MAX_NAMED: usize = 1000;
/// Most bytes of one.
const MAX_NAME: usize = 1000;

/// Values by lower-case name.
type Values = BTreeMap<String, String>;

/// What differs from the start.
#[derive(Debug, Clone, Default)]
struct Changes {
    session: Values,
    /// Until the transaction ends.
    local: Values,
}

impl Settings {
    /// The settings a session of `user` starts with.
    pub(super) fn new(user: &str, wal_sender_timeout: Option<Duration>) -> Self {
        let milliseconds = wal_sender_timeout.unwrap_or_default().as_millis();
        let timeout = print_milliseconds(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        let start = BTreeMap::from([
            ("session_authorization".to_owned(), user.to_owned()),
            ("wal_sender_timeout".to_owned(), timeout),
        ]);
        Self {
            start,
            of_server: ShownSettings::default(),
            of_client: Values::new(),
            now: Changes::default(),
            named: BTreeSet::from([PRODUCER.to_owned()]),
            levels: vec![],
            told: vec![],
        }
    }

    /// Stands on the settings of the server, also as they change while the session lasts.
    pub(super) fn stand_on(&mut self, of_server: ShownSettings) {
        self.of_server = of_server;
    }

    /// Says whether the session's role is a superuser, now.
    pub(super) fn set_superuser(&mut self, is_superuser: bool) {
        let value = if is_superuser { "on" } else { "off" };
        if self
            .start
            .get("is_superuser")
            .is_some_and(|known| known == value)
        {
            return;
        }
        let name = "is_superuser".to_owned();
        self.start.insert(name, value.to_owned());
    }

    /// Sets `name` at the start of a session: what is set here is what RESET would go back to.
    pub(super) fn set_at_start(&mut self, name: &str, value: &str) -> Result<(), PgError> {
        let (name, value) = checked(name, value)?;
        self.of_client.insert(name.to_ascii_lowercase(), value);
        Ok(())
    }

    /// Sets `name`, or puts it back when there is no value; `local`: until the transaction ends.
    /// Returns the new value.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: Option<&str>,
        local: bool,
    ) -> Result<String, PgError> {
        let key = name.to_ascii_lowercase();
        if is_custom(name) && find(name).is_none() && self.of_server.find(&key).is_none() {
            if !self.named.contains(&key) && (self.named.len() >= MAX_NAMED || key.len() > MAX_NAME)
            {
                let message = format!(
                    "more than {MAX_NAMED} settings with a class, or a name of more than \
                     {MAX_NAME} bytes, in one session"
                );
                return Err(PgError::error("53200", message));
            }
            self.named.insert(key.clone());
        }
        self.show(name)?;
        if find(name).is_none()
            && let Some(shown) = self.of_server.find(&key)
        {
            return Err(table::not_now(&key, shown.context));
        }
        let value = value.map(|value| checked(name, value)).transpose()?;
        let value = value.map(|(_, value)| value);
        if local || table::is_of_transaction(name) {
            let value = value.unwrap_or_else(|| self.start_value(&key));
            self.now.local.insert(key, value);
        } else {
            self.now.local.remove(&key);
            match value {
                Some(value) => self.now.session.insert(key, value),
                None => self.now.session.remove(&key),
            };
        }
        Ok(self.value(name))
    }

    fn start_value(&self, key: &str) -> String {
        let own = self.of_client.get(key).cloned();
        let own = own.or_else(|| Some(self.of_server.find(key)?.value));
        let own = own.or_else(|| self.start.get(key).cloned());
        let known = || find(key).map(|(_, default, _)| default.to_owned());
        own.or_else(known).unwrap_or_default()
    }

    /// Puts every setting back.
    pub(super) fn reset_all(&mut self) {
        self.now.session.clear();
        self.now
            .local
            .retain(|name, _| table::is_of_transaction(name));
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self) {
        self.levels = vec![self.now.clone()];
        for (of_transaction, default) in table::TRANSACTION_DEFAULTS {
            let value = self.value(default);
            self.now.local.insert((*of_transaction).to_owned(), value);
        }
    }

    /// The transaction ends: what it set stays, but for what it set with LOCAL.
    pub(super) fn commit(&mut self) {
        self.levels.clear();
        self.now.local.clear();
    }

    /// The transaction ends: what it set is undone.
    pub(super) fn rollback(&mut self) {
        if let Some(before) = self.levels.drain(..).next() {
            self.now = before;
        }
        self.now.local.clear();
    }

    /// Bytes that it holds, about.
    pub(super) fn num_bytes(&self) -> usize {
        let each = self.levels.iter().chain([&self.now]);
        let changes = each.map(|changes| {
            let values = changes.session.iter().chain(&changes.local);
            values
                .map(|(name, value)| entry(name, value))
                .sum::<usize>()
        });
        let client = self
            .of_client
            .iter()
            .map(|(name, value)| entry(name, value));
        let named = self.named.iter().map(|name| entry(name, ""));
        changes.chain(client).chain(named).sum()
    }

    /// A savepoint is set; it is the `n`th of the transaction, from 1, if `n - 1` are there.
    pub(super) fn savepoint(&mut self) {
        self.levels.push(self.now.clone());
    }

    /// Undoes what was set since the `n`th savepoint, which stays; the later ones are gone.
    pub(super) fn rollback_to(&mut self, n: usize) {
        self.levels.truncate(n.saturating_add(1));
        if let Some(then) = self.levels.get(n) {
            self.now = then.clone();
        }
    }

    /// Forgets the `n`th savepoint and the later ones.
    pub(super) fn release(&mut self, n: usize) {
        self.levels.truncate(n.max(1));
    }

    /// Whether there is such a setting beside those of [`TABLE`].
    fn is_known(&self, key: &str) -> bool {
        self.named.contains(key)
            || self.of_client.contains_key(key)
            || self.of_server.find(key).is_some()
    }

    /// The name in PostgreSQL's spelling and the value.
    pub(super) fn show(&self, name: &str) -> Result<(String, String), PgError> {
        let key = name.to_ascii_lowercase();
        let own = self.now.local.get(&key);
        let own = own.or_else(|| self.now.session.get(&key)).cloned();
        let value = own.unwrap_or_else(|| self.start_value(&key));
        match find(name) {
            Some((name, _, _)) => Ok((name.to_owned(), value)),
            None if self.is_known(&key) => Ok((key, value)),
            None => Err(unrecognized(name)),
        }
    }

    /// A value, empty when there is no such setting.
    pub(super) fn value(&self, name: &str) -> String {
        self.show(name).map(|(_, value)| value).unwrap_or_default()
    }

    /// Whether a setting that is a switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.value(name) == "on"
    }

    /// A time setting; `None` when it is off.
    pub(super) fn timeout(&self, name: &str) -> Option<Duration> {
        let milliseconds = units::milliseconds(&self.value(name), units::MAX_MILLISECONDS)?;
        (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
    }

    /// `wal_sender_timeout`; `None` when it is off.
    pub(super) fn wal_sender_timeout(&self) -> Option<Duration> {
        self.timeout("wal_sender_timeout")
    }

    /// `pgspool.producer`; `None` when it is empty.
    pub(super) fn producer(&self) -> Option<ProducerName> {
        ProducerName::parse(&self.value(PRODUCER)).ok()
    }

    /// `synchronous_commit`.
    pub(super) fn synchronous_commit(&self) -> SynchronousCommit {
        SynchronousCommit::parse(&self.value("synchronous_commit")).unwrap_or_default()
    }

    /// All settings for `pg_settings` and SHOW ALL, by name.
    pub(super) fn rows(&self) -> Vec<SettingRow> {
        let shown = self.of_server.current();
        let of_table = TABLE.iter().filter_map(|&row| self.row(row, &shown));
        let of_server = shown.iter().filter(|shown| find(&shown.name).is_none());
        let mut rows: Vec<SettingRow> = of_table.chain(of_server.map(table::server_row)).collect();
        rows.sort_by_key(|row| row.name.to_ascii_lowercase());
        rows
    }

    fn row(&self, row: (&str, &str, Kind), shown: &[ShownSetting]) -> Option<SettingRow> {
        let (name, _, kind) = row;
        let key = name.to_ascii_lowercase();
        let mut found = table::setting_row(row, &self.value(name))?;
        found.reset_val = Some(table::in_unit(kind, &self.start_value(&key)));
        let of_server = shown.iter().find(|shown| shown.name == key);
        if let Some(of_server) = of_server {
            found.boot_val = Some(of_server.boot_val.clone());
        }
        let is_set = self.now.local.contains_key(&key) || self.now.session.contains_key(&key);
        found.source = if table::is_of_transaction(name) {
            "override"
        } else if is_set {
            "session"
        } else if self.of_client.contains_key(&key) {
            "client"
        } else if let Some(of_server) = of_server {
            found.sourcefile.clone_from(&of_server.sourcefile);
            found.sourceline = of_server.sourceline.and_then(|line| line.try_into().ok());
            of_server.source
        } else {
            "default"
        };
        Some(found)
    }

    /// All that a client is told at the start, in order.
    pub(super) fn reported(&self) -> impl Iterator<Item = (&'static str, String)> {
        REPORTED.iter().map(|&name| (name, self.value(name)))
    }

    /// The reported settings that changed since this was asked last; the first time, all.
    pub(super) fn changes(&mut self) -> Vec<(&'static str, String)> {
        let reported: Vec<(&'static str, String)> = self.reported().collect();
        let told = std::mem::take(&mut self.told);
        self.told = reported.iter().map(|(_, value)| value.clone()).collect();
        let mut known = told.into_iter();
        let is_new = |(_, value): &(_, String)| known.next().as_ref() != Some(value);
        reported.into_iter().filter(is_new).collect()
    }
}

/// What a name with a value costs, about.
const fn entry(name: &str, value: &str) -> usize {
    name.len() + value.len() + 128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let mut settings = Settings::new("ann", Some(Duration::from_secs(60)));
        assert_eq!(settings.changes().len(), REPORTED.len());
        settings
    }

    #[test]
    fn a_custom_setting_can_be_read_once_it_was_set() {
        let mut settings = settings();
        assert_eq!(settings.show("my.own").unwrap_err().code(), "42704");
        settings.set("my.own", Some("1"), false).unwrap();
        settings.set("my.own", None, false).unwrap();
        assert_eq!(settings.show("My.Own").unwrap().1, "");
        assert_eq!(settings.show("pgspool.producer").unwrap().1, "");
    }

    #[test]
    fn changes_of_reported_settings_are_told_once() {
        let mut settings = settings();
        assert_eq!(settings.value("wal_sender_timeout"), "1min");
        settings.set("datestyle", Some("iso, dmy"), false).unwrap();
        assert_eq!(settings.changes(), [("DateStyle", "ISO, DMY".to_owned())]);
        settings.set("datestyle", Some("ISO, DMY"), false).unwrap();
        settings
            .set("statement_timeout", Some("90000"), false)
            .unwrap();
        assert_eq!(settings.changes(), []);
        assert_eq!(settings.value("statement_timeout"), "90s");
        assert!(settings.set("server_version", Some("16"), false).is_err());
        assert!(settings.set("nosuch", Some("1"), false).is_err());
        settings.set("my.own", Some("1"), false).unwrap();
        assert_eq!(settings.value("my.own"), "1");
        settings
            .set("wal_sender_timeout", Some("0"), false)
            .unwrap();
        assert_eq!(settings.wal_sender_timeout(), None);
    }

    #[test]
    fn local_settings_end_with_the_transaction_and_others_with_its_rollback() {
        let mut settings = settings();
        settings.begin();
        settings.set("my.a", Some("1"), false).unwrap();
        settings.set("my.a", Some("2"), true).unwrap();
        settings.set("my.b", Some("3"), true).unwrap();
        assert_eq!(
            (settings.value("my.a"), settings.value("my.b")),
            ("2".into(), "3".into())
        );
        settings.commit();
        assert_eq!(
            (settings.value("my.a"), settings.value("my.b")),
            ("1".into(), "".into())
        );
        settings.begin();
        settings.set("my.a", Some("4"), false).unwrap();
        settings.rollback();
        assert_eq!(settings.value("my.a"), "1");
    }

    #[test]
    fn a_rollback_to_a_savepoint_keeps_what_was_set_before_it() {
        let mut settings = settings();
        settings.begin();
        settings.set("my.a", Some("1"), false).unwrap();
        settings.savepoint();
        settings.set("my.a", Some("2"), false).unwrap();
        settings.savepoint();
        settings.set("my.a", Some("3"), true).unwrap();
        settings.rollback_to(1);
        assert_eq!(settings.value("my.a"), "1");
        settings.set("my.a", Some("5"), false).unwrap();
        settings.release(1);
        settings.commit();
        assert_eq!(settings.value("my.a"), "5");
    }

    #[test]
    fn a_transaction_takes_the_defaults_of_its_session() {
        let mut settings = settings();
        settings
            .set("default_transaction_read_only", Some("on"), false)
            .unwrap();
        assert!(!settings.is_on("transaction_read_only"));
        settings.begin();
        assert!(settings.is_on("transaction_read_only"));
        settings
            .set("transaction_read_only", Some("off"), false)
            .unwrap();
        assert!(!settings.is_on("transaction_read_only"));
        settings.commit();
        assert!(settings.is_on("default_transaction_read_only"));
    }

    #[test]
    fn values_are_checked_against_their_lists() {
        let mut settings = settings();
        for (name, value, good) in [
            ("TimeZone", "Europe/Berlin", true),
            ("TimeZone", "Mars/Base", false),
            ("bytea_output", "Escape", true),
            ("bytea_output", "base64", false),
            ("IntervalStyle", "iso_8601", true),
            ("client_min_messages", "shout", false),
            ("default_transaction_isolation", "Serializable", true),
        ] {
            let set = settings.set(name, Some(value), false);
            assert_eq!(set.is_ok(), good, "{name} {value}");
        }
        assert_eq!(
            settings.value("default_transaction_isolation"),
            "serializable"
        );
        let rows = settings.rows();
        assert!(
            rows.iter()
                .all(|row| !row.vartype.is_empty() && !row.source.is_empty())
        );
    }
}
