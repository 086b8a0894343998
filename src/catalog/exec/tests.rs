use std::sync::Mutex;

use super::*;
use crate::catalog::functions::{Body, Call, Function};
use crate::catalog::testing;
use crate::catalog::{Column, views};
use crate::engine::{Engine, EngineOptions};

/// Functions that only these tests have.
pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        99_001,
        "raises",
        &[PgType::INT4],
        PgType::INT4,
        Body::Scalar(|_, args| match args {
            [Datum::Int(13)] => Err(PgError::error("22012", "division by zero")),
            [Datum::Int(14)] => panic!("as the test wants it"),
            other => Ok(other[0].clone()),
        }),
    ),
    Function::new(
        99_002,
        "counted",
        &[PgType::INT4],
        PgType::INT4,
        Body::Scalar(|_, args| {
            CALLS.lock().unwrap().push(args[0].clone());
            Ok(args[0].clone())
        }),
    )
    .volatile(),
    Function::new(
        99_003,
        "joined",
        &[PgType::TEXT],
        PgType::TEXT,
        Body::Aggregate(|_, rows| {
            let mut joined = String::new();
            for row in rows {
                if let Datum::Text(text) = &row[0] {
                    joined.push_str(text);
                } else {
                    joined.push('-');
                }
            }
            Ok(Datum::Text(joined))
        }),
    )
    .lax(),
    Function::new(
        99_004,
        "upto",
        &[PgType::INT4, PgType::TEXT],
        PgType::RECORD,
        Body::Table {
            columns: &[("n", PgType::INT4), ("t", PgType::TEXT)],
            rows: |_, args| {
                let Datum::Int(n) = args[0] else {
                    return Err(PgError::error("22023", "not a number"));
                };
                Ok((1..=n)
                    .map(|i| vec![Datum::Int(i), args[1].clone()])
                    .collect())
            },
        },
    ),
    Function::new(
        99_005,
        "endless",
        &[],
        PgType::RECORD,
        Body::Stream {
            columns: &[("n", PgType::INT8)],
            rows: |call, _| {
                call.context.at_success(Box::new(|| {
                    FINISHED.lock().unwrap().push("endless");
                    Ok(())
                }));
                Ok(Box::new((1..).map(|n| Ok(vec![Datum::Int(n)]))))
            },
        },
    )
    .volatile(),
    Function::new(
        99_008,
        "counting",
        &[PgType::INT4],
        PgType::RECORD,
        Body::Stream {
            columns: &[("n", PgType::INT8)],
            rows: |_, args| {
                let Datum::Int(n) = args[0] else {
                    return Err(PgError::error("22023", "not a number"));
                };
                Ok(Box::new((1..=n).map(|n| Ok(vec![Datum::Int(n)]))))
            },
        },
    ),
    Function::new(
        99_006,
        "nested",
        &[],
        PgType::INT8,
        Body::Scalar(|call: &Call<'_>, _| {
            let mut found = Datum::Null;
            let prepared = prepared("SELECT 40 + 2", &[PgType::INT8]);
            Executor::new(1).run(call.context, &prepared, &[], &mut |row| {
                found = row[0].clone();
                ControlFlow::Continue(())
            })?;
            Ok(found)
        }),
    ),
    Function::new(
        99_007,
        "nan",
        &[PgType::FLOAT8],
        PgType::FLOAT8,
        Body::Scalar(|_, args| match args[0] {
            Datum::Float(number) if number.is_nan() => Ok(Datum::Float(1.5)),
            Datum::Float(_) | Datum::Null | Datum::Int(_) | Datum::Text(_) | Datum::Bytes(_) => {
                Ok(Datum::Float(f64::NAN))
            }
        }),
    ),
];

static CALLS: Mutex<Vec<Datum>> = Mutex::new(Vec::new());
static FINISHED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

pub(super) fn prepared(sql: &str, types: &[PgType]) -> Prepared {
    let column = |ty: &PgType| Column {
        name: "c".to_owned(),
        column_type: *ty,
        typmod: -1,
        table_oid: 0,
        attnum: 0,
    };
    Prepared {
        params: Vec::new(),
        columns: types.iter().map(column).collect(),
        fields: Vec::new(),
        acts: false,
        sql: sql.to_owned(),
    }
}

