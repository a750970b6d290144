//! `ottla metadata-quorum`: the state of the controllers' quorum.

use client::Client;
use client::admin::{QuorumDescription, QuorumReplica};

use super::common::{Connect, join};
use super::{Context, ToolError};

/// Show the state of the controllers' quorum
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla metadata-quorum describe --status
  ottla metadata-quorum --bootstrap-server broker1:9092 describe --replication --human-readable")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// Describe the quorum
    #[command(group(clap::ArgGroup::new("view").required(true).args(["status", "replication"])))]
    Describe {
        /// A summary: leader, epoch, high watermark, lag, voters and observers
        #[arg(long)]
        status: bool,
        /// A line per voter and observer, with its log end and lag
        #[arg(long)]
        replication: bool,
        /// Times as "N ms ago"
        #[arg(long, requires = "replication")]
        human_readable: bool,
    },
}

pub(super) async fn run(args: Args, mut context: Context<'_>) -> Result<(), ToolError> {
    let client = args.connect.client(&context.env, "ottla-metadata-quorum")?;
    let Action::Describe { status, human_readable, .. } = args.action;
    let quorum = client.describe_quorum().await?;
    let result = if status {
        describe_status(&client, &quorum, &mut context).await
    } else {
        describe_replication(&quorum, human_readable, &mut context)
    };
    client.close().await;
    result
}

fn leader(quorum: &QuorumDescription) -> Result<&QuorumReplica, ToolError> {
    let leader = quorum.voters.iter().find(|voter| voter.id == quorum.leader_id);
    leader.ok_or_else(|| ToolError::Invalid("the quorum has no leader at the moment".to_owned()))
}

async fn describe_status(
    client: &Client,
    quorum: &QuorumDescription,
    context: &mut Context<'_>,
) -> Result<(), ToolError> {
    let cluster = client.describe_cluster().await?;
    let leader = leader(quorum)?;
    let last = quorum.voters.iter().min_by_key(|voter| voter.log_end_offset).unwrap_or(leader);
    let lag_ms = if last.id == leader.id {
        0
    } else if leader.last_caught_up_ms >= 0 && last.last_caught_up_ms >= 0 {
        leader.last_caught_up_ms - last.last_caught_up_ms
    } else {
        -1
    };
    let lines = [
        ("ClusterId", cluster.cluster_id),
        ("LeaderId", quorum.leader_id.to_string()),
        ("LeaderEpoch", quorum.leader_epoch.to_string()),
        ("HighWatermark", quorum.high_watermark.to_string()),
        ("MaxFollowerLag", (leader.log_end_offset - last.log_end_offset).to_string()),
        ("MaxFollowerLagTimeMs", lag_ms.to_string()),
        ("CurrentVoters", replicas(quorum, &quorum.voters)),
        ("CurrentObservers", replicas(quorum, &quorum.observers)),
    ];
    for (name, value) in lines {
        writeln!(context.out, "{:<24}{value}", format!("{name}:"))?;
    }
    Ok(())
}

fn replicas(quorum: &QuorumDescription, replicas: &[QuorumReplica]) -> String {
    let shown = replicas.iter().map(|replica| {
        let mut text = format!("{{\"id\": {}", replica.id);
        if !replica.directory_id.is_zero() {
            text += &format!(", \"directoryId\": \"{}\"", replica.directory_id);
        }
        let endpoints = quorum.endpoints.iter().find(|(id, _)| *id == replica.id);
        if let Some((_, endpoints)) = endpoints
            && !endpoints.is_empty()
        {
            let endpoints = endpoints.iter().map(|endpoint| format!("\"{endpoint}\""));
            text += &format!(", \"endpoints\": [{}]", join(endpoints, ", "));
        }
        text + "}"
    });
    format!("[{}]", join(shown, ", "))
}

fn describe_replication(
    quorum: &QuorumDescription,
    human_readable: bool,
    context: &mut Context<'_>,
) -> Result<(), ToolError> {
    let leader = leader(quorum)?;
    let followers = quorum.voters.iter().filter(|voter| voter.id != leader.id);
    let all = std::iter::once((leader, "Leader"))
        .chain(followers.map(|voter| (voter, "Follower")))
        .chain(quorum.observers.iter().map(|observer| (observer, "Observer")));
    let now = context.env.clock.wall().0;
    let time = |at: i64| match (at < 0, human_readable) {
        (true, _) => "-1".to_owned(),
        (false, true) => format!("{} ms ago", (now - at).max(0)),
        (false, false) => at.to_string(),
    };
    let header = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    for (replica, status) in all {
        rows.push([
            replica.id.to_string(),
            replica.directory_id.to_string(),
            replica.log_end_offset.to_string(),
            (leader.log_end_offset - replica.log_end_offset).to_string(),
            time(replica.last_fetch_ms),
            time(replica.last_caught_up_ms),
            status.to_owned(),
        ]);
    }
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            write!(context.out, "{cell:<width$}\t")?;
        }
        writeln!(context.out)?;
    }
    Ok(())
}
