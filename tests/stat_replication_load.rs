//! `pg_stat_replication` and the views of slots under load: with 20 streams that acknowledge
//! different positions, what the views show is what the clients know.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use pgspool::lsn::Lsn;
use support::{RawClient, Streamed, TestServer};

const STREAMS: usize = 20;
const RECORDS: u64 = 600;
/// How often the producer waits until somebody has looked at the views.
const LOOKS: u64 = 6;

/// What one client has said and heard. Each value is raised before it is told to the server, so
/// the server can know no more.
struct Known {
    write: AtomicU64,
    flush: AtomicU64,
    apply: AtomicU64,
    received: AtomicU64,
}

impl Known {
    /// What is known of a slot that begins at `start`: everything before it.
    fn at(start: u64) -> Self {
        Self {
            write: start.into(),
            flush: start.into(),
            apply: start.into(),
            received: start.into(),
        }
    }
}

struct Subscriber {
    number: usize,
    pid: u32,
    client: RawClient,
    known: Arc<Known>,
    /// Where each record ended that was received.
    ends: Vec<Lsn>,
    bytes: u64,
}

impl Subscriber {
    fn start(server: &TestServer, number: usize) -> Self {
        let name = format!("sub_{number:02}");
        let mut client = server.connect();
        let greeting = client.start(&[
            ("user", "ann"),
            ("database", "pgspool"),
            ("replication", "database"),
            ("application_name", &name),
        ]);
        let key = greeting.iter().find(|message| message.tag == 'K').unwrap();
        let pid = u32::from_be_bytes(key.body[..4].try_into().unwrap());
        let start = server.engine().head().get();
        client.create_slot(&name, "json");
        client.stream(&name);
        Self {
            number,
            pid,
            client,
            known: Arc::new(Known::at(start)),
            ends: vec![],
            bytes: 0,
        }
    }

    /// Reads all records; after each some are acknowledged, the newer as written only.
    fn run(mut self) -> Self {
        for num_read in 1..=RECORDS {
            let (end, text) = self.client.data();
            self.bytes += u64::try_from(text.len()).unwrap();
            self.ends.push(end);
            self.known.received.store(end.get(), Ordering::SeqCst);
            if num_read % u64::try_from(self.number % 4 + 1).unwrap() == 0 {
                self.acknowledge(false);
            }
        }
        self.acknowledge(true);
        let is_reply = |streamed| matches!(streamed, Streamed::Keepalive(_, false));
        self.client.until(|message| is_reply(message.streamed()));
        self
    }

    fn acknowledge(&mut self, reply: bool) {
        let behind = |back: usize| {
            let index = self.ends.len().saturating_sub(1 + back);
            self.ends[index].get()
        };
        let write = behind(self.number % 3);
        let flush = behind(self.number % 3 + self.number % 5 + 1);
        let apply = behind(self.number % 3 + self.number % 7);
        for (known, now) in [
            (&self.known.write, write),
            (&self.known.flush, flush),
            (&self.known.apply, apply),
        ] {
            known.store(now, Ordering::SeqCst);
        }
        self.client.status(write, flush, apply, reply);
    }
}

/// The rows of a query by their first value.
fn rows(session: &mut RawClient, query: &str) -> BTreeMap<String, Vec<String>> {
    let answer = session.query(query);
    let rows = answer.iter().filter(|message| message.tag == 'D');
    let row = |values: Vec<Option<String>>| {
        let mut values = values
            .into_iter()
            .map(|v| v.unwrap_or_else(|| "NULL".into()));
        (values.next().unwrap(), values.collect())
    };
    rows.map(|message| row(message.values())).collect()
}

fn lsn(text: &str) -> u64 {
    if text == "NULL" {
        return 0;
    }
    text.parse::<Lsn>()
        .unwrap_or_else(|_| panic!("{text}"))
        .get()
}

const STREAMED: &str = "SELECT application_name, write_lsn, flush_lsn, replay_lsn, sent_lsn, \
                        state, pid, sync_state FROM pg_stat_replication";
const SLOTS: &str = "SELECT slot_name, confirmed_flush_lsn, restart_lsn, active_pid, active \
                     FROM pg_replication_slots";
const OWN: &str = "SELECT s.slot_name, s.restart_lsn, r.written_lsn, r.durable_lsn, \
                   r.applied_lsn, r.sent_lsn, r.pid, s.active_pid \
                   FROM pgspool.slots s JOIN pgspool.replicas r ON r.id = s.slot_name";
const COUNTED: &str = "SELECT slot_name, total_txns, total_bytes FROM pg_stat_replication_slots";

