//! Why a capture stopped, for people: what is missing, and what they can do.

use super::{CaptureSettings, PasswordSource, StopReason};
use crate::datum::quote_ident;
use crate::lsn::Lsn;

/// For people: what is missing, and what they can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// A name for the cause: `system_identifier_changed`, `timeline_diverged`, ...
    pub cause: &'static str,
    /// In a sentence.
    pub message: String,
    /// Changes after this position may be missing here ...
    pub missing_from: Option<Lsn>,
    /// ... up to and with this one; `None` where nobody can tell.
    pub missing_to: Option<Lsn>,
    /// What the operator can do.
    pub hint: String,
}

/// What every hint says of those who read here.
const STILL_SERVED: &str = "Slots here go on serving what was received.";

impl StopReason {
    /// A name for the cause.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::SystemChanged { .. } => "system_identifier_changed",
            Self::Diverged { .. } => "timeline_diverged",
            Self::UpstreamBehind { .. } => "upstream_behind",
            Self::SlotMissing { .. } => "slot_missing",
            Self::SlotLost { .. } => "slot_lost",
            Self::SlotAhead { .. } => "slot_ahead",
            Self::SlotNotOurs(_) => "slot_not_usable",
            Self::PublicationMissing { .. } => "publication_missing",
            Self::Broken(_) => "broken",
        }
    }

    /// Plain words for the capture of `database`.
    pub fn explain(&self, database: &str, settings: &CaptureSettings) -> Stop {
        let (missing_from, missing_to) = self.missing();
        Stop {
            cause: self.cause(),
            message: self.message(&settings.slot),
            missing_from,
            missing_to,
            hint: self.hint(database, settings),
        }
    }

    /// What may be missing here.
    const fn missing(&self) -> (Option<Lsn>, Option<Lsn>) {
        match self {
            Self::SystemChanged { .. } | Self::SlotNotOurs(_) | Self::Broken(_) => (None, None),
            Self::Diverged { switched_at, .. } => (*switched_at, None),
            Self::UpstreamBehind { end, .. } => (Some(*end), None),
            Self::SlotMissing { received_upto, end } => (Some(*received_upto), Some(*end)),
            Self::SlotLost {
                received_upto, end, ..
            } => (Some(*received_upto), Some(*end)),
            Self::SlotAhead {
                received_upto,
                confirmed_flush_lsn,
            } => (Some(*received_upto), Some(*confirmed_flush_lsn)),
            Self::PublicationMissing { since, end, .. } => (Some(*since), Some(*end)),
        }
    }

    fn message(&self, slot: &str) -> String {
        match self {
            Self::SystemChanged { expected, found } => format!(
                "the upstream is another cluster: its system identifier is {found}, and {expected} \
                 was followed so far"
            ),
            Self::Diverged {
                timeline,
                found,
                switched_at: Some(at),
                received_upto,
            } => format!(
                "the upstream is on timeline {found}, which left timeline {timeline} at {at}, below \
                 {received_upto}, up to which this database received: what lies between happened \
                 here, and not there"
            ),
            Self::Diverged {
                timeline, found, ..
            } => format!(
                "the upstream is on timeline {found}, whose history does not contain timeline \
                 {timeline}, which was followed so far"
            ),
            Self::UpstreamBehind { end, received_upto } => format!(
                "the upstream ends at {end}, below {received_upto}, up to which this database \
                 received: it was restored from an older copy, or lost what it had"
            ),
            Self::SlotMissing { .. } => {
                format!("replication slot \"{slot}\" does not exist on the upstream")
            }
            Self::SlotLost { cause, .. } => {
                format!("replication slot \"{slot}\" on the upstream is invalidated: {cause}")
            }
            Self::SlotAhead {
                received_upto,
                confirmed_flush_lsn,
            } => format!(
                "replication slot \"{slot}\" on the upstream stands at {confirmed_flush_lsn}, above \
                 {received_upto}, up to which this database received: somebody else used or moved \
                 it, or it was recreated"
            ),
            Self::SlotNotOurs(what) => {
                format!("replication slot \"{slot}\" on the upstream cannot be used: it is {what}")
            }
            Self::PublicationMissing { name, .. } => format!(
                "publication {} does not exist on the upstream, or did not when the next change \
                 was written: what changed without it is not captured",
                quote_ident(name)
            ),
            Self::Broken(what) => what.clone(),
        }
    }

    fn hint(&self, database: &str, settings: &CaptureSettings) -> String {
        let resume = format!("RESUME {}", quote_ident(database));
        let again = |slot| begin_again(database, settings, slot);
        let slot = &settings.slot;
        match self {
            Self::SystemChanged { .. } => format!(
                "If the connection string leads to the wrong server, mend what it names and say \
                 {resume}. If the cluster was really replaced: {}",
                again(OldSlot::MayBeThere)
            ),
            Self::Diverged { .. } => format!(
                "If a server that is still on the old history is there, make it the upstream again \
                 and say {resume}. Otherwise consumers here have seen transactions that the \
                 upstream no longer has: {}",
                again(OldSlot::MayBeThere)
            ),
            Self::UpstreamBehind { .. } => format!(
                "If the right server is only not there yet, wait for it and say {resume}. Otherwise \
                 consumers here have seen transactions that the upstream no longer has: {}",
                again(OldSlot::MayBeThere)
            ),
            Self::SlotMissing { .. } => format!(
                "A new slot begins where it is made and cannot give what lies before. If the slot \
                 is on another server of the connection string, make that one primary and say \
                 {resume}. Otherwise: {}",
                again(OldSlot::IsGone)
            ),
            Self::SlotLost { .. } => format!(
                "The upstream has removed WAL that was still needed, or gave the slot up; look at \
                 max_slot_wal_keep_size (and idle_replication_slot_timeout) there. {}",
                again(OldSlot::MayBeThere)
            ),
            Self::SlotAhead { .. } => format!(
                "A slot does not go back. Find out who else uses it: it has to be this database's \
                 alone. {}",
                again(OldSlot::MayBeThere)
            ),
            Self::SlotNotOurs(_) => format!(
                "Drop that slot on the upstream if nobody needs it (SELECT \
                 pg_drop_replication_slot('{slot}')), or capture with a slot of another name."
            ),
            Self::PublicationMissing { name, .. } => format!(
                "A change is decoded with the publications of the moment at which it was written. \
                 If nothing was written to the tables of {name} while it was missing, CREATE \
                 PUBLICATION on the upstream as it was and say {resume}. Otherwise that cannot be \
                 had any more, and the capture stops here again. Make the publication, then: {}",
                again(OldSlot::MayBeThere),
                name = quote_ident(name),
            ),
            Self::Broken(_) => format!(
                "What was received is safe, and nothing was acknowledged above it. After the cause \
                 is mended: {resume}"
            ),
        }
    }
}

