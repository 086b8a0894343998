//! Streams: order, keepalives, acknowledgements, ends, and what a silent or stalled client gets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::time::{Duration, Instant};

use pgspool::clock::Moment;
use pgspool::engine::{EngineOptions, PublishError};
use pgspool::lsn::Lsn;
use pgspool::slots::SlotName;
use pgspool::spool::MAX_PAYLOAD;
use support::{Message, RawClient, Streamed, TestServer, eventually, message, record};

fn streaming(server: &TestServer, slot: &str) -> RawClient {
    let mut client = server.replication();
    client.create_slot(slot, "json");
    client.stream(slot);
    client
}

fn restart_lsn(server: &TestServer, slot: &str) -> Lsn {
    let name = SlotName::parse(slot).unwrap();
    server.engine().slot(&name).unwrap().restart_lsn
}

fn active(server: &TestServer, slot: &str) -> bool {
    let name = SlotName::parse(slot).unwrap();
    server.engine().slot(&name).unwrap().active_pid.is_some()
}

#[test]
fn a_keepalive_comes_first_and_then_every_transaction_in_order() {
    let server = TestServer::start();
    let mut client = server.replication();
    client.create_slot("s", "json");
    let start = server.engine().head();
    server.publish(1..=500);
    client.stream("s");
    let first = client.read().unwrap().streamed();
    assert_eq!(first, Streamed::Keepalive(start, false));
    assert_eq!(client.ids(500), (1..=500).collect::<Vec<_>>());
    for round in 0..50 {
        server.publish([1000 + round]);
        assert_eq!(client.ids(1), [1000 + round]);
    }
}

#[test]
fn a_single_record_arrives_at_once() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    let mut took = Vec::new();
    for id in 0..20 {
        let engine = server.engine();
        let mut batch = engine.batch(Moment::now());
        batch.push(&record(id)).unwrap();
        engine.publish(batch).unwrap();
        let durable = Instant::now();
        client.ids(1);
        took.push(durable.elapsed());
    }
    // A busy machine may hold up some of them, a timer would hold up each.
    took.sort();
    assert!(
        took[took.len() / 2] < Duration::from_millis(500),
        "{took:?}"
    );
}

#[test]
fn test_decoding_frames_each_record_with_begin_and_commit() {
    let server = TestServer::start();
    let mut client = server.replication();
    client.create_slot("s", "test_decoding");
    let end = server.publish([5]);
    client.stream("s");
    let begin = client.data();
    let change = client.data();
    let commit = client.data();
    assert!(begin.1.starts_with("BEGIN "), "{begin:?}");
    assert!(
        change.1.starts_with("table public.orders: INSERT:"),
        "{change:?}"
    );
    assert!(commit.1.starts_with("COMMIT "), "{commit:?}");
    assert_eq!(commit.0, end);
    assert!(begin.0 <= change.0 && change.0 < commit.0);
}

#[test]
fn acknowledged_transactions_are_not_sent_again() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    server.publish(1..=10);
    let mut lsns = vec![];
    for _ in 0..10 {
        lsns.push(client.data().0);
    }
    client.acknowledge(lsns[3]);
    eventually("the slot moved", || restart_lsn(&server, "s") == lsns[3]);
    drop(client);
    let mut client = server.replication();
    client.stream("s");
    assert_eq!(client.ids(6), [5, 6, 7, 8, 9, 10]);
    // A start below the slot's position does not rewind, one above it is taken.
    drop(client);
    for (from, ids) in [(lsns[0], vec![5, 6]), (lsns[7], vec![9, 10])] {
        let mut client = server.replication();
        eventually("the slot is free", || !active(&server, "s"));
        client.send_query(&format!("START_REPLICATION SLOT s LOGICAL {from}"));
        assert_eq!(client.read().unwrap().tag, 'W');
        assert_eq!(client.ids(2), ids);
    }
}

