//! Promise: what PostgreSQL says in pgoutput is understood, what we write is read as it was meant,
//! and no bytes at all make the decoder panic or take what is no message for one.
//!
//! `fixtures/wire` are recorded sessions of real clients, `fixtures/pgoutput` is what PostgreSQL 15
//! made of `record.sql` in it.
#![allow(clippy::wildcard_enum_match_arm)] // only some kinds matter to a test
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::too_many_lines, // tables
    missing_docs
)]

mod dice;

use std::collections::BTreeMap;
use std::fs;

use dice::Dice;
use pgspool::lsn::Lsn;
use pgspool::pgoutput::{
    AbortInfo, Commit, CommitPrepared, Context, DecodeFault, Decoder, EncodeError, Identity,
    Message, OldTuple, Prepare, Protocol, RelationColumn, RelationDescription, RollbackPrepared,
    Tuple, Value,
};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// Payloads of pgoutput streams of the recordings, those that were not cut.
fn recorded_payloads() -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for entry in fs::read_dir(format!("{FIXTURES}/wire")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".txt")
            || name.contains("decoding")
            || name.contains("wal2json")
            || name.contains("two_phase")
        {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let Some((_, data)) = line.split_once("CopyData XLogData ") else {
                continue;
            };
            let literal = data.splitn(3, ' ').nth(2).unwrap();
            let payload = unquoted(literal);
            if payload.len() < 110 {
                payloads.push(payload);
            }
        }
    }
    assert!(payloads.len() > 100, "recordings are missing");
    payloads
}

