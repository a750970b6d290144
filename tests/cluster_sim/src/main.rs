//! `ottla-cluster-sim --seed N [--log FILTER]`: one run, with its log lines if asked.
//! `ottla-cluster-sim --seeds A..B [--go-on]`: many runs; stops at the first violation, or goes on.
//! `--without-faults`: the same sizes and load, and nothing that goes wrong.
//! `--seconds S`: starts no run of a new seed after so long, and says how many it made.
//! `--known`: the seeds that once failed, before the others.
//! `--part K/N`: of all these, each Nth from the Kth (0 is the first) on, for N programs at once.
//! `--twice`: the shortest run once more, which must be the same.
//! `--mutant NAME`: with this mistake. `--mutants`: the table of mistakes and what each survives.
//! `--hunt N`: looks for every mistake anew, by at most N seeds each from the first of `--seeds` on.

use ottla_cluster_sim::{Counters, KNOWN, MUTANTS, Plan};
use ottla_cluster_sim::{hunt, mutant_by_name, mutant_table, run_plan};
use std::ops::Range;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Arguments {
    seeds: Range<u64>,
    goes_on: bool,
    is_without_faults: bool,
    shows_each: bool,
    with_known: bool,
    repeats_one: bool,
    /// Which part, of how many.
    part: Option<(usize, usize)>,
    shows_mutants: bool,
    hunt: Option<u64>,
    mutant: Option<String>,
    time: Option<Duration>,
    log: Option<String>,
}

/// Runs of so many seeds must show everything that can happen.
const EVERYTHING_HAPPENS_IN: u64 = 200;

fn parse() -> Result<Arguments, String> {
    let mut arguments = Arguments { seeds: 0..20, ..Arguments::default() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--seed" => {
                let seed = number(&word, &value()?)?;
                arguments.seeds = seed..seed + 1;
                arguments.shows_each = true;
            }
            "--seeds" => arguments.seeds = parse_range(&value()?)?,
            "--go-on" => arguments.goes_on = true,
            "--each" => arguments.shows_each = true,
            "--without-faults" => arguments.is_without_faults = true,
            "--known" => arguments.with_known = true,
            "--twice" => arguments.repeats_one = true,
            "--part" => arguments.part = Some(parse_part(&value()?)?),
            "--mutants" => arguments.shows_mutants = true,
            "--hunt" => arguments.hunt = Some(number(&word, &value()?)?),
            "--mutant" => arguments.mutant = Some(value()?),
            "--seconds" => {
                arguments.time = Some(Duration::from_secs(number(&word, &value()?)?));
            }
            "--log" => arguments.log = Some(value()?),
            _ => return Err(format!("unknown argument {word}")),
        }
    }
    Ok(arguments)
}

fn number(word: &str, text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{word} takes a number, not {text}"))
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let wrong = || format!("--seeds takes A..B, not {text}");
    let (first, end) = text.split_once("..").ok_or_else(wrong)?;
    Ok(first.parse().map_err(|_| wrong())?..end.parse().map_err(|_| wrong())?)
}

fn parse_part(text: &str) -> Result<(usize, usize), String> {
    let wrong = || format!("--part takes K/N with K below N, not {text}");
    let (which, count) = text.split_once('/').ok_or_else(wrong)?;
    let part = (which.parse().map_err(|_| wrong())?, count.parse().map_err(|_| wrong())?);
    if part.0 < part.1 { Ok(part) } else { Err(wrong()) }
}

