//! Checkpoints of partitions and log directories: text, a line for each entry.
//!
//! The first line is the version (0), the second the number of entries. An entry is `epoch offset`
//! in a partition's `leader-epoch-checkpoint`, and `topic partition offset` in those of a log
//! directory. Kafka's tool does not read these.

use super::{Dump, DumpError};
use std::path::Path;

const EPOCHS: &str = "leader-epoch-checkpoint";
/// Far above what the largest directory's checkpoint holds.
const CHECKPOINT_BYTES_MAX: u64 = 256 << 20;

/// Whether a file of this name is a checkpoint.
pub fn is_one(name: &str) -> bool {
    name == EPOCHS || name.ends_with("-offset-checkpoint")
}

impl Dump<'_> {
    pub(super) fn checkpoint(&mut self, path: &Path, name: &str) -> Result<(), DumpError> {
        let file = self.open(path)?;
        let size = file.len()?;
        if size > CHECKPOINT_BYTES_MAX {
            return Err(DumpError::Wrong(format!("{size} bytes are no checkpoint")));
        }
        let bytes = file.read_bytes_at(size as usize, 0)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| DumpError::Wrong("checkpoint is not text".to_owned()))?;
        for line in entries(text, name == EPOCHS).map_err(DumpError::Wrong)? {
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }
}

fn entries(text: &str, is_epochs: bool) -> Result<Vec<String>, String> {
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    if version.trim() != "0" {
        return Err(format!("checkpoint has version {version:?}, not 0"));
    }
    let count = lines.next().and_then(|line| line.trim().parse::<usize>().ok());
    let count = count.ok_or("checkpoint does not tell its number of entries")?;
    let mut found = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let parts: Vec<&str> = line.split_whitespace().collect();
        found.push(match (is_epochs, parts.as_slice()) {
            (true, [epoch, offset]) => format!("leaderEpoch: {epoch} startOffset: {offset}"),
            (false, [topic, partition, offset]) => {
                format!("topic: {topic} partition: {partition} offset: {offset}")
            }
            _ => return Err(format!("checkpoint line {line:?} is no entry")),
        });
    }
    match found.len() == count {
        true => Ok(found),
        false => Err(format!("checkpoint has {} entries and claims {count}", found.len())),
    }
}
