//! `ottla-sim --seed N [--trace] [--mutant NAME]`: one run, with its trace if asked.
//! `ottla-sim --seeds A..B [--go-on] [--mutant NAME]`: many runs; stops at the first violation, or
//! goes on. A thousand runs in which something never happened fail too.
//! `--narrow`: with the sizes and faults of the first simulator alone.
//! `ottla-sim --mutants`: the table of mistakes and the seeds that each survives.

use ottla_sim::{Counters, Mutation, SimConfig, World, mutant_table};
use std::ops::Range;
use std::process::ExitCode;

struct Arguments {
    seeds: Range<u64>,
    mutation: Option<Mutation>,
    keeps_trace: bool,
    goes_on: bool,
    is_narrow: bool,
    shows_mutants: bool,
}

impl Arguments {
    fn config(&self, seed: u64) -> SimConfig {
        match self.is_narrow {
            true => SimConfig::narrow(seed, self.mutation),
            false => SimConfig::from_seed(seed, self.mutation),
        }
    }
}

/// Runs of so many seeds must show everything that can happen.
const EVERYTHING_HAPPENS_IN: u64 = 1_000;

fn parse() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: 0..1000,
        mutation: None,
        keeps_trace: false,
        goes_on: false,
        is_narrow: false,
        shows_mutants: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--seed" => {
                let seed = value()?.parse().map_err(|_| "--seed takes a number".to_owned())?;
                arguments.seeds = seed..seed + 1;
            }
            "--seeds" => arguments.seeds = parse_range(&value()?)?,
            "--mutant" => {
                let name = value()?;
                let mutation = Mutation::from_name(&name);
                arguments.mutation = Some(mutation.ok_or(format!("unknown mutant {name}"))?);
            }
            "--trace" => arguments.keeps_trace = true,
            "--narrow" => arguments.is_narrow = true,
            "--mutants" => arguments.shows_mutants = true,
            "--go-on" => arguments.goes_on = true,
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
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.shows_mutants {
        std::panic::set_hook(Box::new(|_| {}));
        print!("{}", mutant_table());
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Whether all went well.
fn run(arguments: &Arguments) -> bool {
    let mut total = Counters::default();
    let mut failures = 0;
    let mut count = 0;
    for seed in arguments.seeds.clone() {
        count += 1;
        let config = arguments.config(seed);
        let keeps_trace = arguments.keeps_trace;
        let Ok(outcome) = std::panic::catch_unwind(|| World::run(config.clone(), keeps_trace))
        else {
            eprintln!("seed {seed} panicked\n{}", reproduce(arguments, seed));
            failures += 1;
            if arguments.goes_on { continue } else { break }
        };
        outcome.lines.iter().for_each(|line| println!("{line}"));
        total.add(&outcome.counters);
        if let Some(violation) = outcome.violation {
            eprintln!("seed {seed}: {violation}\n{config:?}\n{}", reproduce(arguments, seed));
            failures += 1;
            if !arguments.goes_on {
                break;
            }
        }
    }
    println!("{total}");
    println!("{failures} of {count} seeds failed");
    let missing = total.missing();
    let is_proof = arguments.is_narrow || count < EVERYTHING_HAPPENS_IN || missing.is_empty();
    if !is_proof {
        println!("these never happened: {missing:?}");
    }
    failures == 0 && is_proof
}

fn reproduce(arguments: &Arguments, seed: u64) -> String {
    let narrow = if arguments.is_narrow { " --narrow" } else { "" };
    format!("REPRODUCE: cargo run -p ottla-sim -- --seed {seed} --trace{narrow}")
}
