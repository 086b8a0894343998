//! Encrypted connections: what is asked, what is shown, and what never comes through.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;
mod tls_support;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use pgspool::engine::EngineOptions;
use pgspool::hba::{HbaRules, IdentMaps};
use pgspool::server::{Access, AccessFiles, TlsContext, TlsError, TlsOptions, TlsVersion};
use support::{RawClient, TestServer, ends, message, startup};
use tempfile::TempDir;
use tls_support::{Authority, Files, GSSENC_REQUEST, Handshake, SSL_REQUEST, TlsStream, connect};

const ANN: &[(&str, &str)] = &[("user", "ann"), ("database", "pgspool")];
const MINE: &str = "SELECT ssl, version, cipher, bits, client_dn, client_serial IS NOT NULL, issuer_dn \
                    FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// The mechanisms that a client of this name is asked to choose from.
fn mechanisms<S: Read + Write>(client: &mut RawClient<S>, user: &str) -> String {
    client.raw(&startup(
        3 << 16,
        &[("user", user), ("database", "pgspool")],
    ));
    let asked = client.read().unwrap();
    assert_eq!((asked.tag, &asked.body[..4]), ('R', &[0, 0, 0, 10][..]));
    let names = String::from_utf8_lossy(&asked.body[4..]).into_owned();
    names.trim_end_matches('\0').replace('\0', " ")
}

/// A server with a certificate of an authority that signs clients' too.
struct Encrypted {
    server: TestServer,
    access: Access,
    authority: Authority,
    _folder: TempDir,
}

impl Encrypted {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut TlsOptions)) -> Self {
        Self::start_within(support::PATIENCE, change)
    }

    /// With this for the time that a login may take.
    fn start_within(patience: Duration, change: impl FnOnce(&mut TlsOptions)) -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new("an authority");
        let issued = authority.server(&["localhost", "127.0.0.1"]);
        let mut files = Files::write(folder.path(), &issued, Some(&authority));
        change(&mut files.options);
        let tls = files.load();
        let mut access = Access::default();
        let server = TestServer::start_with(EngineOptions::default(), |options| {
            options.authentication_timeout = patience;
            options.access.replace_tls(Some(tls));
            access.clone_from(&options.access);
        });
        Self {
            server,
            access,
            authority,
            _folder: folder,
        }
    }

    fn handshake(&self) -> Handshake {
        Handshake::trusting(&self.authority)
    }

    fn session(&self, handshake: &Handshake) -> RawClient<TlsStream> {
        let mut client = handshake.asked(self.server.address).unwrap();
        client.start(ANN);
        client
    }
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn a_session_is_encrypted_when_its_client_asks() {
    let place = Encrypted::start();
    let mut client = place.session(&place.handshake());
    let row = client.row(MINE);
    assert_eq!(
        row[..4],
        some(&["t", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "256"])
    );
    assert_eq!(row[4], None);
    let old = Handshake {
        only_tls12: true,
        alpn: vec![],
        ..place.handshake()
    };
    let row = place.session(&old).row(MINE);
    let cipher = "ECDHE-ECDSA-AES256-GCM-SHA384";
    assert_eq!(row[..4], some(&["t", "TLSv1.2", cipher, "256"]));
    let row = place.server.session().row(MINE);
    assert_eq!(row[..2], [Some("f".to_owned()), None]);
}

#[test]
fn direct_tls_needs_the_protocols_name() {
    let place = Encrypted::start();
    let mut client = place.handshake().direct(place.server.address).unwrap();
    client.start(ANN);
    assert_eq!(client.row("SELECT 1"), some(&["1"]));
    for alpn in [vec![], vec!["http/1.1"], vec!["postgres", "h2"]] {
        let wrong = Handshake {
            alpn: alpn.clone(),
            ..place.handshake()
        };
        let Ok(mut client) = wrong.direct(place.server.address) else {
            continue;
        };
        // It may have believed in the handshake; nobody answers behind it.
        let _gone = client.socket.write_all(&startup(3 << 16, ANN));
        let answer = ends(&mut client.socket);
        assert!(answer.is_empty(), "{alpn:?}: {answer:?}");
    }
    let named_late = Handshake {
        alpn: vec!["h2", "postgresql"],
        ..place.handshake()
    };
    let mut client = named_late.direct(place.server.address).unwrap();
    client.start(ANN);
}

