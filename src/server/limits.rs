//! How many may be here at once: in all, of one role, from one address, streaming, what is kept
//! for superusers, and how many may wait at the door.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::Shared;
use super::activity::lock;
use super::auth::Identity;
use super::peer::Peer;
use super::startup::{Replication, Startup};
use crate::pgerror::PgError;

/// The limits of a server's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// `superuser_reserved_connections`: of `max_connections`, only superusers get the last ones.
    pub superuser_reserved_connections: usize,
    /// `max_connections_per_address`: most sessions from one address; 0: no limit.
    pub max_connections_per_address: usize,
    /// `max_unauthenticated_connections`: most sockets on which nobody has logged in yet.
    pub max_unauthenticated_connections: usize,
    /// `max_wal_senders`: most replication connections; they do not count in `max_connections`.
    pub max_wal_senders: usize,
    /// `max_startup_message_size`: the largest message before login.
    pub max_startup_message_size: usize,
    /// `max_message_size`: the largest message of a session, but for COPY data.
    pub max_message_size: usize,
    /// `max_query_length`: the longest text of a query.
    pub max_query_length: usize,
    /// `max_copy_line`: the longest line of a COPY.
    pub max_copy_line: usize,
    /// `session_memory_limit`: most bytes that a session holds from one statement to the next.
    pub session_memory_limit: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            superuser_reserved_connections: 3,
            max_connections_per_address: 0,
            max_unauthenticated_connections: 100,
            max_wal_senders: 100,
            max_startup_message_size: 10_000,
            max_message_size: 1 << 20,
            max_query_length: 1 << 20,
            max_copy_line: 256 << 20,
            session_memory_limit: 128 << 20,
        }
    }
}

/// Where a session comes from, as it is counted; `None` is a Unix socket.
type Address = Option<IpAddr>;

/// The address as it is counted: of IPv6 the first 64 bits, since whoever has one such address
/// has all of its net.
fn counted(address: Address) -> Address {
    const NET: u128 = !0 << 64;
    address.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NET)),
        ip @ IpAddr::V4(_) => ip,
    })
}

/// Who is here.
#[derive(Debug, Default)]
pub(super) struct Census {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Without replication connections.
    num_sessions: usize,
    num_senders: usize,
    of_role: BTreeMap<u32, usize>,
    of_address: BTreeMap<Address, usize>,
}

/// Who asks for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applicant {
    role: u32,
    /// The role's name and the most sessions that it may have.
    limit: Option<(String, u32)>,
    is_superuser: bool,
    is_sender: bool,
    address: Address,
}

/// Whether there is a session for the applicant, or why there is none. In PostgreSQL's order: the
/// server's limit, the role's, what is kept for superusers; then ours.
fn plan(
    counts: &Counts,
    applicant: &Applicant,
    max_connections: usize,
    limits: &Limits,
) -> Result<(), PgError> {
    let refuse = |message: String| Err(PgError::fatal("53300", message));
    let free = max_connections.saturating_sub(counts.num_sessions);
    if applicant.is_sender {
        let most = limits.max_wal_senders;
        if counts.num_senders >= most {
            return refuse(format!(
                "number of requested standby connections exceeds max_wal_senders (currently {most})"
            ));
        }
    } else if free == 0 {
        return refuse("sorry, too many clients already".to_owned());
    }
    if applicant.is_superuser {
        return Ok(());
    }
    if let Some((name, most)) = &applicant.limit {
        let now = counts.of_role.get(&applicant.role).copied();
        if now.unwrap_or(0) >= usize::try_from(*most).unwrap_or(usize::MAX) {
            return refuse(format!("too many connections for role \"{name}\""));
        }
    }
    if !applicant.is_sender && free <= limits.superuser_reserved_connections {
        let words = "remaining connection slots are reserved for non-replication superuser \
                     connections";
        return refuse(words.to_owned());
    }
    let most = limits.max_connections_per_address;
    let now = counts.of_address.get(&applicant.address).copied();
    if most > 0 && now.unwrap_or(0) >= most {
        let from = match applicant.address {
            Some(IpAddr::V6(net)) => format!("addresses \"{net}/64\""),
            Some(address) => format!("address \"{address}\""),
            None => "local sockets".to_owned(),
        };
        return refuse(format!("too many connections from {from}"));
    }
    Ok(())
}

impl Counts {
    fn enter(&mut self, applicant: &Applicant) {
        let kind = if applicant.is_sender {
            &mut self.num_senders
        } else {
            &mut self.num_sessions
        };
        *kind = kind.saturating_add(1);
        *self.of_role.entry(applicant.role).or_default() += 1;
        *self.of_address.entry(applicant.address).or_default() += 1;
    }

