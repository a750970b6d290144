//! I5, I9: below its high watermark every replica has the same batches, and they never change.
//! Compaction, which every replica does in its own time, leaves a batch its place and its epoch.

use super::Invariant;
use crate::counters::Counters;
use crate::look::{Look, Replica};
use bytes::Bytes;
use records::BatchHeader;
use std::collections::BTreeMap;
use types::{LeaderEpoch, Offset, TopicIdPartition};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Batch {
    last_offset: Offset,
    epoch: LeaderEpoch,
    /// `None` in compacted topics.
    crc: Option<u32>,
}

fn is_compacted(replica: &Replica) -> bool {
    &*replica.partition.name.topic == "__consumer_offsets"
}

#[derive(Default)]
pub struct CommittedStays {
    committed: BTreeMap<TopicIdPartition, BTreeMap<Offset, Batch>>,
    /// How far each start of each node is compared.
    compared: BTreeMap<(usize, u64, TopicIdPartition), Offset>,
}

impl Invariant for CommittedStays {
    fn check(&mut self, look: &Look, _: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            for (id, replica) in &node.replicas {
                let key = (node.host, node.start, *id);
                let from = self.compared.get(&key).copied().unwrap_or(Offset::ZERO);
                let from = from.max(replica.view.start_offset);
                let known = self.committed.entry(*id).or_default();
                let compared = compare(known, replica, from);
                let compared = compared
                    .map_err(|text| format!("{}: {}: {text}", node.name(), replica.partition.name));
                self.compared.insert(key, compared?);
            }
        }
        Ok(())
    }
}

/// Compares what is new below the watermark; how far that went.
fn compare(
    known: &mut BTreeMap<Offset, Batch>,
    replica: &Replica,
    from: Offset,
) -> Result<Offset, String> {
    let mut at = from;
    let to = replica.view.high_watermark.min(replica.view.end_offset);
    while at < to {
        let plan = replica.partition.log().lock().read_plan(at, to, READ_BYTES, true);
        // A log that cannot be read is another rule's business.
        let Some(bytes) = plan.ok().filter(|plan| !plan.is_empty()).and_then(|p| p.read().ok())
        else {
            break;
        };
        at = compare_bytes(known, bytes, at, is_compacted(replica))?;
    }
    Ok(at)
}

fn compare_bytes(
    known: &mut BTreeMap<Offset, Batch>,
    mut bytes: Bytes,
    from: Offset,
    is_compacted: bool,
) -> Result<Offset, String> {
    let mut at = from;
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).map_err(|error| format!("at {at}: {error}"))?;
        let whole = bytes.split_to(header.size().min(bytes.len()));
        header.check_crc(&whole).map_err(|error| format!("at {at}: {error} (I34)"))?;
        let (epoch, crc) = (header.leader_epoch, (!is_compacted).then_some(header.crc));
        let batch = Batch { last_offset: header.last_offset(), epoch, crc };
        let before = *known.entry(header.base_offset).or_insert(batch);
        if before != batch {
            let base = header.base_offset;
            return Err(format!("at {base}: {before:?} was committed, not {batch:?} (I9)"));
        }
        at = header.end_offset();
    }
    Ok(at)
}
