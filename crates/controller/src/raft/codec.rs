//! openraft's values to and from the messages of `raft.proto`, for the wire and for the disk.
//!
//! Promises: what is stored has one byte before it, the version of its encoding; nothing that a
//! peer or a disk gives panics; decoding what was encoded gives the same value.

use super::leader_id::{Elected, LeaderId};
use super::types::{
    Address, Entry, LogId, MemberId, Membership, Payload, Proposal, StoredMembership, Vote,
};
use bytes::{BufMut, Bytes, BytesMut};
use openraft::EntryPayload;
use prost::Message;
use rpc::raft as pb;
use std::collections::{BTreeMap, BTreeSet};
use types::{MetadataVersion, NodeId, Uuid};

/// The version of stored encodings that is written.
const VERSION: u8 = 1;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable {0}")]
pub struct CodecError(pub &'static str);

impl From<CodecError> for std::io::Error {
    fn from(error: CodecError) -> std::io::Error {
        std::io::Error::new(std::io::ErrorKind::InvalidData, error)
    }
}

/// A message with the version byte before it.
pub fn store<M: Message>(message: &M) -> Bytes {
    let mut out = BytesMut::with_capacity(message.encoded_len() + 1);
    out.put_u8(VERSION);
    message.encode(&mut out).expect("a growing buffer has room");
    out.freeze()
}

/// Reads what [`store`] wrote.
pub fn unstore<M: Message + Default>(bytes: &Bytes, what: &'static str) -> Result<M, CodecError> {
    if bytes.first() != Some(&VERSION) {
        return Err(CodecError(what));
    }
    M::decode(bytes.slice(1..)).map_err(|_| CodecError(what))
}

pub fn member_to_pb(member: &MemberId) -> pb::Member {
    let directory_id = Bytes::copy_from_slice(&member.directory_id().0);
    pb::Member { node_id: member.node_id().0, directory_id }
}

pub fn member_from_pb(member: Option<&pb::Member>) -> Result<MemberId, CodecError> {
    let member = member.ok_or(CodecError("member"))?;
    let directory = member.directory_id[..].try_into().map_err(|_| CodecError("directory id"))?;
    Ok(MemberId::new(NodeId(member.node_id), Uuid(directory)))
}

pub fn vote_to_pb(vote: &Vote) -> pb::Ballot {
    let leader = vote.leader_id;
    let member = Some(member_to_pb(&leader.member));
    pb::Ballot { term: leader.term, member, committed: vote.committed }
}

pub fn vote_from_pb(ballot: Option<&pb::Ballot>) -> Result<Vote, CodecError> {
    let ballot = ballot.ok_or(CodecError("vote"))?;
    let member = member_from_pb(ballot.member.as_ref())?;
    let leader_id = LeaderId { term: ballot.term, member };
    Ok(Vote { leader_id, committed: ballot.committed })
}

pub fn log_id_to_pb(id: &LogId) -> pb::LogId {
    let leader = Some(member_to_pb(&id.leader_id.member));
    pb::LogId { term: id.leader_id.term, leader, index: id.index }
}

pub fn log_id_from_pb(id: &pb::LogId) -> Result<LogId, CodecError> {
    let member = member_from_pb(id.leader.as_ref())?;
    Ok(LogId { leader_id: Elected { term: id.term, member }, index: id.index })
}

pub fn optional_log_id(id: Option<&pb::LogId>) -> Result<Option<LogId>, CodecError> {
    id.map(log_id_from_pb).transpose()
}

pub fn membership_to_pb(membership: &Membership) -> pb::Membership {
    let set = |voters: &BTreeSet<MemberId>| pb::membership::VoterSet {
        voters: voters.iter().map(member_to_pb).collect(),
    };
    let member = |(id, address): (&MemberId, &Address)| pb::MemberAddress {
        member: Some(member_to_pb(id)),
        address: address.0.clone(),
    };
    pb::Membership {
        voter_sets: membership.get_joint_config().iter().map(set).collect(),
        members: membership.nodes().map(member).collect(),
    }
}

pub fn membership_from_pb(membership: &pb::Membership) -> Result<Membership, CodecError> {
    let mut sets = Vec::new();
    for set in &membership.voter_sets {
        let voters = set.voters.iter().map(|voter| member_from_pb(Some(voter)));
        sets.push(voters.collect::<Result<BTreeSet<_>, _>>()?);
    }
    let mut members = BTreeMap::new();
    for member in &membership.members {
        let id = member_from_pb(member.member.as_ref())?;
        members.insert(id, Address(member.address.clone()));
    }
    if sets.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(sets, members).map_err(|_| CodecError("membership"))
}

pub fn stored_membership(
    at: Option<&pb::LogId>,
    membership: Option<&pb::Membership>,
) -> Result<StoredMembership, CodecError> {
    let membership = membership.ok_or(CodecError("membership"))?;
    Ok(StoredMembership::new(optional_log_id(at)?, membership_from_pb(membership)?))
}

/// An entry as it is stored and sent.
pub fn entry_to_bytes(entry: &Entry) -> Bytes {
    use pb::entry::Payload as To;
    let payload = match &entry.payload {
        EntryPayload::Blank => To::Blank(pb::entry::Blank {}),
        EntryPayload::Membership(membership) => To::Membership(membership_to_pb(membership)),
        EntryPayload::Normal(Proposal { base, records }) => {
            To::Proposal(pb::Proposal { base_version: base.0, records: records.clone() })
        }
    };
    store(&pb::Entry { id: Some(log_id_to_pb(&entry.log_id)), payload: Some(payload) })
}

pub fn entry_from_bytes(bytes: &Bytes) -> Result<Entry, CodecError> {
    use pb::entry::Payload as From;
    let entry: pb::Entry = unstore(bytes, "raft entry")?;
    let log_id = log_id_from_pb(entry.id.as_ref().ok_or(CodecError("raft entry"))?)?;
    let payload: Payload = match entry.payload.ok_or(CodecError("raft entry"))? {
        From::Blank(_) => EntryPayload::Blank,
        From::Membership(membership) => EntryPayload::Membership(membership_from_pb(&membership)?),
        From::Proposal(proposal) => EntryPayload::Normal(Proposal {
            base: MetadataVersion(proposal.base_version),
            records: proposal.records,
        }),
    };
    Ok(Entry { log_id, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: i32) -> MemberId {
        MemberId::new(NodeId(node), Uuid([node as u8; 16]))
    }

    #[test]
    fn every_kind_of_entry_reads_back_as_it_was() {
        let leader_id = Elected { term: 3, member: member(2) };
        let members = BTreeMap::from([
            (member(1), Address("a:1".to_owned())),
            (member(2), Address("b:2".to_owned())),
            (member(3), Address("c:3".to_owned())),
        ]);
        let sets = vec![BTreeSet::from([member(1), member(2)]), BTreeSet::from([member(2)])];
        let membership = Membership::new(sets, members).expect("members are known");
        let payloads = [
            EntryPayload::Blank,
            EntryPayload::Membership(membership),
            EntryPayload::Membership(Membership::default()),
            EntryPayload::Normal(Proposal {
                base: MetadataVersion(9),
                records: Bytes::from_static(b"r"),
            }),
        ];
        for (index, payload) in (0..).zip(payloads) {
            let entry = Entry { log_id: LogId { leader_id, index }, payload };
            let bytes = entry_to_bytes(&entry);
            let again = entry_from_bytes(&bytes).expect("readable");
            assert_eq!(again, entry);
            for cut in 0..bytes.len() {
                let _ = entry_from_bytes(&bytes.slice(..cut));
            }
        }
    }

    /// As they were written when a term could have several leaders.
    #[test]
    fn entries_and_votes_of_older_versions_are_read() {
        let bytes = |text: &str| {
            let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex");
            Bytes::from_iter((0..text.len()).step_by(2).map(byte))
        };
        let stored = bytes("010a1a08031214080212100202020202020202020202020202020218071200");
        let entry = Entry {
            log_id: LogId { leader_id: Elected { term: 3, member: member(2) }, index: 7 },
            payload: EntryPayload::Blank,
        };
        assert_eq!(entry_from_bytes(&stored), Ok(entry.clone()));
        assert_eq!(entry_to_bytes(&entry), stored);
        let stored = bytes("010803121408021210020202020202020202020202020202021801");
        let ballot: pb::Ballot = unstore(&stored, "vote").expect("readable");
        let vote = vote_from_pb(Some(&ballot)).expect("a vote");
        let leader_id = LeaderId { term: 3, member: member(2) };
        assert_eq!(vote, Vote { leader_id, committed: true });
        assert_eq!(store(&vote_to_pb(&vote)), stored);
    }
}
