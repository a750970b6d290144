//! Snapshots as files of their own.
//!
//! A file `<raft index, 20 digits>.snapshot` is a magic of 8 bytes, then pieces: length (4 bytes,
//! big-endian), CRC-32C of the bytes (4), the bytes; last a piece of 8 bytes, the count of pieces
//! before it, so that a short file is seen. The pieces' meaning is the caller's.
//!
//! Promises: a snapshot is current only when it is whole and synced under its final name; the one
//! before is deleted only then.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use env::Disk;
use env::disk::{read_file, write_file_atomically};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"OTTLASN1";
const SUFFIX: &str = ".snapshot";

/// The pieces of a snapshot as one file's content.
pub fn pack(pieces: &[Bytes]) -> Bytes {
    let total: usize = pieces.iter().map(|piece| piece.len() + 8).sum();
    let mut out = BytesMut::with_capacity(total + 24);
    out.put_slice(MAGIC);
    let count = (pieces.len() as u64).to_be_bytes();
    for piece in pieces.iter().map(|piece| &piece[..]).chain([&count[..]]) {
        out.put_u32(piece.len() as u32);
        out.put_u32(crc32c::crc32c(piece));
        out.put_slice(piece);
    }
    out.freeze()
}

/// The pieces of a whole and sound file; `None` otherwise.
pub fn unpack(content: &Bytes) -> Option<Vec<Bytes>> {
    let mut rest = content.clone();
    if !rest.starts_with(MAGIC) {
        return None;
    }
    rest.advance(MAGIC.len());
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        if rest.len() < 8 {
            return None;
        }
        let length = rest.get_u32() as usize;
        let crc = rest.get_u32();
        if rest.len() < length {
            return None;
        }
        let piece = rest.split_to(length);
        if crc32c::crc32c(&piece) != crc {
            return None;
        }
        pieces.push(piece);
    }
    let count = pieces.pop()?;
    let whole = count[..] == (pieces.len() as u64).to_be_bytes();
    whole.then_some(pieces)
}

/// The snapshots of one directory. Cheap to clone.
#[derive(Clone)]
pub struct SnapshotFiles {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

impl SnapshotFiles {
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> SnapshotFiles {
        SnapshotFiles { disk, directory }
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let entries = self.disk.list(&self.directory)?;
        let names = entries.into_iter().map(|entry| entry.name);
        Ok(names.filter(|name| name.ends_with(SUFFIX)).collect())
    }

    /// The newest sound snapshot. A damaged one is set aside under another name and reported.
    pub fn current(&self) -> io::Result<Option<Bytes>> {
        for name in self.names()?.iter().rev() {
            let path = self.directory.join(name);
            let content = read_file(&*self.disk, &path)?;
            if unpack(&content).is_some() {
                return Ok(Some(content));
            }
            tracing::error!(file = %path.display(), "snapshot is damaged; set aside");
            self.disk.rename(&path, &self.directory.join(format!("{name}.damaged")))?;
            self.disk.sync_dir(&self.directory)?;
        }
        Ok(None)
    }

    /// Makes a snapshot the current one and deletes those before it.
    pub fn save(&self, index: u64, content: &Bytes) -> io::Result<()> {
        let name = format!("{index:020}{SUFFIX}");
        write_file_atomically(&*self.disk, &self.directory.join(&name), content)?;
        for older in self.names()?.into_iter().filter(|other| *other < name) {
            self.disk.remove_file(&self.directory.join(older))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_reads_back_and_no_prefix_passes_for_whole() {
        let pieces = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"two")];
        let content = pack(&pieces);
        assert_eq!(unpack(&content), Some(pieces));
        for length in 0..content.len() {
            assert_eq!(unpack(&content.slice(..length)), None, "length {length}");
        }
        assert_eq!(unpack(&pack(&[])), Some(Vec::new()));
    }
}
