//! `ottla console-consumer`: a topic's records to standard output.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use client::admin::OffsetSpec;
use client::{Client, Consumer, OffsetReset};
use types::{Monotonic, Offset, PartitionIndex, TopicPartition};

use super::common::{Connect, TopicPattern, parse_pairs, read_properties};
use super::formatter::Formatter;
use super::{Context, ToolError};

/// Print the records of a topic
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla console-consumer --topic greetings --from-beginning
  ottla console-consumer --topic orders --from-beginning --max-messages 10 \\
      --formatter-property print.key=true --formatter-property print.offset=true
  ottla console-consumer --topic orders --partition 2 --offset 1000 --timeout-ms 5000
  ottla console-consumer --topic orders --group billing     # goes on where the group left off

Formatter properties: print.timestamp, print.key, print.value (true), print.offset,
print.partition, print.epoch, print.headers, key.separator (TAB), line.separator,
headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer")]
#[command(group(clap::ArgGroup::new("what").required(true).args(["topic", "include"])))]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The topic to read
    #[arg(long)]
    topic: Option<String>,
    /// Read all topics whose whole name matches this regular expression
    #[arg(long, value_name = "REGEX")]
    include: Option<String>,
    /// Read this partition only
    #[arg(long, requires = "topic")]
    partition: Option<i32>,
    /// Where to start in the partition: earliest, latest or an offset
    #[arg(long, value_name = "OFFSET", requires = "partition", conflicts_with = "from_beginning")]
    offset: Option<String>,
    /// Start with the oldest records (for a group: where it has no committed offset)
    #[arg(long)]
    from_beginning: bool,
    /// Stop after this many records
    #[arg(long, value_name = "COUNT")]
    max_messages: Option<u64>,
    /// Stop when no record has come for this long
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// Read as a member of this group, and commit its offsets
    #[arg(long, value_name = "GROUP", conflicts_with = "partition")]
    group: Option<String>,
    /// read_committed leaves out records of open and aborted transactions
    #[arg(long, value_name = "LEVEL")]
    isolation_level: Option<String>,
    /// What is printed of a record; may be repeated (see below)
    #[arg(long, value_name = "KEY=VALUE", alias = "property")]
    formatter_property: Vec<String>,
    /// Properties file with formatter properties
    #[arg(long, value_name = "FILE")]
    formatter_config: Option<PathBuf>,
    /// DefaultMessageFormatter or NoOpMessageFormatter
    #[arg(long, value_name = "CLASS")]
    formatter: Option<String>,
    /// Go on after a record that cannot be printed
    #[arg(long)]
    skip_message_on_error: bool,
    /// Print shutdown_complete at the end
    #[arg(long, hide_short_help = true)]
    enable_systest_events: bool,
}

pub(super) async fn run(args: Args, mut context: Context<'_>) -> Result<(), ToolError> {
    let mut properties = args.connect.properties(&context.env)?;
    if let Some(group) = &args.group {
        properties.set("group.id", group);
    }
    if let Some(level) = &args.isolation_level {
        properties.set("isolation.level", level);
    }
    let reset = properties.values.get("auto.offset.reset");
    if args.from_beginning && reset.is_some_and(|reset| reset != "earliest") {
        let text = "--from-beginning and auto.offset.reset contradict each other";
        return Err(ToolError::Invalid(text.to_owned()));
    }
    properties
        .default("auto.offset.reset", if args.from_beginning { "earliest" } else { "latest" });
    let mut printing = match &args.formatter_config {
        Some(path) => read_properties(&context.env, path)?,
        None => Default::default(),
    };
    printing.extend(parse_pairs(&args.formatter_property)?);
    let formatter = Formatter::new(args.formatter.as_deref(), &printing)?;
    let client = properties.client(&context.env, "console-consumer")?;
    let options = properties.consumer()?;
    let grouped = options.group.is_some() && args.partition.is_none();
    let reset = options.reset;
    let mut consumer = Consumer::new(client.clone(), options);
    let topics = topics(&args, &client).await?;
    if grouped {
        consumer.subscribe(&topics)?;
    } else {
        consumer.assign(&partitions(&args, &client, &topics, reset).await?);
        if let (Some(topic), Some(partition), Some(offset)) =
            (&args.topic, args.partition, args.offset.as_deref().and_then(|o| o.parse().ok()))
        {
            let partition = PartitionIndex(partition);
            consumer.seek(&TopicPartition { topic: topic.clone(), partition }, Offset(offset));
        }
    }
    let mut count = 0;
    let result = print(&args, &formatter, &mut consumer, &mut context, &mut count).await;
    eprintln!("Processed a total of {count} messages");
    let closed = consumer.close().await;
    client.close().await;
    if args.enable_systest_events {
        writeln!(context.out, "shutdown_complete")?;
    }
    result?;
    Ok(closed?)
}

