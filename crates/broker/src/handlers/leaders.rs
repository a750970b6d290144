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
}

impl LeaderHints {
    pub fn new(ctx: &RequestContext, image: &Arc<Image>) -> LeaderHints {
        LeaderHints { ctx: ctx.clone(), image: image.clone() }
    }

    /// The leader and its epoch as this broker knows them now; -1 for none. A broker that has not
    /// heard of the change yet names nobody, rather than itself.
    pub fn current(&self, id: &TopicIdPartition) -> (i32, i32) {
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
