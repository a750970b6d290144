//! I1, I11: one leader of the controllers per Raft term, active yet or not, and one who writes.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct OneControllerPerTerm(BTreeMap<u64, usize>);

impl Invariant for OneControllerPerTerm {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            let active = node.controller.as_ref().filter(|status| status.is_active);
            let facts = node.raft.as_ref().map(controller::Inspection::facts);
            let leads = facts.filter(|facts| facts.is_leader).map(|facts| facts.term);
            for term in active.map(|status| status.term).into_iter().chain(leads) {
                if !self.0.contains_key(&term) {
                    counters.add("elections of a controller", 1);
                }
                let holder = *self.0.entry(term).or_insert(node.host);
                if holder != node.host {
                    let names = format!("n{} and {}", holder + 1, node.name());
                    return Err(format!("{names} both lead in term {term} (I1)"));
                }
            }
        }
        Ok(())
    }
}
