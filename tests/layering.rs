//! The floors of the house: a module may import only modules listed before it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]
use std::{fs, path::Path};

/// Ground floor first. Adding a module means choosing its floor here.
const FLOORS: &[&str] = &[
    "lsn",
    "disk",
    "clock",
    "units",
    "datum",
    "patterns",
    "metrics",
    "change",
    "spool",
    "slots",
    "relations",
    "captures",
    "roles",
    "hba",
    "replicas",
    "wire",
    "pgoutput",
    "rows",
    "publications",
    "resume",
    "sources",
    "plugins",
    "engine",
    "capture",
    "pgerror",
    "fanout",
    "catalog",
    "admin",
    "server",
    "cli",
    "fuzzing",
];

/// Those of them that are not built yet; their floors are kept free.
const PLANNED: &[&str] = &[];

#[test]
fn no_module_imports_a_higher_floor() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for (floor, module) in FLOORS.iter().enumerate() {
        for (file, text) in rust_files(&src, module) {
            for higher in &FLOORS[floor + 1..] {
                if imports(&text, higher) {
                    broken.push(format!("{file}: {module} (floor {floor}) imports {higher}"));
                }
            }
        }
    }
    assert!(
        broken.is_empty(),
        "imports that point upward:\n{}",
        broken.join("\n")
    );
}

#[test]
fn every_floor_is_a_module_or_planned() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in FLOORS {
        let exists = !rust_files(&src, module).is_empty();
        assert_ne!(exists, PLANNED.contains(module), "{module}");
    }
}

#[test]
fn every_module_has_a_floor() {
    let lib = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    for line in lib.lines().map(|l| l.trim_start_matches("pub ").trim()) {
        if let Some(name) = line.strip_prefix("mod ").and_then(|l| l.strip_suffix(';')) {
            assert!(FLOORS.contains(&name), "src/{name} is not in FLOORS");
        }
    }
}

/// True when `text` names `crate::module`, on its own or inside `use crate::{..}`.
fn imports(text: &str, module: &str) -> bool {
    let code: String = text
        .lines()
        .map(|l| l.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join(" ");
    code.split("crate::").skip(1).any(|rest| {
        let names = match rest.strip_prefix('{') {
            Some(group) => group.split(';').next().unwrap(),
            None => rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap(),
        };
        names
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|n| n == module)
    })
}

fn rust_files(src: &Path, module: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut todo = vec![src.join(module), src.join(format!("{module}.rs"))];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.is_file() && path.extension().is_some_and(|e| e == "rs") {
            found.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
    found
}
