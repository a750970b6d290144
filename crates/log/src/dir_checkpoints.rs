//! The four offset checkpoints of one log directory, and what of them is on disk.
//!
//! Promises: a recovery point on disk is never above what the partition's log has synced of its
//! present records: `lower` is durable when it returns, and a checkpoint that was being collected
//! meanwhile does not raise it again. A new partition never inherits the offsets of an older one of
//! the same name.

use crate::checkpoint::{Offsets, decode_offsets, encode_offsets};
use crate::names::{CLEANER_OFFSETS, HIGH_WATERMARKS, RECOVERY_POINTS, START_OFFSETS};
use crate::partition::RecoveryPoints;
use env::Disk;
use env::disk::{read_file, write_file_atomically};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use types::{Offset, TopicPartition};

/// Which file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    RecoveryPoint,
    HighWatermark,
    StartOffset,
    /// Where compaction stopped, for compacted logs.
    Cleaned,
}

const ALL: [Which; 4] =
    [Which::RecoveryPoint, Which::HighWatermark, Which::StartOffset, Which::Cleaned];

struct OnDisk {
    /// In the order of `ALL`.
    files: [Offsets; 4],
    /// Recovery points lowered since the collection in progress began.
    lowered: Offsets,
}

pub struct DirCheckpoints {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    on_disk: Mutex<OnDisk>,
    /// Held while values are collected and written: one collection at a time.
    collecting: Mutex<()>,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Which::RecoveryPoint => RECOVERY_POINTS,
            Which::HighWatermark => HIGH_WATERMARKS,
            Which::StartOffset => START_OFFSETS,
            Which::Cleaned => CLEANER_OFFSETS,
        }
    }
}

impl DirCheckpoints {
    /// Reads what is there. A damaged file counts as absent: everything is recovered from the
    /// start, which is slow and safe.
    pub fn read(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<DirCheckpoints> {
        let mut files = [const { Offsets::new() }; 4];
        for which in ALL {
            let path = dir.join(which.name());
            if !disk.exists(&path) {
                continue;
            }
            match decode_offsets(&read_file(&*disk, &path)?) {
                Ok(offsets) => files[which as usize] = offsets,
                Err(reason) => {
                    tracing::warn!(path = %path.display(), reason, "checkpoint is not used");
                }
            }
        }
        let on_disk = Mutex::new(OnDisk { files, lowered: Offsets::new() });
        Ok(DirCheckpoints { disk, dir: dir.to_owned(), on_disk, collecting: Mutex::new(()) })
    }

    fn on_disk(&self) -> MutexGuard<'_, OnDisk> {
        self.on_disk.lock().expect("no thread panicked with the checkpoints")
    }

    /// What the file says of a partition; zero if nothing.
    pub fn get(&self, which: Which, partition: &TopicPartition) -> Offset {
        self.on_disk().files[which as usize].get(partition).copied().unwrap_or(Offset::ZERO)
    }

    /// Every partition that some file names.
    pub fn partitions(&self) -> BTreeSet<TopicPartition> {
        self.on_disk().files.iter().flat_map(|offsets| offsets.keys().cloned()).collect()
    }

    fn write(&self, which: Which, offsets: &Offsets) -> io::Result<()> {
        let text = encode_offsets(offsets);
        write_file_atomically(&*self.disk, &self.dir.join(which.name()), text.as_bytes())
    }

    /// Replaces a file by what `collect` gives, if that differs. `collect` may lock logs.
    pub fn checkpoint(&self, which: Which, collect: impl FnOnce() -> Offsets) -> io::Result<()> {
        let _one = self.collecting.lock().expect("no thread panicked in a checkpoint");
        self.on_disk().lowered.clear();
        let mut offsets = collect();
        let mut on_disk = self.on_disk();
        if which == Which::RecoveryPoint {
            for (partition, lowered) in &on_disk.lowered {
                if let Some(offset) = offsets.get_mut(partition) {
                    *offset = (*offset).min(*lowered);
                }
            }
        }
        if on_disk.files[which as usize] == offsets {
            return Ok(());
        }
        self.write(which, &offsets)?;
        on_disk.files[which as usize] = offsets;
        Ok(())
    }

    /// Forgets a partition in all files, durably.
    pub fn forget(&self, partition: &TopicPartition) -> io::Result<()> {
        let mut on_disk = self.on_disk();
        for which in ALL {
            let mut offsets = on_disk.files[which as usize].clone();
            if offsets.remove(partition).is_some() {
                self.write(which, &offsets)?;
                on_disk.files[which as usize] = offsets;
            }
        }
        on_disk.lowered.insert(partition.clone(), Offset::ZERO);
        Ok(())
    }
}

impl RecoveryPoints for DirCheckpoints {
    fn lower(&self, partition: &TopicPartition, offset: Offset) -> io::Result<()> {
        let mut on_disk = self.on_disk();
        let known = on_disk.lowered.get(partition).copied().unwrap_or(offset);
        on_disk.lowered.insert(partition.clone(), known.min(offset));
        let index = Which::RecoveryPoint as usize;
        if on_disk.files[index].get(partition).is_none_or(|point| *point <= offset) {
            return Ok(());
        }
        let mut offsets = on_disk.files[index].clone();
        offsets.insert(partition.clone(), offset);
        self.write(Which::RecoveryPoint, &offsets)?;
        on_disk.files[index] = offsets;
        Ok(())
    }

    fn durable(&self, partition: &TopicPartition) -> Offset {
        self.get(Which::RecoveryPoint, partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::disk::MemDisk;
    use types::PartitionIndex;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: PartitionIndex(index) }
    }

    fn open(disk: &MemDisk) -> DirCheckpoints {
        DirCheckpoints::read(Arc::new(disk.clone()), Path::new("/d")).unwrap()
    }

    #[test]
    fn a_lowered_point_stays_low_whatever_was_being_collected() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let points = open(&disk);
        let all =
            |offset| Offsets::from([(partition(0), Offset(offset)), (partition(1), Offset(9))]);
        points.checkpoint(Which::RecoveryPoint, || all(100)).unwrap();
        let collect = || {
            let values = all(100);
            points.lower(&partition(0), Offset(40)).unwrap();
            values
        };
        points.checkpoint(Which::RecoveryPoint, collect).unwrap();
        assert_eq!(open(&disk).get(Which::RecoveryPoint, &partition(0)), Offset(40));
        points.checkpoint(Which::RecoveryPoint, || all(60)).unwrap();
        assert_eq!(open(&disk).get(Which::RecoveryPoint, &partition(0)), Offset(60));
        assert_eq!(open(&disk).get(Which::RecoveryPoint, &partition(1)), Offset(9));
    }

    #[test]
    fn a_forgotten_partition_has_no_offsets() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let points = open(&disk);
        for which in ALL {
            points.checkpoint(which, || Offsets::from([(partition(0), Offset(5))])).unwrap();
        }
        points.forget(&partition(0)).unwrap();
        for which in ALL {
            assert_eq!(open(&disk).get(which, &partition(0)), Offset::ZERO);
        }
    }

    #[test]
    fn a_damaged_file_counts_as_absent() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let points = open(&disk);
        points.checkpoint(Which::RecoveryPoint, || [(partition(0), Offset(5))].into()).unwrap();
        disk.flip_bit(&Path::new("/d").join(RECOVERY_POINTS), 0);
        assert_eq!(open(&disk).get(Which::RecoveryPoint, &partition(0)), Offset::ZERO);
    }
}
