//! `ottla consumer-groups`: list groups and show their lag.

use std::collections::BTreeMap;

use client::admin::{DescribedGroup, ListedGroup, OffsetSpec};
use client::consumer::decode_assignment;
use client::{Client, Isolation};
use types::TopicPartition;

use super::common::Connect;
use super::group_table::{Cell, Table};
use super::{Context, ToolError};

/// List consumer groups, and show their offsets, lag and members
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla consumer-groups --list
  ottla consumer-groups --describe --group billing
  ottla consumer-groups --describe --all-groups --members")]
#[command(group(clap::ArgGroup::new("action").required(true).args(["list", "describe"])))]
#[command(group(clap::ArgGroup::new("whose").args(["group", "all_groups"])))]
#[command(group(clap::ArgGroup::new("view").args(["offsets", "members", "state"])))]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// List all groups; with --state or --type in columns, filtered by their values
    #[arg(long, help_heading = "Actions")]
    list: bool,
    /// Describe groups
    #[arg(long, requires = "whose", help_heading = "Actions")]
    describe: bool,
    /// The group; may be repeated
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// All groups
    #[arg(long)]
    all_groups: bool,
    /// Show offsets and lag by partition (the default)
    #[arg(long, requires = "describe")]
    offsets: bool,
    /// Show the members
    #[arg(long, requires = "describe")]
    members: bool,
    /// Show the groups' states; with --list only groups in these states
    #[arg(long, value_name = "STATE,...", num_args = 0..=1, default_missing_value = "")]
    state: Option<String>,
    /// With --list: show the type, only these types if any are named
    #[arg(long = "type", value_name = "TYPE,...", num_args = 0..=1, default_missing_value = "")]
    kind: Option<String>,
    /// More columns: leader epochs, assignments
    #[arg(long, requires = "describe")]
    verbose: bool,
}

pub(super) async fn run(args: Args, mut context: Context<'_>) -> Result<(), ToolError> {
    let client = args.connect.client(&context.env, "ottla-consumer-groups")?;
    let result = if args.list {
        list(&args, &client, &mut context).await
    } else {
        describe(&args, &client, &mut context).await
    };
    client.close().await;
    result
}

async fn list(args: &Args, client: &Client, context: &mut Context<'_>) -> Result<(), ToolError> {
    let groups: Vec<ListedGroup> =
        client.list_groups().await?.into_iter().filter(is_consumer_group).collect();
    if args.state.is_none() && args.kind.is_none() {
        for group in groups {
            writeln!(context.out, "{}", group.group_id)?;
        }
        return Ok(());
    }
    let accepts = |filter: &Option<String>, value: &str| match filter.as_deref() {
        None | Some("") => true,
        Some(list) => list.split(',').any(|item| item.trim().eq_ignore_ascii_case(value)),
    };
    let widest = groups.iter().map(|group| group.group_id.len().max(15)).max().unwrap_or(15) + 10;
    let mut line = |group: &str, kind: &str, state: &str| -> Result<(), ToolError> {
        write!(context.out, "{group:<widest$}")?;
        if args.kind.is_some() {
            write!(context.out, " {kind:<20}")?;
        }
        if args.state.is_some() {
            write!(context.out, " {state:<20}")?;
        }
        Ok(writeln!(context.out)?)
    };
    line("GROUP", "TYPE", "STATE")?;
    for group in &groups {
        let kind = capitalised(&group.kind);
        if accepts(&args.state, &group.state) && accepts(&args.kind, &kind) {
            line(&group.group_id, &kind, &group.state)?;
        }
    }
    Ok(())
}

/// Groups of other protocols (Connect's workers, for example) are not consumers'.
fn is_consumer_group(group: &ListedGroup) -> bool {
    group.protocol_type.is_empty() || group.protocol_type == "consumer"
}

