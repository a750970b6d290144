//! Records as the first version wrote them, in hex: they are read the same way for ever. Lines are
//! only added to the file, by running with OTTLA_UPDATE_SCRIPTS set while it does not exist.
#![allow(clippy::disallowed_methods)]

use bytes::Bytes;
use metadata::{Broker, ConfigResource, Endpoint, FeatureRange, LeaderRecovery, Partition, Record};
use std::fmt::Write;
use std::path::Path;
use types::{
    BrokerEpoch, LeaderEpoch, MetadataVersion, NodeId, PartitionEpoch, PartitionIndex, ProducerId,
    Uuid,
};

fn records() -> Vec<Record> {
    let topic_id = Uuid([7; 16]);
    let config = |resource, value: Option<&str>| Record::Config {
        resource,
        name: "retention.ms".to_owned(),
        value: value.map(str::to_owned),
    };
    vec![
        Record::Cluster { cluster_id: "vPeOCWypqUOSepEvx0cbog".to_owned() },
        Record::BrokerEpoch { last: BrokerEpoch(41) },
        Record::Broker(Broker {
            id: NodeId(1),
            epoch: BrokerEpoch(41),
            incarnation_id: Uuid([1; 16]),
            endpoints: vec![Endpoint {
                name: "PLAINTEXT".to_owned(),
                host: "broker-1".to_owned(),
                port: 9092,
                security_protocol: 0,
            }],
            rack: Some("a".to_owned()),
            fenced: true,
            in_controlled_shutdown: true,
            log_dirs: vec![Uuid([2; 16])],
            failed_log_dirs: Vec::new(),
            lost_log_dirs: Vec::new(),
            features: vec![FeatureRange { name: "f".to_owned(), level_min: 0, level_max: 2 }],
            previous_epoch: BrokerEpoch::NONE,
            registered_version: MetadataVersion(40),
        }),
        Record::BrokerRemoved { broker_id: NodeId(1) },
        Record::Topic { topic_id, name: "orders".to_owned() },
        Record::TopicRemoved { topic_id },
        Record::Partition {
            topic_id,
            partition: PartitionIndex(3),
            state: Partition {
                replicas: vec![NodeId(1), NodeId(2), NodeId(3)],
                isr: vec![NodeId(2)],
                elr: vec![NodeId(3)],
                last_known_elr: Vec::new(),
                leader: NodeId::NONE,
                leader_epoch: LeaderEpoch(5),
                partition_epoch: PartitionEpoch(9),
                leader_recovery: LeaderRecovery::Recovering,
            },
        },
        config(ConfigResource::Topic("orders".to_owned()), Some("5")),
        config(ConfigResource::Broker(NodeId(1)), None),
        config(ConfigResource::ClusterDefault, Some("")),
        Record::ProducerIds { next: ProducerId(3000) },
    ]
}

#[test]
fn records_of_the_first_version_are_read_as_they_were_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/records-v1.hex");
    if !path.exists() && std::env::var_os("OTTLA_UPDATE_SCRIPTS").is_some() {
        let mut text = String::new();
        for record in records() {
            for byte in record.to_bytes() {
                write!(text, "{byte:02x}").unwrap();
            }
            text.push('\n');
        }
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let stored: Vec<Record> =
        text.lines().map(|line| Record::from_bytes(hex(line)).unwrap()).collect();
    assert_eq!(stored, records());
}

fn hex(line: &str) -> Bytes {
    let pairs = line.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}
