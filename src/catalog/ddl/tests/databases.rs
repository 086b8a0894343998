//! CREATE DATABASE and DROP DATABASE.

use super::super::{CreateDatabase, DatabaseStatement, parse_databases};
use super::shown;

fn read(text: &str) -> DatabaseStatement {
    parse_databases(text).unwrap().unwrap()
}

fn created(text: &str) -> CreateDatabase {
    match read(text) {
        DatabaseStatement::Create(new) => new,
        other @ (DatabaseStatement::Drop { .. } | DatabaseStatement::Pause { .. }) => {
            panic!("{other:?}")
        }
    }
}

fn refused(text: &str) -> String {
    shown(&parse_databases(text).unwrap_err())
}

#[test]
fn a_plain_database_takes_what_changes_nothing() {
    for text in [
        "CREATE DATABASE shop",
        "create database Shop;",
        "CREATE DATABASE shop WITH ENCODING 'UTF8' TEMPLATE template0 LC_COLLATE = 'C'",
        "CREATE DATABASE shop ENCODING = 'utf-8' CONNECTION LIMIT -1 TABLESPACE pg_default",
        "CREATE DATABASE shop OWNER DEFAULT ALLOW_CONNECTIONS true IS_TEMPLATE = false",
        "/* a */ CREATE DATABASE \"shop\" STRATEGY wal_log LOCALE_PROVIDER libc",
    ] {
        let new = created(text);
        assert_eq!((new.name.as_str(), new.capture), ("shop", None), "{text}");
    }
    let new = created("CREATE DATABASE shop WITH OWNER = ann TEMPLATE = other");
    assert_eq!(new.owner.as_deref(), Some("ann"));
    assert_eq!(new.template.as_deref(), Some("other"));
}

#[test]
fn what_a_plain_database_cannot_have_is_told_as_postgresql_tells_it() {
    for (text, wanted) in [
        ("CREATE DATABASE", "42601 syntax error at end of input @16"),
        (
            "CREATE DATABASE shop WITH COLOUR red",
            "42601 option \"colour\" not recognized @27",
        ),
        (
            "CREATE DATABASE shop ENCODING 'UTF8' ENCODING 'UTF8'",
            "42601 conflicting or redundant options @38",
        ),
        (
            "CREATE DATABASE shop CONNECTION LIMIT -2",
            "22023 invalid connection limit: -2",
        ),
        (
            "CREATE DATABASE shop TABLESPACE fast",
            "42704 tablespace \"fast\" does not exist",
        ),
        (
            "CREATE DATABASE shop STRATEGY magic",
            "22023 invalid create database strategy \"magic\" | HINT: Valid strategies are \
             \"wal_log\", and \"file_copy\".",
        ),
        (
            "CREATE DATABASE shop LOCALE_PROVIDER magic",
            "42P17 unrecognized locale provider: magic @22",
        ),
        (
            "CREATE DATABASE shop ALLOW_CONNECTIONS maybe",
            "42601 allow_connections requires a Boolean value",
        ),
        (
            "CREATE DATABASE shop IN x",
            "42601 syntax error at or near \"IN\" @22",
        ),
    ] {
        assert_eq!(refused(text), wanted, "{text}");
    }
    for text in [
        "CREATE DATABASE shop ENCODING 'LATIN1'",
        "CREATE DATABASE shop LC_CTYPE 'de_DE.UTF-8'",
        "CREATE DATABASE shop CONNECTION LIMIT 5",
        "CREATE DATABASE shop IS_TEMPLATE true",
    ] {
        assert!(refused(text).starts_with("0A000 "), "{text}");
    }
}

#[test]
fn a_captured_database_says_what_it_follows() {
    let new = created(
        "CREATE DATABASE shop WITH (upstream = 'host=a dbname=b', publication = 'p, q',
             slot = 's', password_file = '/run/pw', create_slot = false, create_publication,
             connect = off, heartbeat = '10s')",
    );
    let capture = new.capture.unwrap();
    assert_eq!(capture.settings.publications, ["p", "q"]);
    assert_eq!(capture.settings.slot, "s");
    assert!(!capture.settings.create_slot && capture.settings.create_publication);
    assert!(!capture.connect);
    let new = created("CREATE DATABASE shop (upstream 'host=a dbname=b', publication p)");
    assert_eq!(new.capture.unwrap().settings.slot, "pgspool_shop");
}

#[test]
fn a_captured_database_refuses_what_it_cannot_follow() {
    for (text, wanted) in [
        (
            "CREATE DATABASE shop WITH (upstream = 'host=a dbname=b')",
            "42601 a captured database needs the option \"publication\"",
        ),
        (
            "CREATE DATABASE shop WITH (upstream = 'a', colour = 'red')",
            "42601 option \"colour\" not recognized @44",
        ),
        (
            "CREATE DATABASE shop WITH (slot = 'a', slot = 'b')",
            "42601 conflicting or redundant options @40",
        ),
        (
            "CREATE DATABASE shop WITH ()",
            "42601 syntax error at or near \")\" @28",
        ),
        (
            "CREATE DATABASE shop WITH (upstream = 'a', publication = 'p') OWNER ann",
            "42601 syntax error at or near \"OWNER\" @63",
        ),
    ] {
        assert_eq!(refused(text), wanted, "{text}");
    }
    let words = refused("CREATE DATABASE shop (upstream = 'a', publication = 'p', slot = 'A-b')");
    assert!(words.starts_with("42602 "), "{words}");
}

#[test]
fn drop_database_is_read_with_its_options() {
    let drop = |if_exists, force| DatabaseStatement::Drop {
        name: "shop".to_owned(),
        if_exists,
        force,
    };
    assert_eq!(read("DROP DATABASE shop"), drop(false, false));
    assert_eq!(read("DROP DATABASE IF EXISTS shop;"), drop(true, false));
    assert_eq!(read("DROP DATABASE shop WITH (FORCE)"), drop(false, true));
    assert_eq!(read("drop database shop (force, force)"), drop(false, true));
    assert_eq!(
        refused("DROP DATABASE shop WITH (GENTLY)"),
        "42601 unrecognized DROP DATABASE option \"gently\" @26"
    );
    assert_eq!(parse_databases("DROP TABLE shop").unwrap(), None);
    assert_eq!(parse_databases("SELECT 1").unwrap(), None);
}
