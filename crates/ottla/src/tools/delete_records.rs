//! `ottla delete-records`: move the start of partitions forward.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;
use types::{Offset, PartitionIndex, TopicPartition};

use super::common::{Connect, read_text};
use super::{Context, ToolError};

/// Delete the records of partitions below given offsets
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  echo '{\"version\":1,\"partitions\":[{\"topic\":\"orders\",\"partition\":0,\"offset\":1000}]}' > delete.json
  ottla delete-records --offset-json-file delete.json

Offset -1 means the high watermark: all records that are replicated.")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// JSON file that names partitions and the offsets below which records go
    #[arg(long, value_name = "FILE")]
    offset_json_file: PathBuf,
}

#[derive(Deserialize)]
struct Plan {
    #[serde(default = "first_version")]
    version: i32,
    partitions: Vec<PlanPartition>,
}

#[derive(Deserialize)]
struct PlanPartition {
    topic: String,
    partition: i32,
    offset: i64,
}

fn first_version() -> i32 {
    1
}

pub(super) async fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let wanted = parse(&read_text(&context.env, &args.offset_json_file)?)?;
    let client = args.connect.client(&context.env, "ottla-delete-records")?;
    writeln!(context.out, "Executing records delete operation")?;
    let results = client.delete_records(&wanted).await?;
    client.close().await;
    writeln!(context.out, "Records delete operation completed:")?;
    let mut failed = false;
    for (of, result) in results {
        match result {
            Ok(low) => writeln!(context.out, "partition: {of}\tlow_watermark: {low}")?,
            Err(error) => {
                failed = true;
                writeln!(context.out, "partition: {of}\terror: {error}")?;
            }
        }
    }
    if failed { Err(ToolError::Told) } else { Ok(()) }
}

fn parse(text: &str) -> Result<Vec<(TopicPartition, Offset)>, ToolError> {
    let plan: Plan = serde_json::from_str(text)
        .map_err(|error| ToolError::Invalid(format!("the offset file is not valid: {error}")))?;
    if plan.version != 1 {
        return Err(ToolError::Invalid(format!("version {} is not known", plan.version)));
    }
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::new();
    for entry in plan.partitions {
        let partition = PartitionIndex(entry.partition);
        let of = TopicPartition { topic: entry.topic, partition };
        if !seen.insert(of.clone()) {
            return Err(ToolError::Invalid(format!("the offset file names {of} twice")));
        }
        wanted.push((of, Offset(entry.offset)));
    }
    Ok(wanted)
}
