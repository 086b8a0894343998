//! A server process that can be killed, and a raw blocking client of the PostgreSQL protocol that
//! is small enough to be trusted.
// Every test file that includes this uses its own part of it.
#![allow(dead_code, unreachable_pub, clippy::panic)]

use std::fs::File;
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

pub mod history;

/// Longer than anything that is not broken takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Rules for clients that know messages and no passwords: the owner of a first start is believed.
pub fn trust_loopback(data: &Path) {
    let rules = data.join("pg_hba.conf");
    if !rules.exists() {
        std::fs::create_dir_all(data).unwrap();
        std::fs::write(rules, "host all pgspool 127.0.0.1/32 trust\n").unwrap();
    }
}

/// `pgspool serve` in a process of its own.
pub struct ServerProcess {
    child: Arc<Mutex<Child>>,
    /// What it prints, as it comes.
    lines: Receiver<String>,
    log: NamedTempFile,
    /// Zero before the server listens.
    pub port: u16,
}

impl ServerProcess {
    /// Starts a server on a free port and waits until it listens.
    pub fn start(data: &Path, settings: &[&str]) -> Self {
        let mut server = Self::launch(data, settings);
        assert!(
            server.listens(),
            "the server did not start: {}",
            server.log()
        );
        server
    }

    /// Starts a server on a free port and waits for nothing.
    pub fn launch(data: &Path, settings: &[&str]) -> Self {
        Self::launch_by(Command::new(env!("CARGO_BIN_EXE_pgspool")), data, settings)
    }

    /// The same by a command that takes the server's arguments.
    pub fn launch_by(mut command: Command, data: &Path, settings: &[&str]) -> Self {
        trust_loopback(data);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data);
        for setting in settings {
            command.args(["-c", setting]);
        }
        let log = NamedTempFile::new().unwrap();
        let mut child = command
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::options().append(true).open(log.path()).unwrap())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, lines) = mpsc::channel();
        // Reads to the end, wanted or not: the server may print more.
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        Self {
            child: Arc::new(Mutex::new(child)),
            lines,
            log,
            port: 0,
        }
    }

    /// Waits until the server listens; false when it ended before.
    pub fn listens(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => self.too_late("it never listened"),
            };
            if let Some(address) = line.strip_prefix("listening on 127.0.0.1:") {
                self.port = address.parse().unwrap();
                return true;
            }
        }
    }

    /// What it logged up to now.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Ends a server that does not get to where it should.
    fn too_late(&self, what: &str) -> ! {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        drop(child);
        panic!("{what} in {PATIENCE:?}");
    }

    /// Kills the server after a time, whatever it does then; the thread returns when that was.
    pub fn kill_in(&self, delay: Duration) -> JoinHandle<Instant> {
        let child = Arc::clone(&self.child);
        thread::spawn(move || {
            thread::sleep(delay);
            kill(&child)
        })
    }

    /// `kill -9`: no warning, no goodbye. Returns when that was.
    pub fn kill(self) -> Instant {
        kill(&self.child)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it has ended by itself. Somebody else may kill it meanwhile.
    pub fn ended(self) -> ExitStatus {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if let Some(status) = self.child.lock().unwrap().try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.too_late("it did not end");
    }

    /// Bytes of memory that it has now.
    pub fn memory(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    /// SIGTERM; true when the server left with exit code 0.
    pub fn terminate(self) -> bool {
        self.signal("-TERM");
        self.ended().success()
    }
}

/// Kills the process, which must have lived until now.
fn kill(child: &Mutex<Child>) -> Instant {
    let mut child = child.lock().unwrap();
    let now = Instant::now();
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(9), "the server ended by itself");
    now
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            let log = std::fs::read_to_string(self.log.path());
            eprintln!("the server's log:\n{}", log.unwrap_or_default());
        }
    }
}

/// One message of the server.
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

