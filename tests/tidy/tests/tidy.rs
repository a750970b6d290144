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
fn every_setting_of_a_node_is_read_by_somebody() {
    let sources = source::files(&root(), &[".rs"]);
    let settings = sources.iter().find(|source| source.path == "crates/config/src/node/mod.rs");
    let fields = source::public_fields(&settings.expect("the settings are there").text);
    assert!(fields.len() > 60, "the settings were not found: {fields:?}");
    let is_reader = |path: &str| {
        path.starts_with("crates/") && path.contains("/src/") && !path.contains("/config/src/node/")
    };
    let readers: Vec<_> = sources.iter().filter(|source| is_reader(&source.path)).collect();
    let is_read = |field: &&String| readers.iter().any(|one| source::reads(&one.text, field));
    let unread = fields.iter().filter(|field| !is_read(field));
    let problem = |field| {
        format!(
            "{field} is read from a node's file and by nobody: the key is `later` or `unneeded`"
        )
    };
    check(&unread.map(problem).collect::<Vec<_>>());
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
