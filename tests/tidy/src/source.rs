//! Looks at source files, line by line.

use crate::{FILE_LINES_MAX, FUNCTION_LINES_MAX, WAIVERS};
use std::path::Path;

/// A source file, by its path from the root.
pub struct Source {
    pub path: String,
    pub text: String,
}

/// All files of these endings below the project's own directories, sorted.
pub fn files(root: &Path, endings: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    for directory in ["crates", "tests", "deploy", "proto", ".ci"] {
        collect(root, &root.join(directory), endings, &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(root: &Path, directory: &Path, endings: &[&str], sources: &mut Vec<Source>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        // Built things, caches and corpora are not ours to judge.
        let skipped = name.starts_with('.')
            || ["target", "corpus", "__pycache__", "node_modules"].contains(&name.as_str());
        if path.is_dir() {
            if !skipped {
                collect(root, &path, endings, sources);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending))
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            sources.push(Source { path, text });
        }
    }
}

/// The names of public fields of structs.
pub fn public_fields(text: &str) -> Vec<String> {
    let field = |line: &str| {
        let (name, _) = line.strip_prefix("    pub ")?.split_once(": ")?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| name.to_owned())
    };
    text.lines().filter_map(field).collect()
}

/// Whether a field of this name is read: `.name`, and no longer name.
pub fn reads(text: &str, field: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let found = |(at, _): (usize, &str)| is_end(&text[at + 1 + field.len()..]);
    text.match_indices(&format!(".{field}")).any(found)
}

/// Functions and files that are longer than the limit and their waivers, and waivers that are
/// looser than need be.
pub fn lengths(sources: &[Source]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut used = vec![false; WAIVERS.len()];
    for source in sources {
        let lines = source.text.lines().count();
        problems.extend(judge(&source.path, None, lines, FILE_LINES_MAX, &mut used));
        for (name, lines) in functions(&source.text) {
            problems.extend(judge(&source.path, Some(&name), lines, FUNCTION_LINES_MAX, &mut used));
        }
    }
    for (waiver, used) in WAIVERS.iter().zip(used) {
        if !used {
            problems.push(format!("{}: the waiver is no longer needed: remove it", waiver.path));
        }
    }
    problems
}

fn judge(
    path: &str,
    function: Option<&str>,
    lines: usize,
    max: usize,
    used: &mut [bool],
) -> Option<String> {
    if lines <= max {
        return None;
    }
    let what = function.map_or("the file".to_owned(), |name| format!("fn {name}"));
    let found =
        WAIVERS.iter().position(|waiver| waiver.path == path && waiver.function == function);
    let Some(at) = found else {
        return Some(format!("{path}: {what} has {lines} lines, more than {max}: split it"));
    };
    used[at] = true;
    let allowed = WAIVERS[at].lines;
    match lines {
        lines if lines > allowed => {
            Some(format!("{path}: {what} has {lines} lines, more than its waiver's {allowed}"))
        }
        lines if lines < allowed => {
            Some(format!("{path}: {what} has {lines} lines: lower its waiver from {allowed}"))
        }
        _ => None,
    }
}

/// Names and lengths of the functions with a body.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((indent, name)) = function_start(line) else { continue };
        let end = format!("{}}}", " ".repeat(indent));
        let declaration_end = format!("{});", " ".repeat(indent));
        for (length, line) in lines[at..].iter().enumerate() {
            if *line == end {
                found.push((name.to_owned(), length + 1));
                break;
            }
            // A declaration without a body, on one line or several.
            if (length == 0 && line.ends_with(';'))
                || (length > 0 && line.starts_with(&declaration_end))
            {
                break;
            }
            if length == 0 && line.ends_with('}') {
                break;
            }
        }
    }
    found
}

fn function_start(line: &str) -> Option<(usize, &str)> {
    let indent = line.len() - line.trim_start().len();
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub") {
        rest = after
            .strip_prefix('(')
            .map_or(after, |inside| inside.split_once(')').map_or("", |(_, rest)| rest));
        rest = rest.trim_start();
    }
    for word in ["default ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some((indent, &name[..end]))
}

/// Files that do not say at the top what they are.
pub fn undocumented(sources: &[Source]) -> Vec<String> {
    let without = sources.iter().filter(|source| !source.text.starts_with("//!"));
    without
        .map(|source| format!("{}: begin with `//!` and say what it is and promises", source.path))
        .collect()
}

/// Things left for later.
pub fn leftovers(sources: &[Source]) -> Vec<String> {
    // Written in two parts, so that this file does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
    ];
    let mut problems = Vec::new();
    for source in sources {
        for (at, line) in source.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                problems.push(format!(
                    "{}:{}: {word}: do it, or open an issue",
                    source.path,
                    at + 1
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_measured_from_its_name_to_its_brace() {
        let text = "impl A {\n    pub(crate) async fn long(\n        a: i32,\n    ) -> i32 {\n        a\n    }\n\n    fn none(&self);\n    fn one() {}\n}\n";
        assert_eq!(functions(text), [("long".to_owned(), 5)]);
    }
}
