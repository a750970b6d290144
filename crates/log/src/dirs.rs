//! A node's log directories: locked, identified, and asked whether they were shut down cleanly.

use crate::clean_shutdown::{self, CleanShutdown};
use crate::names::{LOCK, META_PROPERTIES};
use crate::{LogDirError, MetaProperties, OpenError};
use env::{Disk, Rng};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{BrokerEpoch, DirectoryId, NodeId};

/// One locked directory.
pub(crate) struct LogDir {
    pub path: PathBuf,
    pub meta: MetaProperties,
    /// What the last life left.
    pub clean: Option<CleanShutdown>,
    /// Held as long as the node runs.
    pub _lock: Box<dyn Send + Sync>,
}

/// Locked directories, before any partition is opened. Usable as soon as the node starts, when it
/// may not yet know its cluster.
pub struct LogDirs {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dirs: Vec<LogDir>,
    /// Directories that failed at opening.
    pub(crate) offline: Vec<LogDirError>,
}

impl LogDirs {
    /// Makes absent directories, locks all, removes the clean-shutdown markers (the first thing
    /// written: a crash from here on counts as one), reads or makes `meta.properties`. A directory
    /// of another node, or two of different clusters, refuse; one that fails goes offline, unless
    /// it is the last. Blocks.
    pub fn open(
        disk: Arc<dyn Disk>,
        dirs: &[PathBuf],
        node_id: NodeId,
        rng: &dyn Rng,
    ) -> Result<LogDirs, OpenError> {
        let mut opened = LogDirs { disk, dirs: Vec::new(), offline: Vec::new() };
        for path in dirs {
            match open_dir(&opened.disk, path, node_id, rng) {
                Ok(dir) => opened.dirs.push(dir),
                Err(OpenError::Io(error)) if !error.is_want_of_descriptors() => {
                    tracing::error!(%error, "log directory is offline");
                    opened.offline.push(error);
                }
                Err(other) => return Err(other),
            }
        }
        if opened.dirs.is_empty() {
            return Err(match opened.offline.pop() {
                Some(error) => OpenError::Io(error),
                None => OpenError::NoneUsable,
            });
        }
        opened.check_together()?;
        Ok(opened)
    }

    fn check_together(&self) -> Result<(), OpenError> {
        for (index, dir) in self.dirs.iter().enumerate() {
            for other in &self.dirs[..index] {
                if dir.meta.directory_id == other.meta.directory_id {
                    let (first, second) = (other.path.clone(), dir.path.clone());
                    return Err(OpenError::SameDirectoryId { first, second });
                }
            }
            if let Some(cluster_id) = self.cluster_id() {
                check_cluster(&dir.path, &dir.meta, cluster_id)?;
            }
        }
        Ok(())
    }

    /// The cluster that the directories belong to; `None` on a node that never joined one.
    pub fn cluster_id(&self) -> Option<&str> {
        self.dirs.iter().find_map(|dir| dir.meta.cluster_id.as_deref())
    }

    /// The online directories' ids, in the order given.
    pub fn directory_ids(&self) -> Vec<DirectoryId> {
        self.dirs.iter().map(|dir| dir.meta.directory_id).collect()
    }

    /// The broker epoch of the last clean shutdown, if all directories had one.
    pub fn previous_broker_epoch(&self) -> Option<BrokerEpoch> {
        let first = self.dirs.first()?.clean?.broker_epoch;
        let same = self.dirs.iter().all(|dir| dir.clean.is_some_and(|c| c.broker_epoch == first));
        if same && self.offline.is_empty() { first } else { None }
    }
}

/// Refuses a directory of another cluster, naming both.
pub(crate) fn check_cluster(
    path: &Path,
    meta: &MetaProperties,
    expected: &str,
) -> Result<(), OpenError> {
    match &meta.cluster_id {
        Some(found) if found != expected => Err(OpenError::OtherCluster {
            dir: path.to_owned(),
            found: found.clone(),
            expected: expected.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Writes the cluster into a directory's `meta.properties`.
pub(crate) fn join_cluster(
    disk: &dyn Disk,
    path: &Path,
    meta: &MetaProperties,
    cluster_id: &str,
) -> Result<MetaProperties, OpenError> {
    let meta = MetaProperties { cluster_id: Some(cluster_id.to_owned()), ..meta.clone() };
    meta.write(disk, path)
        .map_err(|error| LogDirError::new(path, "write meta.properties", error))?;
    Ok(meta)
}

fn open_dir(
    disk: &Arc<dyn Disk>,
    path: &Path,
    node_id: NodeId,
    rng: &dyn Rng,
) -> Result<LogDir, OpenError> {
    let failed = |doing: &str| {
        let doing = doing.to_owned();
        move |error| OpenError::Io(LogDirError::new(path, doing, error))
    };
    if !disk.exists(path) {
        env::disk::create_dir_durably(disk.as_ref(), path).map_err(failed("make it"))?;
    }
    let lock = disk.lock(&path.join(LOCK)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked(path.to_owned()),
        _ => failed("lock it")(error),
    })?;
    let clean = clean_shutdown::take(&**disk, path).map_err(failed("read the shutdown marker"))?;
    let meta = match MetaProperties::read(&**disk, path).map_err(failed("read meta.properties"))? {
        Some(Ok(meta)) => meta,
        Some(Err(reason)) => {
            return Err(OpenError::BadFile { file: path.join(META_PROPERTIES), reason });
        }
        None => {
            let directory_id = rng.uuid();
            let meta = MetaProperties { cluster_id: None, node_id, directory_id };
            meta.write(&**disk, path).map_err(failed("write meta.properties"))?;
            meta
        }
    };
    if meta.node_id != node_id {
        let dir = path.to_owned();
        return Err(OpenError::OtherNode { dir, found: meta.node_id, expected: node_id });
    }
    Ok(LogDir { path: path.to_owned(), meta, clean, _lock: lock })
}
