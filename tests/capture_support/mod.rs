//! What the tests of capture share: PostgreSQL clusters that stop, start and are copied, and
//! captured databases that follow them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]
#![allow(missing_docs, unreachable_pub)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pgspool::capture::{CaptureOptions, Supervisor};
use pgspool::captures::{CaptureSettings, CaptureState, CaptureStatus, PasswordSource};
use pgspool::change::{ChunkError, ChunkReader};
use pgspool::clock::Moment;
use pgspool::disk::RealDisk;
use pgspool::engine::{Databases, Engine, EngineOptions};
use pgspool::lsn::Lsn;
use postgres::{Client, NoTls};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const BIN: &str = "/usr/lib/postgresql/15/bin";

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster.
pub struct Cluster {
    pub port: u16,
    pub path: PathBuf,
    server: Option<Child>,
    /// Others know its port.
    is_known: bool,
    settings: Vec<String>,
    _data: TempDir,
}

impl Cluster {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Made and started, with `settings` as `name=value`.
    pub fn start_with(settings: &[&str]) -> Self {
        let mut this = Self::empty(settings);
        let made = program("initdb")
            .arg("-D")
            .arg(&this.path)
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"])
            .args(["--locale=C.UTF-8"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        this.run();
        this
    }

    fn empty(settings: &[&str]) -> Self {
        let data = TempDir::new().unwrap();
        own(data.path());
        Self {
            port: free_port(),
            path: data.path().join("data"),
            server: None,
            is_known: false,
            settings: settings.iter().map(|&text| text.to_owned()).collect(),
            _data: data,
        }
    }

    /// A standby that streams from this one, started.
    pub fn standby(&self) -> Self {
        let mut standby = self.copy();
        std::fs::write(standby.path.join("standby.signal"), "").unwrap();
        own(&standby.path);
        let primary = format!(
            "primary_conninfo=host=127.0.0.1 port={} user=postgres",
            self.port
        );
        standby.settings.push(primary);
        standby.settings.push("hot_standby_feedback=on".to_owned());
        standby.run();
        standby
    }

    /// A copy of its files, not started.
    pub fn copy(&self) -> Self {
        let copy = Self::empty(&[]);
        let made = program("pg_basebackup")
            .arg("-D")
            .arg(&copy.path)
            .args(["-h", "127.0.0.1", "-U", "postgres", "-p"])
            .arg(self.port.to_string())
            .args(["-c", "fast", "-X", "stream", "--no-sync"])
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        copy
    }

    /// A copy of its files as they are, slots too, as a standby that follows nobody. It has to be
    /// stopped.
    pub fn twin(&self) -> Self {
        let twin = Self::empty(&[]);
        let mut copy = Command::new("cp");
        let copied = copy.arg("-a").arg(&self.path).arg(&twin.path).status();
        assert!(copied.unwrap().success());
        std::fs::write(twin.path.join("standby.signal"), "").unwrap();
        own(&twin.path);
        twin
    }

    /// Starts it and waits until it answers.
    pub fn run(&mut self) {
        for attempt in 0.. {
            self.spawn();
            let began = Instant::now();
            while self.try_connect().is_none() {
                let ended = self.server.as_mut().unwrap().try_wait().unwrap();
                if let Some(ended) = ended {
                    let log = self.log();
                    let is_taken = log.contains("Address already in use");
                    assert!(is_taken && attempt < 5, "{ended}: {log}");
                    break;
                }
                assert!(began.elapsed() < PATIENCE, "{}", self.log());
                std::thread::sleep(Duration::from_millis(20));
            }
            if self.server.as_mut().unwrap().try_wait().unwrap().is_none() {
                self.is_known = true;
                return;
            }
            // Whoever tries to connect meanwhile may connect from this port, for a moment.
            match self.is_known {
                true => std::thread::sleep(Duration::from_secs(1)),
                false => self.port = free_port(),
            }
        }
    }

    fn spawn(&mut self) {
        let mut command = program("postgres");
        command
            .arg("-D")
            .arg(&self.path)
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .args(["-c", "wal_level=logical", "-c", "timezone=UTC"]);
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(self.path.with_extension("log")).unwrap();
        let server = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.server = Some(server);
    }

    /// Has it answer at a port that others know, from the next start on.
    pub fn move_to(&mut self, port: u16) {
        self.port = port;
        self.is_known = true;
    }

    /// Starts without what it was started with.
    pub fn forget_settings(&mut self) {
        self.settings.clear();
    }

    /// Stops it in good order.
    pub fn stop(&mut self) {
        self.end("-INT");
    }

    /// Stops it like a crash.
    pub fn crash(&mut self) {
        self.end("-QUIT");
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut server) = self.server.take() {
            let pid = server.id().to_string();
            drop(Command::new("kill").args([signal, &pid]).status());
            drop(server.wait());
        }
    }

    /// Makes a standby a primary.
    pub fn promote(&self) {
        self.run_sql("SELECT pg_promote()");
        self.run_sql("CHECKPOINT");
        std::fs::remove_file(self.path.join("standby.signal")).ok();
    }

    /// Encrypts from now on.
    pub fn serve_tls(&self, cert: &str, key: &str) {
        use std::os::unix::fs::PermissionsExt;
        let key_file = self.path.join("server.key");
        std::fs::write(self.path.join("server.crt"), cert).unwrap();
        std::fs::write(&key_file, key).unwrap();
        std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o600)).unwrap();
        own(&self.path);
        self.run_sql("ALTER SYSTEM SET ssl = on");
        self.run_sql("SELECT pg_reload_conf()");
        wait_until("TLS is on", || self.ask("SHOW ssl") == "on");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path.with_extension("log")).unwrap()
    }

    pub fn connect(&self) -> Client {
        self.try_connect().unwrap()
    }

    pub fn try_connect(&self) -> Option<Client> {
        let port = self.port;
        let to = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres");
        Client::connect(&to, NoTls).ok()
    }

    pub fn run_sql(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    /// The first field of the first row.
    pub fn ask(&self, sql: &str) -> String {
        let rows = self.connect().simple_query(sql).unwrap();
        let row = rows.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("").to_owned()),
            _ => None,
        });
        row.unwrap_or_default()
    }

    pub fn position(&self) -> Lsn {
        self.ask("SELECT pg_current_wal_lsn()").parse().unwrap()
    }

    /// What a capture of it follows.
    pub fn settings(&self) -> CaptureSettings {
        CaptureSettings {
            upstream: self.conninfo(),
            password: PasswordSource::None,
            publications: vec!["p".to_owned()],
            slot: "pgspool_shop".to_owned(),
            create_slot: true,
            create_publication: true,
            heartbeat: None,
            paused: false,
        }
    }

    pub fn conninfo(&self) -> String {
        let port = self.port;
        format!("host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end("-QUIT");
    }
}

