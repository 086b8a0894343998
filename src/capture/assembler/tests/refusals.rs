//! What does not follow the protocol, or does not fit, is an error.

use super::*;
use crate::engine::PublishError;
use crate::pgoutput::Value;
use crate::pgoutput::{Tuple, write};

fn start(home: &TempDir, work_mem: usize) -> Assembler {
    Assembler::new(options(home, work_mem), &RelationSet::default(), Lsn::ZERO)
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out).unwrap();
    out
}

fn commit() -> Commit {
    Commit {
        commit_lsn: Lsn::new(5000),
        end_lsn: Lsn::new(5048),
        commit_time: 0,
    }
}

fn stream_start(xid: u32, first: bool) -> Vec<u8> {
    encoded(&Message::StreamStart { xid, first })
}

fn relation(xid: Option<u32>) -> Vec<u8> {
    encoded(&Message::Relation(crate::pgoutput::RelationDescription {
        xid,
        oid: 7,
        schema: "public",
        name: "t",
        identity: crate::pgoutput::Identity::Default,
        columns: Vec::new(),
    }))
}

fn insert(xid: Option<u32>, text: &[u8]) -> Vec<u8> {
    encoded(&Message::Insert {
        xid,
        relation: 7,
        new: Tuple(vec![Value::Text(text)]),
    })
}

fn logical(xid: Option<u32>, transactional: bool) -> Vec<u8> {
    let mut out = Vec::new();
    write::logical(xid, transactional, Lsn::new(9), "p", b"c", &mut out).unwrap();
    out
}

#[test]
#[allow(clippy::too_many_lines)]
fn what_is_out_of_place_is_refused() {
    let home = TempDir::new().unwrap();
    let begin = model::begin();
    let end = encoded(&Message::Commit(commit()));
    let stream_end = encoded(&Message::StreamCommit {
        xid: 3,
        commit: commit(),
    });
    let rows: &[(&str, Vec<Vec<u8>>)] = &[
        (
            "cannot read what the upstream sends: no message",
            vec![vec![]],
        ),
        ("there is no such message", vec![b"!".to_vec()]),
        ("\"C\" message outside", vec![end.clone()]),
        ("\"I\" message outside", vec![insert(None, b"x")]),
        ("\"R\" message outside", vec![relation(None)]),
        ("\"M\" message outside", vec![logical(None, true)]),
        ("\"B\" message inside", vec![begin.clone(), begin.clone()]),
        (
            "\"S\" message inside",
            vec![begin.clone(), stream_start(3, true)],
        ),
        (
            "\"M\" message inside",
            vec![begin.clone(), logical(None, false)],
        ),
        ("did not describe", vec![begin.clone(), insert(None, b"x")]),
        ("is cut off", vec![begin.clone(), b"I\0\0".to_vec()]),
        ("is cut off", vec![begin.clone(), b"I\0\0\0\x07".to_vec()]),
        (
            "the kind of row",
            vec![begin.clone(), b"I\0\0\0\x07X".to_vec()],
        ),
        ("no streamed transaction is open", vec![b"E".to_vec()]),
        ("goes on with transaction 3", vec![stream_start(3, false)]),
        ("goes on with transaction 3", vec![stream_end.clone()]),
        (
            "transaction 3 a second time",
            vec![stream_start(3, true), b"E".to_vec(), stream_start(3, true)],
        ),
        (
            "a part of a streamed",
            vec![stream_start(3, true), begin.clone()],
        ),
        (
            "is cut off",
            vec![stream_start(3, true), b"D\0\0\0\x03\0".to_vec()],
        ),
        (
            "did not describe",
            vec![
                stream_start(3, true),
                insert(Some(3), b"x"),
                b"E".to_vec(),
                stream_end.clone(),
            ],
        ),
        (
            "subtransaction that was rolled back",
            vec![
                stream_start(3, true),
                logical(Some(3), true),
                b"E".to_vec(),
                encoded(&Message::StreamAbort {
                    xid: 3,
                    subxid: 4,
                    info: None,
                }),
                stream_end,
            ],
        ),
    ];
    for (words, messages) in rows {
        let mut assembler = start(&home, 1000);
        let (last, before) = messages.split_last().unwrap();
        for message in before {
            assembler.take(Lsn::new(8), message).unwrap();
        }
        let error = assembler.take(Lsn::new(8), last).unwrap_err().to_string();
        assert!(error.contains(words), "{error}: {words}");
    }
}

#[test]
fn an_empty_transaction_and_the_abort_of_an_unknown_one_leave_nothing() {
    let home = TempDir::new().unwrap();
    let mut assembler = start(&home, 1000);
    let abort = Message::StreamAbort {
        xid: 9,
        subxid: 9,
        info: None,
    };
    let taken = assembler.take(Lsn::new(1), &encoded(&abort)).unwrap();
    assert!(matches!(taken, Taken::Nothing));
    assembler.take(Lsn::new(8), &model::begin()).unwrap();
    assert!(assembler.in_transaction());
    let end = encoded(&Message::Commit(commit()));
    let taken = assembler.take(Lsn::new(8), &end).unwrap();
    assert!(matches!(taken, Taken::Passed(end) if end == Lsn::new(5048)));
    assert!(!assembler.in_transaction());
}

#[test]
fn temp_file_limit_ends_what_is_too_large() {
    let home = TempDir::new().unwrap();
    let limited = EngineOptions {
        temp_file_limit: Some(4096),
        ..EngineOptions::default()
    };
    let scratch = Scratch::open(Arc::new(RealDisk), home.path().to_owned(), &limited).unwrap();
    let options = AssemblerOptions {
        scratch,
        ..options(&home, 1000)
    };
    let mut assembler = Assembler::new(options, &RelationSet::default(), Lsn::ZERO);
    assembler.take(Lsn::ZERO, &stream_start(3, true)).unwrap();
    let row = insert(Some(3), &[b'x'; 900]);
    let error = (0..10).find_map(|_| assembler.take(Lsn::new(8), &row).err());
    let error = error.unwrap();
    let limit = matches!(
        error,
        AssembleError::Buffer(PublishError::TempFileLimit { .. })
    );
    assert!(limit && !error.is_disk_full(), "{error}");
}

#[test]
fn a_message_larger_than_memory_passes_in_parts() {
    let home = TempDir::new().unwrap();
    let text = vec![b'x'; 40 << 20];
    for streamed in [false, true] {
        let mut assembler = start(&home, 1 << 20);
        let xid = streamed.then_some(3);
        let first = if streamed {
            stream_start(3, true)
        } else {
            model::begin()
        };
        assembler.take(Lsn::ZERO, &first).unwrap();
        assembler.take(Lsn::ZERO, &relation(xid)).unwrap();
        assembler.take(Lsn::new(8), &insert(xid, &text)).unwrap();
        assert!(assembler.buffered_bytes() < 20 << 20);
        assert!(assembler.spilled_bytes() > 20 << 20);
        if streamed {
            assembler.take(Lsn::ZERO, b"E").unwrap();
        }
        let last = match xid {
            Some(xid) => encoded(&Message::StreamCommit {
                xid,
                commit: commit(),
            }),
            None => encoded(&Message::Commit(commit())),
        };
        let Taken::Unit(unit) = assembler.take(Lsn::new(5048), &last).unwrap() else {
            panic!("a unit");
        };
        let all = messages(&stored(unit), 2000);
        let insert = insert(None, &text);
        assert!(all.iter().any(|(_, message)| *message == insert));
    }
}
