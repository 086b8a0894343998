//! What streams get of a hub, without sockets.

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::disk::FakeDisk;
use crate::engine::{Engine, EngineOptions};
use crate::lsn::Lsn;
use crate::plugins::{Messages, Plugin};
use crate::relations::{
    Command, FilterExpr, FilterNode, NewPublishedTable, PublicationObjects, PublicationOptions,
    PublicationTarget, TableName,
};
use bytes::{Buf, Bytes};
use hub::Found;
use piece::PieceBuilder;

const OLDEST: Position = Position::after(Lsn::ZERO);

fn engine(ring_bytes: usize) -> Arc<Engine> {
    let options = EngineOptions {
        ring_bytes,
        ..EngineOptions::default()
    };
    let (disk, dir) = (Arc::new(FakeDisk::default()), Path::new("/data/db"));
    Arc::new(Engine::open(disk, dir, "db", options, Moment::at_ms(1)).unwrap())
}

/// Transactions of so many records each.
fn publish(engine: &Engine, sizes: impl IntoIterator<Item = u64>) {
    let mut batch = engine.batch(Moment::at_ms(1));
    let mut rid = 0;
    for size in sizes {
        let records: Vec<_> = (0..size)
            .map(|_| {
                rid += 1;
                ChangeRecord::insert("orders", rid).with_entity(vec![b'x'; 150])
            })
            .collect();
        batch.push_transaction(&records).unwrap();
    }
    engine.publish(batch).unwrap();
}

/// A stream without a socket.
struct Stream {
    channel: Channel,
    at: Position,
    seen: Vec<(Lsn, Vec<u8>)>,
    ends: Vec<Lsn>,
}

impl Stream {
    fn new(hub: &Arc<Hub>, plugin: Plugin, at: Lsn) -> Self {
        Self {
            channel: hub.join(plugin, &[]).unwrap(),
            at: Position::after(at),
            seen: vec![],
            ends: vec![],
        }
    }

    /// Takes the next piece; false at the head.
    fn step(&mut self) -> bool {
        let now = Moment::now();
        let piece = match self.channel.next(self.at, now, false).unwrap() {
            Next::Piece(piece) => piece,
            Next::Make(job) => job.run(now).unwrap().unwrap(),
            Next::AtHead(_) => return false,
            Next::Wait(_) | Next::Pace => panic!("nobody else is at work"),
        };
        let mut place = piece.join(self.at).unwrap();
        while let Some(run) = piece.run(&mut place, false) {
            self.ends.extend(run.done);
            let mut bytes = Vec::new();
            let send = |bytes: &mut Vec<u8>, more: Bytes| bytes.extend_from_slice(&more);
            piece.tell(&run, &mut bytes, |_, _| true, |_, _| {}, send);
            self.seen.extend(messages(&bytes));
        }
        assert!(piece.end() > self.at);
        self.at = piece.end();
        true
    }

    fn into_the_end(mut self) -> Self {
        while self.step() {}
        self
    }
}

/// Positions and payloads of XLogData messages.
fn messages(mut bytes: &[u8]) -> Vec<(Lsn, Vec<u8>)> {
    let mut seen = vec![];
    while !bytes.is_empty() {
        assert_eq!(bytes.get_u8(), b'd');
        let len = usize::try_from(bytes.get_u32()).unwrap() - 4;
        let (mut message, rest) = bytes.split_at(len);
        bytes = rest;
        assert_eq!(message.get_u8(), b'w');
        let lsn = Lsn::new(message.get_u64());
        message.advance(16);
        seen.push((lsn, message.to_vec()));
    }
    seen
}

/// What a stream on its own gets.
fn alone(engine: &Arc<Engine>, plugin: Plugin, at: Lsn) -> Stream {
    Stream::new(&Arc::new(Hub::new(Arc::clone(engine))), plugin, at).into_the_end()
}

/// Below 2^63, another each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end.max(1)
    }
}

