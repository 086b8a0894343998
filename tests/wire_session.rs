//! Promise: a stream never confirms, announces or ends what it must not, however the client
//! behaves (`docs/protocol.md`, the stream).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

mod dice;

use dice::Dice;
use std::time::Duration;

use bytes::Buf;
use pgspool::clock::Moment;
use pgspool::lsn::Lsn;
use pgspool::wire::{Progress, StreamEnd, StreamSession, StreamState};

const START: Lsn = Lsn::new(0x100_0000);
const TIMEOUT: Duration = Duration::from_secs(60);

/// A message as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Data(Lsn, Vec<u8>),
    Keepalive { end: Lsn, reply: bool },
    CopyDone,
}

/// A session with its own clock and a client that reads when told to.
struct Pair {
    session: StreamSession,
    now_ms: u64,
}

impl Pair {
    /// The first keepalive was read.
    fn new() -> Self {
        let mut pair = Self::unread(Some(TIMEOUT));
        assert_eq!(pair.read(), [keepalive(START)]);
        pair
    }

    fn unread(timeout: Option<Duration>) -> Self {
        let now_ms = 5_000;
        let session = StreamSession::new(START, timeout, Moment::at_ms(now_ms));
        Self { session, now_ms }
    }

    fn now(&self) -> Moment {
        Moment::at_ms(self.now_ms)
    }

    /// Lets time pass, calling the session exactly when it asks for it.
    fn pass(&mut self, ms: u64) {
        let until = Duration::from_millis(self.now_ms + ms);
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= until) {
            let due_ms = u64::try_from(due.as_millis()).unwrap();
            self.now_ms = self.now_ms.max(due_ms);
            self.session.handle_timeout(self.now());
            let next = self.session.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now().steady), "spins");
        }
        self.now_ms = u64::try_from(until.as_millis()).unwrap();
    }

    /// A transaction of one message at `end - 8` and one at `end`.
    fn transaction(&mut self, end: Lsn) {
        self.push(end.saturating_sub(8));
        self.push(end);
        self.session.transaction_done(end);
    }

    fn push(&mut self, lsn: Lsn) {
        let now = self.now();
        self.session.push_message(lsn, b"x", now);
    }

    /// The client reads all there is.
    fn read(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        let out = self.session.poll_transmit();
        let mut out = out.copy_to_bytes(out.len());
        while !out.is_empty() {
            let tag = out[0];
            let length = u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize;
            let body = out[5..=length].to_vec();
            out.advance(1 + length);
            let lsn =
                |at: usize| Lsn::new(u64::from_be_bytes(body[at..at + 8].try_into().unwrap()));
            seen.push(match (tag, body.first()) {
                (b'c', None) => Seen::CopyDone,
                (b'd', Some(b'w')) => {
                    assert_eq!(lsn(1), lsn(9), "both positions are the message's");
                    Seen::Data(lsn(1), body[25..].to_vec())
                }
                (b'd', Some(b'k')) => Seen::Keepalive {
                    end: lsn(1),
                    reply: body[17] == 1,
                },
                other => panic!("{other:?}"),
            });
        }
        seen
    }

    fn status(&mut self, write: Lsn, flush: Lsn, apply: Lsn, reply: bool) -> Progress {
        let body = status_update(write, flush, apply, reply);
        let now = self.now();
        self.session.handle_copy_data(&body, now).unwrap().unwrap()
    }

    fn ack(&mut self, lsn: Lsn) -> Progress {
        self.status(lsn, lsn, lsn, false)
    }
}

fn status_update(write: Lsn, flush: Lsn, apply: Lsn, reply: bool) -> Vec<u8> {
    let mut body = vec![b'r'];
    for lsn in [write, flush, apply] {
        body.extend(lsn.get().to_be_bytes());
    }
    body.extend([0xFF; 8]);
    body.push(u8::from(reply));
    body
}

fn keepalive(end: Lsn) -> Seen {
    Seen::Keepalive { end, reply: false }
}

fn ask(end: Lsn) -> Seen {
    Seen::Keepalive { end, reply: true }
}

fn all(lsn: Lsn) -> Progress {
    Progress {
        write: lsn,
        flush: lsn,
        apply: lsn,
    }
}

fn at(offset: u64) -> Lsn {
    START.saturating_add(offset)
}

