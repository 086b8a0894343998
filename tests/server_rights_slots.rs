//! Slots have owners, databases are for those who were let in, and what changes counts at once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod rights_support;
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use pgspool::engine::EngineOptions;
use rights_support::{
    alter, code, column, drop_role, login, role, server_with, session, simple, slot, walsender,
    words,
};
use support::{RawClient, TestServer};

/// Statements that use the slot `hers`.
const USES: &[&str] = &[
    "SELECT pg_replication_slot_advance('hers', pg_current_wal_lsn())",
    "SELECT * FROM pg_logical_slot_get_changes('hers', NULL, NULL)",
    "SELECT * FROM pg_logical_slot_peek_binary_changes('hers', NULL, NULL)",
    "SELECT pg_copy_logical_replication_slot('hers', 'copy')",
    "SELECT pgspool.plan_resume('hers')",
    "SELECT pgspool.report('hers', 1, 1)",
    "SELECT pgspool.terminate('hers')",
    "SELECT pg_drop_replication_slot('hers')",
    "READ_REPLICATION_SLOT hers",
    "DROP_REPLICATION_SLOT hers",
    "DROP_REPLICATION_SLOT hers WAIT",
    "START_REPLICATION SLOT hers LOGICAL 0/0",
];

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn server() -> TestServer {
    let server = server_with(&[]);
    for (name, rights) in [
        ("she", "R"),
        ("he", "R"),
        ("guard", "M"),
        ("chief", "S"),
        ("nobody", ""),
    ] {
        role(&server, name, rights, &["pgspool"]);
    }
    server
}

/// Views that show slots, and where their names are.
const SHOWN: &[&str] = &[
    "SELECT slot_name FROM pg_replication_slots",
    "SELECT slot_name FROM pg_get_replication_slots()",
    "SELECT slot_name FROM pg_stat_replication_slots",
    "SELECT slot_name FROM pgspool.slots",
];

#[test]
fn a_slot_is_its_owners_and_others_neither_use_nor_see_it() {
    let server = server();
    walsender(&server, "she").create_slot("hers", "test_decoding");
    let made = "SELECT pg_create_logical_replication_slot('his', 'json', true)";
    let mut his = session(&server, "he");
    assert_eq!(code(&his.query(made)), "");
    slot(&server, "pgspool", "old", None);
    for statement in USES {
        let mut he = walsender(&server, "he");
        let answer = simple(&mut he, statement);
        assert_eq!(code(&answer), "42501", "{statement}");
        assert_eq!(
            words(&answer),
            "permission denied for replication slot \"hers\""
        );
    }
    for (user, seen) in [
        ("she", names(&["hers", "old"])),
        ("he", names(&["his", "old"])),
        ("guard", names(&["hers", "his", "old"])),
        ("chief", names(&["hers", "his", "old"])),
        ("nobody", names(&[])),
    ] {
        for view in SHOWN {
            assert_eq!(
                column(&mut session(&server, user), view),
                seen,
                "{user} {view}"
            );
        }
    }
    // A name that is taken is taken.
    let answer = session(&server, "he").query("SELECT pgspool.create_slot('hers', 'json')");
    assert_eq!(code(&answer), "42710");
    let owners = "SELECT slot_name || ' ' || coalesce(owner, '-') FROM pgspool.slots";
    assert_eq!(
        column(&mut session(&server, "guard"), owners),
        names(&["hers she", "his he", "old -"])
    );
    // MONITOR looks and touches nothing.
    let answer = session(&server, "guard").query("SELECT pg_drop_replication_slot('hers')");
    assert_eq!(code(&answer), "42501");
    for statement in ["SELECT pg_replication_slot_advance('hers', pg_current_wal_lsn())"] {
        for user in ["she", "chief"] {
            assert_eq!(code(&session(&server, user).query(statement)), "", "{user}");
        }
    }
    drop(his);
    server.stop();
}

