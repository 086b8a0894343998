//! The sessions that there are: who they are, what they do, and how to reach them.
//!
//! Each is known by its process id; a cancel request from outside needs its secret key too.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::lexer::{self, Spanned, Token};
use crate::admin::SessionCount;
use crate::catalog::SessionInfo;

/// `track_activity_query_size`: most bytes of a statement that are shown.
pub(super) const MAX_QUERY: usize = 1024;

/// In whose statements string constants are hidden.
const PASSWORD: &str = "password";
/// And where a connection string may be, which may hold one.
const UPSTREAM: &str = "upstream";
/// What stands for them.
pub(super) const HIDDEN: &str = "'********'";

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    last_pid: AtomicU32,
    entries: Mutex<BTreeMap<u32, Arc<Entry>>>,
}

/// One session as others see it.
#[derive(Debug)]
struct Entry {
    /// `None`: there was no randomness to make one of, and no key fits.
    key: Option<u32>,
    cancelled: Arc<Notify>,
    terminated: watch::Sender<bool>,
    info: Mutex<SessionInfo>,
}

impl Sessions {
    /// Enters a new session; `describe` is told its process id.
    pub(super) fn enter(
        self: &Arc<Self>,
        describe: impl FnOnce(u32) -> SessionInfo,
    ) -> SessionGuard {
        let mut entries = lock(&self.entries);
        let pid = loop {
            // Process ids are positive 32-bit integers for the clients.
            let next = self.last_pid.fetch_add(1, Ordering::Relaxed) % 0x7FFF_FFFF + 1;
            if !entries.contains_key(&next) {
                break next;
            }
        };
        let entry = Arc::new(Entry {
            key: getrandom::u32().ok(),
            cancelled: Arc::default(),
            terminated: watch::Sender::new(false),
            info: Mutex::new(describe(pid)),
        });
        entries.insert(pid, Arc::clone(&entry));
        SessionGuard {
            sessions: Arc::clone(self),
            pid,
            entry,
        }
    }

    /// Cancels what the session runs at this moment; nothing when pid and key do not match.
    pub(super) fn cancel_with_key(&self, pid: u32, key: u32) {
        if let Some(entry) = self.entry(pid).filter(|entry| entry.has_key(key)) {
            entry.cancelled.notify_waiters();
        }
    }

    /// OID of the role of a session; `None` when there is no such session.
    pub(super) fn role_of(&self, pid: u32) -> Option<u32> {
        self.entry(pid).map(|entry| lock(&entry.info).role)
    }

    /// Cancels what the session runs at this moment; false when there is no such session.
    pub(super) fn cancel(&self, pid: u32) -> bool {
        let entry = self.entry(pid);
        entry
            .map(|entry| entry.cancelled.notify_waiters())
            .is_some()
    }

    /// Ends the session; false when there is no such session.
    pub(super) fn terminate(&self, pid: u32) -> bool {
        let entry = self.entry(pid);
        entry
            .map(|entry| entry.terminated.send_replace(true))
            .is_some()
    }

    /// Process ids of the sessions of a database.
    pub(super) fn of_database(&self, name: &str) -> Vec<u32> {
        let entries = lock(&self.entries);
        let of_it = entries.iter();
        let of_it = of_it.filter(|(_, entry)| lock(&entry.info).database == name);
        of_it.map(|(pid, _)| *pid).collect()
    }

    /// Ends all sessions of a database.
    pub(super) fn terminate_all_of(&self, name: &str) {
        for pid in self.of_database(name) {
            self.terminate(pid);
        }
    }

    /// All sessions, by process id.
    pub(super) fn all(&self) -> Vec<SessionInfo> {
        let entries: Vec<Arc<Entry>> = lock(&self.entries).values().map(Arc::clone).collect();
        entries
            .iter()
            .map(|entry| lock(&entry.info).clone())
            .collect()
    }

