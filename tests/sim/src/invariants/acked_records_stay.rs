//! A record answered with acks=all stays at its offset for ever, on every replica in the end.
//! Source: I20, I21 (Jepsen's lost-write and inconsistent-offsets).

use super::{Committed, Invariant, View};
use crate::event::Fact;
use types::{Offset, TopicIdPartition};

#[derive(Default)]
pub struct AckedRecordsStay {
    acked: Vec<(TopicIdPartition, Offset, u64)>,
}

impl Invariant for AckedRecordsStay {
    fn name(&self) -> &'static str {
        "acked records stay"
    }

    fn observe(
        &mut self,
        fact: &Fact,
        view: &View<'_>,
        committed: &Committed,
    ) -> Result<(), String> {
        let Fact::Acked { partition, base, values } = fact else { return Ok(()) };
        if view.image.partition(*partition).is_none() {
            return Ok(());
        }
        for (index, value) in values.iter().enumerate() {
            let offset = base.plus(index as i64);
            let found = committed.get(partition).and_then(|log| log.get(offset));
            if found.map(|record| record.value) != Some(*value) {
                return Err(format!(
                    "{partition} answered {value} at {offset}, there is {found:?}"
                ));
            }
            self.acked.push((*partition, offset, *value));
        }
        Ok(())
    }

    fn finish(&mut self, view: &View<'_>, _: &Committed) -> Result<(), String> {
        for (partition, offset, value) in &self.acked {
            let Some(state) = view.image.partition(*partition) else { continue };
            for id in &state.replicas {
                let log = view.nodes[id].disk.get(partition);
                let found = log.and_then(|log| log.get(*offset));
                if found.map(|record| record.value) != Some(*value) {
                    return Err(format!("{id} lost {value} at {offset} of {partition}: {found:?}"));
                }
            }
        }
        Ok(())
    }
}
