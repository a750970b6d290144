//! `ottla server`: one node.
//!
//! Promises:
//! - the control plane (Raft, the controller's services, heartbeats, the metadata stream) has its
//!   own thread and its own listener, so that bulk work does not delay it;
//! - SIGTERM and SIGINT are a controlled stop, bounded by `ottla.shutdown.timeout.ms`; a second
//!   signal stops at once;
//! - a wrong configuration ends the process with code 2 and all problems, a failed start or a
//!   failed controller with code 1.
//!
//! Does not: hold any rule of the cluster.

mod config_rules;
mod control;
mod doors;
mod grpc;
mod guests;
mod host;
mod http;
mod load;
mod node;
pub(crate) mod ready;
mod shares;
pub mod simulated;

use env::Env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use telemetry::LogFormat;

/// Run one node: a broker, a controller, or both.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without a configuration this is a cluster of one on 127.0.0.1:9092, with its data in ./ottla-data.
Ports: 9092 Kafka clients, 9093 gRPC of controllers, 9094 gRPC of replicas and administration,
9095 HTTP (/metrics, /livez, /readyz).

Settings come from the file, then the environment (node.id is OTTLA_NODE_ID), then --override; the
last one wins. Names and defaults are Apache Kafka's: docs/configuration.md lists them.

Examples:
  ottla server
  ottla server --config server.properties
  ottla server --config server.properties --override node.id=2 --override log.dirs=/data/a,/data/b
  OTTLA_LISTENERS=PLAINTEXT://:19092 ottla server")]
pub struct Args {
    /// Properties file, as Kafka's server.properties
    #[arg(long, value_name = "FILE", env = "OTTLA_CONFIG")]
    config: Option<PathBuf>,
    /// Set a key, over file and environment; may be repeated
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Write addresses and process id to this file, as JSON, once the node serves clients
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t = Format::Human, env = "OTTLA_LOG_FORMAT")]
    log_format: Format,
    /// Which log lines are shown: a level, or directives such as info,broker=debug;
    /// broker::requests=debug shows every request with its client and the errors in its answer
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info,openraft=error",
        env = "OTTLA_LOG_FILTER"
    )]
    log_filter: String,
    /// Check the configuration, print what it says, and exit
    #[arg(long)]
    check: bool,
    /// Stop when standard input ends: a parent that dies takes the node with it
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Human,
    Json,
}

/// The code for a configuration that is wrong, as for arguments that are.
const WRONG_CONFIGURATION: u8 = 2;

/// Runs a node until it is told to stop.
pub fn run(args: Args) -> ExitCode {
    let env = Env::real();
    let loaded = match load::load(&args, &env) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("error: the configuration is wrong\n{error}");
            return ExitCode::from(WRONG_CONFIGURATION);
        }
    };
    if args.check {
        println!("the configuration is right: node {}", loaded.config.node_id);
        loaded.warnings().for_each(|warning| println!("warning: {warning}"));
        return ExitCode::SUCCESS;
    }
    let format = match args.log_format {
        Format::Human => LogFormat::Human,
        Format::Json => LogFormat::Json,
    };
    if let Err(error) = telemetry::init_logging(format, &args.log_filter) {
        eprintln!("error: {error}");
        return ExitCode::from(WRONG_CONFIGURATION);
    }
    loaded.warnings().for_each(|warning| tracing::warn!("{warning}"));
    host::check(&loaded.config, &env).iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut config = loaded.config;
    if let Some(limit) = host::open_files_limit() {
        shares::fit(&mut config, limit);
    }
    let options = node::Options {
        config: Arc::new(config),
        ready_file: args.ready_file,
        stop_with_stdin: args.stop_with_stdin,
        simulated: false,
    };
    match node::run(options, env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
