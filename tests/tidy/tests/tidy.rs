//! The project keeps its own rules.
#![allow(clippy::disallowed_methods)]

use tidy::{floors, root, source};

fn check(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn crates_stand_on_their_floors() {
    let text =
        std::fs::read_to_string(root().join("crates/ARCHITECTURE.md")).expect("the plan is there");
    let rows = floors::table(&text);
    assert!(rows.len() > 10, "the floor table was not found in crates/ARCHITECTURE.md: {rows:?}");
    check(&floors::problems(&rows, &floors::members(&root())));
}

#[test]
fn functions_and_files_are_short() {
    check(&source::lengths(&source::files(&root(), &[".rs"])));
}

#[test]
fn every_module_says_what_it_is() {
    check(&source::undocumented(&source::files(&root(), &[".rs"])));
}

#[test]
fn nothing_is_left_for_later() {
    check(&source::leftovers(&source::files(&root(), &[".rs", ".proto", ".py", ".sh", ".yml"])));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let manifests = source::files(&root(), &["Cargo.toml"]);
    // The fuzzers are a workspace of their own, since their runner adds flags to everything.
    let ours = manifests.iter().filter(|manifest| !manifest.path.starts_with("tests/fuzz/"));
    let without = ours.filter(|manifest| !manifest.text.contains("[lints]\nworkspace = true"));
    let problems: Vec<String> = without
        .map(|manifest| format!("{}: add `[lints]` with `workspace = true`", manifest.path))
        .collect();
    check(&problems);
}