#[test]
fn first_message_is_a_keepalive_at_the_start_position() {
    let mut pair = Pair::unread(Some(TIMEOUT));
    assert_eq!(pair.read(), [keepalive(START)]);
    assert_eq!(pair.session.sent(), START);
    assert_eq!(pair.session.state(), StreamState::Catchup);
    assert!(pair.session.wants_data());
}

#[test]
fn sent_starts_at_start_and_never_falls() {
    let mut pair = Pair::new();
    pair.session.reached_head(at(0).saturating_sub(800));
    assert_eq!(pair.session.sent(), START);
    pair.transaction(at(64));
    pair.session.transaction_done(at(8));
    pair.session.reached_head(at(16));
    assert_eq!(pair.session.sent(), at(64));
    pair.session.reached_head(at(128));
    pair.session.behind();
    assert_eq!(pair.session.sent(), at(128));
}

#[test]
fn message_in_the_middle_does_not_move_sent() {
    let mut pair = Pair::new();
    pair.push(at(56));
    assert_eq!(pair.session.sent(), START);
    pair.session.transaction_done(at(64));
    assert_eq!(pair.session.sent(), at(64));
}

#[test]
fn ack_of_lsn_plus_one_is_clamped_to_sent() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    assert_eq!(pair.ack(at(65)), all(at(64)));
    // In the middle of the next one, what the client saw of it does not count either.
    pair.push(at(120));
    assert_eq!(pair.ack(at(121)), all(at(64)));
}

#[test]
fn absurd_acks_do_no_harm() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    assert_eq!(pair.ack(Lsn::ZERO), all(Lsn::ZERO));
    assert_eq!(pair.ack(Lsn::new(1)), all(Lsn::new(1)));
    assert_eq!(pair.ack(Lsn::MAX), all(at(64)));
    assert_eq!(pair.ack(Lsn::ZERO), all(at(64)));
    // The earlier maximum does not run ahead of what is sent later.
    pair.transaction(at(128));
    assert_eq!(pair.session.confirmed(), all(at(64)));
}

#[test]
fn acks_of_the_node_client_confirm_what_it_has_seen() {
    let mut pair = Pair::new();
    pair.push(at(56));
    assert_eq!(pair.ack(at(57)), all(START));
    // A Relation message travels at 0/0; the client answers 0/1.
    pair.push(Lsn::ZERO);
    assert_eq!(pair.ack(Lsn::new(1)), all(START));
    pair.push(at(56));
    pair.push(at(64));
    pair.session.transaction_done(at(64));
    assert_eq!(pair.ack(at(57)), all(at(57)));
    assert_eq!(pair.ack(at(65)), all(at(64)));
    assert_eq!(pair.ack(at(57)), all(at(64)));
}

#[test]
fn each_field_keeps_its_own_highest_position() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    // pg_recvlogical never fills apply; a subscriber's flush lags behind its write.
    pair.status(at(64), at(8), Lsn::ZERO, false);
    let progress = pair.status(at(16), at(32), Lsn::ZERO, false);
    let wanted = Progress {
        write: at(64),
        flush: at(32),
        apply: Lsn::ZERO,
    };
    assert_eq!(progress, wanted);
}

#[test]
fn reply_is_answered_at_once_with_a_keepalive() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.read();
    pair.status(at(64), at(64), at(64), true);
    assert_eq!(pair.read(), [keepalive(at(64))]);
    pair.ack(at(64));
    assert_eq!(pair.read(), []);
}

#[test]
fn keepalive_in_the_middle_of_a_transaction_carries_sent() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.push(at(120));
    pair.read();
    pair.status(at(64), at(64), at(64), true);
    assert_eq!(pair.read(), [keepalive(at(64))]);
    pair.pass(30_000);
    assert_eq!(pair.read(), [ask(at(64))]);
}

