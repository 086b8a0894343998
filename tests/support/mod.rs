//! What the server's tests share: a server in this process, and a client that says exactly the
//! bytes it is told to.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)]
#![allow(clippy::as_conversions, clippy::panic, missing_docs, unreachable_pub)]

pub mod scram;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pgspool::admin::ServerState;
use pgspool::change::ChangeRecord;
use pgspool::clock::Moment;
use pgspool::disk::RealDisk;
use pgspool::engine::{Databases, Engine, EngineOptions};
use pgspool::hba::HbaRules;
use pgspool::lsn::Lsn;
use pgspool::roles::{RoleChanges, RoleCommand, RoleError};
use pgspool::server::{Access, Server, ServerOptions, ShutdownReport};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Nothing that a test waits for takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Superusers that tests connect as, by rules that trust everybody.
pub const USERS: [&str; 8] = [
    "ann", "bob", "watcher", "postgres", "pgspool", "spool", "u", "x",
];

/// What makes somebody a superuser that can log in, as PostgreSQL's first one is.
pub fn superuser() -> RoleChanges {
    RoleChanges {
        login: Some(true),
        superuser: Some(true),
        replication: Some(true),
        publish: Some(true),
        ..RoleChanges::default()
    }
}

/// Makes a role, unless it is there.
pub fn create_role(databases: &Databases, name: &str, changes: RoleChanges) {
    let name = name.to_owned();
    match databases
        .roles()
        .apply(&RoleCommand::Create { name, changes })
    {
        Ok(_) | Err(RoleError::Exists(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

/// A server in this process with its own data directory.
pub struct TestServer {
    pub address: SocketAddr,
    pub databases: Arc<Databases>,
    pub data: Arc<TempDir>,
    pub state: Arc<dyn ServerState>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<ShutdownReport>>,
}

impl TestServer {
    pub fn start() -> Self {
        Self::start_with(EngineOptions::default(), |_| {})
    }

    pub fn start_with(engine: EngineOptions, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let data = Arc::new(TempDir::new().unwrap());
        Self::start_on(data, engine, change)
    }

    pub fn start_on(
        data: Arc<TempDir>,
        engine: EngineOptions,
        change: impl FnOnce(&mut ServerOptions),
    ) -> Self {
        let disk = Arc::new(RealDisk);
        let now = Moment::now();
        let databases = Arc::new(Databases::open(disk, data.path(), engine, now).unwrap());
        // A data directory may come with its own.
        if databases.roles().current().is_empty() {
            for user in USERS {
                create_role(&databases, user, superuser());
            }
        }
        let mut options = ServerOptions {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            shutdown_timeout: Duration::from_secs(20),
            access: Access::new(HbaRules::trust_all()),
            ..ServerOptions::default()
        };
        change(&mut options);
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let shared = Arc::clone(&databases);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let server = Server::bind(shared, options).await.unwrap();
                bound
                    .send((server.local_addrs()[0], server.state()))
                    .unwrap();
                server.run(async { drop(stopped.await) }).await
            })
        });
        let (address, state) = address.recv().unwrap();
        Self {
            address,
            state,
            databases,
            data,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Begins the stop without waiting for it.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops the server and closes the databases.
    pub fn stop(mut self) -> ShutdownReport {
        self.end().unwrap()
    }

    /// Stops the server, unless that is done, and asserts that it had no fault.
    fn end(&mut self) -> Option<ShutdownReport> {
        self.begin_stop();
        let report = self.thread.take()?.join().unwrap();
        assert_eq!(report.num_panicked, 0, "{report:?}");
        let trouble = self.databases.close();
        assert!(trouble.is_empty(), "{trouble:?}");
        Some(report)
    }

    pub fn engine(&self) -> Arc<Engine> {
        self.databases.get("pgspool").unwrap()
    }

    /// Publishes records with the ids `ids` through the library; returns the last position.
    pub fn publish(&self, ids: impl IntoIterator<Item = u64>) -> Lsn {
        let engine = self.engine();
        let mut batch = engine.batch(Moment::now());
        for id in ids {
            batch.push(&record(id)).unwrap();
        }
        engine.publish(batch).unwrap().last_lsn
    }

    pub fn connect(&self) -> RawClient {
        RawClient::connect(self.address)
    }

    /// A normal session.
    pub fn session(&self) -> RawClient {
        let mut client = self.connect();
        client.start(&[("user", "ann"), ("database", "pgspool")]);
        client
    }

    /// A replication session.
    pub fn replication(&self) -> RawClient {
        self.replication_with(&[])
    }

    pub fn replication_with(&self, more: &[(&str, &str)]) -> RawClient {
        let mut client = self.connect();
        let mut parameters = vec![
            ("user", "ann"),
            ("database", "pgspool"),
            ("replication", "database"),
        ];
        parameters.extend_from_slice(more);
        client.start(&parameters);
        client
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.begin_stop();
            if let Some(thread) = self.thread.take() {
                drop(thread.join());
            }
            return;
        }
        self.end();
    }
}

/// A record that says its id in key and row.
pub fn record(id: u64) -> ChangeRecord {
    ChangeRecord::insert("orders", id)
        .with_entity(id.to_be_bytes())
        .with_timestamp(1_700_000_000_000)
}

/// The same as a line of a COPY.
pub fn line(id: u64) -> String {
    format!(
        "{{\"operation\":\"insert\",\"collection\":\"orders\",\"rid\":{id},\"kind\":\"row\",\
         \"timestamp\":1700000000000,\"entity_bytes_hex\":\"{id:016x}\"}}\n"
    )
}

/// One message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub tag: char,
    pub body: Vec<u8>,
}