#[test]
fn what_a_client_confirms_as_it_leaves_is_confirmed() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    // More than the ring and the socket hold, so that the stream is reading from disk.
    for block in 0..20 {
        server.publish(block * 5_000..(block + 1) * 5_000);
    }
    drop(client);
    let data = server.data.clone();
    server.stop();
    let server = TestServer::start_on(data, EngineOptions::default(), |_| {});
    for (round, ending) in [b'X', b'c', b'X', b'c', b'X', b'c'].into_iter().enumerate() {
        client = server.replication();
        eventually("the slot is free", || !active(&server, "s"));
        client.stream("s");
        for _ in 0..20 + round {
            client.data();
        }
        let lsn = client.data().0.get();
        let mut update = vec![b'r'];
        for word in [lsn, lsn, lsn, 0] {
            update.extend_from_slice(&word.to_be_bytes());
        }
        update.push(0);
        let mut last_words = message(b'd', &update);
        last_words.extend(message(ending, &[]));
        client.raw(&last_words);
        drop(client);
        eventually("the last words were heard", || {
            restart_lsn(&server, "s").get() == lsn
        });
    }
}

#[test]
fn acknowledgements_outlive_a_restart() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    let last = server.publish(1..=10);
    client.ids(10);
    client.acknowledge(last);
    drop(client);
    let data = server.data.clone();
    server.stop();
    let server = TestServer::start_on(data, EngineOptions::default(), |_| {});
    assert_eq!(restart_lsn(&server, "s"), last);
    server.publish([11]);
    let mut client = server.replication();
    client.stream("s");
    assert_eq!(client.ids(1), [11]);
}

#[test]
fn absurd_acknowledgements_do_no_harm() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    let start = server.engine().head();
    for absurd in [0, 1, u64::MAX, 0] {
        client.status(absurd, absurd, absurd, true);
        let answer = client.until(|m| matches!(m.streamed(), Streamed::Keepalive(..)));
        assert!(!answer.is_empty());
        assert_eq!(restart_lsn(&server, "s"), start);
    }
    let last = server.publish(1..=3);
    client.ids(3);
    client.status(last.get() + 1, last.get() + 1, last.get() + 1, true);
    client.read().unwrap();
    eventually("clamped to what was sent", || {
        restart_lsn(&server, "s") == last
    });
}

#[test]
fn what_is_published_while_a_client_acknowledges_the_head_is_not_lost() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in 0..300 {
                server.publish([id]);
            }
        });
        let mut expected = 0;
        while expected < 300 {
            match client.read().unwrap().streamed() {
                Streamed::Data(lsn, json) => {
                    assert_eq!(support::id_of(&json), expected);
                    expected += 1;
                    // As some clients do: acknowledge one more than was seen, and ask.
                    client.status(lsn.get() + 1, lsn.get() + 1, lsn.get() + 1, true);
                }
                Streamed::Keepalive(lsn, _) => {
                    client.status(lsn.get(), lsn.get(), lsn.get(), false);
                }
            }
        }
    });
}

fn check_end(answer: &[Message]) {
    let end: Vec<&Message> = answer.iter().rev().take(5).rev().collect();
    assert_eq!(end[0].tag, 'c');
    assert!(matches!(end[1].streamed(), Streamed::Keepalive(_, false)));
    assert_eq!(end[2].tag_text(), "COPY 0");
    assert_eq!(end[3].tag_text(), "START_REPLICATION");
    assert_eq!((end[4].tag, &end[4].body[..]), ('Z', &b"I"[..]));
}

#[test]
fn copy_done_ends_the_stream_and_commands_go_on() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    let last = server.publish(1..=3);
    client.ids(3);
    client.status(last.get(), last.get(), 0, false);
    client.message(b'c', b"");
    check_end(&client.until_ready());
    assert_eq!(restart_lsn(&server, "s"), last);
    // The slot is free before the client hears of the end.
    let answer = client.query("DROP_REPLICATION_SLOT s");
    assert_eq!(answer[0].tag_text(), "DROP_REPLICATION_SLOT");
}

#[test]
fn a_command_behind_copy_done_in_the_same_segment_is_executed() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    let mut bytes = support::message(b'c', b"");
    bytes.extend(support::message(b'Q', b"DROP_REPLICATION_SLOT s WAIT\0"));
    client.raw(&bytes);
    check_end(&client.until_ready());
    assert_eq!(client.until_ready()[0].tag_text(), "DROP_REPLICATION_SLOT");
}

#[test]
fn copy_done_in_the_middle_of_much_data_ends_cleanly() {
    let server = TestServer::start();
    let mut client = server.replication();
    client.create_slot("s", "json");
    for _ in 0..20 {
        server.publish(0..2000);
    }
    client.stream("s");
    client.ids(10);
    client.message(b'c', b"");
    check_end(&client.until_ready());
}

