//! Where a partition's leader is now, for clients that came to the wrong broker (KIP-951).

use super::RequestContext;
use metadata::Image;
use std::collections::BTreeSet;
use std::sync::Arc;
use types::{NodeId, TopicIdPartition};
use wire::StrBytes;

/// Looks up leaders and their endpoints on the listener that the client came by. Cheap to clone.
#[derive(Clone)]
pub struct LeaderHints {
    ctx: RequestContext,
    image: Arc<Image>,
    versions: HintVersions,
}

/// The first versions of an API's answer that can carry hints. A hint in an older one would make
/// the whole answer impossible to send.
#[derive(Clone, Copy, Debug)]
pub struct HintVersions {
    pub leader: i16,
    pub endpoints: i16,
}

pub const PRODUCE_HINTS: HintVersions = HintVersions { leader: 10, endpoints: 10 };
pub const FETCH_HINTS: HintVersions = HintVersions { leader: 12, endpoints: 16 };

impl LeaderHints {
    pub fn new(ctx: &RequestContext, image: &Arc<Image>, versions: HintVersions) -> LeaderHints {
        LeaderHints { ctx: ctx.clone(), image: image.clone(), versions }
    }

    /// The leader and its epoch as this broker knows them now; -1 for none. A broker that has not
    /// heard of the change yet names nobody, rather than itself.
    pub fn current(&self, id: &TopicIdPartition) -> (i32, i32) {
        if self.ctx.api_version < self.versions.leader {
            return (-1, -1);
        }
        let image = self.ctx.broker.image.load();
        match image.partition(*id) {
            Some(at) if at.has_leader() && at.leader != self.ctx.broker.node_id => {
                (at.leader.0, at.leader_epoch.0)
            }
            Some(_) | None => (-1, -1),
        }
    }

    fn endpoints(
        &self,
        leaders: impl Iterator<Item = i32>,
    ) -> Vec<(i32, StrBytes, i32, Option<StrBytes>)> {
        if self.ctx.api_version < self.versions.endpoints {
            return Vec::new();
        }
        let leaders: BTreeSet<i32> = leaders.collect();
        leaders
            .into_iter()
            .filter_map(|id| {
                let broker = self.image.broker(NodeId(id))?;
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