#[test]
fn reply_in_the_middle_of_a_transaction_is_answered_at_once() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.push(at(100));
    pair.push(at(108));
    // No time passes, and rows wait to be read: the answer stands right behind them.
    pair.status(at(64), at(64), at(64), true);
    let rows = |lsns: &[u64]| -> Vec<Seen> {
        let row = |lsn| Seen::Data(at(lsn), b"x".to_vec());
        lsns.iter().map(|&lsn| row(lsn)).collect()
    };
    let mut wanted = rows(&[56, 64, 100, 108]);
    wanted.push(keepalive(at(64)));
    assert_eq!(pair.read(), wanted);
    // Each request gets its own answer, none of them confirms what is only half sent.
    for _ in 0..3 {
        assert_eq!(pair.status(at(64), at(108), at(128), true), all(at(64)));
        assert_eq!(pair.read(), [keepalive(at(64))]);
    }
    pair.push(at(120));
    pair.session.transaction_done(at(128));
    assert_eq!(pair.read(), rows(&[120]));
    pair.status(at(128), at(128), at(128), true);
    assert_eq!(pair.read(), [keepalive(at(128))]);
}

#[test]
fn reached_head_in_the_middle_of_a_transaction_does_not_move_sent() {
    let mut pair = Pair::new();
    pair.push(at(56));
    pair.session.reached_head(at(640));
    assert_eq!(pair.session.sent(), START);
    assert_eq!(pair.session.state(), StreamState::Catchup);
}

#[test]
fn filtered_transactions_are_told_in_a_keepalive_once_a_second() {
    let mut pair = Pair::new();
    pair.pass(2_000);
    for n in 1..=35 {
        pair.session.transaction_done(at(n * 64));
        pair.pass(100);
    }
    let told = pair.read();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], keepalive(at(64)), "the first goes out at once");
    pair.pass(1_000);
    assert_eq!(pair.read(), [keepalive(at(35 * 64))]);
    pair.pass(10_000);
    assert_eq!(pair.read(), [], "nothing new to tell");
}

#[test]
fn handle_timeout_called_early_says_nothing() {
    let mut pair = Pair::new();
    pair.session.transaction_done(at(64));
    for ms in [0, 1, 998] {
        pair.now_ms += ms;
        let now = pair.now();
        pair.session.handle_timeout(now);
        assert_eq!(pair.read(), []);
    }
    pair.pass(1);
    assert_eq!(pair.read(), [keepalive(at(64))]);
}

#[test]
fn idle_client_follows_the_head_by_keepalive() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.read();
    pair.session.reached_head(at(64));
    assert_eq!(pair.session.state(), StreamState::Streaming);
    pair.pass(5_000);
    assert_eq!(pair.read(), [], "the commit message said it already");
    pair.session.reached_head(at(640));
    pair.pass(0);
    assert_eq!(pair.read(), [keepalive(at(640))]);
    assert_eq!(pair.ack(at(640)), all(at(640)));
}

#[test]
fn reply_is_asked_for_once_at_half_the_timeout() {
    let mut pair = Pair::new();
    pair.pass(29_999);
    assert_eq!(pair.read(), []);
    pair.pass(1);
    assert_eq!(pair.read(), [ask(START)]);
    pair.pass(29_999);
    assert_eq!(pair.read(), []);
    // Any message counts, and the next silence is asked about again.
    pair.ack(START);
    pair.pass(30_000);
    assert_eq!(pair.read(), [ask(START)]);
    assert_eq!(pair.session.end(), None);
}

#[test]
fn silence_of_the_whole_timeout_ends_the_stream() {
    let mut pair = Pair::new();
    pair.pass(59_999);
    assert_eq!(pair.session.end(), None);
    pair.pass(1);
    assert_eq!(pair.session.end(), Some(&StreamEnd::Timeout));
    assert_eq!(pair.session.state(), StreamState::Done);
    assert_eq!(pair.session.poll_timeout(), None);
}

#[test]
fn client_that_stops_reading_times_out_with_full_buffer() {
    let mut pair = Pair::unread(Some(TIMEOUT));
    let mut n = 0;
    while pair.session.wants_data() {
        n += 1;
        pair.transaction(at(n * 64));
    }
    // Data keeps coming in meanwhile; it is the client's silence that counts.
    for _ in 0..59 {
        pair.pass(1_000);
        pair.session.behind();
        assert_eq!(pair.session.end(), None);
    }
    pair.pass(1_000);
    assert_eq!(pair.session.end(), Some(&StreamEnd::Timeout));
    assert!(!pair.session.poll_transmit().is_empty());
}

