//! From properties to a [`NodeConfig`]: first every key by the table, then what keys mean together.

use super::listeners::{Place, network};
use super::values::Values;
use super::*;
use crate::listener::{is_loopback, parse_host_port};
use crate::{CleanerConfig, ConfigError, Layers, Status, keys};

pub(super) fn build(properties: Properties) -> Result<NodeConfig, ConfigErrors> {
    let mut warnings = check_keys(&properties)?;
    let values = Values(&properties);
    let mut problems = Vec::new();
    let node_id = keep(node_id(&values), &mut problems);
    let roles = keep(roles(&values), &mut problems);
    let quorum = keep(quorum(&values), &mut problems);
    let (Some(node_id), Some(roles), Some(quorum)) = (node_id, roles, quorum) else {
        return Err(ConfigErrors(problems));
    };
    problems.extend(quorum_problem(node_id, roles, &quorum));
    let is_alone = quorum.voters.is_empty() && quorum.bootstrap.is_empty();
    let network = keep(network(&values, &Place { roles, is_alone }), &mut problems);
    if !is_alone && values.optional("listeners").is_none() {
        problems.extend(listeners_problem(&quorum));
        let text = "listeners is not set: only this machine reaches the node, not the others";
        warnings.push(text.to_owned());
    }
    let liveness = liveness(&values);
    let groups = groups(&values);
    let replication = replication(&values);
    problems.extend(timing_problems(&quorum, &liveness, &groups));
    let (Some(network), true) = (network, problems.is_empty()) else {
        return Err(ConfigErrors(problems));
    };
    Ok(NodeConfig {
        node_id,
        roles,
        rack: values.optional("broker.rack").map(str::to_owned),
        network,
        requests: requests(&values),
        quorum,
        liveness,
        replication,
        storage: storage(&values),
        topics: TopicDefaults {
            partitions: values.u32("num.partitions"),
            replication_factor: values.u16("default.replication.factor"),
        },
        groups,
        internal_topics: internal_topics(&values),
        properties,
        warnings,
    })
}

fn keep<T>(result: Result<T, ConfigError>, problems: &mut Vec<ConfigError>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// Every key known, every value allowed. Returns the warnings.
fn check_keys(properties: &Properties) -> Result<Vec<String>, ConfigErrors> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    for (name, value) in properties.iter() {
        let Some(key) = keys::find_broker(name) else {
            if keys::in_family(name) {
                warnings.push(format!("{name} is accepted but does nothing yet"));
            } else {
                problems.push(ConfigError::UnknownKey {
                    name: name.to_owned(),
                    nearest: nearest(name),
                });
            }
            continue;
        };
        if let Err(problem) = key.check(value) {
            problems.push(problem);
            continue;
        }
        match key.status {
            Status::Enforced | Status::Internal => {}
            Status::Later => {
                warnings.push(format!("{name} is accepted but does nothing yet: {}", key.doc))
            }
            Status::Unneeded => {
                warnings.push(format!("{name} is accepted but not needed: {}", key.doc))
            }
        }
    }
    if problems.is_empty() { Ok(warnings) } else { Err(ConfigErrors(problems)) }
}

/// For a topic key in a node's file, the broker's name of it; else the nearest broker key.
fn nearest(name: &str) -> Option<&'static str> {
    let synonym = keys::find_topic(name).and_then(|key| key.synonyms.first().copied());
    synonym.or_else(|| keys::nearest_broker(name))
}

fn node_id(values: &Values<'_>) -> Result<NodeId, ConfigError> {
    let number = |name| values.optional(name).and_then(|text| text.parse::<i32>().ok());
    match (number("node.id"), number("broker.id")) {
        (Some(node), Some(broker)) if node != broker && broker >= 0 => Err(ConfigError::Conflict(
            format!("node.id {node} and broker.id {broker} must be the same"),
        )),
        (Some(id), _) => Ok(NodeId(id)),
        (None, Some(id)) if id >= 0 => Ok(NodeId(id)),
        (None, _) => Err(ConfigError::Missing {
            name: "node.id",
            reason: "each node of a cluster has a number of its own".to_owned(),
        }),
    }
}

fn roles(values: &Values<'_>) -> Result<Roles, ConfigError> {
    let list = values.list("process.roles");
    let roles =
        Roles { broker: list.contains(&"broker"), controller: list.contains(&"controller") };
    if roles.broker || roles.controller {
        return Ok(roles);
    }
    Err(ConfigError::Missing {
        name: "process.roles",
        reason: "broker, controller or both".to_owned(),
    })
}