#[test]
fn streams_that_start_together_render_each_transaction_once() {
    for ring_bytes in [0, 16 << 20] {
        let engine = engine(ring_bytes);
        publish(&engine, vec![20; 500]);
        let hub = Arc::new(Hub::new(Arc::clone(&engine)));
        let new = |_| Stream::new(&hub, Plugin::TestDecoding, Lsn::ZERO);
        let mut streams: Vec<_> = (0..8).map(new).collect();
        while streams
            .iter_mut()
            .map(Stream::step)
            .filter(|went| *went)
            .count()
            > 0
        {}
        assert_eq!(engine.rendered().transactions.value(), 500);
        let expected = alone(&engine, Plugin::TestDecoding, Lsn::ZERO).seen;
        assert_eq!(expected.len(), 500 * 22);
        assert!(streams.iter().all(|stream| stream.seen == expected));
        // Who comes a little later finds it as well.
        let rendered = engine.rendered().transactions.value();
        let late = Stream::new(&hub, Plugin::TestDecoding, Lsn::ZERO).into_the_end();
        assert_eq!(late.seen, expected);
        assert_eq!(engine.rendered().transactions.value(), rendered);
    }
}

#[test]
fn who_asked_for_something_else_shares_nothing() {
    let engine = engine(16 << 20);
    publish(&engine, vec![1; 10]);
    let hub = Arc::new(Hub::new(Arc::clone(&engine)));
    let option = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let xids = option("include-xids", "0");
    let empty = option("skip-empty-xacts", "1");
    let mut first = Stream::new(&hub, Plugin::TestDecoding, Lsn::ZERO);
    assert!(first.step());
    for (options, rendered) in [
        (vec![], 10),
        (vec![xids.clone()], 20),
        (vec![xids.clone(), empty.clone()], 30),
        (vec![empty, xids], 30),
    ] {
        let mut stream = Stream::new(&hub, Plugin::TestDecoding, Lsn::ZERO);
        let kept = std::mem::replace(
            &mut stream.channel,
            hub.join(Plugin::TestDecoding, &options).unwrap(),
        );
        assert!(stream.step());
        assert_eq!(
            engine.rendered().transactions.value(),
            rendered,
            "{options:?}"
        );
        // Its channel stays open for the next one.
        std::mem::forget((kept, stream));
    }
}

#[test]
fn scattered_streams_get_everything_and_memory_stays_bounded() {
    const MOST: usize = 1 << 20;
    let engine = engine(256 << 10);
    // Small ones, and some that are cut into many pieces.
    publish(
        &engine,
        (0..400).map(|n| if n % 100 == 7 { 1000 } else { n % 7 + 1 }),
    );
    let hub = Arc::new(Hub::with_most_bytes(Arc::clone(&engine), MOST));
    let seed = Moment::now().unix_ms;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for plugin in [Plugin::Json, Plugin::TestDecoding] {
        let reference = alone(&engine, plugin, Lsn::ZERO);
        let mut streams: Vec<_> = (0..50)
            .map(|_| {
                let after = reference.ends[dice.below(reference.ends.len())];
                Stream::new(&hub, plugin, after)
            })
            .collect();
        let starts: Vec<Lsn> = streams.iter().map(|stream| stream.at.after).collect();
        let mut running: Vec<usize> = (0..streams.len()).collect();
        while !running.is_empty() {
            let which = dice.below(running.len());
            if !streams[running[which]].step() {
                running.remove(which);
            }
            // A piece is a little larger than 128 KiB at most: the newest stays in any case.
            assert!(hub.cached_bytes() <= MOST + (256 << 10));
        }
        for (stream, start) in streams.iter().zip(starts) {
            let first = reference.seen.partition_point(|(lsn, _)| *lsn <= start);
            assert_eq!(stream.seen, reference.seen[first..], "from {start}");
        }
    }
}

