//! Who hears whom, and the streams between brokers.

use crate::event::{Incarnation, StreamId};
use std::collections::{BTreeMap, BTreeSet};
use types::NodeId;

type Process = (NodeId, Incarnation);

#[derive(Clone, Copy, Debug)]
struct Stream {
    follower: Process,
    leader: Process,
    is_broken: bool,
    /// What was sent before it broke still arrives.
    drains: bool,
    /// Every message takes so much longer, microseconds.
    lag: u64,
    /// The last delivery towards the follower and towards the leader: order holds in a stream.
    last: [u64; 2],
}

#[derive(Clone, Debug, Default)]
pub struct Network {
    blocked: BTreeSet<(NodeId, NodeId)>,
    running: BTreeMap<NodeId, Incarnation>,
    streams: BTreeMap<StreamId, Stream>,
}

impl Network {
    pub fn is_blocked(&self, from: NodeId, to: NodeId) -> bool {
        self.blocked.contains(&(from, to))
    }

    pub fn has_blocks(&self) -> bool {
        !self.blocked.is_empty()
    }

    pub fn block(&mut self, from: NodeId, to: NodeId) {
        self.blocked.insert((from, to));
    }

    pub fn unblock(&mut self, one: NodeId, other: NodeId) {
        self.blocked.remove(&(one, other));
        self.blocked.remove(&(other, one));
    }

    pub fn unblock_all(&mut self) {
        self.blocked.clear();
    }

    pub fn started(&mut self, node: NodeId, incarnation: Incarnation) {
        self.running.insert(node, incarnation);
    }

    pub fn stopped(&mut self, node: NodeId) {
        self.running.remove(&node);
    }

    /// A new stream, if the leader's process runs and both hear each other.
    pub fn open(&mut self, follower: Process, leader: NodeId) -> Option<StreamId> {
        let incarnation = *self.running.get(&leader)?;
        if self.is_blocked(follower.0, leader) || self.is_blocked(leader, follower.0) {
            return None;
        }
        let id = self.streams.len() as StreamId;
        let leader = (leader, incarnation);
        let (is_broken, drains) = (false, false);
        let stream = Stream { follower, leader, is_broken, drains, lag: 0, last: [0, 0] };
        self.streams.insert(id, stream);
        Some(id)
    }

    pub fn slow_down(&mut self, stream: StreamId, lag: u64) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.lag = lag;
        }
    }

    /// When and to whom a message of the stream is delivered; `None` if it is broken.
    pub fn deliver_at(
        &mut self,
        stream: StreamId,
        to_leader: bool,
        at: u64,
    ) -> Option<(u64, NodeId, Incarnation)> {
        let stream = self.streams.get_mut(&stream)?;
        if stream.is_broken {
            return None;
        }
        let last = &mut stream.last[usize::from(to_leader)];
        *last = (at + stream.lag).max(*last + 1);
        let (node, incarnation) = if to_leader { stream.leader } else { stream.follower };
        Some((*last, node, incarnation))
    }

    /// Whether a message that was sent arrives.
    pub fn arrives(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|stream| !stream.is_broken || stream.drains)
    }

    pub fn is_open(&self, stream: StreamId) -> bool {
        self.streams.get(&stream).is_some_and(|stream| !stream.is_broken)
    }

    /// Both ends, if it was not broken before.
    pub fn break_stream(&mut self, stream: StreamId, drains: bool) -> Option<(Process, Process)> {
        let stream = self.streams.get_mut(&stream)?;
        if stream.is_broken {
            return None;
        }
        stream.is_broken = true;
        stream.drains = drains;
        Some((stream.follower, stream.leader))
    }

    /// The unbroken streams that the predicate on (follower, leader) picks.
    pub fn streams_where(&self, is_picked: impl Fn(NodeId, NodeId) -> bool) -> Vec<StreamId> {
        let open = self.streams.iter().filter(|(_, stream)| !stream.is_broken);
        let picked = open.filter(|(_, stream)| is_picked(stream.follower.0, stream.leader.0));
        picked.map(|(id, _)| *id).collect()
    }
}
