//! Whatever a leader shows below its high watermark is held by `min.insync.replicas` replicas (as
//! the leader knew that setting when it showed them), or was, by one whose machine lost power since.
//! Source: SPEC 4 (acks=all), KAFKA-15583; I7.

use super::{Committed, Invariant, View};
use crate::event::Fact;

pub struct CommittedIsOnMinIsr;

impl Invariant for CommittedIsOnMinIsr {
    fn name(&self) -> &'static str {
        "committed is on min isr"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        let Fact::Watermark { partition, node, led: Some(led), offset } = fact else {
            return Ok(());
        };
        // Of a deleted topic some replicas are gone before others.
        if view.image.partition(*partition).is_none() {
            return Ok(());
        }
        let Some(log) = view.nodes[node].disk.get(partition) else { return Ok(()) };
        let prefix = log.prefix(*offset);
        let logs = view.nodes.values().filter_map(|node| node.disk.get(partition));
        let holds = |log: &&crate::model_log::ModelLog| {
            log.prefix(*offset) == prefix || log.end_before_loss >= *offset
        };
        let count = logs.filter(holds).count();
        let wanted = led.min_isr;
        if count >= wanted {
            return Ok(());
        }
        Err(format!("{partition} below {offset} is on {count} replicas, {wanted} are promised"))
    }
}
