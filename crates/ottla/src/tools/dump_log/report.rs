//! What is wrong with files, told after all of them are printed.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Pairs of numbers that do not fit, by file.
#[derive(Default)]
pub struct Pairs(BTreeMap<PathBuf, Vec<(i64, i64)>>);

impl Pairs {
    pub fn add(&mut self, file: &Path, pair: (i64, i64)) {
        self.0.entry(super::absolute(file)).or_default().push(pair);
    }

    fn files(&self) -> impl Iterator<Item = (&Path, &[(i64, i64)])> {
        self.0.iter().map(|(file, pairs)| (file.as_path(), pairs.as_slice()))
    }
}

/// All that was found. In each pair the index's word (or the earlier one) comes first.
#[derive(Default)]
pub struct Report {
    pub offset_mismatches: Pairs,
    pub timestamp_mismatches: Pairs,
    pub timestamps_out_of_order: Pairs,
    pub offsets_not_found: Pairs,
    pub gaps: Pairs,
}

impl Report {
    pub fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for (file, pairs) in self.offset_mismatches.files() {
            writeln!(out, "Mismatches in :{}", file.display())?;
            // The newest first, as Kafka has it.
            for (index, log) in pairs.iter().rev() {
                writeln!(out, "  Index offset: {index}, log offset: {log}")?;
            }
        }
        for (file, pairs) in self.timestamp_mismatches.files() {
            writeln!(out, "Found timestamp mismatch in :{}", file.display())?;
            for (index, log) in pairs {
                writeln!(out, "  Index timestamp: {index}, log timestamp: {log}")?;
            }
        }
        for (file, pairs) in self.timestamps_out_of_order.files() {
            writeln!(out, "Found out of order timestamp in :{}", file.display())?;
            for (index, before) in pairs {
                writeln!(
                    out,
                    "  Index timestamp: {index}, Previously indexed timestamp: {before}"
                )?;
            }
        }
        for (_, pairs) in self.offsets_not_found.files() {
            writeln!(out, "The following indexed offsets are not found in the log.")?;
            for (index, log) in pairs {
                writeln!(out, "Indexed offset: {index}, found log offset: {log}")?;
            }
        }
        for (file, pairs) in self.gaps.files() {
            writeln!(out, "Non-consecutive offsets in {}", file.display())?;
            for (first, second) in pairs.iter().rev() {
                writeln!(out, "  {first} is followed by {second}")?;
            }
        }
        Ok(())
    }
}
