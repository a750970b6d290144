//! The judge: takes a history event by event, and gives the report.

use std::collections::BTreeSet;
use std::path::Path;

use env::Env;

use crate::facts::Facts;
use crate::findings::Findings;
use crate::history::{Event, HistoryError, HistoryReader};
use crate::invariants::{Invariant, all};
use crate::report::Report;
use crate::stalls::StallMeter;

/// How findings are weighed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Names of invariants whose violations are only notes.
    pub allow: BTreeSet<String>,
    /// Notes are violations.
    pub strict: bool,
}

pub struct Checker {
    facts: Facts,
    stalls: StallMeter,
    invariants: Vec<(Box<dyn Invariant>, Findings)>,
}

impl Default for Checker {
    fn default() -> Self {
        Checker::new()
    }
}

impl Checker {
    pub fn new() -> Checker {
        let invariants = all().into_iter().map(|invariant| (invariant, Findings::default()));
        Checker {
            facts: Facts::default(),
            stalls: StallMeter::new(),
            invariants: invariants.collect(),
        }
    }

    /// Takes the next event of the history.
    pub fn take(&mut self, event: &Event) {
        self.facts.take(event);
        self.stalls.take(event);
        for (invariant, found) in &mut self.invariants {
            invariant.observe(event, found);
        }
    }

    /// The report on all events taken.
    pub fn finish(mut self, options: &CheckOptions) -> Report {
        self.conclude();
        let findings = self.invariants.into_iter();
        let findings = findings.map(|(invariant, found)| (invariant.rule(), found)).collect();
        Report::new(&self.facts, self.stalls.finish(), findings, options)
    }

    fn conclude(&mut self) {
        self.facts.close();
        for (invariant, found) in &mut self.invariants {
            invariant.conclude(&self.facts, found);
        }
    }

    #[cfg(test)]
    pub(crate) fn findings(mut self, rule: &str) -> Findings {
        self.conclude();
        let found = self.invariants.into_iter().find(|(of, _)| of.rule().name == rule);
        found.unwrap_or_else(|| panic!("no invariant is named {rule}")).1
    }
}

/// Judges a history in a file. Blocks.
pub fn check_file(env: &Env, path: &Path, options: &CheckOptions) -> Result<Report, HistoryError> {
    let mut reader = HistoryReader::open(env, path)?;
    let mut checker = Checker::new();
    while let Some(event) = reader.next_event()? {
        checker.take(&event);
    }
    Ok(checker.finish(options))
}
