//! I5, I9: below its high watermark every replica has the same batches, and they never change.
//! Compaction, which every replica does in its own time, leaves a batch its place and its epoch.
//!
//! Where a bit has rotted, a replica may have a batch of which nobody knows yet that it is wrong. It is
//! passed over here, and not what others are compared with: whether it is served is seen by those who
//! read.

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
                let compared = compare(known, replica, from, node.has_rotted);
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
    may_be_wrong: bool,
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
        let how = How { is_compacted: is_compacted(replica), may_be_wrong };
        match compare_bytes(known, bytes, at, how) {
            Ok(end) => at = end,
            Err(Difference { by_rot: true, .. }) if may_be_wrong => break,
            Err(difference) => return Err(difference.text),
        }
    }
    Ok(at)
}

#[derive(Clone, Copy)]
struct How {
    is_compacted: bool,
    may_be_wrong: bool,
}

struct Difference {
    text: String,
    /// One wrong bit would do.
    by_rot: bool,
}

impl Difference {
    fn by_rot(text: String) -> Difference {
        Difference { text, by_rot: true }
    }
}

fn compare_bytes(
    known: &mut BTreeMap<Offset, Batch>,
    mut bytes: Bytes,
    from: Offset,
    how: How,
) -> Result<Offset, Difference> {
    let mut at = from;
    while !bytes.is_empty() {
        let wrong = |error| Difference::by_rot(format!("at {at}: {error} (I34)"));
        let header = BatchHeader::parse(&bytes).map_err(wrong)?;
        let whole = bytes.split_to(header.size().min(bytes.len()));
        header.check_crc(&whole).map_err(wrong)?;
        let (epoch, crc) = (header.leader_epoch, (!how.is_compacted).then_some(header.crc));
        let batch = Batch { last_offset: header.last_offset(), epoch, crc };
        let before = match how.may_be_wrong {
            true => known.get(&header.base_offset).copied().unwrap_or(batch),
            false => *known.entry(header.base_offset).or_insert(batch),
        };
        if before != batch {
            let base = header.base_offset;
            let text = format!("at {base}: {before:?} was committed, not {batch:?} (I9)");
            let by_rot = before == Batch { epoch: before.epoch, ..batch };
            return Err(Difference { text, by_rot });
        }
        at = header.end_offset();
    }
    Ok(at)
}