#[test]
fn the_slot_is_free_at_once_however_a_client_leaves() {
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    client.message(b'X', b"");
    assert!(client.until_end().iter().all(|message| message.tag == 'd'));
    for _ in 0..20 {
        // As Debezium does: the next connection starts the slot right behind the last one's end.
        eventually("the slot is free", || !active(&server, "s"));
        let mut client = server.replication();
        client.stream("s");
    }
}

#[test]
fn a_silent_client_is_asked_and_then_dropped() {
    let server = TestServer::start();
    let mut client = server.replication_with(&[("options", "-c wal_sender_timeout=2000")]);
    client.create_slot("s", "json");
    let begin = Instant::now();
    client.stream("s");
    let messages = client.until_end();
    assert!(begin.elapsed() >= Duration::from_secs(2));
    let asked = messages.iter().map(Message::streamed);
    let asked = asked.filter(|m| matches!(m, Streamed::Keepalive(_, true)));
    assert_eq!(asked.count(), 1);
    eventually("the slot is free", || !active(&server, "s"));
}

#[test]
fn a_client_that_answers_is_not_dropped() {
    let server = TestServer::start();
    let mut client = server.replication_with(&[("options", "-c wal_sender_timeout=4000")]);
    client.create_slot("s", "json");
    let begin = Instant::now();
    client.stream("s");
    let mut num_asked = 0;
    // It is asked when half of the time is over.
    while num_asked < 3 {
        if let Streamed::Keepalive(_, true) = client.read().unwrap().streamed() {
            num_asked += 1;
            client.status(0, 0, 0, false);
        }
    }
    assert!(begin.elapsed() >= Duration::from_secs(6));
}

#[test]
fn a_client_that_stops_reading_is_dropped_in_time() {
    let server = TestServer::start();
    let mut client = server.replication_with(&[("options", "-c wal_sender_timeout=500")]);
    client.create_slot("s", "json");
    for _ in 0..50 {
        server.publish(0..2000);
    }
    client.stream("s");
    // Far more than the socket's buffers hold is waiting; nothing is read.
    eventually("the stream has begun", || active(&server, "s"));
    eventually("the slot is free", || !active(&server, "s"));
}

#[test]
fn streams_read_from_disk_what_memory_has_forgotten() {
    let engine = EngineOptions {
        segment_bytes: 256 << 10,
        ring_bytes: 64 << 10,
        ring_frames: 100,
        ..EngineOptions::default()
    };
    let server = TestServer::start_with(engine, |_| {});
    let mut client = server.replication();
    client.create_slot("s", "json");
    let n = 20_000;
    for first in (0..n).step_by(1000) {
        server.publish(first..first + 1000);
    }
    client.stream("s");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for id in n..n + 500 {
                server.publish([id]);
            }
        });
        let total = usize::try_from(n).unwrap() + 500;
        let mut last = Lsn::ZERO;
        for expected in 0..total {
            let (lsn, json) = client.data();
            assert_eq!(support::id_of(&json), expected as u64);
            assert!(lsn > last);
            last = lsn;
            if expected % 1000 == 0 {
                client.status(lsn.get(), lsn.get(), lsn.get(), false);
            }
        }
        client.acknowledge(last);
    });
    eventually("the slot is at the head", || {
        restart_lsn(&server, "s") == server.engine().head()
    });
}

#[test]
fn many_subscribers_get_everything() {
    let server = TestServer::start();
    let mut clients: Vec<_> = (0..8)
        .map(|n| streaming(&server, &format!("s{n}")))
        .collect();
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| {
                for expected in (0..5000).step_by(500) {
                    let ids: Vec<u64> = (expected..expected + 500).collect();
                    assert_eq!(client.ids(500), ids);
                }
            });
        }
        for first in (0..5000).step_by(50) {
            server.publish(first..first + 50);
        }
    });
}

#[test]
fn a_slot_that_is_invalidated_under_a_stream_says_why_and_what_to_do() {
    let mut engine = EngineOptions::default();
    engine.limits.max_lag_lsn = 200_000;
    let server = TestServer::start_with(engine, |_| {});
    let mut client = streaming(&server, "s");
    server.publish(0..5000);
    let messages = client.until(|message| message.tag == 'E');
    let error = messages.last().unwrap().fields();
    assert_eq!(error[&'C'], "55000");
    assert_eq!(
        error[&'M'],
        "cannot read from logical replication slot \"s\""
    );
    assert!(error[&'D'].contains("horizon"), "{error:?}");
    assert!(error[&'H'].contains("create it again"), "{error:?}");
    assert_eq!(client.until_ready().len(), 1);
    assert_eq!(
        client.failure("START_REPLICATION SLOT s LOGICAL 0/0"),
        "55000"
    );
    assert_eq!(client.query("DROP_REPLICATION_SLOT s")[0].tag, 'C');
    client.create_slot("s", "json");
    client.stream("s");
}

