//! What we take in: every crate's licence is one that we may ship under, and comes from crates.io.
//!
//! Known faults (RustSec) cannot be looked up here: see docs/architecture.md.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

/// Licences that ask for no more than their text beside the program.
const FINE: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

/// Crates with another one, each with a reason. MPL-2.0 asks that changes of the crate's own files
/// be given: we change none. NCSA is as MIT, and only in what tests from outside, which is not
/// shipped; CDLA-Permissive-2.0 is for data and asks for its text.
const ALSO_FINE: &[(&str, &str)] = &[
    ("x509-certificate", "MPL-2.0"),
    ("libfuzzer-sys", "(MIT OR Apache-2.0) AND NCSA"),
    ("webpki-roots", "CDLA-Permissive-2.0"),
];

/// What is built here: the program, and what tests it from outside.
const MANIFESTS: &[&str] = &[
    "Cargo.toml",
    "fuzz/Cargo.toml",
    "compat/walstream/Cargo.toml",
];

/// Every package of every manifest, as its lock file pins it.
fn packages() -> Vec<Value> {
    MANIFESTS
        .iter()
        .flat_map(|path| packages_of(path))
        .collect()
}

fn packages_of(manifest: &str) -> Vec<Value> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .args(["--manifest-path", manifest])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{manifest}: {said}");
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Whether it is a package of this repository.
fn is_ours(package: &Value) -> bool {
    let path = package["manifest_path"].as_str().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    MANIFESTS
        .iter()
        .any(|ours| here.join(ours) == Path::new(path))
}

#[test]
fn every_crate_has_a_licence_that_we_may_ship_under() {
    let fine: Vec<_> = FINE
        .iter()
        .map(|text| Licensee::parse(text).unwrap())
        .collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let text = package["license"].as_str().unwrap_or("none");
        let allowed = Expression::parse_mode(text, ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|asked| fine.iter().any(|licensee| licensee.satisfies(asked)))
        });
        if !allowed && !ALSO_FINE.contains(&(name, text)) {
            wrong.push(format!("{name}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_crate_comes_from_the_registry() {
    for package in packages() {
        let source = package["source"].as_str();
        let ours = is_ours(&package);
        let registry = source.is_some_and(|source| source.starts_with("registry+"));
        assert!(registry || ours, "{}: {source:?}", package["name"]);
    }
}
