//! Parts that commands, replies and records share.

use super::DecodeError;
use crate::{ConfigResource, Endpoint, FeatureRange, LeaderRecovery, Refusal};
use bytes::Bytes;
use rpc::metadata as proto;
use std::fmt::Display;
use types::{ErrorCode, NodeId, PartitionIndex, TopicIdPartition, Uuid};

pub fn missing<T>(field: &'static str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing(field))
}

pub fn invalid(field: &'static str, value: impl Display) -> DecodeError {
    DecodeError::Invalid { field, value: value.to_string() }
}

/// A number in a narrower type.
pub fn narrow<W: Display + Copy, N: TryFrom<W>>(
    field: &'static str,
    value: W,
) -> Result<N, DecodeError> {
    N::try_from(value).map_err(|_| invalid(field, value))
}

pub fn id_out(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(&id.0)
}

pub fn id_in(field: &'static str, bytes: &Bytes) -> Result<Uuid, DecodeError> {
    let id = <[u8; 16]>::try_from(bytes.as_ref());
    id.map(Uuid).map_err(|_| invalid(field, format!("of {} bytes", bytes.len())))
}

pub fn ids_in(field: &'static str, list: &[Bytes]) -> Result<Vec<Uuid>, DecodeError> {
    list.iter().map(|bytes| id_in(field, bytes)).collect()
}

pub fn nodes_out(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

pub fn nodes_in(nodes: Vec<i32>) -> Vec<NodeId> {
    nodes.into_iter().map(NodeId).collect()
}

pub fn id_partition_in(topic_id: &Bytes, partition: i32) -> Result<TopicIdPartition, DecodeError> {
    let topic_id = id_in("topic_id", topic_id)?;
    Ok(TopicIdPartition { topic_id, partition: PartitionIndex(partition) })
}

pub fn endpoint_out(endpoint: &Endpoint) -> proto::Endpoint {
    proto::Endpoint {
        name: endpoint.name.clone(),
        host: endpoint.host.clone(),
        port: u32::from(endpoint.port),
        security_protocol: u32::from(endpoint.security_protocol.unsigned_abs()),
    }
}

pub fn endpoint_in(endpoint: proto::Endpoint) -> Result<Endpoint, DecodeError> {
    Ok(Endpoint {
        name: endpoint.name,
        host: endpoint.host,
        port: narrow("port", endpoint.port)?,
        security_protocol: narrow("security_protocol", endpoint.security_protocol)?,
    })
}

pub fn feature_out(feature: &FeatureRange) -> proto::Feature {
    proto::Feature {
        name: feature.name.clone(),
        level_min: i32::from(feature.level_min),
        level_max: i32::from(feature.level_max),
    }
}

pub fn feature_in(feature: proto::Feature) -> Result<FeatureRange, DecodeError> {
    Ok(FeatureRange {
        name: feature.name,
        level_min: narrow("level_min", feature.level_min)?,
        level_max: narrow("level_max", feature.level_max)?,
    })
}

pub fn resource_out(resource: &ConfigResource) -> Option<proto::ConfigResource> {
    use proto::config_resource::{ClusterDefault, Resource};
    let resource = match resource {
        ConfigResource::Topic(name) => Resource::Topic(name.clone()),
        ConfigResource::Broker(id) => Resource::Broker(id.0),
        ConfigResource::ClusterDefault => Resource::ClusterDefault(ClusterDefault {}),
    };
    Some(proto::ConfigResource { resource: Some(resource) })
}

pub fn resource_in(resource: Option<proto::ConfigResource>) -> Result<ConfigResource, DecodeError> {
    use proto::config_resource::{ClusterDefault, Resource};
    let resource = resource.and_then(|resource| resource.resource);
    Ok(match missing("resource", resource)? {
        Resource::Topic(name) => ConfigResource::Topic(name),
        Resource::Broker(id) => ConfigResource::Broker(NodeId(id)),
        Resource::ClusterDefault(ClusterDefault {}) => ConfigResource::ClusterDefault,
    })
}

pub fn recovery_out(recovery: LeaderRecovery) -> i32 {
    match recovery {
        LeaderRecovery::Recovered => proto::LeaderRecovery::Recovered as i32,
        LeaderRecovery::Recovering => proto::LeaderRecovery::Recovering as i32,
    }
}

pub fn recovery_in(value: i32) -> Result<LeaderRecovery, DecodeError> {
    match proto::LeaderRecovery::try_from(value).map_err(|_| invalid("leader_recovery", value))? {
        proto::LeaderRecovery::Recovered => Ok(LeaderRecovery::Recovered),
        proto::LeaderRecovery::Recovering => Ok(LeaderRecovery::Recovering),
    }
}

pub fn refusal_out(refusal: &Refusal) -> proto::Error {
    proto::Error { code: i32::from(i16::from(refusal.code)), message: refusal.message.clone() }
}

pub fn refusal_in(error: proto::Error) -> Result<Refusal, DecodeError> {
    let code = narrow("code", error.code)?;
    let code = ErrorCode::from_code(code).ok_or_else(|| invalid("code", code))?;
    Ok(Refusal { code, message: error.message })
}

/// An outcome without a value: the error, or nothing.
pub fn outcome_out(outcome: &Result<(), Refusal>) -> Option<proto::Error> {
    outcome.as_ref().err().map(refusal_out)
}

pub fn outcome_in(error: Option<proto::Error>) -> Result<Result<(), Refusal>, DecodeError> {
    Ok(match error {
        Some(error) => Err(refusal_in(error)?),
        None => Ok(()),
    })
}
