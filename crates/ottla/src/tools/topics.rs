//! `ottla topics`: create, list, describe, change and delete topics.

use std::collections::BTreeSet;

use client::Client;
use client::admin::{
    ConfigEntry, ConfigResource, DescribedPartition, DescribedTopic, NewPartitions, NewTopic,
};
use types::{ErrorCode, NodeId, Uuid};

use super::common::{Connect, TopicPattern, join, parse_pairs};
use super::{Context, ToolError};

/// Create, list, describe, change and delete topics
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla topics --create --topic orders --partitions 6 --replication-factor 3 \\
      --config min.insync.replicas=2
  ottla topics --list
  ottla topics --describe --topic 'orders.*'
  ottla topics --describe --under-replicated-partitions
  ottla topics --alter --topic orders --partitions 12
  ottla topics --delete --topic orders")]
#[command(group(clap::ArgGroup::new("action").required(true)
    .args(["create", "list", "describe", "alter", "delete"])))]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Create a topic
    #[arg(long, requires = "topic", help_heading = "Actions")]
    create: bool,
    /// List the names of all topics
    #[arg(long, help_heading = "Actions")]
    list: bool,
    /// Show topics with their partitions, leaders, replicas and configs
    #[arg(long, help_heading = "Actions")]
    describe: bool,
    /// Add partitions to a topic (configs are changed by 'ottla configs')
    #[arg(long, requires_all = ["topic", "partitions"], help_heading = "Actions")]
    alter: bool,
    /// Delete topics, with all their records
    #[arg(long, requires = "topic", help_heading = "Actions")]
    delete: bool,
    /// The topic; except with --create a regular expression that must match the whole name
    #[arg(long)]
    topic: Option<String>,
    /// Describe the topic with this id
    #[arg(long, requires = "describe")]
    topic_id: Option<Uuid>,
    /// How many partitions to create, or to grow to [default: num.partitions of the cluster]
    #[arg(long, value_name = "COUNT")]
    partitions: Option<i32>,
    /// How many brokers keep each partition [default: default.replication.factor of the cluster]
    #[arg(long, value_name = "COUNT", requires = "create")]
    replication_factor: Option<i16>,
    /// Brokers of each partition, the leader first: 0:1,1:2 for two partitions of two replicas
    #[arg(long, value_name = "A:B,C:D,...", conflicts_with = "replication_factor")]
    replica_assignment: Option<String>,
    /// A topic config, for example retention.ms=3600000; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "create")]
    config: Vec<String>,
    /// Do nothing, and call it success, if the topic does not exist
    #[arg(long)]
    if_exists: bool,
    /// Do nothing, and call it success, if the topic exists
    #[arg(long, requires = "create")]
    if_not_exists: bool,
    /// Only partitions with a replica that is not in sync
    #[arg(long, requires = "describe", help_heading = "Describe only")]
    under_replicated_partitions: bool,
    /// Only partitions without a live leader
    #[arg(long, requires = "describe", help_heading = "Describe only")]
    unavailable_partitions: bool,
    /// Only partitions with fewer replicas in sync than min.insync.replicas
    #[arg(long, requires = "describe", help_heading = "Describe only")]
    under_min_isr_partitions: bool,
    /// Only partitions with exactly min.insync.replicas replicas in sync
    #[arg(long, requires = "describe", help_heading = "Describe only")]
    at_min_isr_partitions: bool,
    /// Only topics with configs of their own, without their partitions
    #[arg(long, requires = "describe", help_heading = "Describe only")]
    topics_with_overrides: bool,
    /// Leave out the cluster's own topics
    #[arg(long)]
    exclude_internal: bool,
    /// Most partitions in one response of the broker
    #[arg(long, value_name = "COUNT", default_value_t = 2000, hide_short_help = true)]
    partition_size_limit_per_response: i32,
}

pub(super) async fn run(args: Args, mut context: Context<'_>) -> Result<(), ToolError> {
    let client = args.connect.client(&context.env, "ottla-topics")?;
    let result = act(&args, &client, &mut context).await;
    client.close().await;
    let Err(error) = result else { return Ok(()) };
    eprintln!("Error while executing topic command : {error}");
    Err(ToolError::Told)
}

