//! The records of `__consumer_offsets` that classic groups use, in Kafka's own layout, so that
//! Kafka's tools read them (reference: `OffsetCommitKey/Value`, `GroupMetadataKey/Value`).
//!
//! Keys: i16 type, then the fields. Values: i16 version, then the fields. A missing value is a
//! tombstone. We write group values of version 3, and offset values of version 4, whose tagged
//! field is the topic's id (of version 3 where that is not known).

use crate::member::Protocol;
use crate::offsets::CommittedOffset;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition, Uuid};

/// One record of the coordinator's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRecord {
    /// A committed offset; `None` removes it.
    Offset { group_id: String, partition: TopicPartition, value: Option<CommittedOffset> },
    /// A group's last agreed state; `None` removes the group.
    Group { group_id: String, value: Option<GroupSnapshot> },
}

/// What survives of a group: enough for its members to go on after the coordinator has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSnapshot {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol_name: Option<String>,
    pub leader: Option<String>,
    pub state_timestamp: Timestamp,
    pub members: Vec<MemberSnapshot>,
}

/// A member inside a [`GroupSnapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSnapshot {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The metadata of the chosen protocol.
    pub subscription: Protocol,
    pub assignment: Bytes,
}

/// Bytes that are no record we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("group record is truncated")]
    Truncated,
    #[error("group record has a text that is not utf-8")]
    NotUtf8,
    #[error("group record has an unknown key type {0}")]
    UnknownType(i16),
    #[error("group record has an unknown value version {0}")]
    UnknownVersion(i16),
}

const OFFSET_KEY: i16 = 1;
const LEGACY_OFFSET_KEY: i16 = 0;
const GROUP_KEY: i16 = 2;
const OFFSET_VALUE_VERSION: i16 = 3;
/// The first with tagged fields, "flexible".
const TAGGED_OFFSET_VALUE_VERSION: i16 = 4;
/// The tag of the topic's id.
const TOPIC_ID_TAG: u32 = 0;
const GROUP_VALUE_VERSION: i16 = 3;

impl GroupRecord {
    /// The key and, unless it is a tombstone, the value.
    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        match self {
            GroupRecord::Offset { group_id, partition, value } => {
                let mut key = BytesMut::new();
                key.put_i16(OFFSET_KEY);
                put_string(&mut key, group_id);
                put_string(&mut key, &partition.topic);
                key.put_i32(partition.partition.0);
                (key.freeze(), value.as_ref().map(encode_offset))
            }
            GroupRecord::Group { group_id, value } => {
                let mut key = BytesMut::new();
                key.put_i16(GROUP_KEY);
                put_string(&mut key, group_id);
                (key.freeze(), value.as_ref().map(encode_group))
            }
        }
    }

    /// Reads a record. `Ok(None)`: a kind that a later version writes, to be skipped.
    pub fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Option<GroupRecord>, RecordError> {
        let mut key = key.clone();
        match get_i16(&mut key)? {
            OFFSET_KEY | LEGACY_OFFSET_KEY => {
                let group_id = get_string(&mut key)?;
                let topic = get_string(&mut key)?;
                let partition = PartitionIndex(get_i32(&mut key)?);
                let value = value.map(|v| decode_offset(v.clone())).transpose()?;
                let partition = TopicPartition { topic, partition };
                Ok(Some(GroupRecord::Offset { group_id, partition, value }))
            }
            GROUP_KEY => {
                let group_id = get_string(&mut key)?;
                let value = value.map(|v| decode_group(v.clone())).transpose()?;
                Ok(Some(GroupRecord::Group { group_id, value }))
            }
            3..=23 => Ok(None),
            other => Err(RecordError::UnknownType(other)),
        }
    }
}

fn encode_offset(value: &CommittedOffset) -> Bytes {
    let mut out = BytesMut::new();
    let is_tagged = !value.topic_id.is_zero();
    out.put_i16(if is_tagged { TAGGED_OFFSET_VALUE_VERSION } else { OFFSET_VALUE_VERSION });
    out.put_i64(value.offset.0);
    out.put_i32(value.leader_epoch.0);
    match is_tagged {
        true => put_compact_string(&mut out, &value.metadata),
        false => put_string(&mut out, &value.metadata),
    }
    out.put_i64(value.commit_timestamp.0);
    if is_tagged {
        put_varint(&mut out, 1);
        put_varint(&mut out, TOPIC_ID_TAG);
        put_varint(&mut out, value.topic_id.0.len() as u32);
        out.put_slice(&value.topic_id.0);
    }
    out.freeze()
}

