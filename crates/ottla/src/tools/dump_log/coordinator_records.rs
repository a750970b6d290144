//! Records of the coordinators' topics as JSON, with Kafka's names.

use super::decoder::Parsed;
use super::json::{Object, array, string};
use bytes::Bytes;
use records::Record;
use types::Uuid;
use wire::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use wire::group_records::{
    GroupMetadataKey, GroupMetadataValue, LegacyOffsetCommitKey, MemberMetadata, OffsetCommitKey,
    OffsetCommitValue,
};
use wire::transaction_records::{TransactionLogKey, TransactionLogValue};
use wire::{DecodeError, Message, Reader};

const DELETED: &str = "<DELETE>";
const CONSUMER_PROTOCOL: &str = "consumer";

type Read = fn(&Bytes, Option<&Bytes>) -> Result<Option<Parsed>, DecodeError>;

/// A record of `__consumer_offsets`.
pub fn offsets(record: &Record) -> Result<Parsed, String> {
    told(record, "offset", group_record)
}

/// A record of `__transaction_state`.
pub fn transactions(record: &Record) -> Result<Parsed, String> {
    told(record, "transaction", transaction_record)
}

/// What cannot be read is told in the place of the key.
fn told(record: &Record, topic: &str, read: Read) -> Result<Parsed, String> {
    let offset = record.offset;
    let Some(key) = &record.key else {
        return Err(format!(
            "Failed to decode message at offset {offset} using {topic} topic decoder (message had \
             a missing key)"
        ));
    };
    let skipped = |text| Parsed { key: Some(text), value: None };
    match read(key, record.value.as_ref()) {
        Ok(Some(parsed)) => Ok(parsed),
        Ok(None) => {
            let kind = key.get(..2).map_or(-1, |two| i16::from_be_bytes([two[0], two[1]]));
            Ok(skipped(format!("Unknown record type {kind} at offset {offset}, skipping.")))
        }
        Err(error) => Ok(skipped(format!("Error at offset {offset}, skipping. {error}"))),
    }
}

/// `None` for a type that is not known.
fn group_record(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Parsed>, DecodeError> {
    let mut reader = Reader::new(key.clone());
    let kind = reader.int16()?;
    let key = match kind {
        0 => legacy_offset_key(&LegacyOffsetCommitKey::decode(&mut reader, 0)?),
        1 => offset_key(&OffsetCommitKey::decode(&mut reader, 0)?),
        2 => {
            let key = GroupMetadataKey::decode(&mut reader, 0)?;
            Object::new().text("group", &key.group).build()
        }
        _ => return Ok(None),
    };
    let key = Object::new().text("type", &kind.to_string()).raw("data", &key).build();
    let Some(value) = value else {
        return Ok(Some(Parsed { key: Some(key), value: Some(DELETED.to_owned()) }));
    };
    let mut reader = Reader::new(value.clone());
    let version = reader.int16()?;
    let value = match kind {
        2 => group_value(&GroupMetadataValue::decode(&mut reader, version)?, version),
        _ => offset_value(&OffsetCommitValue::decode(&mut reader, version)?, version),
    };
    let value = Object::new().text("version", &version.to_string()).raw("data", &value).build();
    Ok(Some(Parsed { key: Some(key), value: Some(value) }))
}

fn legacy_offset_key(key: &LegacyOffsetCommitKey) -> String {
    let object = Object::new().text("group", &key.group).text("topic", &key.topic);
    object.number("partition", i64::from(key.partition)).build()
}

fn offset_key(key: &OffsetCommitKey) -> String {
    let object = Object::new().text("group", &key.group).text("topic", &key.topic);
    object.number("partition", i64::from(key.partition)).build()
}

fn offset_value(value: &OffsetCommitValue, version: i16) -> String {
    let mut object = Object::new().number("offset", value.offset);
    if version >= 3 {
        object = object.number("leaderEpoch", i64::from(value.leader_epoch));
    }
    object = object.text("metadata", &value.metadata);
    object = object.number("commitTimestamp", value.commit_timestamp);
    if version == 1 {
        object = object.number("expireTimestamp", value.expire_timestamp);
    }
    if version >= 4 && value.topic_id != Uuid::default() {
        object = object.text("topicId", &value.topic_id.to_string());
    }
    object.build()
}

fn group_value(value: &GroupMetadataValue, version: i16) -> String {
    let is_consumer = &*value.protocol_type == CONSUMER_PROTOCOL;
    let mut object = Object::new()
        .text("protocolType", &value.protocol_type)
        .number("generation", i64::from(value.generation))
        .nullable("protocol", value.protocol.as_deref())
        .nullable("leader", value.leader.as_deref());
    if version >= 2 {
        object = object.number("currentStateTimestamp", value.current_state_timestamp);
    }
    let members = value.members.iter().map(|member| group_member(member, version, is_consumer));
    object.raw("members", &array(members)).build()
}

fn group_member(member: &MemberMetadata, version: i16, is_consumer: bool) -> String {
    let mut object = Object::new().text("memberId", &member.member_id);
    if version >= 3 {
        object = object.nullable("groupInstanceId", member.group_instance_id.as_deref());
    }
    object = object.text("clientId", &member.client_id).text("clientHost", &member.client_host);
    if version >= 1 {
        object = object.number("rebalanceTimeout", i64::from(member.rebalance_timeout));
    }
    object = object.number("sessionTimeout", i64::from(member.session_timeout));
    let readable = |bytes: &Bytes, read: fn(&Bytes) -> Result<String, DecodeError>| {
        is_consumer.then(|| read(bytes).ok()).flatten()
    };
    object = match readable(&member.subscription, subscription) {
        Some(json) => object.raw("subscription", &json),
        None => object.bytes("subscription", Some(&member.subscription)),
    };
    object = match readable(&member.assignment, assignment) {
        Some(json) => object.raw("assignment", &json),
        None => object.bytes("assignment", Some(&member.assignment)),
    };
    object.build()
}

fn subscription(bytes: &Bytes) -> Result<String, DecodeError> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.int16()?;
    let value = ConsumerProtocolSubscription::decode(&mut reader, version)?;
    let mut object = Object::new()
        .raw("topics", &array(value.topics.iter().map(|topic| string(topic))))
        .bytes("userData", value.user_data.as_deref());
    if version >= 1 {
        object = object.raw("ownedPartitions", &topic_partitions(&value.owned_partitions));
    }
    if version >= 2 {
        object = object.number("generationId", i64::from(value.generation_id));
    }
    if version >= 3 {
        object = object.nullable("rackId", value.rack_id.as_deref());
    }
    Ok(object.build())
}

