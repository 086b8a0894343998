//! Functions answer what PostgreSQL 15 answered.

use std::sync::Arc;

use super::*;
use crate::catalog::test_host::TestHost;
use crate::datum::{apply_typmod, parse_type_name, text_in, text_out};
use crate::disk::FakeDisk;

const GOLDEN: &str = include_str!("../../../tests/fixtures/functions/golden.tsv");

/// What is different on purpose: OID, first argument, why.
const DIFFERENT: &[(u32, &str, &str)] = &[];

fn unescape(field: &str) -> Option<String> {
    if field == "\\N" {
        return None;
    }
    let mut out = String::new();
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next().unwrap() {
                't' => out.push('\t'),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                other => out.push(other),
            },
            plain => out.push(plain),
        }
    }
    Some(out)
}

/// A value as text, in the type that it is declared to have.
fn printed(call: &Call<'_>, ty: PgType, value: &Datum) -> String {
    let mut out = String::new();
    text_out(ty, value, &call.names(), call.style(), &mut out).unwrap();
    out
}

/// A row as a value of its type prints.
fn row_text(call: &Call<'_>, columns: &[(&str, PgType)], row: &Row) -> String {
    if let ([(_, ty)], [value]) = (columns, row.as_slice()) {
        return printed(call, *ty, value);
    }
    let fields: Vec<String> = columns
        .iter()
        .zip(row)
        .map(|((_, ty), value)| {
            let text = printed(call, *ty, value);
            let quote = text.contains([',', '"', ' ', '(', ')', '\\']);
            if quote {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
            } else {
                text
            }
        })
        .collect();
    format!("({})", fields.join(","))
}

fn answer(call: &Call<'_>, function: &Function, args: &[Datum]) -> Result<Option<String>, PgError> {
    if function.strict && args.contains(&Datum::Null) {
        return Ok(None);
    }
    let of_rows = |columns: &[(&str, PgType)], rows: Vec<Row>| {
        let rows: Vec<String> = rows
            .iter()
            .map(|row| row_text(call, columns, row))
            .collect();
        (!rows.is_empty()).then(|| rows.join("|"))
    };
    match function.body {
        Body::Scalar(body) => Ok(match body(call, args)? {
            Datum::Null => None,
            value @ (Datum::Int(_) | Datum::Float(_) | Datum::Text(_) | Datum::Bytes(_)) => {
                Some(printed(call, function.returns, &value))
            }
        }),
        Body::Table { columns, rows } => Ok(of_rows(columns, rows(call, args)?)),
        Body::Stream { columns, rows } => {
            let rows: Result<Vec<Row>, PgError> = rows(call, args)?.collect();
            Ok(of_rows(columns, rows?))
        }
        Body::Aggregate(_) | Body::Native(_) => panic!("{}", function.name),
    }
}

