//! The simulator's own proof: it notices every mistake, as `MUTANTS.md` says.
#![allow(clippy::disallowed_methods, reason = "a test reads and writes its table")]

use ottla_sim::mutant_table;
use std::path::Path;

#[test]
fn every_mutant_is_noticed_as_the_table_says() {
    // Assertions that notice a mistake need no backtrace each.
    std::panic::set_hook(Box::new(|_| {}));
    let table = mutant_table();
    let _ = std::panic::take_hook();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("MUTANTS.md");
    if std::env::var_os("OTTLA_UPDATE_MUTANTS").is_some() {
        std::fs::write(&path, &table).expect("the table is written");
    }
    let alive: Vec<&str> = table.lines().filter(|line| line.contains("| never |")).collect();
    assert_eq!(alive, Vec::<&str>::new(), "these mistakes go unnoticed");
    let known = std::fs::read_to_string(&path).expect("the table is there");
    assert_eq!(known, table, "run with OTTLA_UPDATE_MUTANTS=1 and review the difference");
}