/// A Python bytes literal.
fn unquoted(literal: &str) -> Vec<u8> {
    let literal = literal.strip_prefix('b').unwrap();
    let mut inner = literal[1..literal.len() - 1].bytes();
    let mut value = Vec::new();
    while let Some(byte) = inner.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        value.push(match inner.next().unwrap() {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let digits = [inner.next().unwrap(), inner.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    value
}

/// LSN, xid and message of what PostgreSQL made of `record.sql`.
fn decoded_by_postgresql(name: &str) -> Vec<(Lsn, Vec<u8>)> {
    let text = fs::read_to_string(format!("{FIXTURES}/pgoutput/{name}")).unwrap();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        (fields[0].parse().unwrap(), hex::decode(fields[2]).unwrap())
    };
    text.lines().map(line).collect()
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = vec![1, 2, 3];
    message.encode(&mut out).unwrap();
    assert_eq!(out[..3], [1, 2, 3], "what is there stays");
    out.split_off(3)
}

#[test]
fn recorded_messages_are_read_and_written_as_they_were() {
    let mut kinds = BTreeMap::new();
    for payload in recorded_payloads() {
        let message = Message::decode(&payload, Context::new(Protocol::V1))
            .unwrap_or_else(|error| panic!("{error}: {}", payload.escape_ascii()));
        assert_eq!(encoded(&message), payload);
        *kinds.entry(char::from(payload[0])).or_insert(0) += 1;
    }
    for kind in ['B', 'C', 'R', 'I', 'U', 'D', 'T', 'M'] {
        assert!(kinds.contains_key(&kind), "no {kind} in {kinds:?}");
    }
}

#[test]
fn streamed_and_prepared_transactions_of_postgresql_are_read_and_written_as_they_were() {
    let mut kinds = BTreeMap::new();
    for name in ["v1.tsv", "v1-binary-lim.tsv", "v3.tsv"] {
        let mut decoder = Decoder::new(Protocol::V3, false);
        for (lsn, bytes) in decoded_by_postgresql(name) {
            let inside = decoder.in_stream();
            let message = decoder
                .decode(&bytes)
                .unwrap_or_else(|error| panic!("{name} {lsn}: {error}"));
            assert_eq!(encoded(&message), bytes, "{name} {lsn}");
            *kinds.entry(char::from(bytes[0])).or_insert(0) += 1;
            let (Message::Insert { xid, .. }
            | Message::Relation(RelationDescription { xid, .. })
            | Message::Type { xid, .. }) = message
            else {
                continue;
            };
            assert_eq!(xid.is_some(), inside, "{name} {lsn}");
        }
        assert!(!decoder.in_stream());
    }
    let all: String = kinds.keys().collect();
    assert_eq!(all, "ABCDEIKMOPRSTUYbcpr");
}

#[test]
fn messages_mean_what_postgresql_meant() {
    let stream = decoded_by_postgresql("v1.tsv");
    let messages: Vec<Message<'_>> = stream
        .iter()
        .map(|(_, bytes)| Message::decode(bytes, Context::new(Protocol::V3)).unwrap())
        .collect();
    // CREATE TYPE mood, CREATE DOMAIN posint: the column is an array of the domain.
    let types: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Type { schema, name, .. } => Some((*schema, *name)),
            _ => None,
        })
        .collect();
    assert_eq!(types[..2], [("public", "mood"), ("public", "_posint")]);
    let tables: BTreeMap<_, _> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Relation(relation) => Some((relation.name, relation)),
            _ => None,
        })
        .collect();
    let keys = |name: &str| {
        let columns = tables[name].columns.iter();
        columns.map(|column| column.key).collect::<Vec<_>>()
    };
    assert_eq!(keys("full_t"), [true; 4]);
    assert_eq!(keys("idx_t"), [false, true, false, false]);
    assert_eq!(keys("none_t"), [false; 2]);
    assert_eq!(tables["full_t"].identity, Identity::Full);
    assert_eq!(tables["idx_t"].identity, Identity::Index);
    assert_eq!(tables["none_t"].identity, Identity::Nothing);
    assert_eq!(tables["none_t"].schema, "Sp ace");
    let typmods: Vec<_> = tables["idx_t"].columns.iter().map(|c| c.typmod).collect();
    assert_eq!(typmods, [-1, 16, (10 << 16) + 2 + 4, -1]);
    // UPDATE idx_t SET n = 2: the TOASTed value stays away.
    let unchanged = |message: &&Message<'_>| matches!(message, Message::Update { old: None, new, .. } if new.0[3] == Value::Unchanged);
    let update = messages.iter().find(unchanged).unwrap();
    let Message::Update { new, .. } = update else {
        unreachable!()
    };
    assert_eq!(new.0[2], Value::Text(b"2.00"));
    // UPDATE idx_t SET "B c" = 'l': the old key, NULL beside it.
    let old = messages
        .iter()
        .find_map(|message| match message {
            Message::Update {
                old: Some(OldTuple::Key(key)),
                ..
            } => Some(key.0.clone()),
            _ => None,
        })
        .unwrap();
    assert_eq!(
        old,
        [Value::Null, Value::Text(b"k"), Value::Null, Value::Null]
    );
    let logical: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Logical {
                transactional,
                prefix,
                content,
                ..
            } => Some((*transactional, *prefix, *content)),
            _ => None,
        })
        .collect();
    assert_eq!(logical[0], (true, "pre", b"content".as_slice()));
    assert_eq!(logical[1], (false, "alone", [0, 0xff].as_slice()));
    assert!(
        messages
            .iter()
            .any(|message| matches!(message, Message::Truncate {
        cascade: true, restart_identity: true, relations, .. } if relations.len() == 2))
    );
    assert!(
        messages
            .iter()
            .any(|message| matches!(message, Message::Origin {
        commit_lsn, name: "some origin" } if *commit_lsn == Lsn::new(0x1234)))
    );
    let gids: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            Message::RollbackPrepared(rollback) => Some(rollback.gid),
            Message::CommitPrepared(commit) => Some(commit.gid),
            _ => None,
        })
        .collect();
    assert_eq!(gids, ["gid one", "gid two", "gid three"]);
}

/// What a random message borrows from.
struct Pool {
    texts: Vec<String>,
    bytes: Vec<Vec<u8>>,
}

impl Pool {
    fn new(dice: &mut Dice) -> Self {
        let texts = (0..20).map(|_| {
            let len = dice.index(12);
            (0..len)
                .map(|_| dice.pick(&['a', 'B', ' ', '"', 'ß', '日', '\u{1}']))
                .collect()
        });
        let texts = texts.collect();
        let bytes = (0..20).map(|_| {
            let len = dice.index(40);
            dice.bytes(len)
        });
        let bytes = bytes.collect();
        Self { texts, bytes }
    }

