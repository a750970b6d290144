//! Runs seeds of the cluster simulation from the command line.
fn main() {}