#[test]
fn an_owner_is_durable_and_a_superuser_may_change_it() {
    let server = server();
    walsender(&server, "she").create_slot("hers", "test_decoding");
    let give = "SELECT pgspool.set_slot_owner('hers', 'he')";
    assert_eq!(code(&session(&server, "she").query(give)), "42501");
    assert_eq!(code(&session(&server, "chief").query(give)), "");
    let data = Arc::clone(&server.data);
    let owner = |server: &TestServer| {
        let slots = server.engine().snapshot().slots;
        let name = slots.iter().find(|slot| slot.name.as_str() == "hers");
        name.unwrap().owner
    };
    let his = owner(&server);
    assert!(his.is_some());
    server.stop();
    let server = TestServer::start_on(data, EngineOptions::default(), |_| {});
    assert_eq!(owner(&server), his);
    server.stop();
}

#[test]
fn a_slot_of_a_role_that_is_gone_is_for_superusers() {
    let server = server();
    walsender(&server, "she").create_slot("hers", "test_decoding");
    drop_role(&server, "she");
    let shown = column(
        &mut session(&server, "guard"),
        "SELECT owner FROM pgspool.slots",
    );
    assert!(
        shown.iter().all(|name| name.starts_with("unknown (OID=")),
        "{shown:?}"
    );
    let drop_it = "SELECT pg_drop_replication_slot('hers')";
    assert_eq!(code(&session(&server, "he").query(drop_it)), "42501");
    let free = "SELECT pgspool.set_slot_owner('hers', NULL)";
    assert_eq!(code(&session(&server, "chief").query(free)), "");
    assert_eq!(code(&session(&server, "he").query(drop_it)), "");
    server.stop();
}

/// A stream of role `she` on slot `hers`.
fn stream(server: &TestServer) -> RawClient {
    let mut client = walsender(server, "she");
    client.create_slot("hers", "test_decoding");
    client.stream("hers");
    client
}

#[test]
fn a_stream_ends_when_its_role_loses_what_it_needs() {
    type Loss = (&'static str, fn(&TestServer), &'static str, bool);
    let losses: [Loss; 4] = [
        (
            "REPLICATION",
            |server| alter(server, "she", "P", &["pgspool"]),
            "42501",
            true,
        ),
        (
            "the database",
            |server| alter(server, "she", "R", &[]),
            "42501",
            true,
        ),
        ("the role", |server| drop_role(server, "she"), "57P01", true),
        (
            "the slot",
            |server| {
                let give = "SELECT pgspool.set_slot_owner('hers', 'he')";
                assert_eq!(code(&session(server, "chief").query(give)), "");
            },
            "42501",
            false,
        ),
    ];
    for (what, lose, wanted, over) in losses {
        let server = server();
        let mut client = stream(&server);
        lose(&server);
        let answer = client.until(|message| matches!(message.tag, 'E'));
        assert_eq!(code(&answer), wanted, "{what}");
        if over {
            assert!(client.until_end().is_empty(), "{what}");
        }
        // The slot is free again.
        let active = "SELECT active FROM pg_replication_slots";
        let mut watcher = session(&server, "guard");
        assert_eq!(watcher.row(active)[0].as_deref(), Some("f"), "{what}");
        drop((client, watcher));
        server.stop();
    }
}

#[test]
fn a_session_ends_at_its_next_statement_when_its_role_may_not_have_it() {
    let server = server();
    let mut client = session(&server, "he");
    alter(&server, "he", "R", &[]);
    assert_eq!(code(&client.query("SELECT 1")), "42501");
    assert!(client.until_end().is_empty());
    let mut client = session(&server, "she");
    drop_role(&server, "she");
    assert_eq!(code(&client.query("SELECT 1")), "57P01");
    server.stop();
}

#[test]
fn a_block_whose_role_lost_publish_does_not_commit() {
    let server = server();
    role(&server, "writer", "P", &["pgspool"]);
    let mut client = session(&server, "writer");
    let head = server.engine().head();
    for statement in ["BEGIN", "SELECT pgspool.emit(true, 'a', 'b')"] {
        assert_eq!(code(&client.query(statement)), "");
    }
    alter(&server, "writer", "R", &["pgspool"]);
    assert_eq!(code(&client.query("COMMIT")), "42501");
    assert_eq!(server.engine().head(), head);
    // A COPY, too, at its next data.
    alter(&server, "writer", "P", &["pgspool"]);
    client.begin_copy();
    alter(&server, "writer", "", &["pgspool"]);
    client.copy_data(&support::line(1));
    assert_eq!(code(&client.end_copy()), "42501");
    assert_eq!(server.engine().head(), head);
    drop(client);
    server.stop();
}

