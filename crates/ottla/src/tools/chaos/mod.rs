//! `ottla chaos`: breaks a cluster under load, and judges what its clients saw.
//!
//! The exit code is the verdict: 0 all promises were kept, 1 one was broken, 2 the run shows nothing
//! (a fault did not take effect, nothing was acknowledged, or the tool itself failed).

mod driver;
mod hands;
mod report;
mod scenario;
mod scratch;
mod yours;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::verify::record::{ClientSettings, Note, Progress, RecordOptions, delete_topics, record};
use ::verify::{CheckOptions, check_file};
use clap::ValueEnum;
use client::{Client, TopicSelection};
use env::Env;
use tokio::sync::mpsc;

use self::driver::{Broken, Driver, Setup};
use self::hands::Hands;
use self::report::ChaosReport;
use self::scenario::{Deed, Scenario};
use self::scratch::Scratch;
use self::yours::{Process, Yours, parse_node};
use super::common::parse_pairs;
use super::{Context, ToolError};

/// Break a cluster under load, and judge what its clients saw
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla chaos list
  ottla chaos run leader-kill                     on a cluster of its own
  ottla chaos run storm --brokers 5 --seconds 60 --seed 7
  ottla chaos run rolling-restart --bootstrap-server b1:9092 --nodes 1,2,3 \\
      --stop-command 'ssh b{node} systemctl stop ottla' \\
      --start-command 'ssh b{node} systemctl start ottla'

Clients of many kinds send, read and commit while faults strike; every answer that they get is
written down and judged, as `ottla verify` does. The exit code is 0 if all promises were kept, 1 if
one was broken, 2 if the run shows nothing.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Run a scenario
    Run(Box<RunArgs>),
    /// List the scenarios
    List,
}

#[derive(clap::Args, Debug)]
struct RunArgs {
    /// What happens (see `ottla chaos list`)
    scenario: Scenario,
    /// How long faults strike; the run lasts longer, as the cluster is healed and read
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    seconds: u64,
    /// Of the random choices; the same seed makes the same ones [default: a new one]
    #[arg(long)]
    seed: Option<u64>,
    /// Records a second
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    rate: u32,
    /// A config of the topics, for example ottla.durability=synced; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    config: Vec<String>,
    /// Where the history goes; it stays [default: a temporary file, deleted if all is well]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    own: OwnArgs,
    #[command(flatten)]
    yours: YourArgs,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "A cluster of its own")]
struct OwnArgs {
    /// Brokers of the scratch cluster, which is made in a temporary directory on free ports
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=64))]
    brokers: u16,
    /// Set a key on every broker; may be repeated
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Keep the brokers' directories also if all is well
    #[arg(long)]
    keep: bool,
}

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "A cluster of yours ({node} in a command is the node's id)")]
struct YourArgs {
    /// Some of the brokers of a running cluster
    #[arg(long, alias = "bootstrap", value_name = "HOST:PORT,...", requires = "nodes")]
    #[arg(conflicts_with_all = ["brokers", "overrides", "keep"])]
    bootstrap_server: Option<String>,
    /// The nodes that may be struck: ID, ID=PID or ID=@PIDFILE
    #[arg(long, value_name = "NODE,...", value_delimiter = ',', value_parser = parse_node)]
    #[arg(requires = "bootstrap_server")]
    nodes: Vec<(i32, Process)>,
    /// Kills a node [default: SIGKILL to its process]
    #[arg(long, value_name = "COMMAND")]
    kill_command: Option<String>,
    /// Starts a node that is down
    #[arg(long, value_name = "COMMAND")]
    start_command: Option<String>,
    /// Stops a node in order, and returns once it has [default: SIGTERM to its process]
    #[arg(long, value_name = "COMMAND")]
    stop_command: Option<String>,
    /// Halts a node [default: SIGSTOP to its process]
    #[arg(long, value_name = "COMMAND")]
    pause_command: Option<String>,
    /// Lets it go on [default: SIGCONT to its process]
    #[arg(long, value_name = "COMMAND")]
    resume_command: Option<String>,
}

