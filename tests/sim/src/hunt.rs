//! The simulator's proof of itself: how many seeds each mistake survives.

use crate::mutant::Mutation;
use crate::{SimConfig, World};
use replication::mutant::Mutant;
use std::fmt::Write;
use std::ops::Range;

/// Seeds after which a mistake counts as unnoticed.
const BUDGET: u64 = 1_500;

/// How a mistake was noticed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kill {
    /// The seed that noticed it, and how many were run for that.
    pub seed: u64,
    pub seeds: u64,
    /// The invariant that it broke, or the assertion.
    pub invariant: &'static str,
}

/// Where a mistake is looked for. Rare coincidences have a range of their own, near a seed that a
/// long run found.
fn hunting_ground(mutation: Mutation) -> Range<u64> {
    let first = RARE.iter().find(|(rare, _)| *rare == mutation).map_or(0, |(_, first)| *first);
    first..first + BUDGET
}

const RARE: [(Mutation, u64); 2] =
    [(Mutation::SettingsBeforeRoles, 6_900), (Mutation::Rule(Mutant::AnyLeaderEpoch), 4_000)];

/// Runs seeds with the mistake until one notices it. An assertion of a machine notices as well as
/// an invariant.
pub fn hunt(mutation: Mutation) -> Option<Kill> {
    hunt_in(mutation, hunting_ground(mutation))
}

fn hunt_in(mutation: Mutation, seeds: Range<u64>) -> Option<Kill> {
    let first = seeds.start;
    for seed in seeds {
        let run = |made| {
            let config = SimConfig::from_seed(seed, made);
            World::run(config, false)
        };
        let invariant = match std::panic::catch_unwind(|| run(Some(mutation))) {
            Ok(outcome) => outcome.violation.map(|violation| violation.invariant),
            Err(_) => Some("an assertion"),
        };
        // What fails without the mistake says nothing about it.
        let is_sound = || run(None).violation.is_none();
        if let Some(invariant) = invariant.filter(|_| is_sound()) {
            return Some(Kill { seed, seeds: seed - first + 1, invariant });
        }
    }
    None
}

/// The table of `MUTANTS.md`.
pub fn mutant_table() -> String {
    let mut text = String::from(HEAD);
    for (name, mutation, rule) in Mutation::ALL {
        let row = match hunt(*mutation) {
            Some(Kill { seed, seeds, invariant }) => format!("{seeds} | {seed} | {invariant}"),
            None => "never | - | -".to_owned(),
        };
        let _ = writeln!(text, "| `{name}` | {rule} | {row} |");
    }
    text
}

const HEAD: &str = "\
# Mutants

Each of these mistakes leaves one rule out. The simulator runs seeds with it until an invariant (or
an assertion) notices; the test fails if none does within 1500 seeds. Rare coincidences are looked
for from the seed on at which a long run found one. Written by
`cargo run --release -p ottla-sim -- --mutants > tests/sim/MUTANTS.md`; a test compares it.

| Mutant | Rule that it leaves out | Seeds run | Noticed by seed | Noticed as |
|---|---|---|---|---|
";
