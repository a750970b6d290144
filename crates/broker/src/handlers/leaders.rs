//! Where a partition's leader is now, for clients that came to the wrong broker (KIP-951).

use super::RequestContext;
use std::collections::BTreeSet;
use types::{ErrorCode, NodeId, TopicIdPartition};
use wire::StrBytes;

/// Looks up leaders and their endpoints on the listener that the client came by. Cheap to clone.
#[derive(Clone)]
pub struct LeaderHints {
    ctx: RequestContext,
    versions: HintVersions,
}

/// The first versions of an API's answer that can carry hints. A hint in an older one would make
/// the whole answer impossible to send.
#[derive(Clone, Copy, Debug)]
pub struct HintVersions {
    pub leader: i16,
    pub endpoints: i16,
}

/// No leader, and its epoch.
const NOBODY: (i32, i32) = (-1, -1);

pub const PRODUCE_HINTS: HintVersions = HintVersions { leader: 10, endpoints: 10 };
pub const FETCH_HINTS: HintVersions = HintVersions { leader: 12, endpoints: 16 };

impl LeaderHints {
    pub fn new(ctx: &RequestContext, versions: HintVersions) -> LeaderHints {
        LeaderHints { ctx: ctx.clone(), versions }
    }

    /// The leader and its epoch as this broker knows them now, for an answer that says `code`; -1
    /// for none. A broker that does not lead, but has not heard of the change yet, names nobody,
    /// rather than itself. Who came with an epoch of the past is told the present one, also by the
    /// leader itself.
    pub fn current(&self, id: &TopicIdPartition, code: i16) -> (i32, i32) {
        let may_be_here = code == i16::from(ErrorCode::FencedLeaderEpoch);
        let is_told = may_be_here || code == i16::from(ErrorCode::NotLeaderOrFollower);
        if !is_told || self.ctx.api_version < self.versions.leader {
            return NOBODY;
        }
        let image = self.ctx.broker.image.load();
        match image.partition(*id) {
            Some(at) if at.has_leader() => {
                match may_be_here || at.leader != self.ctx.broker.node_id {
                    true => (at.leader.0, at.leader_epoch.0),
                    false => NOBODY,
                }
            }
            Some(_) | None => NOBODY,
        }
    }

    fn endpoints(
        &self,
        leaders: impl Iterator<Item = i32>,
    ) -> Vec<(i32, StrBytes, i32, Option<StrBytes>)> {
        if self.ctx.api_version < self.versions.endpoints {
            return Vec::new();
        }
        // Not the image of when the request came: it may have waited while the leader moved to a
        // broker that has registered since.
        let image = self.ctx.broker.image.load();
        let leaders: BTreeSet<i32> = leaders.collect();
        leaders
            .into_iter()
            .filter_map(|id| {
                let broker = image.broker(NodeId(id))?;
                let endpoint = broker.endpoint(&self.ctx.listener)?;
                let rack = broker.rack.as_ref().map(StrBytes::from);
                Some((id, StrBytes::from(&endpoint.host), i32::from(endpoint.port), rack))
            })
            .collect()
    }

    pub fn produce_endpoints(
        &self,
        leaders: impl Iterator<Item = i32>,
    ) -> Vec<wire::produce::NodeEndpoint> {
        let endpoint =
            |(node_id, host, port, rack)| wire::produce::NodeEndpoint { node_id, host, port, rack };
        self.endpoints(leaders).into_iter().map(endpoint).collect()
    }

    pub fn fetch_endpoints(
        &self,
        leaders: impl Iterator<Item = i32>,
    ) -> Vec<wire::fetch::NodeEndpoint> {
        let endpoint =
            |(node_id, host, port, rack)| wire::fetch::NodeEndpoint { node_id, host, port, rack };
        self.endpoints(leaders).into_iter().map(endpoint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Message, Writer};

    fn can_be_sent<M: Message>(message: &M, version: i16) -> bool {
        message.encode(&mut Writer::new(), version).is_ok()
    }

    #[test]
    fn hints_begin_with_the_versions_that_carry_them() {
        let mut partition = wire::produce::PartitionProduceResponse::default();
        partition.current_leader.leader_id = 1;
        let topic = wire::produce::TopicProduceResponse {
            partition_responses: vec![partition],
            ..Default::default()
        };
        let produced =
            wire::produce::ProduceResponse { responses: vec![topic], ..Default::default() };
        assert!(can_be_sent(&produced, PRODUCE_HINTS.leader));
        assert!(!can_be_sent(&produced, PRODUCE_HINTS.leader - 1));

        let mut partition =
            wire::fetch::PartitionData { preferred_read_replica: -1, ..Default::default() };
        partition.current_leader.leader_id = 1;
        let topic = wire::fetch::FetchableTopicResponse {
            partitions: vec![partition],
            ..Default::default()
        };
        let fetched = wire::fetch::FetchResponse { responses: vec![topic], ..Default::default() };
        assert!(can_be_sent(&fetched, FETCH_HINTS.leader));
        assert!(!can_be_sent(&fetched, FETCH_HINTS.leader - 1));

        let endpoints = wire::fetch::FetchResponse {
            node_endpoints: vec![Default::default()],
            ..Default::default()
        };
        assert!(can_be_sent(&endpoints, FETCH_HINTS.endpoints));
        assert!(!can_be_sent(&endpoints, FETCH_HINTS.endpoints - 1));
    }
}