impl Message {
    /// The fields of an ErrorResponse or NoticeResponse.
    pub fn fields(&self) -> HashMap<char, String> {
        assert!(matches!(self.tag, 'E' | 'N'), "not an error: {self:?}");
        let parts = self.body.split(|&b| b == 0).filter(|part| !part.is_empty());
        let field = |part: &[u8]| (part[0] as char, text(&part[1..]));
        parts.map(field).collect()
    }

    /// The SQLSTATE of an ErrorResponse.
    pub fn code(&self) -> String {
        self.fields()[&'C'].clone()
    }

    /// The zero-terminated text of a CommandComplete.
    pub fn tag_text(&self) -> String {
        assert_eq!(self.tag, 'C', "{self:?}");
        text(&self.body[..self.body.len() - 1])
    }

    /// The values of a DataRow.
    pub fn values(&self) -> Vec<Option<String>> {
        assert_eq!(self.tag, 'D', "{self:?}");
        let mut rest = &self.body[2..];
        let mut values = vec![];
        while !rest.is_empty() {
            let len = i32::from_be_bytes(rest[..4].try_into().unwrap());
            rest = &rest[4..];
            if let Ok(len) = usize::try_from(len) {
                values.push(Some(text(&rest[..len])));
                rest = &rest[len..];
            } else {
                values.push(None);
            }
        }
        values
    }

    /// Name, type oid and type size of each column of a RowDescription.
    pub fn columns(&self) -> Vec<(String, u32, i16)> {
        assert_eq!(self.tag, 'T', "{self:?}");
        let mut rest = &self.body[2..];
        let mut columns = vec![];
        while !rest.is_empty() {
            let end = rest.iter().position(|&b| b == 0).unwrap();
            let fixed = &rest[end + 1..end + 19];
            let oid = u32::from_be_bytes(fixed[6..10].try_into().unwrap());
            let size = i16::from_be_bytes(fixed[10..12].try_into().unwrap());
            columns.push((text(&rest[..end]), oid, size));
            rest = &rest[end + 19..];
        }
        columns
    }

