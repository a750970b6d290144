//! Golden scripts: each file of `tests/scripts` makes one claim (its comment), gives commands, and
//! holds the whole trace of what they wrote, answered and led to.
//!
//! Lines that begin with `>` are input: a command of `support/language.rs`, several of them
//! separated by ` ; ` (one batch), or one of
//!
//! ```text
//! set [partitions=P] [rf=R] [unclean=true]     cluster defaults of the commands that follow
//! show                                         print the image
//! spread                                       count leaders and replicas of each broker
//! ```
//! `+` lines are records, `=` lines replies. With OTTLA_UPDATE_SCRIPTS set the traces are rewritten
//! in place; review the diff like code.
#![allow(clippy::disallowed_methods)]

mod support;

use metadata::{Command, DecideContext, Image, Reply, decide_batch};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use support::rules::TestRules;
use support::{invariants, language, print};

#[test]
fn every_script_gives_its_trace() {
    let update = std::env::var_os("OTTLA_UPDATE_SCRIPTS").is_some();
    let mut wrong = Vec::new();
    for path in scripts() {
        let text = std::fs::read_to_string(&path).unwrap();
        let trace = Runner::new().run(&text);
        if text == trace {
            continue;
        }
        if update {
            std::fs::write(&path, trace).unwrap();
        } else {
            wrong.push(format!("{}:\n{}", path.display(), difference(&text, &trace)));
        }
    }
    assert!(wrong.is_empty(), "{}\nrun with OTTLA_UPDATE_SCRIPTS=1", wrong.join("\n"));
}

#[test]
fn the_same_script_twice_gives_the_same_trace() {
    for path in scripts() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(Runner::new().run(&text), Runner::new().run(&text), "{}", path.display());
    }
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// The first lines that differ.
fn difference(wanted: &str, got: &str) -> String {
    let mut lines = wanted.lines().zip(got.lines()).enumerate();
    match lines.find(|(_, (wanted, got))| wanted != got) {
        Some((index, (wanted, got))) => {
            format!("line {}\n  file  {wanted}\n  trace {got}", index + 1)
        }
        None => "one is longer".to_owned(),
    }
}

/// Runs one script from an empty image.
struct Runner {
    image: Image,
    names: print::TopicNames,
    partitions: i32,
    replication_factor: i16,
    unclean: bool,
    trace: String,
}

impl Runner {
    fn new() -> Runner {
        Runner {
            image: Image::default(),
            names: print::TopicNames::new(),
            partitions: 1,
            replication_factor: 1,
            unclean: false,
            trace: String::new(),
        }
    }

    fn run(mut self, text: &str) -> String {
        for line in text.lines() {
            match line.strip_prefix('>') {
                Some(input) => {
                    self.line(line);
                    self.input(input.trim());
                }
                None if line.starts_with("  ") => {}
                None => self.line(line),
            }
        }
        self.trace
    }

    fn line(&mut self, line: &str) {
        writeln!(self.trace, "{}", line.trim_end()).unwrap();
    }

    fn input(&mut self, input: &str) {
        let words: Vec<&str> = input.split_whitespace().collect();
        match words[0] {
            "set" => self.set(&words[1..]),
            "show" => {
                for line in print::image(&self.image) {
                    self.line(&format!("    {line}"));
                }
            }
            "spread" => {
                for line in print::spread(&self.image) {
                    self.line(&format!("    {line}"));
                }
            }
            _ => self.commands(input),
        }
    }

    fn set(&mut self, words: &[&str]) {
        for word in words {
            match word.split_once('=').unwrap() {
                ("partitions", value) => self.partitions = value.parse().unwrap(),
                ("rf", value) => self.replication_factor = value.parse().unwrap(),
                ("unclean", value) => self.unclean = value == "true",
                (other, _) => panic!("unknown setting {other}"),
            }
        }
    }

    fn commands(&mut self, input: &str) {
        let commands: Vec<Command> =
            input.split(" ; ").map(|text| language::parse(&self.image, text)).collect();
        let context = DecideContext {
            seed: self.image.version().0 + 1,
            config_rules: &TestRules,
            num_partitions: self.partitions,
            replication_factor: self.replication_factor,
            unclean_leader_election: self.unclean,
        };
        let batch = decide_batch(&self.image, &commands, &context);
        for record in &batch.records {
            let line = print::record(&mut self.names, record);
            self.line(&format!("  + {line}"));
        }
        for reply in &batch.replies {
            for line in print::reply(&self.names, reply) {
                self.line(&format!("  = {line}"));
            }
            assert_eq!(&Reply::from_bytes(reply.to_bytes()).unwrap(), reply);
        }
        for command in &commands {
            assert_eq!(&Command::from_bytes(command.to_bytes()).unwrap(), command);
        }
        let before = self.image.clone();
        assert!(self.image.apply_batch(batch.based_on, &batch.records));
        invariants::check_image(&self.image);
        invariants::check_step(&before, &self.image, &batch.records);
    }
}
