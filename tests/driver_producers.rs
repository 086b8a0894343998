//! Producers and administrators through Rust's own PostgreSQL client: records published in
//! statements and blocks, messages, repeated numbers, sessions ended and cancelled.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::error::Error;

use support::TestServer;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, PgLsn, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls};

/// JSON as a parameter of type jsonb.
#[derive(Debug)]
struct Jsonb(String);

impl ToSql for Jsonb {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&[1]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

async fn connect(server: &TestServer) -> Client {
    let (client, connection) = Config::new()
        .host(server.address.ip().to_string())
        .port(server.address.port())
        .user("ann")
        .dbname("pgspool")
        .connect(NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    client
}

fn record(id: u64) -> Jsonb {
    Jsonb(support::line(id).trim().to_owned())
}

fn numbered(seq: u64) -> Jsonb {
    Jsonb(format!(
        r#"{{"operation":"insert","collection":"orders","rid":{seq},"kind":"row","timestamp":1,
            "entity_bytes_hex":"00","seq":{seq}}}"#
    ))
}

const PUBLISH: &str = "SELECT pgspool.publish($1)";
const CHANGES: &str = "SELECT lsn, rid::text, prefix, operation FROM pgspool.changes ORDER BY lsn";

fn head(server: &TestServer) -> PgLsn {
    PgLsn::from(server.engine().head().get())
}

#[tokio::test]
async fn records_published_by_statements_are_transactions_of_their_own() {
    let server = TestServer::start();
    let client = connect(&server).await;
    let publish = client.prepare(PUBLISH).await.unwrap();
    assert_eq!(publish.params(), [Type::JSONB]);
    let mut ends = vec![];
    for id in 1..=3 {
        let row = client.query_one(&publish, &[&record(id)]).await.unwrap();
        ends.push(row.get::<_, PgLsn>(0));
        assert_eq!(ends.last(), Some(&head(&server)));
    }
    let text = "SELECT pgspool.publish($1::text::jsonb)";
    let row = client.query_one(text, &[&record(4).0]).await.unwrap();
    ends.push(row.get(0));
    let rows = client.query(CHANGES, &[]).await.unwrap();
    let stored: Vec<PgLsn> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(stored, ends);
    for bad in ["{}", "[1", "[]"] {
        let outcome = client.query(&publish, &[&Jsonb(bad.to_owned())]).await;
        let error = outcome.unwrap_err();
        assert!(error.code().unwrap().code().starts_with("22"), "{error:?}");
    }
    assert_eq!(Some(&head(&server)), ends.last());
}

#[tokio::test]
async fn a_block_is_one_transaction_with_one_position() {
    let server = TestServer::start();
    let mut client = connect(&server).await;
    let before = head(&server);
    let block = client.transaction().await.unwrap();
    for id in 1..=5 {
        block.query_one(PUBLISH, &[&record(id)]).await.unwrap();
    }
    let emit = "SELECT pg_logical_emit_message($1, $2, $3)";
    let message = block.query_one(emit, &[&true, &"part", &"of it"]);
    message.await.unwrap();
    assert_eq!(head(&server), before, "nothing before the COMMIT");
    block.commit().await.unwrap();
    let rows = client.query(CHANGES, &[]).await.unwrap();
    assert_eq!(rows.len(), 6);
    for row in &rows {
        assert_eq!(row.get::<_, PgLsn>(0), head(&server));
    }
    assert_eq!(rows[5].get::<_, &str>(2), "part");
}

