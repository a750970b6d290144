//! `ottla console-producer`: standard input to a topic, a record per line.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use client::{Delivery, Producer, ProducerRecord};
use tokio::sync::mpsc;

use super::common::{Connect, parse_pairs, read_properties};
use super::line_reader::LineReader;
use super::lines::Lines;
use super::{Context, ToolError};

/// Send each line of standard input to a topic
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  echo hello | ottla console-producer --topic greetings
  ottla console-producer --topic orders --compression-codec zstd < orders.txt
  printf 'k1=v1\\nk2=v2\\n' | ottla console-producer --topic orders \\
      --reader-property parse.key=true --reader-property key.separator==
  ottla console-producer --topic orders --reader-property parse.headers=true \\
      --reader-property parse.key=true        # h1:v1,h2:v2 TAB key TAB value

Reader properties (with defaults): parse.key=false, key.separator=TAB, parse.headers=false,
headers.delimiter=TAB, headers.separator=',', headers.key.separator=':', ignore.error=false,
null.marker (none: a field equal to it becomes null)")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// The topic to send to
    #[arg(long)]
    topic: String,
    /// How a line is read; may be repeated (see below)
    #[arg(long, value_name = "KEY=VALUE", alias = "property")]
    reader_property: Vec<String>,
    /// Properties file with reader properties
    #[arg(long, value_name = "FILE")]
    reader_config: Option<PathBuf>,
    /// Wait for each record's acknowledgement before the next line is read
    #[arg(long)]
    sync: bool,
    /// none, gzip, snappy, lz4 or zstd; gzip if given without a value
    #[arg(long, value_name = "CODEC", num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: Option<String>,
    /// Which replicas must have a record: all (-1), 1 (the leader) or 0 (none)
    #[arg(long, value_name = "ACKS", allow_hyphen_values = true)]
    request_required_acks: Option<String>,
    /// Bytes of a partition's records that are sent together
    #[arg(long, value_name = "BYTES", alias = "max-partition-memory-bytes")]
    batch_size: Option<usize>,
    /// How long a record may wait for others to be sent with
    #[arg(long, value_name = "MS")]
    timeout: Option<u64>,
    /// The wait for the replicas' acknowledgement
    #[arg(long, value_name = "MS")]
    request_timeout_ms: Option<u64>,
    /// The wait for the topic to be found
    #[arg(long, value_name = "MS")]
    max_block_ms: Option<u64>,
    /// Bytes of records that may wait to be sent
    #[arg(long, value_name = "BYTES")]
    max_memory_bytes: Option<usize>,
    /// The first pause before a retry
    #[arg(long, value_name = "MS", hide_short_help = true)]
    retry_backoff_ms: Option<u64>,
    /// Accepted for Kafka's sake; records are retried until delivery.timeout.ms
    #[arg(long, value_name = "COUNT", hide = true)]
    message_send_max_retries: Option<u32>,
    /// Only Kafka's LineMessageReader is known
    #[arg(long, value_name = "CLASS", hide = true)]
    line_reader: Option<String>,
}

/// Most lines read ahead of the producer.
const LINES_MAX: usize = 1024;
/// Most deliveries that are looked after at a time.
const DELIVERIES_MAX: usize = 100_000;

pub(super) async fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let mut properties = args.connect.properties(&context.env)?;
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            properties.set(key, value);
        }
    };
    set("compression.type", args.compression_codec.clone());
    set("acks", args.request_required_acks.clone());
    set("batch.size", args.batch_size.map(|v| v.to_string()));
    set("linger.ms", args.timeout.map(|v| v.to_string()));
    set("request.timeout.ms", args.request_timeout_ms.map(|v| v.to_string()));
    set("max.block.ms", args.max_block_ms.map(|v| v.to_string()));
    set("buffer.memory", args.max_memory_bytes.map(|v| v.to_string()));
    set("retry.backoff.ms", args.retry_backoff_ms.map(|v| v.to_string()));
    let mut reading = match &args.reader_config {
        Some(path) => read_properties(&context.env, path)?,
        None => Default::default(),
    };
    reading.extend(parse_pairs(&args.reader_property)?);
    if args.line_reader.as_deref().is_some_and(|class| !class.ends_with("LineMessageReader")) {
        return Err(ToolError::Invalid("only LineMessageReader is known".to_owned()));
    }
    let reader = LineReader::new(&reading)?;
    let client = properties.client(&context.env, "console-producer")?;
    let producer = Producer::start(client.clone(), properties.producer()?)?;
    let result = send_lines(&args, &reader, &producer).await;
    producer.flush().await?;
    client.close().await;
    result
}

async fn send_lines(
    args: &Args,
    reader: &LineReader,
    producer: &Producer,
) -> Result<(), ToolError> {
    let mut lines = read_lines();
    let mut deliveries: Vec<Delivery> = Vec::new();
    let mut number = 0;
    let mut failed = 0;
    loop {
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else { break };
        number += 1;
        let line = reader.parse(&line?, number)?;
        let delivery = producer
            .send(ProducerRecord {
                topic: args.topic.clone(),
                key: line.key,
                value: line.value,
                headers: line.headers,
                ..Default::default()
            })
            .await?;
        if args.sync {
            delivery.await?;
            continue;
        }
        deliveries.push(delivery);
        if deliveries.len() >= DELIVERIES_MAX {
            failed += settle(&mut deliveries).await;
        }
    }
    producer.flush().await?;
    failed += settle(&mut deliveries).await;
    if failed > 0 {
        return Err(ToolError::Invalid(format!("{failed} of {number} records were not sent")));
    }
    Ok(())
}

/// Waits for deliveries, tells the errors, and returns their number.
async fn settle(deliveries: &mut Vec<Delivery>) -> u64 {
    /// Further ones are only counted.
    const TOLD_MAX: u64 = 10;
    let mut failed = 0;
    for delivery in deliveries.drain(..) {
        if let Err(error) = delivery.await {
            failed += 1;
            if failed <= TOLD_MAX {
                eprintln!("error: record not sent: {error}");
            }
        }
    }
    failed
}

/// Reads standard input on a thread of its own, since it blocks.
fn read_lines() -> mpsc::Receiver<std::io::Result<Vec<u8>>> {
    let (lines, receiver) = mpsc::channel(LINES_MAX);
    env::tasks::thread("stdin", move || {
        let prompt = std::io::stdin().is_terminal();
        let mut input = Lines::new(std::io::stdin().lock());
        loop {
            if prompt {
                eprint!(">");
                // Only the prompt's looks depend on it.
                let _ = std::io::stderr().flush();
            }
            let Some(line) = input.next_line().transpose() else { return };
            let ended = line.is_err();
            if lines.blocking_send(line).is_err() || ended {
                return;
            }
        }
    });
    receiver
}