#[test]
fn without_a_timeout_silence_is_allowed_for_ever() {
    for off in [None, Some(Duration::ZERO)] {
        let mut pair = Pair::unread(off);
        assert_eq!(pair.session.poll_timeout(), None);
        pair.pass(1_000_000_000);
        assert_eq!(pair.session.end(), None);
    }
    let longest = StreamSession::new(START, Some(Duration::MAX), Moment::at_ms(1));
    assert!(longest.poll_timeout().is_some());
}

#[test]
fn out_buffer_stops_wanting_data_between_64_and_128_kib() {
    let mut pair = Pair::new();
    let payload = [0; 200];
    while pair.session.wants_data() {
        let now = pair.now();
        pair.session.push_message(at(8), &payload, now);
    }
    let held = pair.session.poll_transmit().len();
    assert!((64 << 10..=128 << 10).contains(&held), "{held}");
    pair.session.poll_transmit().advance(held / 2);
    assert!(pair.session.wants_data());
}

#[test]
fn single_large_payload_passes_and_its_room_is_given_back() {
    let mut pair = Pair::new();
    let payload = vec![7; 3 << 20];
    let now = pair.now();
    pair.session.push_message(at(8), &payload, now);
    assert!(!pair.session.wants_data());
    assert_eq!(pair.read(), [Seen::Data(at(8), payload)]);
    assert!(pair.session.wants_data());
    pair.push(at(16));
    let capacity = pair.session.poll_transmit().capacity();
    assert!(capacity <= 256 << 10, "{capacity}");
}

#[test]
fn client_that_asks_and_never_reads_does_not_grow_the_buffer() {
    let mut pair = Pair::new();
    for _ in 0..100_000 {
        pair.status(START, START, START, true);
    }
    let held = pair.session.poll_transmit().len();
    assert!(held <= (128 << 10) + 64, "{held}");
    // Once it reads again it gets the answer that waited.
    let num_answers = pair.read().len();
    assert_eq!(pair.read(), [keepalive(START)], "after {num_answers}");
    assert_eq!(pair.read(), []);
}

#[test]
fn copy_done_of_the_client_is_answered_by_copy_done_and_one_keepalive() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.read();
    let now = pair.now();
    pair.session.handle_copy_done(now);
    assert_eq!(pair.session.end(), None, "not drained yet");
    assert_eq!(pair.session.state(), StreamState::Stopping);
    assert_eq!(pair.read(), [Seen::CopyDone, keepalive(at(64))]);
    assert_eq!(pair.session.end(), Some(&StreamEnd::ClientDone));
    assert_eq!(pair.session.state(), StreamState::Done);
}

#[test]
fn copy_done_in_the_middle_of_a_transaction_stops_sending() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.push(at(120));
    pair.read();
    let now = pair.now();
    pair.session.handle_copy_done(now);
    assert!(!pair.session.wants_data());
    // A driver that was in the middle of feeding changes nothing.
    pair.push(at(128));
    pair.session.transaction_done(at(128));
    pair.session.reached_head(at(640));
    assert_eq!(pair.session.sent(), at(64));
    assert_eq!(pair.read(), [Seen::CopyDone, keepalive(at(64))]);
    assert_eq!(pair.session.end(), Some(&StreamEnd::ClientDone));
}

#[test]
fn status_update_after_copy_done_is_ignored() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    let now = pair.now();
    pair.session.handle_copy_done(now);
    pair.read();
    let update = status_update(at(64), at(64), at(64), true);
    assert_eq!(pair.session.handle_copy_data(&update, now), Ok(None));
    assert_eq!(pair.session.handle_copy_data(b"z", now), Ok(None));
    assert_eq!(pair.session.confirmed(), all(Lsn::ZERO));
    pair.session.handle_copy_done(now);
    assert_eq!(pair.read(), []);
    assert_eq!(pair.session.end(), Some(&StreamEnd::ClientDone));
}

#[test]
fn client_that_is_done_but_does_not_read_times_out() {
    let mut pair = Pair::new();
    pair.pass(10_000);
    let now = pair.now();
    pair.session.handle_copy_done(now);
    pair.pass(59_999);
    assert_eq!(pair.session.end(), None);
    pair.pass(1);
    assert_eq!(pair.session.end(), Some(&StreamEnd::Timeout));
}

