//! Import and export on RedDB's own files: nothing lost, nothing changed, nothing half-made.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod cli_support;

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use cli_support::*;
use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::disk::RealDisk;
use pgspool::engine::{Databases, EngineOptions};
use serde_json::Value;

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
    let file = home.text("flip.rdb");
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
    fs::copy(
        spool_file("legacy-bitflip"),
        home.path("flip.rdb.logical.wal"),
    )
    .unwrap();
    let slots = r#"{"slots":[
        {"id":"before","restart_lsn":0,"confirmed_lsn":0,"last_seen_at_unix_ms":7},
        {"id":"behind","restart_lsn":50,"confirmed_lsn":50,"last_seen_at_unix_ms":7}]}"#;
    fs::write(home.path("flip.rdb.logical.slots.json"), slots).unwrap();
    let said = succeed(&[&import[..], &["--recovery", "longest-valid-prefix"]].concat());
    assert!(said.contains("6656 bytes at offset 9234"), "{said}");
    for slot in ["slot before at 0/0", "slot behind at 0/8C0"] {
        let line = format!("{slot}, invalidated (wal-removed)\n");
        assert!(said.contains(&line), "{said}");
    }
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

#[test]
fn an_import_killed_at_any_moment_leaves_nothing_or_all() {
    const NUM_FRAMES: u64 = 10_000;
    let home = Home::new();
    let payload = "{\"operation\":\"insert\"}";
    let frames: Vec<(u64, &str)> = (1..=NUM_FRAMES).map(|n| (n, payload)).collect();
    let file = reddb(&home, &frames, r#"{"slots":[]}"#);
    let (mut killed, mut made) = (0, 0);
    // Until two were made before the kill, however long that takes here; at most 16 s each.
    let moments = (0..60_u64).map(|step| step * 10);
    for after_ms in moments.chain((0..5).map(|step| 1000 << step)) {
        let data = home.text(&format!("data{after_ms}"));
        let arguments = [
            "import",
            "--data",
            &data,
            "--reddb",
            &file,
            "--database",
            "made",
        ];
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgspool"))
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(after_ms));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
        let place = home.path(&format!("data{after_ms}/databases/made"));
        if place.exists() {
            made += 1;
            assert_eq!(
                succeed(&["check", &data]),
                "made: ok\n",
                "after {after_ms} ms"
            );
            let frames = succeed(&["inspect", place.to_str().unwrap()]);
            assert_eq!(u64::try_from(frames.lines().count()).unwrap(), NUM_FRAMES);
            if made > 1 {
                break;
            }
        } else {
            succeed(&arguments);
        }
    }
    assert!(killed > 0 && made > 0, "{killed} killed, {made} made");
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
fn an_export_that_fails_leaves_no_file() {
    let home = Home::new();
    home.import("shop", "shop");
    let record = |id| {
        ChangeRecord::insert("orders", id)
            .with_entity(b"{}")
            .with_timestamp(7)
    };
    let now = Moment::now();
    let options = EngineOptions::default();
    let opened = Databases::open(Arc::new(RealDisk), &home.path("data"), options, now);
    let databases = opened.unwrap();
    let engine = databases.get("shop").unwrap();
    let mut batch = engine.batch(now);
    batch.push_transaction(&[record(1), record(2)]).unwrap();
    engine.publish(batch).unwrap();
    assert!(databases.close().is_empty());
    drop((engine, databases));

    let data = home.data();
    fs::create_dir(home.path("out")).unwrap();
    let out = home.text("out/back.rdb");
    let arguments = [
        "export",
        "--data",
        &data,
        "--reddb",
        &out,
        "--database",
        "shop",
    ];
    let said = refuse(&arguments);
    assert!(said.contains("has several records"), "{said}");
    assert_eq!(fs::read_dir(home.path("out")).unwrap().count(), 0);
}