fn main() -> ExitCode {
    let done = parse().and_then(|arguments| match (arguments.shows_mutants, arguments.hunt) {
        (true, _) => {
            print!("{}", mutant_table());
            Ok(true)
        }
        (false, Some(budget)) => Ok(hunt_all(&arguments, budget)),
        (false, None) => run(&arguments),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// When the time is up, by the machine's clock: it decides how many runs there are, not what they do.
struct Deadline(Option<Instant>);

impl Deadline {
    #[allow(clippy::disallowed_methods, reason = "how long a batch of runs may take is real time")]
    fn after(time: Option<Duration>) -> Deadline {
        Deadline(time.map(|time| Instant::now() + time))
    }

    #[allow(clippy::disallowed_methods, reason = "how long a batch of runs may take is real time")]
    fn is_over(&self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }
}

/// Whether all went well.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let unknown = |name: &String| format!("no mutant {name}");
    let mutant = arguments.mutant.as_ref();
    let mutant =
        mutant.map(|name| mutant_by_name(name).ok_or_else(|| unknown(name))).transpose()?;
    let deadline = Deadline::after(arguments.time);
    let known = KNOWN.iter().filter(|_| arguments.with_known).map(|(seed, _)| *seed);
    let mut total = Counters::default();
    let (mut failures, mut count) = (0, 0);
    let (which, of) = arguments.part.unwrap_or((0, 1));
    let mut shortest: Option<(u64, Plan, u64)> = None;
    for seed in known.chain(arguments.seeds.clone()).skip(which).step_by(of) {
        let is_known = arguments.with_known && KNOWN.iter().any(|(known, _)| *known == seed);
        if deadline.is_over() && !is_known {
            println!("time is up: seeds from {seed} on were not run");
            break;
        }
        let plan = Plan { mutant, ..Plan::new(seed) };
        let plan = if arguments.is_without_faults { plan.without_faults() } else { plan };
        let outcome = run_plan(plan.clone(), arguments.log.clone());
        count += 1;
        if shortest.as_ref().is_none_or(|(us, ..)| outcome.us < *us) {
            shortest = Some((outcome.us, plan.clone(), outcome.trace));
        }
        total.merge(&outcome.counters);
        if arguments.shows_each {
            println!("seed {seed}: {:.1} s, trace {:016x}", outcome.us as f64 / 1e6, outcome.trace);
        }
        if let Some(violation) = outcome.violation {
            println!("seed {seed}: at {:.3} s: {violation}", outcome.us as f64 / 1e6);
            println!("{plan:?}");
            println!("{}", reproduce(arguments, seed));
            failures += 1;
            if !arguments.goes_on {
                break;
            }
        }
    }
    println!("{total}{failures} of {count} seeds failed");
    let is_same =
        !arguments.repeats_one || shortest.is_none_or(|(_, plan, trace)| repeats(plan, trace));
    let missing = total.missing();
    let is_proof =
        arguments.is_without_faults || count < EVERYTHING_HAPPENS_IN || missing.is_empty();
    if !is_proof {
        println!("these never happened: {missing:?}");
    }
    Ok(failures == 0 && is_proof && is_same)
}

/// Whether a run is the same a second time.
fn repeats(plan: Plan, trace: u64) -> bool {
    let seed = plan.seed;
    let again = run_plan(plan, None).trace;
    let what = if again == trace { "is the same" } else { "is another" };
    println!("seed {seed} run again {what}: trace {trace:016x}, then {again:016x}");
    again == trace
}

fn reproduce(arguments: &Arguments, seed: u64) -> String {
    let faults = if arguments.is_without_faults { " --without-faults" } else { "" };
    let mutant = arguments.mutant.as_ref().map(|name| format!(" --mutant {name}"));
    let mutant = mutant.unwrap_or_default();
    format!(
        "REPRODUCE: cargo run --profile sim -p ottla-cluster-sim -- --seed {seed}{faults}{mutant}"
    )
}

/// Whether every mistake that was looked for was noticed; stops when the time is up.
fn hunt_all(arguments: &Arguments, budget: u64) -> bool {
    let deadline = Deadline::after(arguments.time);
    let wanted = |name: &str| arguments.mutant.as_ref().is_none_or(|wanted| wanted == name);
    let mut is_fine = true;
    for (name, mutant, _) in MUTANTS.into_iter().filter(|(name, ..)| wanted(name)) {
        if deadline.is_over() {
            println!("time is up: mutants from {name} on were not looked for");
            break;
        }
        match hunt(mutant, arguments.seeds.start, budget) {
            Some(kill) => {
                println!(
                    "{name}: noticed by seed {} after {}: {}",
                    kill.seed, kill.seeds, kill.violation
                );
            }
            None => {
                println!("{name}: not noticed by {budget} seeds");
                is_fine = false;
            }
        }
    }
    is_fine
}
