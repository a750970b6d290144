//! In the controller's image the ISR is a part of the replicas, the leader is one of it, and a
//! broker that is fenced or shutting down is in an ISR only as its last member. It is empty only
//! where its last member lost its disk and nobody is eligible.
//! Source: I8; KIP-841.

use super::{Committed, Invariant, View};
use crate::event::Fact;

pub struct IsrIsSound;

impl Invariant for IsrIsSound {
    fn name(&self) -> &'static str {
        "isr is sound"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        if !matches!(fact, Fact::Committed(_)) {
            return Ok(());
        }
        for (id, state) in view.image.partitions() {
            let is_live = |broker| view.image.broker(broker).is_some_and(|broker| broker.is_live());
            let is_part = state.isr.iter().all(|member| state.is_replica(*member));
            let is_led_inside = !state.has_leader() || state.in_isr(state.leader);
            let is_led_live = !state.has_leader() || is_live(state.leader);
            let is_there = !state.isr.is_empty() || (!state.has_leader() && state.elr.is_empty());
            let is_alive = state.isr.len() == 1 || state.isr.iter().all(|member| is_live(*member));
            if !(is_part && is_led_inside && is_led_live && is_alive && is_there) {
                return Err(format!("{id} is {state:?}"));
            }
        }
        Ok(())
    }
}
