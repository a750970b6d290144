//! What callers ask of the coordinator and what they get, free of wire versions.

use crate::member::Protocol;
use crate::{GroupState, Token};
use bytes::Bytes;
use std::time::Duration;
use types::ErrorCode;

/// JoinGroup. `member_id` is empty on a member's first request.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Where the reply goes when the rebalance is done.
    pub token: Token,
    pub group_id: String,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// Whether the client understands MEMBER_ID_REQUIRED (request version 4 and later, KIP-394).
    pub require_known_member_id: bool,
    /// Whether the client understands `skip_assignment` (request version 9 and later, KIP-814).
    pub skips_assignment: bool,
    /// The suffix for a new member id, random, given by the shell.
    pub new_member_suffix: String,
    pub session_timeout: Duration,
    pub rebalance_timeout: Duration,
    pub protocol_type: String,
    pub protocols: Vec<Protocol>,
}

/// The answer to JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    pub error: Option<ErrorCode>,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    /// The leader is back and its assignment still holds: it watches the partitions of the members
    /// that it is told of, and brings no assignment (KIP-814).
    pub skip_assignment: bool,
    pub member_id: String,
    /// Filled for the leader only: member id, instance id, metadata of the chosen protocol.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

impl JoinReply {
    pub(crate) fn failed(error: ErrorCode, member_id: &str) -> JoinReply {
        JoinReply {
            error: Some(error),
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// SyncGroup. Only the leader's assignments count.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    pub token: Token,
    pub group_id: String,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub generation: i32,
    /// Set from version 5 on; checked against the group's when set.
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncReply {
    pub error: Option<ErrorCode>,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Bytes,
}

impl SyncReply {
    pub(crate) fn failed(error: ErrorCode) -> SyncReply {
        SyncReply {
            error: Some(error),
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}

/// LeaveGroup, for one or several members.
#[derive(Clone, Debug)]
pub struct LeaveRequest {
    pub group_id: String,
    pub members: Vec<LeaveItem>,
}

/// One member that leaves: by id, or by instance id (then `member_id` may be empty).
#[derive(Clone, Debug)]
pub struct LeaveItem {
    pub member_id: String,
    pub group_instance_id: Option<String>,
}

/// A row of ListGroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupListing {
    pub group_id: String,
    pub protocol_type: String,
    pub state: GroupState,
}

/// The answer to DescribeGroups for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDescription {
    pub group_id: String,
    pub state: GroupState,
    pub protocol_type: String,
    /// The chosen protocol (assignor); empty unless the group is stable.
    pub protocol_data: String,
    pub members: Vec<MemberDescription>,
}

/// One member of a described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDescription {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub metadata: Bytes,
    pub assignment: Bytes,
}
