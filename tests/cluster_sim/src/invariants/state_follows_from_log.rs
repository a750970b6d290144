//! I12: what a replica remembers beside its log, it would find again in its log: the idempotent
//! producers' last batches and the leader epochs. (Not where a bit of the log has rotted: what it is
//! found to be is a matter of when it is read.)

use super::Invariant;
use crate::counters::Counters;
use crate::look::{Look, NodeLook, Replica};
use log::{ProducerEntry, Producers};
use records::BatchHeader;
use types::Offset;

/// Every so many looks, and at the first look at a start.
const LOOKS: u64 = 200;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

#[derive(Default)]
pub struct StateFollowsFromLog {
    looks: u64,
    /// The start of each host that was looked at last.
    starts: std::collections::BTreeMap<usize, u64>,
}

impl Invariant for StateFollowsFromLog {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        self.looks += 1;
        let is_told = |node: &&NodeLook| !node.replicas.is_empty() && !node.has_rotted;
        for node in look.nodes.iter().filter(is_told) {
            let is_new = self.starts.insert(node.host, node.start) != Some(node.start);
            if !is_new && !self.looks.is_multiple_of(LOOKS) {
                continue;
            }
            for replica in node.replicas.values() {
                counters.add("producer states made anew", 1);
                let of = &replica.partition.name;
                compare(replica).map_err(|text| format!("{}: {of}: {text} (I12)", node.name()))?;
            }
        }
        Ok(())
    }
}

fn compare(replica: &Replica) -> Result<(), String> {
    let handle = replica.partition.log();
    let log = handle.lock();
    if log.failure().is_some() {
        return Ok(());
    }
    let (start, end) = (log.start_offset(), log.end_offset());
    let mut anew = Producers::default();
    let mut at = start;
    while at < end {
        let plan = log.read_plan(at, end, READ_BYTES, true);
        // A log that cannot be read is another rule's business.
        let Some(mut bytes) = plan.ok().filter(|plan| !plan.is_empty()).and_then(|p| p.read().ok())
        else {
            return Ok(());
        };
        while !bytes.is_empty() {
            let header = BatchHeader::parse(&bytes).map_err(|error| format!("at {at}: {error}"))?;
            drop(bytes.split_to(header.size().min(bytes.len())));
            let epoch = log.epoch_at(header.base_offset.max(start));
            let epochs = log.epoch_starts();
            // A crash may have forgotten that the records below were deleted: the log starts
            // earlier again, and the epochs do not.
            let is_deleted = epochs.first().is_some_and(|first| header.base_offset < first.offset);
            if epoch != Some(header.leader_epoch) && !is_deleted {
                return Err(format!("{header:?} is of epoch {epoch:?} by {epochs:?}"));
            }
            anew.apply(&header, None);
            at = header.end_offset();
        }
    }
    compare_producers(&anew, log.producers(), start)
}

fn compare_producers(anew: &Producers, kept: &Producers, start: Offset) -> Result<(), String> {
    for (id, entry) in anew.entries() {
        let known = kept.get(id);
        if !known.is_some_and(|known| is_end_of(entry, known)) {
            return Err(format!("producer {id} is {known:?}, and {entry:?} by its batches"));
        }
    }
    for (id, entry) in kept.entries() {
        let is_there = entry.batches.back().is_some_and(|mark| mark.last_offset >= start);
        if is_there && anew.get(id).is_none() {
            return Err(format!("producer {id} is {entry:?}, and has no batches"));
        }
    }
    Ok(())
}

/// Whether the second knows the first, and possibly batches before it that are deleted now.
fn is_end_of(anew: &ProducerEntry, kept: &ProducerEntry) -> bool {
    let count = anew.batches.len();
    anew.epoch == kept.epoch
        && kept.batches.len() >= count
        && kept.batches.iter().skip(kept.batches.len() - count).eq(&anew.batches)
}
