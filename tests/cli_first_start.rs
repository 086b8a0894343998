//! The first start, with the real program: whatever cuts it off, the owner can come in afterwards,
//! and nobody else can.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod cli_support;
mod dice;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use cli_support::Home;
use dice::Dice;
use postgres::{Config, NoTls};

struct Server(Child);

impl Server {
    fn launch(home: &Home) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_pgspool"))
            .args(["serve", "--data", &home.data(), "--listen", "127.0.0.1:0"])
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Waits until it listens, and all of its first words are said; returns the port.
    fn port(&mut self) -> u16 {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let mut port = None;
        for line in lines.map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("listening on 127.0.0.1:") {
                port = Some(address.parse().unwrap());
            }
            if line.contains("psql ") {
                return port.unwrap();
            }
        }
        panic!("it did not start");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn password(home: &Home) -> String {
    let text = fs::read_to_string(home.path("data").join("owner.pgpass")).unwrap();
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    line.rsplit_once(":*:pgspool:").unwrap().1.to_owned()
}

fn config(port: u16, password: &str) -> Config {
    let mut config = Config::new();
    config
        .host("127.0.0.1")
        .port(port)
        .user("pgspool")
        .dbname("pgspool");
    config.password(password);
    config
}

#[test]
fn whatever_cuts_the_first_start_off_the_owner_comes_in_afterwards() {
    let mut dice = Dice::seeded();
    for _ in 0..8 {
        let home = Home::new();
        for _ in 0..2 {
            let server = Server::launch(&home);
            thread::sleep(Duration::from_millis(dice.below(150)));
            drop(server);
        }
        let mut server = Server::launch(&home);
        let port = server.port();
        let mut client = config(port, &password(&home)).connect(NoTls).unwrap();
        let row = client.query_one("SELECT current_user::text", &[]).unwrap();
        assert_eq!(row.get::<_, String>(0), "pgspool");
    }
}

#[test]
fn nobody_is_trusted_after_a_first_start() {
    let home = Home::new();
    let mut server = Server::launch(&home);
    let port = server.port();
    let refused = config(port, "").connect(NoTls);
    assert!(refused.is_err());
    let refused = config(port, "guess").connect(NoTls).err().unwrap();
    assert_eq!(refused.code().unwrap().code(), "28P01");
}