#[test]
fn an_encrypted_session_is_asked_for_nothing_else() {
    let place = Encrypted::start();
    for again in [SSL_REQUEST, GSSENC_REQUEST] {
        let mut client = place.handshake().asked(place.server.address).unwrap();
        client.raw(&again);
        let error = client.read().unwrap();
        assert_eq!(error.code(), "0A000");
        assert_eq!(client.read(), None);
    }
    let mut client = RawClient::connect(place.server.address);
    client.raw(&GSSENC_REQUEST);
    assert_eq!(client.byte(), Some(b'N'));
    client.raw(&SSL_REQUEST);
    assert_eq!(client.byte(), Some(b'S'));
    let mut client = RawClient::over(place.handshake().over(client.socket).unwrap());
    client.start(ANN);
}

#[test]
fn bytes_behind_ssl_request_close_the_connection() {
    let place = Encrypted::start();
    let query = message(b'Q', b"SELECT 1\0");
    for request in [SSL_REQUEST, GSSENC_REQUEST] {
        for behind in [startup(3 << 16, ANN), vec![0], vec![0x16], query.clone()] {
            let mut stream = connect(place.server.address);
            stream.write_all(&[&request[..], &behind].concat()).unwrap();
            let answer = ends(&mut stream);
            assert!(answer.is_empty(), "the connection ends unanswered");
        }
    }
}

#[test]
fn plain_bytes_between_answer_and_handshake_never_reach_the_session() {
    let place = Encrypted::start();
    let mut stream = connect(place.server.address);
    stream.write_all(&SSL_REQUEST).unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    stream
        .write_all(&startup(3 << 16, &[("user", "mallory")]))
        .unwrap();
    assert!(place.handshake().over(stream).is_err());
}

#[test]
fn a_cancel_request_may_come_encrypted() {
    let place = Encrypted::start();
    let mut client = place.handshake().asked(place.server.address).unwrap();
    let greeting = client.start(ANN);
    let key = greeting.iter().find(|message| message.tag == 'K').unwrap();
    let mut cancel = [&16_u32.to_be_bytes()[..], &80_877_102_u32.to_be_bytes()].concat();
    cancel.extend_from_slice(&key.body);
    client.send_query("SELECT pg_sleep(60)");
    support::until_active(place.server.address, "SELECT pg_sleep(60)");
    for (index, handshake) in [true, false].iter().enumerate() {
        let mut canceller = if *handshake {
            place.handshake().asked(place.server.address).unwrap()
        } else {
            place.handshake().direct(place.server.address).unwrap()
        };
        canceller.raw(&cancel);
        assert_eq!(canceller.read(), None);
        let answer = client.until_ready();
        let error = answer.iter().find(|message| message.tag == 'E').unwrap();
        assert_eq!(error.code(), "57014");
        if index == 0 {
            client.send_query("SELECT pg_sleep(61)");
            support::until_active(place.server.address, "SELECT pg_sleep(61)");
        }
    }
}

