//! Commands of brokers whose disks fail or hang, as they go to the controller: what arrives is what
//! was sent, and what is no id is refused.

use bytes::Bytes;
use metadata::{Command, FailReplicas, StepDown};
use proptest::prelude::*;
use rpc::metadata::{self as proto, command::Command as Kind};
use types::{BrokerEpoch, NodeId, PartitionIndex, TopicIdPartition, Uuid};

fn replicas() -> impl Strategy<Value = Vec<TopicIdPartition>> {
    let id = (any::<[u8; 16]>(), 0..i32::MAX).prop_map(|(topic, index)| TopicIdPartition {
        topic_id: Uuid(topic),
        partition: PartitionIndex(index),
    });
    prop::collection::vec(id, 0..5)
}

fn command() -> impl Strategy<Value = Command> {
    let parts = (0..i32::MAX, 0..i64::MAX, replicas(), any::<Option<[u8; 16]>>(), any::<bool>());
    parts.prop_map(|(id, epoch, partitions, dir, hangs)| {
        let (broker_id, broker_epoch) = (NodeId(id), BrokerEpoch(epoch));
        match hangs {
            true => Command::StepDown(StepDown { broker_id, broker_epoch, partitions }),
            false => {
                let log_dirs = dir.map(Uuid).into_iter().collect();
                Command::FailReplicas(FailReplicas {
                    records_gone: id % 2 == 0,
                    broker_id,
                    broker_epoch,
                    log_dirs,
                    partitions,
                })
            }
        }
    })
}

fn sent(command: &Command) -> proto::Command {
    let bytes = prost::Message::encode_to_vec(&proto::Command::from(command));
    prost::Message::decode(&bytes[..]).expect("what was encoded")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_is_told_of_disks_arrives_as_it_was_sent(command in command()) {
        prop_assert_eq!(Command::try_from(sent(&command)), Ok(command));
    }
}

#[test]
fn a_replica_of_no_topic_is_refused() {
    let partitions =
        vec![TopicIdPartition { topic_id: Uuid([1; 16]), partition: PartitionIndex(0) }];
    let (broker_id, broker_epoch) = (NodeId(1), BrokerEpoch(7));
    let whole = Command::StepDown(StepDown { broker_id, broker_epoch, partitions });
    for length in [0, 15, 17] {
        let mut command = sent(&whole);
        let Some(Kind::StepDown(step_down)) = &mut command.command else {
            panic!("sent as another command: {command:?}");
        };
        step_down.replicas[0].topic_id = Bytes::from(vec![1; length]);
        let refused = Command::try_from(command).expect_err("no id").to_string();
        assert!(refused.contains("topic_id"), "{refused}");
    }
}
