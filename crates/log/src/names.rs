//! Names of files and directories, as Kafka gives them.

use std::path::{Path, PathBuf};
use types::{Offset, PartitionIndex, TOPIC_NAME_BYTES_MAX, TopicPartition, Uuid};

pub const LOG: &str = ".log";
pub const INDEX: &str = ".index";
pub const TIME_INDEX: &str = ".timeindex";
pub const TRANSACTION_INDEX: &str = ".txnindex";
pub const SNAPSHOT: &str = ".snapshot";
/// A segment's files.
pub const SEGMENT_FILES: [&str; 4] = [LOG, INDEX, TIME_INDEX, TRANSACTION_INDEX];
/// Added to the name of a file that compaction is writing: worth nothing yet.
pub const CLEANED: &str = ".cleaned";
/// Added to the name of a whole, synced file that is to take the place of others. A file of this
/// suffix alone says that such a replacement is under way.
pub const SWAP: &str = ".swap";
/// Added to the name of a file that waits for its removal.
pub const DELETED: &str = ".deleted";
pub const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
pub const PARTITION_METADATA: &str = "partition.metadata";
pub const META_PROPERTIES: &str = "meta.properties";
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
pub const LOCK: &str = ".lock";
pub const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub const HIGH_WATERMARKS: &str = "replication-offset-checkpoint";
pub const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
pub const START_OFFSETS: &str = "log-start-offset-checkpoint";
/// End of the name of a partition's directory that waits for its removal.
pub const DELETE_DIR: &str = "-delete";
/// End of the name of a partition's directory that nobody claims.
pub const STRAY_DIR: &str = "-stray";

/// Offsets at which a log was found damaged, a line each: looked at again at every opening. A file of
/// our own, which Kafka passes over.
pub const DAMAGES: &str = "ottla-damages";
/// End of the name of a damaged replica's directory.
pub const QUARANTINED_DIR: &str = "-quarantined";

/// `00000000000000000042.log` and the like.
pub fn segment_file(dir: &Path, base: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{:020}{suffix}", base.0))
}

/// The offset in a name of this suffix; `None` for any other name.
pub fn segment_offset(name: &str, suffix: &str) -> Option<Offset> {
    let digits = name.strip_suffix(suffix)?;
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Offset)
}

pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub fn partition_dir(partition: &TopicPartition) -> String {
    format!("{}-{}", partition.topic, partition.partition)
}

/// The partition whose directory has this name; `None` for names of any other form.
pub fn partition_of_dir(name: &str) -> Option<TopicPartition> {
    let (topic, index) = name.rsplit_once('-')?;
    let plain = index == "0" || !index.starts_with('0');
    let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !plain || !digits || topic.is_empty() || topic.len() > TOPIC_NAME_BYTES_MAX {
        return None;
    }
    if !topic.bytes().all(legal) {
        return None;
    }
    let partition = PartitionIndex(index.parse().ok()?);
    Some(TopicPartition { topic: topic.to_owned(), partition })
}

/// `topic-0.<32 hex digits>-delete`: unique, so that the partition's name is free again, and cut to
/// the 255 bytes of a file name.
pub fn aside_dir(partition: &TopicPartition, unique: Uuid, suffix: &str) -> String {
    let mut tail = String::from(".");
    for byte in unique.0 {
        tail.push_str(&format!("{byte:02x}"));
    }
    tail.push_str(suffix);
    let mut name = partition_dir(partition);
    name.truncate(255 - tail.len());
    name + &tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_partitions_are_partitions() {
        let name = partition_of_dir("my-topic.x_1-12").unwrap();
        assert_eq!((name.topic.as_str(), name.partition.0), ("my-topic.x_1", 12));
        assert_eq!(partition_dir(&name), "my-topic.x_1-12");
        for other in ["", "-", "a", "a-", "-1", "a-01", "a--delete", "a b-1", "a-99999999999"] {
            assert_eq!(partition_of_dir(other), None, "{other}");
        }
        let aside = aside_dir(&name, Uuid([0xab; 16]), DELETE_DIR);
        assert_eq!(partition_of_dir(&aside), None);
        let long = TopicPartition { topic: "t".repeat(249), partition: PartitionIndex(7) };
        assert_eq!(aside_dir(&long, Uuid::ZERO, STRAY_DIR).len(), 255);
    }

    #[test]
    fn segment_names_carry_their_offset() {
        let path = segment_file(Path::new("d"), Offset(42), LOG);
        assert_eq!(path, Path::new("d/00000000000000000042.log"));
        assert_eq!(segment_offset("00000000000000000042.log", LOG), Some(Offset(42)));
        assert_eq!(segment_offset("00000000000000000042.log.deleted", LOG), None);
        assert_eq!(segment_offset("42.log", LOG), None);
        assert_eq!(segment_offset("0000000000000000004x.log", LOG), None);
    }
}
