//! ElectLeaders: preferred leaders back, or unclean elections (KIP-460), by the active controller.
//!
//! Promises: every named partition has its own answer; for all partitions (null) only those are
//! named that needed an election, as Kafka does it. Large requests go in several commands.

use super::RequestContext;
use super::submit::{error_of, submit, unexpected};
use metadata::{
    Command, ElectionKind, ElectionScope, Image, LeaderElection, Partition, Refusal, Reply,
};
use std::collections::BTreeMap;
use types::{ErrorCode, PartitionIndex, TopicPartition};
use wire::elect_leaders::{
    ElectLeadersRequest, ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
    TopicPartitions,
};

/// The version from which the kind of election is named; before it there was only the preferred.
const KIND_FROM: i16 = 1;

pub async fn handle(ctx: &RequestContext, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let kind = match (ctx.api_version < KIND_FROM, request.election_type) {
        (true, _) | (false, 0) => ElectionKind::Preferred,
        (false, 1) => ElectionKind::Unclean,
        (false, _) => {
            let error_code = ErrorCode::InvalidRequest.into();
            return ElectLeadersResponse { error_code, ..Default::default() };
        }
    };
    let wanted = match &request.topic_partitions {
        Some(topics) => named(topics),
        None => needed(&ctx.broker.image.load(), kind),
    };
    let mut elections = Vec::with_capacity(wanted.len());
    for part in wanted.chunks(Image::ELECTIONS_PER_COMMAND_MAX) {
        elections.extend(elect(ctx, kind, part, request.timeout_ms).await);
    }
    if request.topic_partitions.is_none() {
        elections.retain(|election| !is_not_needed(election));
    }
    ElectLeadersResponse { replica_election_results: by_topic(&elections), ..Default::default() }
}

async fn elect(
    ctx: &RequestContext,
    election: ElectionKind,
    wanted: &[TopicPartition],
    timeout_ms: i32,
) -> Vec<LeaderElection> {
    let partitions = ElectionScope::Partitions(wanted.to_vec());
    let command = Command::ElectLeaders { election, partitions };
    let refusal = match submit(&ctx.broker, command, timeout_ms).await {
        Ok(Reply::LeadersElected(elections)) => return elections,
        Ok(reply) => unexpected(&reply),
        Err(refusal) => refusal,
    };
    let refused = wanted.iter().map(|partition| LeaderElection {
        partition: partition.clone(),
        outcome: Err(Refusal::clone(&refusal)),
    });
    refused.collect()
}

fn named(topics: &[TopicPartitions]) -> Vec<TopicPartition> {
    let each = topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|index| TopicPartition {
            topic: topic.topic.as_str().to_owned(),
            partition: PartitionIndex(*index),
        })
    });
    each.collect()
}

fn needed(image: &Image, kind: ElectionKind) -> Vec<TopicPartition> {
    let needs = |partition: &Partition| match kind {
        ElectionKind::Preferred => partition.leader != partition.preferred_leader(),
        ElectionKind::Unclean => !partition.has_leader(),
    };
    let candidates = image.partitions().filter(|(_, partition)| needs(partition));
    let named = candidates.filter_map(|(id, _)| {
        let topic = image.topic(id.topic_id)?.name.clone();
        Some(TopicPartition { topic, partition: id.partition })
    });
    named.collect()
}

fn is_not_needed(election: &LeaderElection) -> bool {
    matches!(&election.outcome, Err(refusal) if refusal.code == ErrorCode::ElectionNotNeeded)
}

fn by_topic(elections: &[LeaderElection]) -> Vec<ReplicaElectionResult> {
    let mut topics: BTreeMap<&str, Vec<PartitionResult>> = BTreeMap::new();
    for election in elections {
        let (error_code, error_message) = error_of(&election.outcome);
        let partition_id = election.partition.partition.0;
        let result = PartitionResult { partition_id, error_code, error_message };
        topics.entry(&election.partition.topic).or_default().push(result);
    }
    let results = topics.into_iter().map(|(topic, partition_result)| ReplicaElectionResult {
        topic: topic.into(),
        partition_result,
    });
    results.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn election(topic: &str, partition: i32, code: Option<ErrorCode>) -> LeaderElection {
        let outcome = code.map_or(Ok(()), |code| Err(Refusal::new(code, "why")));
        let partition =
            TopicPartition { topic: topic.to_owned(), partition: PartitionIndex(partition) };
        LeaderElection { partition, outcome }
    }

    #[test]
    fn answers_are_grouped_by_topic_each_with_its_error() {
        let results = by_topic(&[
            election("b", 0, None),
            election("a", 1, Some(ErrorCode::PreferredLeaderNotAvailable)),
            election("b", 2, None),
        ]);
        let shape: Vec<_> = results
            .iter()
            .map(|topic| {
                let codes = topic.partition_result.iter().map(|r| (r.partition_id, r.error_code));
                (topic.topic.as_str(), codes.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(shape, [("a", vec![(1, 80)]), ("b", vec![(0, 0), (2, 0)])]);
    }

    #[test]
    fn what_needed_no_election_is_told_apart() {
        assert!(is_not_needed(&election("a", 0, Some(ErrorCode::ElectionNotNeeded))));
        assert!(!is_not_needed(&election("a", 0, None)));
    }
}
