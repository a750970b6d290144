//! Whatever a leader shows below its high watermark is held by `min.insync.replicas` replicas, or
//! was, by one whose machine lost power since.
//! Source: SPEC 4 (acks=all), KAFKA-15583; I7.

use super::{Committed, Invariant, View};
use crate::event::Fact;

pub struct CommittedIsOnMinIsr;

impl Invariant for CommittedIsOnMinIsr {
    fn name(&self) -> &'static str {
        "committed is on min isr"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        let Fact::Watermark { partition, node, led: Some(_), offset } = fact else {
            return Ok(());
        };
        let prefix = view.nodes[node].disk[partition].prefix(*offset);
        let logs = view.nodes.values().filter_map(|node| node.disk.get(partition));
        let holds = |log: &&crate::model_log::ModelLog| {
            log.prefix(*offset) == prefix || log.end_before_loss >= *offset
        };
        let count = logs.filter(holds).count();
        let wanted = view.config.min_insync_replicas.min(view.config.replicas as usize);
        if count >= wanted {
            return Ok(());
        }
        Err(format!("{partition} below {offset} is on {count} replicas, {wanted} are promised"))
    }
}
