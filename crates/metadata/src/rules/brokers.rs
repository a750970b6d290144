//! Brokers come, fall silent, return and go.

use super::elections::{
    Records, elect_leaderless, remove_from_isrs, remove_lost_replica, yield_partition,
};
use crate::draft::Draft;
use crate::{Broker, Endpoint, FailReplicas, Record, Refusal, RegisterBroker, Reply, StepDown};
use types::{BrokerEpoch, ErrorCode, MetadataVersion, NodeId, Uuid};

pub fn name_cluster(draft: &mut Draft<'_>, cluster_id: &str) -> Result<Reply, Refusal> {
    if cluster_id.is_empty() {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "cluster id is empty"));
    }
    match draft.image().cluster_id() {
        None => draft.push(Record::Cluster { cluster_id: cluster_id.to_owned() }),
        Some(known) if known == cluster_id => {}
        Some(known) => return Err(inconsistent_cluster(known, cluster_id)),
    }
    Ok(Reply::Done)
}

/// A new incarnation has lost what it led and leaves every ISR except as the last member, before
/// it is unfenced: what it stored before may be gone, and followers may have moved on. It stays an
/// eligible leader only if the former incarnation stopped cleanly.
pub fn register(draft: &mut Draft<'_>, command: &RegisterBroker) -> Result<Reply, Refusal> {
    check_registration(draft, command)?;
    let existing = draft.image().broker(command.broker_id).cloned();
    let records = records_of(existing.as_ref(), command);
    let lost_log_dirs = match &existing {
        Some(former) => lost_log_dirs(former, command),
        None => forgotten_log_dirs(draft, command.broker_id),
    };
    let same = existing.filter(|broker| broker.incarnation_id == command.incarnation_id);
    let broker = Broker {
        id: command.broker_id,
        epoch: BrokerEpoch(draft.image().last_broker_epoch().0 + 1),
        incarnation_id: command.incarnation_id,
        endpoints: command.endpoints.clone(),
        rack: command.rack.clone(),
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: command.log_dirs.clone(),
        failed_log_dirs: Vec::new(),
        lost_log_dirs,
        features: command.features.clone(),
        previous_epoch: command.previous_epoch,
        registered_version: MetadataVersion(draft.image().version().0 + 1),
    };
    let broker_epoch = match same {
        // The answer to the first attempt was lost: the registration stands, told anew.
        Some(same) => {
            let amended = Broker {
                epoch: same.epoch,
                fenced: same.fenced,
                in_controlled_shutdown: same.in_controlled_shutdown,
                registered_version: same.registered_version,
                failed_log_dirs: same.failed_log_dirs.clone(),
                lost_log_dirs: same.lost_log_dirs.clone(),
                ..broker
            };
            if amended != same {
                draft.push(Record::Broker(amended));
            }
            same.epoch
        }
        None => {
            let epoch = broker.epoch;
            remove_from_isrs(draft, command.broker_id, records);
            draft.push(Record::Broker(broker));
            epoch
        }
    };
    Ok(Reply::BrokerRegistered { broker_epoch })
}

/// A clean stop leaves the epoch that it ended in every directory; a directory that is gone took
/// its records along, and one that has failed may have lost what was not synced, even if it is back.
fn records_of(existing: Option<&Broker>, command: &RegisterBroker) -> Records {
    let Some(former) = existing else { return Records::MaybeLost };
    let is_back = |dir: &&Uuid| command.log_dirs.contains(dir);
    let (count, back) = (former.log_dirs.len(), former.log_dirs.iter().filter(is_back).count());
    match former.epoch == command.previous_epoch {
        _ if back == 0 && count > 0 => Records::Lost,
        true if back == count && former.failed_log_dirs.is_empty() => Records::Whole,
        _ => Records::MaybeLost,
    }
}

/// Stands for directories that nobody remembers. No directory has it as its id: in a random one some
/// bits tell its version.
const FORGOTTEN_LOG_DIR: Uuid = Uuid([0xff; 16]);

/// A broker that was unregistered and still has replicas had directories, nobody knows which: one that
/// comes back with others must not lead by its id alone. Where its logs are there, nothing is lost.
fn forgotten_log_dirs(draft: &Draft<'_>, broker: NodeId) -> Vec<Uuid> {
    match draft.partitions_where(|partition| partition.is_replica(broker)).is_empty() {
        true => Vec::new(),
        false => vec![FORGOTTEN_LOG_DIR],
    }
}

/// What the broker had once and does not name now, the newest last.
fn lost_log_dirs(former: &Broker, command: &RegisterBroker) -> Vec<Uuid> {
    let had = former.lost_log_dirs.iter().chain(&former.log_dirs);
    let mut lost: Vec<Uuid> = had.filter(|dir| !command.log_dirs.contains(dir)).copied().collect();
    lost.drain(..lost.len().saturating_sub(Broker::LOST_LOG_DIRS_MAX));
    lost
}

pub fn unregister(draft: &mut Draft<'_>, broker_id: NodeId) -> Result<Reply, Refusal> {
    if draft.image().broker(broker_id).is_none() {
        return Err(not_registered(broker_id));
    }
    remove_from_isrs(draft, broker_id, Records::MaybeLost);
    draft.push(Record::BrokerRemoved { broker_id });
    Ok(Reply::Done)
}

pub fn fence(draft: &mut Draft<'_>, id: NodeId, epoch: BrokerEpoch) -> Result<Reply, Refusal> {
    let broker = check_epoch(draft, id, epoch)?;
    if !broker.fenced {
        draft.push(Record::Broker(Broker { fenced: true, ..broker }));
        remove_from_isrs(draft, id, Records::Whole);
    }
    Ok(Reply::Done)
}