#[test]
fn a_piece_that_is_given_up_is_made_by_another() {
    let engine = engine(0);
    publish(&engine, vec![1; 10]);
    let hub = Arc::new(Hub::new(Arc::clone(&engine)));
    let now = Moment::now();
    let mut first = Stream::new(&hub, Plugin::Json, Lsn::ZERO);
    let second = Stream::new(&hub, Plugin::Json, Lsn::ZERO);
    let Next::Make(job) = first.channel.next(OLDEST, now, true).unwrap() else {
        panic!("nothing is in memory");
    };
    let Next::Wait(wait) = second.channel.next(OLDEST, now, true).unwrap() else {
        panic!("it is under way");
    };
    let mut wait = std::pin::pin!(wait);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(wait.as_mut().poll(&mut cx).is_pending());
    drop(job);
    assert!(matches!(wait.as_mut().poll(&mut cx), Poll::Ready(None)));
    assert_eq!(second.into_the_end().seen.len(), 10);
    assert!(first.step());
}

#[test]
fn everybody_who_waits_gets_the_piece_or_the_error() {
    let engine = engine(0);
    publish(&engine, vec![1; 10]);
    let hub = Arc::new(Hub::new(Arc::clone(&engine)));
    let now = Moment::now();
    let streams: Vec<_> = (0..3)
        .map(|_| Stream::new(&hub, Plugin::Json, Lsn::ZERO))
        .collect();
    let mut jobs = vec![];
    let mut waits = vec![];
    for stream in &streams {
        match stream.channel.next(OLDEST, now, true).unwrap() {
            Next::Make(job) => jobs.push(job),
            Next::Wait(wait) => waits.push(wait),
            Next::Piece(_) | Next::AtHead(_) | Next::Pace => panic!("it is not made yet"),
        }
    }
    assert_eq!((jobs.len(), waits.len()), (1, 2));
    let made = jobs.pop().unwrap().run(now).unwrap().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    for wait in waits {
        let Poll::Ready(Some(Ok(Some(piece)))) = std::pin::pin!(wait).poll(&mut cx) else {
            panic!("nothing came");
        };
        assert!(Arc::ptr_eq(&piece, &made));
    }
}

#[test]
fn who_waits_for_a_piece_that_landed_a_moment_ago_has_it() {
    let engine = engine(0);
    publish(&engine, vec![1; 10]);
    let hub = Arc::new(Hub::new(Arc::clone(&engine)));
    let now = Moment::at_ms(2);
    let [first, second] = [(); 2].map(|()| hub.join(Plugin::Json, &[]).unwrap());
    for is_given_up in [true, false] {
        let Next::Make(job) = first.next(OLDEST, now, true).unwrap() else {
            panic!("nothing is in memory");
        };
        let Some(Found::Flight(flight)) = second.look(OLDEST, now) else {
            panic!("it is under way");
        };
        if is_given_up {
            drop(job);
        } else {
            drop(job.run(now).unwrap());
        }
        // Between the look and the wait the piece landed.
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(landed) = std::pin::pin!(flight.wait()).poll(&mut cx) else {
            panic!("it waits for ever");
        };
        assert_eq!(landed.is_none(), is_given_up, "{landed:?}");
    }
    assert!(matches!(second.next(OLDEST, now, true), Ok(Next::Piece(_))));
}

#[test]
fn one_in_front_lets_others_catch_up_but_not_for_ever() {
    let engine = engine(16 << 20);
    publish(&engine, vec![20; 500]);
    let hub = Arc::new(Hub::with_most_bytes(Arc::clone(&engine), 512 << 10));
    let [front, behind] = [(); 2].map(|()| hub.join(Plugin::Json, &[]).unwrap());
    let now = Moment::at_ms(1000);
    let (mut at, last) = (OLDEST, Position::after(Lsn::new(1)));
    loop {
        match front.next(at, now, true).unwrap() {
            Next::Piece(piece) => at = piece.end(),
            Next::Pace => break,
            Next::AtHead(_) => panic!("never asked to wait"),
            Next::Wait(_) | Next::Make(_) => panic!("all of it is in memory"),
        }
        // The one behind came to its place now, and finds there what it needs.
        let num_rendered = engine.rendered().transactions.value();
        assert!(matches!(behind.next(last, now, true), Ok(Next::Piece(_))));
        assert_eq!(engine.rendered().transactions.value(), num_rendered);
    }
    assert!(at > OLDEST);
    let after = |ms: u64| Moment::at_ms(1000 + ms);
    assert!(matches!(front.next(at, after(99), true), Ok(Next::Pace)));
    // Who is impatient goes on, and so does everybody when the one behind stands still.
    let ask = |now, patient| front.next(at, now, patient).unwrap();
    let (still, impatient) = (ask(after(100), true), ask(now, false));
    assert!(matches!(still, Next::Piece(_)), "it stands still");
    assert!(matches!(impatient, Next::Piece(_)), "it is impatient");
}

