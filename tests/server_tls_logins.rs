//! Proofs over encrypted connections: passwords bound to the channel, and whose a certificate is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions)]
#![allow(clippy::panic, missing_docs)]

mod support;
mod tls_support;

use std::io::{Read, Write};
use std::time::Duration;

use pgspool::engine::EngineOptions;
use pgspool::hba::{HbaRules, IdentMaps};
use pgspool::roles::{RoleChanges, Verifier};
use pgspool::server::AccessFiles;
use rcgen::DnType;
use ring::digest;
use support::scram::{Channel, UNBOUND, exchange_on, first_on};
use support::{Message, RawClient, TestServer, create_role, message, startup, superuser};
use tempfile::TempDir;
use tls_support::{Authority, Files, Handshake, Issued, TlsStream};

const RULES: &str = "\
    hostssl all carol all scram-sha-256\n\
    hostssl all by_mail all cert clientname=SAN\n\
    hostssl all by_subject all cert clientname=DN map=subjects\n\
    hostssl all mapped all cert map=machines\n\
    hostssl all strict all scram-sha-256 clientcert=verify-full\n\
    hostssl all lax all scram-sha-256 clientcert=verify-ca\n";
const MAPS: &str = "\
    subjects \"CN=robot,O=Spools\" by_subject\n\
    machines /^machine_[0-9]+$ mapped\n";

struct Place {
    server: TestServer,
    authority: Authority,
    _folder: TempDir,
}

impl Place {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new("an authority");
        let issued = authority.server(&["localhost"]);
        let tls = Files::write(folder.path(), &issued, Some(&authority)).load();
        let server = TestServer::start_with(EngineOptions::default(), |options| {
            options.auth_delay = Duration::ZERO;
            let access = &options.access;
            access.replace_tls(Some(tls));
            let (rules, maps) = (HbaRules::parse(RULES), IdentMaps::parse(MAPS));
            access.replace_rules(rules.unwrap(), maps.unwrap(), AccessFiles::default());
        });
        for name in ["carol", "by_mail", "by_subject", "mapped", "strict", "lax"] {
            let changes = RoleChanges {
                verifier: Some(Some(Verifier::of_password("secret").unwrap())),
                ..superuser()
            };
            create_role(&server.databases, name, changes);
        }
        Self {
            server,
            authority,
            _folder: folder,
        }
    }

    /// A client that has sent its startup packet.
    fn knock(&self, user: &str, identity: Option<Issued>) -> RawClient<TlsStream> {
        let handshake = Handshake {
            identity,
            ..Handshake::trusting(&self.authority)
        };
        let mut client = handshake.asked(self.server.address).unwrap();
        let parameters = [("user", user), ("database", "pgspool")];
        client.raw(&startup(3 << 16, &parameters));
        client
    }
}

/// The hash of the server's certificate, which the client has seen.
fn end_point(client: &RawClient<TlsStream>) -> Vec<u8> {
    let certificates = client.socket.0.conn.peer_certificates().unwrap();
    let hash = digest::digest(&digest::SHA256, &certificates[0]);
    hash.as_ref().to_vec()
}

const fn bound(binding: &[u8]) -> Channel<'_> {
    Channel {
        mechanism: "SCRAM-SHA-256-PLUS",
        flag: "p=tls-server-end-point,,",
        binding,
    }
}

/// How it ends: with `Z`, or with the SQLSTATE and the text of the one error that is the last.
fn end(messages: &[Message]) -> (String, String) {
    let last = messages.last().unwrap();
    if last.tag == 'Z' {
        return ("Z".to_owned(), String::new());
    }
    assert!(messages.iter().all(|m| matches!(m.tag, 'R' | 'E')));
    let fields = last.fields();
    assert_eq!(fields[&'S'], "FATAL");
    (fields[&'C'].clone(), fields[&'M'].clone())
}

fn log_in<S: Read + Write>(
    client: &mut RawClient<S>,
    password: &str,
    channel: &Channel<'_>,
) -> (String, String) {
    let last = exchange_on(client, password, channel).last;
    client.raw(&last);
    end(&client.until_ready())
}

#[test]
fn a_password_bound_to_another_channel_is_refused() {
    let place = Place::start();
    let mut client = place.knock("carol", None);
    let hash = end_point(&client);
    assert_eq!(log_in(&mut client, "secret", &bound(&hash)).0, "Z");
    let mut other = hash.clone();
    other[0] ^= 1;
    for wrong in [&other[..], &hash[1..], b""] {
        let refused = log_in(&mut place.knock("carol", None), "secret", &bound(wrong));
        let words = "SCRAM channel binding check failed";
        assert_eq!(refused, ("28000".to_owned(), words.to_owned()));
    }
    let wrong = log_in(&mut place.knock("carol", None), "wrong", &bound(&hash));
    assert_eq!(wrong.0, "28P01");
    let unbound = log_in(&mut place.knock("carol", None), "secret", &UNBOUND);
    assert_eq!(unbound.0, "Z", "a client may not want it");
}

