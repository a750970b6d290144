//! The four offset checkpoints of one log directory, and what of them is on disk.
//!
//! Promises: a recovery point on disk is never above what the partition's log has synced of its
//! present records: `lower` is durable when it returns, and a checkpoint that was being collected
//! meanwhile does not raise it again. A new partition never inherits the offsets of an older one of
//! the same name, not by a checkpoint that was being collected meanwhile either. What is done to many
//! partitions, one after the other, does not write all offsets again for each of them.

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
    /// Partitions forgotten since then.
    forgotten: BTreeSet<TopicPartition>,
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
        let (lowered, forgotten) = (Offsets::new(), BTreeSet::new());
        let on_disk = Mutex::new(OnDisk { files, lowered, forgotten });
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
        self.begin_collection();
        let mut offsets = collect();
        let mut on_disk = self.on_disk();
        for partition in &on_disk.forgotten {
            offsets.remove(partition);
        }
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

    fn begin_collection(&self) {
        let mut on_disk = self.on_disk();
        on_disk.lowered.clear();
        on_disk.forgotten.clear();
    }

    /// Forgets partitions in all files, durably. `there` tells which partitions the directory has: a
    /// file that must be written forgets all others as well, so that it need not be written again for
    /// each of many that are made anew. May lock what `collect` of a checkpoint does.
    pub fn forget(
        &self,
        partitions: &[TopicPartition],
        there: impl FnOnce() -> BTreeSet<TopicPartition>,
    ) -> io::Result<()> {
        let is_known = {
            let mut on_disk = self.on_disk();
            on_disk.forgotten.extend(partitions.iter().cloned());
            let knows = |file: &Offsets| partitions.iter().any(|name| file.contains_key(name));
            on_disk.files.iter().any(knows)
        };
        if !is_known {
            return Ok(());
        }
        let there = there();
        let mut on_disk = self.on_disk();
        for which in ALL {
            let file = &on_disk.files[which as usize];
            if !partitions.iter().any(|name| file.contains_key(name)) {
                continue;
            }
            let mut offsets = file.clone();
            offsets.retain(|name, _| there.contains(name));
            for name in partitions {
                offsets.remove(name);
            }
            self.write(which, &offsets)?;
            on_disk.files[which as usize] = offsets;
        }
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
        // A new leader has all its followers cut their logs, and seldom below their high watermarks:
        // with their points down there, those that come after this one need no write of all points.
        // A point that is too low costs some reading after a crash, and nothing else.
        let watermarks = &on_disk.files[Which::HighWatermark as usize];
        for (other, point) in &mut offsets {
            if let Some(watermark) = watermarks.get(other) {
                *point = (*point).min(*watermark);
            }
        }
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
        points.forget(&[partition(0)], BTreeSet::new).unwrap();
        for which in ALL {
            assert_eq!(open(&disk).get(which, &partition(0)), Offset::ZERO);
        }
    }

    #[test]
    fn a_partition_that_was_forgotten_stays_so_whatever_was_being_collected() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let points = open(&disk);
        for which in ALL {
            let collect = || {
                let of_the_former = Offsets::from([(partition(0), Offset(5))]);
                points.forget(&[partition(0)], BTreeSet::new).unwrap();
                of_the_former
            };
            points.checkpoint(which, collect).unwrap();
            assert_eq!(open(&disk).get(which, &partition(0)), Offset::ZERO, "{which:?}");
        }
    }

    #[test]
    fn many_that_are_made_again_one_by_one_are_forgotten_by_the_first_write() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let points = open(&disk);
        let all = || (0..100).map(|index| (partition(index), Offset(5))).collect::<Offsets>();
        points.checkpoint(Which::StartOffset, all).unwrap();
        let before = disk.stats().writes;
        let kept = || BTreeSet::from([partition(99)]);
        for index in 0..99 {
            points.forget(&[partition(index)], kept).unwrap();
        }
        // A file is cut to nothing, and then written.
        assert_eq!(disk.stats().writes - before, 2);
        assert_eq!(open(&disk).get(Which::StartOffset, &partition(99)), Offset(5));
    }

    #[test]
    fn followers_that_are_cut_one_after_the_other_write_the_points_once() {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        let points = open(&disk);
        let all = |offset: i64| -> Offsets {
            (0..100).map(|index| (partition(index), Offset(offset))).collect()
        };
        points.checkpoint(Which::HighWatermark, || all(60)).unwrap();
        points.checkpoint(Which::RecoveryPoint, || all(100)).unwrap();
        let before = disk.stats().writes;
        for index in 0..100 {
            points.lower(&partition(index), Offset(70)).unwrap();
            let point = open(&disk).get(Which::RecoveryPoint, &partition(index));
            assert!(point <= Offset(70), "{index}: {point}");
        }
        assert_eq!(disk.stats().writes - before, 2);
        points.lower(&partition(7), Offset(50)).unwrap();
        assert_eq!(open(&disk).get(Which::RecoveryPoint, &partition(7)), Offset(50));
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
