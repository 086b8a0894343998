//! Options as PostgreSQL answers them, values as it sends them.

use super::*;

fn start(options: &[(&str, Option<&str>)]) -> Result<Options, PluginError> {
    let options: Vec<_> = options
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned)))
        .collect();
    Options::parse(&options)
}

/// The answers were asked of PostgreSQL 15.18; those about protocol 4, `parallel` and `origin` are
/// PostgreSQL 16's.
#[test]
#[allow(clippy::too_many_lines)] // a table
fn options_are_refused_as_postgresql_refuses_them() {
    let names = ("publication_names", Some("p"));
    let version = |v| ("proto_version", Some(v));
    let bad = |words: &str| Err(PluginError::InvalidOption(words.to_owned()));
    let syntax = |words: &str| Err(PluginError::Syntax(words.to_owned()));
    let unsupported = |words: &str| Err(PluginError::Unsupported(words.to_owned()));
    let unknown = |words: &str| Err(PluginError::UnknownOption(words.to_owned()));
    let old = "client sent proto_version=0 but we only support protocol 1 or higher";
    let twice = "conflicting or redundant options";
    let list = Err(PluginError::InvalidName(
        "invalid publication_names syntax".to_owned(),
    ));
    let nines = "99999999999999999999";
    type Case<'a> = (&'a [(&'a str, Option<&'a str>)], Result<(), PluginError>);
    let cases: &[Case<'_>] = &[
        (&[version("1"), names], Ok(())),
        (&[version(" +4"), names], Ok(())),
        (&[], unsupported(old)),
        (&[names], unsupported(old)),
        (&[version("1")], bad("publication_names parameter missing")),
        (
            &[version("1"), ("publication_names", Some(" "))],
            bad("publication_names parameter missing"),
        ),
        (&[version("x"), names], bad("invalid proto_version")),
        (&[version("1 "), names], bad("invalid proto_version")),
        (&[version(" "), names], bad("invalid proto_version")),
        (&[version("0x1"), names], bad("invalid proto_version")),
        (&[version(nines), names], bad("invalid proto_version")),
        (&[version(""), names], unsupported(old)),
        (&[version("0"), names], unsupported(old)),
        (&[version("-1")], bad("proto_version \"-1\" out of range")),
        (
            &[version("4294967296"), names],
            bad("proto_version \"4294967296\" out of range"),
        ),
        (
            &[version("4294967295"), names],
            unsupported("client sent proto_version=-1 but we only support protocol 4 or lower"),
        ),
        (
            &[version("9"), names],
            unsupported("client sent proto_version=9 but we only support protocol 4 or lower"),
        ),
        (
            &[("proto_version", None)],
            syntax("proto_version requires a parameter"),
        ),
        (
            &[version("1"), ("publication_names", None)],
            syntax("publication_names requires a parameter"),
        ),
        (
            &[version("1"), ("publication_names", Some("a b"))],
            list.clone(),
        ),
        (&[("publication_names", Some("a,"))], list),
        (&[version("1"), version("1"), names], syntax(twice)),
        (&[version("1"), names, names], syntax(twice)),
        (
            &[("binary", Some("on")), ("binary", Some("x"))],
            syntax(twice),
        ),
        (
            &[("binary", Some("1"))],
            syntax("binary requires a Boolean value"),
        ),
        (
            &[("messages", Some("yes"))],
            syntax("messages requires a Boolean value"),
        ),
        (
            &[("two_phase", Some("x"))],
            syntax("two_phase requires a Boolean value"),
        ),
        (
            &[("streaming", Some("x"))],
            syntax("streaming requires a Boolean value or \"parallel\""),
        ),
        (
            &[version("1"), names, ("streaming", None)],
            bad("requested proto_version=1 does not support streaming, need 2 or higher"),
        ),
        (
            &[version("3"), names, ("streaming", Some("Parallel"))],
            bad("requested proto_version=3 does not support parallel streaming, need 4 or higher"),
        ),
        (
            &[version("2"), names, ("two_phase", Some("ON"))],
            bad("requested proto_version=2 does not support two-phase commit, need 3 or higher"),
        ),
        (&[version("1"), names, ("streaming", Some("off"))], Ok(())),
        (
            &[version("4"), names, ("streaming", Some("parallel"))],
            Ok(()),
        ),
        (&[version("3"), names, ("two_phase", None)], Ok(())),
        (&[version("1"), names, ("origin", Some("NONE"))], Ok(())),
        (&[version("1"), names, ("origin", Some("any"))], Ok(())),
        (
            &[("origin", Some("me"))],
            bad("unrecognized origin value: \"me\""),
        ),
        (&[("origin", None)], syntax("origin requires a parameter")),
        (
            &[version("9"), ("nosuch", None)],
            unknown("unrecognized pgoutput option: nosuch"),
        ),
        (
            &[("Binary", Some("on"))],
            unknown("unrecognized pgoutput option: Binary"),
        ),
    ];
    for (options, wanted) in cases {
        assert_eq!(start(options).map(drop), *wanted, "{options:?}");
    }
    let options = start(&[
        version("1"),
        ("publication_names", Some("A, \"B c\"")),
        ("binary", None),
        ("messages", Some("TRUE")),
    ])
    .unwrap();
    assert_eq!(options.publication_names, ["a", "B c"]);
    assert!(options.binary && options.messages);
}

/// Types of which we have no binary form, and two of which we do not read all values (years BC, the
/// last of all years): their values come as text.
const TEXT_ONLY: &[&str] = &[
    "bit(3)",
    "date",
    "int4range",
    "jsonpath",
    "macaddr",
    "macaddr8",
    "money",
    "point",
    "regclass",
    "timestamp",
    "timetz",
    "tsquery",
    "tsvector",
    "varbit",
    "xml",
];

#[test]
fn values_in_binary_form_are_those_that_postgresql_sends() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/pgoutput/binary.tsv"
    );
    let mut as_text = std::collections::BTreeSet::new();
    let lines = std::fs::read_to_string(path).unwrap();
    for line in lines.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let ty = PgType(fields[0].parse().unwrap());
        let text = String::from_utf8(hex::decode(fields[2]).unwrap()).unwrap();
        assert_eq!(fields[3], "b", "{line}");
        let mut out = Vec::new();
        value(ty, &text, &mut out).unwrap();
        if out[0] == b't' {
            let is_far = text.ends_with("BC") || text.starts_with("294276");
            assert!(
                is_far || !matches!(fields[1], "date" | "timestamp"),
                "{line}"
            );
            assert_eq!(out[5..], *text.as_bytes(), "{line}");
            as_text.insert(fields[1]);
            continue;
        }
        assert_eq!(hex::encode(&out[5..]), fields[4], "{line}: {text}");
    }
    assert_eq!(as_text.into_iter().collect::<Vec<_>>(), TEXT_ONLY);
}
