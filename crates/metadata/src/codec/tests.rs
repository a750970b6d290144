//! Round trips of values that the scripts do not reach, and foreign bytes. (The scripts and the
//! random commands send every command, reply and record that they meet through the codec, too.)

use crate::*;
use bytes::Bytes;
use proptest::prelude::*;
use types::{
    BrokerEpoch, ErrorCode, LeaderEpoch, MetadataVersion, NodeId, PartitionEpoch, PartitionIndex,
    ProducerId, TopicId, TopicIdPartition, TopicPartition, Uuid,
};

fn ids() -> impl Strategy<Value = Uuid> {
    any::<[u8; 16]>().prop_map(Uuid)
}

fn nodes() -> impl Strategy<Value = Vec<NodeId>> {
    prop::collection::vec(any::<i32>().prop_map(NodeId), 0..4)
}

fn recovery() -> impl Strategy<Value = LeaderRecovery> {
    prop_oneof![Just(LeaderRecovery::Recovered), Just(LeaderRecovery::Recovering)]
}

fn resource() -> impl Strategy<Value = ConfigResource> {
    prop_oneof![
        any::<String>().prop_map(ConfigResource::Topic),
        any::<i32>().prop_map(|id| ConfigResource::Broker(NodeId(id))),
        Just(ConfigResource::ClusterDefault),
    ]
}

fn partition() -> impl Strategy<Value = Partition> {
    let lists = (nodes(), nodes(), nodes(), nodes());
    (lists, any::<[i32; 3]>(), recovery()).prop_map(|(lists, numbers, recovery)| {
        let (replicas, isr, elr, last_known_elr) = lists;
        Partition {
            replicas,
            isr,
            elr,
            last_known_elr,
            leader: NodeId(numbers[0]),
            leader_epoch: LeaderEpoch(numbers[1]),
            partition_epoch: PartitionEpoch(numbers[2]),
            leader_recovery: recovery,
        }
    })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (any::<String>(), any::<String>(), any::<u16>(), 0..i16::MAX).prop_map(
        |(name, host, port, security_protocol)| Endpoint { name, host, port, security_protocol },
    )
}

fn feature() -> impl Strategy<Value = FeatureRange> {
    (any::<String>(), any::<i16>(), any::<i16>())
        .prop_map(|(name, level_min, level_max)| FeatureRange { name, level_min, level_max })
}

fn broker() -> impl Strategy<Value = Broker> {
    let parts = (
        prop::collection::vec(endpoint(), 0..3),
        prop::option::of(any::<String>()),
        prop::collection::vec(ids(), 0..3),
        prop::collection::vec(feature(), 0..3),
        prop::collection::vec(ids(), 0..2),
        prop::collection::vec(ids(), 0..2),
    );
    let numbers = (any::<i32>(), any::<i64>(), ids(), any::<i64>(), any::<u64>());
    (parts, numbers, any::<[bool; 2]>()).prop_map(|(parts, numbers, flags)| Broker {
        id: NodeId(numbers.0),
        epoch: BrokerEpoch(numbers.1),
        incarnation_id: numbers.2,
        endpoints: parts.0,
        rack: parts.1,
        fenced: flags[0],
        in_controlled_shutdown: flags[1],
        log_dirs: parts.2,
        failed_log_dirs: parts.4,
        lost_log_dirs: parts.5,
        features: parts.3,
        previous_epoch: BrokerEpoch(numbers.3),
        registered_version: MetadataVersion(numbers.4),
    })
}

fn record() -> impl Strategy<Value = Record> {
    let state = (ids(), any::<i32>(), partition()).prop_map(|(topic_id, index, state)| {
        Record::Partition { topic_id, partition: PartitionIndex(index), state }
    });
    let config = (resource(), any::<String>(), prop::option::of(any::<String>()))
        .prop_map(|(resource, name, value)| Record::Config { resource, name, value });
    prop_oneof![
        any::<String>().prop_map(|cluster_id| Record::Cluster { cluster_id }),
        any::<i64>().prop_map(|last| Record::BrokerEpoch { last: BrokerEpoch(last) }),
        broker().prop_map(Record::Broker),
        any::<i32>().prop_map(|id| Record::BrokerRemoved { broker_id: NodeId(id) }),
        (ids(), any::<String>()).prop_map(|(topic_id, name)| Record::Topic { topic_id, name }),
        ids().prop_map(|topic_id| Record::TopicRemoved { topic_id }),
        state,
        config,
        any::<i64>().prop_map(|next| Record::ProducerIds { next: ProducerId(next) }),
    ]
}

proptest! {
    #[test]
    fn every_record_survives_its_encoding(record in record()) {
        prop_assert_eq!(Record::from_bytes(record.to_bytes()), Ok(record));
    }

    #[test]
    fn foreign_bytes_never_panic_and_what_decodes_applies(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let bytes = Bytes::from(bytes);
        let _ = Command::from_bytes(bytes.clone());
        let _ = Reply::from_bytes(bytes.clone());
        if let Ok(record) = Record::from_bytes(bytes) {
            Image::default().apply(&record);
        }
    }

    #[test]
    fn a_damaged_record_never_panics(record in record(), at in any::<usize>(), bit in 0..8u32) {
        let mut bytes = record.to_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = Record::from_bytes(Bytes::from(bytes.clone()));
        bytes.truncate(at);
        let _ = Record::from_bytes(Bytes::from(bytes));
    }

    #[test]
    fn any_records_in_any_order_apply_without_refusal(
        records in prop::collection::vec(record(), 0..30),
    ) {
        let image = Image::from_records(MetadataVersion(1), &records);
        let _ = image.digest();
    }
}

#[test]
fn replies_with_every_error_survive_their_encoding() {
    let id = TopicIdPartition { topic_id: TopicId::ZERO, partition: PartitionIndex(3) };
    for code in ErrorCode::ALL {
        let refusal = Refusal::new(*code, "why");
        let alteration = PartitionAlteration { partition: id, outcome: Err(refusal.clone()) };
        let name = TopicPartition { topic: "t".to_owned(), partition: PartitionIndex(0) };
        let election = LeaderElection { partition: name, outcome: Err(refusal.clone()) };
        let replies = [
            Reply::Refused(refusal),
            Reply::PartitionsAltered(vec![alteration]),
            Reply::LeadersElected(vec![election]),
        ];
        for reply in replies {
            assert_eq!(Reply::from_bytes(reply.to_bytes()), Ok(reply));
        }
    }
}

#[test]
fn messages_of_unknown_kinds_and_short_ids_are_refused() {
    assert_eq!(Record::from_bytes(Bytes::new()), Err(DecodeError::Missing("record")));
    assert_eq!(Command::from_bytes(Bytes::new()), Err(DecodeError::Missing("command")));
    let topic =
        rpc::metadata::TopicRecord { topic_id: Bytes::from_static(b"short"), name: "t".into() };
    let record = rpc::metadata::record::Record::Topic(topic);
    let record = rpc::metadata::Record { record: Some(record) };
    assert!(matches!(
        Record::try_from(record),
        Err(DecodeError::Invalid { field: "topic_id", .. })
    ));
}
