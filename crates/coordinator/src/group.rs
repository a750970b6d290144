//! One classic group: its members, its generation and the state they are in.
//!
//! ```text
//! Empty -> PreparingRebalance -> CompletingRebalance -> Stable -> PreparingRebalance ...
//!            (members join)        (leader assigns)                (someone comes or goes)
//! ```

use crate::java;
use crate::member::{Member, Protocol};
use crate::subscription;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;
use types::{ErrorCode, Monotonic};

/// The protocol type of consumers, whose subscriptions Kafka's brokers can read.
const CONSUMER_PROTOCOL_TYPE: &str = "consumer";
/// Most topics that are read from the subscriptions of one group, which takes some tens of
/// milliseconds. A client may name millions, of no length; where there are more, any topic may be
/// among them.
const SUBSCRIBED_TOPICS_MAX: usize = 1 << 20;

/// Where a group stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupState {
    /// No members; offsets may remain.
    Empty,
    /// Members are (re)joining.
    PreparingRebalance,
    /// All have joined; the leader computes the assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// Removed.
    Dead,
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The wait of a first rebalance for more members (`group.initial.rebalance.delay.ms`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct InitialDelay {
    pub delay: Duration,
    pub remaining: Duration,
    pub member_added: bool,
}

/// A group. The coordinator changes it; readers see it through descriptions.
#[derive(Clone, Debug)]
pub struct Group {
    pub id: String,
    pub state: GroupState,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: Option<String>,
    /// By member id; `joined_order` keeps who came first, as the leader is the first joiner.
    pub members: BTreeMap<String, Member>,
    pub(crate) joined_order: Vec<String>,
    /// Instance id to member id.
    pub(crate) static_members: BTreeMap<String, String>,
    /// Ids given by MEMBER_ID_REQUIRED whose owners have not come back, with their expiry.
    pub(crate) pending_members: BTreeMap<String, Monotonic>,
    /// When the present join phase ends although members are missing.
    pub(crate) join_deadline: Option<Monotonic>,
    pub(crate) initial_delay: Option<InitialDelay>,
    /// When members that have not synced are dropped.
    pub(crate) sync_deadline: Option<Monotonic>,
    /// An assignment record is on its way to the log, of this generation.
    pub(crate) writing_generation: Option<i32>,
}

impl Group {
    pub(crate) fn new(id: &str) -> Group {
        Group {
            id: id.to_owned(),
            state: GroupState::Empty,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            joined_order: Vec::new(),
            static_members: BTreeMap::new(),
            pending_members: BTreeMap::new(),
            join_deadline: None,
            initial_delay: None,
            sync_deadline: None,
            writing_generation: None,
        }
    }

    pub(crate) fn add(&mut self, member: Member) {
        if let Some(instance) = &member.group_instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        self.pending_members.remove(&member.id);
        if self.leader.is_none() {
            self.leader = Some(member.id.clone());
        }
        self.joined_order.push(member.id.clone());
        self.members.insert(member.id.clone(), member);
    }

    pub(crate) fn remove(&mut self, member_id: &str) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        self.joined_order.retain(|id| id != member_id);
        if let Some(instance) = &member.group_instance_id
            && self.static_members.get(instance).is_some_and(|id| id == member_id)
        {
            self.static_members.remove(instance);
        }
        if self.leader.as_deref() == Some(member_id) {
            self.leader = self.joined_order.first().cloned();
        }
        Some(member)
    }

    /// Whether a member with these protocols can be part of the group.
    pub(crate) fn accepts(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.members.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|p| self.members.values().all(|m| m.supports(&p.name)))
    }

    /// The protocol that most members prefer among those that all support; of several with as many
    /// votes the one that Kafka's table of votes has first.
    pub(crate) fn choose_protocol(&self) -> Option<String> {
        let common = |name: &str| self.members.values().all(|m| m.supports(name));
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for member in self.joined_order.iter().filter_map(|id| self.members.get(id)) {
            let Some(vote) = member.protocols.iter().find(|p| common(&p.name)) else { continue };
            match votes.iter_mut().find(|(name, _)| *name == vote.name) {
                Some((_, count)) => *count += 1,
                None => votes.push((vote.name.as_str(), 1)),
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max()?;
        let names = java::hash_map_order(votes.iter().map(|(name, _)| *name).collect());
        let first = names.into_iter().find(|name| votes.contains(&(*name, most)))?;
        Some(first.to_owned())
    }

    /// Whether nobody is in it or on the way to it.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == GroupState::Empty
            && self.members.is_empty()
            && self.pending_members.is_empty()
    }

    /// Which of these topics somebody may consume by it, as Kafka tells it: a consumer's subscription
    /// in the chosen protocol's format. What is not known yet, or cannot be read, may be any topic.
    /// Each member is looked at once, whatever is asked: its metadata is as long as a client likes.
    pub(crate) fn subscribed_of<'a>(&self, asked: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        if !self.uses_consumer_protocol() || self.members.is_empty() {
            return BTreeSet::new();
        }
        let Some(protocol) = &self.protocol_name else { return asked.clone() };
        let mut found: BTreeSet<&'a str> = BTreeSet::new();
        let mut left = SUBSCRIBED_TOPICS_MAX;
        for member in self.members.values() {
            let are_all = subscription::each_topic(&member.metadata(protocol), |topic| {
                if left == 0 {
                    return false;
                }
                left -= 1;
                found.extend(asked.get(topic).copied());
                true
            });
            if !are_all {
                return asked.clone();
            }
        }
        found
    }

    pub(crate) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    pub(crate) fn has_all_joined(&self) -> bool {
        self.pending_members.is_empty() && self.members.values().all(|m| m.joining.is_some())
    }

    pub(crate) fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|m| m.rebalance_timeout).max().unwrap_or_default()
    }

    /// Checks a member's identity: dynamic by its id, static by instance id and id together.
    pub(crate) fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            return match self.static_members.get(instance) {
                None => Err(ErrorCode::UnknownMemberId),
                Some(known) if known != id => Err(ErrorCode::FencedInstanceId),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// The leader must be among those who have joined this round; the first of them follows it.
    pub(crate) fn elect_joined_leader(&mut self) -> bool {
        let joined = |id: &String| self.members.get(id).is_some_and(|m| m.joining.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let next = self.joined_order.iter().find(|id| joined(id)).cloned();
        let found = next.is_some();
        if found {
            self.leader = next;
        }
        found
    }

    pub(crate) fn clear_assignments(&mut self) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
    }

    /// The earliest time at which something happens by itself.
    pub(crate) fn next_deadline(&self) -> Monotonic {
        let members = self.members.values().filter(|m| !m.is_parked()).map(|m| m.expires_at);
        let pending = self.pending_members.values().copied();
        let phases = self.join_deadline.into_iter().chain(self.sync_deadline);
        members.chain(pending).chain(phases).min().unwrap_or(Monotonic::NEVER)
    }
}
