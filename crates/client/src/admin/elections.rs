//! Elections of partition leaders that an administrator asks for.

use types::{PartitionIndex, TopicPartition};
use wire::elect_leaders::{ElectLeadersRequest, TopicPartitions};

use crate::client::Client;
use crate::error::{ClientError, check};

/// Which replica may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica, if it is live and in sync.
    Preferred,
    /// Any live one, where there is no leader: records may be lost.
    Unclean,
}

impl Client {
    /// Elects leaders of the named partitions, or (`None`) wherever an election is needed.
    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<Vec<(TopicPartition, Result<(), ClientError>)>, ClientError> {
        let request = ElectLeadersRequest {
            election_type: match election {
                ElectionType::Preferred => 0,
                ElectionType::Unclean => 1,
            },
            topic_partitions: partitions.map(by_topic),
            timeout_ms: self.timeout_ms(),
        };
        let response = self.call_any(&request).await?;
        check(response.error_code, None)?;
        let results = response.replica_election_results.into_iter().flat_map(|topic| {
            let name = topic.topic.to_string();
            topic.partition_result.into_iter().map(move |result| {
                let partition = PartitionIndex(result.partition_id);
                let outcome = check(result.error_code, result.error_message.as_deref());
                (TopicPartition { topic: name.clone(), partition }, outcome)
            })
        });
        Ok(results.collect())
    }
}

fn by_topic(partitions: &[TopicPartition]) -> Vec<TopicPartitions> {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for of in partitions {
        let index = of.partition.0;
        match topics.iter_mut().find(|topic| topic.topic.as_str() == of.topic) {
            Some(topic) => topic.partitions.push(index),
            None => topics
                .push(TopicPartitions { topic: of.topic.as_str().into(), partitions: vec![index] }),
        }
    }
    topics
}