/// A captured database and what follows its upstream.
pub struct Captured {
    dir: TempDir,
    pub engine: Option<Arc<Engine>>,
    pub supervisor: Option<Supervisor>,
    pub options: CaptureOptions,
    pub engine_options: EngineOptions,
    runtime: Runtime,
}

impl Captured {
    /// Made, and not started.
    pub fn new(settings: &CaptureSettings) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("shop");
        std::fs::create_dir(&path).unwrap();
        settings.write(&RealDisk, &path).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        Self {
            dir,
            engine: None,
            supervisor: None,
            options: CaptureOptions {
                mirror_interval: Duration::from_millis(300),
                ..CaptureOptions::default()
            },
            engine_options: EngineOptions::default(),
            runtime,
        }
    }

    /// Opens the database and follows; how the first attempt ended.
    pub fn start(&mut self) -> Result<(), String> {
        let path = self.dir.path().join("shop");
        let engine = Engine::open(
            Arc::new(RealDisk),
            &path,
            "shop",
            self.engine_options.clone(),
            Moment::now(),
        );
        let engine = Arc::new(engine.unwrap());
        let others = self.dir.path().join("others");
        let databases = Databases::open(
            Arc::new(RealDisk),
            &others,
            EngineOptions::default(),
            Moment::now(),
        );
        let handle = self.runtime.handle().clone();
        let supervisor =
            Supervisor::new(Arc::new(databases.unwrap()), handle, self.options.clone());
        let first = supervisor.start(&engine);
        self.engine = Some(engine);
        self.supervisor = Some(supervisor);
        let told = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, first).await.unwrap() });
        told.map_err(|error| error.to_string())
    }

    /// Stops in good order and closes the database.
    pub fn stop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            self.runtime.block_on(supervisor.stop_all());
        }
        if let Some(engine) = self.engine.take() {
            engine.close().unwrap();
        }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    pub fn status(&self) -> CaptureStatus {
        self.engine().capture().unwrap().status.get()
    }

    pub fn pause(&self, pause: bool) {
        self.engine().capture().unwrap().set_paused(pause).unwrap();
    }

    pub fn head(&self) -> Lsn {
        self.engine().head()
    }

    pub fn wait_for_head(&self, at_least: Lsn) {
        wait_until(&format!("head reaches {at_least}"), || {
            let status = self.status();
            assert_eq!(status.stop, None, "{:?}", status.last_error);
            self.head() >= at_least
        });
    }

    pub fn wait_for_state(&self, state: CaptureState) {
        let wanted = state.name();
        wait_until(&format!("state {wanted}"), || self.status().state == state);
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All messages that are stored, with the end of their transaction and their LSN.
    pub fn messages(&self) -> Vec<(Lsn, Lsn, Vec<u8>)> {
        let mut cursor = self.engine().read_from(Lsn::ZERO).unwrap();
        let mut reader = ChunkReader::default();
        let mut all = Vec::new();
        loop {
            let frames = cursor.read_disk(1 << 20).unwrap();
            if frames.is_empty() {
                return all;
            }
            for frame in frames {
                let end = frame.lsn;
                let read = reader.read::<ChunkError>(&frame.payload, |lsn, message| {
                    all.push((end, lsn, message.to_vec()));
                    Ok(())
                });
                read.unwrap();
            }
        }
    }

    /// First column of all inserts that are stored, in order.
    pub fn inserted(&self) -> Vec<String> {
        let messages = self.messages();
        let inserts = messages.iter().filter(|(_, _, message)| message[0] == b'I');
        inserts
            .map(|(_, _, message)| {
                // Tag, OID, 'N', number of columns, 't', length, text.
                let len = u32::from_be_bytes(message[9..13].try_into().unwrap());
                let text = &message[13..13 + usize::try_from(len).unwrap()];
                String::from_utf8(text.to_vec()).unwrap()
            })
            .collect()
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            self.runtime.block_on(supervisor.stop_all());
        }
    }
}

/// Waits until `is` holds; a failure names `what`.
pub fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn own(path: &Path) {
    let mut command = Command::new("chown");
    let owned = command.args(["-R", "postgres"]).arg(path).status().unwrap();
    assert!(owned.success() || !is_root());
}

/// One of PostgreSQL's programs, which refuse to run as root.
fn program(name: &str) -> Command {
    let path = format!("{BIN}/{name}");
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(path);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim() == "0"
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
