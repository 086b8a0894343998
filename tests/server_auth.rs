//! Who comes in: proofs, and what those who do not come in can learn.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgspool::engine::EngineOptions;
use pgspool::hba::{HbaRules, IdentMaps};
use pgspool::roles::{RoleChanges, RoleCommand, Verifier};
use pgspool::server::{Access, AccessFiles, RefusedLogin};
use support::scram::{exchange, initial};
use support::{Message, RawClient, TestServer, create_role, message, startup, superuser};

const SCRAM: &str = "host all all 127.0.0.1/32 scram-sha-256\n";

fn server_with(rules: &str, delay: Duration) -> (TestServer, Access) {
    let access = Access::new(HbaRules::parse(rules).unwrap());
    let kept = access.clone();
    let server = TestServer::start_with(EngineOptions::default(), |options| {
        options.access = access;
        options.auth_delay = delay;
    });
    let with = |password: &str| RoleChanges {
        verifier: Some(Some(Verifier::of_password(password).unwrap())),
        ..superuser()
    };
    let databases = &server.databases;
    create_role(databases, "carol", with("secret"));
    create_role(databases, "expired", with("secret"));
    let changes = RoleChanges {
        valid_until_unix_ms: Some(Some(1)),
        ..RoleChanges::default()
    };
    let name = "expired".to_owned();
    let roles = databases.roles();
    roles.apply(&RoleCommand::Alter { name, changes }).unwrap();
    let nologin = RoleChanges {
        login: Some(false),
        superuser: Some(false),
        ..with("secret")
    };
    create_role(databases, "nologin", nologin);
    (server, kept)
}

fn server(rules: &str) -> (TestServer, Access) {
    server_with(rules, Duration::ZERO)
}

fn knock(server: &TestServer, parameters: &[(&str, &str)]) -> RawClient {
    let mut client = server.connect();
    client.raw(&startup(3 << 16, parameters));
    client
}

fn knock_as(server: &TestServer, user: &str) -> RawClient {
    knock(server, &[("user", user), ("database", "pgspool")])
}

/// The whole login; everything that comes behind the proof.
fn log_in(client: &mut RawClient, password: &str) -> Vec<Message> {
    let exchange = exchange(client, password);
    client.raw(&exchange.last);
    client.until(|message| message.tag == 'Z')
}

fn only_error(messages: &[Message]) -> (String, String) {
    assert_eq!(messages.len(), 1, "{messages:?}");
    let fields = messages[0].fields();
    assert_eq!(fields[&'S'], "FATAL");
    assert_eq!(fields[&'V'], "FATAL");
    (fields[&'C'].clone(), fields[&'M'].clone())
}

fn count(access: &Access, reason: RefusedLogin) -> u64 {
    let all = access.refused_logins();
    all.iter().find(|(known, _)| *known == reason).unwrap().1
}

#[test]
fn the_right_password_comes_in() {
    let (server, access) = server(SCRAM);
    let mut client = knock_as(&server, "carol");
    let greeting = log_in(&mut client, "secret");
    assert_eq!(greeting[0].body[..4], [0, 0, 0, 12]);
    assert_eq!(greeting[1].body, [0, 0, 0, 0]);
    assert_eq!(greeting.last().unwrap().tag, 'Z');
    assert_eq!(client.row("SELECT 1"), [Some("1".to_owned())]);
    assert!(access.refused_logins().iter().all(|(_, count)| *count == 0));
}

#[test]
fn without_tls_only_scram_without_binding_is_offered() {
    let (server, _) = server(SCRAM);
    let offered = exchange(&mut knock_as(&server, "carol"), "secret").offered;
    assert_eq!(offered.body[4..], *b"SCRAM-SHA-256\0\0");
}

/// `ann` has no password, `expired` one that does not count any more, `nobody` is not there.
const WITHOUT_A_WAY_IN: [(&str, &str); 5] = [
    ("carol", "wrong"),
    ("ann", "secret"),
    ("expired", "secret"),
    ("nobody", "secret"),
    ("nologin", "wrong"),
];

