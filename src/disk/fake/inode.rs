//! The bytes of one file of the fake disk: what is durable, what is only written.
//!
//! It does not know names, directories or demanded failures.

use std::sync::Arc;

use super::faults::Dice;

/// A disk keeps or loses this much at a time.
const SECTOR: usize = 512;

/// A change that no sync has covered yet.
#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// One file's bytes. Cloned only by a crash.
#[derive(Debug, Default)]
pub(super) struct Inode {
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    live: Vec<u8>,
    /// Cloned by each open handle, so that the last one can be noticed.
    pub(super) handles: Arc<()>,
}

impl Inode {
    /// A file whose `bytes` are on disk already.
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self {
            live: bytes.clone(),
            durable: bytes,
            ..Self::default()
        }
    }

    /// The bytes as every reader sees them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.live, offset, bytes);
        let bytes = bytes.to_vec();
        self.unsynced.push(Change::Write { offset, bytes });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.live.resize(len, 0);
        self.unsynced.push(Change::SetLen(len));
    }

    pub(super) fn unsynced_bytes(&self) -> usize {
        let lens = self.unsynced.iter().map(|change| match change {
            Change::Write { bytes, .. } => bytes.len(),
            Change::SetLen(_) => 0,
        });
        lens.sum()
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.durable, offset, &bytes),
                Change::SetLen(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// A sync that failed: some of the changes are on disk, the rest never will be (the system
    /// forgets them although readers still see them).
    pub(super) fn fail_sync(&mut self, dice: &mut Dice) {
        self.durable = self.survivors(dice);
        self.unsynced.clear();
    }

    /// The bytes that a power loss now leaves.
    ///
    /// Every unsynced write survives wholly, in some of its sectors, or not at all, whatever
    /// became of the others. The length is one that the file had since the last sync; bytes
    /// within it that did not make it are zeros or what stood there before.
    pub(super) fn survivors(&self, dice: &mut Dice) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let mut len = bytes.len();
        let mut kept_len = len;
        // Extremes come up often enough: nothing survives, everything does, or anything.
        let luck = match dice.below(4) {
            0 => 0,
            1 => 100,
            _ => 20 + dice.below(70),
        };
        let count = u64::try_from(self.unsynced.len()).unwrap_or(u64::MAX);
        let lengths_kept = match luck {
            0 => 0,
            100 => count,
            _ => dice.below(count.saturating_add(1)),
        };
        for (change, nth) in self.unsynced.iter().zip(0_u64..) {
            let length_kept = nth < lengths_kept;
            match change {
                Change::Write {
                    offset,
                    bytes: written,
                } => {
                    len = len.max(offset.saturating_add(written.len()));
                    if dice.chance(luck) {
                        put(&mut bytes, *offset, written);
                    } else if dice.chance(luck) {
                        put_some_sectors(&mut bytes, *offset, written, dice);
                    }
                }
                Change::SetLen(new) => {
                    len = *new;
                    if length_kept {
                        bytes.truncate(len);
                    }
                }
            }
            if length_kept {
                kept_len = len;
            }
        }
        bytes.resize(kept_len, 0);
        bytes
    }
}

/// Overwrites `bytes` from `offset`, growing it with zeros where needed.
fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset.saturating_add(written.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(offset..end) {
        place.copy_from_slice(written);
    }
}

fn put_some_sectors(bytes: &mut Vec<u8>, offset: usize, written: &[u8], dice: &mut Dice) {
    let mut done = 0;
    while done < written.len() {
        let at = offset.saturating_add(done);
        let end = done.saturating_add(SECTOR - at % SECTOR).min(written.len());
        if let Some(piece) = written.get(done..end).filter(|_| dice.chance(50)) {
            put(bytes, at, piece);
        }
        done = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(inode: &Inode) -> Vec<Vec<u8>> {
        let mut found: Vec<_> = (0..500)
            .map(|seed| inode.survivors(&mut Dice::new(seed)))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn synced_bytes_survive_every_crash() {
        let mut inode = Inode::default();
        inode.write(0, b"kept");
        inode.sync();
        inode.write(4, b" and lost");
        for bytes in outcomes(&inode) {
            assert_eq!(&bytes[..4], b"kept");
        }
    }

    #[test]
    fn unsynced_writes_survive_independently_of_their_order() {
        let mut inode = Inode::default();
        inode.write(0, b"a");
        inode.write(1, b"b");
        let found = outcomes(&inode);
        for want in [&b""[..], b"a", b"\0", b"ab", b"a\0", b"\0b", b"\0\0"] {
            assert!(found.iter().any(|bytes| bytes == want), "{want:?}");
        }
        assert_eq!(found.len(), 7);
    }

    #[test]
    fn a_write_tears_at_sector_borders_only() {
        let mut inode = Inode::default();
        inode.write(0, &[0; 300]);
        inode.sync();
        inode.write(300, &[7; 1024]);
        let mut torn = 0;
        for bytes in outcomes(&inode) {
            let written = bytes.get(300..).unwrap_or_default();
            let sectors = [212, 512, 300];
            let mut rest = written;
            for sector in sectors {
                let (now, later) = rest.split_at(sector.min(rest.len()));
                assert!(now.iter().all(|b| *b == 7) || now.iter().all(|b| *b == 0));
                rest = later;
            }
            torn += usize::from(written.contains(&7) && written.contains(&0));
        }
        assert!(torn > 2);
    }

    #[test]
    fn an_unsynced_cut_may_be_undone() {
        let mut inode = Inode::durable(b"0123456789".to_vec());
        inode.set_len(4);
        let found = outcomes(&inode);
        assert_eq!(found, [b"0123".to_vec(), b"0123456789".to_vec()]);
        inode.sync();
        assert_eq!(outcomes(&inode), [b"0123".to_vec()]);
    }

    #[test]
    fn what_a_failed_sync_lost_no_later_sync_brings_back() {
        let mut lost = 0;
        for seed in 0..100 {
            let mut inode = Inode::default();
            inode.write(0, b"doubtful");
            inode.fail_sync(&mut Dice::new(seed));
            assert_eq!(inode.bytes(), b"doubtful", "readers see the cache");
            inode.sync();
            let after = inode.survivors(&mut Dice::new(seed));
            lost += usize::from(after != b"doubtful");
        }
        assert!((10..90).contains(&lost), "{lost}");
    }
}
