//! Expressions against what PostgreSQL 15 answered (`recorded/expressions.tsv`).

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::super::{Binder, Scope};
use super::{heading, types};
use crate::catalog::exec::Executor;
use crate::catalog::functions::CatalogNames;
use crate::catalog::parse::Lines;
use crate::catalog::test_host::TestHost;
use crate::catalog::{Column, Context, Prepared};
use crate::datum::{self, PgType};
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
        let host = Arc::new(TestHost::new(&Arc::new(FakeDisk::default()), &["postgres"]));
        Self {
            context: host.context(),
            executor: Executor::new(1),
        }
    }

    fn answer(&self, text: &str) -> Answer {
        let name = match Parser::new(&PostgreSqlDialect {})
            .try_with_sql(text)
            .and_then(|mut parser| parser.parse_expr())
        {
            Ok(e) => heading(&e),
            Err(error) => format!("{error}"),
        };
        match self.value(text) {
            Ok((ty, text)) => Answer::Value {
                heading: name,
                ty: types::display(ty),
                text,
            },
            Err(error) => {
                let fields = error.fields();
                let field = |code| {
                    let found = fields.iter().find(|(field, _)| *field == code);
                    found.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                Answer::Error {
                    code: field(b'C'),
                    message: field(b'M'),
                    hint: field(b'H'),
                    position: field(b'P').parse().unwrap_or(0),
                }
            }
        }
    }

    fn value(&self, text: &str) -> Result<(PgType, Option<String>), PgError> {
        let e = Parser::new(&PostgreSqlDialect {})
            .try_with_sql(text)
            .and_then(|mut parser| parser.parse_expr())
            .map_err(|error| PgError::syntax(&error.to_string()))?;
        let binder = Binder::new(&self.context, Lines::of(text), Vec::new());
        let value = binder.settled(binder.expr(&Scope::default(), &e)?)?;
        let column = Column {
            name: heading(&e),
            column_type: value.ty,
            typmod: value.typmod,
            table_oid: 0,
            attnum: 0,
        };
        let prepared = Prepared {
            params: Vec::new(),
            columns: vec![column],
            sql: format!("SELECT {}", value.text()),
        };
        let mut rows = Vec::new();
        let mut keep = |row| {
            rows.push(row);
            ControlFlow::Continue(())
        };
        self.executor
            .run(&self.context, &prepared, &[], &mut keep)
            .map_err(|error| {
                if error.code() == "XX000" {
                    eprintln!("{}", prepared.sql)
                }
                error
            })?;
        let datum = rows[0][0].clone();
        if datum == datum::Datum::Null {
            return Ok((value.ty, None));
        }
        let mut out = String::new();
        let names = CatalogNames::new(&self.context);
        datum::text_out(value.ty, &datum, &names, self.context.style(), &mut out)?;
        Ok((value.ty, Some(out)))
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
