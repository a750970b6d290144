//! Three controllers over loopback: birth, loss of the active one, restarts, wiped disks,
//! snapshots, brokers' liveness.

mod broker;
mod detection;
mod directories;
mod elections;
mod failing_disk;
mod failures;
mod harness;
mod outsiders;
mod submits;

use broker::{follow, live, register};
use controller::{ControllerOptions, QuorumSource, StartError};
use harness::{Cluster, files, free_address, run, start, within};
use metadata::{Command, CreateTopics, Image, NewTopic, Reply};
use rpc::controller as pb;
use std::time::Duration;
use types::{MetadataVersion, NodeId};

async fn create_topic(cluster: &Cluster, name: &str) -> MetadataVersion {
    let topics = vec![NewTopic::placed(name, 1, 1)];
    let command = Command::CreateTopics(CreateTopics { topics, validate_only: false });
    match cluster.submit(command).await {
        (Reply::TopicsCreated(topics), version) => {
            assert!(topics[0].outcome.is_ok(), "{topics:?}");
            version
        }
        other => panic!("{other:?}"),
    }
}

async fn digests(cluster: &Cluster, version: MetadataVersion) -> Vec<u64> {
    let mut digests = Vec::new();
    for id in cluster.nodes.keys() {
        let (image, _) = follow(cluster, *id, Image::default(), version).await;
        if image.version() == version {
            digests.push(image.digest());
        }
    }
    digests
}

async fn quorum(cluster: &Cluster) -> pb::DescribeQuorumResponse {
    let active = cluster.active().await;
    let mut client = cluster.client(active);
    let call = client.describe_quorum(pb::DescribeQuorumRequest {});
    within("the quorum", call).await.expect("the quorum is described").into_inner()
}

#[test]
fn three_empty_nodes_become_one_cluster_and_agree_on_its_metadata() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start_all();
        let (_beats, _) = live(&cluster, 1).await;
        let version = create_topic(&cluster, "orders").await;
        cluster.all_at(version).await;
        let digests = digests(&cluster, version).await;
        assert_eq!(digests.len(), 3);
        assert!(digests.iter().all(|digest| *digest == digests[0]));
        let mut ids = Vec::new();
        for id in 1..=3 {
            ids.push(cluster.until(id, "an id", |one| !one.cluster_id.is_empty()).await.cluster_id);
        }
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let quorum = quorum(&cluster).await;
        assert_eq!(quorum.voters.len(), 3);
        assert_eq!(quorum.leader_id, cluster.active().await);
    });
}

#[test]
fn no_cluster_is_born_while_a_voter_has_not_answered() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start(1);
        cluster.start(2);
        let mut status = cluster.nodes[&1].status.clone();
        let born = status.wait_for(|status| status.leader.is_some());
        assert!(tokio::time::timeout(Duration::from_secs(2), born).await.is_err());
        cluster.start(3);
        cluster.active().await;
    });
}

#[test]
fn a_killed_active_controller_is_replaced_in_time_and_nothing_is_lost() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start_all();
        let (beats, _) = live(&cluster, 1).await;
        let before = create_topic(&cluster, "before").await;
        cluster.all_at(before).await;
        drop(beats);
        for round in 0..3 {
            let killed = cluster.active().await;
            let clock = env::Env::real().clock;
            let start = clock.now();
            cluster.kill(killed);
            let next = cluster.active().await;
            let took = clock.now() - start;
            println!("round {round}: controller {next} replaced {killed} in {took:?}");
            assert_ne!(next, killed);
            assert!(took < Duration::from_millis(1500), "took {took:?}");
            let (image, _) = follow(&cluster, next, Image::default(), before).await;
            assert!(image.topic_by_name("before").is_some());
            cluster.start(killed);
            let (_, version) = register(&cluster, 10 + round).await;
            cluster.all_at(version).await;
        }
    });
}

#[test]
fn a_cluster_whose_nodes_are_all_killed_comes_back_with_everything() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start_all();
        let (_, version) = register(&cluster, 1).await;
        cluster.all_at(version).await;
        let name = cluster.until(1, "a name", |status| !status.cluster_id.is_empty()).await;
        for id in 1..=3 {
            cluster.kill(id);
        }
        cluster.start_all();
        cluster.active().await;
        cluster.all_at(version).await;
        let again = cluster.until(1, "a name", |status| !status.cluster_id.is_empty()).await;
        assert_eq!(again.cluster_id, name.cluster_id);
        let (_, later) = register(&cluster, 2).await;
        assert!(later > version);
    });
}

#[test]
fn a_wiped_disk_joins_again_as_another_member() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start_all();
        let (_, version) = register(&cluster, 1).await;
        cluster.all_at(version).await;
        let active = cluster.active().await;
        let victim = if active == 2 { 3 } else { 2 };
        let before = quorum(&cluster).await;
        cluster.kill(victim);
        cluster.wipe(victim);
        cluster.start(victim);
        let work = async {
            loop {
                let now = quorum(&cluster).await;
                let find = |quorum: &pb::DescribeQuorumResponse| {
                    let one = quorum.voters.iter().find(|voter| voter.node_id == victim);
                    one.map(|voter| voter.directory_id.clone())
                };
                if now.voters.len() == 3 && find(&now).is_some() && find(&now) != find(&before) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        within("the new member", work).await;
        cluster.all_at(version).await;
        // It counts: with it, the cluster bears the loss of another one.
        let active = cluster.active().await;
        cluster.kill(active);
        register(&cluster, 2).await;
    });
}

