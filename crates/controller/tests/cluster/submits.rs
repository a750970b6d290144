//! Commands that are on their way while the active controller dies: each takes effect once or not
//! at all, whoever gives no answer may be asked again, and nothing that was answered is lost.

use crate::broker::{follow, live};
use crate::harness::{Cluster, run, within};
use controller::ControllerOptions;
use metadata::{Command, CreateTopics, Image, NewTopic, Reply};
use rpc::controller as pb;
use rpc::controller::submit_response::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use types::{BrokerEpoch, ErrorCode, MetadataVersion, NodeId};

const SUBMITTERS: usize = 4;
/// Commands of each submitter that must be answered after the last kill.
const AFTER_KILLS: usize = 10;

/// The broker's life is not what is tried here.
fn patient(options: &mut ControllerOptions) {
    options.liveness.session_timeout = Duration::from_secs(60);
}

/// What a submitter was told.
#[derive(Default)]
struct Told {
    created: BTreeSet<String>,
    /// Answered "exists already" to the one who asks for it: an attempt without an answer made it.
    found: BTreeSet<String>,
    /// First ids of the blocks given.
    producer_ids: Vec<i64>,
    version: MetadataVersion,
}

/// One attempt at one controller; `None` where there is no answer, or not from an active one.
async fn attempt(address: &str, command: &Command) -> Option<(Reply, MetadataVersion)> {
    let request = pb::SubmitRequest { command: Some(command.into()), wait_applied_ms: 0 };
    let mut client = crate::harness::client(address);
    let call = tokio::time::timeout(Duration::from_secs(2), client.submit(request));
    let response = call.await.ok()?.ok()?.into_inner();
    match response.outcome? {
        Outcome::Reply(reply) => {
            let reply = Reply::try_from(reply).expect("a readable reply");
            Some((reply, MetadataVersion(response.version)))
        }
        Outcome::NotActive(_) => None,
    }
}

/// Asks one controller after the other until one answers; says whether an attempt was in vain.
async fn insist(addresses: &[String], command: &Command) -> (Reply, MetadataVersion, bool) {
    let mut in_vain = false;
    loop {
        for address in addresses {
            if let Some((reply, version)) = attempt(address, command).await {
                return (reply, version, in_vain);
            }
            in_vain = true;
            tokio::task::yield_now().await;
        }
    }
}

/// Creates topics and takes producer ids until there were enough answers after the last kill.
async fn submitter(
    number: usize,
    addresses: Vec<String>,
    epoch: BrokerEpoch,
    kills: watch::Receiver<bool>,
) -> Told {
    let mut told = Told::default();
    let mut after = 0;
    for position in 0.. {
        if after == AFTER_KILLS {
            break;
        }
        after += usize::from(*kills.borrow());
        let name = format!("topic-{number}-{position}");
        let topics = vec![NewTopic::placed(&name, 1, 1)];
        let create = Command::CreateTopics(CreateTopics { topics, validate_only: false });
        let (reply, version, in_vain) = insist(&addresses, &create).await;
        let Reply::TopicsCreated(topics) = reply else { panic!("{reply:?}") };
        match &topics[0].outcome {
            Ok(_) => assert!(told.created.insert(name)),
            Err(refusal) => {
                assert_eq!(refusal.code, ErrorCode::TopicAlreadyExists, "{refusal}");
                assert!(in_vain, "{name} was refused at the first attempt");
                told.found.insert(name);
            }
        }
        assert!(version >= told.version, "answers hold from later and later versions on");
        told.version = version;
        let broker_id = NodeId(1);
        let allocate = Command::AllocateProducerIds { broker_id, broker_epoch: epoch };
        let (reply, version, _) = insist(&addresses, &allocate).await;
        let Reply::ProducerIdsAllocated { first, .. } = reply else { panic!("{reply:?}") };
        told.producer_ids.push(first.0);
        told.version = told.version.max(version);
    }
    told
}

#[test]
fn commands_in_flight_when_the_active_controller_dies_take_effect_once_or_are_asked_again() {
    run(async {
        let mut cluster = Cluster::new(3, patient);
        cluster.start_all();
        let (_beats, request) = live(&cluster, 1).await;
        let addresses: Vec<String> =
            (1..=3).map(|id| cluster.options(id).advertised_address).collect();
        let (killed, kills) = watch::channel(false);
        let epoch = BrokerEpoch(request.broker_epoch);
        let submitters = (0..SUBMITTERS)
            .map(|number| submitter(number, addresses.clone(), epoch, kills.clone()));
        let killing = async {
            for _ in 0..3 {
                let active = cluster.active().await;
                let version = cluster.nodes[&active].status.borrow().version;
                let busy = MetadataVersion(version.0 + 20);
                cluster.until(active, "some work", |status| status.version >= busy).await;
                cluster.kill(active);
                cluster.active().await;
                cluster.start(active);
            }
            killed.send_replace(true);
        };
        let work = async { futures::join!(futures::future::join_all(submitters), killing).0 };
        let told = within("all submitters", work).await;
        let last = told.iter().map(|told| told.version).max().expect("submitters");
        cluster.all_at(last).await;
        let mut images = BTreeMap::new();
        for id in cluster.nodes.keys() {
            let (image, _) = follow(&cluster, *id, Image::default(), last).await;
            images.insert(*id, image);
        }
        let image = &images[&1];
        assert!(
            images
                .values()
                .all(|other| other.version() != last || other.digest() == image.digest())
        );
        let expected: BTreeSet<&String> =
            told.iter().flat_map(|told| told.created.iter().chain(&told.found)).collect();
        let there: BTreeSet<&String> = image.topics().map(|topic| &topic.name).collect();
        assert_eq!(there, expected, "every topic that was asked for, and no other");
        let mut blocks: Vec<i64> =
            told.iter().flat_map(|told| told.producer_ids.iter().copied()).collect();
        let given = blocks.len();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), given, "no block of producer ids was given twice");
        println!("{} topics, {given} blocks, up to {last}", there.len());
    });
}

#[test]
fn a_command_that_is_too_large_for_the_log_is_refused_and_does_not_stop_it() {
    run(async {
        // Without sled, which would go on writing when the directories are gone.
        let mut cluster = Cluster::new(3, |options| {
            patient(options);
            options.raft.simulated = true;
        });
        cluster.start_all();
        let (_beats, _) = live(&cluster, 1).await;
        let with_value = |name: &str, bytes: usize| {
            let value = Some("x".repeat(bytes));
            let configs = vec![("some.key".to_owned(), value)];
            let topics = vec![NewTopic { configs, ..NewTopic::placed(name, 1, 1) }];
            Command::CreateTopics(CreateTopics { topics, validate_only: false })
        };
        // An entry of more than a message between controllers takes would stop the log for good;
        // the bound is well below that.
        let largest = with_value("large", 17 << 20);
        let (reply, _) = cluster.submit(largest).await;
        let Reply::Refused(refusal) = reply else { panic!("{:.300}", format!("{reply:?}")) };
        assert_eq!(refusal.code, ErrorCode::PolicyViolation);
        // Together more than an entry takes: they go in several.
        let commands = (0..8).map(|n| with_value(&format!("topic-{n}"), 3 << 20));
        let replies = commands.map(|command| cluster.submit(command));
        let mut last = MetadataVersion(0);
        for (reply, version) in futures::future::join_all(replies).await {
            assert!(matches!(&reply, Reply::TopicsCreated(topics) if topics[0].outcome.is_ok()));
            last = last.max(version);
        }
        cluster.all_at(last).await;
    });
}
