//! `ottla-cluster-sim --seed N [--log FILTER]`: one run, with its log lines if asked.
//! `ottla-cluster-sim --seeds A..B [--go-on]`: many runs; stops at the first violation, or goes on.
//! `--without-faults`: the same sizes and load, and nothing that goes wrong.

use ottla_cluster_sim::{Counters, Plan, run_plan};
use std::ops::Range;
use std::process::ExitCode;

struct Arguments {
    seeds: Range<u64>,
    goes_on: bool,
    has_faults: bool,
    shows_each: bool,
    log: Option<String>,
}

/// Runs of so many seeds must show everything that can happen.
const EVERYTHING_HAPPENS_IN: u64 = 200;

fn parse() -> Result<Arguments, String> {
    let mut arguments =
        Arguments { seeds: 0..20, goes_on: false, has_faults: true, shows_each: false, log: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--seed" => {
                let seed = value()?.parse().map_err(|_| "--seed takes a number".to_owned())?;
                arguments.seeds = seed..seed + 1;
                arguments.shows_each = true;
            }
            "--seeds" => arguments.seeds = parse_range(&value()?)?,
            "--go-on" => arguments.goes_on = true,
            "--each" => arguments.shows_each = true,
            "--without-faults" => arguments.has_faults = false,
            "--log" => arguments.log = Some(value()?),
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(arguments)
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("--seeds takes A..B, not {text}");
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    Ok(first.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?)
}

fn main() -> ExitCode {
    match parse().map(|arguments| run(&arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(arguments: &Arguments) -> bool {
    let mut total = Counters::default();
    let (mut failures, mut count) = (0, 0);
    for seed in arguments.seeds.clone() {
        let plan = Plan::new(seed);
        let plan = if arguments.has_faults { plan } else { plan.without_faults() };
        let outcome = run_plan(plan.clone(), arguments.log.clone());
        count += 1;
        total.merge(&outcome.counters);
        if arguments.shows_each {
            println!("seed {seed}: {:.1} s, trace {:016x}", outcome.us as f64 / 1e6, outcome.trace);
        }
        if let Some(violation) = outcome.violation {
            let faults = if arguments.has_faults { "" } else { " --without-faults" };
            println!("seed {seed}: at {:.3} s: {violation}", outcome.us as f64 / 1e6);
            println!("{plan:?}");
            println!("REPRODUCE: cargo run -p ottla-cluster-sim -- --seed {seed}{faults}");
            failures += 1;
            if !arguments.goes_on {
                break;
            }
        }
    }
    println!("{total}{failures} of {count} seeds failed");
    let missing = total.missing();
    let is_proof = !arguments.has_faults || count < EVERYTHING_HAPPENS_IN || missing.is_empty();
    if !is_proof {
        println!("these never happened: {missing:?}");
    }
    failures == 0 && is_proof
}