async fn topics(args: &Args, client: &Client) -> Result<Vec<String>, ToolError> {
    if let Some(topic) = &args.topic {
        return Ok(vec![topic.clone()]);
    }
    let pattern = TopicPattern::new(args.include.as_deref().unwrap_or(".*"))?;
    let topics = client.list_topics(false).await?.into_iter();
    Ok(topics.map(|topic| topic.name).filter(|name| pattern.matches(name)).collect())
}

/// All partitions to read, with where to start.
async fn partitions(
    args: &Args,
    client: &Client,
    topics: &[String],
    reset: OffsetReset,
) -> Result<Vec<(TopicPartition, OffsetSpec)>, ToolError> {
    let start = match (args.offset.as_deref(), reset) {
        (Some("earliest"), _) => OffsetSpec::Earliest,
        (Some("latest"), _) => OffsetSpec::Latest,
        (Some(text), _) if text.parse::<u64>().is_err() => {
            return Err(ToolError::Invalid(format!(
                "--offset is none of earliest, latest or a number: {text}"
            )));
        }
        // A number is set by seek.
        (Some(_), _) | (None, OffsetReset::Earliest) => OffsetSpec::Earliest,
        (None, OffsetReset::Latest | OffsetReset::None) => OffsetSpec::Latest,
    };
    let mut partitions = Vec::new();
    for name in topics {
        let topic = client.topic(name, true).await?;
        for partition in topic.partitions.keys().copied() {
            if args.partition.is_none_or(|wanted| wanted == partition.0) {
                partitions.push((TopicPartition { topic: name.clone(), partition }, start));
            }
        }
    }
    if let (Some(partition), true) = (args.partition, partitions.is_empty()) {
        return Err(ToolError::Invalid(format!("the topic has no partition {partition}")));
    }
    Ok(partitions)
}

async fn print(
    args: &Args,
    formatter: &Formatter,
    consumer: &mut Consumer,
    context: &mut Context<'_>,
    count: &mut u64,
) -> Result<(), ToolError> {
    let clock = context.env.clock.clone();
    let timeout = args.timeout_ms.map(Duration::from_millis);
    let mut last_record: Monotonic = clock.now();
    while args.max_messages.is_none_or(|max| *count < max) {
        let rest = timeout.map(|timeout| timeout.saturating_sub(clock.now().since(last_record)));
        if rest.is_some_and(|rest| rest.is_zero()) {
            return Ok(());
        }
        let wait = rest.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(1));
        let records = tokio::select! {
            records = consumer.poll(wait) => records?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        if !records.is_empty() {
            last_record = clock.now();
        }
        let mut left: BTreeSet<TopicPartition> = BTreeSet::new();
        for record in records {
            if args.max_messages.is_some_and(|max| *count >= max) {
                // Not printed: its partition goes back, so that the group reads it again.
                if left.insert(record.partition.clone()) {
                    consumer.seek(&record.partition, record.offset);
                }
                continue;
            }
            *count += 1;
            match formatter.write(&record, context.out) {
                Err(error @ ToolError::Invalid(_)) if args.skip_message_on_error => {
                    eprintln!("error: record skipped: {error}");
                }
                result => result?,
            }
        }
        context.out.flush()?;
    }
    Ok(())
}
