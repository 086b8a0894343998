use std::ops::ControlFlow;
use std::sync::Arc;

use super::prepare;
use crate::catalog::exec::Executor;
use crate::catalog::test_host::TestHost;
use crate::datum::Datum;
use crate::disk::FakeDisk;
use crate::pgerror::PgError;

fn host() -> Arc<TestHost> {
    let disk = Arc::new(FakeDisk::default());
    Arc::new(TestHost::new(&disk, &["postgres"]))
}

/// The rows of `sql`, values joined by `|`.
fn rows(sql: &str) -> Result<Vec<String>, PgError> {
    let context = host().context();
    let prepared = prepare(&context, sql, &[])?;
    let mut out = Vec::new();
    let executor = Executor::new(1);
    let mut sink = |row: Vec<Datum>| {
        let texts: Vec<String> = row.iter().map(shown).collect();
        out.push(texts.join("|"));
        ControlFlow::Continue(())
    };
    executor
        .run(&context, &prepared, &[], &mut sink)
        .inspect_err(|_| eprintln!("{}", prepared.sql))?;
    Ok(out)
}

fn shown(datum: &Datum) -> String {
    match datum {
        Datum::Null => String::new(),
        Datum::Int(value) => value.to_string(),
        Datum::Float(value) => value.to_string(),
        Datum::Text(value) => value.clone(),
        Datum::Bytes(value) => format!("{value:?}"),
    }
}

#[test]
fn first_queries_run() {
    for sql in std::fs::read_to_string("/tmp/q.sql").unwrap().lines() {
        let context = host().context();
        match prepare(&context, sql, &[]) {
            Ok(p) => println!(
                "\n{sql}\n   {}\n   {:?}\n   {:?}",
                p.sql,
                p.columns
                    .iter()
                    .map(|c| (c.name.as_str(), c.column_type.0))
                    .collect::<Vec<_>>(),
                rows(sql).map(|r| r.into_iter().take(6).collect::<Vec<_>>())
            ),
            Err(e) => println!(
                "\n{sql}\n   ERR {e} {:?}",
                e.fields()
                    .iter()
                    .filter(|(c, _)| matches!(c, b'P' | b'H' | b'D'))
                    .map(|(c, v)| format!("{}:{v}", char::from(*c)))
                    .collect::<Vec<_>>()
            ),
        }
    }
}
