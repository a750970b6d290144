//! CreatePartitions: passed on to the active controller.

use super::RequestContext;
use super::submit::{error_of, submit, unexpected};
use metadata::{Command, CreatePartitions, MorePartitions, PartitionCreation, Refusal, Reply};
use types::NodeId;
use wire::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};

pub async fn handle(
    ctx: &RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let topics = request.topics.iter().map(more_partitions).collect();
    let command = Command::CreatePartitions(CreatePartitions {
        topics,
        validate_only: request.validate_only,
    });
    let outcome = match submit(&ctx.broker, command, request.timeout_ms).await {
        Ok(Reply::PartitionsCreated(creations)) => Ok(creations),
        Ok(reply) => Err(unexpected(&reply)),
        Err(refusal) => Err(refusal),
    };
    let creations = outcome.unwrap_or_else(|refusal| all_refused(&request.topics, &refusal));
    let results = creations.into_iter().map(|creation| {
        let (error_code, error_message) = error_of(&creation.outcome);
        CreatePartitionsTopicResult { name: creation.name.into(), error_code, error_message }
    });
    CreatePartitionsResponse { results: results.collect(), ..Default::default() }
}

fn more_partitions(topic: &CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let replicas = assignments.iter().map(|assignment| &assignment.broker_ids);
        replicas.map(|ids| ids.iter().copied().map(NodeId).collect()).collect()
    });
    MorePartitions { name: topic.name.as_str().to_owned(), count: topic.count, assignments }
}

fn all_refused(topics: &[CreatePartitionsTopic], refusal: &Refusal) -> Vec<PartitionCreation> {
    let refused = topics.iter().map(|topic| PartitionCreation {
        name: topic.name.as_str().to_owned(),
        outcome: Err(refusal.clone()),
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::create_partitions::CreatePartitionsAssignment;

    #[test]
    fn no_assignment_and_an_empty_one_are_two_things() {
        let topic = |assignments| CreatePartitionsTopic { name: "t".into(), count: 3, assignments };
        assert_eq!(more_partitions(&topic(None)).assignments, None);
        assert_eq!(more_partitions(&topic(Some(Vec::new()))).assignments, Some(Vec::new()));
        let one = CreatePartitionsAssignment { broker_ids: vec![3, 1] };
        let given = more_partitions(&topic(Some(vec![one]))).assignments;
        assert_eq!(given, Some(vec![vec![NodeId(3), NodeId(1)]]));
    }
}