#[test]
fn a_client_certificate_is_shown_when_it_is_good_and_refused_when_it_is_not() {
    let place = Encrypted::start();
    let with = |identity| Handshake {
        identity: Some(identity),
        ..place.handshake()
    };
    let row = place
        .session(&with(place.authority.client("ann", 2200)))
        .row(MINE);
    assert_eq!(row[4..], some(&["/CN=ann", "t", "/CN=an authority"]));
    let stranger = Authority::new("an authority");
    let expired = place.authority.client("ann", 1999);
    for (what, identity) in [
        ("of another authority", stranger.client("ann", 2200)),
        ("expired", expired),
        ("for servers", place.authority.server(&["localhost"])),
    ] {
        for only_tls12 in [false, true] {
            let handshake = Handshake {
                only_tls12,
                ..with(identity.clone())
            };
            // In TLS 1.3 the client learns of it after its own side is done.
            let Ok(mut client) = handshake.asked(place.server.address) else {
                continue;
            };
            let _gone = client.socket.write_all(&startup(3 << 16, ANN));
            let mut answer = [0];
            let read = client.socket.read(&mut answer);
            assert!(!matches!(read, Ok(1)), "{what}: {answer:?}");
            let said = read.unwrap_err().to_string();
            assert!(
                said.contains("ertificate") || said.contains("alert"),
                "{what}: {said}"
            );
        }
    }
}

#[test]
fn channel_binding_is_offered_where_there_is_a_channel() {
    let place = Encrypted::start();
    let rules = "host all all all scram-sha-256\n";
    let rules = HbaRules::parse(rules).unwrap();
    place
        .access
        .replace_rules(rules, IdentMaps::default(), AccessFiles::default());
    let mut client = place.handshake().asked(place.server.address).unwrap();
    assert_eq!(
        mechanisms(&mut client, "carol"),
        "SCRAM-SHA-256-PLUS SCRAM-SHA-256"
    );
    let mut client = RawClient::connect(place.server.address);
    assert_eq!(mechanisms(&mut client, "carol"), "SCRAM-SHA-256");
}

#[test]
fn versions_outside_the_range_are_refused() {
    let place = Encrypted::start_with(|options| options.min_version = TlsVersion::V13);
    let old = Handshake {
        only_tls12: true,
        ..place.handshake()
    };
    assert!(old.asked(place.server.address).is_err());
    place.session(&place.handshake());
    let place = Encrypted::start_with(|options| options.max_version = Some(TlsVersion::V12));
    let row = place.session(&place.handshake()).row(MINE);
    assert_eq!(row[1].as_deref(), Some("TLSv1.2"));
}

#[test]
fn without_files_there_is_no_encryption_and_no_start() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("an authority");
    let issued = authority.server(&["localhost"]);
    let files = Files::write(folder.path(), &issued, Some(&authority));
    let load = || TlsContext::load(&files.options, folder.path());
    assert!(matches!(load(), Ok(Some(_))));
    let off = TlsOptions::default();
    assert!(matches!(TlsContext::load(&off, folder.path()), Ok(None)));
    let key = folder.path().join("server.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(load(), Err(TlsError::Key { .. })));
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, authority.client("x", 2200).key).unwrap();
    assert!(matches!(load(), Err(TlsError::Pair(_))));
    fs::write(&key, "no key").unwrap();
    assert!(matches!(load(), Err(TlsError::Key { .. })));
    fs::remove_file(&key).unwrap();
    assert!(matches!(load(), Err(TlsError::Key { .. })));
    fs::write(folder.path().join("root.crt"), "").unwrap();
    fs::write(&key, &issued.key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(load(), Err(TlsError::Authorities { .. })));
    fs::write(folder.path().join("server.crt"), "").unwrap();
    assert!(matches!(load(), Err(TlsError::Certificate { .. })));
    let range = TlsOptions {
        min_version: TlsVersion::V13,
        max_version: Some(TlsVersion::V12),
        ..files.options.clone()
    };
    fs::write(folder.path().join("server.crt"), &issued.certificate).unwrap();
    let refused = TlsContext::load(&range, folder.path());
    assert!(matches!(refused, Err(TlsError::VersionRange)));
}

