//! The offline tools on RedDB's own files: import, export, inspect, check.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod cli_support;

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

use cli_support::{Home, expected, fixture, inspect, pgspool, refuse, succeed};
use pgspool::disk::RealDisk;
use pgspool::lsn::Lsn;
use pgspool::spool::frame;
use serde_json::Value;

/// Asserts that the frames are the expected ones, at positions times `scale`.
fn assert_frames(frames: &[Value], rows: &[HashMap<String, String>], scale: u64) {
    assert_eq!(frames.len(), rows.len());
    for (frame, row) in frames.iter().zip(rows) {
        let lsn: u64 = row["lsn"].parse().unwrap();
        assert_eq!(frame["lsn"], lsn * scale);
        assert_eq!(
            frame["payload_len"],
            row["payload_len"].parse::<u64>().unwrap()
        );
        assert_eq!(
            frame["payload_crc32"],
            row["payload_crc32"].as_str(),
            "{row:?}"
        );
        if let Some(time) = row.get("frame_timestamp") {
            assert_eq!(frame["timestamp_ms"], time.parse::<u64>().unwrap());
        }
        if let Some(term) = row.get("term") {
            assert_eq!(frame["term"], term.parse::<u64>().unwrap());
        }
    }
}

fn spool_file(name: &str) -> std::path::PathBuf {
    fixture(&format!("{name}.rdb.logical.wal"))
}

#[test]
fn inspect_shows_every_frame_of_a_reddb_file() {
    for name in ["shop", "legacy"] {
        assert_frames(&inspect(&spool_file(name)), &expected(name), 1);
        assert_frames(
            &inspect(&fixture(&format!("{name}.rdb"))),
            &expected(name),
            1,
        );
    }
    let versions: Vec<u64> = inspect(&spool_file("legacy"))
        .iter()
        .map(|f| f["version"].as_u64().unwrap())
        .collect();
    let rows = expected("legacy");
    let wanted: Vec<u64> = rows
        .iter()
        .map(|row| row["version"].parse().unwrap())
        .collect();
    assert_eq!(versions, wanted);
}

#[test]
fn inspect_shows_payloads_on_request() {
    let file = spool_file("shop");
    let plain = succeed(&["inspect", "--json", file.to_str().unwrap()]);
    assert!(!plain.contains("collection"));
    let full = succeed(&["inspect", "--json", "--payload", file.to_str().unwrap()]);
    for (line, row) in full.lines().zip(expected("shop")) {
        let frame: Value = serde_json::from_str(line).unwrap();
        let payload = frame["payload"].as_str().unwrap();
        assert_eq!(
            format!("{:08x}", crc32fast::hash(payload.as_bytes())),
            row["payload_crc32"]
        );
    }
}