async fn act(args: &Args, client: &Client, context: &mut Context<'_>) -> Result<(), ToolError> {
    if args.create {
        create(args, client, context).await
    } else if args.alter {
        alter(args, client).await
    } else if args.list {
        list(args, client, context).await
    } else if args.describe {
        describe(args, client, context).await
    } else {
        delete(args, client).await
    }
}

async fn create(args: &Args, client: &Client, context: &mut Context<'_>) -> Result<(), ToolError> {
    let name = args.topic.clone().unwrap_or_default();
    if name.contains(['.', '_']) {
        eprintln!(
            "WARNING: names that differ only in '.' and '_' collide; use one of the two, not both."
        );
    }
    if args.replication_factor.is_some_and(|factor| factor < 1) {
        return Err(ToolError::Invalid("the replication factor must be at least 1".to_owned()));
    }
    if args.partitions.is_some_and(|count| count < 1) {
        return Err(ToolError::Invalid("there must be at least 1 partition".to_owned()));
    }
    let configs = parse_pairs(&args.config)?;
    let topic = NewTopic {
        name: name.clone(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        assignment: assignment(args)?,
        configs: configs.into_iter().map(|(key, value)| (key, Some(value))).collect(),
    };
    for (name, result) in client.create_topics(&[topic], false).await? {
        match result {
            Ok(_) => writeln!(context.out, "Created topic {name}.")?,
            Err(error)
                if args.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The replicas of each partition, as `--replica-assignment` gives them.
fn assignment(args: &Args) -> Result<Vec<Vec<NodeId>>, ToolError> {
    let Some(text) = &args.replica_assignment else { return Ok(Vec::new()) };
    let mut partitions: Vec<Vec<NodeId>> = Vec::new();
    for (index, part) in text.split(',').enumerate() {
        let ids: Result<Vec<i32>, _> = part.split(':').map(|id| id.trim().parse()).collect();
        let Ok(ids) = ids else {
            return Err(ToolError::Invalid(format!("not a list of broker ids: {part}")));
        };
        let brokers: Vec<NodeId> = ids.into_iter().map(NodeId).collect();
        let distinct: BTreeSet<NodeId> = brokers.iter().copied().collect();
        if distinct.len() != brokers.len() {
            let text = format!("partition {index} names a broker twice: {part}");
            return Err(ToolError::Invalid(text));
        }
        if partitions.first().is_some_and(|first| first.len() != brokers.len()) {
            let text = format!("partition {index} has another number of replicas: {part}");
            return Err(ToolError::Invalid(text));
        }
        partitions.push(brokers);
    }
    Ok(partitions)
}

/// Names of the topics that the arguments select, sorted.
async fn selected(args: &Args, client: &Client) -> Result<Vec<String>, ToolError> {
    let topics = client.list_topics(!args.exclude_internal).await?;
    let pattern = args.topic.as_deref().map(TopicPattern::new).transpose()?;
    let matching = topics.into_iter().filter(|topic| {
        args.topic_id.is_none_or(|id| topic.id == id)
            && (args.topic_id.is_some()
                || pattern.as_ref().is_none_or(|pattern| pattern.matches(&topic.name)))
    });
    let names: Vec<String> = matching.map(|topic| topic.name).collect();
    if names.is_empty() && !args.if_exists && !args.list {
        if let Some(id) = args.topic_id {
            let text = format!("TopicId '{id}' does not exist as expected");
            return Err(ToolError::Invalid(text));
        }
        if let Some(topic) = &args.topic {
            let text = format!("Topic '{topic}' does not exist as expected");
            return Err(ToolError::Invalid(text));
        }
    }
    Ok(names)
}

async fn list(args: &Args, client: &Client, context: &mut Context<'_>) -> Result<(), ToolError> {
    for name in selected(args, client).await? {
        writeln!(context.out, "{name}")?;
    }
    Ok(())
}

async fn alter(args: &Args, client: &Client) -> Result<(), ToolError> {
    let names = selected(args, client).await?;
    let total = args.partitions.unwrap_or_default();
    let assignment = assignment(args)?;
    let described = client.describe_topics(&names, args.partition_size_limit_per_response).await?;
    let additions: Vec<NewPartitions> = described
        .into_iter()
        .map(|topic| NewPartitions {
            assignment: assignment.iter().skip(topic.partitions.len()).cloned().collect(),
            topic: topic.name,
            total,
        })
        .collect();
    if additions.is_empty() {
        return Ok(());
    }
    eprintln!(
        "WARNING: a key's partition depends on the number of partitions. Records written from now \
         on may go to another partition than earlier records of the same key, and lose their order."
    );
    for (_, result) in client.create_partitions(&additions).await? {
        result?;
    }
    Ok(())
}

async fn delete(args: &Args, client: &Client) -> Result<(), ToolError> {
    let names = selected(args, client).await?;
    if names.is_empty() {
        return Ok(());
    }
    for (_, result) in client.delete_topics(&names).await? {
        result?;
    }
    Ok(())
}

async fn describe(
    args: &Args,
    client: &Client,
    context: &mut Context<'_>,
) -> Result<(), ToolError> {
    let names = selected(args, client).await?;
    let cluster = client.describe_cluster().await?;
    let live: BTreeSet<NodeId> = cluster.brokers.iter().map(|broker| broker.id).collect();
    for topic in client.describe_topics(&names, args.partition_size_limit_per_response).await? {
        if let Some(code) = topic.error {
            return Err(client::ClientError::refused(code, None).into());
        }
        let configs = client.describe_configs(&ConfigResource::topic(&topic.name)).await?;
        let filter = Filter::new(args, &configs, &live);
        if filter.shows_topic(&configs) {
            writeln!(context.out, "{}", topic_line(&topic, &configs))?;
        }
        for partition in &topic.partitions {
            if filter.shows_partition(partition) {
                writeln!(context.out, "{}", partition_line(&topic.name, partition))?;
            }
        }
    }
    Ok(())
}

/// Which lines `--describe` prints.
struct Filter<'a> {
    args: &'a Args,
    min_isr: usize,
    live: &'a BTreeSet<NodeId>,
}

impl<'a> Filter<'a> {
    fn new(args: &'a Args, configs: &[ConfigEntry], live: &'a BTreeSet<NodeId>) -> Filter<'a> {
        let min_isr = configs.iter().find(|config| config.name == "min.insync.replicas");
        let min_isr = min_isr.and_then(|config| config.value.as_deref()?.parse().ok()).unwrap_or(1);
        Filter { args, min_isr, live }
    }

    fn only_some_partitions(&self) -> bool {
        self.args.under_replicated_partitions
            || self.args.unavailable_partitions
            || self.args.under_min_isr_partitions
            || self.args.at_min_isr_partitions
    }

    fn shows_topic(&self, configs: &[ConfigEntry]) -> bool {
        !self.only_some_partitions()
            && (!self.args.topics_with_overrides || configs.iter().any(is_override))
    }

    fn shows_partition(&self, partition: &DescribedPartition) -> bool {
        if self.args.topics_with_overrides {
            return false;
        }
        let isr = partition.isr.len();
        let is_led = partition.leader.is_some_and(|leader| self.live.contains(&leader));
        !self.only_some_partitions()
            || (self.args.under_replicated_partitions && isr < partition.replicas.len())
            || (self.args.unavailable_partitions && !is_led)
            || (self.args.under_min_isr_partitions
                && (partition.leader.is_none() || isr < self.min_isr))
            || (self.args.at_min_isr_partitions && isr == self.min_isr)
    }
}

/// Whether a config is anything but the built-in default (source 5).
fn is_override(config: &ConfigEntry) -> bool {
    config.source != 5
}

fn topic_line(topic: &DescribedTopic, configs: &[ConfigEntry]) -> String {
    let overrides = configs
        .iter()
        .filter(|config| is_override(config))
        .map(|config| format!("{}={}", config.name, config.value.as_deref().unwrap_or("null")));
    let factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    let mut line = format!("Topic: {}", topic.name);
    if !topic.id.is_zero() {
        line += &format!("\tTopicId: {}", topic.id);
    }
    line += &format!("\tPartitionCount: {}", topic.partitions.len());
    line += &format!("\tReplicationFactor: {factor}\tConfigs: {}", join(overrides, ","));
    line
}

fn partition_line(topic: &str, partition: &DescribedPartition) -> String {
    let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let eligible = |ids: &Option<Vec<NodeId>>| match ids {
        Some(ids) => join(ids, ","),
        None => "N/A".to_owned(),
    };
    format!(
        "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: {}\
         \tLastKnownElr: {}",
        partition.index,
        join(&partition.replicas, ","),
        join(&partition.isr, ","),
        eligible(&partition.eligible_leaders),
        eligible(&partition.last_known_eligible),
    )
}