#[test]
fn unknown_users_and_wrong_passwords_read_the_same() {
    let (server, access) = server(SCRAM);
    let mut seen = vec![];
    for (user, password) in WITHOUT_A_WAY_IN {
        let mut client = knock_as(&server, user);
        let exchange = exchange(&mut client, password);
        client.raw(&exchange.last);
        let end = client.until_end();
        let (code, text) = only_error(&end);
        assert_eq!(code, "28P01");
        assert_eq!(
            text,
            format!("password authentication failed for user \"{user}\"")
        );
        let error = String::from_utf8_lossy(&end[0].body).replace(user, "USER");
        seen.push((
            exchange.offered.body.clone(),
            exchange.iterations().to_owned(),
            exchange.salt().len(),
            exchange.first.len(),
            error,
        ));
    }
    assert!(seen.iter().all(|each| *each == seen[0]), "{seen:?}");
    assert_eq!(count(&access, RefusedLogin::Password), seen.len() as u64);
}

#[test]
fn who_does_not_exist_has_the_same_salt_each_time() {
    let (server, _) = server(SCRAM);
    let salt = |user| exchange(&mut knock_as(&server, user), "x").salt();
    assert_eq!(salt("nobody"), salt("nobody"));
    assert_ne!(salt("nobody"), salt("nobody2"));
    assert_ne!(salt("nobody"), salt("carol"));
}

#[test]
fn a_refused_login_waits_for_its_answer() {
    let delay = Duration::from_secs(6);
    let (server, _) = server_with(SCRAM, delay);
    // All wait at the same time.
    let waiting = WITHOUT_A_WAY_IN.map(|(user, password)| {
        let mut client = knock_as(&server, user);
        let last = exchange(&mut client, password).last;
        let begin = Instant::now();
        client.raw(&last);
        thread::spawn(move || {
            assert_eq!(client.until_end().len(), 1);
            assert!(begin.elapsed() >= delay, "{user}");
        })
    });
    for client in waiting {
        client.join().unwrap();
    }
    let begin = Instant::now();
    log_in(&mut knock_as(&server, "carol"), "secret");
    assert!(begin.elapsed() < delay);
}

#[test]
fn what_is_sent_behind_a_wrong_proof_is_not_answered() {
    let (server, _) = server(SCRAM);
    let mut client = knock_as(&server, "carol");
    let mut bytes = exchange(&mut client, "wrong").last;
    bytes.extend_from_slice(&message(b'Q', b"SELECT 1\0"));
    client.raw(&bytes);
    assert_eq!(only_error(&client.until_end()).0, "28P01");
}

#[test]
fn what_is_sent_behind_a_right_proof_waits_for_the_greeting() {
    let (server, _) = server(SCRAM);
    let mut client = knock_as(&server, "carol");
    let mut bytes = exchange(&mut client, "secret").last;
    bytes.extend_from_slice(&message(b'Q', b"SELECT 1\0"));
    client.raw(&bytes);
    let greeting = client.until_ready();
    assert!(greeting.iter().all(|message| message.tag != 'D'));
    let answer = client.until_ready();
    assert_eq!(answer[1].values(), [Some("1".to_owned())]);
}