/// Most notes that wait to be taken.
const NOTES_MAX: usize = 64;
/// Far beyond any run: the driver ends the load.
const LOAD_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
const VIEW_EVERY: Duration = Duration::from_secs(1);
const VOID: u8 = 2;

pub(super) async fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let result = match args.command {
        Command::List => list(context),
        Command::Run(args) => run_scenario(*args, context).await,
    };
    match result {
        Err(ToolError::Io(error)) => Err(ToolError::Io(error)),
        Err(ToolError::Verdict(code)) => Err(ToolError::Verdict(code)),
        Err(error) => {
            eprintln!("error: {error}");
            Err(ToolError::Verdict(VOID))
        }
        Ok(()) => Ok(()),
    }
}

fn list(context: Context<'_>) -> Result<(), ToolError> {
    for scenario in Scenario::value_variants() {
        let Some(value) = scenario.to_possible_value() else { continue };
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(context.out, "{:16} {help}", value.get_name())?;
    }
    Ok(())
}

async fn run_scenario(args: RunArgs, context: Context<'_>) -> Result<(), ToolError> {
    let env = context.env.clone();
    let mut hands = args.hands(&env).await?;
    let lacks = hands.lacks(args.scenario.needs());
    if !lacks.is_empty() {
        return Err(ToolError::Invalid(lacks.join("; ")));
    }
    let result = strike_and_judge(&args, &env, &mut hands).await;
    let passed = matches!(&result, Ok(report) if report.exit_code() == 0);
    match hands {
        Hands::Scratch(scratch) => scratch.end(args.own.keep || !passed).await?,
        Hands::Yours(_) => {}
    }
    let report = result?;
    if args.json {
        let text = serde_json::to_string(&report).map_err(std::io::Error::other)?;
        writeln!(context.out, "{text}")?;
    } else {
        write!(context.out, "{report}")?;
    }
    match report.exit_code() {
        0 => Ok(()),
        code => Err(ToolError::Verdict(code)),
    }
}

async fn strike_and_judge(
    args: &RunArgs,
    env: &Env,
    hands: &mut Hands,
) -> Result<ChaosReport, ToolError> {
    let bootstrap = match &*hands {
        Hands::Scratch(scratch) => scratch.bootstrap(),
        Hands::Yours(_) => args.yours.bootstrap_server.clone().unwrap_or_default(),
    };
    let seed = args.seed.unwrap_or_else(|| env.rng.next_u64() >> 32);
    eprintln!("seed {seed}");
    let mut settings = ClientSettings::default();
    settings.client.client_id = "ottla-chaos".to_owned();
    settings.client.set("bootstrap.servers", &bootstrap)?;
    let client = Client::new(env.clone(), settings.client.clone())?;
    let path = args.history.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("ottla-chaos-{:08x}.jsonl", env.rng.next_u64() as u32))
    });
    let run = Run { args, env, settings: &settings, client: &client, path: &path, seed };
    let (fired, broken, topics) = run.record(hands).await?;
    let judged = check_file(env, &path, &CheckOptions::default())
        .map_err(|error| ToolError::Invalid(format!("{}: {error}", path.display())))?;
    let value = args.scenario.to_possible_value();
    let name = value.map_or_else(String::new, |value| value.get_name().to_owned());
    let report = ChaosReport::new(name, seed, fired, broken, judged);
    let passed = report.exit_code() == 0;
    if args.history.is_none() && passed {
        env.disk.remove_file(&path)?;
    } else {
        eprintln!("history: {}", path.display());
    }
    if passed && let Err(error) = delete_topics(&client, &topics).await {
        // The verdict stands whether or not the broom works.
        eprintln!("warning: topics not deleted: {error}");
    }
    client.close().await;
    Ok(report)
}

/// One run, from its load to its end.
struct Run<'a> {
    args: &'a RunArgs,
    env: &'a Env,
    settings: &'a ClientSettings,
    client: &'a Client,
    path: &'a std::path::Path,
    seed: u64,
}

