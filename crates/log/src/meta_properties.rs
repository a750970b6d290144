//! `meta.properties`: whose directory this is.
//!
//! Version 1 of the file: `version=1`, `cluster.id`, `node.id`, `directory.id`, one a line, in the
//! syntax of Java's properties. The cluster id is missing until the node has joined (or formed) a
//! cluster. Lines that are not known are dropped.

use crate::names::META_PROPERTIES;
use env::Disk;
use env::disk::{read_file, write_file_atomically};
use std::io;
use std::path::Path;
use types::{DirectoryId, NodeId};

/// The identity of a log directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    pub cluster_id: Option<String>,
    pub node_id: NodeId,
    pub directory_id: DirectoryId,
}

impl MetaProperties {
    pub fn encode(&self) -> String {
        let mut text = String::from("version=1\n");
        if let Some(cluster_id) = &self.cluster_id {
            text += &format!("cluster.id={}\n", escape(cluster_id));
        }
        text + &format!("node.id={}\ndirectory.id={}\n", self.node_id, self.directory_id)
    }

    /// The error says what is wrong with the file.
    pub fn decode(bytes: &[u8]) -> Result<MetaProperties, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
        let (mut version, mut cluster_id, mut node_id, mut directory_id) = (None, None, None, None);
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', '!']) {
                continue;
            }
            let (key, value) = line.split_once('=').ok_or(format!("line {line:?} has no '='"))?;
            let value = value.trim().replace('\\', "");
            match key.trim() {
                "version" => version = Some(value),
                "cluster.id" => cluster_id = Some(value),
                "node.id" => node_id = Some(value),
                "directory.id" => directory_id = Some(value),
                _ => {}
            }
        }
        if version.as_deref() != Some("1") {
            return Err(format!("version is {version:?}, not 1"));
        }
        let node_id = node_id.ok_or("no node.id")?;
        let node_id = node_id.parse().map_err(|_| format!("node.id {node_id:?} is no number"))?;
        let directory_id: DirectoryId = directory_id
            .ok_or("no directory.id")?
            .parse()
            .map_err(|error| format!("directory.id: {error}"))?;
        Ok(MetaProperties { cluster_id, node_id: NodeId(node_id), directory_id })
    }

    /// Reads the file of a directory; `None` if it has none.
    pub fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Option<Result<MetaProperties, String>>> {
        let path = dir.join(META_PROPERTIES);
        if !disk.exists(&path) {
            return Ok(None);
        }
        Ok(Some(MetaProperties::decode(&read_file(disk, &path)?)))
    }

    /// Writes the file of a directory, durably.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        write_file_atomically(disk, &dir.join(META_PROPERTIES), self.encode().as_bytes())
    }
}

/// What Java's properties would take for a separator or a comment.
fn escape(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if matches!(c, '\\' | '=' | ':' | '#' | '!') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_is_read_back() {
        let mut meta = MetaProperties {
            cluster_id: Some("MkU3OEVBNTcwNTJENDM2Qg==".into()),
            node_id: NodeId(3),
            directory_id: DirectoryId::from_random(7),
        };
        assert_eq!(MetaProperties::decode(meta.encode().as_bytes()).as_ref(), Ok(&meta));
        meta.cluster_id = None;
        assert_eq!(MetaProperties::decode(meta.encode().as_bytes()).as_ref(), Ok(&meta));
    }

    #[test]
    fn kafkas_own_file_is_read() {
        let text = "#\n#Sat Nov 21 14:00:00 UTC 2026\ncluster.id=4L6g3nShT-eMCtK--X86sw\n\
                    directory.id=zFhQWo4bTK2YyFS4P9RcGg\nnode.id=1\nversion=1\n";
        let meta = MetaProperties::decode(text.as_bytes()).unwrap();
        assert_eq!(meta.node_id, NodeId(1));
        assert_eq!(meta.cluster_id.as_deref(), Some("4L6g3nShT-eMCtK--X86sw"));
        assert_eq!(meta.directory_id.to_string(), "zFhQWo4bTK2YyFS4P9RcGg");
        for bad in
            ["", "version=0\nbroker.id=1\n", "version=1\nnode.id=x\n", "version=1\nnode.id=1\n"]
        {
            assert!(MetaProperties::decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