#[test]
fn a_client_that_was_kept_from_binding_is_refused() {
    let place = Place::start();
    let cases = [
        // It would bind, and believes that this was not offered: somebody took it away.
        (
            Channel {
                flag: "y,,",
                ..UNBOUND
            },
            "28000",
            "SCRAM channel binding negotiation error",
        ),
        (
            Channel {
                flag: "n,,",
                ..bound(b"")
            },
            "08P01",
            "malformed SCRAM message",
        ),
        (
            Channel {
                flag: "y,,",
                ..bound(b"")
            },
            "08P01",
            "malformed SCRAM message",
        ),
        (
            Channel {
                flag: "p=tls-server-end-point,,",
                ..UNBOUND
            },
            "08P01",
            "malformed SCRAM message",
        ),
        (
            Channel {
                flag: "p=tls-unique,,",
                ..bound(b"")
            },
            "08P01",
            "unsupported SCRAM channel-binding type",
        ),
    ];
    for (channel, code, words) in cases {
        let what = format!("{} {}", channel.mechanism, channel.flag);
        let mut client = place.knock("carol", None);
        let offered = client.read().unwrap();
        assert_eq!(offered.body[4..], *b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        client.raw(&[first_on(&channel), message(b'Q', b"SELECT 1\0")].concat());
        let answer = client.until_end();
        assert_eq!(answer.len(), 1, "{what}: {answer:?}");
        assert_eq!(end(&answer), (code.to_owned(), words.to_owned()), "{what}");
    }
}

#[test]
fn a_certificate_is_a_way_in_by_the_name_that_the_rule_asks_for() {
    let place = Place::start();
    let organization = |name| [(DnType::OrganizationName, name)];
    let issue = |name, parts: &[_], mails: &[_]| place.authority.client_of(name, parts, mails);
    for (user, certificate, good) in [
        (
            "by_mail",
            issue("x", &[], &["a@example.com", "by_mail"]),
            true,
        ),
        ("by_mail", issue("by_mail", &[], &[]), false),
        ("by_mail", issue("by_mail", &[], &["by_mail2"]), false),
        (
            "by_subject",
            issue("robot", &organization("Spools"), &[]),
            true,
        ),
        (
            "by_subject",
            issue("robot", &organization("Others"), &[]),
            false,
        ),
        ("by_subject", issue("robot", &[], &[]), false),
        ("by_subject", issue("by_subject", &[], &[]), false),
        ("mapped", issue("machine_7", &[], &[]), true),
        ("mapped", issue("machine_x", &[], &[]), false),
        ("mapped", issue("mapped", &[], &[]), false),
    ] {
        let shown = certificate.clone();
        let (code, words) = end(&place.knock(user, Some(certificate)).until_ready());
        if good {
            assert_eq!(code, "Z", "{user} {words} {}", shown.certificate);
            continue;
        }
        assert_eq!(code, "28000", "{user}");
        let wanted = format!("certificate authentication failed for user \"{user}\"");
        assert_eq!(words, wanted);
    }
    for user in ["by_mail", "by_subject", "mapped"] {
        let (code, words) = end(&place.knock(user, None).until_ready());
        assert_eq!(code, "28000");
        assert_eq!(words, "connection requires a valid client certificate");
    }
}

#[test]
fn a_certificate_beside_a_password_is_asked_for_with_it() {
    let place = Place::start();
    let of = |name: &str| place.authority.client(name, 2200);
    for (user, name, password, wanted) in [
        ("strict", "strict", "secret", "Z"),
        ("strict", "strict", "wrong", "28P01"),
        ("strict", "lax", "secret", "28P01"),
        ("lax", "lax", "secret", "Z"),
        ("lax", "somebody", "secret", "Z"),
        ("lax", "somebody", "wrong", "28P01"),
    ] {
        let mut client = place.knock(user, Some(of(name)));
        let hash = end_point(&client);
        let (code, words) = log_in(&mut client, password, &bound(&hash));
        assert_eq!(code, wanted, "{user} {name} {password}");
        if wanted != "Z" {
            let text = format!("password authentication failed for user \"{user}\"");
            assert_eq!(words, text);
        }
    }
    for user in ["strict", "lax"] {
        // Nobody is asked for a password without one.
        let answer = place.knock(user, None).until_end();
        assert_eq!(answer.len(), 1, "{answer:?}");
        assert_eq!(end(&answer).0, "28000");
    }
}
