//! Any messages to the assembler; used by `fuzz/`.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Assembler, AssemblerOptions, Taken};
use crate::change::{ChunkError, ChunkReader};
use crate::disk::{Disk, FakeDisk};
use crate::engine::{CapturedFrames, EngineOptions, Scratch};
use crate::lsn::Lsn;
use crate::relations::RelationSet;

/// The first byte says how little memory there is; then messages, each behind its length in two
/// bytes. What comes out reads back, from its first frame to its last.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((&first, mut rest)) = bytes.split_first() else {
        return;
    };
    let disk = Arc::new(FakeDisk::default());
    let dir = PathBuf::from("/scratch");
    disk.create_dir_all(&dir).expect("a fake folder");
    let scratch = Scratch::open(disk, dir, &EngineOptions::default()).expect("an empty folder");
    let options = AssemblerOptions {
        work_mem: if first & 1 == 0 { 0 } else { 1 << 20 },
        scratch,
        large: usize::from(first),
    };
    let mut assembler = Assembler::new(options, &RelationSet::default(), Lsn::ZERO);
    let mut lsn = 0;
    while let Some((len, behind)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes(*len));
        let (message, behind) = behind.split_at(behind.len().min(len));
        rest = behind;
        lsn += 8;
        match assembler.take(Lsn::new(lsn), message) {
            Ok(Taken::Nothing | Taken::Passed(_)) => {}
            Ok(Taken::Unit(unit)) => look(unit.frames),
            Err(_) => assembler.reset(&RelationSet::default(), Lsn::ZERO),
        }
    }
}

fn look(frames: CapturedFrames) {
    let frames = match frames {
        CapturedFrames::Few(frames) => frames,
        CapturedFrames::Streamed(mut source) => {
            let mut frames = Vec::new();
            while let Some(draft) = source.next_draft().expect("what was kept") {
                frames.push(draft.bytes);
            }
            assert_eq!(u64::try_from(frames.len()), Ok(source.num_frames()));
            frames
        }
    };
    let mut reader = ChunkReader::default();
    let last = frames.len().saturating_sub(1);
    for (at, frame) in frames.iter().enumerate() {
        let flags = reader.read::<ChunkError>(frame, |_, _| Ok(()));
        let flags = flags.expect("it was written so");
        assert_eq!((flags.first, flags.last), (at == 0, at == last));
    }
}
