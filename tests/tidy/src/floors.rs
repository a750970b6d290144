//! The floor table of `crates/ARCHITECTURE.md`, and the workspace as cargo sees it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Floors whose crates do not know each other at all.
const APART: [u32; 2] = [1, 3];

/// One row of the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub floor: u32,
    pub name: String,
}

/// The rows, from the table whose head says `| floor | crate |`.
pub fn table(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut floor = None;
    let lines = text.lines().skip_while(|line| !line.starts_with("| floor | crate |")).skip(2);
    for line in lines.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (Some(first), Some(second)) = (cells.get(1), cells.get(2)) else { continue };
        if !first.is_empty() {
            floor = first.split_whitespace().next().and_then(|number| number.parse().ok());
        }
        // The tests' row has no number: they stand beside the house.
        if let Some(floor) = floor {
            rows.push(Row { floor, name: second.trim_matches('`').to_owned() });
        }
    }
    rows
}

/// A crate of the workspace: its directory under `crates`, and the others that it is built on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub name: String,
    pub needs: Vec<String>,
}

/// Crates below `crates/`, by `cargo metadata`.
pub fn members(root: &Path) -> Vec<Member> {
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    let output = cargo
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root)
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let mut directories = BTreeMap::new();
    for package in &packages {
        if let Some(directory) = crate_directory(root, package) {
            directories.insert(package["name"].as_str().unwrap_or_default().to_owned(), directory);
        }
    }
    let ours = packages.iter().filter(|package| crate_directory(root, package).is_some());
    ours.map(|package| member(package, &directories)).collect()
}

fn crate_directory(root: &Path, package: &Value) -> Option<String> {
    let manifest = Path::new(package["manifest_path"].as_str()?);
    let directory = manifest.parent()?.strip_prefix(root.join("crates")).ok()?;
    Some(directory.display().to_string())
}

fn member(package: &Value, directories: &BTreeMap<String, String>) -> Member {
    let name = directories[package["name"].as_str().unwrap_or_default()].clone();
    let dependencies = package["dependencies"].as_array().cloned().unwrap_or_default();
    // Tests may reach up (a broker's tests start a controller); what is built may not.
    let built = dependencies.iter().filter(|dependency| dependency["kind"].as_str() != Some("dev"));
    let needs =
        built.filter_map(|dependency| directories.get(dependency["name"].as_str()?).cloned());
    Member { name, needs: needs.collect() }
}

/// Where table and workspace disagree.
pub fn problems(rows: &[Row], members: &[Member]) -> Vec<String> {
    let mut problems = Vec::new();
    let place = |name: &str| rows.iter().position(|row| row.name == name);
    for row in rows {
        if !members.iter().any(|member| member.name == row.name) {
            problems.push(format!("{} is in the floor table but not in crates/", row.name));
        }
    }
    for member in members {
        let Some(own) = place(&member.name) else {
            problems.push(format!("{} is in crates/ but not in the floor table", member.name));
            continue;
        };
        for needed in &member.needs {
            let Some(other) = place(needed) else { continue };
            let (from, to) = (rows[own].floor, rows[other].floor);
            if to > from {
                problems.push(format!(
                    "{} (floor {from}) needs {needed} (floor {to}), which is above it",
                    member.name
                ));
            } else if to == from && APART.contains(&from) {
                problems.push(format!(
                    "{} needs {needed}: crates of floor {from} do not know each other",
                    member.name
                ));
            } else if to == from && other >= own {
                problems.push(format!(
                    "{} needs {needed}, which the table lists after it on the same floor",
                    member.name
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(needs: &str, expected: &[&str]) {
        let rows = table(
            "| floor | crate | x |\n|--|--|--|\n| 0 words | `a` | |\n| | `b` | |\n| 1 rules | `c` | |\n| | `d` | |\n| tests | `t` | |\n",
        );
        let of = |name: &str| {
            let pairs = needs.split(' ').filter_map(|pair| pair.split_once('>'));
            let needs =
                pairs.filter(|(from, _)| *from == name).map(|(_, to)| to.to_owned()).collect();
            Member { name: name.to_owned(), needs }
        };
        assert_eq!(problems(&rows, &["a", "b", "c", "d"].map(of)), expected);
    }

    #[test]
    fn arrows_point_down() {
        check("b>a c>b d>a", &[]);
        check("a>c", &["a (floor 0) needs c (floor 1), which is above it"]);
        check("a>b", &["a needs b, which the table lists after it on the same floor"]);
        check("d>c", &["d needs c: crates of floor 1 do not know each other"]);
    }

    #[test]
    fn a_crate_outside_the_table_is_told() {
        let found = problems(&[], &[Member { name: "x".to_owned(), needs: Vec::new() }]);
        assert_eq!(found, ["x is in crates/ but not in the floor table"]);
    }
}
