//! Row filters against PostgreSQL 15: generated expressions over the same rows have the same value
//! there and here, or the same error. PGSPOOL_SEED replays a run; PGSPOOL_FILTERS sets how many
//! expressions.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::panic)]

mod dice;
mod postgres_support;
mod support;

use dice::Dice;
use pgspool::publications::{Filter, PublicationError};
use pgspool::relations::Relation;
use pgspool::rows::{Cell, Row};
use postgres_support::{Postgres, rows};
use support::{RawClient, TestServer};

const EXPRESSIONS: u64 = 400;
const ROWS: usize = 12;
/// Of a hundred expressions that PostgreSQL takes, how many may be refused here.
const MOST_REFUSED: usize = 10;

/// Columns: name, type, and values to pick from.
const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("i2", "smallint", &["0", "1", "-1", "7", "32767", "-32768"]),
    (
        "i4",
        "integer",
        &["0", "1", "-1", "7", "2147483647", "-2147483648"],
    ),
    (
        "i8",
        "bigint",
        &[
            "0",
            "1",
            "-1",
            "7",
            "9223372036854775807",
            "-9223372036854775808",
        ],
    ),
    (
        "nu",
        "numeric",
        &[
            "0", "1", "1.0", "-1.50", "0.5", "2.5", "NaN", "Infinity", "1e20", "-7", "1e400",
        ],
    ),
    (
        "f4",
        "real",
        &[
            "0",
            "-0",
            "1",
            "1.5",
            "0.1",
            "NaN",
            "Infinity",
            "-Infinity",
            "3e38",
            "1e-38",
            "2.5",
        ],
    ),
    (
        "f8",
        "double precision",
        &[
            "0", "-0", "1", "1.5", "0.1", "NaN", "Infinity", "1e308", "1e-308", "-2.5", "3e9",
        ],
    ),
    (
        "t",
        "text",
        &[
            "", "a", "A", "ab", "a b", "%", "a_c", "ä", "Ä", "it''s", "a\\b", "abcabc",
        ],
    ),
    ("v", "varchar(8)", &["", "a", "a  ", "ab", "B", "é"]),
    ("c", "char(4)", &["", "a", "ab", "abcd", "B"]),
    ("nm", "name", &["", "a", "ab", "B"]),
    ("b", "boolean", &["t", "f"]),
    (
        "d",
        "date",
        &[
            "2020-02-29",
            "1970-01-01",
            "infinity",
            "-infinity",
            "2024-12-31",
        ],
    ),
    (
        "ts",
        "timestamp",
        &[
            "2020-02-29 12:34:56.789",
            "1969-12-31 23:59:59",
            "infinity",
            "2024-12-31 00:00:00",
        ],
    ),
    (
        "tz",
        "timestamptz",
        &[
            "2020-02-29 12:34:56+02",
            "1970-01-01 00:00:00+00",
            "-infinity",
        ],
    ),
    ("tm", "time", &["00:00:00", "12:34:56.5", "24:00:00"]),
    (
        "iv",
        "interval",
        &["1 day", "24:00:00", "1 mon", "30 days", "-1 year", "0"],
    ),
    (
        "u",
        "uuid",
        &[
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "00000000-0000-0000-0000-000000000000",
        ],
    ),
    ("by", "bytea", &["\\x", "\\x00", "\\x01ff", "\\xff"]),
    (
        "j",
        "jsonb",
        &[
            "null",
            "1",
            "1.0",
            "\"a\"",
            "[]",
            "{}",
            "[1,2]",
            "[1,3]",
            "[[]]",
            "[null]",
            "true",
            "{\"a\":1}",
            "{\"b\":1}",
            "{\"aa\":0}",
            "{\"a\":1,\"b\":2}",
            "-1e2",
            "\"\"",
            "false",
        ],
    ),
    (
        "ia",
        "integer[]",
        &[
            "{}",
            "{1}",
            "{1,2}",
            "{NULL}",
            "{10}",
            "{{1,2}}",
            "[2:3]={1,2}",
        ],
    ),
    (
        "ta",
        "text[]",
        &["{}", "{a}", "{\"a b\"}", "{B,NULL}", "{\"\"}"],
    ),
    ("o", "oid", &["0", "1", "4294967295", "2147483648"]),
    ("l", "pg_lsn", &["0/0", "0/10", "1/0", "FFFFFFFF/FFFFFFFF"]),
    (
        "n4",
        "inet",
        &["10.0.0.1", "10.0.0.0/8", "::1", "192.168.0.1/24"],
    ),
];