fn quorum(values: &Values<'_>) -> Result<QuorumConfig, ConfigError> {
    let metadata_dir = values.optional("metadata.log.dir").map(PathBuf::from);
    let metadata_dir = metadata_dir.unwrap_or_else(|| log_dirs(values)[0].clone());
    let voters = values
        .list("controller.quorum.voters")
        .into_iter()
        .map(voter)
        .collect::<Result<Vec<_>, _>>()?;
    let mut ids: Vec<NodeId> = voters.iter().map(|voter| voter.node_id).collect();
    ids.sort_unstable();
    if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("controller.quorum.voters names node {} twice", pair[0]);
        return Err(ConfigError::Conflict(reason));
    }
    const BOOTSTRAP: &str = "controller.quorum.bootstrap.servers";
    let bootstrap = values
        .list(BOOTSTRAP)
        .into_iter()
        .map(|address| parse_host_port(BOOTSTRAP, address))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(QuorumConfig {
        bootstrap: if voters.is_empty() { bootstrap } else { Vec::new() },
        voters,
        auto_join: values.bool("controller.quorum.auto.join.enable"),
        request_timeout: values.ms("controller.quorum.request.timeout.ms"),
        heartbeat_interval: values.ms("ottla.raft.heartbeat.interval.ms"),
        election_timeout_min: values.ms("ottla.raft.election.timeout.min.ms"),
        election_timeout_max: values.ms("ottla.raft.election.timeout.max.ms"),
        snapshot_entries: values.u64("ottla.metadata.log.max.entries.between.snapshots"),
        log_segment_bytes: values.u64("ottla.raft.log.segment.bytes"),
        metadata_dir,
    })
}

fn voter(text: &str) -> Result<Voter, ConfigError> {
    const KEY: &str = "controller.quorum.voters";
    let invalid = || ConfigError::InvalidValue {
        name: KEY.to_owned(),
        value: text.to_owned(),
        reason: "must be id@host:port".to_owned(),
    };
    let (id, address) = text.split_once('@').ok_or_else(invalid)?;
    let id = id.trim().parse::<i32>().ok().filter(|id| *id >= 0).ok_or_else(invalid)?;
    let (host, port) = parse_host_port(KEY, address)?;
    if host.is_empty() || port == 0 {
        return Err(invalid());
    }
    Ok(Voter { node_id: NodeId(id), host, port })
}

/// Without `listeners` only this machine reaches a node. Where its quorum is on other hosts that is
/// never meant: the node would seem well, and each one of a rolling restart would cut itself off, until
/// there is no quorum.
fn listeners_problem(quorum: &QuorumConfig) -> Option<ConfigError> {
    let voters = quorum.voters.iter().map(|voter| voter.host.as_str());
    let mut hosts = voters.chain(quorum.bootstrap.iter().map(|(host, _)| host.as_str()));
    let other = hosts.find(|host| !is_loopback(host))?;
    Some(ConfigError::Missing {
        name: "listeners",
        reason: format!(
            "the quorum has a controller at {other}, and without this key only this machine would \
             reach the node; for example PLAINTEXT://:9092,CONTROLLER://:9093"
        ),
    })
}

fn quorum_problem(node_id: NodeId, roles: Roles, quorum: &QuorumConfig) -> Option<ConfigError> {
    let is_voter = quorum.voters.iter().any(|voter| voter.node_id == node_id);
    if quorum.voters.is_empty() {
        return (quorum.bootstrap.is_empty() && !roles.controller).then(|| ConfigError::Missing {
            name: "controller.quorum.voters",
            reason: "a node that is no controller must know where they are".to_owned(),
        });
    }
    match (roles.controller, is_voter) {
        (true, false) => Some(ConfigError::Conflict(format!(
            "node {node_id} is a controller but not in controller.quorum.voters"
        ))),
        (false, true) => Some(ConfigError::Conflict(format!(
            "node {node_id} is in controller.quorum.voters, but its process.roles have no controller"
        ))),
        (true, true) | (false, false) => None,
    }
}

fn timing_problems(
    quorum: &QuorumConfig,
    liveness: &LivenessConfig,
    groups: &GroupConfig,
) -> Vec<ConfigError> {
    let rules = [
        (
            liveness.heartbeat_interval * 2 <= liveness.session_timeout,
            "broker.heartbeat.interval.ms must be at most half of broker.session.timeout.ms",
        ),
        (
            quorum.heartbeat_interval * 2 <= quorum.election_timeout_min,
            "ottla.raft.heartbeat.interval.ms must be at most half of ottla.raft.election.timeout.min.ms",
        ),
        (
            quorum.election_timeout_min < quorum.election_timeout_max,
            "ottla.raft.election.timeout.min.ms must be below ottla.raft.election.timeout.max.ms",
        ),
        (
            groups.min_session_timeout <= groups.max_session_timeout,
            "group.min.session.timeout.ms must be at most group.max.session.timeout.ms",
        ),
    ];
    let broken = rules.iter().filter(|(holds, _)| !holds);
    broken.map(|(_, rule)| ConfigError::Conflict((*rule).to_owned())).collect()
}

