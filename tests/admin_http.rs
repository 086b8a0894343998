//! Who reaches the address for metrics can read them, and nothing else: strangers' names, other
//! methods, long heads, silence and crowds take nothing from the server.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod admin_support;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use admin_support::{Admin, ask, get};
use support::TestServer;

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

#[test]
fn all_paths_answer_to_get_and_head_only() {
    let server = TestServer::start();
    let admin = Admin::start(server.databases.clone(), server.state.clone());
    for (path, words) in [
        ("/healthz", "ok\n"),
        ("/readyz", "ready\n"),
        ("/metrics", "pgspool_ready 1\n"),
        ("/", "<title>pgspool: all well</title>"),
    ] {
        let (status_code, body) = get(admin.address, path);
        assert_eq!(status_code, 200, "{path}");
        assert!(body.contains(words), "{path}: {body}");
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = ask(admin.address, head.as_bytes());
        assert_eq!(status(&answer), "200");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            let answer = ask(admin.address, request.as_bytes());
            assert_eq!(status(&answer), "405", "{method} {path}");
        }
    }
    assert_eq!(get(admin.address, "/etc/passwd").0, 404);
    server.stop();
}

#[test]
fn another_name_than_localhost_is_not_answered() {
    let server = TestServer::start();
    let admin = Admin::start(server.databases.clone(), server.state.clone());
    for host in [
        "evil.example",
        "evil.example:9187",
        "localhost.evil.example",
    ] {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = ask(admin.address, request.as_bytes());
        assert_eq!(status(&answer), "421", "{host}");
        assert!(!answer.contains("pgspool_"), "{answer}");
    }
    let twice = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
    assert_ne!(status(&ask(admin.address, twice)), "200");
    server.stop();
}

#[test]
fn broken_and_endless_requests_end() {
    let server = TestServer::start();
    let admin = Admin::start(server.databases.clone(), server.state.clone());
    let long = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}",
        "y".repeat(1 << 20)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
        "A: b\r\n".repeat(500)
    );
    for request in [
        long.as_bytes(),
        many.as_bytes(),
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let answer = ask(admin.address, request);
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    assert_eq!(get(admin.address, "/healthz").0, 200);
    server.stop();
}

#[test]
fn silent_clients_are_cut_off_and_the_server_serves_on() {
    let server = TestServer::start();
    let admin = Admin::start(server.databases.clone(), server.state.clone());
    let began = Instant::now();
    let mut silent: Vec<_> = (0..100)
        .map(|number| {
            let mut socket = TcpStream::connect(admin.address).unwrap();
            if number % 2 == 0 {
                socket.write_all(b"GET /metrics HT").unwrap();
            }
            socket
        })
        .collect();
    // The server itself is not concerned.
    assert_eq!(server.session().row("SELECT 1"), [Some("1".to_owned())]);
    let patience = Some(Duration::from_secs(60));
    silent[0].set_read_timeout(patience).unwrap();
    let mut last_words = Vec::new();
    // It may be reset, but what it reads on must not be the end of patience.
    if let Err(error) = silent[0].read_to_end(&mut last_words) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert!(began.elapsed() < Duration::from_secs(50));
    drop(silent);
    assert_eq!(get(admin.address, "/healthz").0, 200);
    server.stop();
}

#[test]
fn health_is_told_at_once_while_a_crowd_is_slow_to_ask() {
    let server = TestServer::start();
    let admin = Admin::start(server.databases.clone(), server.state.clone());
    let mut crowd = std::collections::VecDeque::new();
    let half = || {
        let mut socket = TcpStream::connect(admin.address).unwrap();
        socket.write_all(b"GET /metrics HT").unwrap();
        socket
    };
    crowd.extend((0..40).map(|_| half()));
    let mut took = Vec::new();
    for _ in 0..10 {
        for path in ["/healthz", "/readyz"] {
            let began = Instant::now();
            assert_eq!(get(admin.address, path).0, 200);
            took.push(began.elapsed());
        }
        // Renewed all the time.
        for _ in 0..20 {
            drop(crowd.pop_front());
            crowd.push_back(half());
        }
    }
    // A busy machine may hold up some of them, the crowd would hold up each.
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_secs(2), "{took:?}");
    server.stop();
}
