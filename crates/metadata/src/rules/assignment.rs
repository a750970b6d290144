//! Which brokers hold a new partition: as asked, or as placed.

use crate::draft::Draft;
use crate::{Partition, PlacementError, PlacementRequest, Refusal, UsableBroker, place};
use types::{ErrorCode, NodeId, PartitionIndex, TopicIdPartition};

/// Places new partitions on the brokers that are not shutting down.
pub fn place_partitions(
    draft: &mut Draft<'_>,
    partition_count: usize,
    replication_factor: usize,
) -> Result<Vec<Partition>, Refusal> {
    let staying = draft.image().brokers().filter(|broker| !broker.in_controlled_shutdown);
    let usable = |broker: &std::sync::Arc<crate::Broker>| UsableBroker {
        id: broker.id,
        rack: broker.rack.clone(),
        fenced: broker.fenced,
    };
    let brokers: Vec<UsableBroker> = staying.map(usable).collect();
    let request = PlacementRequest { partition_count, replication_factor };
    let placed = place(&brokers, request, draft.rng()).map_err(refuse_placement)?;
    let new_partition = |replicas: Vec<NodeId>| {
        let isr = live(draft, &replicas);
        Partition::new(replicas, isr)
    };
    Ok(placed.into_iter().map(new_partition).collect())
}

/// Checks one partition's manual replicas. `replication_factor`: what it must be, if anything.
pub fn manual_partition(
    draft: &Draft<'_>,
    partition: PartitionIndex,
    replicas: &[NodeId],
    replication_factor: Option<usize>,
) -> Result<Partition, Refusal> {
    let refuse = |message: String| {
        Err(Refusal::new(
            ErrorCode::InvalidReplicaAssignment,
            format!("partition {partition}: {message}"),
        ))
    };
    if replicas.is_empty() {
        return refuse("the list of replicas is empty".to_owned());
    }
    for (index, broker) in replicas.iter().enumerate() {
        if replicas[..index].contains(broker) {
            return refuse(format!("broker {broker} is named twice"));
        }
        if draft.image().broker(*broker).is_none() {
            return refuse(format!("broker {broker} is not registered"));
        }
    }
    if let Some(wanted) = replication_factor.filter(|wanted| *wanted != replicas.len()) {
        let count = replicas.len();
        return refuse(format!("{count} replicas where the other partitions have {wanted}"));
    }
    let isr = live(draft, replicas);
    if isr.is_empty() {
        return refuse(format!("all of its brokers {replicas:?} are fenced or shutting down"));
    }
    Ok(Partition::new(replicas.to_vec(), isr))
}

/// Writes a new partition of a topic that the draft knows, configs and all. Nothing is committed
/// before the ISR holds the minimum, so until then whoever is away may lead if those that are there
/// lose what they have. (Not before: what `acks=1` has acknowledged is on them alone.)
pub fn push_new(draft: &mut Draft<'_>, id: TopicIdPartition, mut state: Partition) {
    if !state.is_full(draft.image().min_isr_of(id)) {
        let is_away = |replica: &NodeId| !state.in_isr(*replica);
        state.last_known_elr = state.replicas.iter().copied().filter(is_away).collect();
    }
    draft.push_partition(id, state);
}

fn live(draft: &Draft<'_>, replicas: &[NodeId]) -> Vec<NodeId> {
    replicas.iter().copied().filter(|replica| draft.is_live(*replica)).collect()
}

fn refuse_placement(error: PlacementError) -> Refusal {
    Refusal::new(ErrorCode::InvalidReplicationFactor, error.to_string())
}