fn decode_offset(mut value: Bytes) -> Result<CommittedOffset, RecordError> {
    let version = get_i16(&mut value)?;
    if !(0..=TAGGED_OFFSET_VALUE_VERSION).contains(&version) {
        return Err(RecordError::UnknownVersion(version));
    }
    let is_tagged = version == TAGGED_OFFSET_VALUE_VERSION;
    let offset = Offset(get_i64(&mut value)?);
    let leader_epoch =
        if version >= 3 { LeaderEpoch(get_i32(&mut value)?) } else { LeaderEpoch::NONE };
    let metadata = match is_tagged {
        true => get_compact_string(&mut value)?,
        false => get_string(&mut value)?,
    };
    let commit_timestamp = Timestamp(get_i64(&mut value)?);
    let topic_id = if is_tagged { get_topic_id(&mut value)? } else { TopicId::ZERO };
    Ok(CommittedOffset { offset, leader_epoch, metadata, commit_timestamp, topic_id })
}

/// The topic's id among the tagged fields; zero if it is not there.
fn get_topic_id(from: &mut Bytes) -> Result<TopicId, RecordError> {
    let mut topic_id = TopicId::ZERO;
    for _ in 0..get_varint(from)? {
        let tag = get_varint(from)?;
        let size = get_varint(from)? as usize;
        let field = take(from, size)?;
        if tag == TOPIC_ID_TAG {
            topic_id = Uuid(field[..].try_into().map_err(|_| RecordError::Truncated)?);
        }
    }
    Ok(topic_id)
}

fn encode_group(value: &GroupSnapshot) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(GROUP_VALUE_VERSION);
    put_string(&mut out, &value.protocol_type);
    out.put_i32(value.generation);
    put_nullable(&mut out, value.protocol_name.as_deref());
    put_nullable(&mut out, value.leader.as_deref());
    out.put_i64(value.state_timestamp.0);
    out.put_i32(value.members.len() as i32);
    for member in &value.members {
        put_string(&mut out, &member.member_id);
        put_nullable(&mut out, member.group_instance_id.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        put_bytes(&mut out, &member.subscription.metadata);
        put_bytes(&mut out, &member.assignment);
    }
    out.freeze()
}

fn decode_group(mut value: Bytes) -> Result<GroupSnapshot, RecordError> {
    let version = get_i16(&mut value)?;
    if !(0..=3).contains(&version) {
        return Err(RecordError::UnknownVersion(version));
    }
    let protocol_type = get_string(&mut value)?;
    let generation = get_i32(&mut value)?;
    let protocol_name = get_nullable(&mut value)?;
    let leader = get_nullable(&mut value)?;
    let state_timestamp =
        if version >= 2 { Timestamp(get_i64(&mut value)?) } else { Timestamp::NONE };
    let count = get_i32(&mut value)?;
    let mut members = Vec::new();
    for _ in 0..count {
        let member_id = get_string(&mut value)?;
        let group_instance_id = if version >= 3 { get_nullable(&mut value)? } else { None };
        let client_id = get_string(&mut value)?;
        let client_host = get_string(&mut value)?;
        let rebalance = if version >= 1 { Some(get_i32(&mut value)?) } else { None };
        let session_timeout_ms = get_i32(&mut value)?;
        let metadata = get_bytes(&mut value)?;
        let assignment = get_bytes(&mut value)?;
        let name = protocol_name.clone().unwrap_or_default();
        members.push(MemberSnapshot {
            member_id,
            group_instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms: rebalance.unwrap_or(session_timeout_ms),
            session_timeout_ms,
            subscription: Protocol { name, metadata },
            assignment,
        });
    }
    Ok(GroupSnapshot { protocol_type, generation, protocol_name, leader, state_timestamp, members })
}

fn put_string(out: &mut BytesMut, text: &str) {
    // Requests carry texts of at most i16::MAX bytes, so the cut never happens to one of them.
    let bytes = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
    out.put_i16(bytes.len() as i16);
    out.put_slice(bytes);
}

fn put_nullable(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut BytesMut, bytes: &Bytes) {
    out.put_i32(bytes.len() as i32);
    out.put_slice(bytes);
}

fn get_i16(from: &mut Bytes) -> Result<i16, RecordError> {
    from.try_get_i16().map_err(|_| RecordError::Truncated)
}

fn get_i32(from: &mut Bytes) -> Result<i32, RecordError> {
    from.try_get_i32().map_err(|_| RecordError::Truncated)
}

fn get_i64(from: &mut Bytes) -> Result<i64, RecordError> {
    from.try_get_i64().map_err(|_| RecordError::Truncated)
}

fn take(from: &mut Bytes, len: usize) -> Result<Bytes, RecordError> {
    if len > from.len() {
        return Err(RecordError::Truncated);
    }
    Ok(from.split_to(len))
}

