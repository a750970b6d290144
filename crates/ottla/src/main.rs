//! The program. All of it is in the library of the same name, so that a simulation can run a node as
//! the program does.

use std::process::ExitCode;

fn main() -> ExitCode {
    ottla::run()
}
