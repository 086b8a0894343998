use super::*;

fn one(text: &str) -> Result<Statement, PgError> {
    let mut all = Part::parse_all(text, "ann")?;
    assert_eq!(all.len(), 1, "{text}");
    Ok(all.remove(0).statement)
}

#[test]
fn copy_is_read_in_every_spelling() {
    for text in [
        "COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson)",
        "COPY  pgspool.changes FROM STDIN with (format ndjson)",
        "copy \"pgspool\".\"changes\" from stdin (FORMAT 'NDJSON');",
        "COPY PgSpool . Changes FROM STDIN WITH ( format \"ndjson\" ) ;",
    ] {
        assert_eq!(one(text), Ok(Statement::CopyChanges), "{text}");
    }
}

#[test]
fn copies_that_are_not_ours_are_refused_by_name() {
    for (text, code) in [
        ("COPY pgspool.changes FROM STDIN", "0A000"),
        ("COPY pgspool.changes FROM STDIN WITH (FORMAT csv)", "0A000"),
        ("COPY pgspool.changes FROM STDIN WITH (FORMAT x)", "22023"),
        ("COPY pgspool.changes TO STDOUT", "0A000"),
        ("COPY (SELECT 1) TO STDOUT", "0A000"),
        (
            "COPY pgspool.changes (a) FROM STDIN (FORMAT ndjson)",
            "0A000",
        ),
        ("COPY pgspool.changes FROM '/tmp/x'", "0A000"),
        ("PREPARE TRANSACTION 'x'", "0A000"),
        ("LISTEN x", "0A000"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "0A000"),
        ("SET SESSION AUTHORIZATION x", "0A000"),
    ] {
        let Ok(Statement::Refused(error)) = one(text) else {
            panic!("{text} was not refused");
        };
        assert_eq!(error.code(), code, "{text}: {error}");
    }
}

#[test]
fn syntax_errors_say_where_they_are() {
    let position = |text: &str| {
        let fields = Part::parse_all(text, "ann").unwrap_err().fields();
        let field = |code: u8| {
            fields
                .iter()
                .find(|field| field.0 == code)
                .unwrap()
                .1
                .clone()
        };
        (field(b'M'), field(b'P').parse::<usize>().unwrap())
    };
    for (text, near, at) in [
        ("SELECT 1; foo", "\"foo\"", 11),
        ("/* ä */ SHOW a b", "\"b\"", 16),
        ("COPY", "end of input", 5),
        ("SHOW ;", "\";\"", 6),
        ("COPY a b", "\"b\"", 8),
        ("SELECT 1; SET x", "end of input", 16),
        ("BEGIN foo", "\"foo\"", 7),
        ("'open", "\"'open\"", 1),
        ("COMMIT AND", "end of input", 11),
        ("RESET ALL x", "\"x\"", 11),
        ("SET a = ,", "\",\"", 9),
        ("PREPARE x AS", "end of input", 13),
        ("EXECUTE x (1", "end of input", 13),
        ("EXECUTE x (1,)", "\")\"", 14),
    ] {
        let (message, found) = position(text);
        assert!(message.ends_with(near), "{text}: {message}");
        assert_eq!(found, at, "{text}");
    }
}

#[test]
#[allow(clippy::too_many_lines)]
fn the_statements_that_clients_send_are_known() {
    let set = |name: &str, value: &str| {
        Statement::Set(SetStatement::One {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            local: false,
        })
    };
    let fetch = |num_rows| {
        Statement::Fetch(Fetch {
            name: "c".to_owned(),
            num_rows,
            is_move: false,
        })
    };
    let transaction = Statement::Transaction;
    for (text, statement) in [
        ("select 1", Statement::Query),
        (" (SELECT 1)", Statement::Query),
        (
            "SHOW server_version",
            Statement::Show("server_version".to_owned()),
        ),
        (
            "SHOW TRANSACTION ISOLATION LEVEL",
            Statement::Show("transaction_isolation".to_owned()),
        ),
        (
            "SET statement_timeout = 90000",
            set("statement_timeout", "90000"),
        ),
        ("SET SESSION my.x TO 'a'", set("my.x", "a")),
        ("SET datestyle TO ISO, DMY", set("datestyle", "iso, dmy")),
        ("SET x = -1", set("x", "-1")),
        ("SET NAMES 'utf8'", set("client_encoding", "utf8")),
        ("SET TIME ZONE 'UTC'", set("TimeZone", "UTC")),
        ("SET session = 1", set("session", "1")),
        ("RESET ALL", Statement::Set(SetStatement::ResetAll)),
        (
            "RESET pgspool.region",
            Statement::Set(SetStatement::Reset("pgspool.region".to_owned())),
        ),
        ("DISCARD TEMP", Statement::Discard(Discard::Temp)),
        ("DEALLOCATE PREPARE ALL", Statement::Deallocate(None)),
        ("CLOSE c", Statement::Close(Some("c".to_owned()))),
        ("FETCH 5 FROM c", fetch(Some(5))),
        ("FETCH FORWARD ALL IN c", fetch(None)),
        ("FETCH c", fetch(Some(1))),
        (
            "BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ",
            transaction(TransactionStatement::Begin {
                tag: "BEGIN",
                modes: Modes {
                    isolation: Some(Isolation::RepeatableRead),
                    read_only: Some(true),
                    deferrable: None,
                },
            }),
        ),
        (
            "END WORK AND CHAIN",
            transaction(TransactionStatement::Commit { chain: true }),
        ),
        (
            "ROLLBACK WORK TO SAVEPOINT a",
            transaction(TransactionStatement::RollbackTo("a".to_owned())),
        ),
        (
            "EXECUTE p (f(1, 2), ARRAY[1,2], 'a,b')",
            Statement::Execute {
                name: "p".to_owned(),
                values: ["f(1, 2)", "ARRAY[1,2]", "'a,b'"]
                    .map(str::to_owned)
                    .to_vec(),
            },
        ),
    ] {
        assert_eq!(one(text), Ok(statement), "{text}");
    }
}

#[test]
fn a_string_of_several_statements_is_cut_where_postgresql_cuts_it() {
    let parts = Part::parse_all("SELECT 1; ;SET a.b = 'x;y'; SELECT $$;$$ -- ;\n", "ann").unwrap();
    let cut: Vec<_> = parts
        .iter()
        .map(|part| (part.text.as_str(), part.num_before))
        .collect();
    assert_eq!(
        cut,
        [
            ("SELECT 1", 0),
            ("SET a.b = 'x;y'", 11),
            ("SELECT $$;$$", 28)
        ]
    );
    assert!(Part::only(Part::parse_all("SELECT 1; SELECT 2", "ann").unwrap()).is_err());
    assert_eq!(
        Part::only(Part::parse_all(" ; ", "ann").unwrap()).unwrap(),
        None
    );
}

#[test]
fn cursors_remember_their_query_as_it_was_written() {
    let Ok(Statement::Declare(declare)) = one("DECLARE c NO SCROLL CURSOR FOR SELECT  1") else {
        panic!("no cursor");
    };
    assert_eq!(
        (declare.name.as_str(), declare.query.as_str()),
        ("c", "SELECT  1")
    );
}