    /// What a CopyData message of a stream says.
    pub fn streamed(&self) -> Streamed {
        assert_eq!(self.tag, 'd', "{self:?}");
        let word = |at: usize| u64::from_be_bytes(self.body[at..at + 8].try_into().unwrap());
        match self.body[0] {
            b'w' => {
                assert_eq!(word(1), word(9), "both LSN fields are the message's");
                Streamed::Data(Lsn::new(word(1)), text(&self.body[25..]))
            }
            b'k' => Streamed::Keepalive(Lsn::new(word(1)), self.body[17] == 1),
            other => panic!("unknown stream message {other}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streamed {
    Data(Lsn, String),
    Keepalive(Lsn, bool),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A blocking client that knows messages and nothing else.
pub struct RawClient<S = TcpStream> {
    pub socket: S,
    read: Vec<u8>,
}

impl RawClient {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket)
    }

    /// Closes the sending side.
    pub fn half_close(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

impl<S: Read + Write> RawClient<S> {
    /// Speaks over a stream that is there already.
    pub fn over(socket: S) -> Self {
        Self {
            socket,
            read: vec![],
        }
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends one message.
    pub fn message(&mut self, tag: u8, body: &[u8]) {
        self.raw(&message(tag, body));
    }

    /// Sends a startup packet and reads to the first ReadyForQuery.
    pub fn start(&mut self, parameters: &[(&str, &str)]) -> Vec<Message> {
        self.raw(&startup(3 << 16, parameters));
        let greeting = self.until_ready();
        assert_eq!(greeting.last().unwrap().tag, 'Z', "{greeting:?}");
        greeting
    }

    /// The next message; `None` at the end of the stream.
    pub fn read(&mut self) -> Option<Message> {
        loop {
            if self.read.len() >= 5 {
                let length = u32::from_be_bytes(self.read[1..5].try_into().unwrap()) as usize;
                if self.read.len() > length {
                    let rest = self.read.split_off(length + 1);
                    let whole = std::mem::replace(&mut self.read, rest);
                    return Some(Message {
                        tag: whole[0] as char,
                        body: whole[5..].to_vec(),
                    });
                }
            }
            let mut block = [0; 65536];
            match self.socket.read(&mut block) {
                Ok(0) => return None,
                Ok(num_bytes) => self.read.extend_from_slice(&block[..num_bytes]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer: {error}"),
            }
        }
    }

    /// The next byte, for the answers to encryption requests.
    pub fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            Err(error) => {
                assert!(is_end(&error), "no answer: {error}");
                None
            }
            Ok(_) => None,
        }
    }

    /// All messages up to a ReadyForQuery or the end.
    pub fn until_ready(&mut self) -> Vec<Message> {
        self.until(|message| message.tag == 'Z')
    }

    /// All messages up to one that `last` accepts, or the end.
    pub fn until(&mut self, last: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut messages = vec![];
        while let Some(message) = self.read() {
            messages.push(message);
            if messages.last().is_some_and(&last) {
                break;
            }
        }
        messages
    }

    /// All messages to the end.
    pub fn until_end(&mut self) -> Vec<Message> {
        self.until(|_| false)
    }

    pub fn send_query(&mut self, query: &str) {
        self.message(b'Q', format!("{query}\0").as_bytes());
    }

    pub fn query(&mut self, query: &str) -> Vec<Message> {
        self.send_query(query);
        self.until_ready()
    }

    /// The values of the only row that a query returns.
    pub fn row(&mut self, query: &str) -> Vec<Option<String>> {
        let answer = self.query(query);
        let row = answer.iter().find(|message| message.tag == 'D');
        row.unwrap_or_else(|| panic!("no row: {answer:?}")).values()
    }

    /// The SQLSTATE that a query fails with.
    pub fn failure(&mut self, query: &str) -> String {
        let answer = self.query(query);
        assert_eq!(answer.last().unwrap().tag, 'Z');
        let error = answer.iter().find(|message| message.tag == 'E');
        error
            .unwrap_or_else(|| panic!("no error: {answer:?}"))
            .code()
    }

    /// Creates a slot.
    pub fn create_slot(&mut self, slot: &str, plugin: &str) {
        let answer = self.query(&format!(
            "CREATE_REPLICATION_SLOT \"{slot}\" LOGICAL \"{plugin}\" (SNAPSHOT 'nothing')"
        ));
        assert_eq!(answer[0].tag, 'T', "{answer:?}");
    }

    /// Starts a stream where its slot stands and reads the CopyBothResponse.
    pub fn stream(&mut self, slot: &str) {
        self.send_query(&format!("START_REPLICATION SLOT \"{slot}\" LOGICAL 0/0"));
        let answer = self.read().unwrap();
        assert_eq!((answer.tag, answer.body), ('W', vec![0, 0, 0]));
    }

    /// The next data message of a stream; keepalives are skipped.
    pub fn data(&mut self) -> (Lsn, String) {
        loop {
            if let Streamed::Data(lsn, text) = self.read().unwrap().streamed() {
                return (lsn, text);
            }
        }
    }

    /// The next `n` data messages' row ids, from the plugin `json`.
    pub fn ids(&mut self, n: usize) -> Vec<u64> {
        (0..n).map(|_| id_of(&self.data().1)).collect()
    }

    /// Sends a status update.
    pub fn status(&mut self, write: u64, flush: u64, apply: u64, reply: bool) {
        let mut body = vec![b'r'];
        for word in [write, flush, apply, 0] {
            body.extend_from_slice(&word.to_be_bytes());
        }
        body.push(u8::from(reply));
        self.message(b'd', &body);
    }

    /// Sends a status update that asks for a reply, and reads up to the reply.
    pub fn acknowledge(&mut self, lsn: Lsn) -> Vec<Streamed> {
        self.status(lsn.get(), lsn.get(), lsn.get(), true);
        let messages = self.until(|m| matches!(m.streamed(), Streamed::Keepalive(_, false)));
        messages.iter().map(Message::streamed).collect()
    }

    /// Sends text as CopyData.
    pub fn copy_data(&mut self, text: &str) {
        self.message(b'd', text.as_bytes());
    }

    /// Begins a COPY into the changes.
    pub fn begin_copy(&mut self) {
        self.send_query("COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)");
        let answer = self.read().unwrap();
        assert_eq!((answer.tag, answer.body), ('G', vec![0, 0, 1, 0, 0]));
    }

    /// Ends a COPY and reads to ReadyForQuery.
    pub fn end_copy(&mut self) -> Vec<Message> {
        self.message(b'c', b"");
        self.until_ready()
    }
}

/// Whether a failed read means that the connection is over: that nothing came for long is no end.
fn is_end(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    !matches!(error.kind(), WouldBlock | TimedOut)
}

/// Everything that still comes, to the end, which must come too.
pub fn ends(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = vec![];
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert!(is_end(&error), "no end behind {bytes:?}: {error}");
    }
    bytes
}

/// The id in a record's JSON.
pub fn id_of(json: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    value["rid"].as_u64().unwrap()
}

/// A message's bytes.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// A startup packet's bytes.
pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    let mut bytes = (body.len() as u32 + 4).to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a session runs exactly this query. Blocking: not for a task of a client's runtime.
pub fn until_active(address: SocketAddr, query: &str) {
    let query = query.replace('\'', "''");
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{query}'"
    );
    until_count(address, &sessions, "1");
}

/// Waits until the session with this process id is gone. Blocking, too.
pub fn until_gone(address: SocketAddr, pid: i32) {
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    until_count(address, &sessions, "0");
}

fn until_count(address: SocketAddr, query: &str, wanted: &str) {
    let mut client = RawClient::connect(address);
    client.start(&[("user", "watcher"), ("database", "pgspool")]);
    let begin = std::time::Instant::now();
    while client.row(query) != [Some(wanted.to_owned())] {
        assert!(begin.elapsed() < PATIENCE, "never {wanted}: {query}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