/// Hears a run: descriptions and messages in the order in which they come.
fn hear(piece: &Piece, at: Position, known: &mut Vec<Arc<Description>>) -> Vec<String> {
    let mut place = piece.join(at).unwrap();
    let mut heard = vec![];
    while let Some(run) = piece.run(&mut place, false) {
        let mut stream = (&mut heard, &mut *known);
        piece.tell(
            &run,
            &mut stream,
            |(_, known), asked| known.iter().rev().find(|d| d.oid == asked.oid) == Some(asked),
            |(heard, known), description| {
                for message in description.messages.iter() {
                    heard.push(String::from_utf8_lossy(message).into_owned());
                }
                known.push(Arc::clone(description));
            },
            |(heard, _), bytes| {
                for (_, message) in messages(&bytes) {
                    heard.push(String::from_utf8_lossy(&message).into_owned());
                }
            },
        );
    }
    heard
}

#[test]
fn a_table_is_described_before_its_first_use_in_a_stream_and_when_it_changed() {
    let describe = |oid: u32, words: &Arc<[Bytes]>| {
        Arc::new(Description {
            oid,
            messages: Arc::clone(words),
        })
    };
    let mut builder = PieceBuilder::new(OLDEST);
    let now = Moment::at_ms(1);
    for (end, uses) in [
        (100, &[(1, "A"), (2, "B"), (1, "A")][..]),
        (200, &[(1, "A")]),
        (300, &[]),
        (400, &[(2, "B"), (1, "A2"), (1, "A2")]),
        (500, &[(1, "A2"), (2, "B")]),
    ] {
        let mut rendered = Messages::default();
        rendered.push(Lsn::new(end - 8), b"begin");
        for (oid, words) in uses {
            let words: Arc<[Bytes]> = Arc::new([Bytes::from_static(words.as_bytes())]);
            rendered.use_table(*oid, &words);
            rendered.push(Lsn::new(end - 8), format!("row {oid}").as_bytes());
        }
        builder.append(&rendered, now, describe).unwrap();
        builder.frame_done(Some(Lsn::new(end)));
    }
    let piece = builder.finish();
    let mut known = vec![];
    let heard = hear(&piece, OLDEST, &mut known).join(" ");
    assert_eq!(
        heard,
        "begin A row 1 B row 2 row 1 begin row 1 begin \
         begin row 2 A2 row 1 row 1 begin row 1 row 2"
    );
    // Told of all of it, but of table 1 in another form than at the beginning of the piece.
    let heard = hear(&piece, OLDEST, &mut known).join(" ");
    assert!(
        heard.starts_with("begin A row 1 row 2 row 1 begin row 1"),
        "{heard}"
    );
    let after = Position::after;
    let heard = hear(&piece, after(Lsn::new(400)), &mut known).join(" ");
    assert_eq!(heard, "begin row 1 row 2");
    for between in [100, 150] {
        let heard = hear(&piece, after(Lsn::new(between)), &mut vec![]).join(" ");
        assert_eq!(
            heard,
            "begin A row 1 begin begin B row 2 A2 row 1 row 1 begin row 1 row 2"
        );
    }
    assert!(piece.join(after(Lsn::new(500))).is_none());
}

fn node(expr: FilterExpr) -> FilterNode {
    FilterNode { expr, position: 1 }
}

fn operator(left: FilterNode, sign: &str, right: FilterNode) -> FilterNode {
    node(FilterExpr::Operator {
        sign: sign.to_owned(),
        left: Some(Box::new(left)),
        right: Box::new(right),
    })
}

