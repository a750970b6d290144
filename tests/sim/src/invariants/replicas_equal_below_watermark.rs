//! Whatever a broker shows below its own high watermark is what was committed, and in the end all
//! replicas are equal.
//! Source: I5 (log matching), I3.

use super::{Committed, Invariant, View};
use crate::event::Fact;

pub struct ReplicasEqualBelowWatermark;

impl Invariant for ReplicasEqualBelowWatermark {
    fn name(&self) -> &'static str {
        "replicas equal below the high watermark"
    }

    fn observe(
        &mut self,
        fact: &Fact,
        view: &View<'_>,
        committed: &Committed,
    ) -> Result<(), String> {
        let Fact::Watermark { partition, node, offset, .. } = fact else { return Ok(()) };
        // What a leader showed in the moment in which it learned of the deletion is not kept.
        if view.image.partition(*partition).is_none() {
            return Ok(());
        }
        let Some(log) = view.nodes[node].disk.get(partition) else { return Ok(()) };
        let expected = committed.get(partition).and_then(|committed| committed.prefix(*offset));
        if expected.is_some() && log.prefix(*offset) == expected {
            return Ok(());
        }
        let known = committed.get(partition).map(|committed| committed.end());
        Err(format!("{node} shows {partition} below {offset}; committed is {known:?}"))
    }

    fn finish(&mut self, view: &View<'_>, committed: &Committed) -> Result<(), String> {
        for (partition, state) in view.image.partitions() {
            let logs = state.replicas.iter().filter_map(|id| view.nodes[id].disk.get(&partition));
            let mut ends = logs.map(|log| (log.end(), log.prefix(log.end())));
            let first = ends.next();
            if ends.any(|other| Some(other) != first) {
                return Err(format!("the replicas of {partition} differ in the end"));
            }
            let end = first.map(|(end, _)| end);
            if committed.get(&partition).is_some_and(|log| Some(log.end()) != end) {
                return Err(format!("{partition} ends at {end:?}, not where it is committed"));
            }
        }
        Ok(())
    }
}