#[test]
fn functions_answer_as_recorded() {
    let disk = Arc::new(FakeDisk::default());
    let host = Arc::new(TestHost::new(&disk, &["postgres"]));
    let context = host.context();
    let call = Call { context: &context };
    let mut wrong = Vec::new();
    let mut num_rows = 0;
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        num_rows += 1;
        let fields: Vec<&str> = line.split('\t').collect();
        let function = by_oid(fields[0].parse().unwrap());
        let Some(function) = function else {
            wrong.push(format!("no function {line}"));
            continue;
        };
        let values: Vec<Option<String>> = fields[4..]
            .chunks(2)
            .map(|pair| unescape(pair[1]))
            .collect();
        let first = values.first().cloned().flatten().unwrap_or_default();
        if DIFFERENT
            .iter()
            .any(|(oid, arg, _)| *oid == function.oid && *arg == first)
        {
            continue;
        }
        let mut args = Vec::new();
        for (at, (pair, value)) in fields[4..].chunks(2).zip(&values).enumerate() {
            let Some(text) = value else {
                args.push(Datum::Null);
                continue;
            };
            let (ty, typmod) = parse_type_name(pair[0]).unwrap();
            // Values of any type come as text.
            let ty = match function.args[at] {
                PgType::ANYELEMENT | PgType::ANYNONARRAY => PgType::TEXT,
                _ => ty,
            };
            let read = text_in(ty, text, &call.names(), call.style()).unwrap();
            args.push(apply_typmod(ty, typmod, read, true).unwrap());
        }
        let got = match answer(&call, function, &args) {
            Ok(Some(text)) => ("ok".to_owned(), text),
            Ok(None) => ("null".to_owned(), String::new()),
            Err(error) => ("error".to_owned(), error.to_string()),
        };
        let wanted = (fields[2].to_owned(), unescape(fields[3]).unwrap());
        if got != wanted {
            wrong.push(format!("{line}\n     got {got:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {num_rows}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_function_is_there_twice() {
    let mut oids: Vec<u32> = all().iter().map(|function| function.oid).collect();
    oids.sort_unstable();
    let num_all = oids.len();
    oids.dedup();
    assert_eq!(oids.len(), num_all);
}

/// A value of the type, if it is an integer: one of that many bits.
fn within(ty: PgType, value: Datum) -> Datum {
    let Datum::Int(value) = value else {
        return value;
    };
    Datum::Int(match ty {
        PgType::BOOL => value & 1,
        PgType::INT2 => value.clamp(i16::MIN.into(), i16::MAX.into()),
        PgType::INT4 => value.clamp(i32::MIN.into(), i32::MAX.into()),
        PgType::TIME => value.clamp(0, 86_400_000_000),
        PgType::DATE if value != i64::MAX && value != i64::MIN => {
            value.clamp(-1_000_000, 1_000_000)
        }
        _ => value,
    })
}

/// Every function that takes plain values, over values that are hard to take.
#[test]
fn no_function_panics() {
    let disk = Arc::new(FakeDisk::default());
    let host = Arc::new(TestHost::new(&disk, &["postgres"]));
    let context = host.context();
    let call = Call { context: &context };
    let values = [
        Datum::Null,
        Datum::Int(0),
        Datum::Int(-1),
        Datum::Int(i64::MAX),
        Datum::Int(i64::MIN),
        Datum::Float(f64::NAN),
        Datum::Float(-1e300),
        Datum::Text(String::new()),
        Datum::Text("{1,NULL,é}".to_owned()),
        Datum::Text("-2147483648 -2147483648 -9223372036854775808".to_owned()),
        Datum::Text("12345678901234567890.5".to_owned()),
        Datum::Text("%[(\\".to_owned()),
        Datum::Text("{\"a\":[1]}".to_owned()),
        Datum::Text("century".to_owned()),
        Datum::Bytes(vec![0, 255]),
    ];
    for function in all() {
        // Sleeping, and writing endless rows, are no panics.
        let slow = ["pg_sleep", "generate_series", "repeat", "lpad", "rpad"];
        if slow.contains(&function.name) || function.args.len() > 3 {
            continue;
        }
        let num_calls = values
            .len()
            .pow(u32::try_from(function.args.len()).unwrap());
        for number in 0..num_calls {
            let mut rest = number;
            let args: Vec<Datum> = function
                .args
                .iter()
                .map(|ty| {
                    let value = values[rest % values.len()].clone();
                    rest /= values.len();
                    within(*ty, value)
                })
                .collect();
            if function.strict && args.contains(&Datum::Null) {
                continue;
            }
            match function.body {
                Body::Scalar(body) => drop(body(&call, &args)),
                Body::Table { rows, .. } => drop(rows(&call, &args)),
                Body::Aggregate(body) => {
                    drop(body(
                        &call,
                        &mut [args.as_slice(), args.as_slice()].into_iter(),
                    ));
                }
                Body::Stream { .. } | Body::Native(_) => {}
            }
        }
    }
}
