//! No input makes a value panic, and what was read comes back the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod dice;

use dice::Dice;
use pgspool::datum::{
    Datum, Names, PgType, Style, all_types, apply_typmod, binary_in, binary_out, parse_type_name,
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

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "\\",
    "\\x",
    "e",
    "-",
    "+",
    ".",
    "0",
    "1",
    "9",
    "99999999999",
    " ",
    ":",
    "/",
    "T",
    "Z",
    "null",
    "NaN",
    "inf",
    "é",
    "1e999999999",
    "2024",
    "-1",
    "day",
    "ago",
    "P",
    "u0000",
    "ud800",
    "=",
    "(",
    ")",
];

/// An input of the recorded ones, bent.
fn input(dice: &mut Dice, inputs: &[&str]) -> String {
    let mut text: Vec<char> = dice.pick(inputs).chars().collect();
    for _ in 0..dice.below(5) {
        let at = dice.index(text.len() + 1);
        match dice.below(3) {
            0 => {
                let piece: Vec<char> = dice.pick(PIECES).chars().collect();
                text.splice(at..at, piece);
            }
            1 if at < text.len() => drop(text.remove(at)),
            _ => {
                let other: Vec<char> = dice.pick(inputs).chars().collect();
                text.truncate(at);
                text.extend(other);
            }
        }
    }
    text.into_iter().collect()
}

fn printed(ty: PgType, datum: &Datum) -> String {
    let mut out = String::new();
    text_out(ty, datum, &NoNames, &Style::utc(0), &mut out).unwrap();
    out
}

#[test]
fn what_was_read_comes_back_and_nothing_panics() {
    let mut dice = Dice::seeded();
    let style = Style::utc(1_700_000_000_000_000);
    let lines = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let inputs: Vec<&str> = lines.map(|line| line.split('\t').nth(1).unwrap()).collect();
    let types: Vec<PgType> = all_types().iter().map(|info| info.ty).collect();
    let mut num_read = 0;
    for _ in 0..dice::number("PGSPOOL_ROUNDS").unwrap_or(60_000) {
        let ty = dice.pick(&types);
        let text = input(&mut dice, &inputs);
        let _ = parse_type_name(&text);
        let Ok(datum) = text_in(ty, &text, &NoNames, &style) else {
            continue;
        };
        num_read += 1;
        let once = printed(ty, &datum);
        let again = text_in(ty, &once, &NoNames, &style).map(|again| printed(ty, &again));
        // Years before the first are written, and not read.
        if !once.ends_with("BC") {
            assert_eq!(again.as_deref(), Ok(once.as_str()), "{ty:?} {text:?}");
        }
        let typmod = i32::from_be_bytes([0, dice.byte() & 3, dice.byte() & 7, dice.byte()]);
        let _ = apply_typmod(ty, typmod, datum.clone(), dice.chance(50));
        let mut bytes = Vec::new();
        if binary_out(ty, &datum, &mut bytes).is_ok() {
            let back = binary_in(ty, &bytes);
            let back = back.map(|back| printed(ty, &back));
            // PostgreSQL sends a pg_node_tree and takes none.
            if ty == PgType::PG_NODE_TREE {
                continue;
            }
            assert_eq!(back.as_deref(), Ok(once.as_str()), "{ty:?} {text:?}");
            if !bytes.is_empty() {
                let at = dice.index(bytes.len());
                bytes[at] = dice.byte();
                bytes.truncate(dice.index(bytes.len() + 1).max(at));
                if let Ok(bent) = binary_in(ty, &bytes) {
                    printed(ty, &bent);
                }
            }
        }
        let len = dice.index(40);
        let noise = dice.bytes(len);
        if let Ok(noise) = binary_in(ty, &noise) {
            printed(ty, &noise);
        }
    }
    assert!(num_read > 1_000);
}
