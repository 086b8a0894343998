//! `pg_hba.conf`: how it is read, which rule decides, and that no text breaks the reader.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod dice;

use std::net::IpAddr;

use dice::Dice;
use pgspool::hba::{Attempt, HbaRules, IdentMaps, Method};

fn attempt<'a>(user: &'a str, database: &'a str, address: Option<&str>) -> Attempt<'a> {
    Attempt {
        database,
        is_physical_replication: false,
        user,
        address: address.map(|text| text.parse().unwrap()),
        is_tls: false,
    }
}

/// The line of the rule that decides.
fn decides(rules: &HbaRules, attempt: &Attempt<'_>) -> Option<u32> {
    rules.find(attempt).map(|rule| rule.line)
}

#[test]
fn the_first_rule_that_fits_decides() {
    let text = "\
# comment
local   all         ann                            peer map=os
local   replication all                            scram-sha-256
local   all         all                            scram-sha-256
host    shop,\"all\"  all       10.0.0.0/8           reject
host    sameuser    all       10.0.0.0 255.0.0.0   scram-sha-256
hostssl all         ann,bob   10.1.0.0/16          cert clientname=DN
hostnossl all       ann       fd00::/8             trust
host    replication repl      all                  scram-sha-256
";
    let rules = HbaRules::parse(text).unwrap();
    let on = |user, database, address| decides(&rules, &attempt(user, database, address));
    assert_eq!(on("ann", "shop", None), Some(2));
    assert_eq!(on("bob", "shop", None), Some(4));
    assert_eq!(on("bob", "shop", Some("10.9.9.9")), Some(5));
    assert_eq!(on("bob", "all", Some("10.9.9.9")), Some(5));
    assert_eq!(on("bob", "bob", Some("10.9.9.9")), Some(6));
    assert_eq!(on("bob", "else", Some("10.1.9.9")), None);
    assert_eq!(on("ann", "else", Some("fd12::1")), Some(8));
    assert_eq!(on("ann", "else", Some("fe80::1")), None);
    assert_eq!(on("ann", "else", Some("192.0.2.1")), None);

    let tls = Attempt {
        is_tls: true,
        ..attempt("ann", "else", Some("10.1.9.9"))
    };
    assert_eq!(decides(&rules, &tls), Some(7));
    let tls = Attempt {
        is_tls: true,
        ..attempt("ann", "else", Some("fd12::1"))
    };
    assert_eq!(decides(&rules, &tls), None);
}

#[test]
fn all_does_not_stand_for_physical_replication_nor_replication_for_databases() {
    let rules = HbaRules::parse(
        "host all all all trust\nhost replication all all reject\nhost replication all all trust",
    )
    .unwrap();
    let mut attempt = attempt("ann", "replication", Some("10.0.0.1"));
    assert_eq!(decides(&rules, &attempt), Some(1));
    attempt.is_physical_replication = true;
    assert_eq!(decides(&rules, &attempt), Some(2));
    let rules = HbaRules::parse("host \"replication\" all all trust").unwrap();
    assert_eq!(decides(&rules, &attempt), None);
    attempt.is_physical_replication = false;
    assert_eq!(decides(&rules, &attempt), Some(1));
}

#[test]
fn an_ipv4_client_is_one_also_on_a_socket_for_both() {
    let rules = HbaRules::parse("host all all 10.0.0.0/8 trust\nhost all all ::/0 reject").unwrap();
    let on = |address| decides(&rules, &attempt("a", "b", Some(address)));
    assert_eq!(on("10.1.2.3"), Some(1));
    assert_eq!(on("::ffff:10.1.2.3"), Some(1));
    assert_eq!(on("::ffff:11.1.2.3"), None);
    assert_eq!(on("fd00::1"), Some(2));
}

