//! I8: ISR and ELR are disjoint parts of the replicas; the leader is in sync; no ELR beside a full
//! ISR; nobody fenced is in sync but as the last.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use metadata::{Image, Partition};
use std::collections::BTreeMap;
use types::{MetadataVersion, NodeId, TopicIdPartition};

pub struct IsrIsSound {
    min_isr: usize,
    checked: MetadataVersion,
    sizes: BTreeMap<TopicIdPartition, usize>,
}

impl IsrIsSound {
    pub fn new(min_isr: i32) -> IsrIsSound {
        let min_isr = usize::try_from(min_isr).unwrap_or(1);
        IsrIsSound { min_isr, checked: MetadataVersion(0), sizes: BTreeMap::new() }
    }

    fn problem(&self, image: &Image, partition: &Partition) -> Option<&'static str> {
        let is_fenced = |id: &NodeId| image.broker(*id).is_none_or(|broker| broker.fenced);
        let min = self.min_isr.min(partition.replicas.len());
        let rules = [
            (
                partition.isr.is_empty() && !partition.elr.is_empty(),
                "the ISR is empty beside an ELR",
            ),
            (
                partition.isr.iter().any(|id| !partition.replicas.contains(id)),
                "the ISR has more than replicas",
            ),
            (
                partition.elr.iter().any(|id| !partition.replicas.contains(id)),
                "the ELR has more than replicas",
            ),
            (partition.elr.iter().any(|id| partition.isr.contains(id)), "ISR and ELR overlap"),
            (
                partition.isr.len() >= min && !partition.elr.is_empty(),
                "there is an ELR beside a full ISR",
            ),
            (
                partition.leader != NodeId::NONE && !partition.isr.contains(&partition.leader),
                "the leader is not in sync",
            ),
            (
                partition.isr.len() > 1 && partition.isr.iter().any(is_fenced),
                "a fenced broker is in sync",
            ),
        ];
        rules.into_iter().find(|(broken, _)| *broken).map(|(_, text)| text)
    }
}

impl Invariant for IsrIsSound {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        let image = &look.newest;
        if image.version() == self.checked {
            return Ok(());
        }
        self.checked = image.version();
        for (id, partition) in image.partitions() {
            if let Some(text) = self.problem(image, partition) {
                return Err(format!("{id:?} {partition:?}: {text} (I8)"));
            }
            let size = partition.isr.len();
            let before = self.sizes.insert(id, size).unwrap_or(size);
            if size < before {
                counters.add("isr shrinks", 1);
            }
            if size > before {
                counters.add("isr expansions", 1);
            }
        }
        Ok(())
    }
}