/// Looks at the views again and again: they are never ahead of what the clients said.
fn watch(
    server: &TestServer,
    all: &BTreeMap<String, Arc<Known>>,
    done: &AtomicBool,
    num_looks: &AtomicU64,
) {
    let mut session = server.session();
    while !done.load(Ordering::SeqCst) {
        let streamed = rows(&mut session, STREAMED);
        assert_eq!(streamed.len(), STREAMS);
        let own = rows(&mut session, OWN);
        assert_eq!(own.len(), STREAMS);
        let head = server.engine().head().get();
        for (name, known) in all {
            let said = [&known.write, &known.flush, &known.apply];
            let [write, flush, apply] = said.map(|known| known.load(Ordering::SeqCst));
            let row = &streamed[name];
            assert!(
                lsn(&row[0]) <= write.max(flush).max(apply),
                "{name} {row:?}"
            );
            assert!(lsn(&row[1]) <= flush, "{name} {row:?} {flush}");
            assert!(lsn(&row[2]) <= apply, "{name} {row:?} {apply}");
            assert!(lsn(&row[3]) <= head, "{name} {row:?}");
            let row = &own[name];
            assert!(lsn(&row[0]) <= flush, "{name} {row:?} {flush}");
            assert!(lsn(&row[3]) <= apply, "{name} {row:?} {apply}");
            // One look is one moment: nothing is acknowledged that was not sent.
            assert!(lsn(&row[1]) <= lsn(&row[4]), "{name} {row:?}");
        }
        num_looks.fetch_add(1, Ordering::SeqCst);
    }
}

/// Everything is acknowledged as far as it will be: the views say exactly that.
fn compare(server: &TestServer, subscribers: &[Subscriber]) {
    let mut session = server.session();
    let (streamed, slots) = (rows(&mut session, STREAMED), rows(&mut session, SLOTS));
    let (own, counted) = (rows(&mut session, OWN), rows(&mut session, COUNTED));
    let head = server.engine().head().to_string();
    for subscriber in subscribers {
        let name = format!("sub_{:02}", subscriber.number);
        let pid = subscriber.pid.to_string();
        let known = &subscriber.known;
        let said = [&known.write, &known.flush, &known.apply];
        let [write, flush, apply] =
            said.map(|known| Lsn::new(known.load(Ordering::SeqCst)).to_string());
        assert_eq!(known.received.load(Ordering::SeqCst), lsn(&head));
        let wanted = [&write, &flush, &apply, &head, "streaming", &pid, "async"];
        assert_eq!(streamed[&name], wanted, "{name}");
        assert_eq!(slots[&name], [&flush, &flush, &pid, "t"], "{name}");
        let wanted = [&*flush, &write, &flush, &apply, &head, &pid, &pid];
        assert_eq!(own[&name], wanted, "{name}");
        let wanted = [RECORDS.to_string(), subscriber.bytes.to_string()];
        assert_eq!(counted[&name], wanted, "{name}");
    }
}

#[test]
fn the_views_equal_what_20_streams_know() {
    let server = TestServer::start();
    let subscribers: Vec<Subscriber> = (0..STREAMS)
        .map(|number| Subscriber::start(&server, number))
        .collect();
    let all: BTreeMap<String, Arc<Known>> = subscribers
        .iter()
        .map(|one| (format!("sub_{:02}", one.number), Arc::clone(&one.known)))
        .collect();
    let done = AtomicBool::new(false);
    let num_looks = AtomicU64::new(0);
    let mut subscribers = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&server, &all, &done, &num_looks));
        let running: Vec<_> = subscribers
            .into_iter()
            .map(|subscriber| scope.spawn(|| subscriber.run()))
            .collect();
        let mut producer = server.session();
        for id in 1..=RECORDS {
            let record = support::line(id);
            producer.row(&format!("SELECT pgspool.publish('{}')", record.trim()));
            if id.is_multiple_of(RECORDS / LOOKS) {
                // Two ends of a look later, one look lay wholly behind this record.
                let seen = num_looks.load(Ordering::SeqCst);
                support::eventually("somebody looks", || {
                    num_looks.load(Ordering::SeqCst) >= seen + 2
                });
            }
        }
        let ended = running.into_iter().map(|one| one.join());
        let ended: Vec<_> = ended.collect();
        done.store(true, Ordering::SeqCst);
        watching.join().unwrap();
        ended.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    });
    compare(&server, &subscribers);
    // Who leaves is gone from the streams and stays among the slots, where it stood.
    let gone = subscribers.split_off(STREAMS / 2);
    let flush = gone[0].known.flush.load(Ordering::SeqCst);
    let name = format!("sub_{:02}", gone[0].number);
    drop(gone);
    support::eventually("who left is gone", || {
        rows(&mut server.session(), STREAMED).len() == STREAMS / 2
    });
    let mut session = server.session();
    compare(&server, &subscribers);
    let slots = rows(&mut session, SLOTS);
    assert_eq!(slots.len(), STREAMS);
    let flush = Lsn::new(flush).to_string();
    assert_eq!(slots[&name], [&flush, &flush, "NULL", "f"]);
    assert_eq!(rows(&mut session, OWN).len(), STREAMS / 2);
}

#[test]
fn a_stream_that_never_replied_has_no_positions_of_its_own() {
    let server = TestServer::start();
    server.publish(1..=2);
    let mut subscriber = Subscriber::start(&server, 1);
    let mut session = server.session();
    let query = "SELECT application_name, write_lsn, flush_lsn, replay_lsn, reply_time, write_lag \
                 FROM pg_stat_replication";
    let row = &rows(&mut session, query)["sub_01"];
    assert_eq!(
        row[..],
        ["NULL"; 5],
        "as PostgreSQL has it before the first reply"
    );
    server.publish(3..=3);
    let (end, _) = subscriber.client.data();
    subscriber.client.acknowledge(end);
    let row = &rows(&mut session, query)["sub_01"];
    assert_eq!(
        row[..3],
        [end.to_string(), end.to_string(), end.to_string()]
    );
    assert_ne!(row[3], "NULL");
}
