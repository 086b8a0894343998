//! `walstream-client PORT COUNT`: one life of a subscriber built on the crate `pg_walstream`.
//!
//! Makes the slot `walstream`, says `ready`, prints the payload of COUNT messages one a line while
//! confirming them, ends the stream, comes back to find nothing left, drops the slot and says
//! `done`. Anything unexpected ends it with an error.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use pg_walstream::PgReplicationConnection;
use tokio_util::sync::CancellationToken;

const SLOT: &str = "walstream";
const PATIENCE: Duration = Duration::from_secs(30);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What the server says inside a stream.
enum Message {
    Data { end: u64, payload: Vec<u8> },
    Keepalive { end: u64, reply: bool },
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("which port?")?.parse()?;
    let count: usize = arguments.next().ok_or("how many?")?.parse()?;

    let mut connection = connect(port)?;
    let system = connection.identify_system()?;
    ensure(system.nfields() == 4, "IDENTIFY_SYSTEM has four columns")?;
    ensure(
        system.get_value(0, 3).as_deref() == Some("pgspool"),
        "the database is named",
    )?;

    let create =
        format!("CREATE_REPLICATION_SLOT \"{SLOT}\" LOGICAL \"json\" (SNAPSHOT 'nothing')");
    let created = connection.exec(&create)?;
    ensure(
        created.nfields() == 4 && created.ntuples() == 1,
        "one row of four columns",
    )?;
    ensure(connection.exec(&create).is_err(), "a slot is made once")?;
    ensure(
        connection.exec("CREATE_NONSENSE").is_err(),
        "nonsense is refused",
    )?;
    ensure(
        connection.exec("IDENTIFY_SYSTEM").is_ok(),
        "the connection survives refusals",
    )?;
    say("ready")?;

    connection.start_replication(SLOT, 0, &[])?;
    let last = follow(&mut connection, count).await?;
    drop(connection);

    let mut connection = connect(port)?;
    connection.start_replication(SLOT, 0, &[])?;
    nothing_left(&mut connection, last).await?;
    drop(connection);

    let mut connection = connect(port)?;
    connection.drop_replication_slot(SLOT, true)?;
    ensure(
        connection.drop_replication_slot(SLOT, false).is_err(),
        "a slot is dropped once",
    )?;
    say("done")
}

fn connect(port: u16) -> Outcome<PgReplicationConnection> {
    let password = std::env::var("PGPASSWORD")?;
    let conninfo = format!(
        "postgresql://pgspool:{password}@127.0.0.1:{port}/pgspool?replication=database&sslmode=prefer"
    );
    Ok(PgReplicationConnection::connect(&conninfo)?)
}

/// Reads `count` data messages, prints them, and confirms all of them. Returns the last position.
async fn follow(connection: &mut PgReplicationConnection, count: usize) -> Outcome<u64> {
    let mut last = 0;
    let mut seen = 0;
    while seen < count {
        match next(connection).await? {
            Message::Data { end, payload } => {
                ensure(end > last, "positions rise")?;
                last = end;
                seen += 1;
                say(&String::from_utf8(payload)?)?;
            }
            Message::Keepalive { end, reply } => {
                ensure(end >= last, "a keepalive is not behind the data")?;
                if reply {
                    connection
                        .send_standby_status_update(last, last, last, false)
                        .await?;
                }
            }
        }
    }
    connection
        .send_standby_status_update(last, last, last, true)
        .await?;
    loop {
        if let Message::Keepalive { end, .. } = next(connection).await?
            && end >= last
        {
            return Ok(last);
        }
    }
}

/// The stream after everything was confirmed: keepalives at or above `last`, no data.
async fn nothing_left(connection: &mut PgReplicationConnection, last: u64) -> Outcome<()> {
    connection
        .send_standby_status_update(last, last, last, true)
        .await?;
    for _ in 0..2 {
        match next(connection).await? {
            Message::Data { .. } => return Err("a confirmed record came again".into()),
            Message::Keepalive { end, .. } => ensure(end >= last, "the head does not go back")?,
        }
    }
    Ok(())
}

async fn next(connection: &mut PgReplicationConnection) -> Outcome<Message> {
    let never = CancellationToken::new();
    let body = tokio::time::timeout(PATIENCE, connection.get_copy_data_async(&never)).await??;
    match body.first() {
        Some(b'w') => Ok(Message::Data {
            end: number(&body, 9)?,
            payload: body.get(25..).ok_or("a short XLogData message")?.to_vec(),
        }),
        Some(b'k') => Ok(Message::Keepalive {
            end: number(&body, 1)?,
            reply: body.get(17) == Some(&1),
        }),
        other => Err(format!("unknown message {other:?}").into()),
    }
}

fn number(body: &[u8], at: usize) -> Outcome<u64> {
    let bytes = body.get(at..at + 8).ok_or("a short message")?;
    Ok(u64::from_be_bytes(bytes.try_into()?))
}

fn ensure(holds: bool, promise: &str) -> Outcome<()> {
    if holds {
        Ok(())
    } else {
        Err(format!("broken: {promise}").into())
    }
}

fn say(line: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