const NUMBERS: &[&str] = &["i2", "i4", "i8", "nu", "f4", "f8"];
const STRINGS: &[&str] = &["t", "v", "c", "nm"];
const NUMBER_TYPES: &[&str] = &["int2", "int4", "int8", "numeric", "float4", "float8"];
const COMPARISONS: &[&str] = &["=", "<>", "<", "<=", ">", ">="];
const PATTERNS: &[&str] = &[
    "a%", "%b", "_", "%", "", "A%", "a\\_c", "%\\%%", "ä", "a b", "%c%", "a\\\\b", "Ä%", "__",
];
const REGEXES: &[&str] = &[
    "a", "^a", "b$", ".", "[ab]+", "(a|b)c", "a{2}", "\\s", "^$", "Ä", "(",
];

fn column(name: &str) -> &'static (&'static str, &'static str, &'static [&'static str]) {
    COLUMNS.iter().find(|column| column.0 == name).unwrap()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace("''", "'").replace('\'', "''"))
}

struct Expressions(Dice);

impl Expressions {
    fn any_column(&mut self) -> &'static (&'static str, &'static str, &'static [&'static str]) {
        &COLUMNS[self.0.index(COLUMNS.len())]
    }

    fn condition(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.test();
        }
        match self.0.below(12) {
            0 | 1 => format!(
                "({}) AND ({})",
                self.condition(depth - 1),
                self.condition(depth - 1)
            ),
            2 | 3 => format!(
                "({}) OR ({})",
                self.condition(depth - 1),
                self.condition(depth - 1)
            ),
            4 => format!("NOT ({})", self.condition(depth - 1)),
            5 => {
                let test = self.0.pick(&["TRUE", "FALSE", "UNKNOWN"]);
                let not = self.0.pick(&["", "NOT "]);
                format!("({}) IS {not}{test}", self.condition(depth - 1))
            }
            6 => {
                let not = self.0.pick(&["", "NOT "]);
                format!(
                    "({}) IS {not}DISTINCT FROM ({})",
                    self.condition(depth - 1),
                    self.condition(depth - 1)
                )
            }
            7 => self.0.pick(&["true", "false", "null", "b"]).to_owned(),
            _ => self.test(),
        }
    }

    fn test(&mut self) -> String {
        match self.0.below(11) {
            0 => {
                let name = self.any_column().0;
                format!("{name} IS {}NULL", self.0.pick(&["", "NOT "]))
            }
            1 | 2 => self.comparison_of_a_column(),
            3 | 4 => {
                let sign = self.0.pick(COMPARISONS);
                format!("{} {sign} {}", self.number(2), self.number(2))
            }
            5 => {
                let sign = self.0.pick(COMPARISONS);
                format!("{} {sign} {}", self.string(2), self.string(2))
            }
            6 => {
                let pattern = self.0.pick(PATTERNS);
                let word = self.0.pick(&["LIKE", "NOT LIKE", "ILIKE", "NOT ILIKE"]);
                format!("{} {word} '{pattern}'", self.string(1))
            }
            7 => {
                let pattern = self.0.pick(REGEXES);
                let sign = self.0.pick(&["~", "!~", "~*", "!~*"]);
                format!("{} {sign} '{pattern}'", self.string(1))
            }
            8 => self.list(),
            9 => {
                let not = self.0.pick(&["", "NOT "]);
                let (a, b, c) = (self.number(1), self.number(1), self.number(1));
                format!("{a} {not}BETWEEN {b} AND {c}")
            }
            _ => self.times(),
        }
    }

    fn comparison_of_a_column(&mut self) -> String {
        let (name, ty, values) = *self.any_column();
        let value = quoted(self.0.pick(values));
        if self.0.chance(15) {
            let not = self.0.pick(&["", "NOT "]);
            return format!(
                "{name} IS {not}DISTINCT FROM {value}::{}",
                ty.replace("(8)", "")
            );
        }
        let sign = self.0.pick(COMPARISONS);
        format!("{name} {sign} {value}")
    }

    fn list(&mut self) -> String {
        let (name, _, values) = *self.any_column();
        let mut items: Vec<String> = (0..=self.0.below(4))
            .map(|_| quoted(self.0.pick(values)))
            .collect();
        if self.0.chance(20) {
            items.push("NULL".to_owned());
        }
        let not = self.0.pick(&["", "NOT "]);
        format!("{name} {not}IN ({})", items.join(", "))
    }

    fn times(&mut self) -> String {
        let sign = self.0.pick(COMPARISONS);
        let date = quoted(self.0.pick(column("d").2));
        match self.0.below(7) {
            0 => format!("d {sign} ts"),
            1 => format!("ts {sign} d"),
            2 => format!("ts::date {sign} {date}"),
            3 => format!("d::timestamp {sign} ts"),
            4 => format!("d - {date}::date {sign} {}", self.0.below(40_000)),
            5 => format!("d + {} {sign} {date}", self.0.pick(&["1", "i4", "-365"])),
            _ => format!("ts::time {sign} tm"),
        }
    }

    fn number(&mut self, depth: u32) -> String {
        if depth == 0 || self.0.chance(30) {
            let name = self.0.pick(NUMBERS);
            if self.0.chance(60) {
                return name.to_owned();
            }
            return self
                .0
                .pick(&["0", "1", "-1", "2", "7", "0.5", "2.50", "1e3", "3000000000"])
                .to_owned();
        }
        match self.0.below(8) {
            0 => format!("(- {})", self.number(depth - 1)),
            1 => format!("(+ {})", self.number(depth - 1)),
            2 | 3 => {
                let ty = self.0.pick(NUMBER_TYPES);
                format!("({})::{ty}", self.number(depth - 1))
            }
            _ => {
                let sign = self.0.pick(&["+", "-", "*", "/", "%"]);
                format!(
                    "({} {sign} {})",
                    self.number(depth - 1),
                    self.number(depth - 1)
                )
            }
        }
    }

    fn string(&mut self, depth: u32) -> String {
        let name = self.0.pick(STRINGS);
        if depth == 0 || self.0.chance(50) {
            if self.0.chance(20) {
                return format!("{}::text", quoted(self.0.pick(column("t").2)));
            }
            return name.to_owned();
        }
        match self.0.below(4) {
            0 => format!("({} || {})", self.string(depth - 1), self.string(depth - 1)),
            1 => format!("b::{}", self.0.pick(&["text", "varchar"])),
            _ => {
                let ty = self.0.pick(&["text", "varchar", "name", "bpchar"]);
                format!("({})::{ty}", self.string(depth - 1))
            }
        }
    }
}

