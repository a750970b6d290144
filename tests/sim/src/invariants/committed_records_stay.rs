//! A committed record never changes or vanishes: what a leader shows below its high watermark
//! continues what any leader showed before.
//! Source: I9. The other invariants rest on the committed records that this one collects.

use super::{Committed, View};
use crate::event::{Fact, Led};

pub const NAME: &str = "committed records stay";

/// Takes in what a leader shows, if it continues what was committed before.
pub fn commit(committed: &mut Committed, fact: &Fact, view: &View<'_>) -> Result<(), String> {
    let Fact::Watermark { partition, node, led: Some(Led { epoch, .. }), offset } = fact else {
        return Ok(());
    };
    let Some(log) = view.nodes[node].disk.get(partition) else { return Ok(()) };
    let committed = committed.entry(*partition).or_default();
    let shared = committed.end().min(*offset);
    if log.prefix(shared) != committed.prefix(shared) {
        return Err(format!("{node} in epoch {epoch} shows other records below {shared}"));
    }
    for record in log.slice(committed.end(), *offset).to_vec() {
        committed.append(record);
    }
    Ok(())
}
