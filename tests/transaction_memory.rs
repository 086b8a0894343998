//! A transaction may be larger than what is held of it in memory, on its way in and out.
//!
//! Alone in its process, whose memory it measures.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod engine_support;

use engine_support::{Home, options};
use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::plugins::{FrameView, Messages, Plugin, Renderer};
use pgspool::spool::MemoryRead;

const RECORDS: u64 = 700;
const ENTITY: usize = 64 << 10;
/// Each entity is stored as digits.
const TRANSACTION: u64 = 2 * RECORDS * 65_536;
/// The ring, what may be unsynced and a little.
const MOST: u64 = 40 << 20;
const _: () = assert!(TRANSACTION > 2 * MOST);

/// The most memory that the process had until now.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

#[test]
fn a_transaction_larger_than_memory_goes_in_and_out() {
    let home = Home::new();
    let engine = home.open(options());
    let since = engine.head();
    let before = peak();
    let record = ChangeRecord::insert("blobs", 1).with_entity(vec![0xa5; ENTITY]);
    let mut buffer = engine.begin();
    for _ in 0..RECORDS {
        buffer.push(&record, Moment::at_ms(1)).unwrap();
    }
    let ticket = engine.commit(buffer, Moment::at_ms(2)).unwrap().unwrap();
    let end = ticket.wait().unwrap().last_lsn;
    assert!(end.get() - since.get() > TRANSACTION);
    let mut cursor = engine.read_from(since).unwrap();
    let mut renderer =
        Renderer::start(Plugin::TestDecoding, &[], engine.relations().clone()).unwrap();
    let mut messages = Messages::default();
    let mut num_messages = 0;
    let mut done = None;
    while done.is_none() {
        let frames = match cursor.read_memory(256 << 10).unwrap() {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::AtHead => panic!("the transaction has no end"),
            MemoryRead::NeedsDisk => cursor.read_disk(256 << 10).unwrap(),
        };
        for frame in frames {
            let view = FrameView {
                end_lsn: frame.lsn,
                term: frame.term,
                timestamp_ms: frame.timestamp_ms,
                payload: &frame.payload,
            };
            messages.clear();
            done = renderer.frame(view, &mut messages).unwrap();
            num_messages += messages.len();
        }
    }
    assert_eq!(done, Some(end));
    assert_eq!(num_messages, usize::try_from(RECORDS).unwrap() + 2);
    let grown = peak() - before;
    assert!(grown < MOST, "{} MiB of memory", grown >> 20);
}
