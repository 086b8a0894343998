use std::ops::ControlFlow;
use std::sync::Arc;

use super::prepare;
use crate::catalog::exec::Executor;
use crate::catalog::functions::CatalogNames;
use crate::catalog::test_host::TestHost;
use crate::catalog::{Context, Prepared};
use crate::datum::{Datum, PgType, text_out};
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
    let mut sink = |row: &[Datum]| {
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

/// A statement of `fixtures/catalog`.
#[derive(serde::Deserialize)]
struct Statement {
    id: String,
    group: String,
    sql: String,
}

/// What PostgreSQL answers to it.
#[derive(serde::Deserialize)]
struct Answer {
    status: String,
    columns: Option<Vec<(String, u32)>>,
}

fn fixture<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let text = std::fs::read_to_string(format!("tests/fixtures/catalog/{name}")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn columns_of(prepared: &Prepared) -> Vec<(String, u32)> {
    let columns = prepared.columns.iter();
    columns
        .map(|column| (column.name.clone(), column.column_type.0))
        .collect()
}

#[test]
fn statements_of_clients_have_their_recorded_columns() {
    let statements: Vec<Statement> = fixture("statements.json");
    let answers: std::collections::HashMap<String, Answer> = fixture("answers.json");
    let mut different = Vec::new();
    for statement in statements
        .iter()
        .filter(|statement| statement.group != "session")
    {
        let answer = &answers[&statement.id];
        // This one names a table of the recording's database.
        if answer.status != "ok" || statement.id == "adhoc regclass" {
            continue;
        }
        let difference = match prepare(&context(), &statement.sql, &[]) {
            Err(error) => Some(error.to_string()),
            Ok(prepared) => {
                let mut ours = columns_of(&prepared);
                if statement.sql.contains('*') {
                    // Views have columns of later versions behind PostgreSQL 15's.
                    ours.truncate(answer.columns.as_ref().map_or(0, Vec::len));
                }
                let ours = Some(ours);
                (ours != answer.columns).then(|| format!("{ours:?}\n not {:?}", answer.columns))
            }
        };
        if let Some(difference) = difference {
            different.push(format!(
                "{}: {}\n  {difference}",
                statement.id, statement.sql
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{}:\n{}",
        different.len(),
        different.join("\n")
    );
}

/// Statements with parameters: what the client declares, what it is told, the columns' types.
type WithParameters = (&'static str, &'static [u32], &'static [u32], &'static [u32]);

const WITH_PARAMETERS: &[WithParameters] = &[
    ("SELECT $1", &[], &[25], &[25]),
    (
        "SELECT $1::int4 AS x, $2 WHERE $1 > 0",
        &[],
        &[23, 25],
        &[23, 25],
    ),
    (
        "SELECT oid FROM pg_class WHERE relname = $1 AND oid = $2",
        &[],
        &[19, 26],
        &[26],
    ),
    (
        "SELECT oid FROM pg_class LIMIT $1 OFFSET $2",
        &[],
        &[20, 20],
        &[26],
    ),
    ("SELECT 1 UNION ALL SELECT $1", &[], &[23], &[23]),
    ("VALUES (1), ($1)", &[], &[23], &[23]),
    (
        "select slot_name from pg_replication_slots where slot_name = $1 and database = $2 and \
         plugin = $3",
        &[1043, 1043, 1043],
        &[1043, 1043, 1043],
        &[19],
    ),
    (
        "SELECT t.typname, t.typtype, t.typelem, r.rngsubtype, t.typbasetype, n.nspname, \
         t.typrelid FROM pg_catalog.pg_type t LEFT OUTER JOIN pg_catalog.pg_range r ON \
         r.rngtypid = t.oid INNER JOIN pg_catalog.pg_namespace n ON t.typnamespace = n.oid WHERE \
         t.oid = $1",
        &[],
        &[26],
        &[19, 18, 26, 26, 26, 19, 26],
    ),
    (
        "SELECT result.TABLE_CAT AS \"TABLE_CAT\", result.KEY_SEQ AS \"KEY_SEQ\", result.PK_NAME \
         FROM (SELECT current_database() AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS \
         TABLE_NAME, a.attname AS COLUMN_NAME, (information_schema._pg_expandarray(con.conkey)).n \
         AS KEY_SEQ, con.conname AS PK_NAME, information_schema._pg_expandarray(con.conkey) AS \
         KEYS, a.attnum AS A_ATTNUM FROM pg_catalog.pg_constraint con JOIN pg_catalog.pg_class ct \
         ON (con.conrelid = ct.oid) JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid) \
         JOIN pg_catalog.pg_attribute a ON (a.attrelid = ct.oid) WHERE con.contype = 'p' AND \
         n.nspname = $1 AND ct.relname = $2) result where result.A_ATTNUM = (result.KEYS).x \
         ORDER BY result.table_name, result.pk_name, result.key_seq",
        &[1043, 1043],
        &[1043, 1043],
        &[19, 23, 19],
    ),
];

#[test]
fn parameters_get_their_types_from_where_they_stand() {
    for (sql, declared, params, columns) in WITH_PARAMETERS {
        let declared: Vec<Option<PgType>> = declared.iter().map(|oid| Some(PgType(*oid))).collect();
        let prepared = match prepare(&context(), sql, &declared) {
            Ok(prepared) => prepared,
            Err(error) => panic!("{sql}: {error}"),
        };
        let told: Vec<u32> = prepared.params.iter().map(|ty| ty.0).collect();
        assert_eq!(&told, params, "{sql}");
        let types: Vec<u32> = prepared
            .columns
            .iter()
            .map(|column| column.column_type.0)
            .collect();
        assert_eq!(&types, columns, "{sql}");
    }
}

#[test]
fn a_plain_column_says_where_it_comes_from() {
    let prepared = prepare(
        &context(),
        "SELECT nspname, oid AS o, 1 FROM pg_namespace n",
        &[],
    );
    let origins: Vec<(u32, i16)> = prepared
        .unwrap()
        .columns
        .iter()
        .map(|column| (column.table_oid, column.attnum))
        .collect();
    assert_eq!(origins, [(2615, 2), (2615, 1), (0, 0)]);
}

#[test]
fn what_is_not_a_query_is_refused_honestly() {
    let refused = [
        ("INSERT INTO pg_class VALUES (1)", "0A000"),
        ("UPDATE pg_class SET relname = 'x'", "0A000"),
        ("DELETE FROM pg_class", "0A000"),
        (
            "WITH x AS (DELETE FROM pg_class RETURNING *) SELECT * FROM x",
            "0A000",
        ),
        ("SELECT 1 FROM pg_class FOR UPDATE", "0A000"),
        ("SELECT oid INTO x FROM pg_class", "0A000"),
        ("SELECT * FROM pg_class TABLESAMPLE SYSTEM (10)", "0A000"),
        ("SELECT * FROM ROWS FROM (now())", "0A000"),
        ("SELECT 1 GROUP BY ROLLUP (1)", "0A000"),
        ("SELECT 1 LIMIT 1, 2", "42601"),
        ("SELECT 1; SELECT 2", "42601"),
        ("", "42601"),
    ];
    for (sql, code) in refused {
        let error = prepare(&context(), sql, &[]).unwrap_err();
        assert_eq!(error.code(), code, "{sql}: {error}");
    }
}

#[test]
fn deep_statements_are_an_error_and_no_stack_overflow() {
    let nested = |open: &str, close: &str, depth: usize| {
        format!("SELECT {}1{}", open.repeat(depth), close.repeat(depth))
    };
    let deep = [
        nested("(", ")", 100_000),
        nested("(SELECT ", ")", 10_000),
        nested("- ", "", 100_000),
        nested("1 + ", "", 100_000),
        nested("NOT ", "", 100_000),
        nested("ARRAY[", "]", 100_000),
        nested("CASE WHEN true THEN ", " END", 100_000),
        nested("", "::int", 100_000),
        nested("", " UNION SELECT 1", 10_000),
        nested("f(", ")", 100_000),
        format!(
            "SELECT * FROM {}pg_class{}",
            "(".repeat(10_000),
            ")".repeat(10_000)
        ),
    ];
    for sql in deep {
        let error = prepare(&context(), &sql, &[]).unwrap_err();
        let start: String = sql.chars().take(40).collect();
        assert!(
            matches!(error.code(), "54000" | "54001" | "42601"),
            "{start}: {error}"
        );
    }
}
