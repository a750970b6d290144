//! The simulation itself, and some of the seeds that once found something.

use ottla_cluster_sim::{Counters, KNOWN, Outcome, Plan, run_plan};

/// How many seeds a test run tries: without optimization, each takes seconds. Another number is
/// taken from `OTTLA_SIM_SEEDS`; `--profile sim` makes them cheap.
const SEEDS: u64 = 3;

fn seeds() -> u64 {
    std::env::var("OTTLA_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS)
}

fn run(seed: u64) -> Outcome {
    let outcome = run_plan(Plan::new(seed), None);
    if let Some(violation) = &outcome.violation {
        panic!("{violation}\nREPRODUCE: cargo run -p ottla-cluster-sim -- --seed {seed}");
    }
    outcome
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 6] {
        let plan = Plan::new(seed).shortened();
        let (first, second) = (run_plan(plan.clone(), None), run_plan(plan, None));
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.counters, second.counters, "seed {seed}");
        assert_eq!(first.us, second.us, "seed {seed}");
    }
}

#[test]
fn other_seeds_are_other_runs() {
    let one = run_plan(Plan::new(1).shortened(), None);
    let other = run_plan(Plan::new(2).shortened(), None);
    assert_ne!(one.trace, other.trace);
}

#[test]
fn nothing_acknowledged_is_lost_whatever_fails() {
    let mut total = Counters::default();
    for seed in 1_000..1_000 + seeds() {
        total.merge(&run(seed).counters);
    }
    for what in ["acked records", "records read", "elections of a leader"] {
        assert!(total.get(what) > 0, "no {what}\n{total}");
    }
}

#[test]
fn seeds_that_once_failed_hold() {
    // `tests/run sim` runs all of them, with optimization.
    for (seed, _) in KNOWN.iter().take(4) {
        run(*seed);
    }
}