#[test]
fn a_role_sees_and_uses_its_databases_only() {
    let server = server_with(&["shop", "closed"]);
    role(&server, "amy", "R", &["pgspool", "shop"]);
    role(&server, "guard", "M", &["shop"]);
    role(&server, "ben", "R", &["shop"]);
    role(&server, "chief", "S", &[]);
    for database in ["pgspool", "shop", "closed"] {
        slot(&server, database, database, None);
    }
    for (user, database, kind, refused) in [
        ("amy", "pgspool", None, ""),
        ("amy", "shop", Some("database"), ""),
        ("amy", "closed", None, "42501"),
        ("amy", "closed", Some("database"), "42501"),
        ("amy", "nosuch", None, "3D000"),
        ("amy", "closed", Some("true"), ""),
        // What it would be told is that of the default database.
        ("ben", "shop", Some("true"), "42501"),
        ("ben", "pgspool", None, "42501"),
        // MONITOR looks at all databases and uses its own.
        ("guard", "closed", None, "42501"),
        ("chief", "closed", Some("database"), ""),
    ] {
        let outcome = login(&server, user, database, kind)
            .err()
            .unwrap_or_default();
        assert_eq!(outcome, refused, "{user} {database} {kind:?}");
    }
    for (user, seen) in [
        ("amy", names(&["pgspool", "shop"])),
        ("ben", names(&["shop"])),
        ("guard", names(&["closed", "pgspool", "shop"])),
        ("chief", names(&["closed", "pgspool", "shop"])),
    ] {
        for query in [
            "SELECT datname FROM pg_database",
            "SELECT name FROM pgspool.databases",
            "SELECT database FROM pgspool.topology",
            "SELECT database FROM pgspool.commit_waits",
            "SELECT slot_name FROM pg_replication_slots",
            "SELECT database FROM pgspool.slots",
        ] {
            let mut client = login(&server, user, "shop", None).unwrap();
            assert_eq!(column(&mut client, query), seen, "{user} {query}");
        }
    }
    server.stop();
}

#[test]
fn of_others_sessions_and_streams_only_who_they_are_is_seen() {
    let server = server();
    let stream = stream(&server);
    let hidden = [
        "SELECT DISTINCT query FROM pg_stat_activity WHERE usename = 'she'",
        "SELECT DISTINCT coalesce(state, backend_type, client_addr::text, wait_event, '-') \
         FROM pg_stat_activity WHERE usename = 'she'",
        "SELECT coalesce(application_name, state, sent_lsn::text, sync_state, '-') \
         FROM pg_stat_replication WHERE usename = 'she'",
        "SELECT coalesce(id, application_name, state, applied_lsn::text, '-') \
         FROM pgspool.replicas",
    ];
    for user in ["he", "nobody"] {
        let mut client = session(&server, user);
        let shown = hidden.map(|query| column(&mut client, query));
        assert_eq!(shown[0], names(&["<insufficient privilege>"]), "{user}");
        assert_eq!(shown[1], names(&["-"]), "{user}");
        assert!(
            shown[2]
                .iter()
                .all(|value| matches!(value.as_str(), "-" | "")),
            "{user}"
        );
        assert_eq!(shown[3], names(&["-"]), "{user}");
        let kinds = "SELECT role FROM pgspool.topology";
        assert_eq!(column(&mut client, kinds), names(&["primary"]), "{user}");
        let tls = "SELECT count(*) FROM pg_stat_ssl";
        assert_eq!(client.row(tls)[0].as_deref(), Some("1"), "{user}");
    }
    for user in ["guard", "chief"] {
        let mut client = session(&server, user);
        let shown = hidden.map(|query| column(&mut client, query));
        assert!(
            shown[0]
                .iter()
                .any(|query| query.contains("START_REPLICATION")),
            "{user}"
        );
        assert_eq!(shown[3], names(&["hers"]), "{user}");
        let kinds = "SELECT role FROM pgspool.topology";
        assert_eq!(
            column(&mut client, kinds),
            names(&["primary", "replica"]),
            "{user}"
        );
    }
    let mut she = session(&server, "she");
    assert_eq!(column(&mut she, hidden[3]), names(&["hers"]));
    drop(stream);
    server.stop();
}
