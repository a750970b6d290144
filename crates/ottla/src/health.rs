//! `ottla health`: asks a node whether it is ready, for images without a shell.

use crate::http_get;
use env::Env;
use std::process::ExitCode;
use std::time::Duration;

/// Ask a node whether it is ready; exit code 0 if it is.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla health                                  the node on this machine, port 9095
  ottla health --http 10.0.0.7:9095 --live      is the process of that node well?
  HEALTHCHECK CMD [\"/ottla\", \"health\"]          in a Dockerfile")]
pub struct Args {
    /// HTTP address of the node (its `ottla.http.listener`)
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "OTTLA_HTTP_LISTENER",
        default_value = "127.0.0.1:9095"
    )]
    http: String,
    /// Ask only whether the process is well (/livez), not whether it serves clients (/readyz)
    #[arg(long)]
    live: bool,
    /// Longest wait for the answer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000)]
    timeout_ms: u64,
}

/// Asks and tells.
pub fn run(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let path = if args.live { "/livez" } else { "/readyz" };
    let address = reachable(&args.http);
    let asked = runtime.block_on(async {
        let patience = Duration::from_millis(args.timeout_ms);
        tokio::time::timeout(patience, http_get::get(&Env::real(), &address, path)).await
    });
    match asked {
        Ok(Ok(page)) if page.status == 200 => {
            println!("{}", page.body.trim());
            ExitCode::SUCCESS
        }
        Ok(Ok(page)) => {
            eprintln!("{}", page.body.trim());
            ExitCode::FAILURE
        }
        Ok(Err(error)) => {
            eprintln!("error: cannot ask {address}: {error}");
            ExitCode::FAILURE
        }
        Err(_) => {
            eprintln!("error: no answer from {address} in {} ms", args.timeout_ms);
            ExitCode::FAILURE
        }
    }
}

/// An address of all interfaces, as a listener has it, is reached on this machine.
fn reachable(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("" | "0.0.0.0" | "[::]", port)) => format!("127.0.0.1:{port}"),
        _ => address.to_owned(),
    }
}
