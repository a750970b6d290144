//! `ottla-sim --seed N [--trace] [--mutant NAME]`: one run, with its trace if asked.
//! `ottla-sim --seeds A..B [--mutant NAME]`: many runs; stops at the first violation.

use ottla_sim::{Counters, Mutation, SimConfig, run_seed};
use std::ops::Range;
use std::process::ExitCode;

struct Arguments {
    seeds: Range<u64>,
    mutation: Option<Mutation>,
    keeps_trace: bool,
    goes_on: bool,
}

fn parse() -> Result<Arguments, String> {
    let mut arguments =
        Arguments { seeds: 0..1000, mutation: None, keeps_trace: false, goes_on: false };
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
    let mut total = Counters::default();
    let mut failures = 0;
    for seed in arguments.seeds.clone() {
        let run = || run_seed(seed, arguments.mutation, arguments.keeps_trace);
        let Ok(outcome) = std::panic::catch_unwind(run) else {
            eprintln!("seed {seed} panicked\nREPRODUCE: --seed {seed}");
            failures += 1;
            if arguments.goes_on { continue } else { break }
        };
        outcome.lines.iter().for_each(|line| println!("{line}"));
        total.add(&outcome.counters);
        if let Some(violation) = outcome.violation {
            let config = SimConfig::from_seed(seed, arguments.mutation);
            eprintln!("seed {seed}: {violation}\n{config:?}\nREPRODUCE: --seed {seed} --trace");
            failures += 1;
            if !arguments.goes_on {
                break;
            }
        }
    }
    println!("{total}");
    println!("{failures} of {} seeds failed", arguments.seeds.end - arguments.seeds.start);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
