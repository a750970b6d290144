//! Random commands on growing images: the invariants hold after every batch, refused commands write
//! nothing, and every way to an image gives the same image.

mod support;

use metadata::*;
use proptest::prelude::*;
use support::invariants::{check_image, check_step};
use support::rules::TestRules;
use types::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, TopicIdPartition,
    TopicPartition, Uuid,
};

/// A command before it is known what the image holds: numbers that choose among what there is.
#[derive(Clone, Debug)]
enum Move {
    Register { broker: i32, incarnation: u8, rack: u8 },
    Unregister(i32),
    Fence(i32),
    Unfence(i32),
    Shutdown(i32),
    Create { name: u8, partitions: i32, factor: i16, unclean: bool },
    Delete(u8),
    Grow { name: u8, count: i32 },
    Alter { name: u8, partition: i32, isr: Vec<i32>, off_by: i32, recovering: bool },
    Unclean { name: u8, on: bool },
    ProducerIds(i32),
    Elect { unclean: bool, name: Option<u8> },
}

fn moves() -> impl Strategy<Value = Move> {
    let broker = 1..6i32;
    prop_oneof![
        3 => (broker.clone(), 1..4u8, 0..3u8)
            .prop_map(|(broker, incarnation, rack)| Move::Register { broker, incarnation, rack }),
        1 => broker.clone().prop_map(Move::Unregister),
        3 => broker.clone().prop_map(Move::Fence),
        6 => broker.clone().prop_map(Move::Unfence),
        1 => broker.clone().prop_map(Move::Shutdown),
        3 => (0..6u8, -1..5i32, -1..5i16, any::<bool>()).prop_map(
            |(name, partitions, factor, unclean)| Move::Create { name, partitions, factor, unclean }
        ),
        1 => (0..6u8).prop_map(Move::Delete),
        1 => (0..6u8, 0..8i32).prop_map(|(name, count)| Move::Grow { name, count }),
        6 => (0..6u8, 0..4i32, prop::collection::vec(broker.clone(), 0..4), 0..8i32, any::<bool>())
            .prop_map(|(name, partition, isr, off_by, recovering)| Move::Alter {
                name, partition, isr, off_by: (off_by - 6).max(0), recovering,
            }),
        1 => (0..6u8, any::<bool>()).prop_map(|(name, on)| Move::Unclean { name, on }),
        1 => broker.prop_map(Move::ProducerIds),
        2 => (any::<bool>(), prop::option::of(0..6u8))
            .prop_map(|(unclean, name)| Move::Elect { unclean, name }),
    ]
}

/// Two of the names collide.
fn name(number: u8) -> String {
    ["a", "b", "c.d", "c_d", "e", "f"][usize::from(number) % 6].to_owned()
}

fn command(image: &Image, chosen: &Move) -> Command {
    let epoch = |id: i32| image.broker(NodeId(id)).map_or(BrokerEpoch(0), |broker| broker.epoch);
    let of = |id: i32| (NodeId(id), epoch(id));
    match chosen {
        Move::Register { broker, incarnation, rack } => {
            register(*broker, *incarnation, *rack, epoch(*broker))
        }
        Move::Unregister(id) => Command::UnregisterBroker { broker_id: NodeId(*id) },
        Move::Fence(id) => {
            let (broker_id, broker_epoch) = of(*id);
            Command::FenceBroker { broker_id, broker_epoch }
        }
        Move::Unfence(id) => {
            let (broker_id, broker_epoch) = of(*id);
            Command::UnfenceBroker { broker_id, broker_epoch }
        }
        Move::Shutdown(id) => {
            let (broker_id, broker_epoch) = of(*id);
            Command::BeginControlledShutdown { broker_id, broker_epoch }
        }
        Move::Create { name: number, partitions, factor, unclean } => {
            create(&name(*number), *partitions, *factor, *unclean)
        }
        Move::Delete(number) => {
            Command::DeleteTopics { topics: vec![TopicSelector::Name(name(*number))] }
        }
        Move::Grow { name: number, count } => Command::CreatePartitions(CreatePartitions {
            topics: vec![MorePartitions { name: name(*number), count: *count, assignments: None }],
            validate_only: false,
        }),
        Move::Alter { name: number, partition, isr, off_by, recovering } => {
            alter(image, &name(*number), *partition, isr, (*off_by, *recovering))
        }
        Move::Unclean { name: number, on } => Command::IncrementalAlterConfigs {
            resources: vec![ConfigAlteration {
                resource: ConfigResource::Topic(name(*number)),
                changes: vec![ConfigChange {
                    name: "unclean.leader.election.enable".to_owned(),
                    operation: ConfigOperation::Set,
                    value: Some(on.to_string()),
                }],
            }],
            validate_only: false,
        },
        Move::ProducerIds(id) => {
            let (broker_id, broker_epoch) = of(*id);
            Command::AllocateProducerIds { broker_id, broker_epoch }
        }
        Move::Elect { unclean, name: number } => Command::ElectLeaders {
            election: if *unclean { ElectionKind::Unclean } else { ElectionKind::Preferred },
            partitions: match number {
                None => ElectionScope::All,
                Some(number) => ElectionScope::Partitions(vec![TopicPartition {
                    topic: name(*number),
                    partition: PartitionIndex(0),
                }]),
            },
        },
    }
}