    /// How many there are of each kind in each state. What is usual is told also when there is
    /// none.
    pub(super) fn counted(&self) -> Vec<SessionCount> {
        const USUAL: [(&str, &str); 6] = [
            ("client backend", "active"),
            ("client backend", "idle"),
            ("client backend", "idle in transaction"),
            ("client backend", "idle in transaction (aborted)"),
            ("walsender", "active"),
            ("walsender", "idle"),
        ];
        let mut counts: BTreeMap<(&'static str, &'static str), usize> =
            USUAL.into_iter().map(|kind| (kind, 0)).collect();
        for entry in lock(&self.entries).values() {
            let info = lock(&entry.info);
            *counts.entry((info.backend_type, info.state)).or_default() += 1;
        }
        let count = |((backend_type, state), count)| SessionCount {
            backend_type,
            state,
            count,
        };
        counts.into_iter().map(count).collect()
    }

    fn entry(&self, pid: u32) -> Option<Arc<Entry>> {
        lock(&self.entries).get(&pid).map(Arc::clone)
    }
}

impl Entry {
    /// All bits are looked at together, so that the time tells nothing of how many are right.
    fn has_key(&self, shown: u32) -> bool {
        self.key
            .is_some_and(|key| std::hint::black_box(key ^ shown) == 0)
    }
}

/// A session's entry; it is gone when this is dropped.
#[derive(Debug)]
pub(super) struct SessionGuard {
    sessions: Arc<Sessions>,
    pid: u32,
    entry: Arc<Entry>,
}

impl SessionGuard {
    /// The session's process id.
    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    /// The secret that a cancel request must show.
    pub(super) fn key(&self) -> u32 {
        self.entry.key.unwrap_or_default()
    }

    /// Completes at the next cancel request from now on, whenever it is looked at.
    pub(super) fn cancelled(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.entry.cancelled).notified_owned()
    }

    /// Completes when the session is to end.
    pub(super) fn terminated(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut told = self.entry.terminated.subscribe();
        async move {
            if told.wait_for(|&ended| ended).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How the session appears.
    pub(super) fn appearance(&self) -> Appearance {
        Appearance(Arc::clone(&self.entry))
    }
}

/// What others see of a session. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Appearance(Arc<Entry>);

impl Appearance {
    /// As it is now.
    pub(super) fn info(&self) -> SessionInfo {
        lock(&self.0.info).clone()
    }

    /// Changes it.
    pub(super) fn update(&self, change: impl FnOnce(&mut SessionInfo)) {
        change(&mut lock(&self.0.info));
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        lock(&self.sessions.entries).remove(&self.pid);
    }
}

/// A statement's text as others see it: its begin, without what may be a password.
pub(super) fn shown_query(text: &str) -> String {
    let begin = cut(text);
    if !names_a_password(begin) {
        return begin.to_owned();
    }
    cut(&without_passwords(text)).to_owned()
}

/// Whether the strings of a statement may hold a password: it names one, or it makes a database,
/// whose connection string may hold one that is refused.
fn may_hold_a_password(tokens: &[Spanned]) -> bool {
    let mut words = tokens.iter().map(|token| &token.token);
    let makes_a_database = words.next().is_some_and(|word| word.is_word("CREATE"))
        && words.next().is_some_and(|word| word.is_word("DATABASE"));
    makes_a_database || tokens.iter().any(|token| token.token.is_word(PASSWORD))
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_QUERY))
        .unwrap_or_default()
}

fn names_a_password(text: &str) -> bool {
    let says = |word: &str| {
        let mut places = text.as_bytes().windows(word.len());
        places.any(|place| place.eq_ignore_ascii_case(word.as_bytes()))
    };
    says(PASSWORD) || says(UPSTREAM)
}