#[test]
fn a_new_certificate_counts_for_new_connections_only() {
    let folder = TempDir::new().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut access = None;
    let files = Files::write(folder.path(), &old.server(&["localhost"]), None);
    let server = TestServer::start_with(EngineOptions::default(), |options| {
        options.access.replace_tls(Some(files.load()));
        access = Some(options.access.clone());
    });
    let access = access.unwrap();
    let mut before = Handshake::trusting(&old).asked(server.address).unwrap();
    before.start(ANN);
    let files = Files::write(folder.path(), &new.server(&["localhost"]), None);
    access.replace_tls(Some(files.load()));
    assert!(Handshake::trusting(&old).asked(server.address).is_err());
    let mut after = Handshake::trusting(&new).asked(server.address).unwrap();
    after.start(ANN);
    assert_eq!(before.row("SELECT 1"), some(&["1"]));
    access.replace_tls(None);
    let mut plain = RawClient::connect(server.address);
    plain.raw(&SSL_REQUEST);
    assert_eq!(plain.byte(), Some(b'N'));
    assert_eq!(after.row("SELECT 2"), some(&["2"]));
}

#[test]
fn a_handshake_that_is_not_finished_ends_in_time() {
    let place = Encrypted::start_within(Duration::from_secs(3), |_| {});
    for first in [&SSL_REQUEST[..], &[0x16, 3, 1]] {
        let mut stream = connect(place.server.address);
        stream.write_all(first).unwrap();
        let began = Instant::now();
        let answer = ends(&mut stream);
        assert!(answer == b"S" || answer.is_empty(), "{answer:?}");
        assert!(began.elapsed() < support::PATIENCE);
    }
    place.session(&place.handshake());
}

#[test]
fn an_encrypted_stream_carries_everything_both_ways() {
    let place = Encrypted::start();
    let mut producer = place.session(&place.handshake());
    producer.begin_copy();
    for block in 0..100_u64 {
        let lines: String = (1..=200).map(|n| support::line(block * 200 + n)).collect();
        producer.copy_data(&lines);
    }
    assert_eq!(producer.end_copy()[0].tag_text(), "COPY 20000");
    let mut client = place.handshake().asked(place.server.address).unwrap();
    client.start(&[
        ("user", "ann"),
        ("database", "pgspool"),
        ("replication", "database"),
    ]);
    let create = "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL json (START 'earliest')";
    if client.query(create)[0].tag == 'E' {
        client.create_slot("s", "json");
        place.server.publish(1..=20_000);
    }
    client.stream("s");
    assert_eq!(client.ids(20_000), (1..=20_000).collect::<Vec<_>>());
    let head = place.server.publish([20_001]);
    assert_eq!(client.ids(1), [20_001]);
    client.acknowledge(head);
    client.message(b'c', b"");
    assert_eq!(client.until_ready().last().unwrap().tag, 'Z');
    assert_eq!(client.row("SELECT 1"), some(&["1"]));
}

#[test]
fn a_stalled_encrypted_client_is_dropped_in_time() {
    let place = Encrypted::start();
    let mut client = place.handshake().asked(place.server.address).unwrap();
    client.start(&[
        ("user", "ann"),
        ("database", "pgspool"),
        ("replication", "database"),
        ("options", "-c wal_sender_timeout=500"),
    ]);
    client.create_slot("stalled", "json");
    // All of it is there when the stream begins: more than the sockets hold, and nobody reads.
    for block in 0..40 {
        place
            .server
            .publish(block * 5_000 + 1..=block * 5_000 + 5_000);
    }
    client.stream("stalled");
    let began = Instant::now();
    let active = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'";
    let mut watcher = place.server.session();
    while watcher.row(active) != some(&["0"]) {
        assert!(began.elapsed() < support::PATIENCE, "never dropped");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What was under way comes, and it is not all.
    let sent = ends(&mut client.socket).len();
    assert!(sent > 0, "the stream had begun");
    assert!(sent < 200_000 * 100, "the socket was full: {sent}");
}
