//! `pgoutput-client pgwire|walstream PORT SLOT PUBLICATION`: follows a slot with `pgwire-replication`
//! or `pg_walstream` and prints each event as a line of JSON, decoded by `pg_walstream`.
//!
//! Each transaction is confirmed when its commit came. A line on the standard input ends the stream
//! in good order. Anything unexpected ends it with an error.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use pg_walstream::{
    ChangeEvent, EventType, LogicalReplicationStream, Lsn, PgOutputDecoder, ReplicationError,
    ReplicationStreamConfig, RowData, StreamingMode,
};
use pgwire_replication::{ReplicationClient, ReplicationConfig, ReplicationEvent, TlsConfig};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_util::sync::CancellationToken;

const STATUS_INTERVAL: Duration = Duration::from_millis(100);

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Wanted {
    port: u16,
    password: String,
    slot: String,
    publication: String,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let library = arguments.next().ok_or("which library?")?;
    let wanted = Wanted {
        port: arguments.next().ok_or("which port?")?.parse()?,
        password: std::env::var("PGPASSWORD")?,
        slot: arguments.next().ok_or("which slot?")?,
        publication: arguments.next().ok_or("which publication?")?,
    };
    match library.as_str() {
        "pgwire" => pgwire(wanted).await,
        "walstream" => walstream(wanted).await,
        other => Err(format!("unknown library {other}").into()),
    }
}

/// Ends when the standard input has a line, or has ended.
async fn told_to_stop() -> Outcome<()> {
    BufReader::new(tokio::io::stdin())
        .read_line(&mut String::new())
        .await?;
    Ok(())
}

async fn pgwire(wanted: Wanted) -> Outcome<()> {
    let config = ReplicationConfig::new(
        "127.0.0.1",
        "pgspool",
        wanted.password,
        "pgspool",
        wanted.slot,
        wanted.publication,
    )
    .with_port(wanted.port)
    .with_tls(TlsConfig::disabled())
    .with_status_interval(STATUS_INTERVAL);
    let mut client = ReplicationClient::connect(config).await?;
    client.wait_started().await?;
    say(&json!({"op": "started"}))?;
    let mut decoder = PgOutputDecoder::with_protocol_version(1);
    let mut stop = std::pin::pin!(told_to_stop());
    loop {
        let event = tokio::select! {
            event = client.recv() => event?,
            told = &mut stop => {
                told?;
                break;
            }
        };
        tell_pgwire(&client, &mut decoder, event.ok_or("the stream ended")?)?;
    }
    // Time for what was confirmed last to be sent.
    tokio::time::sleep(3 * STATUS_INTERVAL).await;
    client.stop();
    while let Some(event) = client.recv().await? {
        if !matches!(event, ReplicationEvent::KeepAlive { .. }) {
            return Err(format!("after all was read: {event:?}").into());
        }
    }
    say(&json!({"op": "stopped"}))
}

fn tell_pgwire(
    client: &ReplicationClient,
    decoder: &mut PgOutputDecoder,
    event: ReplicationEvent,
) -> Outcome<()> {
    match event {
        ReplicationEvent::KeepAlive { .. } => Ok(()),
        ReplicationEvent::Begin { .. } => say(&json!({"op": "begin"})),
        ReplicationEvent::Commit { end_lsn, .. } => {
            client.update_applied_lsn(end_lsn);
            say(&json!({"op": "commit", "lsn": end_lsn.to_pg_string()}))
        }
        ReplicationEvent::Message {
            prefix, content, ..
        } => say(&message(&prefix, &content)),
        ReplicationEvent::XLogData {
            wal_start, data, ..
        } => match decoder.decode_message(data, Lsn::from(wal_start.as_u64()))? {
            Some(event) => tell(&event),
            None => Ok(()),
        },
        ReplicationEvent::StoppedAt { reached } => Err(format!("stopped at {reached}").into()),
    }
}

async fn walstream(wanted: Wanted) -> Outcome<()> {
    let address = format!(
        "postgresql://pgspool:{}@127.0.0.1:{}/pgspool?replication=database&sslmode=prefer",
        wanted.password, wanted.port
    );
    let config = ReplicationStreamConfig::builder(wanted.slot, wanted.publication)
        .with_protocol_version(2)
        .with_streaming_mode(StreamingMode::On)
        .with_messages(true)
        .with_feedback_interval(STATUS_INTERVAL);
    let mut stream = LogicalReplicationStream::new(&address, config).await?;
    stream.start(None).await?;
    say(&json!({"op": "started"}))?;
    let stop = CancellationToken::new();
    let stopper = stop.clone();
    tokio::spawn(async move {
        let told = told_to_stop().await.map_err(|error| error.to_string());
        stopper.cancel();
        told
    });
    loop {
        match stream.next_event(&stop).await {
            Ok(event) => {
                if let EventType::Commit { end_lsn, .. } = &event.event_type {
                    stream
                        .shared_lsn_feedback
                        .update_applied_lsn(end_lsn.value());
                    stream
                        .shared_lsn_feedback
                        .update_flushed_lsn(end_lsn.value());
                }
                tell(&event)?;
            }
            Err(ReplicationError::Cancelled(_)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    stream.stop().await?;
    say(&json!({"op": "stopped"}))
}

fn tell(event: &ChangeEvent) -> Outcome<()> {
    let told = match &event.event_type {
        EventType::Begin { .. } => json!({"op": "begin"}),
        EventType::Commit { end_lsn, .. } => json!({"op": "commit", "lsn": end_lsn.to_string()}),
        EventType::Relation { .. } | EventType::Type { .. } => return Ok(()),
        EventType::Insert {
            schema,
            table,
            data,
            ..
        } => json!({"op": "insert", "table": format!("{schema}.{table}"), "new": row(data)?}),
        EventType::Update {
            schema,
            table,
            old_data,
            new_data,
            ..
        } => json!({
            "op": "update",
            "table": format!("{schema}.{table}"),
            "old": old_data.as_ref().map(row).transpose()?,
            "new": row(new_data)?,
        }),
        EventType::Delete {
            schema,
            table,
            old_data,
            ..
        } => json!({"op": "delete", "table": format!("{schema}.{table}"), "old": row(old_data)?}),
        EventType::Truncate { tables, .. } => json!({"op": "truncate", "tables": tables}),
        EventType::Message {
            prefix, content, ..
        } => message(prefix, content),
        other => return Err(format!("unexpected: {other:?}").into()),
    };
    say(&told)
}

fn row(data: &RowData) -> Outcome<Value> {
    let mut columns = Map::new();
    for (name, value) in data.iter() {
        let value = match value.as_str() {
            Some(text) => Value::from(text),
            None if value.is_null() => Value::Null,
            None => return Err(format!("{name} is no text").into()),
        };
        columns.insert(name.to_string(), value);
    }
    Ok(Value::Object(columns))
}

fn message(prefix: &str, content: &[u8]) -> Value {
    json!({"op": "message", "prefix": prefix, "content": String::from_utf8_lossy(content)})
}

fn say(line: &Value) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
