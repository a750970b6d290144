//! `ottla verify`: records what many clients see of a cluster, and judges it.
//!
//! The exit code is the verdict: 0 all promises were kept, 1 one was broken, 2 nothing is proven
//! (also where the tool itself failed).

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::verify::record::{
    ClientSettings, LoadOptions, Note, Progress, RecordOptions, Recorded, TopicOptions,
    delete_topics, record,
};
use ::verify::{CheckOptions, Report, Verdict, check_file, rules};
use client::{Acks, Client};
use env::Env;
use tokio::sync::mpsc;

use super::common::{Connect, parse_pairs};
use super::{Context, ToolError};

/// Check a cluster: run load on topics of its own, write down all answers, and judge them
#[derive(clap::Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  ottla verify --bootstrap-server localhost:9092 --duration 1m
  ottla verify --producers 8 --groups 2 --rate 5000 --history run.jsonl
  ottla verify check run.jsonl --json
  ottla verify rules

Kill, pause and restart brokers while it runs: that is what it is for. It works against any cluster
that speaks Kafka's protocol. The exit code is 0 if all promises were kept, 1 if one was broken, 2 if
nothing is proven. Ctrl-C ends the load early; what was done until then is judged."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Judge histories that were recorded before
    Check(CheckArgs),
    /// List what is judged, with the names for --allow
    Rules,
}

#[derive(clap::Args, Debug)]
struct CheckArgs {
    /// Histories, as `ottla verify --history` writes them
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    judge: JudgeArgs,
}

#[derive(clap::Args, Debug)]
struct JudgeArgs {
    /// Invariants whose violations are only noted (see `ottla verify rules`)
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    allow: Vec<String>,
    /// Count notes as violations
    #[arg(long)]
    strict: bool,
    /// Print the report as JSON, one line for each history
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    connect: Connect,
    /// How long the load lasts: seconds, or with a unit (500ms, 90s, 5m, 2h)
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    duration: Duration,
    /// The longest wait for the cluster to become whole after the load
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    settle: Duration,
    /// Where the history goes; it stays [default: a temporary file, deleted if all is well]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Keep the topics that were made; they are deleted otherwise if all is well
    #[arg(long)]
    keep_topics: bool,
    /// Read lines from standard input: `fault KIND TEXT` is noted in the history (`fault heal`: the
    /// cluster is whole), `stop` and the end of the input end the load
    #[arg(long)]
    notes: bool,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Topics")]
struct TopicArgs {
    /// What the names of the topics start with
    #[arg(long, default_value = "verify")]
    prefix: String,
    /// How many topics to make
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    topics: u32,
    /// Partitions of each
    #[arg(long, value_name = "COUNT", default_value_t = 6)]
    partitions: i32,
    /// Replicas of each partition [default: 3, or the number of brokers if there are fewer]
    #[arg(long, value_name = "COUNT")]
    replication_factor: Option<i16>,
    /// min.insync.replicas [default: 2 with three replicas and more, else 1]
    #[arg(long, value_name = "COUNT")]
    min_insync: Option<u32>,
    /// A config of the topics; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Load")]
struct LoadArgs {
    /// Producers
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    producers: u32,
    /// Readers that are no group's members
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    consumers: u32,
    /// Consumer groups
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    groups: u32,
    /// Members of each group
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    members: u32,
    /// How long a member stays in its group before another takes its place
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    churn: Duration,
    /// Records a second of all producers together
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    rate: u32,
    /// Bytes of a record's value, at least 24
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    record_size: usize,
    /// Which replicas must have a record before it counts as acknowledged: all or 1
    #[arg(long, value_name = "ACKS", default_value = "all", allow_hyphen_values = true)]
    acks: String,
    /// Whether producers are idempotent, so that no retry may double a record [default: true with
    /// acks=all]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    idempotent: Option<bool>,
    /// Send no record each 10 ms to measure stalls by; the load itself measures them then
    #[arg(long)]
    no_probe: bool,
}

/// How often the progress line is written.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// Most notes that wait to be taken.
const NOTES_MAX: usize = 64;

pub(super) async fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let result = match args.command {
        Some(Command::Check(args)) => check(&args, context),
        Some(Command::Rules) => print_rules(context),
        None => record_and_check(args.run, context).await,
    };
    match result {
        Ok(Verdict::Pass) => Ok(()),
        Ok(verdict) => Err(ToolError::Verdict(verdict.exit_code())),
        Err(ToolError::Io(error)) => Err(ToolError::Io(error)),
        Err(error) => {
            eprintln!("error: {error}");
            Err(ToolError::Verdict(Verdict::Void.exit_code()))
        }
    }
}

fn check(args: &CheckArgs, context: Context<'_>) -> Result<Verdict, ToolError> {
    let options = args.judge.options()?;
    let mut worst = Verdict::Pass;
    for file in &args.files {
        let report = judge(&context.env, file, &options)?;
        if args.files.len() > 1 && !args.judge.json {
            writeln!(context.out, "{}:", file.display())?;
        }
        print(&report, args.judge.json, &mut *context.out)?;
        worst = match (worst, report.verdict) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Void, _) | (_, Verdict::Void) => Verdict::Void,
            (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
        };
    }
    Ok(worst)
}

