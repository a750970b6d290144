//! `.kafka_cleanshutdown`: a directory's logs were all closed.
//!
//! JSON, `{"version":0,"brokerEpoch":N}`. An unreadable one says that the shutdown was clean and
//! nothing of the epoch, as the empty file of older versions does.

use crate::names::CLEAN_SHUTDOWN;
use env::Disk;
use env::disk::{read_file, write_file_atomically};
use std::io;
use std::path::Path;
use types::BrokerEpoch;

/// A directory's marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanShutdown {
    pub broker_epoch: Option<BrokerEpoch>,
}

/// Reads and removes the marker, durably: from here on a crash is one.
pub fn take(disk: &dyn Disk, dir: &Path) -> io::Result<Option<CleanShutdown>> {
    let path = dir.join(CLEAN_SHUTDOWN);
    if !disk.exists(&path) {
        return Ok(None);
    }
    let bytes = read_file(disk, &path)?;
    disk.remove_file(&path)?;
    disk.sync_dir(dir)?;
    Ok(Some(CleanShutdown { broker_epoch: epoch_in(&bytes) }))
}

pub fn write(disk: &dyn Disk, dir: &Path, broker_epoch: BrokerEpoch) -> io::Result<()> {
    let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    write_file_atomically(disk, &dir.join(CLEAN_SHUTDOWN), text.as_bytes())
}

fn epoch_in(bytes: &[u8]) -> Option<BrokerEpoch> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, after) = text.split_once("\"brokerEpoch\"")?;
    let after = after.trim_start().strip_prefix(':')?.trim_start();
    let digits = after.split(|c: char| c != '-' && !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(BrokerEpoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::disk::MemDisk;

    #[test]
    fn a_marker_is_read_once() {
        let disk = MemDisk::new();
        let dir = Path::new("/d");
        disk.create_dir_all(dir).unwrap();
        assert_eq!(take(&disk, dir).unwrap(), None);
        write(&disk, dir, BrokerEpoch(17)).unwrap();
        let broker_epoch = Some(BrokerEpoch(17));
        assert_eq!(take(&disk, dir).unwrap(), Some(CleanShutdown { broker_epoch }));
        assert_eq!(take(&disk, dir).unwrap(), None);
    }

    #[test]
    fn an_epoch_is_found_in_any_layout() {
        assert_eq!(epoch_in(b"{\"brokerEpoch\" : -1, \"version\":0}"), Some(BrokerEpoch(-1)));
        assert_eq!(epoch_in(b""), None);
        assert_eq!(epoch_in(b"{\"brokerEpoch\":x}"), None);
    }
}
