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
use std::process::{Child, Command, Stdio};

use cli_support::{Home, pgspool};
use support::{RawClient, startup};

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
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-HUP", &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    let server = Serve::start(&home, None, &[]);
    assert!(!server.said.contains("status on"), "{}", server.said);
    drop(server);
    let server = Serve::start(&home, None, &["--admin", "127.0.0.1:0"]);
    let status = server
        .said
        .lines()
        .find_map(|line| line.strip_prefix("status on http://"));
    let admin: SocketAddr = status.unwrap().trim_end_matches('/').parse().unwrap();
    assert_eq!(
        admin_support::get(admin, "/readyz"),
        (200, "ready\n".to_owned())
    );
    drop(server);
    assert!(std::net::TcpStream::connect(admin).is_err());
    let refused = pgspool(&["serve", "--data", &home.data(), "--admin", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(2));
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("-c admin_listen"), "{words}");
    let server = Serve::start(&home, None, &["-c", "admin_listen=0.0.0.0:0"]);
    server.until_logged("ask nobody who they are");
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