/// A database whose publication `p` shows the orders for which 1/rid > 0.
fn engine_that_divides(ring_bytes: usize) -> Arc<Engine> {
    let engine = engine(ring_bytes);
    publish_ids(&engine, &[&[7]]);
    let number = |digits: &str| node(FilterExpr::Number(digits.to_owned()));
    let rid = node(FilterExpr::Column {
        table: None,
        name: "rid".to_owned(),
    });
    let quotient = operator(number("1"), "/", rid);
    let published = NewPublishedTable {
        table: TableName {
            schema: None,
            name: "orders".to_owned(),
            position: 1,
        },
        columns: None,
        filter: Some(operator(quotient, ">", number("0"))),
    };
    let command = Command::CreatePublication {
        name: "p".to_owned(),
        target: PublicationTarget::Objects(PublicationObjects {
            tables: vec![published],
            schemas: vec![],
        }),
        options: PublicationOptions::default(),
    };
    engine.define(&command).unwrap();
    engine
}

/// Transactions of records with these ids; their ends.
fn publish_ids(engine: &Engine, transactions: &[&[u64]]) -> Vec<Lsn> {
    let mut ends = vec![];
    for ids in transactions {
        let mut batch = engine.batch(Moment::at_ms(1));
        let record = |rid: &u64| ChangeRecord::insert("orders", *rid).with_entity(b"{}".to_vec());
        let records: Vec<_> = ids.iter().map(record).collect();
        batch.push_transaction(&records).unwrap();
        ends.push(engine.publish(batch).unwrap().last_lsn);
    }
    ends
}

/// The options of a stream that shows what `p` publishes.
fn published() -> Vec<(String, Option<String>)> {
    let options = [("proto_version", "1"), ("publication_names", "p")];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), Some(value.to_owned()));
    options.map(owned).to_vec()
}

/// What there is behind `at`, however it is made.
fn take(channel: &Channel, at: Position) -> Result<Option<Arc<Piece>>, Failure> {
    match channel.next(at, Moment::at_ms(2), false)? {
        Next::Piece(piece) => Ok(Some(piece)),
        Next::Make(job) => job.run(Moment::at_ms(2)),
        Next::AtHead(_) => Ok(None),
        Next::Wait(_) | Next::Pace => panic!("nobody else is at work"),
    }
}

#[test]
fn a_transaction_that_cannot_be_rendered_ends_each_stream_that_comes_to_it() {
    for ring_bytes in [0, 16 << 20] {
        let engine = engine_that_divides(ring_bytes);
        let start = engine.head();
        let ends = publish_ids(&engine, &[&[1], &[0], &[1]]);
        let hub = Arc::new(Hub::new(Arc::clone(&engine)));
        let join = || hub.join(Plugin::Pgoutput, &published()).unwrap();
        let (first, second) = (join(), join());
        for channel in [&first, &second, &first] {
            let piece = take(channel, Position::after(start)).unwrap().unwrap();
            assert_eq!(piece.end(), Position::after(ends[0]));
            assert_eq!(piece.counts().0, 1);
            for _ in 0..3 {
                let failure = take(channel, piece.end()).unwrap_err();
                assert_eq!(failure.to_string(), "division by zero");
            }
        }
        // Who is behind it gets what follows.
        let piece = take(&first, Position::after(ends[1])).unwrap().unwrap();
        assert_eq!(
            (piece.end(), piece.counts().0),
            (Position::after(ends[2]), 1)
        );
    }
}

#[test]
fn a_change_that_cannot_be_rendered_ends_each_stream_in_its_transaction() {
    for ring_bytes in [0, 16 << 20] {
        let engine = engine_that_divides(ring_bytes);
        let start = engine.head();
        let ends = publish_ids(&engine, &[&[1], &[1, 1, 1, 0, 1, 1], &[1]]);
        let hub = Arc::new(Hub::new(Arc::clone(&engine)));
        let join = || hub.join(Plugin::Pgoutput, &published()).unwrap();
        let (first, second) = (join(), join());
        let middle = Position {
            after: ends[0],
            frames: 3,
        };
        for channel in [&first, &second, &first] {
            let piece = take(channel, Position::after(start)).unwrap().unwrap();
            assert_eq!(piece.end(), middle);
            // Begin, Relation beside it, and the three changes; no Commit.
            let heard = hear(&piece, Position::after(ends[0]), &mut vec![]);
            assert_eq!(heard.len(), 1 + 1 + 3);
            for _ in 0..3 {
                let failure = take(channel, middle).unwrap_err();
                assert_eq!(failure.to_string(), "division by zero");
            }
        }
    }
}

