//! What an invariant found, and what it is.

use std::fmt::Display;

/// Which of the report's numbers a finding counts under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    Lost,
    Duplicated,
    Reordered,
    Diverged,
    Other,
}

/// An invariant in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its number in the catalogue of faults, for example `I20`.
    pub id: &'static str,
    /// Its name, as options and reports use it.
    pub name: &'static str,
    /// What holds in a history without fault.
    pub promise: &'static str,
    pub count: Count,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The promise is broken.
    Violation,
    /// Worth knowing, and no promise of Apache Kafka: a violation only if strictness is asked for.
    Note,
}

/// Collects one invariant's findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many things were looked at; 0 means that the invariant says nothing about this history.
    pub checked: u64,
    pub violations: u64,
    pub notes: u64,
    /// The first of each weight, in words.
    pub examples: Vec<String>,
    pub note_examples: Vec<String>,
}

/// Most examples kept of each weight.
const EXAMPLES_MAX: usize = 5;

impl Findings {
    pub fn checked(&mut self, count: u64) {
        self.checked += count;
    }

    /// A broken promise.
    pub fn violation(&mut self, text: impl Display) {
        self.add(Weight::Violation, text);
    }

    pub fn add(&mut self, weight: Weight, text: impl Display) {
        let (count, examples) = match weight {
            Weight::Violation => (&mut self.violations, &mut self.examples),
            Weight::Note => (&mut self.notes, &mut self.note_examples),
        };
        *count += 1;
        if examples.len() < EXAMPLES_MAX {
            examples.push(text.to_string());
        }
    }

    /// Further violations like those added, beyond what was kept of them.
    pub fn more_violations(&mut self, count: u64) {
        self.violations += count;
    }
}