#[test]
fn a_stopping_server_ends_streams_at_a_boundary_and_says_so() {
    let mut server = TestServer::start();
    let mut client = streaming(&server, "s");
    let last = server.publish(1..=10);
    client.ids(10);
    client.acknowledge(last);
    server.begin_stop();
    let messages = client.until_end();
    let error = messages.last().unwrap().fields();
    assert_eq!(error[&'C'], "57P01");
    assert_eq!(
        error[&'M'],
        "terminating connection due to administrator command"
    );
    let report = server.stop();
    assert_eq!((report.num_ended, report.num_aborted), (1, 0));
}

#[test]
fn a_stalled_stream_does_not_hold_up_the_stop() {
    let mut server = TestServer::start_with(EngineOptions::default(), |options| {
        options.shutdown_timeout = Duration::from_millis(300);
    });
    let mut client = server.replication();
    client.create_slot("s", "json");
    for _ in 0..50 {
        server.publish(0..2000);
    }
    client.stream("s");
    std::thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    server.begin_stop();
    let report = server.stop();
    assert!(begin.elapsed() < support::PATIENCE, "{report:?}");
}

#[test]
fn a_cancel_request_ends_a_stream_and_the_session_goes_on() {
    let server = TestServer::start();
    let mut client = server.connect();
    let greeting = client.start(&[
        ("user", "ann"),
        ("database", "pgspool"),
        ("replication", "database"),
    ]);
    let key_data = greeting.iter().find(|m| m.tag == 'K').unwrap().body.clone();
    client.create_slot("s", "json");
    client.stream("s");
    client.read().unwrap();
    let mut other = server.connect();
    let code = 80_877_102_u32.to_be_bytes();
    other.raw(&[&16_u32.to_be_bytes()[..], &code, &key_data].concat());
    let messages = client.until_ready();
    let error = messages.iter().find(|message| message.tag == 'E').unwrap();
    assert_eq!(error.code(), "57014");
    client.message(b'c', b"");
    assert_eq!(client.row("SELECT 1")[0].as_deref(), Some("1"));
}

/// The largest record there can be, from the library to a socket: the stored bytes and the fixed
/// headers of CopyData (5) and XLogData (25) go over the wire, nothing else.
#[test]
fn w28_a_record_at_the_cap_costs_its_bytes_on_the_wire() {
    let head = br#"{"collection":"big","entity_bytes_hex":""#;
    let middle = br#"","kind":"row","lsn":"#;
    let tail = br#","operation":"insert","rid":1,"term":1,"timestamp":1}"#;
    let server = TestServer::start();
    let mut client = streaming(&server, "s");
    let engine = server.engine();
    let mut batch = engine.batch(Moment::now());
    // The position's digits are counted as twenty.
    let hex = (MAX_PAYLOAD - 20 - head.len() - middle.len() - tail.len()) & !1;
    let added = batch.push_with(|out: &mut Vec<u8>| {
        out.extend_from_slice(head);
        out.resize(out.len() + hex, b'a');
        out.extend_from_slice(middle);
        let lsn_at = out.len();
        out.extend_from_slice(tail);
        Ok::<_, PublishError>(lsn_at)
    });
    added.unwrap();
    let lsn = engine.publish(batch).unwrap().last_lsn;
    let message = client.until(|m| m.body[0] == b'w').pop().unwrap();
    let digits = lsn.get().to_string();
    let payload = head.len() + hex + middle.len() + digits.len() + tail.len();
    assert_eq!(message.body.len() + 5, payload + 30);
    let (begin, rest) = message.body[25..].split_at(head.len());
    let (row, end) = rest.split_at(hex);
    assert!(begin == head && row == vec![b'a'; hex]);
    assert_eq!(end, [&middle[..], digits.as_bytes(), tail].concat());
    assert!(payload > MAX_PAYLOAD - 20, "at the cap");
}