    fn leave(&mut self, applicant: &Applicant) {
        let kind = if applicant.is_sender {
            &mut self.num_senders
        } else {
            &mut self.num_sessions
        };
        *kind = kind.saturating_sub(1);
        take_one(&mut self.of_role, &applicant.role);
        take_one(&mut self.of_address, &applicant.address);
    }
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// The right to a session; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Admission {
    census: Arc<Census>,
    applicant: Applicant,
}

impl Drop for Admission {
    fn drop(&mut self) {
        lock(&self.census.counts).leave(&self.applicant);
    }
}

/// The right to a session, or why there is none.
pub(super) fn admit(
    identity: &Identity,
    startup: &Startup,
    peer: &Peer,
    shared: &Shared,
) -> Result<Admission, PgError> {
    let roles = shared.databases.roles().current();
    let role = roles.find_oid(identity.role);
    let limit = role.and_then(|role| Some((role.name.clone(), role.connection_limit?)));
    let applicant = Applicant {
        role: identity.role,
        limit,
        is_superuser: shared.rights_of(identity.role).superuser,
        is_sender: startup.replication != Replication::No,
        address: counted(peer.ip()),
    };
    let options = &shared.options;
    let mut counts = lock(&shared.census.counts);
    plan(
        &counts,
        &applicant,
        options.max_connections,
        &options.limits,
    )?;
    counts.enter(&applicant);
    drop(counts);
    Ok(Admission {
        census: Arc::clone(&shared.census),
        applicant,
    })
}

/// Those whose sockets were accepted and who have not logged in yet.
///
/// When there are too many, one of them has to go for the next one: the one that is there for the
/// longest of the address that has the most. So whoever never logs in takes the place of others
/// of his kind, and of nobody else.
#[derive(Debug)]
pub(super) struct WaitingRoom {
    most: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    /// In the order in which they came.
    seats: BTreeMap<u64, (Address, Arc<Notify>)>,
}

impl WaitingRoom {
    /// A room for so many, at least one.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            waiting: Mutex::default(),
        }
    }

    /// A seat for who comes from `address`; somebody else may lose his for it.
    pub(super) fn enter(self: &Arc<Self>, address: Address) -> Seat {
        let mut waiting = lock(&self.waiting);
        if waiting.seats.len() >= self.most {
            let seats = waiting.seats.iter().map(|(n, (from, _))| (*n, *from));
            let goes = who_goes(seats);
            if let Some((_, told)) = goes.and_then(|n| waiting.seats.remove(&n)) {
                told.notify_one();
            }
        }
        waiting.last = waiting.last.wrapping_add(1);
        let number = waiting.last;
        let told = Arc::new(Notify::new());
        waiting
            .seats
            .insert(number, (counted(address), Arc::clone(&told)));
        Seat {
            room: Arc::clone(self),
            number,
            told,
        }
    }
}

/// Who has to go: the first of the address that has the most.
fn who_goes(seats: impl Iterator<Item = (u64, Address)>) -> Option<u64> {
    let mut of_address: BTreeMap<Address, (usize, u64)> = BTreeMap::new();
    for (number, address) in seats {
        of_address.entry(address).or_insert((0, number)).0 += 1;
    }
    // Of equals the one that came first.
    let most = of_address
        .values()
        .max_by_key(|(count, first)| (*count, std::cmp::Reverse(*first)));
    most.map(|(_, first)| *first)
}

/// A place before login; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    room: Arc<WaitingRoom>,
    number: u64,
    told: Arc<Notify>,
}

