//! What the fake disk promises to the tests that lean on it.

use super::*;
use crate::disk::replace_file;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A disk with the directory `d` and in it the durable file `f` holding `old`.
fn disk() -> FakeDisk {
    let disk = FakeDisk::default();
    disk.put(path("d/f"), b"old");
    disk
}

fn outcomes<T: Ord>(disk: &FakeDisk, look: impl Fn(&FakeDisk) -> T) -> Vec<T> {
    let mut found: Vec<T> = (0..300).map(|seed| look(&disk.crash(seed))).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn clones_share_and_open_files_outlive_their_name() {
    let disk = disk();
    let file = disk.open(path("d/f"), OpenMode::Write).unwrap();
    disk.clone().remove(path("d/f")).unwrap();
    disk.sync_dir(path("d")).unwrap();
    assert!(!disk.exists(path("d/f")).unwrap());
    file.write_all_at(b"new", 1).unwrap();
    let mut bytes = [0; 8];
    assert_eq!(file.read_full_at(&mut bytes, 0).unwrap(), 4);
    assert_eq!(&bytes[..4], b"onew");
}

#[test]
fn names_and_modes_are_kept_to() {
    let disk = disk();
    let kind = |mode, name| disk.open(path(name), mode).unwrap_err().kind();
    assert_eq!(
        kind(OpenMode::CreateNew, "d/f"),
        io::ErrorKind::AlreadyExists
    );
    assert_eq!(kind(OpenMode::Read, "d/x"), io::ErrorKind::NotFound);
    assert_eq!(kind(OpenMode::CreateNew, "x/f"), io::ErrorKind::NotFound);
    let read = disk.open(path("d/f"), OpenMode::Read).unwrap();
    assert!(read.write_all_at(b"x", 0).is_err());
    disk.create_dir_all(path("d/e/g")).unwrap();
    assert_eq!(disk.list(path("d")).unwrap(), ["e", "f"]);
    assert!(disk.list(path("nowhere")).is_err());
}

#[test]
fn a_created_file_needs_its_directory_synced() {
    let disk = disk();
    let file = disk.open(path("d/new"), OpenMode::CreateNew).unwrap();
    file.write_all_at(b"data", 0).unwrap();
    file.sync().unwrap();
    let seen = |disk: &FakeDisk| disk.read(path("d/new")).ok();
    assert_eq!(outcomes(&disk, seen), [None, Some(b"data".to_vec())]);
    let disk = disk.crash(0);
    disk.put(path("d/other"), b"");
    let file = disk.open(path("d/third"), OpenMode::CreateNew).unwrap();
    disk.sync_dir(path("d")).unwrap();
    let sizes = outcomes(&disk, |disk| disk.read(path("d/third")).unwrap());
    assert_eq!(sizes, [b"".to_vec()]);
    drop(file);
}

#[test]
fn a_removed_name_may_come_back_until_the_directory_is_synced() {
    let disk = disk();
    disk.remove(path("d/f")).unwrap();
    let exists = |disk: &FakeDisk| disk.exists(path("d/f")).unwrap();
    assert_eq!(outcomes(&disk, exists), [false, true]);
    let disk = super::tests::disk();
    disk.remove(path("d/f")).unwrap();
    disk.sync_dir(path("d")).unwrap();
    assert_eq!(outcomes(&disk, exists), [false]);
}

#[test]
fn a_rename_is_atomic() {
    let disk = disk();
    disk.put(path("d/f.tmp"), b"new");
    disk.rename(path("d/f.tmp"), path("d/f")).unwrap();
    let seen = |disk: &FakeDisk| {
        (
            disk.list(path("d")).unwrap(),
            disk.read(path("d/f")).unwrap(),
        )
    };
    let old = (vec!["f".to_owned(), "f.tmp".to_owned()], b"old".to_vec());
    let new = (vec!["f".to_owned()], b"new".to_vec());
    assert_eq!(outcomes(&disk, seen), [new, old]);
}

#[test]
fn a_later_change_of_a_name_needs_the_earlier_ones() {
    let disk = disk();
    drop(disk.open(path("d/a"), OpenMode::CreateNew).unwrap());
    disk.rename(path("d/a"), path("d/b")).unwrap();
    disk.rename(path("d/f"), path("d/g")).unwrap();
    let seen = |disk: &FakeDisk| disk.list(path("d")).unwrap().concat();
    let found = outcomes(&disk, seen);
    assert_eq!(found, ["af", "ag", "bf", "bg", "f", "g"]);
}

#[test]
fn syncing_either_directory_makes_a_move_durable() {
    for dir in ["d", "e"] {
        let disk = disk();
        disk.create_dir_all(path("e")).unwrap();
        disk.rename(path("d/f"), path("e/f")).unwrap();
        disk.sync_dir(path(dir)).unwrap();
        let seen = |disk: &FakeDisk| disk.list(path("d")).unwrap().len();
        assert_eq!(outcomes(&disk, seen), [0]);
    }
}

#[test]
fn replacing_a_file_leaves_old_or_new_wherever_it_stops() {
    let steps = {
        let disk = disk();
        replace_file(&disk, path("d/f"), b"a new content").unwrap();
        disk.counters().steps
    };
    assert_eq!(steps, 5, "create, write, sync, rename, directory sync");
    for stop in 0..=steps {
        for seed in 0..50 {
            let disk = disk();
            disk.crash_after(stop);
            let done = replace_file(&disk, path("d/f"), b"a new content").is_ok();
            let found = disk.crash(seed).read(path("d/f")).unwrap();
            assert!(found == b"a new content" || (!done && found == b"old"));
        }
    }
}

#[test]
fn a_crashed_disk_fails_everything_and_the_survivor_does_not() {
    let disk = disk();
    let file = disk.open(path("d/f"), OpenMode::Write).unwrap();
    let survivor = disk.crash(7);
    assert!(disk.has_crashed() && !survivor.has_crashed());
    assert!(file.write_all_at(b"x", 0).is_err() && file.sync().is_err());
    assert!(file.len().is_err() && disk.read(path("d/f")).is_err());
    assert_eq!(survivor.read(path("d/f")).unwrap(), b"old");
}

#[test]
fn the_same_seed_leaves_the_same_disk() {
    let disk = disk();
    let file = disk.open(path("d/f"), OpenMode::Write).unwrap();
    for n in 0..40 {
        file.write_all_at(&[7; 700], n * 650).unwrap();
    }
    for seed in 0..20 {
        assert_eq!(disk.crash(seed).files(), disk.crash(seed).files());
    }
    assert_ne!(disk.crash(2).files(), disk.crash(3).files());
}

#[test]
fn the_nth_write_is_short_and_fails() {
    let disk = disk();
    let file = disk.open(path("d/f"), OpenMode::Write).unwrap();
    disk.fail(FakeOp::Write, 2, FakeError::NoSpace);
    file.write_all_at(&[1; 100], 0).unwrap();
    let error = file.write_all_at(&[2; 100], 100).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(file.len().unwrap() < 200, "a prefix only");
    file.write_all_at(&[3; 100], 100).unwrap();
    disk.fail_from(FakeOp::Write, 1, FakeError::Io);
    for _ in 0..2 {
        let error = file.write_all_at(b"x", 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5));
    }
    disk.clear_faults();
    file.write_all_at(b"x", 0).unwrap();
}