fn capitalised(kind: &str) -> String {
    let mut letters = kind.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

async fn describe(
    args: &Args,
    client: &Client,
    context: &mut Context<'_>,
) -> Result<(), ToolError> {
    let groups = if args.all_groups {
        let listed = client.list_groups().await?.into_iter().filter(is_consumer_group);
        listed.map(|group| group.group_id).collect()
    } else {
        args.group.clone()
    };
    let mut failed = false;
    for group in groups {
        let described = match client.describe_group(&group).await {
            Ok(described) => described,
            Err(error) if error.code() == Some(types::ErrorCode::GroupIdNotFound) => {
                eprintln!("\nError: Consumer group '{group}' does not exist.");
                failed = true;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if described.state == "Dead" {
            eprintln!("\nError: Consumer group '{group}' does not exist.");
            failed = true;
            continue;
        }
        tell_state(&described);
        let table = if args.members {
            members_table(&described, args.verbose)?
        } else if args.state.is_some() {
            state_table(client, &described, args.verbose).await?
        } else {
            offsets_table(client, &described, args.verbose).await?
        };
        table.print(context.out)?;
    }
    if failed { Err(ToolError::Told) } else { Ok(()) }
}

fn tell_state(group: &DescribedGroup) {
    match group.state.as_str() {
        "Empty" => eprintln!("\nConsumer group '{}' has no active members.", group.group_id),
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            eprintln!("\nWarning: Consumer group '{}' is rebalancing.", group.group_id);
        }
        _ => {}
    }
}

/// What is known of one partition of a group.
#[derive(Default)]
struct Row<'g> {
    offset: Option<i64>,
    epoch: Option<i32>,
    member: Option<(&'g str, &'g str, &'g str)>,
}

async fn offsets_table(
    client: &Client,
    group: &DescribedGroup,
    verbose: bool,
) -> Result<Table, ToolError> {
    let mut rows: BTreeMap<TopicPartition, Row> = BTreeMap::new();
    for committed in client.committed_offsets(&group.group_id).await? {
        let row = rows.entry(committed.partition).or_default();
        row.offset = Some(committed.offset.0);
        row.epoch = (committed.leader_epoch.0 >= 0).then_some(committed.leader_epoch.0);
    }
    let mut idle = Vec::new();
    for member in &group.members {
        let names = (member.member_id.as_str(), member.host.as_str(), member.client_id.as_str());
        let assigned = decode_assignment(&member.assignment)?;
        if assigned.is_empty() {
            idle.push(names);
        }
        for of in assigned {
            rows.entry(of).or_default().member = Some(names);
        }
    }
    let wanted: Vec<_> = rows.keys().map(|of| (of.clone(), OffsetSpec::Latest)).collect();
    let ends = client.list_offsets(&wanted, Isolation::ReadUncommitted).await?;
    let mut header =
        vec![Cell::wide("GROUP", 15), Cell::wide("TOPIC", 15), Cell::fixed("PARTITION", 10)];
    if verbose {
        header.push(Cell::fixed("LEADER-EPOCH", 15));
    }
    header.extend([
        Cell::fixed("CURRENT-OFFSET", 15),
        Cell::fixed("LOG-END-OFFSET", 15),
        Cell::fixed("LAG", 15),
        Cell::wide("CONSUMER-ID", 15),
        Cell::wide("HOST", 15),
        Cell::fixed("CLIENT-ID", 0),
    ]);
    let mut table = Table::new(header);
    let text = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |v| v.to_string());
    for (of, row) in rows {
        let end = ends.get(&of).and_then(|end| end.as_ref().ok()).map(|end| end.offset.0);
        let lag = row.offset.and_then(|offset| end.map(|end| end - offset));
        let (member, host, client_id) = row.member.unwrap_or(("-", "-", "-"));
        let mut cells = vec![group.group_id.clone(), of.topic.clone(), of.partition.to_string()];
        if verbose {
            cells.push(text(row.epoch.map(i64::from)));
        }
        cells.extend([text(row.offset), text(end), text(lag)]);
        cells.extend([member, host, client_id].map(str::to_owned));
        table.add(cells);
    }
    for (member, host, client_id) in idle {
        let mut cells = vec![group.group_id.clone()];
        cells.extend(std::iter::repeat_n("-".to_owned(), if verbose { 6 } else { 5 }));
        cells.extend([member, host, client_id].map(str::to_owned));
        table.add(cells);
    }
    Ok(table)
}

fn members_table(group: &DescribedGroup, verbose: bool) -> Result<Table, ToolError> {
    let with_instance = group.members.iter().any(|member| member.group_instance_id.is_some());
    let mut header = vec![Cell::wide("GROUP", 15), Cell::wide("CONSUMER-ID", 15)];
    if with_instance {
        header.push(Cell::wide("GROUP-INSTANCE-ID", 17));
    }
    header.extend([
        Cell::wide("HOST", 15),
        Cell::wide("CLIENT-ID", 15),
        Cell::fixed("#PARTITIONS", 15),
    ]);
    if verbose {
        header.extend([
            Cell::fixed("CURRENT-EPOCH", 15),
            Cell::wide("CURRENT-ASSIGNMENT", 20),
            Cell::fixed("TARGET-EPOCH", 15),
            Cell::wide("TARGET-ASSIGNMENT", 20),
        ]);
    } else {
        // Kafka's line ends with a space.
        header.push(Cell::fixed("", 0));
    }
    let mut table = Table::new(header).keeping_headings();
    for member in &group.members {
        let assigned = decode_assignment(&member.assignment)?;
        let mut cells = vec![group.group_id.clone(), member.member_id.clone()];
        if with_instance {
            cells.push(member.group_instance_id.clone().unwrap_or_default());
        }
        let count = assigned.len().to_string();
        cells.extend([member.host.clone(), member.client_id.clone(), count]);
        if verbose {
            // Classic groups have no epochs and no target.
            let assigned = assignment_text(&assigned);
            cells.extend(["-".to_owned(), assigned, "-".to_owned(), "-".to_owned()]);
        } else {
            cells.push(String::new());
        }
        table.add(cells);
    }
    Ok(table)
}

/// `topic:0,1;other:2`; `-` for nothing.
fn assignment_text(assigned: &[TopicPartition]) -> String {
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for of in assigned {
        by_topic.entry(&of.topic).or_default().push(of.partition.0);
    }
    if by_topic.is_empty() {
        return "-".to_owned();
    }
    let topics = by_topic.into_iter().map(|(topic, mut partitions)| {
        partitions.sort_unstable();
        format!("{topic}:{}", super::common::join(partitions, ","))
    });
    super::common::join(topics, ";")
}

async fn state_table(
    client: &Client,
    group: &DescribedGroup,
    verbose: bool,
) -> Result<Table, ToolError> {
    let cluster = client.describe_cluster().await?;
    let coordinator = cluster.brokers.iter().find(|broker| broker.id == group.coordinator);
    let addr = coordinator.map_or_else(|| "-".to_owned(), |broker| broker.addr());
    let mut header = vec![
        Cell::wide("GROUP", 15),
        Cell::wide("COORDINATOR (ID)", 25),
        Cell::fixed("ASSIGNMENT-STRATEGY", 20),
        Cell::fixed("STATE", 20),
    ];
    let mut cells = vec![
        group.group_id.clone(),
        format!("{addr}  ({})", group.coordinator),
        if group.protocol.is_empty() { "-".to_owned() } else { group.protocol.clone() },
        group.state.clone(),
    ];
    if verbose {
        header.extend([Cell::fixed("GROUP-EPOCH", 15), Cell::fixed("TARGET-ASSIGNMENT-EPOCH", 25)]);
        cells.extend(["-".to_owned(), "-".to_owned()]);
    }
    header.push(Cell::fixed("#MEMBERS", 0));
    cells.push(group.members.len().to_string());
    let mut table = Table::new(header);
    table.add(cells);
    Ok(table)
}