fn print_rules(context: Context<'_>) -> Result<Verdict, ToolError> {
    for rule in rules() {
        writeln!(context.out, "{:4} {:22} {}", rule.id, rule.name, rule.promise)?;
    }
    Ok(Verdict::Pass)
}

async fn record_and_check(args: RunArgs, context: Context<'_>) -> Result<Verdict, ToolError> {
    let check = args.judge.options()?;
    let options = args.options()?;
    let settings = args.settings(&context.env)?;
    let env = context.env.clone();
    let path = match &args.history {
        Some(path) => path.clone(),
        None => std::env::temp_dir()
            .join(format!("ottla-verify-{:08x}.jsonl", env.rng.next_u64() as u32)),
    };
    let recorded = watch(&env, &settings, &options, &path, args.notes).await?;
    tracing::debug!(bytes = recorded.bytes, "history written");
    let report = judge(&env, &path, &check)?;
    print(&report, args.judge.json, &mut *context.out)?;
    let passed = report.verdict == Verdict::Pass;
    if args.history.is_none() && passed {
        env.disk.remove_file(&path)?;
    } else {
        eprintln!("history: {}", path.display());
    }
    if passed && !args.keep_topics {
        let client = Client::new(env, settings.client)?;
        // The verdict stands whether or not the broom works.
        if let Err(error) = delete_topics(&client, &recorded.topics).await {
            eprintln!("warning: topics not deleted: {error}");
        }
        client.close().await;
    } else {
        eprintln!("topics kept: {}", recorded.topics.join(", "));
    }
    Ok(report.verdict)
}

/// Records, with a line of progress on a terminal and a way to end early.
async fn watch(
    env: &Env,
    settings: &ClientSettings,
    options: &RecordOptions,
    path: &Path,
    notes: bool,
) -> Result<Recorded, ToolError> {
    let (noted, taken) = mpsc::channel(NOTES_MAX);
    if notes {
        read_notes(noted.clone());
    }
    let progress = Arc::new(Progress::default());
    let mut recording =
        std::pin::pin!(record(env, settings, options, path, taken, progress.clone()));
    let mut ticks = tokio::time::interval(PROGRESS_EVERY);
    let shows = std::io::stderr().is_terminal();
    let mut stopping = false;
    loop {
        tokio::select! {
            recorded = &mut recording => {
                if shows {
                    eprintln!();
                }
                return recorded.map_err(|error| ToolError::Invalid(error.to_string()));
            }
            _ = ticks.tick() => if shows {
                eprint!(
                    "\racknowledged {}  unknown {}  read {}  commits {} ",
                    progress.acknowledged(), progress.unknown(), progress.read(), progress.commits()
                );
            },
            _ = tokio::signal::ctrl_c() => {
                if stopping {
                    return Err(ToolError::Invalid("interrupted".to_owned()));
                }
                stopping = true;
                eprintln!("\nending the load; again to give up");
                // A full queue already holds the end.
                let _ = noted.try_send(Note::Stop);
            }
        }
    }
}

/// Reads standard input on a thread of its own, since it blocks.
fn read_notes(notes: mpsc::Sender<Note>) {
    env::tasks::thread("stdin", move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let note = match parse_note(&line) {
                Some(note) => note,
                None => {
                    eprintln!("warning: neither `fault KIND TEXT` nor `stop`: {line}");
                    continue;
                }
            };
            let stops = note == Note::Stop;
            if notes.blocking_send(note).is_err() || stops {
                return;
            }
        }
        // Nobody listens any more: the load has ended.
        let _ = notes.blocking_send(Note::Stop);
    });
}

