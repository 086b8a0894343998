//! Promise: every replication command that a real client sends means what PostgreSQL 15 takes it
//! for, and no bytes at all make the parsers panic.
//!
//! The command texts and the CopyData lines are recordings of real sessions
//! (`tests/fixtures/wire`); the answers to malformed commands were asked of PostgreSQL 15.18.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::too_many_lines, // tables
    missing_docs
)]

mod dice;

use dice::Dice;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::BytesMut;
use pgspool::clock::Moment;
use pgspool::lsn::Lsn;
use pgspool::wire::{CommandErrorKind, ReplicationCommand, SnapshotAction, StandbyMessage, frames};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/wire");

fn recorded_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(Path::new(FIXTURES)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "txt") {
            lines.extend(
                fs::read_to_string(&path)
                    .unwrap()
                    .lines()
                    .map(str::to_owned),
            );
        }
    }
    assert!(lines.len() > 1000, "recordings are missing");
    lines
}

/// The texts of all recorded Query messages.
fn recorded_queries() -> BTreeSet<String> {
    recorded_lines()
        .iter()
        .filter_map(|line| line.split_once(" C> Query "))
        .map(|(_, literal)| String::from_utf8(unquoted(literal)).unwrap())
        .collect()
}

/// A Python string literal, with or without `b`, as bytes.
fn unquoted(literal: &str) -> Vec<u8> {
    let literal = literal.strip_prefix('b').unwrap_or(literal);
    let mut inner = literal[1..literal.len() - 1].bytes();
    let mut value = Vec::new();
    while let Some(byte) = inner.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        value.push(match inner.next().unwrap() {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'x' => {
                let digits = [inner.next().unwrap(), inner.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    value
}

fn parsed(text: &str) -> ReplicationCommand {
    ReplicationCommand::parse(text)
        .unwrap_or_else(|e| panic!("{text}: {e}"))
        .unwrap_or_else(|| panic!("{text}: not a command"))
}

fn create(
    slot: &str,
    plugin: &str,
    snapshot: SnapshotAction,
    two_phase: bool,
) -> ReplicationCommand {
    ReplicationCommand::CreateLogicalSlot {
        slot: slot.to_owned(),
        temporary: false,
        plugin: plugin.to_owned(),
        snapshot,
        two_phase,
    }
}

fn drop_slot(slot: &str, wait: bool) -> ReplicationCommand {
    let slot = slot.to_owned();
    ReplicationCommand::DropSlot { slot, wait }
}

/// Options without a value are written with `-`.
fn start(slot: &str, start: &str, options: &[(&str, &str)]) -> ReplicationCommand {
    let value = |v: &str| (v != "-").then(|| v.to_owned());
    ReplicationCommand::StartLogical {
        slot: slot.to_owned(),
        start: start.parse().unwrap(),
        options: options
            .iter()
            .map(|(n, v)| ((*n).to_owned(), value(v)))
            .collect(),
    }
}

fn show(name: &str) -> ReplicationCommand {
    ReplicationCommand::Show(name.to_owned())
}

/// What the recorded commands mean.
fn meaning_of_recorded() -> Vec<(String, ReplicationCommand)> {
    use SnapshotAction::{Export, Nothing, Use};
    let sync = |rest: &str| format!("pg_{rest}_7711256828444640126");
    let pgo1 = [("proto_version", "1"), ("publication_names", "pub1")];
    let sub = [("proto_version", "3"), ("publication_names", "\"ps15\"")];
    let bin = [
        ("proto_version", "3"),
        ("publication_names", "\"qs15\""),
        ("binary", "true"),
    ];
    let mut rows = vec![
        (
            "IDENTIFY_SYSTEM".to_owned(),
            ReplicationCommand::IdentifySystem,
        ),
        (
            "SHOW data_directory_mode".to_owned(),
            show("data_directory_mode"),
        ),
        ("SHOW server_version".to_owned(), show("server_version")),
    ];
    let mut row = |text: &str, command| rows.push((text.to_owned(), command));
    row(
        "CREATE_REPLICATION_SLOT \"rl_td\" LOGICAL \"test_decoding\" ( SNAPSHOT 'nothing')",
        create("rl_td", "test_decoding", Nothing, false),
    );
    for plugin in ["pgoutput", "test_decoding", "wal2json"] {
        row(
            &format!("CREATE_REPLICATION_SLOT \"p2_{plugin}\" LOGICAL \"{plugin}\""),
            create(&format!("p2_{plugin}"), plugin, Export, false),
        );
        row(
            &format!("DROP_REPLICATION_SLOT \"p2_{plugin}\""),
            drop_slot(&format!("p2_{plugin}"), false),
        );
    }
    for slot in ["sub15", "sb15"] {
        row(
            &format!("CREATE_REPLICATION_SLOT \"{slot}\" LOGICAL pgoutput (SNAPSHOT 'nothing')"),
            create(slot, "pgoutput", Nothing, false),
        );
        row(
            &format!("DROP_REPLICATION_SLOT {slot} WAIT"),
            drop_slot(slot, true),
        );
    }
    row(
        "CREATE_REPLICATION_SLOT \"sub15\" LOGICAL pgoutput (TWO_PHASE, SNAPSHOT 'nothing')",
        create("sub15", "pgoutput", Nothing, true),
    );
    for rest in ["16398_sync_16385", "16398_sync_16393", "16447_sync_16439"] {
        let slot = sync(rest);
        row(
            &format!("CREATE_REPLICATION_SLOT \"{slot}\" LOGICAL pgoutput (SNAPSHOT 'use')"),
            create(&slot, "pgoutput", Use, false),
        );
        row(
            &format!("DROP_REPLICATION_SLOT {slot} WAIT"),
            drop_slot(&slot, true),
        );
    }
    for rest in ["16411_sync_16385", "16411_sync_16393"] {
        let slot = sync(rest);
        row(
            &format!("DROP_REPLICATION_SLOT {slot} WAIT"),
            drop_slot(&slot, true),
        );
    }
    row("DROP_REPLICATION_SLOT \"rl_td\"", drop_slot("rl_td", false));
    row(
        "DROP_REPLICATION_SLOT \"rl_nonexist\"",
        drop_slot("rl_nonexist", false),
    );

    let mut row = |head: &str, options: &str, command| {
        rows.push((format!("START_REPLICATION SLOT {head}{options}"), command));
    };
    row(
        "\"rl_td\" LOGICAL 0/0",
        " (\"include-xids\" 'on', \"include-timestamp\")",
        start(
            "rl_td",
            "0/0",
            &[("include-xids", "on"), ("include-timestamp", "-")],
        ),
    );
    row("\"rl_2p\" LOGICAL 0/0", "", start("rl_2p", "0/0", &[]));
    let quoted = " (\"proto_version\" '1', \"publication_names\" 'pub1')";
    row(
        "\"rl_pgo\" LOGICAL 0/0",
        quoted,
        start("rl_pgo", "0/0", &pgo1),
    );
    row(
        "\"p2_pgoutput\" LOGICAL 0/00000000",
        quoted,
        start("p2_pgoutput", "0/0", &pgo1),
    );
    row(
        "\"p2_test_decoding\" LOGICAL 0/00000000",
        " (\"include-xids\" '1')",
        start("p2_test_decoding", "0/0", &[("include-xids", "1")]),
    );
    row(
        "\"p2_wal2json\" LOGICAL 0/00000000",
        " (\"format-version\" '2', \"include-lsn\" 'true')",
        start(
            "p2_wal2json",
            "0/0",
            &[("format-version", "2"), ("include-lsn", "true")],
        ),
    );
    row(
        "\"nd_pgoutput\" LOGICAL 0/00000000",
        " (proto_version '2', publication_names 'pub1', messages 'false')",
        start(
            "nd_pgoutput",
            "0/0",
            &[
                ("proto_version", "2"),
                ("publication_names", "pub1"),
                ("messages", "false"),
            ],
        ),
    );
    row(
        "rs_slot LOGICAL 0/313E3D0",
        " (proto_version '1', publication_names 'pub1', messages 'true')",
        start(
            "rs_slot",
            "0/313E3D0",
            &[pgo1[0], pgo1[1], ("messages", "true")],
        ),
    );
    let bare = " (proto_version '3', publication_names '\"ps15\"')";
    row("\"sub15\" LOGICAL 0/0", bare, start("sub15", "0/0", &sub));
    row(
        "\"sub15\" LOGICAL 0/304FE00",
        bare,
        start("sub15", "0/304FE00", &sub),
    );
    for (rest, at) in [
        ("16398_sync_16385", "0/304ED00"),
        ("16398_sync_16393", "0/3055BB0"),
    ] {
        let slot = sync(rest);
        row(
            &format!("\"{slot}\" LOGICAL {at}"),
            bare,
            start(&slot, at, &sub),
        );
    }
    row(
        "\"sub15\" LOGICAL 0/0",
        " (proto_version '3', publication_names '\"nopub\"')",
        start(
            "sub15",
            "0/0",
            &[("proto_version", "3"), ("publication_names", "\"nopub\"")],
        ),
    );
    row(
        "\"sub15\" LOGICAL 0/0",
        " (proto_version '3', streaming 'on', publication_names '\"ps15\"', binary 'true')",
        start(
            "sub15",
            "0/0",
            &[sub[0], ("streaming", "on"), sub[1], bin[2]],
        ),
    );
    let qs15 = " (proto_version '3', publication_names '\"qs15\"', binary 'true')";
    row("\"sb15\" LOGICAL 0/0", qs15, start("sb15", "0/0", &bin));
    let slot = sync("16447_sync_16439");
    row(
        &format!("\"{slot}\" LOGICAL 0/30B5048"),
        qs15,
        start(&slot, "0/30B5048", &bin),
    );
    row(
        "\"sb15\" LOGICAL 0/0",
        " (proto_version '3', two_phase 'on', publication_names '\"qs15\"', binary 'true')",
        start(
            "sb15",
            "0/0",
            &[bin[0], ("two_phase", "on"), bin[1], bin[2]],
        ),
    );
    rows
}

#[test]
fn recorded_queries_mean_what_postgresql_took_them_for() {
    let mut expected: std::collections::BTreeMap<_, _> =
        meaning_of_recorded().into_iter().collect();
    let mut num_sql = 0;
    for text in recorded_queries() {
        let command = ReplicationCommand::parse(&text).unwrap();
        let first = text.split_whitespace().next().unwrap();
        if first.contains('_') || first == "SHOW" {
            let wanted = expected
                .remove(&text)
                .unwrap_or_else(|| panic!("no row for {text}"));
            assert_eq!(command, Some(wanted), "{text}");
        } else {
            assert_eq!(command, None, "{text}");
            num_sql += 1;
        }
    }
    assert!(num_sql > 30, "{num_sql}");
    assert!(expected.is_empty(), "not recorded: {:?}", expected.keys());
}

#[test]
fn spellings_of_clients_that_were_not_recorded_are_understood() {
    use SnapshotAction::{Export, Nothing, Use};
    let temporary = |slot: &str, snapshot| ReplicationCommand::CreateLogicalSlot {
        slot: slot.to_owned(),
        temporary: true,
        plugin: "json".to_owned(),
        snapshot,
        two_phase: false,
    };
    let physical = |slot: &str| ReplicationCommand::CreatePhysicalSlot {
        slot: slot.to_owned(),
    };
    let read = |slot: &str| ReplicationCommand::ReadSlot {
        slot: slot.to_owned(),
    };
    for (text, wanted) in [
        // Debezium: two blanks, one behind.
        (
            "CREATE_REPLICATION_SLOT \"dbz\"  LOGICAL pgoutput ",
            create("dbz", "pgoutput", Export, false),
        ),
        // pg_recvlogical --two-phase
        (
            "CREATE_REPLICATION_SLOT \"rl_2p\" LOGICAL \"test_decoding\" ( TWO_PHASE,  SNAPSHOT 'nothing')",
            create("rl_2p", "test_decoding", Nothing, true),
        ),
        // Subscribers of older servers, pglogrepl.
        (
            "CREATE_REPLICATION_SLOT s LOGICAL pgoutput NOEXPORT_SNAPSHOT",
            create("s", "pgoutput", Nothing, false),
        ),
        (
            "CREATE_REPLICATION_SLOT s LOGICAL pgoutput USE_SNAPSHOT",
            create("s", "pgoutput", Use, false),
        ),
        (
            "CREATE_REPLICATION_SLOT s  LOGICAL pgoutput EXPORT_SNAPSHOT",
            create("s", "pgoutput", Export, false),
        ),
        (
            "CREATE_REPLICATION_SLOT s LOGICAL p TWO_PHASE USE_SNAPSHOT;",
            create("s", "p", Use, true),
        ),
        (
            "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL json NOEXPORT_SNAPSHOT ",
            temporary("s", Nothing),
        ),
        (
            "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL json (snapshot \"export\")",
            temporary("s", Export),
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (two_phase 0, snapshot use)",
            create("a", "json", Use, false),
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (TWO_PHASE 'ON')",
            create("a", "json", Export, true),
        ),
        ("CREATE_REPLICATION_SLOT \"rw1\" PHYSICAL", physical("rw1")),
        (
            "CREATE_REPLICATION_SLOT \"pg_basebackup_1\" TEMPORARY PHYSICAL ( RESERVE_WAL)",
            physical("pg_basebackup_1"),
        ),
        (
            "CREATE_REPLICATION_SLOT rw1 PHYSICAL RESERVE_WAL",
            physical("rw1"),
        ),
        // A bare name is folded and may look like a keyword in lower case; a quoted one is kept.
        (
            "CREATE_REPLICATION_SLOT ABC LOGICAL Json",
            create("abc", "json", Export, false),
        ),
        (
            "CREATE_REPLICATION_SLOT slot LOGICAL json",
            create("slot", "json", Export, false),
        ),
        (
            "CREATE_REPLICATION_SLOT \"SLOT\" LOGICAL json",
            create("SLOT", "json", Export, false),
        ),
        ("DROP_REPLICATION_SLOT s WAIT ", drop_slot("s", true)),
        ("DROP_REPLICATION_SLOT\n\ts\r\n;\n", drop_slot("s", false)),
        ("DROP_REPLICATION_SLOT \"a\"\"b\"", drop_slot("a\"b", false)),
        ("DROP_REPLICATION_SLOT \"\"", drop_slot("", false)),
        ("drop_replication_slot s wait;", drop_slot("s", true)),
        ("READ_REPLICATION_SLOT rw1", read("rw1")),
        ("READ_REPLICATION_SLOT a.b", read("a.b")),
        ("SHOW statement_timeout;", show("statement_timeout")),
        ("SHOW wal_segment_size", show("wal_segment_size")),
        ("  SHOW\tMy . Setting", show("my.setting")),
        ("show wal_level", show("wal_level")),
        ("identify_system", ReplicationCommand::IdentifySystem),
        ("TIMELINE_HISTORY 7", ReplicationCommand::TimelineHistory(7)),
        (
            "START_REPLICATION SLOT \"rw1\" 0/3000000 TIMELINE 1",
            ReplicationCommand::StartPhysical,
        ),
        (
            "START_REPLICATION 0/3000000 TIMELINE 1",
            ReplicationCommand::StartPhysical,
        ),
        (
            "START_REPLICATION SLOT s PHYSICAL 0/0",
            ReplicationCommand::StartPhysical,
        ),
        (
            "START_REPLICATION PHYSICAL 0/0;",
            ReplicationCommand::StartPhysical,
        ),
        (
            "BASE_BACKUP ( LABEL 'pg_basebackup base backup',  PROGRESS,  CHECKPOINT 'fast',  WAIT 0,  MANIFEST 'yes',  TARGET 'client')",
            ReplicationCommand::BaseBackup,
        ),
        ("BASE_BACKUP", ReplicationCommand::BaseBackup),
        // node: a blank in front of the comma.
        (
            "START_REPLICATION SLOT \"nd\" LOGICAL 0/00000000 (\"include-xids\" 'on' , \"include-timestamp\" 'on')",
            start(
                "nd",
                "0/0",
                &[("include-xids", "on"), ("include-timestamp", "on")],
            ),
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 16/B374D848 ( A 'b''c' , b , c'd' )",
            start("s", "16/B374D848", &[("a", "b'c"), ("b", "-"), ("c", "d")]),
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 000000000016/b374d848;",
            start("s", "16/B374D848", &[]),
        ),
    ] {
        assert_eq!(parsed(text), wanted, "{text}");
    }
}

#[test]
fn a_bare_or_quoted_name_is_cut_to_63_bytes() {
    let long = "a".repeat(80);
    for text in [
        format!("DROP_REPLICATION_SLOT {long}"),
        format!("DROP_REPLICATION_SLOT \"{long}\""),
    ] {
        assert_eq!(parsed(&text), drop_slot(&long[..63], false));
    }
}

#[test]
fn other_statements_are_left_to_sql() {
    for text in [
        "",
        " ",
        ";",
        "SELECT 1",
        "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ",
        "IDENTIFY_SYSTEMX",
        "\"IDENTIFY_SYSTEM\"",
        "-- comment\nIDENTIFY_SYSTEM",
        "ALTER_REPLICATION_SLOT a (failover)",
        "show transaction isolation level",
        "Show 'x'",
        "'unterminated",
        "\"unterminated",
        "123456789/1",
        "\0",
        "é",
    ] {
        assert_eq!(ReplicationCommand::parse(text), Ok(None), "{text:?}");
    }
}

#[test]
fn malformed_commands_are_errors_that_name_the_place() {
    for (text, words) in [
        ("IDENTIFY_SYSTEM x", "syntax error at or near \"x\""),
        ("IDENTIFY_SYSTEM ; ;", "syntax error at or near \";\""),
        ("IDENTIFY_SYSTEM -- c", "syntax error at or near \"-\""),
        ("IDENTIFY_SYSTEM @", "syntax error at or near \"@\""),
        ("IDENTIFY_SYSTEM \0", "syntax error at or near \"\0\""),
        ("IDENTIFY_SYSTEM '", "unterminated quoted string"),
        ("SHOW", "syntax error at end of input"),
        ("SHOW a.", "syntax error at end of input"),
        ("SHOW 'x'", "syntax error at or near \"'x'\""),
        (
            "SHOW TRANSACTION ISOLATION LEVEL",
            "syntax error at or near \"ISOLATION\"",
        ),
        (
            "SHOW work_mem; SELECT 1",
            "syntax error at or near \"SELECT\"",
        ),
        ("CREATE_REPLICATION_SLOT", "syntax error at end of input"),
        (
            "CREATE_REPLICATION_SLOT 'a' LOGICAL json",
            "syntax error at or near \"'a'\"",
        ),
        (
            "CREATE_REPLICATION_SLOT a.b LOGICAL json",
            "syntax error at or near \".\"",
        ),
        (
            "CREATE_REPLICATION_SLOT SLOT LOGICAL json",
            "syntax error at or near \"SLOT\"",
        ),
        (
            "CREATE_REPLICATION_SLOT $a LOGICAL json",
            "syntax error at or near \"$\"",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL",
            "syntax error at end of input",
        ),
        (
            "CREATE_REPLICATION_SLOT a TEMPORARY",
            "syntax error at end of input",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL 'json'",
            "syntax error at or near \"'json'\"",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json ()",
            "syntax error at or near \")\"",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json USE_SNAPSHOT (two_phase)",
            "syntax error at or near \"(\"",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (two_phase",
            "syntax error at end of input",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (snapshot)",
            "snapshot requires a parameter",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (two_phase maybe)",
            "two_phase requires a Boolean value",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (two_phase 2)",
            "two_phase requires a Boolean value",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (two_phase '1')",
            "two_phase requires a Boolean value",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (reserve_wal)",
            "conflicting or redundant options",
        ),
        (
            "CREATE_REPLICATION_SLOT a PHYSICAL (two_phase)",
            "conflicting or redundant options",
        ),
        (
            "CREATE_REPLICATION_SLOT a PHYSICAL RESERVE_WAL NOEXPORT_SNAPSHOT",
            "conflicting or redundant options",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json TWO_PHASE TWO_PHASE",
            "conflicting or redundant options",
        ),
        (
            "CREATE_REPLICATION_SLOT a LOGICAL json (snapshot 'nothing', snapshot 'use')",
            "conflicting or redundant options",
        ),
        (
            "DROP_REPLICATION_SLOT a WAIT WAIT",
            "syntax error at or near \"WAIT\"",
        ),
        ("DROP_REPLICATION_SLOT \"a", "unterminated quoted string"),
        ("READ_REPLICATION_SLOT", "syntax error at end of input"),
        ("TIMELINE_HISTORY 0", "invalid timeline 0"),
        ("TIMELINE_HISTORY -1", "syntax error at or near \"-\""),
        ("TIMELINE_HISTORY 1abc", "syntax error at or near \"abc\""),
        (
            "START_REPLICATION LOGICAL 0/0",
            "syntax error at or near \"LOGICAL\"",
        ),
        ("START_REPLICATION 0/0 TIMELINE 0", "invalid timeline 0"),
        (
            "START_REPLICATION SLOT s LOGICAL ZZ/0",
            "syntax error at or near \"ZZ\"",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/",
            "syntax error at or near \"0\"",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/123456789",
            "invalid streaming start location",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/0 ()",
            "syntax error at or near \")\"",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/0 (a 'b',)",
            "syntax error at or near \")\"",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/0 (a b)",
            "syntax error at or near \"b\"",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/0 (a 1)",
            "syntax error at or near \"1\"",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/0 (a 'b' c)",
            "syntax error at or near \"c\"",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/0 (a 'b'",
            "syntax error at end of input",
        ),
        (
            "START_REPLICATION SLOT s LOGICAL 0/0 (a 'b",
            "unterminated quoted string",
        ),
        ("BASE_BACKUP FAST", "syntax error at or near \"FAST\""),
        ("BASE_BACKUP ()", "syntax error at or near \")\""),
    ] {
        let error = ReplicationCommand::parse(text).unwrap_err();
        assert_eq!(error.message, words, "{text}");
        assert_eq!(error.kind, CommandErrorKind::Syntax, "{text}");
    }
}

#[test]
fn options_of_create_that_do_not_exist_have_a_kind_of_their_own() {
    for (option, kind, words) in [
        (
            "foo",
            CommandErrorKind::UnrecognizedOption,
            "unrecognized option: foo",
        ),
        (
            "WAIT 0",
            CommandErrorKind::UnrecognizedOption,
            "unrecognized option: wait",
        ),
        (
            "\"SNAPSHOT\" 'use'",
            CommandErrorKind::UnrecognizedOption,
            "unrecognized option: SNAPSHOT",
        ),
        (
            "snapshot 'NOTHING'",
            CommandErrorKind::InvalidValue,
            "unrecognized value for CREATE_REPLICATION_SLOT option \"snapshot\": \"NOTHING\"",
        ),
        (
            "snapshot 5",
            CommandErrorKind::InvalidValue,
            "unrecognized value for CREATE_REPLICATION_SLOT option \"snapshot\": \"5\"",
        ),
    ] {
        let text = format!("CREATE_REPLICATION_SLOT a LOGICAL json ({option})");
        let error = ReplicationCommand::parse(&text).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (kind, words),
            "{text}"
        );
    }
}

#[test]
fn every_prefix_of_every_recorded_query_is_answered() {
    for text in recorded_queries() {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = ReplicationCommand::parse(&text[..end]);
        }
    }
}

#[test]
fn mutated_queries_are_answered() {
    let seed = dice::seed();
    println!("PGSPOOL_SEED={seed}");
    let mut random = Dice(seed);
    let mut texts: Vec<String> = recorded_queries().into_iter().collect();
    texts.extend(meaning_of_recorded().into_iter().map(|(text, _)| text));
    for _ in 0..50_000 {
        let mut bytes = texts[random.index(texts.len())].clone().into_bytes();
        for _ in 0..=random.index(4) {
            let at = random.index(bytes.len() + 1);
            match random.index(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random.byte()),
                2 if at < bytes.len() => bytes[at] = random.byte(),
                _ => bytes.splice(at..at, *b"'\"(,;/0A").for_each(drop),
            }
        }
        let _ = ReplicationCommand::parse(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn time_is_linear_in_the_text() {
    for (head, part) in [
        ("DROP_REPLICATION_SLOT ", "a"),
        ("DROP_REPLICATION_SLOT ", "1a/"),
        ("DROP_REPLICATION_SLOT ", "\"\""),
        ("SHOW a", ".a"),
        ("SHOW ", " "),
        ("START_REPLICATION SLOT s LOGICAL 0/0 (a", ",a"),
        ("START_REPLICATION SLOT s LOGICAL 0/0 (a '", "''"),
        ("START_REPLICATION SLOT s LOGICAL 0/", "0"),
        ("BASE_BACKUP (a", " 1, a"),
        ("CREATE_REPLICATION_SLOT s LOGICAL p", " TWO_PHASE"),
    ] {
        let text = format!("{head}{}", part.repeat(1 << 20));
        let started = std::time::Instant::now();
        let _ = ReplicationCommand::parse(&text);
        assert!(started.elapsed().as_secs() < 20, "{head}{part}...");
    }
}

#[test]
fn recorded_status_updates_are_read_and_no_other_length_is() {
    let mut num_read = 0;
    for line in recorded_lines() {
        let Some((_, fields)) = line.split_once("C> CopyData StandbyStatusUpdate ") else {
            continue;
        };
        let value = |name: &str| {
            let start = fields.find(name).unwrap() + name.len() + 1;
            fields[start..].split(' ').next().unwrap()
        };
        let lsn = |name: &str| value(name).parse::<Lsn>().unwrap();
        let reply = value("reply") == "1";
        let mut body = vec![b'r'];
        for name in ["write", "flush", "apply"] {
            body.extend(lsn(name).get().to_be_bytes());
        }
        // Node's clock, days ahead.
        body.extend(i64::MAX.to_be_bytes());
        body.push(u8::from(reply));
        let wanted = StandbyMessage::StatusUpdate {
            write: lsn("write"),
            flush: lsn("flush"),
            apply: lsn("apply"),
            reply,
        };
        assert_eq!(StandbyMessage::parse(&body), Ok(wanted), "{line}");
        for end in 0..body.len() {
            assert!(StandbyMessage::parse(&body[..end]).is_err());
        }
        body.push(0);
        assert!(StandbyMessage::parse(&body).is_err());
        num_read += 1;
    }
    assert!(num_read > 50, "{num_read}");
}

#[test]
fn recorded_xlog_data_and_keepalives_are_encoded_as_recorded() {
    let now = Moment::at_ms(1_795_416_672_604);
    let mut num_seen = 0;
    for line in recorded_lines() {
        let mut out = BytesMut::new();
        if let Some((_, rest)) = line.split_once("<S CopyData XLogData start=") {
            let (start, rest) = rest.split_once(" end=").unwrap();
            let (end, literal) = rest.split_once(' ').unwrap();
            assert_eq!(start, end, "{line}");
            // Cut payloads lose their closing quote.
            let Some(literal) = literal.ends_with(['\'', '"']).then_some(literal) else {
                continue;
            };
            let payload = unquoted(literal);
            frames::xlog_data(&mut out, start.parse().unwrap(), &payload, now).unwrap();
            assert_eq!(out[..6], [&b"d"[..], &length(&out), b"w"].concat()[..]);
            assert_eq!(lsn_at(&out, 6).to_string(), start);
            assert_eq!(lsn_at(&out, 14).to_string(), end);
            assert_eq!(out[30..], payload[..], "{line}");
        } else if let Some((_, rest)) = line.split_once("<S CopyData Keepalive end=") {
            let (end, reply) = rest.split_once(" reply=").unwrap();
            frames::keepalive(&mut out, end.parse().unwrap(), reply == "1", now);
            assert_eq!(out[..6], [&b"d"[..], &length(&out), b"k"].concat()[..]);
            assert_eq!(lsn_at(&out, 6).to_string(), end);
            assert_eq!(out[22].to_string(), reply);
        } else {
            continue;
        }
        num_seen += 1;
    }
    assert!(num_seen > 200, "{num_seen}");
}

#[test]
fn other_standby_messages_are_ignored_or_refused() {
    assert_eq!(
        StandbyMessage::parse(&[b'h'; 25]),
        Ok(StandbyMessage::HotStandbyFeedback)
    );
    for (body, words) in [
        (&b""[..], "empty message"),
        (b"z", "unexpected message type \"z\""),
        (b"\x00abc", "unexpected message type \"\\x00\""),
        (b"r", "invalid length 1 of a standby status update"),
    ] {
        assert_eq!(StandbyMessage::parse(body).unwrap_err().to_string(), words);
    }
}

/// The length field of the message in `out`, as it must be.
fn length(out: &[u8]) -> [u8; 4] {
    u32::try_from(out.len() - 1).unwrap().to_be_bytes()
}

fn lsn_at(bytes: &[u8], at: usize) -> Lsn {
    Lsn::new(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()))
}
