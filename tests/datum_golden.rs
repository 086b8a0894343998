//! Text and binary forms of values are PostgreSQL 15's, and so is what it says of bad input.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use pgspool::datum::{
    Datum, DatumError, Names, PgType, Style, apply_typmod, binary_in, binary_out, parse_type_name,
    text_in, text_out,
};

struct NoNames;

impl Names for NoNames {
    fn name_of(&self, _ty: PgType, _oid: u32) -> Option<String> {
        None
    }

    fn oid_of(&self, _ty: PgType, _name: &str) -> Option<u32> {
        None
    }
}

const GOLDEN: &str = include_str!("fixtures/datum/golden.tsv");

/// What is different on purpose, with the reason.
const DIFFERENT: &[(&str, &str, &str)] = &[(
    "timestamp",
    "294275-12-31 23:59:59",
    "microseconds are counted from 1970 in 64 bits, so time ends 30 years earlier",
)];

fn unescape(field: &str) -> String {
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
    out
}

fn read(ty: PgType, typmod: i32, input: &str) -> Result<Datum, DatumError> {
    let datum = text_in(ty, input, &NoNames, &Style::utc(0))?;
    apply_typmod(ty, typmod, datum, true)
}

fn printed(ty: PgType, datum: &Datum) -> String {
    let mut out = String::new();
    text_out(ty, datum, &NoNames, &Style::utc(0), &mut out).unwrap();
    out
}

#[test]
fn text_and_binary_forms_are_those_of_postgresql() {
    let mut wrong = Vec::new();
    let mut num_rows = 0;
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        num_rows += 1;
        let fields: Vec<String> = line.split('\t').map(unescape).collect();
        let (type_name, input) = (&fields[0], &fields[1]);
        if DIFFERENT
            .iter()
            .any(|(ty, text, _)| ty == type_name && text == input)
        {
            continue;
        }
        let (ty, typmod) = parse_type_name(type_name).unwrap();
        let got = match read(ty, typmod, input) {
            Ok(datum) => {
                let mut bytes = Vec::new();
                let binary = match binary_out(ty, &datum, &mut bytes) {
                    Ok(()) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
                    Err(error) => error.to_string(),
                };
                let again = binary_in(ty, &bytes).map(|again| printed(ty, &again));
                let text = printed(ty, &datum);
                if again.as_deref() != Ok(text.as_str()) {
                    wrong.push(format!("{type_name} {input:?}: back from binary {again:?}"));
                }
                vec!["ok".to_owned(), text, binary]
            }
            Err(error) => vec![
                "error".to_owned(),
                error.to_string(),
                error.detail().to_owned(),
            ],
        };
        let wanted: Vec<String> = match fields[2].as_str() {
            "ok" => fields[2..5].to_vec(),
            _ => vec![fields[2].clone(), fields[4].clone(), fields[5].clone()],
        };
        if got != wanted {
            wrong.push(format!(
                "{type_name} {input:?}\n     got {got:?}\n  wanted {wanted:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {num_rows}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
