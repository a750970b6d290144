//! AllocateProducerIds: blocks of ids that no other broker gets.

use super::brokers::check_epoch;
use crate::draft::Draft;
use crate::{Record, Refusal, Reply};
use types::{BrokerEpoch, ErrorCode, NodeId, ProducerId};

/// Ids in one block (Kafka's number): a broker asks once for so many new producers.
pub const BLOCK_SIZE: i32 = 1000;

pub fn allocate(draft: &mut Draft<'_>, id: NodeId, epoch: BrokerEpoch) -> Result<Reply, Refusal> {
    check_epoch(draft, id, epoch)?;
    let first = draft.image().next_producer_id();
    let next = first.0.checked_add(i64::from(BLOCK_SIZE)).ok_or_else(|| {
        Refusal::new(ErrorCode::UnknownServerError, "all producer ids have been given away")
    })?;
    draft.push(Record::ProducerIds { next: ProducerId(next) });
    Ok(Reply::ProducerIdsAllocated { first, count: BLOCK_SIZE })
}
