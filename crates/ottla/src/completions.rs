//! `ottla completions`: what a shell needs to complete our commands and flags.

use clap::CommandFactory;
use std::process::ExitCode;

/// Print completions for a shell.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla completions bash > /etc/bash_completion.d/ottla
  ottla completions zsh > ~/.zfunc/_ottla
  ottla completions fish > ~/.config/fish/completions/ottla.fish")]
pub struct Args {
    /// The shell to print them for
    shell: clap_complete::Shell,
}

/// Prints the completions.
pub fn run(args: &Args) -> ExitCode {
    let mut command = crate::Cli::command();
    clap_complete::generate(args.shell, &mut command, "ottla", &mut std::io::stdout());
    ExitCode::SUCCESS
}
