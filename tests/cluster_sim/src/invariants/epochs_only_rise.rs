//! I2: terms, metadata versions and leader epochs of a running node never go back.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use std::collections::BTreeMap;
use types::{LeaderEpoch, MetadataVersion, TopicIdPartition};

#[derive(Default)]
pub struct EpochsOnlyRise {
    /// By host and start.
    terms: BTreeMap<(usize, u64), u64>,
    versions: BTreeMap<(usize, u64, usize), MetadataVersion>,
    epochs: BTreeMap<(usize, u64, TopicIdPartition), LeaderEpoch>,
}

impl Invariant for EpochsOnlyRise {
    fn check(&mut self, look: &Look, _: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            let term = node.controller.as_ref().map_or(0, |status| status.term);
            let before = self.terms.insert((node.host, node.start), term).unwrap_or(0);
            if term < before {
                return Err(format!("{}: term {before}, then {term} (I2)", node.name()));
            }
            for (which, image) in node.images.iter().enumerate() {
                let version = image.version();
                let key = (node.host, node.start, which);
                let before = self.versions.insert(key, version).unwrap_or(version);
                // The broker's image comes after the controller's, which may start later.
                if version < before && node.images.len() == 2 {
                    let text = format!("metadata version {before}, then {version} (I2)");
                    return Err(format!("{}: {text}", node.name()));
                }
            }
            for (id, replica) in &node.replicas {
                let epoch = replica.view.leader_epoch;
                let key = (node.host, node.start, *id);
                let before = self.epochs.insert(key, epoch).unwrap_or(epoch);
                if epoch < before && epoch != LeaderEpoch::NONE {
                    let of = &replica.partition.name;
                    let text = format!("{of} in leader epoch {before}, then {epoch} (I2)");
                    return Err(format!("{}: {text}", node.name()));
                }
            }
        }
        Ok(())
    }
}