/// A connection after its start-up.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// A plain connection, for COPY.
    pub fn plain(port: u16) -> Result<Self> {
        Self::start(port, &[("user", "pgspool"), ("database", "pgspool")])
    }

    /// A replication connection.
    pub fn replication(port: u16) -> Result<Self> {
        let more = ("replication", "database");
        Self::start(port, &[("user", "pgspool"), ("database", "pgspool"), more])
    }

    fn start(port: u16, parameters: &[(&str, &str)]) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (name, value) in parameters {
            for text in [name, value] {
                body.extend_from_slice(text.as_bytes());
                body.push(0);
            }
        }
        body.push(0);
        let mut connection = Self {
            stream: BufReader::new(stream),
        };
        let len = u32::try_from(body.len() + 4).unwrap();
        connection.write(&[&len.to_be_bytes()[..], &body].concat())?;
        connection.until_ready()?;
        Ok(connection)
    }

    /// The next message. A closed connection is an `UnexpectedEof`.
    pub fn read(&mut self) -> Result<Message> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes(head[1..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(len).unwrap() - 4];
        self.stream.read_exact(&mut body)?;
        Ok(Message { tag: head[0], body })
    }

    /// Sends a message.
    pub fn send(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        let len = u32::try_from(body.len() + 4).unwrap();
        self.write(&[&[tag][..], &len.to_be_bytes(), body].concat())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads up to ReadyForQuery; an ErrorResponse becomes an error.
    fn until_ready(&mut self) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        loop {
            let message = self.read()?;
            match message.tag {
                b'Z' => return Ok(messages),
                b'E' => return Err(Error::other(words(&message.body))),
                _ => messages.push(message),
            }
        }
    }

    /// Runs a statement and returns the fields of its last row.
    pub fn query(&mut self, text: &str) -> Result<Vec<String>> {
        self.send(b'Q', &[text.as_bytes(), b"\0"].concat())?;
        let messages = self.until_ready()?;
        let row = messages.iter().rfind(|message| message.tag == b'D');
        Ok(row.map(|row| fields(&row.body)).unwrap_or_default())
    }

    /// Publishes lines with COPY; `Ok` means the server said that all of them are durable.
    pub fn copy(&mut self, lines: &[String]) -> Result<()> {
        self.send(
            b'Q',
            b"COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)\0",
        )?;
        self.expect(b'G')?;
        for line in lines {
            self.send(b'd', &[line.as_bytes(), b"\n"].concat())?;
        }
        self.send(b'c', &[])?;
        let messages = self.until_ready()?;
        let tag = format!("COPY {}\0", lines.len());
        match messages.last() {
            Some(message) if message.tag == b'C' && message.body == tag.as_bytes() => Ok(()),
            _ => Err(Error::other("no COPY tag")),
        }
    }

    /// Publishes lines as one transaction; `Ok` means the server said that it is durable.
    pub fn copy_block(&mut self, lines: &[String]) -> Result<()> {
        self.query("BEGIN")?;
        self.copy(lines)?;
        self.query("COMMIT").map(drop)
    }

    /// Starts a stream on a slot.
    pub fn start_replication(&mut self, slot: &str) -> Result<()> {
        let text = format!("START_REPLICATION SLOT \"{slot}\" LOGICAL 0/0\0");
        self.send(b'Q', text.as_bytes())?;
        self.expect(b'W')
    }

    fn expect(&mut self, tag: u8) -> Result<()> {
        let message = self.read()?;
        match message.tag {
            found if found == tag => Ok(()),
            b'E' => Err(Error::other(words(&message.body))),
            found => Err(Error::new(
                ErrorKind::InvalidData,
                format!("got {}", char::from(found)),
            )),
        }
    }

    /// Confirms everything up to `lsn`.
    pub fn confirm(&mut self, lsn: u64) -> Result<()> {
        let mut body = vec![b'r'];
        for position in [lsn, lsn, lsn, 0] {
            body.extend_from_slice(&position.to_be_bytes());
        }
        body.push(0);
        self.send(b'd', &body)
    }

    /// Ends the connection without a goodbye.
    pub fn close(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }
}

/// Eight bytes of a message as a position.
pub fn position(body: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(body[at..at + 8].try_into().unwrap())
}

fn words(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', " ")
}

fn fields(body: &[u8]) -> Vec<String> {
    let mut fields = Vec::new();
    let mut at = 2;
    while at < body.len() {
        let len = i32::from_be_bytes(body[at..at + 4].try_into().unwrap());
        at += 4;
        let len = usize::try_from(len).unwrap_or(0);
        fields.push(String::from_utf8_lossy(&body[at..at + len]).into_owned());
        at += len;
    }
    fields
}
