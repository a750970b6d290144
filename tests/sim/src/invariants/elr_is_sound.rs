//! Eligible leaders are replicas outside of the ISR, and there are none while the ISR holds
//! `min.insync.replicas` or nobody said how many that is.
//! Source: I8; KIP-966.

use super::{Committed, Invariant, View};
use crate::event::Fact;

pub struct ElrIsSound;

impl Invariant for ElrIsSound {
    fn name(&self) -> &'static str {
        "elr is sound"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        if !matches!(fact, Fact::Committed(_)) {
            return Ok(());
        }
        for (id, state) in view.image.partitions() {
            let Some(topic) = view.image.topic(id.topic_id) else { continue };
            let min_isr = view.image.min_insync_replicas(topic, 1) as usize;
            let is_part = state.elr.iter().all(|member| state.is_replica(*member));
            let is_disjoint = !state.elr.iter().any(|member| state.in_isr(*member));
            let may_be = state.isr.len() < min_isr;
            if !(is_part && is_disjoint && (may_be || state.elr.is_empty())) {
                return Err(format!("{id} is {state:?}"));
            }
        }
        Ok(())
    }
}
