//! I4: start <= high watermark <= end on every replica; what a replica has seen as committed it
//! does not cut off again (KAFKA-12460), but for one that is damaged and built anew.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use std::collections::BTreeMap;
use types::{Offset, TopicIdPartition};

#[derive(Default)]
pub struct OffsetsInOrder {
    /// Watermark and end by host, start and partition.
    before: BTreeMap<(usize, u64, TopicIdPartition), (Offset, Offset)>,
}

impl Invariant for OffsetsInOrder {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            for (id, replica) in &node.replicas {
                let view = &replica.view;
                let of = &replica.partition.name;
                if view.start_offset > view.high_watermark || view.high_watermark > view.end_offset
                {
                    return Err(format!("{}: {of}: {view:?} (I4)", node.name()));
                }
                let now = (view.high_watermark, view.end_offset);
                let key = (node.host, node.start, *id);
                let (watermark, end) = self.before.insert(key, now).unwrap_or(now);
                if view.end_offset < end {
                    counters.add("truncations", 1);
                }
                let is_anew = node.has_rotted && view.end_offset == view.start_offset;
                if view.end_offset < watermark && !is_anew {
                    let text = format!("cut to {}, below {watermark}", view.end_offset);
                    return Err(format!("{}: {of}: {text}, which was committed", node.name()));
                }
            }
        }
        Ok(())
    }
}