#[test]
fn shutdown_at_a_boundary_ends_when_drained() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.session.begin_shutdown(Duration::from_secs(100));
    assert!(!pair.session.wants_data());
    assert_eq!(pair.session.state(), StreamState::Stopping);
    assert_eq!(pair.session.end(), None);
    pair.push(at(120));
    assert_eq!(
        pair.read().len(),
        2,
        "the whole transaction and nothing else"
    );
    assert_eq!(pair.session.end(), Some(&StreamEnd::ServerShutdown));
}

#[test]
fn shutdown_while_idle_ends_at_once() {
    let mut pair = Pair::new();
    pair.session.begin_shutdown(Duration::from_secs(100));
    assert_eq!(pair.session.end(), Some(&StreamEnd::ServerShutdown));
}

#[test]
fn shutdown_in_the_middle_waits_for_the_next_boundary() {
    let mut pair = Pair::new();
    pair.push(at(56));
    pair.session.begin_shutdown(Duration::from_secs(100));
    assert!(pair.session.wants_data(), "the rest of the transaction");
    assert_eq!(pair.session.state(), StreamState::Stopping);
    pair.push(at(64));
    pair.session.transaction_done(at(64));
    assert_eq!(pair.session.sent(), at(64));
    assert!(!pair.session.wants_data());
    assert_eq!(pair.session.end(), None);
    assert_eq!(pair.ack(at(64)), all(at(64)), "the client still counts");
    assert_eq!(pair.read().len(), 2);
    assert_eq!(pair.session.end(), Some(&StreamEnd::ServerShutdown));
}

#[test]
fn client_may_still_finish_in_order_while_the_server_stops() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.session.begin_shutdown(Duration::from_secs(100));
    let now = pair.now();
    pair.session.handle_copy_done(now);
    assert_eq!(pair.read()[2..], [Seen::CopyDone, keepalive(at(64))]);
    assert_eq!(pair.session.end(), Some(&StreamEnd::ClientDone));
}

#[test]
fn shutdown_ends_at_the_deadline_in_the_middle() {
    let mut pair = Pair::new();
    pair.push(at(56));
    pair.session.begin_shutdown(Duration::from_secs(10));
    pair.pass(4_999);
    assert_eq!(pair.session.end(), None);
    pair.pass(1);
    assert_eq!(pair.session.end(), Some(&StreamEnd::ServerShutdown));
    assert_eq!(pair.session.sent(), START);
}

#[test]
fn shutdown_ends_at_the_deadline_with_a_client_that_does_not_read() {
    for client_done in [false, true] {
        let mut pair = Pair::new();
        pair.transaction(at(64));
        let now = pair.now();
        if client_done {
            pair.session.handle_copy_done(now);
        }
        pair.session.begin_shutdown(Duration::from_secs(10));
        pair.pass(5_000);
        assert_eq!(pair.session.end(), Some(&StreamEnd::ServerShutdown));
    }
}

#[test]
fn query_in_a_stream_is_postgresqls_protocol_error() {
    let mut pair = Pair::new();
    let words = "invalid standby message type \"Q\"".to_owned();
    assert_eq!(
        pair.session.handle_other(b'Q'),
        StreamEnd::Protocol(words.clone())
    );
    assert_eq!(
        pair.session.end(),
        Some(&StreamEnd::Protocol(words.clone()))
    );
    // The first end stays.
    assert_eq!(pair.session.handle_other(0), StreamEnd::Protocol(words));
}

#[test]
fn unknown_or_broken_standby_message_ends_the_stream() {
    for (body, words) in [
        (&b"z"[..], "unexpected message type \"z\""),
        (b"", "empty message"),
        (b"r123", "invalid length 4 of a standby status update"),
    ] {
        let mut pair = Pair::new();
        let now = pair.now();
        let end = pair.session.handle_copy_data(body, now).unwrap_err();
        assert_eq!(end, StreamEnd::Malformed(words.to_owned()));
        assert_eq!(pair.session.end(), Some(&end));
    }
}

#[test]
fn hot_standby_feedback_is_ignored_but_counts_as_a_sign_of_life() {
    let mut pair = Pair::new();
    pair.pass(29_000);
    let now = pair.now();
    assert_eq!(pair.session.handle_copy_data(&[b'h'; 25], now), Ok(None));
    pair.pass(29_000);
    assert_eq!(pair.read(), []);
}