#[test]
fn inspect_bears_a_closed_pipe() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgspool"))
        .args([
            "inspect",
            "--json",
            "--payload",
            spool_file("shop").to_str().unwrap(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn inspect_reports_damage_and_what_is_before_it() {
    let output = pgspool(&[
        "inspect",
        "--json",
        spool_file("legacy-bitflip").to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().lines().count(),
        35
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("damage at offset 9234"), "{said}");
}

#[test]
fn shop_is_imported_record_for_record() {
    let home = Home::new();
    let said = home.import("shop", "shop");
    assert!(said.contains("imported 600 records"), "{said}");
    assert!(
        said.contains("slot audit at 0/300, invalidated (horizon)"),
        "{said}"
    );
    assert!(said.contains("slot warehouse at 0/6400\n"), "{said}");
    assert_frames(&inspect(&home.database("shop")), &expected("shop"), 64);
}

#[test]
fn shop_comes_back_byte_for_byte() {
    let home = Home::new();
    home.import("shop", "shop");
    let out = home.text("back.rdb");
    succeed(&[
        "export",
        "--data",
        &home.data(),
        "--reddb",
        &out,
        "--database",
        "shop",
    ]);
    for suffix in ["logical.wal", "logical.slots.json"] {
        let back = fs::read(home.path(&format!("back.rdb.{suffix}"))).unwrap();
        assert_eq!(
            back,
            fs::read(fixture(&format!("shop.rdb.{suffix}"))).unwrap(),
            "{suffix}"
        );
    }
}

#[test]
fn legacy_layouts_are_imported_and_come_back_as_v3() {
    let home = Home::new();
    let said = home.import("legacy", "old");
    assert!(
        said.contains("v1 20, v2 20, v3 20, v3 with epoch 0"),
        "{said}"
    );
    let frames = inspect(&home.database("old"));
    assert_frames(&frames, &expected("legacy"), 64);
    assert!(frames[..20].iter().all(|frame| frame["timestamp_ms"] == 0));

    let out = home.text("back.rdb");
    succeed(&[
        "export",
        "--data",
        &home.data(),
        "--reddb",
        &out,
        "--database",
        "old",
    ]);
    let back = home.path("back.rdb.logical.wal");
    assert_frames(&inspect(&back), &expected("legacy"), 1);
    let (source, back) = (
        fs::read(spool_file("legacy")).unwrap(),
        fs::read(back).unwrap(),
    );
    let rows = expected("legacy");
    let len_of = |row: &HashMap<String, String>| row["payload_len"].parse::<usize>().unwrap() + 37;
    let v3_bytes: usize = rows[40..].iter().map(len_of).sum();
    assert_eq!(
        source[source.len() - v3_bytes..],
        back[back.len() - v3_bytes..]
    );

    let again = home.text("back.rdb");
    succeed(&[
        "import",
        "--data",
        &home.data(),
        "--reddb",
        &again,
        "--database",
        "again",
    ]);
    assert_eq!(
        inspect(&home.database("again")),
        inspect(&home.database("old"))
    );
}

#[test]
fn the_later_v3_layout_is_imported() {
    let home = Home::new();
    let said = home.import("legacy-v3-epoch", "late");
    assert!(said.contains("v3 with epoch 30"), "{said}");
    let frames = inspect(&home.database("late"));
    let lsns: Vec<u64> = frames
        .iter()
        .map(|frame| frame["lsn"].as_u64().unwrap())
        .collect();
    assert_eq!(lsns, (1..=30).map(|n| n * 64).collect::<Vec<u64>>());
}

#[test]
fn a_torn_end_is_left_out_and_reported() {
    let home = Home::new();
    let said = home.import("legacy-torn-frame", "frame");
    assert!(
        said.contains("torn end of 259 bytes at offset 15624"),
        "{said}"
    );
    assert_frames(
        &inspect(&home.database("frame")),
        &expected("legacy")[..59],
        64,
    );
    let said = home.import("legacy-torn3", "three");
    assert!(
        said.contains("torn end of 3 bytes at offset 15890"),
        "{said}"
    );
    assert_frames(&inspect(&home.database("three")), &expected("legacy"), 64);
}

#[test]
fn damage_before_the_end_is_refused_and_nothing_is_made() {
    let home = Home::new();
    let file = fixture("legacy-bitflip.rdb").to_str().unwrap().to_owned();
    let said = refuse(&[
        "import",
        "--data",
        &home.data(),
        "--reddb",
        &file,
        "--database",
        "flip",
    ]);
    assert!(said.contains("corrupt at offset 9234"), "{said}");
    assert!(!home.path("data").exists());
}

#[test]
fn damage_before_the_end_is_cut_and_reported_when_asked_for() {
    let home = Home::new();
    let file = fixture("legacy-bitflip.rdb").to_str().unwrap().to_owned();
    let data = home.data();
    let import = [
        "import",
        "--data",
        &data,
        "--reddb",
        &file,
        "--database",
        "flip",
    ];
    let said = succeed(&[&import[..], &["--recovery", "longest-valid-prefix"]].concat());
    assert!(said.contains("6656 bytes at offset 9234"), "{said}");
    assert_frames(
        &inspect(&home.database("flip")),
        &expected("legacy")[..35],
        64,
    );
}

#[test]
fn a_database_that_holds_records_is_not_imported_into() {
    let home = Home::new();
    home.import("shop", "shop");
    let before = inspect(&home.database("shop"));
    let file = fixture("legacy.rdb").to_str().unwrap().to_owned();
    let said = refuse(&[
        "import",
        "--data",
        &home.data(),
        "--reddb",
        &file,
        "--database",
        "shop",
    ]);
    assert!(said.contains("holds records"), "{said}");
    assert_eq!(inspect(&home.database("shop")), before);
}

#[test]
fn what_an_interrupted_import_left_is_replaced() {
    let home = Home::new();
    let left = home.database(".import-shop").join("spool");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("0000000000000040.rdlw"), "half a frame").unwrap();
    home.import("shop", "shop");
    let databases = fs::read_dir(home.path("data").join("databases")).unwrap();
    let names: Vec<_> = databases.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["shop"]);
    assert_frames(&inspect(&home.database("shop")), &expected("shop"), 64);
}

/// A RedDB spool of these frames (`(position, payload)`) with this slots file.
fn reddb(home: &Home, frames: &[(u64, &str)], slots: &str) -> String {
    let mut bytes = Vec::new();
    for (position, payload) in frames {
        frame::encode(&mut bytes, 1, Lsn::new(*position), 5, payload.as_bytes());
    }
    fs::write(home.path("made.rdb.logical.wal"), bytes).unwrap();
    fs::write(home.path("made.rdb.logical.slots.json"), slots).unwrap();
    home.text("made.rdb")
}

#[test]
fn slot_ids_that_are_no_names_are_listed_or_renamed() {
    let home = Home::new();
    let slots = r#"{"slots":[
        {"id":"Reader-1","restart_lsn":1,"confirmed_lsn":1,"last_seen_at_unix_ms":7},
        {"id":"fine","restart_lsn":2,"confirmed_lsn":2,"last_seen_at_unix_ms":7},
        {"id":"a b","restart_lsn":0,"confirmed_lsn":0,"last_seen_at_unix_ms":7}]}"#;
    let file = reddb(&home, &[(1, "{}"), (2, "{}")], slots);
    let data = home.data();
    let import = [
        "import",
        "--data",
        &data,
        "--reddb",
        &file,
        "--database",
        "made",
    ];
    let said = refuse(&import);
    assert!(said.contains("Reader-1") && said.contains("a b"), "{said}");
    assert!(!home.path("data").exists());
    let renames = ["--rename", "Reader-1=reader_1", "--rename", "a b=ab"];
    let said = succeed(&[&import[..], &renames].concat());
    for slot in [
        "slot reader_1 at 0/40\n",
        "slot ab at 0/0\n",
        "slot fine at 0/80\n",
    ] {
        assert!(said.contains(slot), "{said}");
    }
}