#[tokio::test]
async fn a_rollback_or_a_lost_connection_stores_nothing_but_messages_outside() {
    let server = TestServer::start();
    let mut client = connect(&server).await;
    let emit = "SELECT pg_logical_emit_message($1, $2, $3)";
    let block = client.transaction().await.unwrap();
    block.query_one(PUBLISH, &[&record(1)]).await.unwrap();
    block.query_one(emit, &[&true, &"in", &"x"]).await.unwrap();
    let row = block
        .query_one(emit, &[&false, &"out", &"x"])
        .await
        .unwrap();
    assert_eq!(row.get::<_, PgLsn>(0), head(&server), "it counts at once");
    block.rollback().await.unwrap();
    let rows = client.query(CHANGES, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, &str>(2), "out");
    let after = head(&server);
    let row = client.query_one("SELECT pg_backend_pid()", &[]).await;
    let pid: i32 = row.unwrap().get(0);
    client.batch_execute("BEGIN").await.unwrap();
    client.query_one(PUBLISH, &[&record(2)]).await.unwrap();
    drop(client);
    let address = server.address;
    let gone = tokio::task::spawn_blocking(move || support::until_gone(address, pid));
    gone.await.unwrap();
    assert_eq!(head(&server), after);
    let mut client = connect(&server).await;
    let mut block = client.transaction().await.unwrap();
    block.query_one(PUBLISH, &[&record(3)]).await.unwrap();
    let savepoint = block.savepoint("s").await.unwrap();
    savepoint.query_one(PUBLISH, &[&record(4)]).await.unwrap();
    savepoint.rollback().await.unwrap();
    block.query_one(PUBLISH, &[&record(5)]).await.unwrap();
    block.commit().await.unwrap();
    let rows = client.query(CHANGES, &[]).await.unwrap();
    let ids: Vec<Option<String>> = rows.iter().map(|row| row.get(1)).collect();
    assert_eq!(ids[1..], [Some("3".to_owned()), Some("5".to_owned())]);
}

#[tokio::test]
async fn a_repeated_number_is_counted_and_not_stored() {
    let server = TestServer::start();
    let mut client = connect(&server).await;
    client
        .batch_execute("SET pgspool.producer = 'billing'")
        .await
        .unwrap();
    for seq in [1, 2, 2, 1, 3] {
        let row = client.query_one(PUBLISH, &[&numbered(seq)]).await.unwrap();
        assert_eq!(row.get::<_, PgLsn>(0), head(&server), "{seq}");
    }
    let block = client.transaction().await.unwrap();
    for seq in [3, 4, 5] {
        block.query_one(PUBLISH, &[&numbered(seq)]).await.unwrap();
    }
    block.commit().await.unwrap();
    let rows = client.query(CHANGES, &[]).await.unwrap();
    let ids: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
    assert_eq!(ids, ["1", "2", "3", "4", "5"]);
    let row = client
        .query_one(
            "SELECT last_seq::text, num_duplicates FROM pgspool.producers WHERE name = $1",
            &[&"billing"],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i64>(1)), ("5", 3));
    // A number needs a producer, and a producer's records need numbers.
    let error = client.query_one(PUBLISH, &[&record(6)]).await.unwrap_err();
    assert!(error.code().unwrap().code().starts_with("22"), "{error:?}");
    client
        .batch_execute("RESET pgspool.producer")
        .await
        .unwrap();
    let error = client
        .query_one(PUBLISH, &[&numbered(6)])
        .await
        .unwrap_err();
    assert!(error.code().unwrap().code().starts_with("22"), "{error:?}");
}

async fn until_sleeping(server: &TestServer) {
    let address = server.address;
    let wait = move || support::until_active(address, "SELECT pg_sleep(60)");
    tokio::task::spawn_blocking(wait).await.unwrap();
}

#[tokio::test]
async fn sessions_are_cancelled_and_ended_by_sql() {
    let server = TestServer::start();
    let (one, other) = (connect(&server).await, connect(&server).await);
    let row = one.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
    let pid: i32 = row.get(0);
    let sleeping = one.query("SELECT pg_sleep(60)", &[]);
    let cancelling = async {
        until_sleeping(&server).await;
        let active = "SELECT state, query FROM pg_stat_activity WHERE pid = $1";
        let row = other.query_one(active, &[&pid]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "active");
        assert_eq!(row.get::<_, &str>(1), "SELECT pg_sleep(60)");
        other
            .query_one("SELECT pg_cancel_backend($1)", &[&pid])
            .await
            .unwrap()
    };
    let (outcome, cancelled) = tokio::join!(sleeping, cancelling);
    assert!(cancelled.get::<_, bool>(0));
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    let sleeping = one.query("SELECT pg_sleep(60)", &[]);
    let ending = async {
        until_sleeping(&server).await;
        let end = "SELECT pg_terminate_backend($1, $2)";
        other.query_one(end, &[&pid, &60_000_i64]).await.unwrap()
    };
    let (outcome, ended) = tokio::join!(sleeping, ending);
    assert!(ended.get::<_, bool>(0));
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::ADMIN_SHUTDOWN));
    let gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
    let row = other.query_one(gone, &[&pid]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
    for function in ["pg_cancel_backend", "pg_terminate_backend"] {
        let query = format!("SELECT {function}($1)");
        let row = other.query_one(&query, &[&pid]).await.unwrap();
        assert!(!row.get::<_, bool>(0), "{function}");
    }
}