type Struck = (BTreeMap<&'static str, u64>, Option<Broken>, Vec<String>);

impl Run<'_> {
    /// Load and faults at once, with a line a second about them.
    async fn record(&self, hands: &mut Hands) -> Result<Struck, ToolError> {
        let (env, progress) = (self.env, Arc::new(Progress::default()));
        let (notes, taken) = mpsc::channel(NOTES_MAX);
        let mut options = RecordOptions { duration: LOAD_MAX, ..RecordOptions::default() };
        options.topics.prefix = format!("chaos-{:08x}", env.rng.next_u64() as u32);
        options.topics.configs = parse_pairs(&self.args.config)?.into_iter().collect();
        options.load.rate = self.args.rate;
        let enough = Arc::new(AtomicBool::new(false));
        let started = env.clock.now();
        let mut driver = Driver::new(
            Setup {
                env: env.clone(),
                client: self.client.clone(),
                notes: notes.clone(),
                progress: progress.clone(),
                prefix: options.topics.prefix.clone(),
                seed: self.seed,
                rate: self.args.rate,
                until: started + Duration::from_secs(self.args.seconds),
                enough: enough.clone(),
            },
            hands,
        );
        let recording = record(env, self.settings, &options, self.path, taken, progress.clone());
        let mut recording = std::pin::pin!(recording);
        let mut ticks = tokio::time::interval(VIEW_EVERY);
        let (mut acknowledged, mut broken, mut is_driving) = (0, None, true);
        let recorded = {
            let mut driving = std::pin::pin!(driver.run(self.args.scenario));
            loop {
                tokio::select! {
                    recorded = &mut recording => break recorded,
                    result = &mut driving, if is_driving => {
                        is_driving = false;
                        broken = result.err();
                        // The recorder takes notes as long as it lives.
                        let _ = notes.send(Note::Stop).await;
                        eprintln!("        load ended; reading all back");
                    }
                    _ = ticks.tick(), if is_driving => {
                        let now = env.clock.now();
                        let count = progress.acknowledged();
                        eprintln!(
                            "{:4} s  acked {:6}/s  stall {:.2} s",
                            now.since(started).as_secs(), count - acknowledged,
                            progress.take_stall(now).as_secs_f64()
                        );
                        acknowledged = count;
                    }
                    _ = tokio::signal::ctrl_c() => {
                        if enough.swap(true, Ordering::Relaxed) {
                            return Err(ToolError::Invalid("interrupted".to_owned()));
                        }
                        eprintln!("healing and ending; again to give up");
                    }
                }
            }
        };
        let recorded = recorded.map_err(|error| ToolError::Invalid(error.to_string()))?;
        if is_driving {
            broken = Some(Broken::Void("the load ended before the faults did".to_owned()));
        }
        Ok((driver.fired, broken, recorded.topics))
    }
}

impl RunArgs {
    async fn hands(&self, env: &Env) -> Result<Hands, ToolError> {
        let yours = &self.yours;
        let Some(bootstrap) = &yours.bootstrap_server else {
            let scratch = Scratch::start(env, self.own.brokers, self.own.overrides.clone()).await?;
            eprintln!("{} brokers run in {}", self.own.brokers, scratch.directory());
            return Ok(Hands::Scratch(Box::new(scratch)));
        };
        let commands = [
            (Deed::Kill, &yours.kill_command),
            (Deed::Start, &yours.start_command),
            (Deed::Stop, &yours.stop_command),
            (Deed::Pause, &yours.pause_command),
            (Deed::Resume, &yours.resume_command),
        ];
        let commands =
            commands.into_iter().filter_map(|(deed, line)| Some((deed, line.clone()?))).collect();
        // Told at once rather than after the first fault.
        let mut settings = ClientSettings::default();
        settings.client.set("bootstrap.servers", bootstrap)?;
        let client = Client::new(env.clone(), settings.client)?;
        let reached = client.metadata(&TopicSelection::None).await;
        client.close().await;
        reached?;
        let nodes = yours.nodes.iter().cloned().collect();
        Ok(Hands::Yours(Yours { env: env.clone(), nodes, commands }))
    }
}