pub fn unfence(draft: &mut Draft<'_>, id: NodeId, epoch: BrokerEpoch) -> Result<Reply, Refusal> {
    let broker = check_epoch(draft, id, epoch)?;
    if broker.in_controlled_shutdown {
        let message = format!("broker {id} is shutting down and cannot be unfenced");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    if broker.fenced {
        draft.push(Record::Broker(Broker { fenced: false, ..broker }));
        elect_leaderless(draft, |partition, _| partition.is_replica(id));
    }
    Ok(Reply::Done)
}

pub fn begin_controlled_shutdown(
    draft: &mut Draft<'_>,
    id: NodeId,
    epoch: BrokerEpoch,
) -> Result<Reply, Refusal> {
    let broker = check_epoch(draft, id, epoch)?;
    if !broker.in_controlled_shutdown {
        draft.push(Record::Broker(Broker { in_controlled_shutdown: true, ..broker }));
        remove_from_isrs(draft, id, Records::Whole);
    }
    Ok(Reply::Done)
}

/// What the directories held is lost to the broker; others may lead in its place. The directories
/// stay in the registration, so that a next start without them is known to have lost their records.
pub fn fail_replicas(draft: &mut Draft<'_>, command: &FailReplicas) -> Result<Reply, Refusal> {
    let broker = check_epoch(draft, command.broker_id, command.broker_epoch)?;
    let mut failed_log_dirs = broker.failed_log_dirs.clone();
    let is_new = |dir: &&Uuid| broker.log_dirs.contains(dir) && !failed_log_dirs.contains(dir);
    let more: Vec<Uuid> = command.log_dirs.iter().filter(is_new).copied().collect();
    if !more.is_empty() {
        failed_log_dirs.extend(more);
        draft.push(Record::Broker(Broker { failed_log_dirs, ..broker }));
    }
    let records = if command.records_gone { Records::Lost } else { Records::MaybeLost };
    for id in &command.partitions {
        remove_lost_replica(draft, *id, command.broker_id, records);
    }
    Ok(Reply::Done)
}

/// Whoever has a slow disk keeps its records and stays alive: it comes back by catching up.
pub fn step_down(draft: &mut Draft<'_>, command: &StepDown) -> Result<Reply, Refusal> {
    check_epoch(draft, command.broker_id, command.broker_epoch)?;
    for id in &command.partitions {
        yield_partition(draft, *id, command.broker_id);
    }
    Ok(Reply::Done)
}

/// The broker, if the epoch is its registration's.
pub fn check_epoch(draft: &Draft<'_>, id: NodeId, epoch: BrokerEpoch) -> Result<Broker, Refusal> {
    let broker = draft.image().broker(id).ok_or_else(|| not_registered(id))?;
    if broker.epoch != epoch {
        let message = format!("broker {id} has epoch {}, not {epoch}", broker.epoch);
        return Err(Refusal::new(ErrorCode::StaleBrokerEpoch, message));
    }
    Ok(broker.clone())
}

fn not_registered(id: NodeId) -> Refusal {
    Refusal::new(ErrorCode::BrokerIdNotRegistered, format!("broker {id} is not registered"))
}

fn inconsistent_cluster(known: &str, given: &str) -> Refusal {
    let message = format!("this cluster's id is {known}, the request's is {given}");
    Refusal::new(ErrorCode::InconsistentClusterId, message)
}

fn check_registration(draft: &Draft<'_>, command: &RegisterBroker) -> Result<(), Refusal> {
    let known = draft.image().cluster_id().unwrap_or("not decided yet");
    if known != command.cluster_id {
        return Err(inconsistent_cluster(known, &command.cluster_id));
    }
    let invalid = |message: String| Err(Refusal::new(ErrorCode::InvalidRegistration, message));
    let id = command.broker_id;
    if id.0 < 0 {
        return invalid(format!("broker id {id} is negative"));
    }
    if command.incarnation_id.is_zero() {
        return invalid(format!("incarnation id of broker {id} is zero"));
    }
    if let Err(message) = check_endpoints(&command.endpoints) {
        return invalid(format!("broker {id}: {message}"));
    }
    for (index, dir) in command.log_dirs.iter().enumerate() {
        if dir.is_zero() {
            return invalid(format!("broker {id} has a log directory with id zero"));
        }
        if command.log_dirs[..index].contains(dir) {
            return invalid(format!("broker {id} names log directory {dir} twice"));
        }
        let mut others = draft.image().brokers().filter(|broker| broker.id != id);
        if let Some(other) = others.find(|broker| broker.log_dirs.contains(dir)) {
            return invalid(format!("log directory {dir} already belongs to broker {}", other.id));
        }
    }
    let existing = draft.image().broker(id);
    let other = existing.is_some_and(|broker| broker.incarnation_id != command.incarnation_id);
    if other && command.session_alive {
        let message = format!("another broker with id {id} is registered and alive");
        return Err(Refusal::new(ErrorCode::DuplicateBrokerRegistration, message));
    }
    Ok(())
}

fn check_endpoints(endpoints: &[Endpoint]) -> Result<(), String> {
    if endpoints.is_empty() {
        return Err("no listeners".to_owned());
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let Endpoint { name, host, port, .. } = endpoint;
        if name.is_empty() {
            return Err(format!("the listener at {host}:{port} has no name"));
        }
        if host.is_empty() {
            return Err(format!("listener {name} has no host"));
        }
        if *port == 0 {
            return Err(format!("listener {name} has port 0"));
        }
        if endpoints[..index].iter().any(|other| other.name == *name) {
            return Err(format!("listener {name} is named twice"));
        }
    }
    Ok(())
}
