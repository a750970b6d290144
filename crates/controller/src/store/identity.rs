//! Who a controller's directory belongs to: `meta.properties`, in Kafka's form.
//!
//! Promises: a directory has one id for as long as its content lives, so an emptied disk is another
//! member of the quorum and can never vote twice; node id and cluster id never change.

use crate::StartError;
use env::disk::{read_file, write_file_atomically};
use env::{Env, Mutant, mutant};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use types::{DirectoryId, NodeId};

const FILE: &str = "meta.properties";

/// The content of `meta.properties`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub node_id: NodeId,
    pub directory_id: DirectoryId,
    /// `None` until the node belongs to a cluster.
    pub cluster_id: Option<String>,
}

impl Identity {
    /// Reads the directory's identity, if it has one.
    pub fn load(
        env: &Env,
        directory: &Path,
        node_id: NodeId,
        cluster_id: Option<&str>,
    ) -> Result<Option<Identity>, StartError> {
        let path = directory.join(FILE);
        if !env.disk.exists(&path) {
            return Ok(None);
        }
        let identity = parse(&path, &read_file(&*env.disk, &path)?)?;
        let directory = directory.display().to_string();
        if identity.node_id != node_id {
            let (found, expected) = (identity.node_id.0, node_id.0);
            return Err(StartError::WrongNode { directory, found, expected });
        }
        if let (Some(found), Some(expected)) = (identity.cluster_id.as_deref(), cluster_id)
            && found != expected
        {
            let (found, expected) = (found.to_owned(), expected.to_owned());
            return Err(StartError::WrongCluster { directory, found, expected });
        }
        Ok(Some(identity))
    }

    /// Gives a directory that has none an identity.
    pub fn create(env: &Env, directory: &Path, node_id: NodeId) -> io::Result<Identity> {
        let mut identity = Identity { node_id, directory_id: env.rng.uuid(), cluster_id: None };
        if mutant::is(Mutant::WipedDiskKeepsIdentity) {
            identity.directory_id = types::Uuid([node_id.0 as u8; 16]);
        }
        identity.save(env, directory)?;
        Ok(identity)
    }

    /// Writes the identity so that a crash leaves the old or the new one.
    pub fn save(&self, env: &Env, directory: &Path) -> io::Result<()> {
        let mut text =
            format!("version=1\nnode.id={}\ndirectory.id={}\n", self.node_id, self.directory_id);
        if let Some(cluster_id) = &self.cluster_id {
            text.push_str(&format!("cluster.id={cluster_id}\n"));
        }
        write_file_atomically(&*env.disk, &directory.join(FILE), text.as_bytes())
    }
}

fn parse(path: &Path, content: &[u8]) -> io::Result<Identity> {
    let bad = |what: &str| {
        let text = format!("file {}: {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    };
    let text = std::str::from_utf8(content).map_err(|_| bad("not text"))?;
    let pairs: BTreeMap<&str, &str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    if pairs.get("version") != Some(&"1") {
        return Err(bad("unknown version"));
    }
    let node_id = pairs.get("node.id").and_then(|id| id.parse().ok()).map(NodeId);
    let directory_id = pairs.get("directory.id").and_then(|id| id.parse().ok());
    Ok(Identity {
        node_id: node_id.ok_or_else(|| bad("no node.id"))?,
        directory_id: directory_id.ok_or_else(|| bad("no directory.id"))?,
        cluster_id: pairs.get("cluster.id").map(|id| (*id).to_owned()),
    })
}
