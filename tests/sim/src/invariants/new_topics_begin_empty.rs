//! The first leader of a partition begins with an empty log, whatever a deleted topic of the same
//! name left behind.
//! Source: KIP-516 (topic ids), SPEC decision 5.

use super::{Committed, Invariant, View};
use crate::event::Fact;
use types::{LeaderEpoch, Offset};

pub struct NewTopicsBeginEmpty;

impl Invariant for NewTopicsBeginEmpty {
    fn name(&self) -> &'static str {
        "new topics begin empty"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        let Fact::LeaderBegan { partition, node, epoch: LeaderEpoch(0), .. } = fact else {
            return Ok(());
        };
        let log = view.nodes[node].disk.get(partition);
        match log.map(|log| log.end()).filter(|end| *end > Offset::ZERO) {
            None => Ok(()),
            Some(end) => Err(format!("{node} begins {partition} with records up to {end}")),
        }
    }
}
