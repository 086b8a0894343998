//! `docs/conformance.md` is complete and true: every row once, every named test exists.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Row name to its last cell.
fn rows() -> BTreeMap<String, String> {
    let page = fs::read_to_string(root().join("docs/conformance.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, _, proof] = cells[..] else { continue };
        if row.starts_with("R-") || row.starts_with("W-") {
            let earlier = rows.insert(row.to_owned(), proof.to_owned());
            assert!(earlier.is_none(), "{row} stands twice");
        }
    }
    rows
}

fn expected_rows() -> BTreeSet<String> {
    let behaviours = (1..=124).map(|n| format!("R-{n:02}"));
    let vectors = (1..=14).map(|n| format!("R-G{n}"));
    let weaknesses = (1..=40).map(|n| format!("W-{n:02}"));
    behaviours.chain(vectors).chain(weaknesses).collect()
}

#[test]
fn every_row_stands_once() {
    let rows: BTreeSet<String> = rows().into_keys().collect();
    assert_eq!(rows, expected_rows());
}

/// The rows that belong to later work; every other one is proved now.
fn later_rows() -> BTreeSet<String> {
    let behaviours = [86..=87, 89..=113, 123..=123];
    let behaviours = behaviours.into_iter().flatten().map(|n| format!("R-{n}"));
    behaviours
        .chain(["W-33".to_owned(), "W-39".to_owned()])
        .collect()
}

#[test]
fn every_row_is_proved_or_belongs_to_later_work() {
    let later = later_rows();
    for (row, proof) in rows() {
        let wanted = match row.as_str() {
            "W-14" => proof.starts_with("nothing to prove: "),
            // It may be proved before its time.
            row if later.contains(row) => proof.starts_with("later: ") || proof.starts_with('`'),
            _ => proof.starts_with('`'),
        };
        assert!(wanted, "{row}: {proof}");
    }
}

/// "`name` (path)", separated by commas.
fn tests_named_in(proof: &str) -> Vec<(String, String)> {
    let tests = proof.split(", ").filter(|test| test.starts_with('`'));
    let parts = tests.map(|test| {
        let (name, path) = test[1..].split_once("` (").unwrap();
        (name.to_owned(), path.trim_end_matches(')').to_owned())
    });
    parts.collect()
}

#[test]
fn every_test_named_in_the_table_runs() {
    let mut missing = Vec::new();
    for (row, proof) in rows() {
        let named = tests_named_in(&proof);
        assert_eq!(
            named.len() * 2,
            proof.matches('`').count(),
            "{row}: {proof}"
        );
        for (name, path) in named {
            let source = fs::read_to_string(root().join(&path)).unwrap_or_default();
            if !is_test(&source, &name) {
                missing.push(format!("{row}: {name} in {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}

/// Whether the source defines the function as a test: in Rust with the attribute, and not
/// ignored; in Python by its name.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let python = format!("def {name}(");
    if name.starts_with("test_") && lines.iter().any(|line| line.starts_with(&python)) {
        return true;
    }
    let rust = [format!("fn {name}("), format!("async fn {name}(")];
    let defines = |line: &&str| rust.iter().any(|start| line.starts_with(start));
    let Some(at) = lines.iter().position(defines) else {
        return false;
    };
    let attributes: Vec<&str> = lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .copied()
        .collect();
    let tests = ["#[test]", "#[tokio::test"];
    let marked = |line: &&str| tests.iter().any(|test| line.starts_with(test));
    attributes.iter().any(marked) && !attributes.iter().any(|line| line.starts_with("#[ignore"))
}

#[test]
fn only_functions_that_run_are_tests() {
    let source = "#[test]\nfn runs() {}\n\nfn helper() {}\n#[test]\n#[ignore]\nfn sleeps() {}\n";
    let found = ["runs", "helper", "sleeps", "absent"].map(|name| is_test(source, name));
    assert_eq!(found, [true, false, false, false]);
}
