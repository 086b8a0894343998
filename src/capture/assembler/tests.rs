//! What comes whole and what comes streamed is stored alike, whatever is rolled back of it.

mod model;
mod refusals;
mod session;

use std::sync::Arc;

use bytes::Bytes;
use tempfile::TempDir;

use self::dice::Dice;
use self::model::{Sent, World};
use super::*;
use crate::change::{ChunkError, ChunkReader};
use crate::disk::RealDisk;
use crate::engine::EngineOptions;

#[path = "../../../tests/dice/mod.rs"]
mod dice;

fn options(home: &TempDir, work_mem: usize) -> AssemblerOptions {
    let disk = Arc::new(RealDisk);
    let options = EngineOptions::default();
    AssemblerOptions {
        work_mem,
        scratch: Scratch::open(disk, home.path().to_owned(), &options).unwrap(),
        large: 2000,
    }
}

/// A unit as it is stored.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    end: Lsn,
    commit_ms: u64,
    frames: Vec<Bytes>,
    described: Vec<Described>,
}

/// Reads its frames as the spool does.
fn stored(unit: Assembled) -> Stored {
    let frames = match unit.frames {
        CapturedFrames::Few(frames) => frames,
        CapturedFrames::Streamed(mut source) => {
            let (num_frames, counted) = (source.num_frames(), source.counted_bytes());
            let mut frames = Vec::new();
            let mut bytes = 0;
            while let Some(draft) = source.next_draft().unwrap() {
                bytes += frames::size(draft.counted_frame());
                assert!(draft.hole.is_none());
                frames.push(draft.bytes);
            }
            assert_eq!((frames::size(frames.len()), bytes), (num_frames, counted));
            frames
        }
    };
    Stored {
        end: unit.end,
        commit_ms: unit.commit_ms,
        frames,
        described: unit.described,
    }
}

/// The messages of a unit; looks at its flags.
fn messages(stored: &Stored, large: usize) -> Vec<(Lsn, Vec<u8>)> {
    let (mut reader, mut all) = (ChunkReader::default(), Vec::new());
    let num_frames = stored.frames.len();
    let bytes: usize = stored.frames.iter().map(Bytes::len).sum();
    for (at, frame) in stored.frames.iter().enumerate() {
        let flags = reader.read::<ChunkError>(frame, |lsn, message| {
            all.push((lsn, message.to_vec()));
            Ok(())
        });
        let flags = flags.unwrap();
        assert_eq!((flags.first, flags.last), (at == 0, at + 1 == num_frames));
        assert_eq!(flags.large, bytes > large);
    }
    all
}

/// Has an assembler take all of it.
fn assemble(mut assembler: Assembler, sizes: Sizes, sent: &[Sent]) -> (Vec<Stored>, Vec<Lsn>) {
    assembler.sizes = sizes;
    let (mut units, mut passed) = (Vec::new(), Vec::new());
    for (lsn, message) in sent {
        match assembler.take(*lsn, message).unwrap() {
            Taken::Nothing => {}
            Taken::Passed(end) => passed.push(end),
            Taken::Unit(unit) => units.push(stored(unit)),
        }
        let longest = sizes.chunk + sizes.part + message.len() + 100;
        let bound = assembler.budget.work_mem + longest;
        assert!(assembler.buffered_bytes() <= bound);
    }
    assert!(!assembler.in_transaction() && !assembler.has_open_streams());
    assert_eq!(
        (assembler.buffered_bytes(), assembler.spilled_bytes()),
        (0, 0)
    );
    (units, passed)
}

#[test]
fn streamed_and_whole_transactions_are_stored_alike_and_readable() {
    let home = TempDir::new().unwrap();
    let mut dice = Dice::seeded();
    for round in 0..400 {
        println!("round {round}, PGSPOOL_SEED={}", dice.0);
        let world = World::roll(&mut dice);
        let sizes = Sizes {
            chunk: dice.pick(&[50, 300, 2000]),
            part: dice.pick(&[60, 500]),
        };
        let work_mem = dice.pick(&[0, 500, 5000, 1 << 20]);
        let known = world.known();
        let start = || Assembler::new(options(&home, work_mem), &known, Lsn::new(1));
        let (whole, _) = assemble(start(), sizes, &world.whole(0));
        let (streamed, passed) = assemble(start(), sizes, &world.streamed(0, &mut dice));
        for (whole, streamed) in whole.iter().zip(&streamed) {
            let shown = (messages(whole, 2000), messages(streamed, 2000));
            assert_eq!(shown.0, shown.1);
            assert_eq!(whole, streamed);
        }
        assert_eq!(whole.len(), streamed.len());
        world.check(&whole);
        world.check_passed(&passed);
    }
}

#[test]
fn a_session_that_begins_again_stores_what_readers_need() {
    let home = TempDir::new().unwrap();
    let mut dice = Dice::seeded();
    for round in 0..400 {
        println!("round {round}, PGSPOOL_SEED={}", dice.0);
        let world = World::roll(&mut dice);
        let sizes = Sizes::default();
        let first = Assembler::new(options(&home, 500), &world.known(), Lsn::new(1));
        let (mut all, _) = assemble(first, sizes, &world.streamed(0, &mut dice));
        if all.is_empty() {
            continue;
        }
        // So many were stored; the upstream begins a little before.
        let kept = dice.index(all.len());
        all.truncate(kept);
        let head = all.last().map_or(Lsn::new(1), |unit| unit.end);
        let from = world.num_ending_upto(head) - dice.index(world.num_ending_upto(head) + 1);
        let mut again = Assembler::new(options(&home, 500), &RelationSet::default(), Lsn::ZERO);
        again.take(Lsn::new(1), &model::begin()).unwrap();
        again.reset(&world.known_after(&all), head);
        let sent = if dice.chance(50) {
            world.whole(from)
        } else {
            world.streamed(from, &mut dice)
        };
        let (units, _) = assemble(again, sizes, &sent);
        for unit in units {
            if unit.end > head {
                all.push(unit);
            } else {
                assert_eq!(unit.described, []);
            }
        }
        world.check(&all);
    }
}
