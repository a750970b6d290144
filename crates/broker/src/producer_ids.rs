//! Producer ids for this broker's clients, from blocks that the controller gives out.
//!
//! Promises: no id is given twice, by this broker or another; a block is asked for when the last
//! one is used up, by one request at a time.
//! Does not: remember ids over a restart. The rest of a block is then lost, as in Kafka.

use crate::context::BrokerCore;
use metadata::{Command, Reply};
use std::ops::Range;
use types::{ErrorCode, ProducerId};

/// The rest of the current block.
#[derive(Default)]
pub struct ProducerIds {
    rest: tokio::sync::Mutex<Range<i64>>,
}

impl ProducerIds {
    pub fn new() -> ProducerIds {
        ProducerIds::default()
    }

    /// An id that nobody has had. Waiting callers queue for one request to the controller.
    pub async fn next(&self, core: &BrokerCore) -> Result<ProducerId, ErrorCode> {
        // The lock is an async one, held while the block is asked for: the others want its answer.
        let mut rest = self.rest.lock().await;
        if let Some(id) = rest.next() {
            return Ok(ProducerId(id));
        }
        *rest = allocate(core).await?;
        rest.next().map(ProducerId).ok_or(ErrorCode::UnknownServerError)
    }
}

async fn allocate(core: &BrokerCore) -> Result<Range<i64>, ErrorCode> {
    let broker_epoch = core.broker_epoch.get();
    let command = Command::AllocateProducerIds { broker_id: core.node_id, broker_epoch };
    match core.controller.submit(command).await {
        Ok((Reply::ProducerIdsAllocated { first, count }, _)) => {
            Ok(first.0..first.0 + i64::from(count))
        }
        // The broker is between two registrations: the client comes again.
        Ok((Reply::Refused(refusal), _)) => {
            tracing::debug!(%refusal, "no producer ids");
            Err(ErrorCode::CoordinatorLoadInProgress)
        }
        Ok((reply, _)) => {
            tracing::error!(?reply, "an answer of another kind to AllocateProducerIds");
            Err(ErrorCode::UnknownServerError)
        }
        Err(error) => {
            tracing::debug!(%error, "no producer ids");
            Err(ErrorCode::CoordinatorLoadInProgress)
        }
    }
}
