use super::*;

fn parsed(text: &str) -> Conninfo {
    Conninfo::parse(text).unwrap()
}

fn hosts(text: &str) -> Vec<String> {
    parsed(text)
        .targets()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn both_forms_are_read_as_libpq_reads_them() {
    let keywords = parsed("host = a,b port=5433 user='re pl' dbname='it\\'s' sslmode=require");
    assert_eq!(keywords.user(), "re pl");
    assert_eq!(keywords.dbname(), "it's");
    assert_eq!(hosts("host=a,b port=5433 dbname=d"), ["a:5433", "b:5433"]);
    assert_eq!(hosts("host=a,b port=1,2 dbname=d"), ["a:1", "b:2"]);
    assert_eq!(hosts("host=a,b port=,2 dbname=d"), ["a:5432", "b:2"]);
    assert_eq!(hosts("dbname=d"), ["localhost:5432"]);
    assert_eq!(hosts("hostaddr=10.0.0.1 dbname=d"), ["10.0.0.1:5432"]);
    // libpq checks the certificate against the host's name then.
    assert_eq!(
        Conninfo::parse("host=a hostaddr=10.0.0.1 dbname=d sslmode=verify-full"),
        Err(ConninfoError::HostAndAddress)
    );
    let uri = parsed("postgresql://re%20pl@a:1,[::1]:2/it's?sslmode=require&connect_timeout=3");
    assert_eq!((uri.user(), uri.dbname()), ("re pl", "it's"));
    assert_eq!(hosts("postgres://u@a:1,[::1]:2/d"), ["a:1", "[::1]:2"]);
    assert_eq!(hosts("postgres://u@/d?host=h&port=7"), ["h:7"]);
    let attrs = parsed("dbname=d target_session_attrs=prefer-standby").attrs();
    assert_eq!(attrs, TargetAttrs::PreferStandby);
    assert_eq!(
        parsed("dbname=d application_name=x").application_name(),
        Some("x")
    );
}

#[test]
fn a_password_is_refused_and_no_value_is_repeated() {
    for text in [
        "dbname=d password=S3cret",
        "dbname=d sslpassword=S3cret",
        "postgresql://u:S3cret@h/d",
        "postgresql://u@h/d?password=S3cret",
        "dbname=d passwort=S3cret",
        "dbname=d sslmode=S3cret",
        "dbname=d port=S3cret",
        "dbname=d passfile=S3cret",
        "dbname='S3cret",
        "postgresql://u@h/d?S3cret",
        "dbname=d user=%S3cret host=/S3cret",
    ] {
        let error = Conninfo::parse(text).unwrap_err().to_string();
        assert!(!error.contains("S3cret"), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    use ConninfoError as E;
    let table: &[(&str, E)] = &[
        ("host=h", E::NoDatabase),
        (
            "dbname=d nonsense=1",
            E::UnknownOption("nonsense".to_owned()),
        ),
        ("dbname=d sslcert=x", E::Unsupported("sslcert".to_owned())),
        (
            "dbname=d replication=true",
            E::Unsupported("replication".to_owned()),
        ),
        ("dbname=d host=/tmp", E::UnixSocket),
        (
            "dbname=d host=a,b,c port=1,2",
            E::Ports { ports: 2, hosts: 3 },
        ),
        ("dbname=d port=0", E::Value("port")),
        ("dbname=d sslmode=requirre", E::Value("sslmode")),
        (
            "dbname=d target_session_attrs=x",
            E::Value("target_session_attrs"),
        ),
    ];
    for (text, wanted) in table {
        assert_eq!(Conninfo::parse(text).as_ref(), Err(wanted), "{text}");
    }
    assert!(Conninfo::parse("dbname").is_err());
    assert!(Conninfo::parse("postgres://u@[::1/d").is_err());
    assert!(Conninfo::parse("postgres://u@h/%zz").is_err());
}

#[test]
fn a_string_for_one_host_quotes_what_is_in_it() {
    let conninfo = parsed("host=a,b user=u dbname='a b' sslmode=disable");
    let target = conninfo.targets()[1].clone();
    assert_eq!(
        conninfo.with_password(&target, "it's\\", true),
        "host='b' port='5432' user='u' dbname='a b' password='it''s\\' replication='database' \
         connect_timeout='10' sslmode='disable'"
    );
}