fn register(broker: i32, incarnation: u8, rack: u8, former: BrokerEpoch) -> Command {
    Command::RegisterBroker(RegisterBroker {
        broker_id: NodeId(broker),
        cluster_id: "test".to_owned(),
        incarnation_id: Uuid([incarnation; 16]),
        endpoints: vec![Endpoint {
            name: "PLAINTEXT".to_owned(),
            host: "host".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        rack: (rack > 0).then(|| rack.to_string()),
        log_dirs: Vec::new(),
        features: Vec::new(),
        // Half of the incarnations follow a clean stop.
        previous_epoch: match incarnation % 2 {
            0 => BrokerEpoch::NONE,
            _ => former,
        },
        session_alive: false,
    })
}

fn create(name: &str, partitions: i32, factor: i16, unclean: bool) -> Command {
    let mut topic = NewTopic::placed(name, partitions, factor);
    let mut set = |key: &str, value: &str| {
        topic.configs.push((key.to_owned(), Some(value.to_owned())));
    };
    if partitions % 2 == 0 {
        set("min.insync.replicas", "2");
    }
    if unclean {
        set("unclean.leader.election.enable", "true");
    }
    Command::CreateTopics(CreateTopics { topics: vec![topic], validate_only: false })
}

fn alter(
    image: &Image,
    topic: &str,
    partition: i32,
    isr: &[i32],
    (off_by, recovering): (i32, bool),
) -> Command {
    let partition = PartitionIndex(partition);
    let topic = image.topic_by_name(topic);
    let state = topic.and_then(|topic| topic.partition(partition));
    let leader = state.map_or(NodeId(1), |state| state.leader);
    let epoch = |id: NodeId| image.broker(id).map_or(BrokerEpoch(0), |broker| broker.epoch);
    let mut members: Vec<NodeId> = isr.iter().map(|id| NodeId(*id)).collect();
    if off_by == 0 {
        members.push(leader);
        members.sort();
        members.dedup();
        members.retain(|id| state.is_none_or(|state| state.is_replica(*id)));
    }
    Command::AlterPartition(AlterPartition {
        broker_id: leader,
        broker_epoch: epoch(leader),
        partitions: vec![AlterPartitionItem {
            partition: TopicIdPartition {
                topic_id: topic.map_or(Uuid([9; 16]), |topic| topic.id),
                partition,
            },
            leader_epoch: state.map_or(LeaderEpoch(0), |state| state.leader_epoch),
            partition_epoch: PartitionEpoch(
                state.map_or(0, |state| state.partition_epoch.0) + off_by - off_by.min(1) * 2,
            ),
            new_isr: members
                .into_iter()
                .map(|id| IsrMember { broker_id: id, broker_epoch: epoch(id) })
                .collect(),
            leader_recovery: match recovering {
                true => LeaderRecovery::Recovering,
                false => LeaderRecovery::Recovered,
            },
        }],
    })
}

fn context(seed: u64) -> DecideContext<'static> {
    DecideContext {
        seed,
        config_rules: &TestRules,
        num_partitions: 2,
        replication_factor: 2,
        unclean_leader_election: false,
    }
}

fn born() -> Image {
    let mut image = Image::default();
    let command = Command::NameCluster { cluster_id: "test".to_owned() };
    let decision = decide(&image, &command, &context(0));
    assert!(image.apply_batch(image.version(), &decision.records));
    image
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_every_batch_of_random_commands(
        batches in prop::collection::vec(prop::collection::vec(moves(), 1..4), 1..40),
        seed in any::<u64>(),
    ) {
        let mut image = born();
        let mut log = image.to_records();
        for (index, batch) in batches.iter().enumerate() {
            let commands: Vec<Command> =
                batch.iter().map(|chosen| command(&image, chosen)).collect();
            let context = context(seed.wrapping_add(index as u64));
            let decided = decide_batch(&image, &commands, &context);
            prop_assert_eq!(&decided, &decide_batch(&image, &commands, &context));
            prop_assert_eq!(decided.replies.len(), commands.len());
            let before = image.clone();
            prop_assert!(image.apply_batch(decided.based_on, &decided.records));
            // Decided on an older image: skipped whole.
            prop_assert!(!image.clone().apply_batch(decided.based_on, &decided.records));
            check_image(&image);
            check_step(&before, &image, &decided.records);
            log.extend(decided.records);
        }
        let replayed = Image::from_records(image.version(), &log);
        prop_assert_eq!(replayed.digest(), image.digest());
        prop_assert_eq!(replayed, image);
    }

    #[test]
    fn a_batch_refuses_what_its_commands_refuse_one_by_one(
        batch in prop::collection::vec(moves(), 1..12),
    ) {
        // Placement and ids may differ; what each command is answered may not.
        let image = born();
        let commands: Vec<Command> = batch.iter().map(|chosen| command(&image, chosen)).collect();
        let together = decide_batch(&image, &commands, &context(1));
        let mut one_by_one = image.clone();
        for (command, reply) in commands.iter().zip(&together.replies) {
            let decision = decide(&one_by_one, command, &context(1));
            let refused = |reply: &Reply| matches!(reply, Reply::Refused(_));
            prop_assert_eq!(refused(&decision.reply), refused(reply));
            if refused(&decision.reply) {
                prop_assert!(decision.records.is_empty());
            }
            prop_assert!(one_by_one.apply_batch(one_by_one.version(), &decision.records));
        }
    }

    #[test]
    fn placement_spreads_leaders_and_racks(
        racks in prop::collection::vec(1..4usize, 1..5),
        partition_count in 1..40usize,
        factor in 1..5usize,
        seed in any::<u64>(),
    ) {
        let mut brokers = Vec::new();
        for (rack, size) in racks.iter().enumerate() {
            for _ in 0..*size {
                let id = NodeId(brokers.len() as i32);
                brokers.push(UsableBroker { id, rack: Some(rack.to_string()), fenced: false });
            }
        }
        let request = PlacementRequest { partition_count, replication_factor: factor };
        let placed = place(&brokers, request, &mut SplitMix::new(seed));
        if factor > brokers.len() {
            prop_assert_eq!(placed, Err(PlacementError::TooFewBrokers {
                wanted: factor, usable: brokers.len(),
            }));
            return Ok(());
        }
        let placed = placed.unwrap();
        prop_assert_eq!(placed.len(), partition_count);
        let rack_of = |id: &NodeId| brokers[id.0 as usize].rack.clone();
        let mut leaders = vec![0usize; brokers.len()];
        for replicas in &placed {
            let mut ids = replicas.clone();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), factor);
            let mut in_racks: Vec<_> = replicas.iter().map(rack_of).collect();
            in_racks.sort();
            in_racks.dedup();
            prop_assert_eq!(in_racks.len(), factor.min(racks.len()));
            leaders[replicas[0].0 as usize] += 1;
        }
        for (rack, size) in racks.iter().enumerate() {
            let of_rack = brokers.iter().filter(|b| b.rack == Some(rack.to_string()));
            let counts: Vec<usize> = of_rack.map(|b| leaders[b.id.0 as usize]).collect();
            let (low, high) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(high - low <= 1, "leaders go round rack {}: {:?}", rack, counts);
            let total: usize = counts.iter().sum();
            prop_assert!(total.abs_diff(partition_count / racks.len()) <= 1, "{} of {}", total, size);
        }
    }
}
