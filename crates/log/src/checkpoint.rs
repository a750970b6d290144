//! The text files that hold offsets: a version line (0), a count line, then a line an entry.
//!
//! Promises: what is damaged is an error with its reason, never half a list.
//!
//! | file | line |
//! |--|--|
//! | `recovery-point-`, `replication-`, `log-start-`, `cleaner-offset-checkpoint` | `topic partition offset` |
//! | `leader-epoch-checkpoint` | `epoch start-offset` |

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::{FromStr, Lines};
use types::{EpochOffset, LeaderEpoch, Offset, PartitionIndex, TopicPartition};

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

pub fn encode_offsets(offsets: &Offsets) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        writeln!(text, "{} {} {offset}", partition.topic, partition.partition)
            .expect("writing to a string");
    }
    text
}

pub fn decode_offsets(bytes: &[u8]) -> Result<Offsets, String> {
    let mut offsets = Offsets::new();
    let (count, lines) = open(bytes)?;
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let [topic, partition, offset] = words[..] else {
            return Err(format!("line {line:?} is not 'topic partition offset'"));
        };
        let partition = PartitionIndex(number(partition)?);
        let partition = TopicPartition { topic: topic.to_owned(), partition };
        offsets.insert(partition, Offset(number(offset)?));
    }
    counted(count, offsets.len())?;
    Ok(offsets)
}

pub fn encode_epochs(entries: &[EpochOffset]) -> String {
    let mut text = format!("0\n{}\n", entries.len());
    for entry in entries {
        writeln!(text, "{} {}", entry.epoch, entry.offset).expect("writing to a string");
    }
    text
}

pub fn decode_epochs(bytes: &[u8]) -> Result<Vec<EpochOffset>, String> {
    let mut entries: Vec<EpochOffset> = Vec::new();
    let (count, lines) = open(bytes)?;
    for line in lines {
        let Some((epoch, offset)) = line.split_once(' ') else {
            return Err(format!("line {line:?} is not 'epoch offset'"));
        };
        let entry =
            EpochOffset { epoch: LeaderEpoch(number(epoch)?), offset: Offset(number(offset)?) };
        let sorted = entries
            .last()
            .is_none_or(|last| last.epoch < entry.epoch && last.offset <= entry.offset);
        if !sorted {
            return Err(format!("line {line:?} goes back"));
        }
        entries.push(entry);
    }
    counted(count, entries.len())?;
    Ok(entries)
}

fn open(bytes: &[u8]) -> Result<(usize, Lines<'_>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    let mut lines = text.lines();
    match lines.next() {
        Some("0") => {}
        other => return Err(format!("version line is {other:?}, not 0")),
    }
    let count = lines.next().ok_or("no count line")?;
    Ok((number(count)?, lines))
}

fn number<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is not a number in range"))
}

fn counted(expected: usize, found: usize) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{found} entries where {expected} are announced"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_kept_in_kafkas_lines() {
        let mut offsets = Offsets::new();
        let partition = TopicPartition { topic: "a-b".into(), partition: PartitionIndex(3) };
        offsets.insert(partition, Offset(17));
        let text = encode_offsets(&offsets);
        assert_eq!(text, "0\n1\na-b 3 17\n");
        assert_eq!(decode_offsets(text.as_bytes()), Ok(offsets));
        for bad in ["", "1\n0\n", "0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 x\n"] {
            assert!(decode_offsets(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn epochs_are_kept_in_kafkas_lines() {
        let entries = [(0, 0), (3, 10)]
            .map(|(e, o)| EpochOffset { epoch: LeaderEpoch(e), offset: Offset(o) });
        let text = encode_epochs(&entries);
        assert_eq!(text, "0\n2\n0 0\n3 10\n");
        assert_eq!(decode_epochs(text.as_bytes()).as_deref(), Ok(&entries[..]));
        assert!(decode_epochs(b"0\n2\n3 10\n0 0\n").is_err());
    }
}