/// What leaders know from the files of their nodes, the controller would not: nobody would be an
/// eligible leader.
#[test]
fn the_first_controllers_minimum_of_replicas_in_sync_is_the_clusters() {
    run(async {
        let minimum = |options: &mut controller::ControllerOptions| {
            options.topics.min_insync_replicas = Some(2);
        };
        let mut cluster = Cluster::new(3, minimum);
        cluster.start_all();
        let active = cluster.active().await;
        let settled = async {
            let mut version = MetadataVersion(0);
            let mut image = Image::default();
            loop {
                (image, _) = follow(&cluster, active, image, version).await;
                let values = image.configs(&metadata::ConfigResource::ClusterDefault);
                if let Some(value) = values.get(metadata::MIN_INSYNC_REPLICAS) {
                    return value.clone();
                }
                version = MetadataVersion(image.version().0 + 1);
            }
        };
        assert_eq!(within("the minimum", settled).await, "2");
    });
}

#[test]
fn a_node_far_behind_catches_up_by_snapshot() {
    run(async {
        let small = |options: &mut controller::ControllerOptions| {
            options.raft.snapshot_entries = 10;
            options.raft.keep_entries = 1;
            options.raft.log_segment_bytes = 4096;
            options.batches_kept_max = 5;
        };
        let mut cluster = Cluster::new(3, small);
        cluster.start_all();
        register(&cluster, 1).await;
        let victim = if cluster.active().await == 2 { 3 } else { 2 };
        let old = cluster.nodes[&victim].status.borrow().version;
        // A broker that goes away at the same time, with what it knows.
        let (away, _) = follow(&cluster, victim, Image::default(), old).await;
        cluster.kill(victim);
        let mut version = old;
        for id in 10..70 {
            version = register(&cluster, id).await.1;
        }
        cluster.start(victim);
        cluster.all_at(version).await;
        assert!(!files(&cluster.directory(victim), ".snapshot").is_empty());
        let (image, by_snapshot) = follow(&cluster, victim, Image::default(), version).await;
        assert!(by_snapshot && image.brokers().count() == 61);
        let (caught_up, by_snapshot) = follow(&cluster, victim, away, version).await;
        assert!(by_snapshot, "the broker's version is older than all batches kept");
        assert_eq!(caught_up.digest(), image.digest());
        let journal = files(&cluster.directory(cluster.active().await), ".journal");
        assert!(!journal.contains(&format!("{:020}.journal", 0)), "purged files are deleted");
    });
}

#[test]
fn a_silent_broker_is_fenced_and_a_leaving_one_is_let_go() {
    run(async {
        let mut cluster = Cluster::new(1, |options| {
            options.liveness.session_timeout = Duration::from_millis(300);
        });
        cluster.start_all();
        let (mut beats, request) = live(&cluster, 1).await;
        // Says nothing more: the next word comes from the controller.
        while !beats.answer().await.fenced {}
        beats.until(request, |answer| !answer.fenced).await;
        let leaving = pb::HeartbeatRequest { want_shutdown: true, ..request };
        beats.until(leaving, |answer| answer.should_shutdown).await;
        let stale = pb::HeartbeatRequest { broker_epoch: 999, ..request };
        let answer = beats.until(stale, |answer| answer.error_code != 0).await;
        assert_eq!(answer.error_code, 77, "STALE_BROKER_EPOCH");
    });
}

#[test]
fn an_active_controller_that_shuts_down_hands_over() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start_all();
        let (_, version) = register(&cluster, 1).await;
        cluster.all_at(version).await;
        let active = cluster.active().await;
        cluster.shut_down(active);
        let next = cluster.active().await;
        assert_ne!(next, active);
        register(&cluster, 2).await;
    });
}

#[test]
fn a_directory_of_another_node_or_cluster_is_refused_with_both_names() {
    run(async {
        let mut cluster = Cluster::new(1, |options| {
            options.cluster_id = Some("AAAAAAAAAAAAAAAAAAAAAQ".to_owned());
        });
        cluster.start_all();
        cluster.until(1, "a name", |status| !status.cluster_id.is_empty()).await;
        cluster.shut_down(1);
        let mut other = cluster.options(1);
        other.cluster_id = Some("BBBBBBBBBBBBBBBBBBBBBQ".to_owned());
        let error = start(other).err().expect("another cluster's directory");
        let text = error.to_string();
        assert!(matches!(error, StartError::WrongCluster { .. }), "{text}");
        assert!(text.contains("AAAAAAAAAAAAAAAAAAAAAQ") && text.contains("BBBBBBBBBBBBBBBBBBBBBQ"));
        let mut other = cluster.options(1);
        other.node_id = NodeId(7);
        other.quorum = QuorumSource::Bootstrap(Vec::new());
        let error = start(other).err().expect("another node's directory");
        assert!(matches!(error, StartError::WrongNode { .. }), "{error}");
    });
}

/// Another node that finds the first by its address.
fn second_of(cluster: &Cluster) -> ControllerOptions {
    let mut second = cluster.options(1);
    second.node_id = NodeId(2);
    second.directory = cluster.directory(1).with_extension("second");
    second.quorum = QuorumSource::Bootstrap(vec![second.advertised_address.clone()]);
    second.advertised_address = free_address();
    second
}

#[test]
fn a_node_alone_is_a_cluster_and_others_join_it_by_its_address() {
    run(async {
        let mut cluster = Cluster::new(1, |options| {
            options.quorum = QuorumSource::Bootstrap(Vec::new());
            options.auto_join = true;
        });
        cluster.start_all();
        register(&cluster, 1).await;
        let node = start(second_of(&cluster)).expect("it starts");
        let mut status = node.status.clone();
        let named = status.wait_for(|status| !status.cluster_id.is_empty() && status.version.0 > 0);
        within("the second node", named).await.expect("the node runs");
        let work = async { while quorum(&cluster).await.voters.len() != 2 {} };
        within("the second voter", work).await;
    });
}
