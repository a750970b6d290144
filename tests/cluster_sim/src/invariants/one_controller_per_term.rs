//! I1, I11: one active controller per Raft term.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneControllerPerTerm(BTreeMap<u64, usize>);

impl Invariant for OneControllerPerTerm {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            let Some(status) = node.controller.as_ref().filter(|status| status.is_active) else {
                continue;
            };
            if !self.0.contains_key(&status.term) {
                counters.add("elections of a controller", 1);
            }
            let holder = *self.0.entry(status.term).or_insert(node.host);
            if holder != node.host {
                let names = format!("n{} and {}", holder + 1, node.name());
                return Err(format!("{names} are both active in term {} (I1)", status.term));
            }
        }
        Ok(())
    }
}
