//! JoinGroup: a member enters a classic group; the answer comes when the round is complete.

use super::RequestContext;
use coordinator::{JoinReply, JoinRequest, Protocol, Reply};
use std::time::Duration;
use types::ErrorCode;
use wire::StrBytes;
use wire::join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember};

/// The version from which a member must come back with the id that it is given (KIP-394).
const KNOWN_MEMBER_ID_FROM: i16 = 4;
/// The version from which a leader that is back may be told to skip the assignment (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// The version from which the protocol's name may be null.
const NULL_PROTOCOL_FROM: i16 = 7;

pub async fn handle(ctx: &RequestContext, request: JoinGroupRequest) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let asked = match ctx.broker.groups.shard_of_members(&request.group_id) {
        Err(unrouted) => Err(unrouted.into()),
        Ok(shard) => {
            let request = to_rules(ctx, &request);
            shard
                .ask(|groups, now, token, effects| {
                    groups.join(now, JoinRequest { token, ..request }, effects);
                })
                .await
        }
    };
    match asked {
        Ok(Reply::Join(reply)) => respond(ctx, reply),
        Ok(_) => failed(ctx, ErrorCode::UnknownServerError, member_id),
        Err(code) => failed(ctx, code, member_id),
    }
}

fn failed(ctx: &RequestContext, code: ErrorCode, member_id: StrBytes) -> JoinGroupResponse {
    JoinGroupResponse {
        error_code: code.into(),
        generation_id: -1,
        protocol_name: protocol_name(ctx, None),
        member_id,
        ..JoinGroupResponse::default()
    }
}

fn protocol_name(ctx: &RequestContext, name: Option<String>) -> Option<StrBytes> {
    match name {
        Some(name) => Some(StrBytes::from(name)),
        None if ctx.api_version >= NULL_PROTOCOL_FROM => None,
        None => Some(StrBytes::default()),
    }
}

fn to_rules(ctx: &RequestContext, request: &JoinGroupRequest) -> JoinRequest {
    let millis = |ms: i32| Duration::from_millis(ms.max(0) as u64);
    let session_timeout = millis(request.session_timeout_ms);
    // Version 0 has no rebalance timeout: the session's counts.
    let rebalance_timeout = match request.rebalance_timeout_ms {
        ms if ms < 0 => session_timeout,
        ms => millis(ms),
    };
    JoinRequest {
        token: coordinator::Token(0),
        group_id: request.group_id.to_string(),
        member_id: request.member_id.to_string(),
        group_instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
        client_id: ctx.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: format!("/{}", ctx.peer.ip()),
        require_known_member_id: ctx.api_version >= KNOWN_MEMBER_ID_FROM,
        skips_assignment: ctx.api_version >= SKIP_ASSIGNMENT_FROM,
        new_member_suffix: hyphenated(ctx.broker.env.rng.uuid()),
        session_timeout,
        rebalance_timeout,
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .iter()
            .map(|protocol| Protocol {
                name: protocol.name.to_string(),
                // Kept for the group's life: must not keep the request's frame alive.
                metadata: bytes::Bytes::copy_from_slice(&protocol.metadata),
            })
            .collect(),
    }
}

/// Java's text form of an id, which member ids end with.
fn hyphenated(id: types::Uuid) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in id.0.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn respond(ctx: &RequestContext, reply: JoinReply) -> JoinGroupResponse {
    let members =
        reply.members.into_iter().map(|(member_id, instance, metadata)| JoinGroupResponseMember {
            member_id: StrBytes::from(member_id),
            group_instance_id: instance.map(StrBytes::from),
            metadata,
        });
    JoinGroupResponse {
        error_code: reply.error.map_or(0, i16::from),
        generation_id: reply.generation,
        protocol_type: reply.protocol_type.map(StrBytes::from),
        protocol_name: protocol_name(ctx, reply.protocol_name),
        leader: StrBytes::from(reply.leader),
        skip_assignment: reply.skip_assignment,
        member_id: StrBytes::from(reply.member_id),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}