#[test]
fn nothing_is_said_after_the_end() {
    let mut pair = Pair::new();
    pair.transaction(at(64));
    pair.pass(60_000);
    pair.read();
    assert_eq!(pair.session.end(), Some(&StreamEnd::Timeout));
    pair.transaction(at(128));
    pair.session.reached_head(at(640));
    let now = pair.now();
    let update = status_update(at(64), at(64), at(64), true);
    assert_eq!(
        pair.session.handle_copy_data(&update, now),
        Err(StreamEnd::Timeout)
    );
    pair.session.handle_copy_done(now);
    pair.session.begin_shutdown(Duration::ZERO);
    pair.pass(600_000);
    assert_eq!(pair.read(), []);
    assert_eq!(pair.session.sent(), at(64));
    assert_eq!(pair.session.end(), Some(&StreamEnd::Timeout));
    assert!(!pair.session.wants_data());
}

#[test]
fn random_dialogues_keep_the_contract() {
    let seed = dice::seed();
    println!("PGSPOOL_SEED={seed}");
    for round in 0..500 {
        random_dialogue(seed.wrapping_add(round));
    }
}

/// Random calls in random order, also such as no sane driver or client makes.
fn random_dialogue(seed: u64) {
    let mut random = Dice(seed);
    let mut pair = Pair::unread((random.below(4) > 0).then_some(TIMEOUT));
    let (mut end, mut sent, mut confirmed) = (START, START, Progress::default());
    let mut told = Lsn::ZERO;
    for _ in 0..300 {
        match random.below(15) {
            0..=3 => pair.push(end.saturating_add(random.below(60))),
            4 | 5 => {
                end = end.saturating_add(random.below(512));
                pair.session.transaction_done(end);
            }
            6 => pair
                .session
                .reached_head(end.saturating_add(random.below(512))),
            7 => pair.session.behind(),
            8 | 9 => {
                let lsn = random_ack(&mut random, end);
                let flush = random_ack(&mut random, end);
                let body = status_update(lsn, flush, lsn, random.below(3) == 0);
                let now = pair.now();
                if let Ok(Some(progress)) = pair.session.handle_copy_data(&body, now) {
                    assert_eq!(progress, pair.session.confirmed());
                }
            }
            10 => pair.pass(random.below(20_000)),
            11 | 12 => told = check_seen(&pair.read(), told, sent),
            13 => rare_event(&mut pair, &mut random),
            _ => pair.transaction(end.saturating_add(16)),
        }
        let now_sent = pair.session.sent();
        let now_confirmed = pair.session.confirmed();
        assert!(now_sent >= sent, "seed {seed}: sent fell");
        for (now, before) in [
            (now_confirmed.write, confirmed.write),
            (now_confirmed.flush, confirmed.flush),
            (now_confirmed.apply, confirmed.apply),
        ] {
            assert!(
                before <= now && now <= now_sent,
                "seed {seed}: {now_confirmed:?}"
            );
        }
        (sent, confirmed) = (now_sent, now_confirmed);
    }
}

/// Keepalives never fall and never run ahead of `sent`.
fn check_seen(seen: &[Seen], mut told: Lsn, sent: Lsn) -> Lsn {
    for message in seen {
        if let Seen::Keepalive { end, .. } = message {
            assert!(told <= *end && *end <= sent, "{told} {end} {sent}");
            told = *end;
        }
    }
    told
}

fn rare_event(pair: &mut Pair, random: &mut Dice) {
    let now = pair.now();
    match random.below(12) {
        0 => pair.session.handle_copy_done(now),
        1 => pair
            .session
            .begin_shutdown(now.steady + Duration::from_secs(random.below(60))),
        2 => drop(pair.session.handle_other(b'Q')),
        3 => drop(
            pair.session
                .handle_copy_data(&[random.roll() as u8; 5], now),
        ),
        _ => pair.session.handle_timeout(now),
    }
}

fn random_ack(random: &mut Dice, end: Lsn) -> Lsn {
    match random.below(6) {
        0 => Lsn::ZERO,
        1 => Lsn::MAX,
        2 => end.saturating_add(1),
        3 => Lsn::new(random.roll()),
        _ => end.saturating_sub(random.below(1024)),
    }
}
