//! The program: a node, a local cluster, and the tools under Kafka's names.
//!
//! Promises: results go to standard output and everything else to standard error; the exit code is
//! 0 for success, 1 for a failure while running, 2 for arguments or a configuration that are wrong.
//! Does not: hold rules; it reads what it is told, starts the parts and stops them in order.

mod completions;
mod health;
mod http_get;
pub mod server;
mod tools;
mod up;

use clap::Parser;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Start here:
  ottla up                                       a cluster of three brokers on this machine
  ottla server                                   one node on port 9092, data in ./ottla-data
  ottla server --config server.properties        a node from a Kafka-style file
  ottla topics --bootstrap-server localhost:9092 --list

Every Kafka client and tool works with the bootstrap address. `ottla COMMAND --help` has examples.";

/// Ottla: a streaming log that speaks Kafka's protocol, in one program.
#[derive(Parser, Debug)]
#[command(name = "ottla", version, about, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    Server(Box<server::Args>),
    Up(up::Args),
    Health(health::Args),
    Completions(completions::Args),
    #[command(flatten)]
    Tool(Box<tools::Tool>),
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Server(args) => server::run(*args),
        Command::Up(args) => up::run(args),
        Command::Health(args) => health::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Tool(tool) => tools::run(*tool),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