#[test]
fn every_kind_of_operation_fails_on_demand() {
    for op in [
        FakeOp::Sync,
        FakeOp::SetLen,
        FakeOp::Create,
        FakeOp::Rename,
        FakeOp::Remove,
        FakeOp::SyncDir,
        FakeOp::Read,
    ] {
        let disk = disk();
        let file = disk.open(path("d/f"), OpenMode::Write).unwrap();
        let before = disk.files();
        disk.fail(op, 1, FakeError::Io);
        let failed = match op {
            FakeOp::Write => continue,
            FakeOp::Sync => file.sync(),
            FakeOp::SetLen => file.set_len(1),
            FakeOp::Create => disk.open(path("d/g"), OpenMode::CreateNew).map(drop),
            FakeOp::Rename => disk.rename(path("d/f"), path("d/g")),
            FakeOp::Remove => disk.remove(path("d/f")),
            FakeOp::SyncDir => disk.sync_dir(path("d")),
            FakeOp::Read => disk.read(path("d/f")).map(drop),
        };
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(5), "{op:?}");
        assert_eq!(disk.files(), before, "{op:?} did nothing");
    }
}

#[test]
fn a_read_only_disk_refuses_and_counts_no_step() {
    let disk = disk();
    let file = disk.open(path("d/f"), OpenMode::Write).unwrap();
    disk.set_read_only(true);
    assert!(file.write_all_at(b"x", 0).is_err() && disk.remove(path("d/f")).is_err());
    assert_eq!(disk.read(path("d/f")).unwrap(), b"old");
    assert_eq!(disk.counters().steps, 0);
}

#[test]
fn counters_tell_writes_syncs_and_the_most_that_was_unsynced() {
    let disk = disk();
    let file = disk.open(path("d/f"), OpenMode::Write).unwrap();
    for len in [10, 20, 5] {
        file.write_all_at(&vec![0; len], 0).unwrap();
        if len == 20 {
            file.sync().unwrap();
        }
    }
    let counters = disk.counters();
    assert_eq!((counters.writes, counters.syncs), (3, 1));
    assert_eq!(
        (counters.bytes_written, counters.max_unsynced_bytes),
        (35, 30)
    );
}
