//! Bits that rot on a disk, in files that are read at the start of a node.
//!
//! Each kind of file is as likely as another. Of a partition's log only the newest segment is
//! touched, which every unclean start reads from its beginning; of the controllers' journal the
//! first half: its last writes cannot be told from ones that a power cut tore.

use env::MemDisk;
use rand::Rng;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    let mut newest: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let files = disk.files();
    for (path, _) in &files {
        if path.extension().is_some_and(|suffix| suffix == "log")
            && let Some(dir) = path.parent()
        {
            // Names are sorted, and longer with zeros: the last one wins.
            newest.insert(dir.to_owned(), path.clone());
        }
    }
    let mut kinds: BTreeMap<String, Vec<(PathBuf, u64)>> = BTreeMap::new();
    for (path, length) in files {
        let kind = kind_of(&path);
        let is_old = kind == "log"
            && path.parent().and_then(|dir| newest.get(dir)).is_some_and(|last| *last != path);
        let length = if kind == "controller journal" { length / 2 } else { length };
        if length > 0 && !is_old {
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
    let position = rng.random_range(0..*length);
    disk.flip_bit(path, position as usize);
    Some(path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Disk;
    use env::disk::{Open, read_file};
    use rand::SeedableRng;

    #[test]
    fn bits_turn_in_every_kind_of_file_and_only_in_the_newest_segment() {
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
        assert_eq!(turned.keys().map(String::as_str).collect::<Vec<_>>(), names[1..]);
        assert_eq!(&read_file(&disk, &dir.join(names[0])).unwrap()[..], b"content");
    }
}