pub(super) fn database() -> Arc<Engine> {
    testing::engine(EngineOptions::default()).0
}

/// Runs a statement whose columns are all of unknown type.
pub(super) fn run(
    context: &Arc<Context>,
    sql: &str,
    params: &[Datum],
) -> Result<Vec<Vec<Datum>>, PgError> {
    let columns = sql.split(" FROM ").next().unwrap().matches(',').count() + 1;
    let types = vec![PgType::UNKNOWN; columns.min(30)];
    run_typed(context, sql, &types, params)
}

fn run_typed(
    context: &Arc<Context>,
    sql: &str,
    types: &[PgType],
    params: &[Datum],
) -> Result<Vec<Vec<Datum>>, PgError> {
    testing::run(context, sql, types, params)
}

fn one(sql: &str) -> Result<Datum, PgError> {
    let rows = run_typed(&testing::context(&database()), sql, &[PgType::UNKNOWN], &[])?;
    Ok(rows[0][0].clone())
}

pub(super) fn text(text: &str) -> Datum {
    Datum::Text(text.to_owned())
}

#[test]
fn an_error_raised_in_a_function_comes_out_as_it_was_raised() {
    assert_eq!(one("SELECT f_99001(12)"), Ok(Datum::Int(12)));
    assert_eq!(one("SELECT f_99001(NULL)"), Ok(Datum::Null), "strict");
    let error = one("SELECT f_99001(13)").unwrap_err();
    assert_eq!(error, PgError::error("22012", "division by zero"));
    // Also from deep inside, and not when it is not reached.
    let error = one(
        "SELECT count(*) FROM (SELECT f_99001(n) AS x FROM f_99004(20, 'a'))
         WHERE x > 5 GROUP BY x % 2",
    );
    assert_eq!(error.unwrap_err().code(), "22012");
    let shielded = one("SELECT CASE WHEN 1 = 2 THEN f_99001(13) ELSE 1 END");
    assert_eq!(shielded, Ok(Datum::Int(1)));
}

#[test]
fn a_panic_in_a_function_is_an_error_and_the_connection_lives_on() {
    let executor = Executor::new(1);
    let context = testing::context(&database());
    for _ in 0..3 {
        let sql = prepared("SELECT f_99001(14)", &[PgType::INT4]);
        let ran = executor.run(&context, &sql, &[], &mut |_| ControlFlow::Continue(()));
        assert_eq!(ran.unwrap_err().code(), "XX000");
        let sql = prepared("SELECT f_99001(1)", &[PgType::INT4]);
        let ran = executor.run(&context, &sql, &[], &mut |_| ControlFlow::Continue(()));
        assert_eq!(ran, Ok(1));
    }
}

#[test]
fn what_reaches_out_or_changes_something_is_refused() {
    for sql in [
        "ATTACH '/tmp/x' AS y",
        "CREATE TABLE y(a)",
        "PRAGMA temp_store = 1",
        "SELECT load_extension('x')",
        "VACUUM INTO '/tmp/x'",
        "SELECT \"nosuch\"",
    ] {
        assert!(one(sql).is_err(), "{sql}");
    }
}

#[test]
fn a_statement_stops_when_it_is_cancelled() {
    let context = testing::context(&database());
    let sql =
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r";
    for sql in [sql, "SELECT count(*) FROM f_99005"] {
        let context = Arc::clone(&context);
        context
            .cancelled
            .store(false, std::sync::atomic::Ordering::Relaxed);
        let other = Arc::clone(&context);
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            testing::cancel(&other);
        });
        let error = run(&context, sql, &[]).unwrap_err();
        assert_eq!(error.code(), "57014", "{sql}");
        canceller.join().unwrap();
    }
}