fn parse_note(line: &str) -> Option<Note> {
    let line = line.trim();
    if line == "stop" {
        return Some(Note::Stop);
    }
    let rest = line.strip_prefix("fault ")?.trim();
    let (kind, note) = rest.split_once(' ').unwrap_or((rest, ""));
    Some(Note::Fault { kind: kind.to_owned(), note: note.trim().to_owned() })
}

fn judge(env: &Env, path: &Path, options: &CheckOptions) -> Result<Report, ToolError> {
    check_file(env, path, options)
        .map_err(|error| ToolError::Invalid(format!("{}: {error}", path.display())))
}

fn print(report: &Report, json: bool, out: &mut dyn Write) -> Result<(), ToolError> {
    if json {
        let text = serde_json::to_string(report).map_err(std::io::Error::other)?;
        writeln!(out, "{text}")?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

impl JudgeArgs {
    fn options(&self) -> Result<CheckOptions, ToolError> {
        let allow: BTreeSet<String> = self.allow.iter().cloned().collect();
        let names: BTreeSet<&str> = rules().iter().map(|rule| rule.name).collect();
        match allow.iter().find(|name| !names.contains(name.as_str())) {
            Some(name) => Err(ToolError::Invalid(format!("no invariant is named {name}"))),
            None => Ok(CheckOptions { allow, strict: self.strict }),
        }
    }
}

impl RunArgs {
    fn options(&self) -> Result<RecordOptions, ToolError> {
        let (topics, load) = (&self.topics, &self.load);
        Ok(RecordOptions {
            topics: TopicOptions {
                prefix: topics.prefix.clone(),
                count: topics.topics,
                partitions: topics.partitions,
                replication_factor: topics.replication_factor,
                min_insync: topics.min_insync,
                configs: parse_pairs(&topics.config)?.into_iter().collect(),
            },
            load: LoadOptions {
                producers: load.producers,
                readers: load.consumers,
                groups: load.groups,
                members: load.members,
                rate: load.rate,
                record_bytes: load.record_size,
                probe: !load.no_probe,
                churn: load.churn,
            },
            duration: self.duration,
            settle: self.settle,
        })
    }

    /// The recorder's own defaults, then the user's properties, then the flags.
    fn settings(&self, env: &Env) -> Result<ClientSettings, ToolError> {
        let properties = self.connect.properties(env)?;
        // Warns of what is not known.
        properties.client(env, "ottla-verify")?;
        let mut settings = ClientSettings::default();
        settings.client.client_id = "ottla-verify".to_owned();
        for (key, value) in &properties.values {
            settings.client.set(key, value)?;
            settings.producer.set(key, value)?;
            settings.consumer.set(key, value)?;
        }
        settings.producer.acks = Acks::parse(&self.load.acks)?;
        let all = settings.producer.acks == Acks::All;
        settings.producer.idempotence = match self.load.idempotent {
            Some(true) if !all => {
                let text = "idempotent producers need acks=all".to_owned();
                return Err(ToolError::Invalid(text));
            }
            Some(idempotent) => idempotent,
            None => all,
        };
        Ok(settings)
    }
}

/// Reads `30`, `500ms`, `90s`, `5m` or `2h`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("{unit} is none of ms, s, m, h")),
    };
    let number: u64 = number.parse().map_err(|_| format!("{text} is not a time"))?;
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or(format!("{text} is too long"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("1h"), Ok(Duration::from_secs(3600)));
        assert!(parse_duration("").is_err());
        assert!(parse_duration("3d").is_err());
        assert!(parse_duration("99999999999999999h").is_err());
    }

    #[test]
    fn notes_name_a_kind_and_a_text() {
        let fault = |kind: &str, note: &str| {
            Some(Note::Fault { kind: kind.to_owned(), note: note.to_owned() })
        };
        assert_eq!(parse_note("fault kill node 2 "), fault("kill", "node 2"));
        assert_eq!(parse_note("fault heal"), fault("heal", ""));
        assert_eq!(parse_note("stop\n"), Some(Note::Stop));
        assert_eq!(parse_note("go on"), None);
    }
}
