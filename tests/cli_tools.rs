//! The tools that look at files and mend them: inspect, check, repair.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod cli_support;

use std::fs;
use std::process::{Command, Stdio};

use cli_support::*;
use std::sync::Arc;

use pgspool::change::{ChangeRecord, ProducerName};
use pgspool::clock::Moment;
use pgspool::disk::RealDisk;
use pgspool::engine::{Engine, EngineOptions, PRODUCERS_FILE};
use pgspool::lsn::Lsn;
use pgspool::spool::NewSpool;
use pgspool::spool::repair::{RepairOptions, repair};
use serde_json::Value;

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
fn tools_keep_out_of_a_directory_that_is_in_use() {
    let home = Home::new();
    home.import("shop", "shop");
    let lock = RealDisk::lock_dir(&home.path("data")).unwrap();
    assert!(cannot_look(&["check", &home.data()]).contains("in use by another pgspool"));
    drop(lock);
    succeed(&["check", &home.data()]);
}

/// Runs a command that must end with exit code 2, and returns its standard error.
fn cannot_look(arguments: &[&str]) -> String {
    let output = pgspool(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn what_is_no_data_directory_is_neither_sound_nor_written_to() {
    let home = Home::new();
    let data = home.data();
    assert!(cannot_look(&["check", &data]).contains("there is no data directory"));
    fs::create_dir(home.path("data")).unwrap();
    for arguments in [
        &["check", &data][..],
        &["repair", "--data", &data, "--database", "shop"],
    ] {
        let said = cannot_look(arguments);
        assert!(said.contains("no data directory: databases is"), "{said}");
    }
    assert_eq!(fs::read_dir(home.path("data")).unwrap().count(), 0);
    assert!(cannot_look(&["inspect", &data]).contains("is no segment"));
    cannot_look(&["check", "--what"]);

    fs::create_dir(home.path("data").join("databases")).unwrap();
    assert_eq!(succeed(&["check", &data]), "no databases\n");
}

#[test]
fn a_database_has_one_rule_for_its_name() {
    let home = Home::new();
    home.import("shop", "Shop-2");
    fs::create_dir_all(home.path("x/spool")).unwrap();
    let data = home.data();
    let file = fixture("shop.rdb").to_str().unwrap().to_owned();
    for name in ["../../x", "..", ".import-shop", "", "a b", "-x"] {
        let database = format!("--database={name}");
        let out = home.text("back.rdb");
        for (command, reddb) in [("import", file.as_str()), ("export", out.as_str())] {
            let said = refuse(&[command, "--data", &data, "--reddb", reddb, &database]);
            assert!(said.contains("database name"), "{command} {name}: {said}");
        }
        let said = cannot_look(&["repair", "--data", &data, &database]);
        assert!(said.contains("database name"), "{name}: {said}");
    }
    assert_eq!(fs::read_dir(home.path("x")).unwrap().count(), 1);
    fs::create_dir(home.path("data").join("databases/a b")).unwrap();
    let looked = pgspool(&["check", &data]);
    assert_eq!(looked.status.code(), Some(1));
    let said = String::from_utf8(looked.stdout).unwrap();
    assert!(
        said.contains("a b: ") && said.contains("Shop-2: ok"),
        "{said}"
    );
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
fn what_a_killed_server_leaves_is_no_fault() {
    let home = Home::new();
    home.import("shop", "shop");
    let data = home.data();
    let segment = only_segment(&home, "shop");
    let whole = fs::read(&segment).unwrap();
    fs::write(&segment, [&whole[..], &[0; 4096]].concat()).unwrap();
    assert_eq!(succeed(&["check", &data]), "shop: ok\n");
    for path in [&segment, &home.database("shop")] {
        let output = pgspool(&["inspect", path.to_str().unwrap()]);
        assert!(output.status.success() && output.stderr.is_empty());
    }

    fs::write(&segment, [&whole[..], &whole[..50]].concat()).unwrap();
    let said = succeed(&["check", &data]);
    assert!(said.contains("torn tail of 50 bytes, the next start cuts it"));
    assert!(said.ends_with("shop: ok\n"), "{said}");
    let said = succeed(&["repair", "--data", &data, "--database", "shop", "--yes"]);
    assert!(said.ends_with("nothing is wrong\n"), "{said}");
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
fn repair_goes_on_where_it_was_interrupted() {
    let home = Home::new();
    home.import("shop", "shop");
    let segment = only_segment(&home, "shop");
    let mut bytes = fs::read(&segment).unwrap();
    bytes[150_000] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    let options = RepairOptions {
        boundary: pgspool::engine::boundary,
        persisted_position: Lsn::ZERO,
        new: NewSpool {
            system_id: 0,
            imported_through: Lsn::ZERO,
            start: Lsn::ZERO,
        },
    };
    // All but the slots, which come last.
    assert!(
        repair(&RealDisk, &home.database("shop"), &options)
            .unwrap()
            .changed
    );

    let data = home.data();
    let looked = pgspool(&["check", &data]);
    assert_eq!(looked.status.code(), Some(1));
    let said = String::from_utf8(looked.stdout).unwrap();
    assert!(said.contains("slot warehouse: at 0/6400, but data up to 0/9600 was lost"));
    let repair = ["repair", "--data", &data, "--database", "shop", "--yes"];
    let said = succeed(&repair);
    assert!(said.contains("invalidated slot warehouse\n"), "{said}");
    assert_eq!(succeed(&["check", &data]), "shop: ok\n");
    assert_eq!(succeed(&repair), "nothing is wrong\n");
}

#[test]
fn repair_invalidates_slots_below_what_is_readable() {
    let home = Home::new();
    let slots = r#"{"slots":[
        {"id":"behind","restart_lsn":4,"confirmed_lsn":4,"last_seen_at_unix_ms":7},
        {"id":"right","restart_lsn":5,"confirmed_lsn":5,"last_seen_at_unix_ms":7}]}"#;
    let short = reddb(&home, &[(6, "{}")], slots);
    let import = |database: &str, file: &str| {
        let data = home.data();
        succeed(&[
            "import",
            "--data",
            &data,
            "--reddb",
            file,
            "--database",
            database,
        ]);
    };
    import("short", &short);
    // Slots of another spool: as if segments and the manifest had gone, and a new one was made.
    let long = reddb(&home, &[(4, "{}"), (5, "{}"), (6, "{}")], slots);
    import("long", &long);
    let store = |database: &str| home.database(database).join("slots.json");
    fs::copy(store("long"), store("short")).unwrap();
    let data = home.data();
    assert_eq!(pgspool(&["check", &data]).status.code(), Some(1));
    let said = succeed(&["repair", "--data", &data, "--database", "short", "--yes"]);
    assert!(said.contains("invalidated slot behind\n"), "{said}");
    assert!(!said.contains("invalidated slot right\n"), "{said}");
    assert_eq!(succeed(&["check", &data]), "long: ok\nshort: ok\n");
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
fn a_damaged_relation_store_is_found_and_set_aside() {
    let home = Home::new();
    home.import("shop", "shop");
    let relations = home.database("shop").join("relations.json");
    fs::write(&relations, "{").unwrap();
    let data = home.data();
    let output = pgspool(&["check", &data]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("relations.json: it does not begin with its checksum"),
        "{said}"
    );
    let said = succeed(&["repair", "--data", &data, "--database", "shop", "--yes"]);
    assert!(
        said.contains("publications and declared tables are gone"),
        "{said}"
    );
    let kept = home.database("shop").join("quarantine/relations.json");
    assert_eq!(fs::read(kept).unwrap(), b"{");
    assert_eq!(succeed(&["check", &data]), "shop: ok\n");
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

    fs::write(&slots, "[").unwrap();
    succeed(&["repair", "--data", &data, "--database", "shop", "--yes"]);
    assert_eq!(
        fs::read(home.database("shop").join("quarantine/slots.json.1")).unwrap(),
        b"["
    );
}

#[test]
fn repair_cuts_a_reddb_file_and_keeps_what_it_cut() {
    let home = Home::new();
    let spool = home.path("flip.rdb.logical.wal");
    fs::copy(spool_file("legacy-bitflip"), &spool).unwrap();
    let file = home.text("flip.rdb");
    let slots = home.path("flip.rdb.logical.slots.json");
    fs::write(
        &slots,
        r#"{"slots":[{"id":"s","restart_lsn":30,"confirmed_lsn":30}]}"#,
    )
    .unwrap();
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
    // Nobody knows what went with the damage: no slot goes on over it, also after an import.
    assert!(said.contains("slot s invalidated"), "{said}");
    let after = fs::read_to_string(&slots).unwrap();
    assert!(
        after.contains("\"invalidation_reason\": \"wal-removed\""),
        "{after}"
    );
}

#[test]
fn lost_slots_are_a_fault_that_only_repair_settles() {
    let home = Home::new();
    home.import("shop", "shop");
    let slots = home.database("shop").join("slots.json");
    fs::remove_file(&slots).unwrap();
    let data = home.data();

    let looked = pgspool(&["check", &data]);
    assert_eq!(looked.status.code(), Some(1));
    let said = String::from_utf8(looked.stdout).unwrap();
    assert_eq!(said, "shop: slots.json: missing beside a spool\n");
    let out = home.text("back.rdb");
    let export = [
        "export",
        "--data",
        &data,
        "--reddb",
        &out,
        "--database",
        "shop",
    ];
    assert!(refuse(&export).contains("slots.json is damaged: missing beside a spool"));
    assert!(!home.path("back.rdb.logical.slots.json").exists());

    let repair = ["repair", "--data", &data, "--database", "shop"];
    assert_eq!(pgspool(&repair).status.code(), Some(1));
    assert!(!slots.exists(), "it only looked");
    let said = succeed(&[&repair[..], &["--yes"]].concat());
    assert!(said.contains("all slots are gone"), "{said}");
    assert!(slots.is_file());
    assert_eq!(succeed(&["check", &data]), "shop: ok\n");
    assert!(succeed(&export).contains("exported 600 records and 0 slots"));
}

#[test]
fn repair_lets_a_database_open_again_whose_producers_are_lost() {
    let home = Home::new();
    let path = home.database("mine");
    let open = || {
        let options = EngineOptions {
            segment_bytes: 1,
            wal_keep_size: 0,
            ..EngineOptions::default()
        };
        Engine::open(Arc::new(RealDisk), &path, "mine", options, Moment::now())
    };
    fs::create_dir_all(&path).unwrap();
    let publish = |engine: &Engine, seq| {
        let producer = ProducerName::parse("eu").unwrap();
        let mut batch = engine.batch(Moment::now());
        let record = ChangeRecord::insert("orders", seq).with_seq(producer, seq);
        batch.push(&record).unwrap();
        engine.publish(batch).unwrap().num_transactions
    };
    let engine = open().unwrap();
    publish(&engine, 1);
    engine.prune_retained(engine.head(), Moment::now()).unwrap();
    publish(&engine, 2);
    engine.close().unwrap();
    drop(engine);
    let data = home.data();
    let file = path.join(PRODUCERS_FILE);
    let repair = ["repair", "--data", &data, "--database", "mine", "--yes"];
    assert_eq!(succeed(&["check", &data]), "mine: ok\n");
    for damaged in [false, true] {
        if damaged {
            fs::write(&file, "{").unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        assert!(open().is_err());
        let checked = pgspool(&["check", &data]);
        assert_eq!(checked.status.code(), Some(1));
        assert!(
            String::from_utf8(checked.stdout)
                .unwrap()
                .contains(PRODUCERS_FILE)
        );
        let said = succeed(&repair);
        assert!(said.contains("producers.json no longer counts"), "{said}");
        assert_eq!(
            said.contains("quarantine/producers.json"),
            damaged,
            "{said}"
        );
        assert_eq!(succeed(&["check", &data]), "mine: ok\n");
        let engine = open().unwrap();
        assert_eq!(publish(&engine, 2), 0, "what can be read is known");
        engine.close().unwrap();
    }
}