#[test]
fn only_proofs_are_read_of_who_is_not_known() {
    let (server, access) = server(SCRAM);
    let mut bytes = vec![
        message(b'Q', b"SELECT 1\0"),
        message(b'X', b""),
        message(b'P', b""),
        message(b'B', b"\0"),
        vec![b'd', 0, 0, 0, 3],
        vec![b'p', 0, 0, 0, 3],
        vec![b'p', 0, 1, 0, 0],
        vec![b'p', 0x40, 0, 0, 0],
        message(b'p', b""),
        message(b'p', b"secret\0"),
        initial("SCRAM-SHA-1", "n,,n=,r=x"),
        initial("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=x"),
        initial("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=x"),
        initial("SCRAM-SHA-256", "n,,"),
        initial("SCRAM-SHA-256", "n,a=carol,n=,r=x"),
        initial("SCRAM-SHA-256", "n,,m=x,n=,r=x"),
    ];
    for tag in 0..=255_u8 {
        if tag != b'p' {
            bytes.push(message(tag, b"abc"));
        }
    }
    let num = bytes.len() as u64;
    for bytes in bytes {
        let mut client = knock_as(&server, "carol");
        assert_eq!(client.read().unwrap().tag, 'R');
        client.raw(&bytes);
        let (code, _) = only_error(&client.until_end());
        assert_eq!(code, "08P01", "{bytes:?}");
    }
    assert_eq!(count(&access, RefusedLogin::Protocol), num);
}

#[test]
fn broken_last_messages_are_refused() {
    let (server, _) = server(SCRAM);
    for (change, code) in [
        ("", "08P01"),
        ("c=biws", "08P01"),
        ("c=biws,r=other,p=AAAA", "08P01"),
        ("c=eSws,NONCE,p=AAAA", "28000"),
        ("c=biws,NONCE,p=AAAA", "08P01"),
        ("c=biws,NONCE,p=***", "08P01"),
        ("c=biws,NONCE", "08P01"),
    ] {
        let mut client = knock_as(&server, "carol");
        let first = exchange(&mut client, "x").first;
        let nonce = first.split(',').next().unwrap();
        client.raw(&message(b'p', change.replace("NONCE", nonce).as_bytes()));
        assert_eq!(only_error(&client.until_end()).0, code, "{change}");
    }
}

#[test]
fn which_settings_there_are_is_told_behind_the_proof_only() {
    let (server, access) = server(&format!("host all ann all reject\n{SCRAM}"));
    let told = [
        (("options", "-cnosuch=1"), "42704"),
        (("nosuch", "1"), "42704"),
        (("options", "-x"), "42601"),
        (("client_encoding", "LATIN1"), "0A000"),
    ];
    for (asked, code) in told {
        let knock_as = |user| knock(&server, &[("user", user), ("database", "pgspool"), asked]);
        let refused = only_error(&knock_as("ann").until_end());
        assert_eq!(refused.0, "28000", "{asked:?}");
        for user in ["carol", "nobody"] {
            let refused = log_in(&mut knock_as(user), "wrong");
            assert_eq!(only_error(&refused).0, "28P01", "{asked:?}");
        }
        let answer = log_in(&mut knock_as("carol"), "secret");
        let (proven, refused) = answer.split_first().unwrap();
        assert_eq!(proven.body[..4], [0, 0, 0, 12]);
        assert_eq!(only_error(refused).0, code, "{asked:?}");
    }
    assert_eq!(count(&access, RefusedLogin::Protocol), told.len() as u64);
}

#[test]
fn a_refusal_of_settings_by_a_stranger_is_late_as_any_other() {
    let delay = Duration::from_millis(200);
    let (server, _) = server_with("host all ann all reject\n", delay);
    let begin = Instant::now();
    let user = [("user", "ann"), ("options", "-cnosuch=1")];
    assert_eq!(only_error(&knock(&server, &user).until_end()).0, "28000");
    assert!(begin.elapsed() >= delay);
}

/// What is left when a query stands behind a login that comes to nothing.
#[test]
fn the_authentication_timeout_answers_no_query_that_waits() {
    let access = Access::new(HbaRules::parse(SCRAM).unwrap());
    let server = TestServer::start_with(EngineOptions::default(), |options| {
        options.access = access;
        options.authentication_timeout = Duration::from_millis(200);
        // The query comes while the refused proof waits.
        options.auth_delay = Duration::from_secs(60);
    });
    let mut client = knock_as(&server, "ann");
    let last = exchange(&mut client, "wrong").last;
    client.raw(&[last, message(b'Q', b"SELECT 1\0")].concat());
    assert_eq!(only_error(&client.until_end()).0, "57014");
}

