//! Every view through Rust's own PostgreSQL client: it looks up the types that it does not know,
//! and gets every value in its binary form.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::error::Error;

use support::TestServer;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, Kind, Type};
use tokio_postgres::{Client, Config, NoTls};

/// The number of bytes of a value of any type.
struct Bytes(usize);

impl<'a> FromSql<'a> for Bytes {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.len()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The bytes that the binary form of a type has, where they are always as many.
fn fixed_length(ty: &Type) -> Option<usize> {
    if let Kind::Domain(inner) = ty.kind() {
        return fixed_length(inner);
    }
    Some(match *ty {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::OID | Type::XID | Type::FLOAT4 | Type::REGPROC | Type::REGTYPE => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMPTZ | Type::PG_LSN | Type::XID8 => 8,
        Type::INTERVAL => 16,
        _ => return None,
    })
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

#[tokio::test]
async fn every_view_is_read_in_binary() {
    let server = TestServer::start();
    server.publish(1..=5);
    let mut stream = server.replication();
    stream.create_slot("a", "json");
    stream.stream("a");
    let client = connect(&server).await;
    for definition in [
        "CREATE TABLE shop (id bigint PRIMARY KEY, name text NOT NULL, price numeric(8,2))",
        "CREATE PUBLICATION all_of_it FOR ALL TABLES",
        "CREATE PUBLICATION part FOR TABLE shop (id, name) WHERE (id > 5)",
    ] {
        client.batch_execute(definition).await.unwrap();
    }
    let query = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n \
                 ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'r') \
                 AND n.nspname IN ('pg_catalog', 'information_schema', 'pgspool')";
    let views = client.query(query, &[]).await.unwrap();
    assert!(views.len() > 60, "{}", views.len());
    let mut failed = vec![];
    let mut num_rows = 0;
    for view in &views {
        let (schema, name): (&str, &str) = (view.get(0), view.get(1));
        let rows = client
            .query(&format!("SELECT * FROM {schema}.{name}"), &[])
            .await;
        match rows {
            // PostgreSQL has no binary form of this one either.
            Err(error) if is_of_acl(&error) => {}
            Ok(rows) => num_rows += rows.iter().map(checked).count(),
            Err(error) => failed.push(format!("{schema}.{name}: {error:?}")),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(num_rows > 500, "{num_rows}");
}

fn is_of_acl(error: &tokio_postgres::Error) -> bool {
    let error = error.as_db_error();
    error.is_some_and(|error| {
        error.code() == &SqlState::UNDEFINED_FUNCTION
            && error.message() == "no binary output function available for type aclitem"
    })
}

fn checked(row: &tokio_postgres::Row) {
    for (index, column) in row.columns().iter().enumerate() {
        let value: Option<Bytes> = row.get(index);
        if let (Some(value), Some(length)) = (value, fixed_length(column.type_())) {
            assert_eq!(value.0, length, "{} {}", column.name(), column.type_());
        }
    }
}