#[test]
fn a_slot_whose_next_record_is_gone_comes_invalidated() {
    let home = Home::new();
    let slots = r#"{"slots":[
        {"id":"behind","restart_lsn":3,"confirmed_lsn":3,"last_seen_at_unix_ms":7},
        {"id":"right","restart_lsn":4,"confirmed_lsn":4,"last_seen_at_unix_ms":7}]}"#;
    let file = reddb(&home, &[(5, "{}"), (6, "{}")], slots);
    let said = succeed(&[
        "import",
        "--data",
        &home.data(),
        "--reddb",
        &file,
        "--database",
        "made",
    ]);
    assert!(
        said.contains("slot behind at 0/C0, invalidated (wal-removed)"),
        "{said}"
    );
    assert!(said.contains("slot right at 0/100\n"), "{said}");
    let manifest = fs::read(home.database("made").join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["manifest"]["removed_through"], 0x100);
}

#[test]
fn positions_that_cannot_be_carried_over_are_refused() {
    let home = Home::new();
    for (frames, words) in [
        (vec![((1 << 57) + 1, "{}")], "above 2^57"),
        (vec![(2, "{}"), (2, "{}")], "does not lie above 2"),
        (vec![(2, "{}"), (1, "{}")], "does not lie above 2"),
        (vec![(0, "{}")], "does not lie above 0"),
        (vec![(1, "\u{2}\u{1}{}")], "part of a transaction"),
    ] {
        let file = reddb(&home, &frames, r#"{"slots":[]}"#);
        let said = refuse(&[
            "import",
            "--data",
            &home.data(),
            "--reddb",
            &file,
            "--database",
            "made",
        ]);
        assert!(said.contains(words), "{said}");
    }
    assert!(!home.path("data").exists());
}

#[test]
fn an_export_writes_over_nothing() {
    let home = Home::new();
    home.import("shop", "shop");
    fs::write(home.path("back.rdb.logical.slots.json"), "mine").unwrap();
    let out = home.text("back.rdb");
    let said = refuse(&[
        "export",
        "--data",
        &home.data(),
        "--reddb",
        &out,
        "--database",
        "shop",
    ]);
    assert!(said.contains("exists already"), "{said}");
    assert!(!home.path("back.rdb.logical.wal").exists());
}

#[test]
fn tools_keep_out_of_a_directory_that_is_in_use() {
    let home = Home::new();
    home.import("shop", "shop");
    let lock = RealDisk::lock_dir(&home.path("data")).unwrap();
    assert!(refuse(&["check", &home.data()]).contains("in use by another pgspool"));
    drop(lock);
    succeed(&["check", &home.data()]);
}

fn only_segment(home: &Home, database: &str) -> std::path::PathBuf {
    fs::read_dir(home.database(database).join("spool"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "rdlw"))
        .unwrap()
}

#[test]
fn check_finds_a_flipped_byte() {
    let home = Home::new();
    home.import("shop", "shop");
    home.import("legacy", "old");
    let said = succeed(&["check", &home.data()]);
    assert!(said.contains("shop") && said.contains("old"), "{said}");

    let segment = only_segment(&home, "shop");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100_000] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let output = pgspool(&["check", &home.data()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(said.contains("shop") && said.contains(name), "{said}");
}

#[test]
fn check_finds_a_damaged_slot_store() {
    let home = Home::new();
    home.import("shop", "shop");
    let slots = home.database("shop").join("slots.json");
    let text = fs::read_to_string(&slots).unwrap();
    fs::write(&slots, text.replacen("25600", "25664", 1)).unwrap();
    let output = pgspool(&["check", &home.data()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("slots.json"), "{said}");
}

#[test]
fn repair_sets_damage_aside_and_invalidates_who_needed_it() {
    let home = Home::new();
    home.import("shop", "shop");
    let segment = only_segment(&home, "shop");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[150_000] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let data = home.data();
    let repair = ["repair", "--data", &data, "--database", "shop"];

    let looked = pgspool(&repair);
    assert_eq!(looked.status.code(), Some(1));
    assert_eq!(fs::read(&segment).unwrap(), bytes, "it only looked");

    let said = succeed(&[&repair[..], &["--yes"]].concat());
    assert!(said.contains("invalidated slot warehouse\n"), "{said}");
    assert!(!said.contains("invalidated slot search\n"), "{said}");
    assert_eq!(succeed(&["check", &data]), "shop: ok\n");
    let kept = inspect(&home.database("shop"));
    assert_frames(&kept, &expected("shop")[..kept.len()], 64);
    assert!(kept.len() > 500 && kept.len() < 600);
    assert_eq!(succeed(&repair), "nothing is wrong\n");
}

#[test]
fn repair_makes_a_lost_manifest_anew() {
    let home = Home::new();
    home.import("shop", "shop");
    fs::remove_file(home.database("shop").join("manifest.json")).unwrap();
    let data = home.data();
    assert_eq!(pgspool(&["check", &data]).status.code(), Some(1));
    let said = succeed(&["repair", "--data", &data, "--database", "shop", "--yes"]);
    assert!(
        said.contains("new manifest") && !said.contains("invalidated"),
        "{said}"
    );
    assert_eq!(succeed(&["check", &data]), "shop: ok\n");
    assert_frames(&inspect(&home.database("shop")), &expected("shop"), 64);
}

#[test]
fn repair_sets_a_damaged_slot_store_aside() {
    let home = Home::new();
    home.import("shop", "shop");
    let slots = home.database("shop").join("slots.json");
    fs::write(&slots, "{").unwrap();
    let data = home.data();
    let said = succeed(&["repair", "--data", &data, "--database", "shop", "--yes"]);
    assert!(said.contains("all slots are gone"), "{said}");
    assert_eq!(
        fs::read(home.database("shop").join("quarantine/slots.json")).unwrap(),
        b"{"
    );
    assert_eq!(succeed(&["check", &data]), "shop: ok\n");
}

#[test]
fn repair_cuts_a_reddb_file_and_keeps_what_it_cut() {
    let home = Home::new();
    let spool = home.path("flip.rdb.logical.wal");
    fs::copy(spool_file("legacy-bitflip"), &spool).unwrap();
    let file = home.text("flip.rdb");
    assert_eq!(
        pgspool(&["repair", "--reddb", &file]).status.code(),
        Some(1)
    );
    let said = succeed(&["repair", "--reddb", &file, "--yes"]);
    assert!(said.contains("cut 6656 bytes at offset 9234"), "{said}");
    assert_frames(&inspect(&spool), &expected("legacy")[..35], 1);
    let source = fs::read(spool_file("legacy-bitflip")).unwrap();
    assert_eq!(
        fs::read(home.path("flip.rdb.logical.wal.torn")).unwrap(),
        source[9234..]
    );
}
