//! Rust's own PostgreSQL client against the server: prepared statements, portals, cancelling,
//! strings of statements, COPY, transactions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use support::TestServer;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

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

#[tokio::test]
async fn prepared_statements_take_binary_parameters() {
    let server = TestServer::start();
    let client = connect(&server).await;
    let statement = client
        .prepare("SELECT typname, oid FROM pg_type WHERE oid = $1")
        .await
        .unwrap();
    assert_eq!(statement.params(), [tokio_postgres::types::Type::OID]);
    for (oid, name) in [(23_u32, "int4"), (25, "text")] {
        let row = client.query_one(&statement, &[&oid]).await.unwrap();
        assert_eq!((row.get::<_, &str>(0), row.get::<_, u32>(1)), (name, oid));
    }
    drop(statement);
    let error = client
        .prepare("SELECT nosuch FROM pg_type")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_COLUMN));
    let row = client.query_one("SELECT 1", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 1);
}

#[tokio::test]
async fn a_portal_gives_its_rows_in_pieces() {
    let server = TestServer::start();
    let mut client = connect(&server).await;
    let transaction = client.transaction().await.unwrap();
    let statement = transaction
        .prepare("SELECT a.oid FROM pg_type a, pg_type b")
        .await
        .unwrap();
    let portal = transaction.bind(&statement, &[]).await.unwrap();
    let other = transaction.bind(&statement, &[]).await.unwrap();
    let mut num_rows = 0;
    loop {
        let rows = transaction.query_portal(&portal, 5000).await.unwrap();
        let beside = transaction.query_portal(&other, 1).await.unwrap();
        assert_eq!(beside.len(), 1);
        num_rows += rows.len();
        if rows.len() < 5000 {
            break;
        }
    }
    let types = transaction
        .query("SELECT oid FROM pg_type", &[])
        .await
        .unwrap();
    assert_eq!(num_rows, types.len() * types.len());
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_session_leaves_at_most_four_portals_unfinished() {
    let server = TestServer::start();
    let mut client = connect(&server).await;
    let transaction = client.transaction().await.unwrap();
    let query = "SELECT a.oid FROM pg_type a, pg_type b";
    let statement = transaction.prepare(query).await.unwrap();
    let mut open = vec![];
    for _ in 0..4 {
        let portal = transaction.bind(&statement, &[]).await.unwrap();
        let rows = transaction.query_portal(&portal, 1).await.unwrap();
        assert_eq!(rows.len(), 1);
        open.push(portal);
    }
    // One that is read to its end makes room.
    transaction.query_portal(&open[0], 0).await.unwrap();
    let fifth = transaction.bind(&statement, &[]).await.unwrap();
    transaction.query_portal(&fifth, 1).await.unwrap();
    let sixth = transaction.bind(&statement, &[]).await.unwrap();
    let error = transaction.query_portal(&sixth, 1).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::PROGRAM_LIMIT_EXCEEDED));
    transaction.rollback().await.unwrap();
    client.query_one("SELECT 1", &[]).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_query_ends_and_the_session_goes_on() {
    let server = TestServer::start();
    let client = connect(&server).await;
    let token = client.cancel_token();
    let query = "SELECT 1 FROM pg_type a, pg_type b, pg_type c, pg_type d \
                 WHERE d.typname IS NULL AND a.typname = b.typname AND c.typname IS NOT NULL";
    let running = client.query(query, &[]);
    let address = server.address;
    let cancel = async {
        let wait = move || support::until_active(address, query);
        tokio::task::spawn_blocking(wait).await.unwrap();
        token.cancel_query(NoTls).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(running, cancel);
    assert_eq!(outcome.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    client.query_one("SELECT 1", &[]).await.unwrap();
}

#[tokio::test]
async fn strings_of_statements_are_answered_one_by_one() {
    let server = TestServer::start();
    let client = connect(&server).await;
    let messages = client
        .simple_query("SELECT 1; SET my.a = 'x'; SHOW my.a")
        .await
        .unwrap();
    let mut rows = vec![];
    for message in &messages {
        if let SimpleQueryMessage::Row(row) = message {
            rows.extend(row.get(0));
        }
    }
    assert_eq!(rows, ["1", "x"]);
    client
        .batch_execute("BEGIN; SET my.a = 'y'; ROLLBACK")
        .await
        .unwrap();
    let row = client.query_one("SHOW my.a", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "x");
}

#[tokio::test]
async fn copies_and_savepoints_work_in_transactions() {
    use bytes::Bytes;
    use futures_util::SinkExt;

    let server = TestServer::start();
    let before = server.engine().head();
    let mut client = connect(&server).await;
    let mut transaction = client.transaction().await.unwrap();
    let copy = "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)";
    let savepoint = transaction.savepoint("a").await.unwrap();
    let sink = savepoint.copy_in::<_, Bytes>(copy).await.unwrap();
    tokio::pin!(sink);
    sink.send(Bytes::from(support::line(1))).await.unwrap();
    assert_eq!(sink.finish().await.unwrap(), 1);
    savepoint.commit().await.unwrap();
    assert_eq!(server.engine().head(), before, "nothing before the COMMIT");
    transaction.commit().await.unwrap();
    assert!(server.engine().head() > before);
    let error = client
        .batch_execute("BEGIN; SELECT nosuch")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_COLUMN));
    let error = client.query_one("SELECT 1", &[]).await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    client.batch_execute("ROLLBACK").await.unwrap();
}