/// Whether the slot's name has to be freed on the upstream before it is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OldSlot {
    MayBeThere,
    IsGone,
}

/// How to start over with a database of its own, which is always possible.
fn begin_again(database: &str, settings: &CaptureSettings, old: OldSlot) -> String {
    let name = quote_ident(database);
    let free = match old {
        OldSlot::IsGone => String::new(),
        OldSlot::MayBeThere => format!(
            "on the upstream, if the slot is there, SELECT pg_drop_replication_slot({}); here ",
            quoted(&settings.slot)
        ),
    };
    format!(
        "{STILL_SERVED} To begin again, let them read to the end, then DROP DATABASE {name}; \
         {free}CREATE DATABASE {name} WITH ({}); and give each consumer a new slot and a new copy \
         of its tables.",
        options(settings),
    )
}

/// What makes a database that follows the same, as options of CREATE DATABASE.
fn options(settings: &CaptureSettings) -> String {
    let publications: Vec<_> = settings
        .publications
        .iter()
        .map(|name| quote_ident(name))
        .collect();
    let mut options = vec![
        format!("upstream = {}", quoted(&settings.upstream)),
        format!("publication = {}", quoted(&publications.join(","))),
        format!("slot = {}", quoted(&settings.slot)),
    ];
    match &settings.password {
        PasswordSource::None => {}
        PasswordSource::File(path) => {
            let path = path.to_string_lossy();
            options.push(format!("password_file = {}", quoted(&path)));
        }
        PasswordSource::Environment(name) => {
            options.push(format!("password_env = {}", quoted(name)));
        }
    }
    if !settings.create_slot {
        options.push("create_slot = false".to_owned());
    }
    if settings.create_publication {
        options.push("create_publication = true".to_owned());
    }
    if let Some(heartbeat) = settings.heartbeat {
        options.push(format!("heartbeat = '{}ms'", heartbeat.as_millis()));
    }
    options.join(", ")
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captures::NewCapture;

    fn settings() -> CaptureSettings {
        CaptureSettings {
            upstream: "host=db dbname='it'".to_owned(),
            password: PasswordSource::None,
            publications: vec!["p".to_owned()],
            slot: "pgspool_shop".to_owned(),
            create_slot: true,
            create_publication: false,
            heartbeat: None,
            paused: false,
        }
    }

    #[test]
    fn a_stop_says_what_is_missing_and_what_to_do() {
        let at = Lsn::new;
        let table = [
            (
                StopReason::SlotMissing {
                    received_upto: at(16),
                    end: at(32),
                },
                "slot_missing",
                (Some(at(16)), Some(at(32))),
                "replication slot \"pgspool_shop\" does not exist on the upstream",
                "DROP DATABASE shop; CREATE DATABASE shop WITH (upstream = 'host=db \
                 dbname=''it''', publication = 'p', slot = 'pgspool_shop')",
            ),
            (
                StopReason::SlotLost {
                    cause: "wal_removed".to_owned(),
                    received_upto: at(16),
                    end: at(32),
                },
                "slot_lost",
                (Some(at(16)), Some(at(32))),
                "is invalidated: wal_removed",
                "max_slot_wal_keep_size",
            ),
            (
                StopReason::SlotAhead {
                    received_upto: at(16),
                    confirmed_flush_lsn: at(24),
                },
                "slot_ahead",
                (Some(at(16)), Some(at(24))),
                "stands at 0/18, above 0/10",
                "pg_drop_replication_slot('pgspool_shop')",
            ),
            (
                StopReason::SystemChanged {
                    expected: 1,
                    found: 2,
                },
                "system_identifier_changed",
                (None, None),
                "its system identifier is 2, and 1 was followed",
                "RESUME shop",
            ),
            (
                StopReason::Diverged {
                    timeline: 1,
                    found: 2,
                    switched_at: Some(at(8)),
                    received_upto: at(16),
                },
                "timeline_diverged",
                (Some(at(8)), None),
                "left timeline 1 at 0/8, below 0/10",
                "RESUME shop",
            ),
        ];
        for (reason, cause, missing, message, hint) in table {
            let stop = reason.explain("shop", &settings());
            assert_eq!(stop.cause, cause);
            assert_eq!((stop.missing_from, stop.missing_to), missing, "{cause}");
            assert!(stop.message.contains(message), "{}", stop.message);
            assert!(stop.hint.contains(hint), "{}", stop.hint);
        }
    }

    #[test]
    fn the_plan_makes_what_was_there_with_every_option_and_frees_the_slots_name() {
        let settings = CaptureSettings {
            password: PasswordSource::File("/etc/it's".into()),
            publications: vec!["p".to_owned(), "Q, r".to_owned()],
            create_slot: false,
            create_publication: true,
            heartbeat: Some(std::time::Duration::from_secs(10)),
            ..settings()
        };
        assert_eq!(
            options(&settings),
            "upstream = 'host=db dbname=''it''', publication = 'p,\"Q, r\"', slot = \
             'pgspool_shop', password_file = '/etc/it''s', create_slot = false, \
             create_publication = true, heartbeat = '10000ms'"
        );
        let given = [
            ("upstream", "host=db dbname='it'"),
            ("publication", "p,\"Q, r\""),
            ("slot", "pgspool_shop"),
            ("password_file", "/etc/it's"),
            ("create_slot", "false"),
            ("create_publication", "true"),
            ("heartbeat", "10000ms"),
        ];
        let read = NewCapture::from_options("shop", given).unwrap();
        assert_eq!(read.settings, settings);
        let (end, received_upto) = (Lsn::new(8), Lsn::new(16));
        for reason in [
            StopReason::UpstreamBehind { end, received_upto },
            StopReason::SystemChanged {
                expected: 1,
                found: 2,
            },
            StopReason::PublicationMissing {
                name: "p".to_owned(),
                since: end,
                end: received_upto,
            },
        ] {
            let hint = reason.explain("shop", &settings).hint;
            let words = "DROP DATABASE shop; on the upstream, if the slot is there, SELECT \
                         pg_drop_replication_slot('pgspool_shop'); here CREATE DATABASE shop WITH (";
            assert!(hint.contains(words), "{hint}");
        }
    }
}