    fn text(&self, dice: &mut Dice) -> &str {
        &self.texts[dice.index(self.texts.len())]
    }

    fn bytes(&self, dice: &mut Dice) -> &[u8] {
        &self.bytes[dice.index(self.bytes.len())]
    }

    fn tuple(&self, dice: &mut Dice) -> Tuple<'_> {
        let len = dice.index(6);
        let value = |_| match dice.below(4) {
            0 => Value::Null,
            1 => Value::Unchanged,
            2 => Value::Text(self.bytes(dice)),
            _ => Value::Binary(self.bytes(dice)),
        };
        Tuple((0..len).map(value).collect())
    }

    fn old(&self, dice: &mut Dice) -> OldTuple<'_> {
        if dice.chance(50) {
            OldTuple::Key(self.tuple(dice))
        } else {
            OldTuple::Full(self.tuple(dice))
        }
    }

    fn prepare(&self, dice: &mut Dice) -> Prepare<'_> {
        Prepare {
            prepare_lsn: lsn(dice),
            end_lsn: lsn(dice),
            prepare_time: dice.roll().cast_signed(),
            xid: word(dice),
            gid: self.text(dice),
        }
    }

    /// A message that can come where `context` is.
    fn message(&self, dice: &mut Dice, context: Context) -> Message<'_> {
        let xid = context.in_stream.then(|| word(dice));
        if dice.chance(60) || context.protocol == Protocol::V1 && dice.chance(70) {
            return self.change(dice, xid);
        }
        if context.in_stream {
            return Message::StreamStop;
        }
        let newest = match context.protocol {
            Protocol::V1 => 2,
            Protocol::V2 => 5,
            Protocol::V3 | Protocol::V4 => 10,
        };
        match dice.below(newest) {
            0 => Message::Begin {
                final_lsn: lsn(dice),
                commit_time: dice.roll().cast_signed(),
                xid: word(dice),
            },
            1 => Message::Commit(commit(dice)),
            2 => Message::StreamStart {
                xid: word(dice),
                first: dice.chance(50),
            },
            3 => Message::StreamCommit {
                xid: word(dice),
                commit: commit(dice),
            },
            4 => Message::StreamAbort {
                xid: word(dice),
                subxid: word(dice),
                info: (context.parallel && context.protocol == Protocol::V4).then(|| AbortInfo {
                    abort_lsn: lsn(dice),
                    abort_time: dice.roll().cast_signed(),
                }),
            },
            5 => Message::BeginPrepare(self.prepare(dice)),
            6 => Message::Prepare(self.prepare(dice)),
            7 => Message::StreamPrepare(self.prepare(dice)),
            8 => Message::CommitPrepared(CommitPrepared {
                commit_lsn: lsn(dice),
                end_lsn: lsn(dice),
                commit_time: dice.roll().cast_signed(),
                xid: word(dice),
                gid: self.text(dice),
            }),
            _ => Message::RollbackPrepared(RollbackPrepared {
                prepare_end_lsn: lsn(dice),
                rollback_end_lsn: lsn(dice),
                prepare_time: dice.roll().cast_signed(),
                rollback_time: dice.roll().cast_signed(),
                xid: word(dice),
                gid: self.text(dice),
            }),
        }
    }

    fn change(&self, dice: &mut Dice, xid: Option<u32>) -> Message<'_> {
        match dice.below(8) {
            0 => Message::Origin {
                commit_lsn: lsn(dice),
                name: self.text(dice),
            },
            1 => Message::Logical {
                xid,
                transactional: dice.chance(50),
                lsn: lsn(dice),
                prefix: self.text(dice),
                content: self.bytes(dice),
            },
            2 => {
                let len = dice.index(5);
                let column = |_| RelationColumn {
                    key: dice.chance(50),
                    name: self.text(dice),
                    type_oid: word(dice),
                    typmod: word(dice).cast_signed(),
                };
                let columns = (0..len).map(column).collect();
                Message::Relation(RelationDescription {
                    xid,
                    oid: word(dice),
                    schema: self.text(dice),
                    name: self.text(dice),
                    identity: dice.pick(&[
                        Identity::Default,
                        Identity::Nothing,
                        Identity::Full,
                        Identity::Index,
                    ]),
                    columns,
                })
            }
            3 => Message::Type {
                xid,
                oid: word(dice),
                schema: self.text(dice),
                name: self.text(dice),
            },
            4 => Message::Insert {
                xid,
                relation: word(dice),
                new: self.tuple(dice),
            },
            5 => Message::Update {
                xid,
                relation: word(dice),
                old: dice.chance(50).then(|| self.old(dice)),
                new: self.tuple(dice),
            },
            6 => Message::Delete {
                xid,
                relation: word(dice),
                old: self.old(dice),
            },
            _ => Message::Truncate {
                xid,
                cascade: dice.chance(50),
                restart_identity: dice.chance(50),
                relations: (0..dice.index(5)).map(|_| word(dice)).collect(),
            },
        }
    }
}

