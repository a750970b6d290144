//! Records that the metadata counts on and that this start does not find.

use super::manager::ReplicaManager;
use log::Presence;
use metadata::{Image, PartitionChange};
use types::{NodeId, TopicPartition};

impl ReplicaManager {
    /// Whether the image counts on records of this partition that are gone: then nothing may be made
    /// in their place, and the controller is told.
    ///
    /// Only the first image can: what later ones bring was made while this start was there. A
    /// partition that the directories know nothing of was never made here (the node ended before it
    /// could), unless a directory of a former start is missing as well. The only replica that there is
    /// begins anew: nobody else holds anything to be cut. One that may lie in a directory that is
    /// offline is not lost yet.
    pub(super) fn has_lost(
        &self,
        image: &Image,
        change: &PartitionChange,
        at: &metadata::Partition,
    ) -> bool {
        let id = change.partition;
        if !counts_on(at, self.core().node_id) {
            return false;
        }
        if self.unserved().is_gone(&id) {
            return true;
        }
        if self.is_current() || self.logs().has_offline() {
            return false;
        }
        let name = TopicPartition { topic: change.topic_name.clone(), partition: id.partition };
        let own = image.broker(self.core().node_id);
        let is_gone = match self.logs().presence(&name, id.topic_id) {
            Presence::Here => false,
            Presence::Missing => true,
            Presence::Unknown => own.is_some_and(|own| !own.lost_log_dirs.is_empty()),
        };
        if is_gone && at.replicas.len() == 1 {
            tracing::error!(partition = %name, "the records of the only replica are gone: it begins anew");
            return false;
        }
        if is_gone {
            tracing::error!(partition = %name, isr = ?at.isr, "the records of this replica are gone");
            self.unserved().lose(id);
            self.failures().wake();
        }
        is_gone
    }
}

/// Whether the broker may be elected by what it held before.
fn counts_on(at: &metadata::Partition, broker: NodeId) -> bool {
    let has = |replicas: &[NodeId]| replicas.contains(&broker);
    at.leader == broker || has(&at.isr) || has(&at.elr) || has(&at.last_known_elr)
}
