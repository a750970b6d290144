//! The id of the cluster that this node belongs to, shared by everything that speaks to others.

use std::sync::{Arc, Mutex};

/// Empty until known, then the same for ever. Cheap to clone.
#[derive(Clone, Default)]
pub struct ClusterName {
    id: Arc<Mutex<String>>,
}

/// Two clusters met.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("this node belongs to cluster {own}, not to {other:?}")]
pub struct OtherCluster {
    pub own: String,
    pub other: String,
}

impl ClusterName {
    pub fn new(id: Option<&str>) -> ClusterName {
        ClusterName { id: Arc::new(Mutex::new(id.unwrap_or_default().to_owned())) }
    }

    /// The id; empty while unknown.
    pub fn get(&self) -> String {
        self.id.lock().expect("cluster name lock").clone()
    }

    pub fn is_known(&self) -> bool {
        !self.id.lock().expect("cluster name lock").is_empty()
    }

    /// Refuses another cluster's id. An empty one is a node that does not know it yet.
    pub fn check(&self, other: &str) -> Result<(), OtherCluster> {
        let own = self.get();
        if own.is_empty() || other.is_empty() || own == other {
            return Ok(());
        }
        Err(OtherCluster { own, other: other.to_owned() })
    }

    /// Refuses whoever does not name this cluster, once its id is known: an empty id, too. For those
    /// who act on this node, not for those who introduce themselves.
    pub fn require(&self, other: &str) -> Result<(), OtherCluster> {
        let own = self.get();
        if own.is_empty() || own == other {
            return Ok(());
        }
        Err(OtherCluster { own, other: other.to_owned() })
    }

    /// Learns the id; fails where another one is known.
    pub fn set(&self, id: &str) -> Result<(), OtherCluster> {
        self.check(id)?;
        id.clone_into(&mut self.id.lock().expect("cluster name lock"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_id_is_met_but_not_obeyed_once_ours_is_known() {
        let cluster = ClusterName::new(None);
        assert_eq!(cluster.require(""), Ok(()));
        assert_eq!(cluster.require("ours"), Ok(()));
        cluster.set("ours").expect("the first id");
        assert_eq!(cluster.check(""), Ok(()));
        assert_eq!(cluster.require("ours"), Ok(()));
        for other in ["", "theirs"] {
            let refused = cluster.require(other).expect_err("not this cluster");
            assert_eq!((refused.own.as_str(), refused.other.as_str()), ("ours", other));
        }
    }
}
