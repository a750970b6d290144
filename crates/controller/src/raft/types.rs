//! What Raft is about here: members, proposals, answers.

use super::leader_id::LeaderId;
use bytes::Bytes;
use std::fmt;
use types::{DirectoryId, MetadataVersion, NodeId, Uuid};

/// A member of the quorum: a node together with the directory that it stores in. A wiped disk has
/// a new directory id, so it is another member, and no member ever votes twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberId {
    node_id: i32,
    directory_id: [u8; 16],
}

impl MemberId {
    pub fn new(node_id: NodeId, directory_id: DirectoryId) -> MemberId {
        MemberId { node_id: node_id.0, directory_id: directory_id.0 }
    }

    pub fn node_id(&self) -> NodeId {
        NodeId(self.node_id)
    }

    pub fn directory_id(&self) -> DirectoryId {
        Uuid(self.directory_id)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node_id, self.directory_id())
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Only openraft's own test suite makes members from numbers.
#[cfg(test)]
impl From<u64> for MemberId {
    fn from(number: u64) -> MemberId {
        MemberId { node_id: number as i32, directory_id: [0; 16] }
    }
}

/// What Raft's membership says of a member: `host:port` of its controller listener.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Address(pub String);

/// What is proposed to Raft: records decided on the image of `base`. `records` is an encoded
/// `MetadataBatch`, encoded once and never changed on its way to every disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    pub base: MetadataVersion,
    pub records: Bytes,
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch on {}, {} bytes", self.base, self.records.len())
    }
}

/// What applying an entry came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// Nothing of ours: a blank entry or a membership.
    Nothing,
    /// The batch was applied; the image has this version now.
    Version(MetadataVersion),
    /// The batch was decided on another version than the image's own; nothing was done.
    Skipped,
}

openraft::declare_raft_types!(
    /// openraft's types for the controllers' quorum.
    pub TypeConfig:
        D = Proposal,
        R = Applied,
        NodeId = MemberId,
        Node = Address,
        LeaderId = LeaderId,
);

pub type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub type Entry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub type Payload = openraft::type_config::alias::PayloadOf<TypeConfig>;
pub type Membership = openraft::Membership<MemberId, Address>;
pub type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;
/// A snapshot is passed about as the whole content of its file.
pub type Snapshot = openraft::type_config::alias::SnapshotOf<TypeConfig, Bytes>;