fn text(bytes: Bytes) -> Result<String, RecordError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| RecordError::NotUtf8)
}

fn get_nullable(from: &mut Bytes) -> Result<Option<String>, RecordError> {
    let len = get_i16(from)?;
    let Ok(len) = usize::try_from(len) else { return Ok(None) };
    Ok(Some(text(take(from, len)?)?))
}

fn get_string(from: &mut Bytes) -> Result<String, RecordError> {
    get_nullable(from)?.ok_or(RecordError::Truncated)
}

/// A flexible version's text: its length is one above the real one, as a varint.
fn put_compact_string(out: &mut BytesMut, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
    put_varint(out, bytes.len() as u32 + 1);
    out.put_slice(bytes);
}

fn get_compact_string(from: &mut Bytes) -> Result<String, RecordError> {
    let len = get_varint(from)?.checked_sub(1).ok_or(RecordError::Truncated)?;
    text(take(from, len as usize)?)
}

fn put_varint(out: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn get_varint(from: &mut Bytes) -> Result<u32, RecordError> {
    let mut value: u64 = 0;
    for shift in (0..35).step_by(7) {
        let byte = from.try_get_u8().map_err(|_| RecordError::Truncated)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(value).map_err(|_| RecordError::Truncated);
        }
    }
    Err(RecordError::Truncated)
}

fn get_bytes(from: &mut Bytes) -> Result<Bytes, RecordError> {
    let len = get_i32(from)?;
    let len = usize::try_from(len).map_err(|_| RecordError::Truncated)?;
    take(from, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<GroupRecord> {
        let partition = TopicPartition { topic: "t".into(), partition: PartitionIndex(3) };
        let value = CommittedOffset {
            offset: Offset(42),
            leader_epoch: LeaderEpoch(7),
            metadata: "m".into(),
            commit_timestamp: Timestamp(1000),
            topic_id: Uuid([7; 16]),
        };
        let old = CommittedOffset { topic_id: TopicId::ZERO, ..value.clone() };
        let member = MemberSnapshot {
            member_id: "a-1".into(),
            group_instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: 1,
            session_timeout_ms: 2,
            subscription: Protocol { name: "range".into(), metadata: Bytes::from_static(b"s") },
            assignment: Bytes::from_static(b"a"),
        };
        let group = GroupSnapshot {
            protocol_type: "consumer".into(),
            generation: 5,
            protocol_name: Some("range".into()),
            leader: Some("a-1".into()),
            state_timestamp: Timestamp(9),
            members: vec![member],
        };
        let group_id = "g".to_owned();
        vec![
            GroupRecord::Offset {
                group_id: group_id.clone(),
                partition: partition.clone(),
                value: Some(value),
            },
            GroupRecord::Offset {
                group_id: group_id.clone(),
                partition: partition.clone(),
                value: Some(old),
            },
            GroupRecord::Offset { group_id: group_id.clone(), partition, value: None },
            GroupRecord::Group { group_id: group_id.clone(), value: Some(group) },
            GroupRecord::Group { group_id, value: None },
        ]
    }

    #[test]
    fn records_read_back_as_written() {
        for record in samples() {
            let (key, value) = record.encode();
            assert_eq!(GroupRecord::decode(&key, value.as_ref()), Ok(Some(record)));
        }
    }

    #[test]
    fn an_offset_of_a_known_topic_has_kafkas_bytes() {
        let (_, value) = samples()[0].encode();
        let mut expected = vec![0, 4, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 7, 2, b'm'];
        expected.extend([0, 0, 0, 0, 0, 0, 0x03, 0xe8, 1, 0, 16]);
        expected.extend([7; 16]);
        assert_eq!(value.as_deref(), Some(&expected[..]));
    }

    #[test]
    fn tagged_fields_of_later_builds_are_passed_over() {
        let (key, value) = samples()[0].encode();
        let mut bytes = value.unwrap().to_vec();
        let tags = bytes.len() - 19;
        assert_eq!(bytes[tags], 1);
        bytes[tags] = 2;
        bytes.extend([5, 3, 1, 2, 3]);
        let read = GroupRecord::decode(&key, Some(&Bytes::from(bytes)));
        assert_eq!(read, Ok(Some(samples().swap_remove(0))));
    }

    #[test]
    fn cut_bytes_are_an_error_and_never_a_panic() {
        for record in samples() {
            let (key, value) = record.encode();
            for end in 0..key.len() {
                assert!(GroupRecord::decode(&key.slice(..end), value.as_ref()).is_err());
            }
            let Some(value) = value else { continue };
            for end in 0..value.len() {
                assert!(GroupRecord::decode(&key, Some(&value.slice(..end))).is_err());
            }
        }
    }
}