fn lsn(dice: &mut Dice) -> Lsn {
    Lsn::new(dice.roll())
}

fn word(dice: &mut Dice) -> u32 {
    dice.below(1 << 32) as u32
}

fn commit(dice: &mut Dice) -> Commit {
    Commit {
        commit_lsn: lsn(dice),
        end_lsn: lsn(dice),
        commit_time: dice.roll().cast_signed(),
    }
}

fn any_context(dice: &mut Dice) -> Context {
    let protocol = Protocol::from_number(1 + dice.below(4) as u32).unwrap();
    Context {
        protocol,
        parallel: dice.chance(50),
        in_stream: protocol > Protocol::V1 && dice.chance(40),
    }
}

#[test]
fn any_message_is_read_as_it_was_written_and_no_part_of_one_is_a_message() {
    let mut dice = Dice::seeded();
    for _ in 0..200 {
        let pool = Pool::new(&mut dice);
        for _ in 0..50 {
            let context = any_context(&mut dice);
            let message = pool.message(&mut dice, context);
            let bytes = encoded(&message);
            assert_eq!(Message::decode(&bytes, context).as_ref(), Ok(&message));
            for len in 0..bytes.len() {
                let error = Message::decode(&bytes[..len], context).unwrap_err();
                assert!(error.offset <= len, "{message:?}, {len} bytes: {error}");
            }
            let mut longer = bytes;
            longer.push(dice.byte());
            let error = Message::decode(&longer, context).unwrap_err();
            assert_eq!(error.fault, DecodeFault::Trailing, "{message:?}");
            assert_eq!(error.offset, longer.len() - 1);
        }
    }
}