impl Seat {
    /// Completes when the place is taken by somebody else.
    pub(super) async fn lost(&self) {
        self.told.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.room.waiting).seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applicant(role: u32, limit: Option<u32>, address: &str) -> Applicant {
        Applicant {
            role,
            limit: limit.map(|limit| ("ann".to_owned(), limit)),
            is_superuser: false,
            is_sender: false,
            address: counted(address.parse().ok()),
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_limit_refuses_in_its_own_words() {
        let limits = Limits {
            superuser_reserved_connections: 2,
            max_connections_per_address: 3,
            max_wal_senders: 1,
            ..Limits::default()
        };
        let ann = |n| applicant(1, n, "2001:db8:0:1::1");
        let superuser = Applicant {
            is_superuser: true,
            ..ann(Some(0))
        };
        let sender = Applicant {
            is_sender: true,
            ..ann(None)
        };
        let reserved = "remaining connection slots are reserved for non-replication superuser \
                        connections";
        let senders =
            "number of requested standby connections exceeds max_wal_senders (currently 1)";
        let many = "sorry, too many clients already";
        // Who is there: (how many, who); who comes; what is said.
        for (there, comes, said) in [
            (vec![], ann(None), None),
            (
                vec![],
                ann(Some(0)),
                Some("too many connections for role \"ann\""),
            ),
            (
                vec![(1, ann(None))],
                ann(Some(1)),
                Some("too many connections for role \"ann\""),
            ),
            (vec![(1, ann(None))], ann(Some(2)), None),
            (
                vec![(1, sender.clone())],
                ann(Some(1)),
                Some("too many connections for role \"ann\""),
            ),
            (
                vec![(3, ann(None))],
                ann(None),
                Some("too many connections from addresses \"2001:db8:0:1::/64\""),
            ),
            (
                vec![(3, ann(None))],
                applicant(1, None, "2001:db8:0:2::1"),
                None,
            ),
            (
                vec![(3, applicant(1, None, ""))],
                applicant(2, None, ""),
                Some("too many connections from local sockets"),
            ),
            (vec![(3, ann(None))], superuser.clone(), None),
            (
                vec![
                    (2, applicant(2, None, "2001:db8:0:2::1")),
                    (2, applicant(2, None, "2001:db8:0:3::1")),
                ],
                ann(None),
                Some(reserved),
            ),
            (
                vec![(4, applicant(2, None, "2001:db8:0:2::1"))],
                superuser.clone(),
                None,
            ),
            (
                vec![(6, applicant(2, None, "2001:db8:0:2::1"))],
                superuser.clone(),
                Some(many),
            ),
            (
                vec![(6, applicant(2, None, "2001:db8:0:2::1"))],
                ann(None),
                Some(many),
            ),
            (
                vec![(6, applicant(2, None, "2001:db8:0:2::1"))],
                sender.clone(),
                None,
            ),
            (vec![(1, sender.clone())], sender, Some(senders)),
        ] {
            let mut counts = Counts::default();
            for (n, who) in &there {
                (0..*n).for_each(|_| counts.enter(who));
            }
            let planned = plan(&counts, &comes, 6, &limits);
            let words = planned.as_ref().err().map(ToString::to_string);
            assert_eq!(
                words,
                said.map(|said| format!("53300 {said}")),
                "{there:?} {comes:?}"
            );
            for (n, who) in &there {
                (0..*n).for_each(|_| counts.leave(who));
            }
            assert_eq!((counts.num_sessions, counts.num_senders), (0, 0));
            assert!(counts.of_role.is_empty() && counts.of_address.is_empty());
        }
    }

    #[test]
    fn addresses_of_one_net_are_counted_together() {
        let counted = |text: &str| counted(text.parse().ok()).unwrap().to_string();
        for (address, as_this) in [
            ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
            ("2001:db8:0:2:2:3:4:5", "2001:db8:0:2::"),
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
        ] {
            assert_eq!(counted(address), as_this);
        }
        assert_eq!(super::counted(None), None);
    }

    #[test]
    fn who_has_a_whole_net_takes_his_own_places() {
        let room = Arc::new(WaitingRoom::new(3));
        let honest = room.enter("2001:db8:0:2::1".parse().ok());
        let bad = |n: u32| room.enter(format!("2001:db8:0:1::{n:x}").parse().ok());
        let held: Vec<_> = (1..9).map(bad).collect();
        let left: Vec<_> = lock(&room.waiting).seats.keys().copied().collect();
        let last: Vec<_> = held.iter().rev().take(2).map(|seat| seat.number).collect();
        assert_eq!(left, [honest.number, last[1], last[0]]);
    }

    #[tokio::test]
    async fn who_never_logs_in_takes_the_place_of_his_own_kind() {
        let room = Arc::new(WaitingRoom::new(3));
        let (bad, good) = (
            "2001:db8:0:1::1".parse().ok(),
            "2001:db8:0:2::1".parse().ok(),
        );
        let honest = room.enter(good);
        let first = room.enter(bad);
        let second = room.enter(bad);
        let third = room.enter(bad);
        first.lost().await;
        let fourth = room.enter(bad);
        second.lost().await;
        drop((first, second));
        let left: Vec<_> = lock(&room.waiting).seats.keys().copied().collect();
        assert_eq!(left, [honest.number, third.number, fourth.number]);
        drop((honest, third, fourth));
        assert!(lock(&room.waiting).seats.is_empty());
    }
}