/// How long the server thinks about a wrong proof, the middle of many.
fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn who_does_not_exist_costs_as_much_time_as_a_wrong_password() {
    let (server, _) = server(SCRAM);
    // A difference that is there shows each time; one that the machine makes does not.
    let told: Vec<_> = (0..5).map_while(|_| told_apart(&server)).collect();
    assert!(told.len() < 5, "{told:?}");
}

/// The times for an unknown user and a wrong password, where one is much longer.
fn told_apart(server: &TestServer) -> Option<(Duration, Duration)> {
    let (mut unknown, mut wrong) = (vec![], vec![]);
    for _ in 0..60 {
        // By turns, so that what else the machine does meets both.
        for (user, times) in [("nobody", &mut unknown), ("carol", &mut wrong)] {
            let begin = Instant::now();
            let mut client = knock_as(server, user);
            assert_eq!(client.read().unwrap().tag, 'R');
            client.raw(&initial("SCRAM-SHA-256", "n,,n=,r=abcdefghijklmnop"));
            let first = client.read().unwrap();
            let nonce = String::from_utf8_lossy(&first.body[4..]).into_owned();
            let nonce = nonce.split(',').next().unwrap();
            let proof = STANDARD.encode([7; 32]);
            let last = format!("c=biws,{nonce},p={proof}");
            client.raw(&message(b'p', last.as_bytes()));
            assert_eq!(only_error(&client.until_end()).0, "28P01");
            times.push(begin.elapsed());
        }
    }
    let (unknown, wrong) = (middle(unknown), middle(wrong));
    let slack = Duration::from_millis(1);
    let alike = unknown < wrong * 2 + slack && wrong < unknown * 2 + slack;
    (!alike).then_some((unknown, wrong))
}

#[test]
fn who_may_not_log_in_hears_it_behind_the_proof_only() {
    let (server, access) = server(SCRAM);
    let refused = log_in(&mut knock_as(&server, "nologin"), "secret");
    assert_eq!(refused[0].tag, 'R');
    let wanted = "role \"nologin\" is not permitted to log in".to_owned();
    assert_eq!(only_error(&refused[1..]), ("28000".to_owned(), wanted));
    assert_eq!(count(&access, RefusedLogin::NoLogin), 1);
}

#[test]
fn rules_that_let_nobody_in_say_so_as_postgresql_does() {
    let rules = "host pgspool ann 127.0.0.1/32 trust\n\
                 host all bob all reject\n\
                 host replication bob all reject\n\
                 host all ghost all trust\n";
    let (server, access) = server(rules);
    knock_as(&server, "ann").until_ready();
    for (parameters, wanted) in [
        (
            &[("user", "carol"), ("database", "pgspool")][..],
            "no pg_hba.conf entry for host \"127.0.0.1\", user \"carol\", database \"pgspool\", \
             no encryption",
        ),
        (
            &[("user", "ann"), ("database", "else")],
            "no pg_hba.conf entry for host \"127.0.0.1\", user \"ann\", database \"else\", \
             no encryption",
        ),
        (
            &[("user", "ann"), ("replication", "true")],
            "no pg_hba.conf entry for replication connection from host \"127.0.0.1\", user \
             \"ann\", no encryption",
        ),
        (
            &[("user", "bob"), ("database", "x")],
            "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"bob\", database \"x\", \
             no encryption",
        ),
        (
            &[("user", "bob"), ("replication", "true")],
            "pg_hba.conf rejects replication connection for host \"127.0.0.1\", user \"bob\", \
             no encryption",
        ),
        (&[("user", "ghost")], "role \"ghost\" does not exist"),
    ] {
        let (code, text) = only_error(&knock(&server, parameters).until_end());
        assert_eq!((code.as_str(), text.as_str()), ("28000", wanted));
    }
    assert_eq!(count(&access, RefusedLogin::NoRule), 3);
    assert_eq!(count(&access, RefusedLogin::Rejected), 2);
    assert_eq!(count(&access, RefusedLogin::NoRole), 1);
}

