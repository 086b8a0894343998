//! Texts that are made to cost a stack or much time are refused, and long flat ones are not.

use std::time::{Duration, Instant};

use sqlparser::keywords::ALL_KEYWORDS;

use crate::catalog::prepare::{check_syntax, prepare};
use crate::catalog::testing;
use crate::engine::EngineOptions;

const TOKENS: &[&str] = &[
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "=",
    "<",
    ">",
    "<=",
    ">=",
    "<>",
    "!=",
    "||",
    "|",
    "&",
    "#",
    "~",
    "~*",
    "!~",
    "~~",
    "!~~",
    "@",
    "@@",
    "@>",
    "<@",
    "->",
    "->>",
    "#>",
    "#>>",
    "#-",
    "?",
    "?|",
    "?&",
    "&&",
    "<<",
    ">>",
    "|/",
    "||/",
    "!",
    "!!",
    "::",
    ":",
    ":=",
    "=>",
    ".",
    ".a",
    "..",
    "(",
    ")",
    "()",
    "(1)",
    "[",
    "]",
    "[]",
    "[1]",
    "[1:2]",
    "{",
    "}",
    "::int",
    "::int[]",
    ",",
    ";",
    "$1",
    "1",
    "'a'",
    "\"a\"",
    "a",
    "a.",
    "at time zone",
    "not null",
    "is not null",
    "is true",
    "is distinct from",
    "member of",
    "not like",
    "collate \"C\"",
    "union select",
    "union all",
    "union select 1,",
    "join t on",
    "join t on true",
    "join t using (a)",
    "cross join t",
    "natural join t",
    "natural join",
    "array[",
    "array<",
    "case when",
    "case when 1 then",
    "cast(",
    "f(",
    "(select",
    "exists (",
    "x as (",
    "with x as (",
    "(select * from",
    "t, lateral",
    "interval '1'",
    "date '1'",
    "is json",
    "overlaps 1",
    "between 1 and",
    "operator(+)",
    "explain analyze",
    "create table as",
    "filter (",
    "over (",
    "within group (",
    "lateral (",
    "pivot (",
    "begin;",
    "if 1 then",
    "row(",
    "any(",
    "not (",
    "- (",
    "/*",
    "*/",
    "--",
    "\\",
];

/// Runs `code` on a thread of the size that the server's have.
fn on_a_thread(code: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    thread.spawn(code).unwrap().join().unwrap();
}

fn repeated(what: &str, times: usize) -> [String; 6] {
    let of = |unit: String| unit.repeat(times);
    [
        format!("select 1 {}", of(format!("{what} "))),
        format!("select {} 1", of(format!("{what} "))),
        format!("select 1 {}", of(format!("{what} 1 "))),
        of(format!("{what} ")),
        format!("select * from a {}", of(format!("{what} a "))),
        format!("select null::{}", of(format!("{what} "))),
    ]
}

fn check_all(words: &'static [&'static str], times: usize) {
    on_a_thread(move || {
        let (engine, _clock) = testing::engine(EngineOptions::default());
        let context = testing::context(&engine);
        for what in words {
            for text in repeated(what, times) {
                let started = Instant::now();
                let _syntax = check_syntax(&text);
                let _bound = prepare(&context, &text, &[]);
                let took = started.elapsed();
                let start: String = text.chars().take(40).collect();
                let most = Duration::from_secs(10);
                assert!(took < most, "{what:?} x {times}: {took:?}: {start}");
                if took > Duration::from_millis(500) {
                    eprintln!("{what:?} x {times}: {took:?}: {start}");
                }
            }
        }
    });
}

#[test]
fn no_token_in_a_row_costs_the_stack() {
    for times in [30, 900] {
        check_all(TOKENS, times);
    }
}

#[test]
fn no_keyword_in_a_row_costs_the_stack() {
    check_all(ALL_KEYWORDS, 60);
}

#[test]
fn too_deep_a_statement_is_refused_with_54001() {
    on_a_thread(|| {
        for text in [
            format!("select x{}", "[1]".repeat(20_000)),
            format!("select true {}", "xor true ".repeat(20_000)),
            format!("select 1 {}", "isnull ".repeat(20_000)),
            format!("select null::int{}", "[]".repeat(20_000)),
            format!("select 1, 1 {}", "union select 1, 1 ".repeat(20_000)),
            "explain ".repeat(20_000),
        ] {
            assert_eq!(check_syntax(&text).unwrap_err().code(), "54001");
        }
        let dotted = format!("select a{}", ".a".repeat(200_000));
        assert_eq!(check_syntax(&dotted).unwrap_err().code(), "42601");
    });
}

#[test]
fn long_flat_statements_are_taken() {
    on_a_thread(|| {
        let (engine, _clock) = testing::engine(EngineOptions::default());
        let context = testing::context(&engine);
        for text in [
            format!("select 1 in (0{})", ", 1".repeat(10_000)),
            format!("select 1 where 1 = 0{}", " or 1 = 1".repeat(1000)),
            format!("values (1, 'a'){}", ", (1, 'a')".repeat(10_000)),
            format!("select 'a'{}", " || 'a'".repeat(200)),
            format!("select 1{}", " union all select 1".repeat(200)),
        ] {
            let start: String = text.chars().take(40).collect();
            let began = Instant::now();
            let refused = prepare(&context, &text, &[]).err();
            eprintln!("{start} {:?}", began.elapsed());
            assert!(refused.is_none(), "{start}: {refused:?}");
        }
    });
}
