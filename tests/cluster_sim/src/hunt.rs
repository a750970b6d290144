//! The simulation's proof of itself: how many seeds each mistake survives.

use crate::plan::Plan;
use crate::world::{Outcome, run_plan};
use env::Mutant;
use std::fmt::Write;

/// Seeds after which a mistake counts as unnoticed.
pub const BUDGET: u64 = 300;

/// Every mistake: its name, and the rule that it leaves out.
pub const MUTANTS: [(&str, Mutant, &str); 16] = [
    (
        "raft-log-not-synced",
        Mutant::RaftLogNotSynced,
        "entries of the controllers' log are synced before they are acknowledged",
    ),
    (
        "vote-not-synced",
        Mutant::VoteNotSynced,
        "votes are synced before they are given (openraft: `save_vote`)",
    ),
    (
        "unanswered-append-counts",
        Mutant::UnansweredAppendCounts,
        "only a quorum's acknowledgements commit (the class of openraft #1802)",
    ),
    (
        "wiped-disk-keeps-identity",
        Mutant::WipedDiskKeepsIdentity,
        "a wiped controller comes back as another member, so that it votes once",
    ),
    ("torn-tail-kept", Mutant::TornTailKept, "recovery cuts a torn tail by its CRC"),
    (
        "names-not-synced",
        Mutant::NamesNotSynced,
        "new, renamed and removed names are synced (KAFKA-16541)",
    ),
    (
        "records-not-synced",
        Mutant::RecordsNotSynced,
        "records of synced topics are synced before they are acknowledged (KAFKA-10533)",
    ),
    (
        "watermark-without-isr",
        Mutant::WatermarkWithoutIsr,
        "every member of the ISR holds the high watermark, heard or not",
    ),
    ("ack-at-append", Mutant::AckAtAppend, "acks=all waits for the high watermark"),
    ("read-to-end", Mutant::ReadToEnd, "consumers read to the high watermark"),
    (
        "no-truncation",
        Mutant::NoTruncation,
        "a follower cuts what its leader does not have (KIP-101, KIP-279)",
    ),
    (
        "isr-by-id-alone",
        Mutant::IsrByIdAlone,
        "a follower counts only under the registration that the controller knows (KIP-903)",
    ),
    (
        "group-log-unchecked",
        Mutant::GroupLogUnchecked,
        "a group coordinator checks the CRCs of what it loads",
    ),
    (
        "groups-answered-at-append",
        Mutant::GroupsAnsweredAtAppend,
        "what a group asks is answered when it is committed",
    ),
    (
        "packed-believed",
        Mutant::PackedBelieved,
        "compressed batches are walked before they are appended",
    ),
    (
        "silence-by-wall-clock",
        Mutant::SilenceByWallClock,
        "producers are forgotten by a clock that does not jump",
    ),
];

pub fn mutant_by_name(name: &str) -> Option<Mutant> {
    MUTANTS.iter().find(|(known, ..)| *known == name).map(|(_, mutant, _)| *mutant)
}

/// How a mistake was noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kill {
    /// The seed that noticed it, and how many were run for that.
    pub seed: u64,
    pub seeds: u64,
    pub violation: String,
}

/// Runs seeds with the mistake until one notices it, at most so many.
pub fn hunt(mutant: Mutant, first: u64, budget: u64) -> Option<Kill> {
    for seed in first..first + budget {
        let run = |mutant| -> Outcome {
            let plan = Plan { mutant, ..Plan::new(seed) };
            run_plan(plan, None)
        };
        let Some(violation) = run(Some(mutant)).violation else { continue };
        // What fails without the mistake says nothing about it.
        if run(None).violation.is_none() {
            return Some(Kill { seed, seeds: seed - first + 1, violation });
        }
    }
    None
}

/// What noticed, in short: the invariant's number, or what was waited for in vain.
fn noticed_as(violation: &str) -> String {
    let number = violation.rsplit_once("(I").and_then(|(_, rest)| rest.split_once(')'));
    match (number, violation.split_once("not yet: ")) {
        (Some((number, _)), _) => format!("I{number}"),
        (None, Some((_, what))) => format!("in vain: {what}"),
        (None, None) => {
            let text: String = violation.chars().take(60).collect();
            text.replace(['|', '\n'], " ")
        }
    }
}

/// The table of `MUTANTS.md`; `None` in it means that a mistake went unnoticed.
pub fn mutant_table() -> String {
    let mut text = String::from(HEAD);
    for (name, mutant, rule) in MUTANTS {
        let row = match hunt(mutant, 0, BUDGET) {
            Some(Kill { seed, seeds, violation }) => {
                format!("{seeds} | {seed} | {}", noticed_as(&violation))
            }
            None => "never | - | -".to_owned(),
        };
        eprintln!("{name}: {row}");
        let _ = writeln!(text, "| `{name}` | {rule} | {row} |");
    }
    text
}

const HEAD: &str = "\
# Mutants of the whole cluster's simulation

Each of these mistakes leaves one rule out, behind a switch that only builds with debug assertions
have (`env::mutant`). Plain seeds are run with it from 0 on until something notices; a seed that
fails without the mistake does not count. Every change of the code changes what a seed does, so the
numbers are those of the day on which the table was written, by
`cargo run --profile sim -p ottla-cluster-sim -- --mutants > tests/cluster_sim/MUTANTS.md`.

| Mutant | Rule that it leaves out | Seeds run | Noticed by seed | Noticed as |
|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_noticed_a_mistake_is_told_in_short() {
        assert_eq!(noticed_as("load-0: lost (I20)"), "I20");
        assert_eq!(
            noticed_as("after 120.0 s, not yet: the topic is made"),
            "in vain: the topic is made"
        );
        assert_eq!(noticed_as("n1 at 3.000 s: panicked | here"), "n1 at 3.000 s: panicked   here");
    }

    #[test]
    fn every_mutant_has_a_name_of_its_own() {
        for (name, mutant, _) in MUTANTS {
            assert_eq!(mutant_by_name(name), Some(mutant));
        }
    }
}
