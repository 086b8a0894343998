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
use std::os::unix::fs::PermissionsExt;
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

fn refused_start(home: &Home) -> String {
    cli_support::refuse(&["serve", "--data", &home.data(), "--listen", "127.0.0.1:0"])
}

#[test]
fn lost_rules_are_not_replaced_where_there_are_roles() {
    let home = Home::new();
    drop({
        let mut server = Server::launch(&home);
        server.port();
        server
    });
    let rules = home.path("data").join("pg_hba.conf");
    fs::remove_file(&rules).unwrap();
    let said = refused_start(&home);
    assert!(said.contains(rules.to_str().unwrap()), "{said}");
    assert!(said.contains("pgspool role rules --data"), "{said}");
    assert!(!rules.exists());
    cli_support::succeed(&["role", "rules", "--data", &home.data()]);
    Server::launch(&home).port();
}

#[test]
fn roles_that_are_made_before_the_first_start_come_with_rules() {
    let home = Home::new();
    cli_support::succeed(&["role", "add", "ann", "--superuser", "--data", &home.data()]);
    assert!(home.path("data").join("pg_hba.conf").exists());
    Server::launch(&home).port();
}

#[test]
fn a_data_directory_that_others_may_write_to_is_refused() {
    let home = Home::new();
    Server::launch(&home).port();
    let data = home.path("data");
    let mode = fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
    let mut server = Server::launch(&home);
    let mut client = config(server.port(), &password(&home))
        .connect(NoTls)
        .unwrap();
    let row = client.query_one("SELECT current_setting('data_directory_mode')", &[]);
    assert_eq!(row.unwrap().get::<_, String>(0), "0750");
    drop((client, server));
    fs::set_permissions(&data, fs::Permissions::from_mode(0o770)).unwrap();
    let said = refused_start(&home);
    assert!(said.contains("has invalid permissions"), "{said}");
    assert!(said.contains("u=rwx (0700) or u=rwx,g=rx (0750)"), "{said}");
}

#[test]
fn a_stray_folder_among_the_databases_is_named_and_an_empty_one_is_a_database() {
    let home = Home::new();
    let data = home.path("data");
    fs::create_dir_all(data.join("databases/shop")).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    let port = Server::launch(&home).port();
    assert_ne!(port, 0);
    assert!(data.join("databases/shop/manifest.json").exists());
    let stray = data.join("databases/lost+found");
    fs::create_dir(&stray).unwrap();
    let said = refused_start(&home);
    assert!(said.contains(stray.to_str().unwrap()), "{said}");
}