#[test]
fn new_rules_and_new_passwords_count_for_the_next_connection() {
    let (server, access) = server(SCRAM);
    log_in(&mut knock_as(&server, "carol"), "secret");
    let name = "carol".to_owned();
    let changes = RoleChanges {
        verifier: Some(Some(Verifier::of_password("new").unwrap())),
        ..RoleChanges::default()
    };
    let alter = RoleCommand::Alter { name, changes };
    server.databases.roles().apply(&alter).unwrap();
    let refused = log_in(&mut knock_as(&server, "carol"), "secret");
    assert_eq!(only_error(&refused).0, "28P01");
    assert_eq!(
        log_in(&mut knock_as(&server, "carol"), "new")
            .last()
            .unwrap()
            .tag,
        'Z'
    );
    let rules = HbaRules::parse("host all carol all reject").unwrap();
    access.replace_rules(rules, IdentMaps::default(), AccessFiles::default());
    assert_eq!(
        only_error(&knock_as(&server, "carol").until_end()).0,
        "28000"
    );
}

#[test]
fn the_authentication_timeout_covers_the_proof() {
    let access = Access::new(HbaRules::parse(SCRAM).unwrap());
    let kept = access.clone();
    let server = TestServer::start_with(EngineOptions::default(), |options| {
        options.access = access;
        options.authentication_timeout = Duration::from_secs(2);
    });
    let mut client = knock_as(&server, "ann");
    let begin = Instant::now();
    let messages = client.until_end();
    assert_eq!(messages[0].tag, 'R');
    let (code, text) = only_error(&messages[1..]);
    assert_eq!(code, "57014");
    assert_eq!(text, "canceling authentication due to timeout");
    assert!(begin.elapsed() < Duration::from_secs(50));
    assert_eq!(count(&kept, RefusedLogin::TimedOut), 1);
}

#[test]
fn drivers_come_in_with_the_right_password_only() {
    let (server, _) = server(SCRAM);
    let mut config = postgres::Config::new();
    config.host("127.0.0.1").port(server.address.port());
    config.user("carol").dbname("pgspool").password("secret");
    let mut client = config.connect(postgres::NoTls).unwrap();
    let row = client.query_one("SELECT current_user::text", &[]).unwrap();
    assert_eq!(row.get::<_, String>(0), "carol");
    config.password("Secret");
    let error = config.connect(postgres::NoTls).err().unwrap();
    assert_eq!(error.code().unwrap().code(), "28P01");
}

#[test]
fn every_refused_client_waits_however_many_they_are() {
    let delay = Duration::from_millis(700);
    let (server, access) = server_with("host all all all reject\n", delay);
    let began = Instant::now();
    let mut clients: Vec<_> = (0..60).map(|_| knock_as(&server, "carol")).collect();
    // Those that were let in last would be the first to be told.
    for client in clients.iter_mut().rev() {
        assert_eq!(only_error(&client.until_end()).0, "28000");
        assert!(began.elapsed() >= delay, "{:?}", began.elapsed());
    }
    assert_eq!(count(&access, RefusedLogin::Rejected), 60);
}

#[test]
fn a_refused_client_that_has_to_go_is_not_answered() {
    let access = Access::new(HbaRules::parse("host all all all reject\n").unwrap());
    let server = TestServer::start_with(EngineOptions::default(), |options| {
        options.access = access;
        options.auth_delay = Duration::from_secs(60);
        options.limits.max_unauthenticated_connections = 2;
    });
    let began = Instant::now();
    let mut clients = [(); 3].map(|()| knock_as(&server, "carol"));
    assert_eq!(clients[0].until_end(), []);
    assert!(began.elapsed() < Duration::from_secs(50));
}