#[test]
fn whatever_is_read_from_damaged_bytes_is_written_as_it_was_read() {
    let mut dice = Dice::seeded();
    let mut read = 0;
    for _ in 0..200 {
        let pool = Pool::new(&mut dice);
        for _ in 0..200 {
            let mut context = any_context(&mut dice);
            let mut bytes = encoded(&pool.message(&mut dice, context));
            if dice.chance(20) {
                context = any_context(&mut dice);
            }
            for _ in 0..dice.index(4) {
                let at = dice.index(bytes.len());
                match dice.below(3) {
                    0 => bytes[at] = dice.byte(),
                    1 => bytes.insert(at, dice.byte()),
                    _ => drop(bytes.remove(at)),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            if let Ok(message) = Message::decode(&bytes, context) {
                assert_eq!(encoded(&message), bytes);
                read += 1;
            }
        }
    }
    assert!(read > 1000, "{read}");
}

#[test]
fn a_malformed_message_is_an_error_that_says_what_and_where() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "no message, byte 0: it is empty"),
        (b"Z", "\"Z\" message, byte 0: there is no such message"),
        (
            b"\xff",
            "\"\\xff\" message, byte 0: there is no such message",
        ),
        (b"B\0\0", "\"B\" message, byte 1: the final LSN is cut off"),
        (
            b"E",
            "\"E\" message, byte 0: no streamed transaction is open",
        ),
        (
            b"C\x01\0\0\0\0\0\0\0\0",
            "\"C\" message, byte 1: flags has no known value",
        ),
        (
            b"I\0\0\0\x01K\0\0",
            "\"I\" message, byte 5: the kind of row has no known value",
        ),
        (
            b"I\0\0\0\x01N\x7f\xffn",
            "\"I\" message, byte 6: the number of values is cut off",
        ),
        (
            b"I\0\0\0\x01N\xff\xff",
            "\"I\" message, byte 6: the number of values is negative",
        ),
        (
            b"I\0\0\0\x01N\0\x01t\x7f\xff\xff\xffx",
            "\"I\" message, byte 13: a value is cut off",
        ),
        (
            b"I\0\0\0\x01N\0\x01t\xff\xff\xff\xffx",
            "\"I\" message, byte 9: a value's length is negative",
        ),
        (
            b"I\0\0\0\x01N\0\x01z",
            "\"I\" message, byte 8: the kind of a value has no known value",
        ),
        (
            b"I\0\0\0\x01N\0\x01n ",
            "\"I\" message, byte 9: there is more than the message",
        ),
        (
            b"D\0\0\0\x01N\0\x01n",
            "\"D\" message, byte 5: the kind of row has no known value",
        ),
        (
            b"U\0\0\0\x01K\0\x01nO\0\x01n",
            "\"U\" message, byte 9: the kind of row has no known value",
        ),
        (
            b"T\x7f\xff\xff\xff\0\0\0\0\x01",
            "\"T\" message, byte 1: the number of relations is cut off",
        ),
        (
            b"T\0\0\0\x01\x04\0\0\0\x01",
            "\"T\" message, byte 5: the options has no known value",
        ),
        (
            b"R\0\0\0\x01p\xffb\0t\0d\0\0",
            "\"R\" message, byte 6: the relation's schema is not UTF-8",
        ),
        (
            b"R\0\0\0\x01\0t\0x\0\0",
            "\"R\" message, byte 8: the replica identity has no known value",
        ),
        (
            b"R\0\0\0\x01\0t\0d\x40\0",
            "\"R\" message, byte 9: the number of columns is cut off",
        ),
        (
            b"O\0\0\0\0\0\0\0\0abc",
            "\"O\" message, byte 9: the origin's name is cut off",
        ),
    ];
    for (bytes, wanted) in cases {
        let error = Message::decode(bytes, Context::new(Protocol::V4)).unwrap_err();
        assert_eq!(error.to_string(), *wanted, "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_message_comes_only_in_its_protocol_and_its_place() {
    let v2 = encoded(&Message::StreamStart {
        xid: 7,
        first: true,
    });
    let fault = |bytes: &[u8], context| Message::decode(bytes, context).unwrap_err().fault;
    let v1 = Context::new(Protocol::V1);
    assert_eq!(fault(&v2, v1), DecodeFault::NotInProtocol(Protocol::V1));
    let mut decoder = Decoder::new(Protocol::V2, false);
    decoder.decode(&v2).unwrap();
    assert_eq!(
        decoder.decode(&v2).unwrap_err().fault,
        DecodeFault::InStream
    );
    decoder.decode(b"E").unwrap();
    assert_eq!(
        decoder.decode(b"E").unwrap_err().fault,
        DecodeFault::NotInStream
    );
    // An abort says where and when only to those who asked for it.
    let abort = encoded(&Message::StreamAbort {
        xid: 7,
        subxid: 8,
        info: Some(AbortInfo {
            abort_lsn: Lsn::new(1),
            abort_time: 2,
        }),
    });
    let v4 = Context::new(Protocol::V4);
    assert_eq!(fault(&abort, v4), DecodeFault::Trailing);
    let parallel = Context {
        parallel: true,
        ..v4
    };
    assert!(Message::decode(&abort, parallel).is_ok());
}

#[test]
fn what_has_no_bytes_is_refused_and_nothing_is_written() {
    let refused = |message: Message<'_>| {
        let mut out = b"before".to_vec();
        let error = message.encode(&mut out).unwrap_err();
        assert_eq!(out, b"before");
        error
    };
    let error = refused(Message::Type {
        xid: None,
        oid: 1,
        schema: "s",
        name: "a\0b",
    });
    assert_eq!(error, EncodeError::Nul("a type's name"));
    let error = refused(Message::Insert {
        xid: None,
        relation: 1,
        new: Tuple(vec![Value::Null; 40_000]),
    });
    assert_eq!(error, EncodeError::TooLarge("the number of values"));
}