/// What a filter of our own is for each row: `t`, `f`, NULL, or SQLSTATE-free text of an error.
fn evaluated(
    filter: Result<Filter, PublicationError>,
    row: &Row,
) -> Result<Option<String>, String> {
    let filter = filter.map_err(|error| error.to_string())?;
    let truth = filter.truth(row).map_err(|error| error.to_string())?;
    Ok(truth.map(|truth| if truth { "t" } else { "f" }.to_owned()))
}

/// The filter as it is stored here, and its table.
fn defined(ours: &mut RawClient, server: &TestServer, filter: &str) -> Result<Stored, String> {
    let create = format!("CREATE PUBLICATION p FOR TABLE t WHERE ({filter})");
    let answered = ours.query(&create);
    if let Some(error) = answered.iter().find(|message| message.tag == 'E') {
        let fields = error.fields();
        return Err(format!("{} {}", fields[&'C'], fields[&'M']));
    }
    let set = server.engine().relations().current();
    let text = set.publication("p").unwrap().tables[0].filter.clone();
    let relation = set.relation("public", "t").unwrap().clone();
    ours.query("DROP PUBLICATION p");
    Ok(Stored {
        text: text.unwrap(),
        relation,
    })
}

struct Stored {
    text: String,
    relation: Relation,
}

