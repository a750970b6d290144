//! The tools: Kafka's command-line scripts as sub-commands, with their flags and output columns.
//!
//! Promises: speak only the Kafka protocol (through `client`), so they work against any
//! Kafka-compatible cluster (`dump-log` alone reads files); results go to standard output, everything else to standard error;
//! the exit code is 0 only if all that was asked for was done.
//! Does not: need a node's configuration, nor, but for `dump-log`, its data directory.

mod broker_api_versions;
mod chaos;
mod common;
mod configs;
mod console_consumer;
mod console_producer;
mod consumer_groups;
mod delete_records;
mod dump_log;
mod formatter;
mod get_offsets;
mod group_table;
mod leader_election;
mod line_reader;
mod lines;
mod metadata_quorum;
mod topics;
mod verify;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use client::ClientError;
use env::Env;

/// A tool and its arguments.
#[derive(clap::Subcommand, Debug)]
pub enum Tool {
    Topics(topics::Args),
    Configs(configs::Args),
    ConsoleProducer(console_producer::Args),
    ConsoleConsumer(console_consumer::Args),
    ConsumerGroups(consumer_groups::Args),
    GetOffsets(get_offsets::Args),
    DeleteRecords(delete_records::Args),
    LeaderElection(leader_election::Args),
    DumpLog(dump_log::Args),
    BrokerApiVersions(broker_api_versions::Args),
    MetadataQuorum(metadata_quorum::Args),
    Verify(Box<verify::Args>),
    Chaos(chaos::Args),
}

/// Why a tool failed.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The arguments make no sense together, or the cluster does not hold what was asked for.
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The error is told already.
    #[error("failed")]
    Told,
    /// A verdict that is told already, with its exit code.
    #[error("not passed")]
    Verdict(u8),
}

/// What a tool works with.
pub(crate) struct Context<'a> {
    pub(crate) env: Env,
    pub(crate) out: &'a mut (dyn Write + Send),
}

/// Runs a tool to its end.
pub fn run(tool: Tool) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run_in(tool, Env::real()));
    // A thread may still wait for a line of standard input.
    runtime.shutdown_timeout(Duration::from_millis(10));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody listens any more (`ottla topics --list | head`).
        Err(ToolError::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(ToolError::Told) => ExitCode::FAILURE,
        Err(ToolError::Verdict(code)) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_in(tool: Tool, env: Env) -> Result<(), ToolError> {
    let mut out = std::io::BufWriter::new(std::io::stdout());
    let context = Context { env, out: &mut out };
    let result = match tool {
        Tool::Topics(args) => topics::run(args, context).await,
        Tool::Configs(args) => configs::run(args, context).await,
        Tool::ConsoleProducer(args) => console_producer::run(args, context).await,
        Tool::ConsoleConsumer(args) => console_consumer::run(args, context).await,
        Tool::ConsumerGroups(args) => consumer_groups::run(args, context).await,
        Tool::GetOffsets(args) => get_offsets::run(args, context).await,
        Tool::DeleteRecords(args) => delete_records::run(args, context).await,
        Tool::LeaderElection(args) => leader_election::run(args, context).await,
        Tool::DumpLog(args) => dump_log::run(args, context),
        Tool::BrokerApiVersions(args) => broker_api_versions::run(args, context).await,
        Tool::MetadataQuorum(args) => metadata_quorum::run(args, context).await,
        Tool::Verify(args) => verify::run(*args, context).await,
        Tool::Chaos(args) => chaos::run(args, context).await,
    };
    out.flush()?;
    result
}
