//! Where the replicas of new partitions go: striped over racks, leaders spread.
//!
//! Promises:
//! - replicas of a partition are on distinct brokers, the first of them unfenced;
//! - a partition's replicas go round the racks, so none holds two while another that has a free
//!   broker holds none; consecutive partitions start in consecutive racks;
//! - in each rack leaders go round its unfenced brokers, and so do followers from other racks;
//!   fenced brokers are used last;
//! - every order is drawn anew after each full round, never within one, so that the same brokers do
//!   not always hold the same partitions together and evenness is kept.
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
        if index % racks.len() == 0 {
            rng.shuffle(&mut racks);
        }
        placed.push(place_one(&mut racks, index, replication_factor, rng));
    }
    Ok(placed)
}

/// A rack's brokers.
#[derive(Default)]
struct Rack {
    /// How leaders go round, and the followers that share a rack with their leader.
    leaders: Turns,
    /// How followers of leaders in other racks go round.
    followers: Turns,
}

/// Brokers that take turns.
#[derive(Default)]
struct Turns {
    unfenced: Vec<NodeId>,
    fenced: Vec<NodeId>,
    taken: usize,
}

impl Turns {
    /// All brokers, the one whose turn it is first. A new round begins in a new order.
    fn order(&mut self, rng: &mut SplitMix) -> Vec<NodeId> {
        if self.taken.is_multiple_of(self.unfenced.len().max(1)) {
            rng.shuffle(&mut self.unfenced);
            rng.shuffle(&mut self.fenced);
        }
        let mut order = rotated(&self.unfenced, self.taken);
        order.extend(rotated(&self.fenced, self.taken));
        order
    }
}

fn racks(brokers: &[UsableBroker]) -> Vec<Rack> {
    let mut racks: BTreeMap<Option<&str>, Rack> = BTreeMap::new();
    for broker in brokers {
        let rack = racks.entry(broker.rack.as_deref()).or_default();
        for turns in [&mut rack.leaders, &mut rack.followers] {
            let list = if broker.fenced { &mut turns.fenced } else { &mut turns.unfenced };
            list.push(broker.id);
        }
    }
    racks.into_values().collect()
}

/// Places one partition, its leader in the first rack from `start` on that has an unfenced broker.
/// The caller has seen to it that there is one, and enough brokers.
fn place_one(
    racks: &mut [Rack],
    start: usize,
    replication_factor: usize,
    rng: &mut SplitMix,
) -> Vec<NodeId> {
    let count = racks.len();
    let leader_rack = (start..start + count)
        .map(|index| index % count)
        .find(|index| !racks[*index].leaders.unfenced.is_empty())
        .expect("a rack has an unfenced broker");
    let mut waiting: Vec<std::vec::IntoIter<NodeId>> = Vec::with_capacity(count);
    for (index, rack) in racks.iter_mut().enumerate() {
        let turns = if index == leader_rack { &mut rack.leaders } else { &mut rack.followers };
        waiting.push(turns.order(rng).into_iter());
    }
    let mut replicas = Vec::with_capacity(replication_factor);
    let mut index = leader_rack;
    while replicas.len() < replication_factor {
        if let Some(broker) = waiting[index].next() {
            replicas.push(broker);
            if index != leader_rack {
                racks[index].followers.taken += 1;
            }
        }
        index = (index + 1) % count;
    }
    racks[leader_rack].leaders.taken += 1;
    replicas
}

/// The list, begun at the item `turn`, going round.
fn rotated(list: &[NodeId], turn: usize) -> Vec<NodeId> {
    let start = turn % list.len().max(1);
    list[start..].iter().chain(&list[..start]).copied().collect()
}
