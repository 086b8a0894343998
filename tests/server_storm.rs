//! The program itself under a storm of odd bytes: it lives, and a session beside it goes on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod cli_support;
mod dice;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cli_support::{Home, succeed};
use dice::Dice;
use support::{RawClient, message, startup};

/// A server with TLS switched on, killed with the value.
struct Serve {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Serve {
    fn start(home: &Home) -> Self {
        succeed(&["cert", "--data", &home.data()]);
        home.trust_loopback();
        let log = home.path("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgspool"))
            .args(["serve", "--data", &home.data(), "--listen", "127.0.0.1:0"])
            .args(["-c", "ssl=on", "-c", "max_connections=50"])
            .args(["-c", "auth_delay=0"])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap();
        let address = address.parse().unwrap();
        // The pipe stays open for what else it says.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self {
            child,
            address,
            log,
        }
    }

    /// What it said; nothing of it is of a fault of its own.
    fn check_log(&self) {
        let said = std::fs::read_to_string(&self.log).unwrap();
        assert!(said.contains("connection ended"), "{said}");
        for fault in ["panicked at", "a connection's task broke"] {
            let line = said.lines().find(|line| line.contains(fault));
            assert_eq!(line, None, "{fault}");
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may be gone already.
        let _gone = self.child.kill();
        self.child.wait().unwrap();
    }
}

const OWNER: &[(&str, &str)] = &[("user", "pgspool"), ("database", "pgspool")];

/// What stands before the odd bytes.
fn beginning(random: &mut Dice) -> Vec<u8> {
    let ssl = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
    let mut replication = OWNER.to_vec();
    replication.push(("replication", "database"));
    let create = b"CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL json\0";
    let copy = b"COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)\0";
    match random.below(8) {
        0 => vec![],
        1 => ssl.to_vec(),
        2 => vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        3 => startup(3 << 16, &[("user", "stranger"), ("database", "pgspool")]),
        4 => startup(3 << 16, OWNER),
        5 => startup(3 << 16, &replication),
        6 => [startup(3 << 16, OWNER), message(b'Q', copy)].concat(),
        _ => [
            startup(3 << 16, &replication),
            message(b'Q', create),
            message(b'Q', b"START_REPLICATION SLOT s LOGICAL 0/0\0"),
        ]
        .concat(),
    }
}

fn odd_bytes(random: &mut Dice) -> Vec<u8> {
    let mut bytes = vec![];
    for _ in 0..=random.index(4) {
        let tag = if random.chance(80) {
            random.pick(b"QXPBDECHSFdcfp")
        } else {
            random.byte()
        };
        let num_bytes = random.index(40);
        let body = random.bytes(num_bytes);
        if random.chance(60) {
            bytes.extend(message(tag, &body));
        } else {
            bytes.push(tag);
            bytes.extend((random.below(17) as u32).to_be_bytes());
            bytes.extend(body);
        }
    }
    bytes
}

#[test]
fn the_program_survives_a_storm_of_odd_bytes() {
    let home = Home::new();
    let mut server = Serve::start(&home);
    let mut beside = RawClient::connect(server.address);
    beside.start(OWNER);
    let mut random = Dice::seeded();
    for round in 0..dice::number("PGSPOOL_ROUNDS").unwrap_or(2_000) {
        let mut bytes = beginning(&mut random);
        bytes.extend(odd_bytes(&mut random));
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        // It may have been closed half way.
        let _sent = stream.write_all(&bytes);
        let _closed = stream.shutdown(Shutdown::Write);
        if let Err(error) = stream.read_to_end(&mut vec![]) {
            let is_reset = error.kind() == std::io::ErrorKind::ConnectionReset;
            assert!(is_reset, "round {round}: {error}: {bytes:?}");
        }
        if round % 100 == 0 {
            assert_eq!(beside.row("SELECT 1"), [Some("1".to_owned())]);
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "it ended: {bytes:?}"
            );
        }
    }
    assert_eq!(beside.row("SELECT 2"), [Some("2".to_owned())]);
    assert!(server.child.try_wait().unwrap().is_none());
    server.check_log();
}

#[test]
fn a_unix_socket_is_there_while_the_server_runs() {
    let home = Home::new();
    let mut server = Serve::start(&home);
    let rules = home.path("data").join("pg_hba.conf");
    let mut text = std::fs::read_to_string(&rules).unwrap();
    text.push_str("local all pgspool trust\n");
    std::fs::write(&rules, text).unwrap();
    let signal = |name: &str, child: &Child| {
        let pid = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    };
    signal("-HUP", &server.child);
    let path = home
        .path("data")
        .join(format!(".s.PGSQL.{}", server.address.port()));
    support::eventually("the rule counts", || {
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
        let mut client = RawClient::over(stream);
        client.raw(&startup(3 << 16, OWNER));
        client.read().unwrap().tag == 'R'
    });
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut client = RawClient::over(stream);
    client.raw(&[0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]);
    let mut answer = [0];
    client.socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"N", "a Unix socket is not encrypted");
    client.start(OWNER);
    let mine = "SELECT client_addr, client_port FROM pg_stat_activity WHERE pid = pg_backend_pid()";
    assert_eq!(client.row(mine), [None, Some("-1".to_owned())]);
    drop(client);
    signal("-TERM", &server.child);
    support::eventually("the server ended", || !path.exists());
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.child.wait().unwrap().success());
    let lock = path.with_file_name(format!(".s.PGSQL.{}.lock", server.address.port()));
    assert!(!lock.exists());
}