/// A transaction of `num_messages` messages in a piece that is made.
fn append(builder: &mut PieceBuilder, end: u64, num_messages: usize) -> Vec<(Lsn, Vec<u8>)> {
    let mut rendered = Messages::default();
    for number in 0..num_messages {
        rendered.push(Lsn::new(end), format!("{number} of {end}").as_bytes());
    }
    let none = |_: u32, _: &Arc<[Bytes]>| unreachable!("no table is spoken of");
    builder.append(&rendered, Moment::at_ms(1), none).unwrap();
    builder.frame_done(Some(Lsn::new(end)));
    let owned = |(lsn, message): (Lsn, &[u8])| (lsn, message.to_vec());
    rendered.iter().map(owned).collect()
}

/// What a stream that stands at `at` gets of a piece, by one transaction or by all at once.
fn rest_of(piece: &Piece, at: Position, only_one: bool) -> Vec<(Lsn, Vec<u8>)> {
    let mut place = piece
        .join(at)
        .unwrap_or_else(|| panic!("{at:?}: {piece:?}"));
    let mut seen = vec![];
    let mut done = at.after;
    while let Some(run) = piece.run(&mut place, only_one) {
        let mut bytes = Vec::new();
        let send = |bytes: &mut Vec<u8>, more: Bytes| bytes.extend_from_slice(&more);
        piece.tell(&run, &mut bytes, |_, _| true, |_, _| {}, send);
        seen.extend(messages(&bytes));
        if let Some(end) = run.done {
            assert!(end > done, "{end} behind {done}");
            done = end;
        }
    }
    seen
}

#[test]
fn a_stream_behind_a_transaction_before_a_hidden_one_does_not_get_it_again() {
    let mut builder = PieceBuilder::new(Position::after(Lsn::new(100)));
    let first = append(&mut builder, 200, 2);
    append(&mut builder, 300, 0);
    let last = append(&mut builder, 400, 1);
    let piece = builder.finish();
    for (at, expected) in [
        (100, [&first[..], &last[..]].concat()),
        (150, [&first[..], &last[..]].concat()),
        (200, last.clone()),
        (250, last.clone()),
        (300, last.clone()),
        (350, last),
    ] {
        for only_one in [false, true] {
            let seen = rest_of(&piece, Position::after(Lsn::new(at)), only_one);
            assert_eq!(seen, expected, "{at}");
        }
    }
}

#[test]
fn whoever_joins_a_piece_at_the_end_of_a_transaction_gets_exactly_what_is_behind_it() {
    let seed = Moment::now().unix_ms;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    for _ in 0..2000 {
        let begin = Position {
            after: Lsn::new(100),
            frames: dice.below(2) * 3,
        };
        let mut builder = PieceBuilder::new(begin);
        let mut ends = vec![(begin, 0)];
        let mut all = vec![];
        let mut end = 100;
        for _ in 0..dice.below(12) {
            end += 10 + u64::try_from(dice.below(3)).unwrap();
            let num_messages = dice.below(4) * dice.below(2);
            all.extend(append(&mut builder, end, num_messages));
            ends.push((Position::after(Lsn::new(end)), all.len()));
        }
        // What it does not end with is no place to join.
        ends.pop();
        let piece = builder.finish();
        for (at, num_before) in ends {
            let between = Position::after(at.after.saturating_add(1));
            let is_inside = at.frames == 0 || piece.join(between).is_some();
            for at in [at, between].iter().take(1 + usize::from(is_inside)) {
                for only_one in [false, true] {
                    let seen = rest_of(&piece, *at, only_one);
                    assert_eq!(seen, all[num_before..], "{at:?} {piece:?}");
                }
            }
        }
    }
}
