//! The text files that hold offsets: a version line (0), a count line, then a line an entry.
//!
//! Promises: what is damaged is an error with its reason, never half a list. Kafka reads and writes the
//! same files.
//!
//! The format has no checksum, and one digit that goes wrong on a disk passes for another offset: a log
//! that seems to start later has lost records. So the last line ends in 32 marks that Kafka's reader
//! takes for the white space that they are, a space for each 0 and a tabulator for each 1 of the text's
//! CRC-32C. A file without marks, as Kafka writes it, is taken at its word.
//!
//! | file | line |
//! |--|--|
//! | `recovery-point-`, `replication-`, `log-start-`, `cleaner-offset-checkpoint` | `topic partition offset` |
//! | `leader-epoch-checkpoint` | `epoch start-offset` |

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::{FromStr, Lines};
use types::{EpochOffset, LeaderEpoch, Offset, PartitionIndex, TopicPartition};

/// Version and count.
const HEAD_LINES: usize = 2;
/// The bits of a CRC-32C.
const MARKS: u32 = 32;

/// Offsets by partition.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

pub fn encode_offsets(offsets: &Offsets) -> String {
    let mut text = format!("0\n{}\n", offsets.len());
    for (partition, offset) in offsets {
        writeln!(text, "{} {} {offset}", partition.topic, partition.partition)
            .expect("writing to a string");
    }
    sealed(text)
}

pub fn decode_offsets(bytes: &[u8]) -> Result<Offsets, String> {
    let mut offsets = Offsets::new();
    let text = unsealed(bytes)?;
    let (count, lines) = open(text)?;
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
    sealed(text)
}

pub fn decode_epochs(bytes: &[u8]) -> Result<Vec<EpochOffset>, String> {
    let mut entries: Vec<EpochOffset> = Vec::new();
    let text = unsealed(bytes)?;
    let (count, lines) = open(text)?;
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

/// The marks of a text: 32 of white space.
fn marks(text: &str) -> String {
    let crc = crc32c::crc32c(text.as_bytes());
    (0..MARKS).map(|bit| if crc >> bit & 1 == 1 { '\t' } else { ' ' }).collect()
}

/// Puts the marks at the end of the last line. Without entries there is no line that may have them, and
/// no digit that says anything.
fn sealed(mut text: String) -> String {
    if text.lines().count() > HEAD_LINES {
        text.truncate(text.trim_end_matches('\n').len());
        text += &marks(&text);
        text.push('\n');
    }
    text
}

/// The text without its marks, which must be right if there are any.
fn unsealed(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    let lines = text.strip_suffix('\n').unwrap_or(text);
    let bare = lines.trim_end_matches([' ', '\t']);
    if bare.len() < lines.len() && lines[bare.len()..] != marks(bare) {
        return Err("the checksum in its white space is wrong".to_owned());
    }
    Ok(bare)
}

fn open(text: &str) -> Result<(usize, Lines<'_>), String> {
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
        let bare = "0\n1\na-b 3 17";
        assert_eq!(text, format!("{bare}{}\n", marks(bare)));
        assert_eq!(decode_offsets(text.as_bytes()), Ok(offsets.clone()));
        assert_eq!(decode_offsets(b"0\n1\na-b 3 17\n"), Ok(offsets), "as Kafka writes it");
        assert_eq!(encode_offsets(&Offsets::new()), "0\n0\n");
        for bad in ["", "1\n0\n", "0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 x\n"] {
            assert!(decode_offsets(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn epochs_are_kept_in_kafkas_lines() {
        let entries = [(0, 0), (3, 10)]
            .map(|(e, o)| EpochOffset { epoch: LeaderEpoch(e), offset: Offset(o) });
        let text = encode_epochs(&entries);
        assert!(text.starts_with("0\n2\n0 0\n3 10") && text.split_whitespace().count() == 6);
        assert_eq!(decode_epochs(b"0\n2\n0 0\n3 10\n").as_deref(), Ok(&entries[..]));
        assert_eq!(decode_epochs(text.as_bytes()).as_deref(), Ok(&entries[..]));
        assert!(decode_epochs(b"0\n2\n3 10\n0 0\n").is_err());
    }

    #[test]
    fn no_bit_goes_wrong_unseen() {
        let partition =
            |index| TopicPartition { topic: "t".into(), partition: PartitionIndex(index) };
        let offsets = Offsets::from([(partition(0), Offset(0)), (partition(1), Offset(99))]);
        let text = encode_offsets(&offsets);
        for (position, bit) in (0..text.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bytes = text.clone().into_bytes();
            bytes[position] ^= 1 << bit;
            let read = decode_offsets(&bytes);
            assert!(read.is_err() || read == Ok(offsets.clone()), "{position} {bit}: {read:?}");
        }
    }
}
