//! The log of the real program: text and JSON, levels, and names that try to write lines of their
//! own; and `--admin`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod admin_support;
mod cli_support;
mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cli_support::{Home, pgspool, refuse};
use support::{PATIENCE, RawClient, startup};

/// A server whose log is a file.
struct Serve {
    child: Child,
    address: SocketAddr,
    /// The first lines that it said.
    said: String,
    log: std::path::PathBuf,
}

impl Serve {
    fn start(home: &Home, rust_log: Option<&str>, arguments: &[&str]) -> Self {
        let log = home.path("log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgspool"));
        command.args(["serve", "--data", &home.data(), "--listen", "127.0.0.1:0"]);
        command.args(arguments).env_remove("RUST_LOG");
        command.envs(rust_log.map(|levels| ("RUST_LOG", levels)));
        command.stdout(Stdio::piped());
        let mut child = command
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("psql ") {
            assert!(
                lines.read_line(&mut said).unwrap() > 0,
                "it stopped after: {said}"
            );
        }
        let first = said.lines().next().unwrap();
        let address = first
            .strip_prefix("listening on ")
            .unwrap()
            .parse()
            .unwrap();
        Self {
            child,
            address,
            said,
            log,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Comes with a name that is no name and is refused.
    fn knock(&self, user: &str) {
        let mut client = RawClient::connect(self.address);
        client.raw(&startup(3 << 16, &[("user", user), ("database", user)]));
        // It is asked for a password at most.
        client.half_close();
        client.until_end();
    }

    fn until_logged(&self, words: &str) -> String {
        support::eventually(words, || self.log().contains(words));
        let log = self.log();
        let line = log.lines().find(|line| line.contains(words));
        line.unwrap().to_owned()
    }

    fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it runs on: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stream in the middle of a transaction that nobody reads: a server that stops waits for it.
fn in_a_transaction(address: SocketAddr) -> RawClient {
    let user = [("user", "pgspool"), ("database", "pgspool")];
    let mut client = RawClient::connect(address);
    client.start(&[user[0], user[1], ("replication", "database")]);
    client.create_slot("slow", "json");
    let mut producer = RawClient::connect(address);
    producer.start(&user);
    producer.query("BEGIN");
    producer.begin_copy();
    let filling = "x".repeat(100_000);
    for id in 0..300 {
        producer.copy_data(&format!(
            "{{\"operation\":\"insert\",\"collection\":\"orders\",\"rid\":{id},\
             \"kind\":\"row\",\"timestamp\":1,\"metadata\":{{\"x\":\"{filling}\"}}}}\n"
        ));
    }
    producer.end_copy();
    assert_eq!(producer.query("COMMIT")[0].tag, 'C');
    client.stream("slow");
    client.data();
    client
}

const FORGED: &str = "x\n2026-01-01T00:00:00.000000Z  INFO pgspool: forged\u{1b}[2J\r";

#[test]
fn a_user_cannot_write_lines_of_the_text_log() {
    let home = Home::new();
    let server = Serve::start(&home, None, &[]);
    server.knock(FORGED);
    let line = server.until_logged("forged");
    assert!(line.contains(r"\n2026-01-01"), "{line}");
    let log = server.log();
    assert!(
        !log.lines().any(|line| line.starts_with("2026-01-01")),
        "{log}"
    );
    assert!(!log.contains(['\u{1b}', '\r']), "{log:?}");
}

/// Where a client is seen to come from.
fn peer(client: &RawClient) -> String {
    client.socket.local_addr().unwrap().to_string()
}

#[test]
fn a_refused_login_is_logged_with_who_whence_and_why() {
    let home = Home::new();
    home.trust_loopback();
    let server = Serve::start(&home, None, &["-c", "auth_delay=0"]);
    for (parameters, wanted) in [
        (
            &[("user", "stranger"), ("database", "pgspool")][..],
            &[
                "user=\"stranger\"",
                "reason=\"no_rule\"",
                "no pg_hba.conf entry",
            ][..],
        ),
        (
            &[("user", "pgspool"), ("database", "nosuch")],
            &[
                "user=\"pgspool\"",
                "method=\"trust\"",
                "reason=\"database\"",
                "nosuch",
            ],
        ),
    ] {
        let mut client = RawClient::connect(server.address);
        client.raw(&startup(3 << 16, parameters));
        assert_eq!(client.until_end().len(), 1);
        let line = server.until_logged(&peer(&client));
        assert!(line.contains("connection refused"), "{line}");
        for words in wanted {
            assert!(line.contains(words), "{words}: {line}");
        }
    }
}

#[test]
fn the_end_of_each_connection_is_one_line_of_the_log() {
    let home = Home::new();
    home.trust_loopback();
    let server = Serve::start(&home, None, &["-c", "authentication_timeout=1s"]);
    let owner = [("user", "pgspool"), ("database", "pgspool")];
    let session = || {
        let mut client = RawClient::connect(server.address);
        client.start(&owner);
        client
    };
    let mut terminated = session();
    terminated.message(b'X', b"");
    terminated.until_end();
    let closed = session();
    closed.half_close();
    let mut silent = RawClient::connect(server.address);
    assert_eq!(silent.read().unwrap().code(), "57014");
    let mut gone = RawClient::connect(server.address);
    gone.half_close();
    gone.until_end();
    let mut impatient = session();
    impatient.query("SET idle_session_timeout TO '50ms'");
    assert_eq!(impatient.until_end()[0].code(), "57P05");
    let mut stopped = session();
    let pid = server.child.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(sent.unwrap().success());
    assert_eq!(stopped.until_end()[0].code(), "57P01");
    for (client, words) in [
        (&terminated, "connection ended: terminated by the client"),
        (&closed, "connection ended: closed by the client"),
        (&silent, "canceling authentication due to timeout"),
        (&gone, "closed before its startup packet"),
        (&impatient, "idle-session timeout"),
        (
            &stopped,
            "terminating connection due to administrator command",
        ),
    ] {
        let peer = peer(client);
        let line = server.until_logged(&peer);
        assert!(line.contains(words), "{words}: {line}");
        let log = server.log();
        let ends = log.lines().filter(|line| line.contains(&peer));
        assert_eq!(ends.count(), 1, "{log}");
    }
}

#[test]
fn json_logs_are_one_object_a_line_with_stable_keys() {
    let home = Home::new();
    let server = Serve::start(&home, None, &["-c", "log_format=json"]);
    server.knock(FORGED);
    server.until_logged("forged");
    for line in server.log().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["timestamp", "level", "target", "message"] {
            assert!(event[key].is_string(), "{key}: {line}");
        }
    }
    let opened = server.until_logged("database opened");
    let opened: serde_json::Value = serde_json::from_str(&opened).unwrap();
    assert_eq!(opened["database"], "pgspool");
    assert_eq!(opened["target"], "pgspool::cli::serve");
}

#[test]
fn log_levels_change_at_a_reload_unless_rust_log_says_them() {
    let home = Home::new();
    fs::create_dir_all(home.data()).unwrap();
    let file = home.path("data").join("pgspool.toml");
    for (rust_log, is_quiet) in [(None, true), (Some("info"), false)] {
        fs::write(&file, "log_level = \"info\"\n").unwrap();
        let server = Serve::start(&home, rust_log, &[]);
        server.knock("nobody_1");
        server.until_logged("nobody_1");
        fs::write(&file, "log_level = \"info,pgspool::server=error\"\n").unwrap();
        server.hang_up();
        server.until_logged("configuration reloaded");
        server.knock("nobody_2");
        if is_quiet {
            fs::write(&file, "log_level = \"debug\"\n").unwrap();
            server.hang_up();
            server.knock("nobody_3");
            support::eventually("levels are back", || {
                server.knock("nobody_3");
                server.log().contains("nobody_3")
            });
            assert!(!server.log().contains("nobody_2"), "{}", server.log());
        } else {
            server.until_logged("nobody_2");
        }
    }
    let refused = pgspool(&["serve", "--data", &home.data(), "-c", "log_level=loud=loud"]);
    assert_eq!(refused.status.code(), Some(1));
}

#[test]
fn admin_is_off_unless_asked_for_and_ends_with_the_server() {
    let home = Home::new();
    home.trust_loopback();
    let server = Serve::start(&home, None, &[]);
    assert!(!server.said.contains("status on"), "{}", server.said);
    drop(server);
    let mut server = Serve::start(&home, None, &["--admin", "127.0.0.1:0"]);
    let status = server
        .said
        .lines()
        .find_map(|line| line.strip_prefix("status on http://"));
    let admin: SocketAddr = status.unwrap().trim_end_matches('/').parse().unwrap();
    assert_eq!(
        admin_support::get(admin, "/readyz"),
        (200, "ready\n".to_owned())
    );
    let stream = in_a_transaction(server.address);
    server.signal("-TERM");
    support::eventually("it says that it stops", || {
        admin_support::get(admin, "/readyz").0 == 503
    });
    // Nobody waits for it any more.
    drop(stream);
    assert!(server.ended().success());
    assert!(std::net::TcpStream::connect(admin).is_err());
}

#[test]
fn admin_for_other_machines_is_a_setting_and_is_warned_of() {
    // An address for documents: no machine has it, so that nothing listens.
    let (home, nowhere) = (Home::new(), "192.0.2.1:0");
    let refused = pgspool(&["serve", "--data", &home.data(), "--admin", nowhere]);
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("-c admin_listen"), "{words}");
    let setting = format!("admin_listen={nowhere}");
    let words = refuse(&["serve", "--data", &home.data(), "-c", &setting]);
    assert!(words.contains("ask nobody who they are"), "{words}");
    assert!(words.contains("192.0.2.1"), "{words}");
}

#[test]
fn who_is_turned_away_is_a_warning_and_who_comes_in_is_told_where_it_is_asked_for() {
    let home = Home::new();
    home.trust_loopback();
    let arguments = ["-c", "log_connections=on"];
    let mut server = Serve::start(&home, None, &arguments);
    server.knock("nobody");
    let line = server.until_logged("connection refused: ");
    assert!(line.contains(" WARN "), "{line}");
    assert!(line.contains("peer=127.0.0.1:"), "{line}");
    let mut client = RawClient::connect(server.address);
    client.start(&[("user", "pgspool"), ("database", "pgspool")]);
    drop(client);
    let line = server.until_logged("connection authorized");
    assert!(line.contains(" INFO "), "{line}");
    assert!(line.contains("method=\"trust\""), "{line}");
    let line = server.until_logged("connection ended: ");
    assert!(line.contains("peer=127.0.0.1:"), "{line}");
    let pid = server.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    server.child.wait().unwrap();
    let log = server.log();
    for words in [
        "stopping fast",
        "all connections ended accepted=2",
        "stopped, databases closed",
    ] {
        assert!(log.contains(words), "{words}: {log}");
    }
}
