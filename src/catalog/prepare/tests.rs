use std::ops::ControlFlow;
use std::sync::Arc;

use super::prepare;
use crate::catalog::exec::Executor;
use crate::catalog::functions::CatalogNames;
use crate::catalog::test_host::TestHost;
use crate::catalog::{Context, Prepared};
use crate::datum::{Datum, text_out};
use crate::disk::FakeDisk;
use crate::pgerror::PgError;

/// A statement with what PostgreSQL 15 answers.
#[derive(serde::Deserialize)]
struct Recorded {
    sql: String,
    /// SQLSTATE, position, message.
    error: Option<(String, Option<u32>, String)>,
    hint: Option<String>,
    columns: Option<Vec<(String, u32)>>,
    rows: Option<Vec<Vec<Option<String>>>>,
}

fn context() -> Arc<Context> {
    let disk = Arc::new(FakeDisk::default());
    Arc::new(TestHost::new(&disk, &["postgres"])).context()
}

type Rows = Vec<Vec<Option<String>>>;

/// Columns and rows of `sql`.
fn answer(context: &Arc<Context>, sql: &str) -> Result<(Prepared, Rows), PgError> {
    let prepared = prepare(context, sql, &[])?;
    let mut rows = Vec::new();
    let mut sink = |row: Vec<Datum>| {
        let texts = row.iter().zip(&prepared.columns);
        rows.push(
            texts
                .map(|(datum, column)| {
                    let mut text = String::new();
                    let names = CatalogNames::new(context);
                    let out = text_out(
                        column.column_type,
                        datum,
                        &names,
                        context.style(),
                        &mut text,
                    );
                    (!matches!(datum, Datum::Null)).then(|| {
                        out.unwrap();
                        text
                    })
                })
                .collect(),
        );
        ControlFlow::Continue(())
    };
    let ran = Executor::new(1).run(context, &prepared, &[], &mut sink);
    ran.inspect_err(|_| eprintln!("{}", prepared.sql))?;
    Ok((prepared, rows))
}

fn field(error: &PgError, code: u8) -> Option<String> {
    let mut fields = error.fields().into_iter();
    fields
        .find(|(other, _)| *other == code)
        .map(|(_, value)| value)
}

/// What differs from the record; `None` when nothing does.
fn difference(recorded: &Recorded) -> Option<String> {
    let context = context();
    match (answer(&context, &recorded.sql), &recorded.error) {
        (Err(error), Some((code, position, message))) => {
            let ours = (
                error.code().to_owned(),
                field(&error, b'P').map(|position| position.parse().unwrap()),
                field(&error, b'M').unwrap(),
            );
            let hint = field(&error, b'H');
            let theirs = (code.clone(), *position, message.clone());
            (ours != theirs || hint != recorded.hint)
                .then(|| format!("{ours:?} {hint:?}\n  not {theirs:?} {:?}", recorded.hint))
        }
        (Err(error), None) => Some(format!("{error}")),
        (Ok((prepared, _)), Some(error)) => {
            Some(format!("answers {}\n not {error:?}", prepared.sql))
        }
        (Ok((prepared, rows)), None) => {
            let columns: Vec<(String, u32)> = prepared
                .columns
                .iter()
                .map(|column| (column.name.clone(), column.column_type.0))
                .collect();
            if Some(&columns) != recorded.columns.as_ref() {
                return Some(format!("{columns:?}\n not {:?}", recorded.columns));
            }
            let mut ours = rows.clone();
            let mut theirs = recorded.rows.clone().unwrap();
            if !recorded.sql.contains("ORDER BY") {
                ours.sort();
                theirs.sort();
            }
            (ours != theirs)
                .then(|| format!("{} gives {rows:?}\n not {:?}", prepared.sql, recorded.rows))
        }
    }
}

#[test]
fn queries_answer_as_postgresql_does() {
    let text = std::fs::read_to_string("tests/fixtures/queries/queries.json").unwrap();
    let all: Vec<Recorded> = serde_json::from_str(&text).unwrap();
    let mut different = Vec::new();
    for recorded in &all {
        if let Some(difference) = difference(recorded) {
            different.push(format!("{}\n  {difference}", recorded.sql));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {}:\n{}",
        different.len(),
        all.len(),
        different.join("\n")
    );
}