/// Makes the table on both, with random rows on PostgreSQL; returns them.
fn make_rows(dice: &mut Dice, theirs: &mut postgres::Client, ours: &mut RawClient) -> Vec<Row> {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, ty, _)| format!("{name} {ty}"))
        .collect();
    let create = format!("CREATE TABLE t (rid int, {})", columns.join(", "));
    rows(theirs, &create).unwrap();
    ours.query(&create);
    for rid in 0..ROWS {
        let values: Vec<String> = COLUMNS
            .iter()
            .map(|(_, _, values)| {
                let null = dice.chance(15);
                let value = quoted(dice.pick(values));
                if null { "NULL".to_owned() } else { value }
            })
            .collect();
        let insert = format!("INSERT INTO t VALUES ({rid}, {})", values.join(", "));
        rows(theirs, &insert).unwrap();
    }
    let made = rows(theirs, "SELECT * FROM t ORDER BY rid").unwrap();
    made.iter()
        .map(|values| {
            values
                .iter()
                .map(|value| value.as_deref().map_or(Cell::Null, Cell::Text))
                .collect()
        })
        .collect()
}

/// PostgreSQL's answer for each row.
fn asked(theirs: &mut postgres::Client, filter: &str) -> Vec<Result<Option<String>, String>> {
    let select = format!("SELECT ({filter}) FROM t");
    if let Ok(found) = rows(theirs, &format!("{select} ORDER BY rid")) {
        return found.into_iter().map(|row| Ok(row[0].clone())).collect();
    }
    (0..ROWS)
        .map(|rid| {
            let found = rows(theirs, &format!("{select} WHERE rid = {rid}"))?;
            Ok(found[0][0].clone())
        })
        .collect()
}

#[test]
fn generated_filters_have_postgresqls_values_and_errors() {
    let mut dice = Dice::seeded();
    let postgres = Postgres::start();
    let server = TestServer::start();
    let (mut theirs, mut ours) = (postgres.connect(), server.session());
    let made = make_rows(&mut dice, &mut theirs, &mut ours);
    let total = dice::number("PGSPOOL_FILTERS").unwrap_or(EXPRESSIONS);
    let mut expressions = Expressions(dice);
    let (mut taken, mut refused, mut pairs, mut failed) = (0, Vec::new(), 0, 0);
    let mut wrong = Vec::new();
    for number in 0..total {
        let filter = expressions.condition(u32::try_from(number % 4).unwrap());
        let create = format!("CREATE PUBLICATION p FOR TABLE t WHERE ({filter})");
        let there = rows(&mut theirs, &create);
        if there.is_ok() {
            rows(&mut theirs, "DROP PUBLICATION p").unwrap();
            taken += 1;
        }
        let here = defined(&mut ours, &server, &filter);
        let stored = match (there, here) {
            (Ok(_), Ok(stored)) => stored,
            (Ok(_), Err(error)) if error.starts_with("0A000") => {
                refused.push(format!("{filter}: {error}"));
                continue;
            }
            (Err(_), Err(_)) => continue,
            (there, here) => {
                let here = here.map(|stored| stored.text);
                wrong.push(format!("{filter}\n  there {there:?}\n  here {here:?}"));
                continue;
            }
        };
        for (rid, (expected, row)) in asked(&mut theirs, &filter)
            .into_iter()
            .zip(&made)
            .enumerate()
        {
            let found = evaluated(Filter::compile(&stored.text, &stored.relation), row);
            // A regular expression's fault has PostgreSQL's own words only.
            let regex = |error: &String| error.starts_with("invalid regular expression");
            let expected = expected.map_err(|error| error.split_at(6).1.to_owned());
            let alike = expected == found
                || matches!((&expected, &found), (Err(a), Err(b)) if regex(a) && regex(b));
            pairs += 1;
            failed += usize::from(expected.is_err());
            if !alike {
                let text = &stored.text;
                wrong.push(format!(
                    "{filter}\n  {text}\n  row {rid}: there {expected:?}, here {found:?}"
                ));
                break;
            }
        }
    }
    println!(
        "{pairs} pairs, {failed} failed as there, {} of {taken} refused",
        refused.len()
    );
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        refused.len() * 100 <= taken * MOST_REFUSED,
        "{}",
        refused.join("\n")
    );
    assert!(pairs >= 500);
}
