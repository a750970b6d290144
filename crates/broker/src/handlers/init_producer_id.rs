//! InitProducerId: an id and epoch for an idempotent producer.
//!
//! Transactional producers are refused with an error that their clients take as final: there is no
//! transaction coordinator yet, and a retriable error would leave them waiting.

use super::RequestContext;
use types::ErrorCode;
use wire::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub async fn handle(
    ctx: &RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    if request.transactional_id.is_some() {
        return refused(transactional_refusal(request.transactional_id.as_deref()));
    }
    if !is_whole(&request) {
        return refused(ErrorCode::InvalidRequest);
    }
    match ctx.broker.producer_ids.next(&ctx.broker.core).await {
        Ok(id) => {
            InitProducerIdResponse { producer_id: id.0, producer_epoch: 0, ..Default::default() }
        }
        Err(error) => refused(error),
    }
}

/// The producer that goes on is named by its id and its epoch, a new one by neither.
fn is_whole(request: &InitProducerIdRequest) -> bool {
    (request.producer_id == -1) == (request.producer_epoch == -1)
}

/// Kafka refuses an empty transactional id as invalid; any other one meets no coordinator here.
fn transactional_refusal(id: Option<&str>) -> ErrorCode {
    match id {
        Some("") => ErrorCode::InvalidRequest,
        Some(_) | None => ErrorCode::TransactionalIdAuthorizationFailed,
    }
}

fn refused(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: error.into(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    }
}
