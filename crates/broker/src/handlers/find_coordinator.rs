//! FindCoordinator: the broker that coordinates a group. The topic that keeps groups is made on
//! first use.

use super::RequestContext;
use super::topics::{auto_create, brokers_on};
use crate::group::Unrouted;
use types::{CONSUMER_OFFSETS_TOPIC, ErrorCode, NodeId};
use wire::StrBytes;
use wire::find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// The version from which several keys are asked for.
const BATCHED_FROM: i16 = 4;

pub async fn handle(
    ctx: &RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    let mut response = FindCoordinatorResponse::default();
    if ctx.api_version >= BATCHED_FROM {
        for key in request.coordinator_keys {
            response.coordinators.push(find(ctx, request.key_type, key).await);
        }
        return response;
    }
    let found = find(ctx, request.key_type, request.key).await;
    response.error_code = found.error_code;
    response.error_message = found.error_message;
    response.node_id = found.node_id;
    response.host = found.host;
    response.port = found.port;
    response
}

async fn find(ctx: &RequestContext, key_type: i8, key: StrBytes) -> Coordinator {
    let located = match key_type {
        GROUP => locate(ctx, &key).await,
        // The one answer that every client takes as final.
        TRANSACTION => Err((
            ErrorCode::TransactionalIdAuthorizationFailed,
            "transactions are not supported by this version",
        )),
        _ => Err((ErrorCode::InvalidRequest, "unknown key type")),
    };
    match located {
        Ok(found) => Coordinator { key, ..found },
        Err((code, message)) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: code.into(),
            error_message: Some(StrBytes::from_static(message)),
            ..Coordinator::default()
        },
    }
}

async fn locate(
    ctx: &RequestContext,
    group_id: &str,
) -> Result<Coordinator, (ErrorCode, &'static str)> {
    let unavailable = |message| (ErrorCode::CoordinatorNotAvailable, message);
    let broker = &ctx.broker;
    let mut image = broker.image.load();
    let node_id = match broker.groups.coordinator_of(&image, group_id) {
        Err(Unrouted::NoTopic) => {
            let made = auto_create(broker, CONSUMER_OFFSETS_TOPIC).await;
            made.map_err(|_| unavailable("the offsets topic cannot be made now"))?;
            image = broker.image.load();
            broker.groups.coordinator_of(&image, group_id)
        }
        located => located,
    };
    let node_id = node_id.map_err(|_| unavailable("the offsets topic is not there yet"))?;
    if node_id == NodeId::NONE {
        return Err(unavailable("the group's partition has no leader"));
    }
    let address = brokers_on(&image, &ctx.listener).into_iter().find(|at| at.id == node_id);
    let address = address.ok_or(unavailable("the coordinator is not reachable here"))?;
    Ok(Coordinator {
        node_id: address.id.0,
        host: StrBytes::from(address.host),
        port: address.port,
        ..Coordinator::default()
    })
}
