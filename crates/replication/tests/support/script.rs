//! Golden scripts: a file of commands, each followed by its indented output. Running one prints the
//! file anew; it must be what it was. `REWRITE_SCRIPTS=1` writes it instead, for review as a diff.

use std::path::Path;

/// What runs a script's commands.
pub trait Runner {
    /// The lines that a command prints.
    fn run(&mut self, command: &Command) -> Vec<String>;
}

/// One line of a script: words, and `key=value` pairs.
pub struct Command<'a> {
    pub name: &'a str,
    pub words: Vec<&'a str>,
    pub pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Command<'a> {
    fn parse(line: &'a str) -> Command<'a> {
        let mut parts = line.split_whitespace();
        let name = parts.next().expect("a command has a name");
        let (pairs, words): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.contains('='));
        let pairs = pairs.into_iter().filter_map(|pair| pair.split_once('=')).collect();
        Command { name, words, pairs }
    }

    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    pub fn number(&self, key: &str, default: i64) -> i64 {
        let parse = |text: &str| text.parse().unwrap_or_else(|_| panic!("{key}={text}"));
        self.get(key).map_or(default, parse)
    }

    pub fn word(&self, index: usize) -> i64 {
        let word = self.words.get(index).unwrap_or_else(|| panic!("{} lacks a word", self.name));
        word.parse().unwrap_or_else(|_| panic!("{}: {word}", self.name))
    }

    /// `1,2,3`
    pub fn list(&self, key: &str) -> Vec<i64> {
        let text = self.get(key).unwrap_or("");
        text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
    }
}

/// Runs one script and compares.
pub fn check(path: &Path, runner: &mut dyn Runner) {
    let before = std::fs::read_to_string(path).expect("script");
    let mut after = String::new();
    for line in before.lines().filter(|line| !line.starts_with("    ")) {
        after += line;
        after.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for output in runner.run(&Command::parse(line)) {
            after += &format!("    {output}\n");
        }
    }
    if std::env::var_os("REWRITE_SCRIPTS").is_some() {
        std::fs::write(path, &after).expect("script written");
    } else if before != after {
        panic!("{} now prints:\n{after}\nit printed:\n{before}", path.display());
    }
}