/// A line, and the beginning of what is wrong with it.
const MISTAKES: &[(&str, &str)] = &[
    ("locals all all trust", "invalid connection type \"locals\""),
    (
        "hostgssenc all all all trust",
        "connection type \"hostgssenc\" is not supported",
    ),
    ("local", "end-of-line before database specification"),
    ("local all", "end-of-line before role specification"),
    (
        "host all all",
        "end-of-line before IP address specification",
    ),
    (
        "host all all 10.0.0.1",
        "end-of-line before netmask specification",
    ),
    ("local all all", "end-of-line before authentication method"),
    (
        "local,host all all trust",
        "multiple values specified for connection type",
    ),
    (
        "host all all 10.0.0.0/8,all trust",
        "multiple values specified for host address",
    ),
    (
        "host all all 10.0.0.0 255.0.0.0,x trust",
        "multiple values specified for netmask",
    ),
    (
        "local all all trust,peer",
        "multiple values specified for authentication type",
    ),
    (
        "host all all 10.0.0.0/33 trust",
        "invalid CIDR mask in address \"10.0.0.0/33\"",
    ),
    (
        "host all all 10.0.0.0/ trust",
        "invalid CIDR mask in address \"10.0.0.0/\"",
    ),
    (
        "host all all 10.0.0.0/+8 trust",
        "invalid CIDR mask in address \"10.0.0.0/+8\"",
    ),
    (
        "host all all db/8 trust",
        "specifying both host name and CIDR mask is invalid: \"db/8\"",
    ),
    (
        "host all all db.example.com trust",
        "host name \"db.example.com\" is not supported",
    ),
    (
        "host all all .example.com trust",
        "host name \".example.com\" is not supported",
    ),
    (
        "host all all samenet trust",
        "address \"samenet\" is not supported",
    ),
    (
        "host all all 10.0.0.0 255.0.255.0 trust",
        "invalid IP mask \"255.0.255.0\"",
    ),
    (
        "host all all 10.0.0.0 ffff:: trust",
        "IP address and mask do not match",
    ),
    (
        "host all all all md5",
        "authentication method \"md5\" is not supported",
    ),
    (
        "host all all all password",
        "authentication method \"password\" is not supported",
    ),
    (
        "host all all all ldap",
        "authentication method \"ldap\" is not supported",
    ),
    (
        "local all all ident",
        "authentication method \"ident\" is not supported",
    ),
    (
        "host all all all trusted",
        "invalid authentication method \"trusted\"",
    ),
    (
        "host all all all peer",
        "peer authentication is only supported on local sockets",
    ),
    (
        "host all all all cert",
        "cert authentication is only supported on hostssl connections",
    ),
    (
        "local samerole all trust",
        "database \"samerole\" is not supported",
    ),
    ("local all +staff trust", "user \"+staff\" is not supported"),
    (
        "local all @staff trust",
        "names from another file (@file) are not supported",
    ),
    ("local all \"staff trust", "unterminated quoted string"),
    (
        "local all all peer os",
        "authentication option not in name=value format: os",
    ),
    (
        "local all all peer x=1",
        "unrecognized authentication option name: \"x\"",
    ),
    (
        "local all all trust map=os",
        "authentication option \"map\" is only valid for",
    ),
    (
        "local all all peer clientcert=verify-ca",
        "clientcert can only be configured for \"hostssl\" rows",
    ),
    (
        "host all all all trust clientname=CN",
        "clientname can only be configured for \"hostssl\" rows",
    ),
    (
        "hostssl all all all trust clientcert=1",
        "invalid value for clientcert: \"1\"",
    ),
    (
        "hostssl all all all cert clientname=XX",
        "invalid value for clientname: \"XX\"",
    ),
    (
        "hostssl all all all cert clientcert=verify-ca",
        "clientcert only accepts \"verify-full\"",
    ),
];

#[test]
fn every_mistake_is_told_with_its_line_and_all_at_once() {
    let text: String = MISTAKES
        .iter()
        .map(|(line, _)| format!("# x\n{line}\n"))
        .collect();
    let errors = HbaRules::parse(&text).unwrap_err();
    assert_eq!(errors.len(), MISTAKES.len());
    for ((number, (line, words)), error) in (1..).zip(MISTAKES).zip(errors) {
        assert_eq!(error.line, number * 2, "{line}");
        assert!(error.message.starts_with(*words), "{line}: {error}");
    }
    let empty = HbaRules::parse("# nothing\n").unwrap_err();
    assert_eq!(empty[0].message, "the file contains no entries");
}

#[test]
fn options_are_shown_as_they_count() {
    let text = "hostssl all all all cert map=m\n\
                hostssl all all all scram-sha-256 clientcert=verify-ca\n\
                local all all peer map=os\n";
    let rules = HbaRules::parse(text).unwrap();
    let options: Vec<_> = rules.iter().map(|rule| rule.options().join(" ")).collect();
    assert_eq!(
        options,
        [
            "map=m clientcert=verify-full",
            "clientcert=verify-ca",
            "map=os"
        ]
    );
}

const WORDS: &[&str] = &[
    "local",
    "host",
    "hostssl",
    "hostnossl",
    "all",
    "sameuser",
    "replication",
    "ann",
    "\"a b\"",
    "\"",
    "\"\"",
    ",",
    "#",
    "\\",
    "\n",
    "\r\n",
    "\t",
    " ",
    "10.0.0.0/8",
    "10.0.0.0",
    "255.0.0.0",
    "::1/128",
    "fd00::",
    "/",
    "@",
    "@x",
    "+x",
    "trust",
    "reject",
    "scram-sha-256",
    "cert",
    "peer",
    "map=",
    "map=os",
    "clientcert=verify-full",
    "clientname=CN",
    "=",
    "\u{0}",
    "é",
    "/^(.*)$",
    "\\1",
    "samehost",
    "(",
    "0.0.0.0/0",
];

