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

#[test]
fn every_row_is_proved_or_belongs_to_later_work() {
    let open: Vec<String> = rows()
        .into_iter()
        .filter(|(_, proof)| {
            !(proof.contains('`') || proof.contains("later:") || proof.contains("nothing to prove"))
        })
        .map(|(row, _)| row)
        .collect();
    assert!(open.is_empty(), "without a test: {open:?}");
}

#[test]
fn every_test_named_in_the_table_exists() {
    let mut sources = String::new();
    for folder in ["src", "tests", "benches", "compat"] {
        read_all(&root().join(folder), &mut sources);
    }
    let mut missing = Vec::new();
    for (row, proof) in rows() {
        for name in proof.split('`').skip(1).step_by(2) {
            let known = [format!("fn {name}("), format!("def {name}(")];
            if !known.iter().any(|definition| sources.contains(definition)) {
                missing.push(format!("{row}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}

fn read_all(path: &Path, into: &mut String) {
    if path.is_dir() {
        if path.ends_with(".venv") {
            return;
        }
        for entry in fs::read_dir(path).unwrap() {
            read_all(&entry.unwrap().path(), into);
        }
    } else if path.extension().is_some_and(|e| e == "rs" || e == "py") {
        into.push_str(&fs::read_to_string(path).unwrap());
    }
}