fn assignment(bytes: &Bytes) -> Result<String, DecodeError> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.int16()?;
    let value = ConsumerProtocolAssignment::decode(&mut reader, version)?;
    let object =
        Object::new().raw("assignedPartitions", &topic_partitions(&value.assigned_partitions));
    Ok(object.bytes("userData", value.user_data.as_deref()).build())
}

fn topic_partitions(topics: &[TopicPartition]) -> String {
    array(topics.iter().map(|topic| {
        let partitions = array(topic.partitions.iter().map(i32::to_string));
        Object::new().text("topic", &topic.topic).raw("partitions", &partitions).build()
    }))
}

/// `None` for a type that is not known.
fn transaction_record(key: &Bytes, value: Option<&Bytes>) -> Result<Option<Parsed>, DecodeError> {
    let mut reader = Reader::new(key.clone());
    let kind = reader.int16()?;
    if kind != TransactionLogKey::KEY {
        return Ok(None);
    }
    let key = TransactionLogKey::decode(&mut reader, 0)?;
    let key = Object::new().text("transactionalId", &key.transactional_id).build();
    let key = Object::new().text("type", &kind.to_string()).raw("data", &key).build();
    let Some(value) = value else {
        return Ok(Some(Parsed { key: Some(key), value: Some(DELETED.to_owned()) }));
    };
    let mut reader = Reader::new(value.clone());
    let version = reader.int16()?;
    let value = transaction_value(&TransactionLogValue::decode(&mut reader, version)?);
    let value = Object::new().text("version", &version.to_string()).raw("data", &value).build();
    Ok(Some(Parsed { key: Some(key), value: Some(value) }))
}

/// Kafka's name of a transaction's state; the number of one that is not known.
fn transaction_state(status: i8) -> String {
    const NAMES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];
    let name = usize::try_from(status).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| status.to_string(), |name| (*name).to_owned())
}

/// Tagged fields are there where they are not at their default.
fn transaction_value(value: &TransactionLogValue) -> String {
    let tagged = |object: Object, name: &str, value: i64, default: i64| match value == default {
        true => object,
        false => object.number(name, value),
    };
    let mut object = Object::new().number("producerId", value.producer_id);
    object = tagged(object, "previousProducerId", value.previous_producer_id, -1);
    object = tagged(object, "nextProducerId", value.next_producer_id, -1);
    object = object.number("producerEpoch", i64::from(value.producer_epoch));
    object = tagged(object, "nextProducerEpoch", i64::from(value.next_producer_epoch), -1);
    object = object
        .number("transactionTimeoutMs", i64::from(value.transaction_timeout_ms))
        .text("transactionStatus", &transaction_state(value.transaction_status));
    let partitions = value.transaction_partitions.as_ref().map(|partitions| {
        array(partitions.iter().map(|topic| {
            let ids = array(topic.partition_ids.iter().map(i32::to_string));
            Object::new().text("topic", &topic.topic).raw("partitionIds", &ids).build()
        }))
    });
    object = object
        .raw("transactionPartitions", partitions.as_deref().unwrap_or("null"))
        .number("transactionLastUpdateTimestampMs", value.transaction_last_update_timestamp_ms)
        .number("transactionStartTimestampMs", value.transaction_start_timestamp_ms);
    let version = i64::from(value.client_transaction_version);
    tagged(object, "clientTransactionVersion", version, 0).build()
}