#[test]
fn rows_go_out_as_they_come_and_end_when_the_sink_has_enough() {
    let context = testing::context(&database());
    let mut seen = 0;
    let sql = prepared("SELECT n FROM f_99005", &[PgType::INT8]);
    let ran = Executor::new(1).run(&context, &sql, &[], &mut |_| {
        seen += 1;
        if seen == 5 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!((ran, seen), (Ok(5), 5));
    assert!(FINISHED.lock().unwrap().contains(&"endless"));
}

/// Fails at the row or the end that it is told to.
struct Failing {
    at_row: Option<u64>,
    at_end: bool,
}

impl Sink for Failing {
    fn row(&mut self, _: &[Datum]) -> ControlFlow<Result<(), PgError>> {
        match self.at_row.as_mut() {
            Some(0) => ControlFlow::Break(Err(PgError::error("42883", "no form"))),
            Some(rows) => {
                *rows -= 1;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(Ok(())),
        }
    }

    fn end(&mut self) -> Result<(), PgError> {
        match self.at_end {
            true => Err(PgError::cancelled()),
            false => Ok(()),
        }
    }
}

#[test]
fn nothing_left_for_success_is_done_when_a_row_was_not_taken() {
    let sql = prepared("SELECT n FROM f_99005", &[PgType::INT8]);
    for (at_row, at_end, wanted) in [
        (Some(0), false, Err("42883")),
        (Some(7), false, Err("42883")),
        (None, true, Err("57014")),
        (None, false, Ok(1)),
    ] {
        let context = testing::context(&database());
        let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let confirmed = Arc::clone(&done);
        context.at_success(Box::new(move || {
            confirmed.store(true, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        }));
        let mut sink = Failing { at_row, at_end };
        let ran = Executor::new(1).run_into(&context, &sql, &[], &mut sink);
        assert_eq!(
            ran.as_ref().map_err(PgError::code),
            wanted.as_ref().map_err(|e| *e)
        );
        assert_eq!(
            done.load(std::sync::atomic::Ordering::Relaxed),
            wanted.is_ok()
        );
        assert!(context.take_finish().is_empty());
    }
}

#[test]
fn table_functions_see_the_row_beside_them() {
    let context = testing::context(&database());
    let sql = "SELECT a.n, b.n, b.t FROM f_99004(3, 'x') a, f_99004(a.n, 'y' || a.n) b";
    let rows = run(&context, sql, &[]).unwrap();
    let pairs: Vec<_> = rows
        .iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let wanted = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3)];
    assert_eq!(pairs, wanted.map(|(a, b)| (Datum::Int(a), Datum::Int(b))));
    assert_eq!(rows[5][2], text("y3"));
    // NULL for a strict one is no rows; rows are numbered from 1.
    assert!(
        run(&context, "SELECT n FROM f_99004(NULL, 'x')", &[])
            .unwrap()
            .is_empty()
    );
    let numbered = run(&context, "SELECT rowid FROM f_99004(2, 'x')", &[]).unwrap();
    assert_eq!(numbered, [[Datum::Int(1)], [Datum::Int(2)]]);
}

/// Once more for each outer row; one that does something is refused instead.
#[test]
fn streams_are_made_again_when_a_join_reads_them_again() {
    let context = testing::context(&database());
    let sql = "SELECT a.n, b.n FROM f_99004(3, 'x') a LEFT JOIN f_99008(2) b ON b.n <> a.n";
    assert_eq!(run(&context, sql, &[]).unwrap().len(), 4);
    let sql = "SELECT a.n, b.n FROM f_99004(3, 'x') a LEFT JOIN
         (SELECT n FROM f_99005 LIMIT 2) b ON b.n <> a.n";
    assert_eq!(run(&context, sql, &[]).unwrap().len(), 4, "kept by SQLite");
}

#[test]
fn volatile_functions_are_called_once_for_each_row() {
    let context = testing::context(&database());
    CALLS.lock().unwrap().clear();
    run(&context, "SELECT f_99002(n) FROM f_99004(3, 'x')", &[]).unwrap();
    assert_eq!(*CALLS.lock().unwrap(), [1, 2, 3].map(Datum::Int));
}

#[test]
fn aggregates_get_their_group_in_order_and_with_nulls_when_they_take_them() {
    let context = testing::context(&database());
    let sql = "SELECT f_99003(t ORDER BY t DESC) FROM (SELECT 'a' AS t UNION ALL SELECT 'b'
         UNION ALL SELECT NULL)";
    let rows = run_typed(&context, sql, &[PgType::TEXT], &[]).unwrap();
    assert_eq!(rows, [[text("ba-")]]);
    let none = run(&context, "SELECT f_99003(t) FROM f_99004(0, 'x')", &[]);
    assert_eq!(none.unwrap(), [[text("")]], "also without rows");
}

#[test]
fn a_statement_inside_of_a_statement_gets_a_connection_of_its_own() {
    assert_eq!(one("SELECT f_99006()"), Ok(Datum::Int(42)));
}

#[test]
fn nan_is_kept_equals_itself_and_is_above_every_number() {
    let context = testing::context(&database());
    let float = [PgType::FLOAT8];
    let rows = run_typed(&context, "SELECT f_99007(1.0)", &float, &[]).unwrap();
    assert!(matches!(rows[0][0], Datum::Float(number) if number.is_nan()));
    let rows = run_typed(&context, "SELECT f_99007(f_99007(1.0))", &float, &[]).unwrap();
    assert_eq!(rows, [[Datum::Float(1.5)]]);
    let sql = "SELECT f_99007(1) = f_99007(2) AND f_99007(1) > 1e308";
    assert_eq!(one(sql), Ok(Datum::Int(1)));
    // A parameter that is NaN, and an integer that stands for a double.
    let rows = run_typed(&context, "SELECT ?1", &float, &[Datum::Float(f64::NAN)]).unwrap();
    assert!(matches!(rows[0][0], Datum::Float(number) if number.is_nan()));
    let rows = run_typed(&context, "SELECT 3", &float, &[]).unwrap();
    assert_eq!(rows, [[Datum::Float(3.0)]]);
}

#[test]
fn parameters_are_bound_as_they_are() {
    let context = testing::context(&database());
    let params = [
        Datum::Int(i64::MIN),
        text("a'b\0c"),
        Datum::Bytes(vec![0, 255]),
        Datum::Null,
        Datum::Float(0.5),
    ];
    let rows = run(&context, "SELECT ?1, ?2, ?3, ?4, ?5", &params).unwrap();
    assert_eq!(rows, [params.to_vec()]);
    // One that the rewritten text does not use.
    assert_eq!(
        run(&context, "SELECT ?1", &params).unwrap(),
        [params[..1].to_vec()]
    );
}

#[test]
fn every_view_can_be_read_whole_and_by_each_of_its_columns() {
    let context = testing::context(&database());
    for view in views::all() {
        let name = view.sql_name();
        let types: Vec<PgType> = view.columns.iter().map(|(_, ty)| *ty).collect();
        let all = run_typed(&context, &format!("SELECT * FROM \"{name}\""), &types, &[]);
        let all = all.unwrap_or_else(|error| panic!("{name}: {error}"));
        for (at, (column, _)) in view.columns.iter().enumerate().take(8) {
            let Some(value) = all.first().map(|row| row[at].clone()) else {
                continue;
            };
            let sql = format!("SELECT * FROM \"{name}\" WHERE {} = ?1", quoted(column));
            let found = run_typed(&context, &sql, &types, std::slice::from_ref(&value)).unwrap();
            let wanted = all
                .iter()
                .filter(|row| row[at] == value && value != Datum::Null);
            assert_eq!(found.len(), wanted.count(), "{name}.{column}");
        }
    }
}

#[test]
fn a_join_over_the_catalog_is_not_quadratic() {
    let context = testing::context(&database());
    let begun = std::time::Instant::now();
    let sql = "SELECT count(*) FROM \"pg_catalog.pg_class\" c
         JOIN \"pg_catalog.pg_attribute\" a ON a.attrelid = c.oid
         JOIN \"pg_catalog.pg_type\" t ON t.oid = a.atttypid
         JOIN \"pg_catalog.pg_namespace\" n ON n.oid = c.relnamespace";
    run(&context, sql, &[]).unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(20));
}

/// By one value that is larger than the limit: a sort that fills the memory would make the
/// statements of other tests fail, too.
#[test]
fn the_memory_of_statements_is_bounded_and_saying_so_is_an_error_of_its_own() {
    let sql = "SELECT length(CAST(zeroblob(600000000) AS BLOB) || 'x')";
    let error = one(sql).unwrap_err();
    assert_eq!(error.code(), "53200");
    let detail = error.fields().into_iter().find(|(field, _)| *field == b'D');
    let all = "All statements together may use 512 MiB for sorting and grouping.";
    assert_eq!(
        detail.unwrap().1,
        all,
        "the limit is not this statement's alone"
    );
}
