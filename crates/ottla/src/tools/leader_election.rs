//! `ottla leader-election`: leaders back to the preferred replicas, or unclean elections.

use std::collections::BTreeSet;
use std::path::PathBuf;

use client::ClientError;
use client::admin::ElectionType;
use serde::Deserialize;
use types::{ErrorCode, PartitionIndex, TopicPartition};

use super::common::{Connect, read_text};
use super::{Context, ToolError};

/// Elect leaders of partitions: the preferred replicas, or any live ones
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla leader-election --election-type preferred --all-topic-partitions
  ottla leader-election --election-type preferred --topic orders --partition 0
  ottla leader-election --election-type unclean --path-to-json-file partitions.json

The file: {\"partitions\":[{\"topic\":\"orders\",\"partition\":0}]}
An unclean election makes a replica leader that may lack acknowledged records: they are lost. It is
done only where a partition has no leader.")]
#[command(group = clap::ArgGroup::new("which").required(true).args(
    ["topic", "all_topic_partitions", "path_to_json_file"]))]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Which replicas may lead
    #[arg(long, value_name = "TYPE", ignore_case = true)]
    election_type: Kind,
    /// Topic of the partition
    #[arg(long, requires = "partition")]
    topic: Option<String>,
    /// Partition of --topic
    #[arg(long, requires = "topic")]
    partition: Option<i32>,
    /// Every partition that needs an election of this type
    #[arg(long)]
    all_topic_partitions: bool,
    /// JSON file that names partitions
    #[arg(long, value_name = "FILE")]
    path_to_json_file: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Kind {
    Preferred,
    Unclean,
}

#[derive(Deserialize)]
struct Plan {
    partitions: Vec<PlanPartition>,
}

#[derive(Deserialize)]
struct PlanPartition {
    topic: String,
    partition: i32,
}

pub(super) async fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let wanted = match (&args.path_to_json_file, &args.topic, args.partition) {
        (Some(path), ..) => Some(parse(&read_text(&context.env, path)?)?),
        (None, Some(topic), Some(partition)) => {
            let partition = PartitionIndex(partition);
            Some(vec![TopicPartition { topic: topic.clone(), partition }])
        }
        (None, ..) => None,
    };
    let (election, name) = match args.election_type {
        Kind::Preferred => (ElectionType::Preferred, "PREFERRED"),
        Kind::Unclean => (ElectionType::Unclean, "UNCLEAN"),
    };
    let client = args.connect.client(&context.env, "ottla-leader-election")?;
    let results = client.elect_leaders(election, wanted.as_deref()).await?;
    client.close().await;
    report(&results, name, context.out)
}

type Outcome = (TopicPartition, Result<(), ClientError>);

fn report(
    results: &[Outcome],
    name: &str,
    out: &mut (dyn std::io::Write + Send),
) -> Result<(), ToolError> {
    let not_needed = |result: &Result<(), ClientError>| matches!(result, Err(error) if error.code() == Some(ErrorCode::ElectionNotNeeded));
    let elected = names(results.iter().filter(|(_, result)| result.is_ok()));
    if !elected.is_empty() {
        let done = "Successfully completed leader election";
        writeln!(out, "{done} ({name}) for partitions {elected}")?;
    }
    let idle = names(results.iter().filter(|(_, result)| not_needed(result)));
    if !idle.is_empty() {
        writeln!(out, "Valid replica already elected for partitions {idle}")?;
    }
    let mut failed = 0;
    for (of, result) in results.iter().filter(|(_, result)| !not_needed(result)) {
        if let Err(error) = result {
            failed += 1;
            writeln!(
                out,
                "Error completing leader election ({name}) for partition: {of}: {error}"
            )?;
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(ToolError::Invalid(format!("{failed} replica(s) could not be elected"))),
    }
}

fn names<'a>(results: impl Iterator<Item = &'a Outcome>) -> String {
    let names: Vec<String> = results.map(|(of, _)| of.to_string()).collect();
    names.join(", ")
}

fn parse(text: &str) -> Result<Vec<TopicPartition>, ToolError> {
    let plan: Plan = serde_json::from_str(text).map_err(|error| {
        ToolError::Invalid(format!("the file of partitions is not valid: {error}"))
    })?;
    let mut seen = BTreeSet::new();
    for entry in plan.partitions {
        let partition = PartitionIndex(entry.partition);
        let of = TopicPartition { topic: entry.topic, partition };
        if !seen.insert(of.clone()) {
            return Err(ToolError::Invalid(format!("the file names {of} twice")));
        }
    }
    Ok(seen.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(index: i32) -> TopicPartition {
        TopicPartition { topic: "t".to_owned(), partition: PartitionIndex(index) }
    }

    #[test]
    fn a_file_names_partitions_once_each() {
        let text = r#"{"partitions":[{"topic":"t","partition":1},{"topic":"t","partition":0}]}"#;
        assert_eq!(parse(text).expect("valid"), [partition(0), partition(1)]);
        let twice = text.replace("\"partition\":0", "\"partition\":1");
        assert!(parse(&twice).expect_err("twice").to_string().contains("t-1 twice"));
        assert!(parse("{}").expect_err("no list").to_string().contains("partitions"));
    }

    #[test]
    fn a_failure_is_told_beside_what_was_done() {
        let refused = |code: ErrorCode, message: &str| {
            Err(ClientError::Refused { code, message: message.to_owned() })
        };
        let results = [
            (partition(0), Ok(())),
            (partition(1), refused(ErrorCode::ElectionNotNeeded, "led")),
            (partition(2), refused(ErrorCode::PreferredLeaderNotAvailable, "down")),
        ];
        let mut out = Vec::new();
        let error = report(&results, "PREFERRED", &mut out).expect_err("one failed");
        assert_eq!(error.to_string(), "1 replica(s) could not be elected");
        let said = String::from_utf8(out).expect("text");
        assert_eq!(
            said,
            "Successfully completed leader election (PREFERRED) for partitions t-0\n\
             Valid replica already elected for partitions t-1\n\
             Error completing leader election (PREFERRED) for partition: t-2: down\n"
        );
    }
}