#[test]
fn no_text_breaks_the_reader_and_what_it_takes_it_takes_again() {
    let mut dice = Dice::seeded();
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..dice.index(40) {
            text.push_str(dice.pick(WORDS));
            if dice.chance(70) {
                text.push(' ');
            }
        }
        let lines = HbaRules::parse_lines(&text);
        let num_lines = u32::try_from(text.split('\n').count()).unwrap();
        for line in &lines {
            let number = line.as_ref().map_or_else(|e| e.line, |rule| rule.line);
            assert!((1..=num_lines).contains(&number), "{text:?}");
        }
        let _maps = IdentMaps::parse(&text);
        let Ok(rules) = HbaRules::parse(&text) else {
            continue;
        };
        // The decision is the first rule's that fits, whatever the connection.
        let attempt = random_attempt(&mut dice);
        let found = rules.find(&attempt.borrow()).map(|rule| rule.line);
        let alone = rules.iter().find(|rule| {
            let only = text_of_line(&text, rule.line);
            HbaRules::parse(&only).is_ok_and(|one| one.find(&attempt.borrow()).is_some())
        });
        assert_eq!(found, alone.map(|rule| rule.line), "{text:?}");
    }
}

/// The text from a line on, cut where its rule ends.
fn text_of_line(text: &str, line: u32) -> String {
    let first = usize::try_from(line).unwrap() - 1;
    let mut taken = String::new();
    for part in text.split('\n').skip(first) {
        taken.push_str(part);
        taken.push('\n');
        if !part.trim_end_matches('\r').ends_with('\\') {
            break;
        }
    }
    taken
}

struct OwnedAttempt {
    user: &'static str,
    database: &'static str,
    address: Option<IpAddr>,
    is_tls: bool,
    is_physical_replication: bool,
}

impl OwnedAttempt {
    fn borrow(&self) -> Attempt<'_> {
        Attempt {
            database: self.database,
            is_physical_replication: self.is_physical_replication,
            user: self.user,
            address: self.address,
            is_tls: self.is_tls,
        }
    }
}

fn random_attempt(dice: &mut Dice) -> OwnedAttempt {
    let addresses = ["10.1.2.3", "11.0.0.1", "::1", "fd00::7", "::ffff:10.0.0.1"];
    OwnedAttempt {
        user: dice.pick(&["ann", "a b", "all", "x"]),
        database: dice.pick(&["ann", "all", "replication", "x"]),
        address: dice
            .chance(70)
            .then(|| dice.pick(&addresses).parse().unwrap()),
        is_tls: dice.chance(50),
        is_physical_replication: dice.chance(20),
    }
}

#[test]
fn trust_from_other_machines_is_found() {
    for (text, wanted) in [
        ("host all all 127.0.0.1/32 trust", false),
        ("host all all 127.0.0.0/8 trust", false),
        ("host all all ::1/128 trust", false),
        ("local all all trust", false),
        ("host all all all scram-sha-256", false),
        ("host all all 0.0.0.0/0 trust", true),
        ("host all all all trust", true),
        ("hostssl all all 127.0.0.0/7 trust", true),
        ("host all all 10.0.0.0/8 trust", true),
    ] {
        let rules = HbaRules::parse(text).unwrap();
        assert_eq!(rules.trusted_from_afar().is_some(), wanted, "{text}");
    }
    let all = HbaRules::trust_all();
    assert!(all.iter().all(|rule| rule.method == Method::Trust));
}

#[test]
fn a_net_of_mapped_addresses_is_one_of_ipv4() {
    let text = "\
host all all ::ffff:10.0.0.0/104 trust
host all all ::ffff:192.0.2.1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff trust
host all ann ::ffff:0:0/96 trust
host all all ::/0 reject
";
    let rules = HbaRules::parse(text).unwrap();
    let on = |user, address| decides(&rules, &attempt(user, "x", Some(address)));
    assert_eq!(on("bob", "10.1.2.3"), Some(1));
    assert_eq!(on("bob", "::ffff:10.1.2.3"), Some(1));
    assert_eq!(on("bob", "192.0.2.1"), Some(2));
    assert_eq!(on("bob", "192.0.2.2"), None);
    assert_eq!(on("ann", "192.0.2.2"), Some(3));
    assert_eq!(on("ann", "2001:db8::1"), Some(4));
    // A part of what it says could never fit.
    let mixed = HbaRules::parse("\nhost all all ::ffff:10.0.0.0/95 trust\n").unwrap_err();
    assert_eq!(mixed[0].line, 2);
}
