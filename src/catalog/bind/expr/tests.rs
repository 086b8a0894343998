//! Expressions against what PostgreSQL 15 answered (`recorded/expressions.tsv`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::types;
use crate::catalog::exec::Executor;
use crate::catalog::functions::CatalogNames;
use crate::catalog::test_host::{TestHost, setting};
use crate::catalog::{Context, prepare};
use crate::datum::{self, Datum, PgType};
use crate::disk::FakeDisk;
use crate::pgerror::PgError;

/// What the recording says, or what we say.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Value {
        heading: String,
        ty: String,
        text: Option<String>,
    },
    Error {
        code: String,
        message: String,
        hint: String,
        position: u32,
    },
}

struct Bench {
    context: Arc<Context>,
    executor: Executor,
}

impl Bench {
    fn new() -> Self {
        let host = TestHost::new(&Arc::new(FakeDisk::default()), &["postgres"]);
        let path = setting("search_path", "\"$user\", public");
        host.settings.lock().unwrap().push(path);
        let host = Arc::new(host);
        Self {
            context: host.context(),
            executor: Executor::new(1),
        }
    }

    fn answer(&self, text: &str) -> Answer {
        self.run(text).unwrap_or_else(|error| {
            let fields = error.fields();
            let field = |code| {
                let found = fields.iter().find(|(field, _)| *field == code);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            let position = field(b'P').parse::<u32>().unwrap_or(0);
            Answer::Error {
                code: field(b'C'),
                message: field(b'M'),
                hint: field(b'H'),
                position: position.saturating_sub(7),
            }
        })
    }

    fn run(&self, text: &str) -> Result<Answer, PgError> {
        let prepared = prepare(&self.context, &format!("SELECT {text}"), &[])?;
        let mut rows = Vec::new();
        let mut keep = |row: &[Datum]| {
            rows.push(row.to_vec());
            ControlFlow::Continue(())
        };
        let ran = self.executor.run(&self.context, &prepared, &[], &mut keep);
        ran.inspect_err(|error| {
            if error.code() == "XX000" {
                eprintln!("{}", prepared.sql);
            }
        })?;
        let column = &prepared.columns[0];
        let mut out = String::new();
        let names = CatalogNames::new(&self.context);
        let style = self.context.style();
        let datum = &rows[0][0];
        datum::text_out(column.column_type, datum, &names, style, &mut out)?;
        Ok(Answer::Value {
            heading: column.name.clone(),
            ty: types::display(column.column_type),
            text: (*datum != Datum::Null).then_some(out),
        })
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

/// Expressions and what PostgreSQL said of them.
fn recorded() -> Vec<(String, Answer)> {
    let lines = include_str!("recorded/expressions.tsv").lines();
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let answer = match fields[1..] {
                ["!", code, message, position, hint] => Answer::Error {
                    code: code.to_owned(),
                    message: unescaped(message),
                    hint: unescaped(hint),
                    position: position.parse().unwrap(),
                },
                [heading, ty, text] => Answer::Value {
                    heading: unescaped(heading),
                    ty: ty.to_owned(),
                    text: (text != "\\N").then(|| unescaped(text)),
                },
                _ => panic!("not a recorded line: {line}"),
            };
            (unescaped(fields[0]), answer)
        })
        .collect()
}

#[test]
fn expressions_are_what_postgresql_says() {
    let bench = Bench::new();
    let mut wrong = Vec::new();
    for (text, expected) in recorded() {
        let got = bench.answer(&text);
        if got != expected {
            wrong.push(format!(
                "{text}\n   expected {expected:?}\n   got      {got:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Types that `$1`, `$2`, ... get from their surroundings, as PostgreSQL 15 describes them.
#[test]
fn parameters_have_the_types_of_their_surroundings() {
    let bench = Bench::new();
    let rows: &[(&str, &[PgType])] = &[
        ("SELECT $1", &[PgType::TEXT]),
        ("SELECT $1 + 1", &[PgType::INT4]),
        ("SELECT 1::int8 = $1", &[PgType::INT8]),
        ("SELECT $1::pg_lsn", &[PgType::PG_LSN]),
        (
            "SELECT relname FROM pg_class WHERE relname = $1",
            &[PgType::NAME],
        ),
        (
            "SELECT relname FROM pg_class WHERE relname LIKE $1",
            &[PgType::TEXT],
        ),
        (
            "SELECT relname FROM pg_class WHERE oid = ANY($1)",
            &[PgType::OID_ARRAY],
        ),
        (
            "SELECT 1 WHERE 1 IN ($1, $2)",
            &[PgType::INT4, PgType::INT4],
        ),
        ("SELECT 1 LIMIT $1", &[PgType::INT8]),
        ("SELECT length($1)", &[PgType::TEXT]),
        ("SELECT coalesce($1, 1.5)", &[PgType::NUMERIC]),
        ("SELECT CASE WHEN $1 THEN 1 END", &[PgType::BOOL]),
        ("SELECT 1 WHERE $1", &[PgType::BOOL]),
        ("SELECT '0/1'::pg_lsn - $1", &[PgType::PG_LSN]),
        ("SELECT 5 BETWEEN $1 AND $2", &[PgType::INT4, PgType::INT4]),
        ("SELECT $2 || 'x', $1 + 1", &[PgType::INT4, PgType::TEXT]),
    ];
    for (text, expected) in rows {
        let prepared = prepare(&bench.context, text, &[]).unwrap();
        assert_eq!(prepared.params, *expected, "{text}");
    }
    let declared = prepare(&bench.context, "SELECT $1 + 1", &[Some(PgType::INT8)]).unwrap();
    assert_eq!(declared.params, [PgType::INT8]);
    // What is known of a parameter stays, and is cast from there on.
    let twice = prepare(&bench.context, "SELECT $1::int4, $1::text", &[]).unwrap();
    assert_eq!(twice.params, [PgType::INT4]);
}

#[test]
fn long_chains_and_deep_nests_end_in_an_answer_or_an_error() {
    let bench = Bench::new();
    let chain = format!("{}1 = 1", "1 = 2 OR ".repeat(200));
    let answer = bench.answer(&chain);
    assert!(
        matches!(&answer, Answer::Value { text: Some(t), .. } if t == "t"),
        "{answer:?}"
    );
    let deep = format!("{}1", "1 + ".repeat(5_000));
    let answer = bench.answer(&deep);
    assert!(
        matches!(&answer, Answer::Error { code, .. } if code == "54001"),
        "{answer:?}"
    );
}