/// `text` with the string constants of statements that name a password hidden. What cannot be cut
/// into words is hidden from that word on.
fn without_passwords(text: &str) -> String {
    let mut shown = String::new();
    let mut shown_to = 0;
    let Ok(statements) = lexer::statements(text) else {
        let at = text.to_ascii_lowercase().find(PASSWORD).unwrap_or_default();
        let end = at.saturating_add(PASSWORD.len());
        return format!("{} {HIDDEN}", text.get(..end).unwrap_or_default());
    };
    for tokens in statements {
        if !may_hold_a_password(&tokens) {
            continue;
        }
        let is_string = |token: &&Spanned| matches!(token.token, Token::Literal(_));
        for token in tokens.iter().filter(is_string) {
            shown.push_str(text.get(shown_to..token.start).unwrap_or_default());
            shown.push_str(HIDDEN);
            shown_to = token.end;
        }
    }
    shown.push_str(text.get(shown_to..).unwrap_or_default());
    shown
}

/// Locks what a panic elsewhere cannot leave half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(pid: u32) -> SessionInfo {
        SessionInfo {
            pid,
            role: 10,
            user: "ann".to_owned(),
            database: "pgspool".to_owned(),
            application_name: String::new(),
            client: None,
            server: None,
            tls: None,
            started_unix_ms: 0,
            transaction_unix_ms: None,
            query_unix_ms: None,
            state_unix_ms: 0,
            state: "idle",
            wait_event: None,
            query: String::new(),
            backend_type: "client backend",
        }
    }

    #[tokio::test]
    async fn only_the_right_key_cancels() {
        let sessions = Arc::new(Sessions::default());
        let (one, two) = (sessions.enter(info), sessions.enter(info));
        assert_ne!(one.pid(), two.pid());
        let waiting = one.cancelled();
        tokio::pin!(waiting);
        assert!(futures_poll(&mut waiting).await);
        sessions.cancel_with_key(one.pid(), one.key().wrapping_add(1));
        sessions.cancel_with_key(two.pid(), two.key());
        assert!(futures_poll(&mut waiting).await);
        sessions.cancel_with_key(one.pid(), one.key());
        waiting.await;
        let unseen = one.cancelled();
        sessions.cancel(one.pid());
        unseen.await;
        assert!(sessions.terminate(two.pid()));
        two.terminated().await;
        drop(one);
        assert_eq!(sessions.all().len(), 1);
        assert!(!sessions.cancel(1) && sessions.cancel(2));
    }

    /// Whether it is still pending.
    async fn futures_poll(future: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        let moment = std::time::Duration::from_millis(10);
        tokio::time::timeout(moment, future).await.is_err()
    }

    #[test]
    fn long_statements_are_cut_between_characters() {
        assert_eq!(shown_query(&"ä".repeat(600)).len(), MAX_QUERY);
        assert_eq!(
            shown_query(&format!("x{}", "ä".repeat(600))).len(),
            MAX_QUERY - 1
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        let secret = "open sesame";
        let shown = [
            (
                "ALTER USER ann PASSWORD 'open sesame'",
                "ALTER USER ann PASSWORD '********'",
            ),
            (
                "SELECT 'x'; create role b encrypted Password e'open sesame' valid until 'now';",
                "SELECT 'x'; create role b encrypted Password '********' valid until '********';",
            ),
            (
                "alter role b password /* 'x' */ $q$open sesame$q$",
                "alter role b password /* 'x' */ '********'",
            ),
            (
                "alter role b password 'open sesame",
                "alter role b password '********'",
            ),
            (
                "alter role b 'open sesame' password 'x",
                "alter role b 'open sesame' password '********'",
            ),
        ];
        for (text, wanted) in shown {
            assert_eq!(shown_query(text), wanted);
        }
        let long = format!("{}; alter role b password '{secret}'", "x".repeat(990));
        assert!(!shown_query(&long).contains("open"));
        let without = "SELECT 'password', 'open sesame'";
        assert_eq!(shown_query(without), without);
    }
}
