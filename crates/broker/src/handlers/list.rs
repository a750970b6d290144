//! The list of APIs that this broker serves.

use super::dispatch::{Begin, finish};
use super::*;
use futures::FutureExt;
use telemetry::{ApiMetrics, Metrics};
use wire::{ApiKey, Message};

/// One API: its key, the versions advertised and served, and how a request of it is begun.
pub struct Api {
    pub key: ApiKey,
    /// Versions told to clients.
    pub advertised: (i16, i16),
    /// Versions answered. Differs where clients need to see a version that Kafka no longer serves
    /// (KAFKA-18659: some read "no Produce 0" as "no compression").
    pub served: (i16, i16),
    /// The work is done while the request is read: only an answer is waited for, and nothing of
    /// the request's bytes is held meanwhile.
    pub eager: bool,
    pub(super) begin: Begin,
}

impl Api {
    /// The API of a key, if this broker serves it.
    pub fn find(key: ApiKey) -> Option<&'static Api> {
        APIS.iter().find(|api| api.key == key)
    }

    pub fn serves(&self, version: i16) -> bool {
        (self.served.0..=self.served.1).contains(&version)
    }
}

macro_rules! api {
    ($key:ident $module:ident $request:ident, $min:literal..=$max:literal) => {
        Api {
            key: ApiKey::$key,
            advertised: ($min, $max),
            served: ($min, $max),
            eager: false,
            begin: |ctx, body| {
                let request = <wire::$module::$request as Message>::decode(body, ctx.api_version)?;
                let pending = async move { finish(&ctx, &$module::handle(&ctx, request).await) };
                Ok(Begun::at_once(pending.boxed()))
            },
        }
    };
}

/// Every API that is served, by key.
pub const APIS: &[Api] = &[
    Api {
        key: ApiKey::Produce,
        advertised: (0, 13),
        served: (3, 13),
        eager: true,
        begin: |ctx, body| {
            let request =
                <wire::produce::ProduceRequest as Message>::decode(body, ctx.api_version)?;
            let Begun { first, pending } = produce::begin(&ctx, request);
            let pending = async move {
                match pending.await {
                    Outcome::Reply(response) => finish(&ctx, &response),
                    Outcome::Silent => Outcome::Silent,
                    Outcome::Close => Outcome::Close,
                }
            };
            Ok(Begun { first, pending: pending.boxed() })
        },
    },
    Api {
        key: ApiKey::Fetch,
        advertised: (4, 18),
        served: (4, 18),
        eager: false,
        begin: |ctx, body| {
            let request = <wire::fetch::FetchRequest as Message>::decode(body, ctx.api_version)?;
            let pending = async move {
                let (response, sources) = fetch::handle(&ctx, request).await;
                match finish(&ctx, &response) {
                    Outcome::Reply(reply) => Outcome::Reply(Reply { sources, ..reply }),
                    other => other,
                }
            };
            Ok(Begun::at_once(pending.boxed()))
        },
    },
    api!(ListOffsets list_offsets ListOffsetsRequest, 1..=11),
    api!(Metadata metadata MetadataRequest, 0..=13),
    api!(OffsetCommit offset_commit OffsetCommitRequest, 2..=10),
    api!(OffsetFetch offset_fetch OffsetFetchRequest, 1..=10),
    api!(FindCoordinator find_coordinator FindCoordinatorRequest, 0..=5),
    api!(JoinGroup join_group JoinGroupRequest, 0..=9),
    api!(Heartbeat heartbeat HeartbeatRequest, 0..=4),
    api!(LeaveGroup leave_group LeaveGroupRequest, 0..=5),
    api!(SyncGroup sync_group SyncGroupRequest, 0..=5),
    api!(DescribeGroups describe_groups DescribeGroupsRequest, 0..=6),
    api!(ListGroups list_groups ListGroupsRequest, 0..=5),
    api!(ApiVersions api_versions ApiVersionsRequest, 0..=5),
    api!(CreateTopics create_topics CreateTopicsRequest, 2..=7),
    api!(DeleteTopics delete_topics DeleteTopicsRequest, 1..=6),
    api!(DeleteRecords delete_records DeleteRecordsRequest, 0..=2),
    api!(InitProducerId init_producer_id InitProducerIdRequest, 0..=5),
    api!(OffsetForLeaderEpoch offset_for_leader_epoch OffsetForLeaderEpochRequest, 2..=4),
    api!(DescribeAcls describe_acls DescribeAclsRequest, 1..=3),
    api!(DescribeConfigs describe_configs DescribeConfigsRequest, 1..=4),
    api!(AlterConfigs alter_configs AlterConfigsRequest, 0..=2),
    api!(DescribeLogDirs describe_log_dirs DescribeLogDirsRequest, 1..=5),
    api!(CreatePartitions create_partitions CreatePartitionsRequest, 0..=3),
    api!(DeleteGroups delete_groups DeleteGroupsRequest, 0..=3),
    api!(ElectLeaders elect_leaders ElectLeadersRequest, 0..=2),
    api!(IncrementalAlterConfigs incremental_alter_configs IncrementalAlterConfigsRequest, 0..=1),
    api!(ListPartitionReassignments list_partition_reassignments ListPartitionReassignmentsRequest, 0..=0),
    api!(OffsetDelete offset_delete OffsetDeleteRequest, 0..=0),
    api!(DescribeQuorum describe_quorum DescribeQuorumRequest, 0..=2),
    api!(DescribeCluster describe_cluster DescribeClusterRequest, 0..=2),
    api!(DescribeTopicPartitions describe_topic_partitions DescribeTopicPartitionsRequest, 0..=0),
];

/// The handles that requests are counted with, one for each API.
pub struct ApiTable(Vec<ApiMetrics>);

impl ApiTable {
    pub fn new(metrics: &Metrics) -> ApiTable {
        ApiTable(APIS.iter().map(|api| metrics.api(api.key.name())).collect())
    }

    pub fn of(&self, key: ApiKey) -> Option<&ApiMetrics> {
        self.0.get(APIS.iter().position(|api| api.key == key)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_is_listed_once_in_order_of_key() {
        for pair in APIS.windows(2) {
            assert!(pair[0].key < pair[1].key, "{} before {}", pair[0].key, pair[1].key);
        }
    }

    #[test]
    fn what_is_served_can_be_decoded_and_only_produce_advertises_more() {
        for api in APIS {
            let (min, max) = api.key.versions();
            assert!(api.served.0 >= min && api.served.1 <= max, "{}", api.key);
            assert!(api.served == api.advertised || api.key == ApiKey::Produce, "{}", api.key);
        }
    }
}
