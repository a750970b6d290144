//! Bits that rot on a disk.
//!
//! Each kind of file is as likely as another. Of a partition's log any segment is touched: the newest is
//! read from its beginning by every unclean start, what is wrong in others is found by whoever reads
//! it, or by the scrubber. Of the controllers' journal it is the first half: its last writes cannot be
//! told from ones that a power cut tore. Of a batch's header
//! the base offset is left alone, and the leader epoch where it still fits those around it: the broker
//! stamps them, so that Kafka's format has them outside of the CRC, and such a one cannot be told.

use env::MemDisk;
use env::disk::read_file;
use rand::Rng;
use rand::rngs::SmallRng;
use records::BatchHeader;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where these fields of a batch are.
const BASE_OFFSET: Range<usize> = 0..8;
const LEADER_EPOCH: Range<usize> = 12..16;

/// What a file is for, by its name.
pub fn kind_of(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let is_controllers = path.components().any(|part| part.as_os_str() == "controller");
    let kind = match name.rsplit_once('.') {
        Some((stem, suffix)) if stem.bytes().all(|byte| byte.is_ascii_digit()) => suffix,
        Some(_) | None => &name,
    };
    if is_controllers { format!("controller {kind}") } else { kind.to_owned() }
}

/// The files in which a bit may turn, and up to where.
fn candidates(disk: &MemDisk) -> BTreeMap<String, Vec<(PathBuf, u64)>> {
    let mut kinds: BTreeMap<String, Vec<(PathBuf, u64)>> = BTreeMap::new();
    for (path, length) in disk.files() {
        let kind = kind_of(&path);
        let length = if kind == "controller journal" { length / 2 } else { length };
        if length > 0 {
            kinds.entry(kind).or_default().push((path, length));
        }
    }
    kinds
}

/// Turns one bit; the file that has it.
pub fn turn_a_bit(disk: &MemDisk, rng: &mut SmallRng) -> Option<PathBuf> {
    let kinds: Vec<Vec<(PathBuf, u64)>> = candidates(disk).into_values().collect();
    if kinds.is_empty() {
        return None;
    }
    let files = &kinds[rng.random_range(0..kinds.len())];
    let (path, length) = &files[rng.random_range(0..files.len())];
    let position = rng.random_range(0..*length) as usize;
    if kind_of(path) == "log" && is_beyond_telling(disk, path, position) {
        return None;
    }
    disk.flip_bit(path, position);
    Some(path.clone())
}

/// Whether a bit that turns at this position of a segment is one that nobody can tell.
fn is_beyond_telling(disk: &MemDisk, path: &Path, position: usize) -> bool {
    let Ok(mut bytes) = read_file(disk, path) else { return false };
    let (mut at, mut epochs, mut wrong) = (0, Vec::new(), None);
    while let Ok(header) = BatchHeader::parse(&bytes) {
        let size = header.size().min(bytes.len());
        epochs.push(header.leader_epoch.0);
        if (at..at + size).contains(&position) {
            let field = position - at;
            if BASE_OFFSET.contains(&field) {
                return true;
            }
            if !LEADER_EPOCH.contains(&field) {
                return false;
            }
            wrong = Some((epochs.len() - 1, 1 << (8 * (LEADER_EPOCH.end - 1 - field))));
        }
        at += size;
        drop(bytes.split_to(size));
    }
    let Some((index, bit)) = wrong else { return false };
    epochs[index] ^= bit;
    epochs.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Disk;
    use env::disk::Open;
    use rand::SeedableRng;
    use records::{BatchBuilder, BatchOptions, NewRecord};
    use types::{LeaderEpoch, Timestamp};

    #[test]
    fn bits_turn_in_every_file() {
        let dir = Path::new("/data0/load-0");
        let disk = MemDisk::new();
        disk.create_dir_all(dir).unwrap();
        let names = ["00000000000000000000.log", "00000000000000000007.log", "partition.metadata"];
        for name in names {
            let file = disk.open(&dir.join(name), Open::Create).unwrap();
            file.write_all_at(b"content", 0).unwrap();
        }
        let mut rng = SmallRng::seed_from_u64(1);
        let mut turned: BTreeMap<String, u64> = BTreeMap::new();
        for _ in 0..50 {
            let path = turn_a_bit(&disk, &mut rng).unwrap();
            *turned.entry(path.file_name().unwrap().to_string_lossy().into_owned()).or_default() +=
                1;
        }
        assert_eq!(turned.keys().map(String::as_str).collect::<Vec<_>>(), names);
    }

    #[test]
    fn what_nobody_can_tell_is_left_alone() {
        let path = Path::new("/data0/load-0/00000000000000000000.log");
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new("/data0/load-0")).unwrap();
        let leader_epoch = LeaderEpoch(4);
        let options = BatchOptions { leader_epoch, ..BatchOptions::default() };
        let mut builder = BatchBuilder::new(options);
        builder.push(&NewRecord {
            timestamp: Timestamp(1),
            key: None,
            value: Some("value".into()),
            headers: Vec::new(),
        });
        let batch = builder.build().bytes;
        let size = batch.len();
        let file = disk.open(path, Open::Create).unwrap();
        file.write_all_at(&batch, 0).unwrap();
        file.write_all_at(&batch, size as u64).unwrap();
        let alone = (0..2 * size).filter(|at| is_beyond_telling(&disk, path, *at));
        // The second batch is the last: its epoch may well be a higher one.
        let offsets = (0..8).chain(size..size + 8);
        let expected = offsets.chain(size + 12..size + 16);
        assert_eq!(alone.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
