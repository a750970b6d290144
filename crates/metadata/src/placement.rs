//! Where the replicas of new partitions go: striped over racks, leaders spread.
//!
//! Promises:
//! - replicas of a partition are on distinct brokers, the first of them unfenced;
//! - a partition's replicas go round the racks, so none holds two while another that has a free
//!   broker holds none; consecutive partitions start in consecutive racks;
//! - in each rack leaders go round its unfenced brokers, and so do followers; fenced brokers are
//!   used last;
//! - after as many partitions as there are unfenced brokers the order is drawn anew, so that
//!   the same brokers do not always hold the same partitions together.
//!
//! Does not: look at load or disk space. Evenness over racks outranks evenness over brokers.

use crate::SplitMix;
use std::collections::BTreeMap;
use types::NodeId;

/// A broker that may be given replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsableBroker {
    pub id: NodeId,
    /// Brokers without rack are one rack together.
    pub rack: Option<String>,
    pub fenced: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlacementRequest {
    pub partition_count: usize,
    pub replication_factor: usize,
}

/// Why nothing can be placed; all of them are INVALID_REPLICATION_FACTOR to clients.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PlacementError {
    #[error("replication factor must be at least 1")]
    NoReplicas,
    #[error("replication factor {wanted} is larger than the number of usable brokers, {usable}")]
    TooFewBrokers { wanted: usize, usable: usize },
    #[error("all brokers are fenced")]
    AllFenced,
}

/// The replicas of each new partition, preferred leader first.
pub fn place(
    brokers: &[UsableBroker],
    request: PlacementRequest,
    rng: &mut SplitMix,
) -> Result<Vec<Vec<NodeId>>, PlacementError> {
    let PlacementRequest { partition_count, replication_factor } = request;
    if replication_factor == 0 {
        return Err(PlacementError::NoReplicas);
    }
    if replication_factor > brokers.len() {
        let usable = brokers.len();
        return Err(PlacementError::TooFewBrokers { wanted: replication_factor, usable });
    }
    let unfenced = brokers.iter().filter(|broker| !broker.fenced).count();
    if unfenced == 0 {
        return Err(PlacementError::AllFenced);
    }
    let mut racks = racks(brokers);
    let mut placed = Vec::with_capacity(partition_count);
    for index in 0..partition_count {
        if index % unfenced == 0 {
            shuffle(&mut racks, rng);
        }
        placed.push(place_one(&mut racks, index, replication_factor));
    }
    Ok(placed)
}

/// A rack's brokers, and how far its turns have gone.
struct Rack {
    unfenced: Vec<NodeId>,
    fenced: Vec<NodeId>,
    leaders_placed: usize,
    followers_placed: usize,
}

fn racks(brokers: &[UsableBroker]) -> Vec<Rack> {
    let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
    for broker in brokers {
        let rack = racks.entry(broker.rack.as_deref()).or_insert_with(|| Rack {
            unfenced: Vec::new(),
            fenced: Vec::new(),
            leaders_placed: 0,
            followers_placed: 0,
        });
        let list = if broker.fenced { &mut rack.fenced } else { &mut rack.unfenced };
        list.push(broker.id);
    }
    racks.into_values().collect()
}

fn shuffle(racks: &mut [Rack], rng: &mut SplitMix) {
    rng.shuffle(racks);
    for rack in racks {
        rng.shuffle(&mut rack.unfenced);
        rng.shuffle(&mut rack.fenced);
    }
}

/// Places one partition, its leader in the first rack from `start` on that has an unfenced broker.
/// The caller has seen to it that there is one, and enough brokers.
fn place_one(racks: &mut [Rack], start: usize, replication_factor: usize) -> Vec<NodeId> {
    let count = racks.len();
    let leader_rack = (start..start + count)
        .map(|index| index % count)
        .find(|index| !racks[*index].unfenced.is_empty())
        .expect("a rack has an unfenced broker");
    let mut waiting: Vec<std::vec::IntoIter<NodeId>> = Vec::with_capacity(count);
    for (index, rack) in racks.iter_mut().enumerate() {
        let turn = if index == leader_rack { rack.leaders_placed } else { rack.followers_placed };
        let mut order = rotated(&rack.unfenced, turn);
        order.extend(rotated(&rack.fenced, turn));
        waiting.push(order.into_iter());
    }
    let mut replicas = Vec::with_capacity(replication_factor);
    let mut index = leader_rack;
    while replicas.len() < replication_factor {
        if let Some(broker) = waiting[index].next() {
            replicas.push(broker);
            if index != leader_rack {
                racks[index].followers_placed += 1;
            }
        }
        index = (index + 1) % count;
    }
    racks[leader_rack].leaders_placed += 1;
    replicas
}

/// The list, begun at the item `turn`, going round.
fn rotated(list: &[NodeId], turn: usize) -> Vec<NodeId> {
    let start = turn % list.len().max(1);
    list[start..].iter().chain(&list[..start]).copied().collect()
}
