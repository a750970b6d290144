//! The golden scripts of `tests/scripts`: each file's name is a claim, its trace the evidence.
//! `REWRITE_SCRIPTS=1 cargo test -p ottla-replication` prints them anew.

// Test files are read and written directly: there is no environment to simulate here.
#![allow(clippy::disallowed_methods)]

mod support;

use std::path::Path;
use support::{commands::Bench, script};

#[test]
fn every_script_prints_what_it_printed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = std::fs::read_dir(&folder).expect("scripts");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 20, "scripts are missing from {}", folder.display());
    for path in paths {
        script::check(&path, &mut Bench::default());
    }
}
