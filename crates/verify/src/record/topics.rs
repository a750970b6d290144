//! The run's topics: made before it, looked at until they are whole, deleted after it.

use std::collections::BTreeMap;
use std::time::Duration;

use client::admin::{NewTopic, OffsetSpec};
use client::{Client, ClientError, Isolation, TopicSelection};
use env::Env;
use types::{PartitionIndex, TopicPartition};

use super::options::TopicOptions;

/// How often a cluster that settles is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Ends that stay the same for so long are the ends.
const ENDS_STABLE: Duration = Duration::from_millis(500);

/// Makes the topics, and returns their names and partitions, both sorted.
pub async fn create(
    client: &Client,
    options: &TopicOptions,
    run: &str,
) -> Result<(Vec<String>, Vec<TopicPartition>), ClientError> {
    let brokers = client.metadata(&TopicSelection::None).await?.brokers.len();
    let replicas = options.replication_factor.unwrap_or(brokers.clamp(1, 3) as i16);
    let min_insync = options.min_insync.unwrap_or(if replicas >= 3 { 2 } else { 1 });
    let mut configs = BTreeMap::from([
        ("min.insync.replicas".to_owned(), min_insync.to_string()),
        // Nothing may go by itself: what is missing is lost.
        ("cleanup.policy".to_owned(), "delete".to_owned()),
        ("retention.ms".to_owned(), "-1".to_owned()),
        ("retention.bytes".to_owned(), "-1".to_owned()),
    ]);
    configs.extend(options.configs.iter().cloned());
    let mut names: Vec<String> =
        (0..options.count).map(|index| format!("{}-{run}-{index}", options.prefix)).collect();
    names.sort();
    let new = names.iter().map(|name| NewTopic {
        name: name.clone(),
        partitions: Some(options.partitions),
        replication_factor: Some(replicas),
        assignment: Vec::new(),
        configs: configs.iter().map(|(k, v)| (k.clone(), Some(v.clone()))).collect(),
    });
    for (_, result) in client.create_topics(&new.collect::<Vec<_>>(), false).await? {
        result?;
    }
    let mut partitions = Vec::new();
    for topic in &names {
        let indexes = (0..options.partitions).map(PartitionIndex);
        let of = |partition| TopicPartition { topic: topic.clone(), partition };
        partitions.extend(indexes.map(of));
    }
    partitions.sort();
    Ok((names, partitions))
}

/// Waits until every partition has a leader and all replicas in sync. False when time is up.
pub async fn in_sync(env: &Env, client: &Client, names: &[String], time: Duration) -> bool {
    let deadline = env.clock.now() + time;
    loop {
        let selection = TopicSelection::Named(names.to_vec());
        if let Ok(cluster) = client.metadata(&selection).await
            && names.iter().all(|name| {
                cluster.topics.get(name).is_some_and(|topic| {
                    !topic.partitions.is_empty()
                        && topic.partitions.values().all(|partition| {
                            partition.leader.is_some()
                                && partition.isr.len() == partition.replicas.len()
                        })
                })
            })
        {
            return true;
        }
        if env.clock.now() >= deadline {
            return false;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The ends of all partitions, once they do not move any more. `None` when time is up.
pub async fn ends(
    env: &Env,
    client: &Client,
    partitions: &[TopicPartition],
    time: Duration,
) -> Option<BTreeMap<TopicPartition, i64>> {
    let deadline = env.clock.now() + time;
    let all: Vec<_> = partitions.iter().map(|of| (of.clone(), OffsetSpec::Latest)).collect();
    let mut before = None;
    while env.clock.now() < deadline {
        let mut ends = BTreeMap::new();
        if let Ok(found) = client.list_offsets(&all, Isolation::ReadUncommitted).await {
            let known =
                found.into_iter().filter_map(|(of, found)| Some((of, found.ok()?.offset.0)));
            ends.extend(known);
        }
        if ends.len() == partitions.len() {
            if before.as_ref() == Some(&ends) {
                return Some(ends);
            }
            before = Some(ends);
        }
        tokio::time::sleep(ENDS_STABLE).await;
    }
    None
}

/// Deletes a run's topics.
pub async fn delete_topics(client: &Client, names: &[String]) -> Result<(), ClientError> {
    for (_, result) in client.delete_topics(names).await? {
        result?;
    }
    Ok(())
}
