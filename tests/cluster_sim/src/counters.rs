//! What happened, counted: a proof that something was tried.

use crate::plan::FaultKind;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Counters(BTreeMap<String, u64>);

/// What must have happened in a number of runs that is called a proof.
const EXPECTED: [&str; 25] = [
    "acked records",
    "records read",
    "failed records",
    "elections of a controller",
    "elections of a leader",
    "isr shrinks",
    "isr expansions",
    "truncations",
    "connections",
    "items held by cut links",
    "connections refused",
    "connections reset",
    "writes lost in power cuts",
    "writes torn in power cuts",
    "names lost in power cuts",
    "programs ended by a failing disk",
    "damaged disks replaced",
    "quorums compared with candidates",
    "raft entries committed",
    "producer states made anew",
    "programs stopped to the end",
    "group commits",
    "group offsets fetched",
    "administrative calls",
    "deletions of records",
];

impl Counters {
    pub fn add(&mut self, what: &str, count: u64) {
        *self.0.entry(what.to_owned()).or_default() += count;
    }

    /// Keeps the highest.
    pub fn at_least(&mut self, what: &str, count: u64) {
        let highest = self.0.entry(what.to_owned()).or_default();
        *highest = (*highest).max(count);
    }

    pub fn fault(&mut self, kind: FaultKind) {
        self.add(&fault_name(kind), 1);
    }

    pub fn merge(&mut self, other: &Counters) {
        for (what, count) in &other.0 {
            match what.ends_with("at most") {
                true => self.at_least(what, *count),
                false => self.add(what, *count),
            }
        }
    }

    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// What should have happened and has not.
    pub fn missing(&self) -> Vec<String> {
        let faults = FaultKind::ALL.into_iter().map(fault_name);
        let all = EXPECTED.into_iter().map(str::to_owned).chain(faults);
        all.filter(|what| self.get(what) == 0).collect()
    }
}

fn fault_name(kind: FaultKind) -> String {
    format!("fault {kind:?}")
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.0 {
            writeln!(f, "{count:>12} {what}")?;
        }
        Ok(())
    }
}
