//! `ottla get-offsets`: offsets of partitions by place or time.

use std::collections::BTreeMap;

use client::Isolation;
use client::admin::OffsetSpec;
use types::TopicPartition;

use super::common::{Connect, TopicPattern};
use super::{Context, ToolError};

/// Print offsets of partitions: the end, the start, or the first record at a time
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla get-offsets --topic orders
  ottla get-offsets --topic orders --time earliest
  ottla get-offsets --topic orders --partitions 0,2 --time 1767225600000
  ottla get-offsets --topic-partitions 'orders:0-3,logs.*:-2,:7'

Each line is topic:partition:offset. A partition pattern is a number, FROM-TO (without TO), FROM-
or -TO.")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Topic and partition patterns
    #[arg(long, value_name = "TOPIC[:PARTITIONS],...", conflicts_with_all = ["topic", "partitions"])]
    topic_partitions: Option<String>,
    /// The topic, as a regular expression that must match the whole name [default: all]
    #[arg(long)]
    topic: Option<String>,
    /// Partition numbers [default: all]
    #[arg(long, value_name = "N,...")]
    partitions: Option<String>,
    /// latest (-1), earliest (-2), max-timestamp (-3), earliest-local (-4), latest-tiered (-5),
    /// earliest-pending-upload (-6) or milliseconds since 1970
    #[arg(long, value_name = "TIME", default_value = "latest", allow_hyphen_values = true)]
    time: String,
    /// Leave out the cluster's own topics
    #[arg(long)]
    exclude_internal_topics: bool,
}

/// One pattern: which topics, and which of their partitions (from inclusive, to exclusive).
struct Rule {
    topic: TopicPattern,
    from: i32,
    to: i32,
}

pub(super) async fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let spec = parse_time(&args.time)?;
    let rules = rules(&args)?;
    let client = args.connect.client(&context.env, "ottla-get-offsets")?;
    let mut wanted = Vec::new();
    for topic in client.list_topics(!args.exclude_internal_topics).await? {
        for partition in topic.partitions.keys().copied() {
            let of = TopicPartition { topic: topic.name.clone(), partition };
            if rules.iter().any(|rule| rule.matches(&of)) {
                wanted.push((of, spec));
            }
        }
    }
    if wanted.is_empty() {
        let text = "Could not match any topic-partitions with the specified filters";
        return Err(ToolError::Invalid(text.to_owned()));
    }
    let found = client.list_offsets(&wanted, Isolation::ReadUncommitted).await?;
    client.close().await;
    // Kafka sorts by the text, so partition 10 comes before 2.
    let found: BTreeMap<String, _> =
        found.into_iter().map(|(of, result)| (of.to_string(), (of, result))).collect();
    let mut failed = false;
    for (name, (of, result)) in found {
        match result {
            Ok(found) if found.offset.0 >= 0 => {
                writeln!(context.out, "{}:{}:{}", of.topic, of.partition, found.offset)?;
            }
            Ok(_) => {}
            Err(error) => {
                failed = true;
                eprintln!("Skip getting offsets for topic-partition {name} due to error: {error}");
            }
        }
    }
    if failed { Err(ToolError::Told) } else { Ok(()) }
}

fn parse_time(text: &str) -> Result<OffsetSpec, ToolError> {
    let spec = match text {
        "latest" | "-1" => OffsetSpec::Latest,
        "earliest" | "-2" => OffsetSpec::Earliest,
        "max-timestamp" | "-3" => OffsetSpec::MaxTimestamp,
        "earliest-local" | "-4" => OffsetSpec::EarliestLocal,
        "latest-tiered" | "-5" => OffsetSpec::LatestTiered,
        "earliest-pending-upload" | "-6" => OffsetSpec::EarliestPendingUpload,
        number => match number.parse::<i64>() {
            Ok(at) => OffsetSpec::Timestamp(at),
            Err(_) => {
                let text = format!(
                    "--time is neither a name (latest, earliest, max-timestamp, earliest-local, \
                     latest-tiered, earliest-pending-upload) nor milliseconds since 1970: {number}"
                );
                return Err(ToolError::Invalid(text));
            }
        },
    };
    Ok(spec)
}

fn rules(args: &Args) -> Result<Vec<Rule>, ToolError> {
    if let Some(patterns) = &args.topic_partitions {
        return patterns.split(',').map(Rule::parse).collect();
    }
    let topic = args.topic.as_deref().unwrap_or(".*");
    let Some(partitions) = &args.partitions else {
        return Ok(vec![Rule { topic: TopicPattern::new(topic)?, from: 0, to: i32::MAX }]);
    };
    let numbers = partitions.split(',').map(|number| {
        let number: i32 = parse_partition(number.trim())?;
        Ok(Rule { topic: TopicPattern::new(topic)?, from: number, to: number.saturating_add(1) })
    });
    numbers.collect()
}

fn parse_partition(text: &str) -> Result<i32, ToolError> {
    text.parse().map_err(|_| ToolError::Invalid(format!("not a partition number: {text}")))
}

impl Rule {
    fn parse(text: &str) -> Result<Rule, ToolError> {
        let (topic, partitions) = match text.rsplit_once(':') {
            Some((topic, partitions)) => (topic, partitions),
            None => (text, ""),
        };
        let topic = TopicPattern::new(if topic.is_empty() { ".*" } else { topic })?;
        let (from, to) = match partitions.split_once('-') {
            None if partitions.is_empty() => (0, i32::MAX),
            None => {
                let number: i32 = parse_partition(partitions)?;
                (number, number.saturating_add(1))
            }
            Some((from, to)) => {
                let from = if from.is_empty() { 0 } else { parse_partition(from)? };
                (from, if to.is_empty() { i32::MAX } else { parse_partition(to)? })
            }
        };
        Ok(Rule { topic, from, to })
    }

    fn matches(&self, of: &TopicPartition) -> bool {
        self.topic.matches(&of.topic) && (self.from..self.to).contains(&of.partition.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::PartitionIndex;

    #[test]
    fn partition_patterns_are_half_open_ranges() {
        let matching = |pattern: &str| {
            let rule = Rule::parse(pattern).expect("valid");
            let numbers = (0..6).filter(|p| {
                let partition = PartitionIndex(*p);
                rule.matches(&TopicPartition { topic: "ab".to_owned(), partition })
            });
            numbers.collect::<Vec<i32>>()
        };
        assert_eq!(matching("a.*:1-3"), [1, 2]);
        assert_eq!(matching("ab:4-"), [4, 5]);
        assert_eq!(matching(":-2"), [0, 1]);
        assert_eq!(matching("ab:5"), [5]);
        assert_eq!(matching("ab").len(), 6);
        assert_eq!(matching("a").len(), 0);
        assert!(Rule::parse("ab:x").is_err());
    }
}