fn log_dirs(values: &Values<'_>) -> Vec<PathBuf> {
    let given = values.list("log.dirs");
    let list = if given.is_empty() { values.list("log.dir") } else { given };
    let dirs: Vec<PathBuf> = list.into_iter().map(PathBuf::from).collect();
    if dirs.is_empty() { vec![PathBuf::from("./ottla-data")] } else { dirs }
}

fn requests(values: &Values<'_>) -> RequestConfig {
    RequestConfig {
        socket_request_max_bytes: values.u32("socket.request.max.bytes"),
        queued_max_requests: values.u32("queued.max.requests"),
        queued_max_request_bytes: u64::try_from(values.i64("queued.max.request.bytes"))
            .ok()
            .filter(|bytes| *bytes > 0),
        connection_inflight_max: values.u32("ottla.connection.inflight.max"),
        fetch_max_bytes: values.u32("fetch.max.bytes"),
        fetch_transfer: FetchTransfer::of(values.text("ottla.fetch.transfer")),
        max_request_partitions: values.u32("max.request.partition.size.limit"),
        request_timeout: values.ms("request.timeout.ms"),
        delete_topic_enable: values.bool("delete.topic.enable"),
        auto_create_topics_enable: values.bool("auto.create.topics.enable"),
    }
}

fn liveness(values: &Values<'_>) -> LivenessConfig {
    LivenessConfig {
        heartbeat_interval: values.ms("broker.heartbeat.interval.ms"),
        session_timeout: values.ms("broker.session.timeout.ms"),
        controlled_shutdown: values.bool("controlled.shutdown.enable"),
        shutdown_timeout: values.ms("ottla.shutdown.timeout.ms"),
    }
}

fn replication(values: &Values<'_>) -> ReplicationConfig {
    ReplicationConfig {
        lag_time_max: values.ms("replica.lag.time.max.ms"),
        slow_follower_max: Some(values.ms("ottla.replica.slow.max.ms"))
            .filter(|limit| !limit.is_zero()),
        fetch_max_bytes: values.u32("replica.fetch.max.bytes"),
        fetch_response_max_bytes: values.u32("replica.fetch.response.max.bytes"),
        high_watermark_checkpoint_interval: values
            .ms("replica.high.watermark.checkpoint.interval.ms"),
        auto_leader_rebalance: values.bool("auto.leader.rebalance.enable"),
        leader_imbalance_check_interval: values.seconds("leader.imbalance.check.interval.seconds"),
    }
}

fn storage(values: &Values<'_>) -> StorageConfig {
    StorageConfig {
        log_dirs: log_dirs(values),
        recovery_threads_per_dir: values.u32("num.recovery.threads.per.data.dir"),
        retention_check_interval: values.ms("log.retention.check.interval.ms"),
        recovery_point_checkpoint_interval: values.ms("log.flush.offset.checkpoint.interval.ms"),
        producer_id_expiration: values.ms("producer.id.expiration.ms"),
        producer_expiration_check_interval: values.ms("producer.id.expiration.check.interval.ms"),
        cleaner_enable: values.bool("log.cleaner.enable"),
        cleaner: CleanerConfig::resolve(&Layers::fixed(values.0)),
        tail_cache: TailCacheConfig {
            node_bytes: values.u64("ottla.tail.cache.bytes"),
            partition_bytes: values.u64("ottla.tail.cache.partition.bytes"),
        },
        disks: DiskConfig {
            stall: Some(values.ms("ottla.disk.stall.ms")).filter(|limit| !limit.is_zero()),
            scrub_bytes_per_second: values.u64("ottla.scrub.bytes.per.second"),
            scrub_interval: values.ms("ottla.scrub.interval.ms"),
        },
        open_files_max: values.u32("ottla.log.open.files.max"),
    }
}

fn groups(values: &Values<'_>) -> GroupConfig {
    GroupConfig {
        min_session_timeout: values.ms("group.min.session.timeout.ms"),
        max_session_timeout: values.ms("group.max.session.timeout.ms"),
        initial_rebalance_delay: values.ms("group.initial.rebalance.delay.ms"),
        max_size: values.u32("group.max.size"),
        offset_metadata_max_bytes: values.u32("offset.metadata.max.bytes"),
        offsets_commit_timeout: values.ms("offsets.commit.timeout.ms"),
        retention_check_interval: values.ms("offsets.retention.check.interval.ms"),
    }
}

fn internal_topics(values: &Values<'_>) -> InternalTopicConfig {
    InternalTopicConfig {
        offsets_partitions: values.u32("offsets.topic.num.partitions"),
        offsets_replication_factor: values.u16("offsets.topic.replication.factor"),
        offsets_segment_bytes: values.u32("offsets.topic.segment.bytes"),
        transactions_partitions: values.u32("transaction.state.log.num.partitions"),
        transactions_replication_factor: values.u16("transaction.state.log.replication.factor"),
        transactions_min_isr: values.u32("transaction.state.log.min.isr"),
        transactions_segment_bytes: values.u32("transaction.state.log.segment.bytes"),
    }
}
