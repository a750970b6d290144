//! `ottla up`: a cluster of real server processes on this machine.
//!
//! Promises:
//! - each broker is a process of its own, as in production, so killing one is a real test;
//! - a data directory left from before is the same cluster again, on the same ports;
//! - the brokers end with this process, whatever ends it (they watch the pipe to it);
//! - `--clean` removes only a directory that `up` made.
//!
//! Does not: restart a broker that dies; it says so.

pub(crate) mod plan;
mod ports;
pub(crate) mod process;
mod report;

use env::Env;
use plan::{Plan, PlanError};
use process::{Children, Ended};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Longest wait for all brokers to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// What brokers get to stop cleanly: their own bound and a little more.
const STOP_TIMEOUT: Duration = Duration::from_secs(7);

/// Run a cluster of several brokers on this machine.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Starts one process per broker and prints their addresses and how to try them. Ctrl-C stops all.
The first three brokers are controllers, too. With three or more brokers, topics have replication
factor 3 and min.insync.replicas 2 unless they say otherwise.

Broker N listens on PORT + 10 * (N - 1) for Kafka clients, and on the three ports after it for gRPC
of controllers, gRPC of replicas and administration, and HTTP. Taken ports are replaced by free ones
unless --port is given.

Examples:
  ottla up                                  three brokers, data in ./ottla-cluster
  ottla up --brokers 5 --port 19092
  ottla up --clean                          forget the data of the last time
  ottla up --data-dir /tmp/trial --override log.segment.bytes=1048576

Then, in another terminal:
  ottla topics --bootstrap-server 127.0.0.1:9092 --create --topic greetings --partitions 6
  kill -9 PID                               of one broker, and see that nothing is lost")]
pub struct Args {
    /// Number of brokers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    brokers: u16,
    /// Where data, configuration and logs of all brokers are kept
    #[arg(long, value_name = "DIRECTORY", default_value = "./ottla-cluster")]
    data_dir: PathBuf,
    /// First port; 0 takes any free ones [default: 9092, or free ones where ports are taken]
    #[arg(long)]
    port: Option<u16>,
    /// Remove the data of an earlier run first
    #[arg(long)]
    clean: bool,
    /// Set a key on every broker; may be repeated
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Write addresses and process ids to this file, as JSON, once the cluster is ready
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Args {
    /// A cluster on any free ports, which prints nothing.
    pub(crate) fn scratch(brokers: u16, data_dir: PathBuf, overrides: Vec<String>) -> Args {
        Args { brokers, data_dir, port: Some(0), clean: false, overrides, ready_file: None }
    }
}

/// Why there is no cluster, or no longer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpError {
    #[error("{0}")]
    Plan(#[from] PlanError),
    #[error("{doing}: {error}")]
    Io { doing: String, error: std::io::Error },
    #[error("broker {node_id} ended before it was ready ({how}); the end of {log}:\n{tail}")]
    Died { node_id: i32, how: String, log: String, tail: String },
    #[error("the cluster was not ready after {0:?}; see the logs")]
    NotReady(Duration),
    #[error("no broker is left")]
    AllDied,
}

impl UpError {
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> UpError {
        let doing = doing.into();
        move |error| UpError::Io { doing, error }
    }
}

/// Runs the cluster until it is told to stop or no broker is left.
pub fn run(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(up(&args, &Env::real())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(UpError::Plan(error)) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn up(args: &Args, env: &Env) -> Result<(), UpError> {
    let mut terminate =
        signal(SignalKind::terminate()).map_err(UpError::io("cannot catch signals"))?;
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(UpError::io("cannot catch signals"))?;
    let started = env.clock.now();
    let plan = Plan::make(args, env).await?;
    plan.write(env).map_err(UpError::io("cannot write the configuration"))?;
    let mut children = Children::start(&plan, env)?;
    let result = tokio::select! {
        result = live(args, &plan, &mut children, env, started) => result,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    eprintln!("stopping");
    children.stop(STOP_TIMEOUT).await;
    result
}

/// Waits until the cluster is ready, says so, and then tells of every broker that ends.
async fn live(
    args: &Args,
    plan: &Plan,
    children: &mut Children,
    env: &Env,
    started: types::Monotonic,
) -> Result<(), UpError> {
    let ready = tokio::time::timeout(READY_TIMEOUT, children.ready(plan, env)).await;
    let nodes = ready.map_err(|_| UpError::NotReady(READY_TIMEOUT))??;
    let took = Duration::from_micros(env.clock.now().0.saturating_sub(started.0));
    println!("{}", report::text(plan, &nodes, took));
    if let Some(path) = &args.ready_file {
        report::write(path, &nodes, env).map_err(UpError::io(path.display().to_string()))?;
    }
    loop {
        match children.ended().await {
            Some(Ended { node_id, pid, how }) => {
                eprintln!(
                    "broker {node_id} (pid {pid}) ended: {how}; its log is {}",
                    plan.log(node_id)
                );
            }
            None => return Err(UpError::AllDied),
        }
    }
}
