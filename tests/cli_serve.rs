//! `pgspool serve` as a process: what it says, what it refuses, how it stops.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
#![allow(missing_docs)]

mod cli_support;
mod support;

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use cli_support::{Home, fixture, refuse, succeed};
use support::RawClient;

/// A server on a free port, killed with the value.
struct Serve {
    child: Child,
    /// Every line that the server logged so far.
    logged: Arc<Mutex<Vec<String>>>,
}

impl Serve {
    /// Starts a server and returns what it says, up to the last line that names its address.
    fn start(home: &Home, arguments: &[&str]) -> (Self, String) {
        home.trust_loopback();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pgspool"))
            .args(["serve", "--data", &home.data(), "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let logged = Arc::new(Mutex::new(vec![]));
        let log = Arc::clone(&logged);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                log.lock().unwrap().push(line);
            }
        });
        let mut said = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !said.contains("psql ") {
            assert!(
                lines.read_line(&mut said).unwrap() > 0,
                "it stopped after: {said}"
            );
        }
        (Self { child, logged }, said)
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for a line of the log that contains `words`, and returns it.
    fn log_line(&self, words: &str) -> String {
        for _ in 0..3000 {
            let logged = self.logged.lock().unwrap();
            if let Some(line) = logged.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            drop(logged);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("never logged: {words}\n{:?}", self.logged.lock().unwrap());
    }

    fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_where_it_listens_and_what_to_try() {
    let home = Home::new();
    let (_server, said) = Serve::start(&home, &[]);
    let address = said
        .lines()
        .next()
        .unwrap()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned();
    assert!(TcpStream::connect(&address).is_ok());
    let port = address.rsplit(':').next().unwrap();
    assert!(
        said.contains(&format!("pg_recvlogical -h 127.0.0.1 -p {port} ")),
        "{said}"
    );
    assert!(
        said.contains(&format!("psql -h 127.0.0.1 -p {port} ")),
        "{said}"
    );
}

#[test]
fn localhost_is_an_address_to_listen_on() {
    let home = Home::new();
    let (_server, said) = Serve::start(&home, &["--listen", "localhost:0"]);
    let addresses: Vec<_> = said.lines().take(2).collect();
    for address in addresses {
        let loopback = address.strip_prefix("listening on ").unwrap();
        assert!(TcpStream::connect(loopback).is_ok(), "{said}");
    }
}

#[test]
fn the_default_database_is_made_at_the_first_start() {
    let home = Home::new();
    let (_server, _) = Serve::start(&home, &[]);
    assert!(home.database("pgspool").join("manifest.json").is_file());
}

#[test]
fn sigterm_and_sigint_stop_it_cleanly() {
    for name in ["-TERM", "-INT"] {
        let home = Home::new();
        let (server, _) = Serve::start(&home, &[]);
        server.signal(name);
        assert_eq!(server.exit_code(), Some(0), "{name}");
    }
}

#[test]
fn a_data_directory_has_one_server() {
    let home = Home::new();
    let (_server, _) = Serve::start(&home, &[]);
    let said = refuse(&["serve", "--data", &home.data(), "--listen", "127.0.0.1:0"]);
    assert!(said.contains("in use by another pgspool"), "{said}");
    let file = fixture("shop.rdb").to_str().unwrap().to_owned();
    let said = refuse(&[
        "import",
        "--data",
        &home.data(),
        "--reddb",
        &file,
        "--database",
        "shop",
    ]);
    assert!(said.contains("in use by another pgspool"), "{said}");
}

#[test]
fn trust_for_other_machines_is_warned_of() {
    let home = Home::new();
    std::fs::create_dir(home.path("data")).unwrap();
    let rules = "# comment\nhost all nobody all trust\n";
    std::fs::write(home.path("data").join("pg_hba.conf"), rules).unwrap();
    let (server, _) = Serve::start(&home, &["--listen", "0.0.0.0:0"]);
    server.log_line("line 2 of hba_file trusts everybody on other machines");
}

#[test]
fn its_help_lists_the_settings_with_their_defaults() {
    let help = succeed(&["serve", "--help"]);
    for text in [
        "wal_keep_size=1GB",
        "max_slot_wal_keep_size=-1",
        "slot_retention_max_lag_lsn=64GB",
        "wal_sender_timeout=1min",
        "max_connections=100",
    ] {
        assert!(help.contains(text), "{text}: {help}");
    }
}

#[test]
fn sessions_can_see_its_settings_and_not_change_them() {
    let home = Home::new();
    let (_server, said) = Serve::start(
        &home,
        &["-c", "wal_keep_size=64", "-c", "max_connections=7"],
    );
    let address = said.lines().next().unwrap();
    let address = address.strip_prefix("listening on ").unwrap();
    let mut client = RawClient::connect(address.parse().unwrap());
    client.start(&[("user", "pgspool"), ("database", "pgspool")]);
    for (name, value) in [
        ("wal_keep_size", "64MB"),
        ("max_connections", "7"),
        ("max_replication_slots", "10000"),
        ("Slot_Idle_Timeout", "0"),
        ("wal_sender_timeout", "1min"),
    ] {
        let row = client.row(&format!("SHOW {name}"));
        assert_eq!(row, [Some(value.to_owned())], "{name}");
    }
    assert_eq!(client.failure("SET wal_keep_size = '1GB'"), "55P02");
    assert_eq!(client.failure("SHOW nosuch"), "42704");
}

#[test]
fn an_unknown_setting_refuses_to_start() {
    let home = Home::new();
    for (setting, words) in [
        ("ack_n=3", "unrecognized configuration parameter \"ack_n\""),
        (
            "wal_keep_size=much",
            "invalid value for parameter \"wal_keep_size\": \"much\"",
        ),
        ("wal_keep_size", "name=value"),
        ("max_connections=0", "expected a whole number, at least 1"),
        ("commit_policy=quorum", "set commit_quorum to"),
    ] {
        let said = refuse(&["serve", "--data", &home.data(), "-c", setting]);
        assert!(said.contains(words), "{said}");
    }
    assert!(!home.path("data").exists());
}

fn show(client: &mut RawClient, name: &str) -> String {
    client.query(&format!("SHOW {name}"))[1].values()[0]
        .clone()
        .unwrap()
}

#[test]
fn a_reload_takes_what_can_change_and_a_mistake_changes_nothing() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("data")).unwrap();
    let file = home.path("data/pgspool.toml");
    std::fs::write(&file, "wal_keep_size = \"64MB\"\nmax_connections = 9\n").unwrap();
    let (server, said) = Serve::start(&home, &[]);
    let address = said
        .lines()
        .next()
        .unwrap()
        .strip_prefix("listening on ")
        .unwrap();
    let mut client = RawClient::connect(address.parse().unwrap());
    client.start(&[("user", "pgspool"), ("database", "pgspool")]);
    assert_eq!(show(&mut client, "wal_keep_size"), "64MB");
    let reloaded = |text: &str, wanted: &str| {
        std::fs::write(&file, text).unwrap();
        server.signal("-HUP");
        for _ in 0..3000 {
            let mut client = RawClient::connect(address.parse().unwrap());
            client.start(&[("user", "pgspool"), ("database", "pgspool")]);
            if show(&mut client, "wal_keep_size") == wanted {
                return show(&mut client, "max_connections");
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("not reloaded: {text}");
    };
    assert_eq!(
        reloaded("wal_keep_size = \"32MB\"\nmax_connections = 8\n", "32MB"),
        "9"
    );
    std::fs::write(&file, "wal_keep_size = \"16MB\"\nnonsense = 1\n").unwrap();
    server.signal("-HUP");
    let line = server.log_line("configuration not reloaded");
    assert!(line.contains("nonsense"), "{line}");
    assert_eq!(show(&mut session(&said), "wal_keep_size"), "32MB");
    assert_eq!(
        reloaded("wal_keep_size = \"8MB\"\nmax_connections = 9\n", "8MB"),
        "9"
    );
}

#[test]
fn a_reload_with_a_certificate_that_does_not_load_changes_nothing() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("data")).unwrap();
    let file = home.path("data/pgspool.toml");
    std::fs::write(&file, "wal_keep_size = \"64MB\"\n").unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_pgspool"))
        .args(["cert", "--data", &home.data()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let (server, said) = Serve::start(&home, &["-c", "ssl=on"]);
    let address = said.lines().next().unwrap();
    let address = address.strip_prefix("listening on ").unwrap();
    let certificate = home.path("data/server.crt");
    let good = std::fs::read(&certificate).unwrap();
    std::fs::write(&certificate, "no certificate").unwrap();
    std::fs::write(&file, "wal_keep_size = \"32MB\"\n").unwrap();
    server.signal("-HUP");
    let line = server.log_line("configuration not reloaded");
    assert!(line.contains("server.crt"), "{line}");
    assert_eq!(show(&mut session(&said), "wal_keep_size"), "64MB");
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut socket, &[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
    let mut answer = [0];
    std::io::Read::read_exact(&mut socket, &mut answer).unwrap();
    assert_eq!(answer, *b"S", "TLS is spoken as before");
    drop(socket);

    std::fs::write(&certificate, good).unwrap();
    server.signal("-HUP");
    server.log_line("configuration reloaded");
    assert_eq!(show(&mut session(&said), "wal_keep_size"), "32MB");
}

#[test]
fn a_configuration_file_with_a_mistake_refuses_to_start() {
    let home = Home::new();
    let file = home.path("my.toml");
    std::fs::write(&file, "\nwal_keep = 3\n").unwrap();
    let file = file.to_str().unwrap();
    let said = refuse(&["serve", "--data", &home.data(), "--config", file]);
    assert!(
        said.contains("my.toml, line 2: unrecognized configuration parameter"),
        "{said}"
    );
    let said = refuse(&["serve", "--data", &home.data(), "--config", "/no/such.toml"]);
    assert!(said.contains("cannot read /no/such.toml"), "{said}");
}

fn session(said: &str) -> RawClient {
    let address = said.lines().next().unwrap();
    let address = address.strip_prefix("listening on ").unwrap();
    let mut client = RawClient::connect(address.parse().unwrap());
    client.start(&[("user", "pgspool"), ("database", "pgspool")]);
    client
}

#[test]
fn sessions_begin_with_what_file_environment_and_flags_say() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("data")).unwrap();
    let file = home.path("data/pgspool.toml");
    let first = "statement_timeout = \"90s\"\nwal_sender_timeout = \"5s\"\n";
    std::fs::write(&file, first).unwrap();
    let arguments = [
        "-c",
        "synchronous_commit=local",
        "-c",
        "idle_in_transaction_session_timeout=1h",
    ];
    let (_server, said) = Serve::start(&home, &arguments);
    let mut client = session(&said);
    for (name, value, source) in [
        ("statement_timeout", "90s", "configuration file"),
        ("wal_sender_timeout", "5s", "configuration file"),
        ("synchronous_commit", "local", "command line"),
        ("idle_in_transaction_session_timeout", "1h", "command line"),
        ("lock_timeout", "0", "default"),
    ] {
        assert_eq!(show(&mut client, name), value, "{name}");
        let query = format!("SELECT source FROM pg_settings WHERE name = '{name}'");
        assert_eq!(client.row(&query), [Some(source.to_owned())], "{name}");
    }
    // The line of the file, and a reload by SQL: what went from the file is the default again.
    let query = "SELECT sourceline, pending_restart FROM pg_settings \
                 WHERE name = 'wal_sender_timeout'";
    assert_eq!(client.row(query), [Some("2".into()), Some("f".into())]);
    client.query("SET lock_timeout = '1s'");
    std::fs::write(&file, "statement_timeout = \"80s\"\nmax_connections = 7\n").unwrap();
    assert_eq!(client.row("SELECT pg_reload_conf()"), [Some("t".into())]);
    for _ in 0..3000 {
        if show(&mut client, "statement_timeout") == "80s" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    for client in [&mut client, &mut session(&said)] {
        assert_eq!(show(client, "statement_timeout"), "80s");
        assert_eq!(show(client, "wal_sender_timeout"), "1min");
        assert_eq!(show(client, "max_connections"), "100");
    }
    assert_eq!(show(&mut client, "lock_timeout"), "1s");
    let query = "SELECT count(*) FROM pg_settings WHERE pending_restart AND \
                 name = 'max_connections'";
    assert_eq!(client.row(query), [Some("1".into())]);
}

#[test]
fn more_sessions_than_a_runtime_has_threads_by_default_run_statements_at_once() {
    let home = Home::new();
    let (_server, said) = Serve::start(&home, &["-c", "max_connections=530"]);
    let mut sleeping: Vec<RawClient> = (0..525).map(|_| session(&said)).collect();
    for client in &mut sleeping {
        client.send_query("SELECT pg_sleep(600)");
    }
    let mut other = session(&said);
    let active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' \
                  AND state = 'active'";
    let all = [Some("525".to_owned())];
    for _ in 0..3000 {
        if other.row(active) == all {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(other.row(active), all);
}
