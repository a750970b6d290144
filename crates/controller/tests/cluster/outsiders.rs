//! What outsiders say to controllers: it changes nothing, and elections go on.

use crate::broker::register;
use crate::harness::{Cluster, free_address, run, start, within};
use crate::{quorum, second_of};
use controller::QuorumSource;
use rpc::controller as controller_pb;
use rpc::raft as pb;
use rpc::raft::raft_client::RaftClient;
use std::time::Duration;
use tonic::Code;
use tonic::transport::Channel;

/// Three controllers that know their cluster's id, and the directory id of each.
struct Scene {
    cluster: Cluster,
    cluster_id: String,
    members: Vec<pb::Member>,
}

async fn scene() -> Scene {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.start_all();
    let (_, version) = register(&cluster, 1).await;
    cluster.all_at(version).await;
    let mut cluster_id = String::new();
    for id in 1..=3 {
        let named = cluster.until(id, "a name", |status| !status.cluster_id.is_empty()).await;
        cluster_id = named.cluster_id;
    }
    let voters = quorum(&cluster).await.voters;
    let member = |id: i32| {
        let voter = voters.iter().find(|voter| voter.node_id == id).expect("a voter");
        pb::Member { node_id: id, directory_id: voter.directory_id.clone() }
    };
    let members = (1..=3).map(member).collect();
    Scene { cluster, cluster_id, members }
}

impl Scene {
    fn member(&self, id: i32) -> pb::Member {
        self.members[id as usize - 1].clone()
    }

    async fn client(&self, id: i32) -> RaftClient<Channel> {
        let address = format!("http://{}", self.cluster.options(id).advertised_address);
        RaftClient::connect(address).await.expect("it listens")
    }

    /// A vote that voters would grant, were they to believe it.
    fn vote(&self, target: i32, candidate: pb::Member, term: u64) -> pb::VoteRequest {
        let last = pb::LogId { term: term - 1, leader: Some(candidate.clone()), index: 1 << 40 };
        pb::VoteRequest {
            cluster_id: self.cluster_id.clone(),
            target: Some(self.member(target)),
            vote: Some(pb::Ballot { term, member: Some(candidate), committed: false }),
            last_log: Some(last),
            leadership_transfer: true,
        }
    }

    async fn refused(&self, target: i32, request: pb::VoteRequest) {
        let mut client = self.client(target).await;
        let answer = within("an answer", client.vote(request.clone())).await;
        let refused = answer.expect_err("nobody takes it");
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        let answer = within("an answer", client.pre_vote(request)).await;
        assert!(answer.is_err(), "nor would it");
    }

    fn term(&self) -> u64 {
        self.cluster.nodes.values().map(|node| node.status.borrow().term).max().expect("nodes")
    }
}

fn stranger(node_id: i32) -> pb::Member {
    pb::Member { node_id, directory_id: vec![7u8; 16].into() }
}

#[test]
fn a_forged_vote_leaves_every_voter_able_to_elect_restarts_included() {
    run(async {
        let mut scene = scene().await;
        let term = scene.term();
        for target in 1..=3 {
            let other = target % 3 + 1;
            let fellow = scene.member(other);
            for far in [u64::MAX, u64::MAX / 2, 1 << 40] {
                scene.refused(target, scene.vote(target, fellow.clone(), far)).await;
            }
            for id in ["", "AAAAAAAAAAAAAAAAAAAAAQ"] {
                let mut request = scene.vote(target, fellow.clone(), term + 1);
                id.clone_into(&mut request.cluster_id);
                scene.refused(target, request).await;
            }
            // Of no member: an unknown node, a known one with another disk, itself.
            for member in [stranger(9), stranger(other), scene.member(target)] {
                scene.refused(target, scene.vote(target, member, term + 1)).await;
            }
            // As if it had been elected already.
            let mut request = scene.vote(target, fellow.clone(), term + 1);
            let elected =
                pb::Ballot { term: term + 1, member: Some(fellow.clone()), committed: true };
            request.vote = Some(elected);
            scene.refused(target, request).await;
            let mut request = scene.vote(target, fellow.clone(), term + 1);
            let last = pb::LogId { term: u64::MAX, leader: Some(fellow), index: u64::MAX };
            request.last_log = Some(last);
            scene.refused(target, request).await;
        }
        let active = scene.cluster.active().await;
        scene.cluster.kill(active);
        scene.cluster.active().await;
        scene.cluster.start(active);
        for id in 1..=3 {
            scene.cluster.kill(id);
        }
        scene.cluster.start_all();
        scene.cluster.active().await;
        register(&scene.cluster, 2).await;
        assert!(scene.term() < term + 1000, "term {}", scene.term());
    });
}

#[test]
fn entries_and_snapshots_of_a_forged_leader_are_not_taken() {
    run(async {
        let scene = scene().await;
        let leader = scene.cluster.active().await;
        let target = leader % 3 + 1;
        let ballot = |member, term| pb::Ballot { term, member: Some(member), committed: true };
        let mut client = scene.client(target).await;
        let unelected =
            pb::Ballot { committed: false, ..ballot(scene.member(leader), scene.term() + 1) };
        let votes = [
            ballot(stranger(9), scene.term() + 1),
            ballot(scene.member(leader), u64::MAX),
            unelected,
        ];
        for vote in votes {
            let append = pb::AppendRequest {
                cluster_id: scene.cluster_id.clone(),
                target: Some(scene.member(target)),
                vote: Some(vote.clone()),
                ..pb::AppendRequest::default()
            };
            let refused = within("an answer", client.append(append)).await.expect_err("forged");
            assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
            let header = pb::SnapshotHeader {
                cluster_id: scene.cluster_id.clone(),
                target: Some(scene.member(target)),
                vote: Some(vote),
                length: 1 << 20,
            };
            // Nothing follows: it is answered without the content being waited for.
            let chunk = pb::SnapshotChunk { part: Some(pb::snapshot_chunk::Part::Header(header)) };
            let open = futures::StreamExt::chain(
                futures::stream::iter([chunk]),
                futures::stream::pending(),
            );
            let refused = within("an answer", client.snapshot(open)).await.expect_err("forged");
            assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        }
        assert_eq!(scene.cluster.active().await, leader);
    });
}

#[test]
fn a_snapshot_of_a_leader_whose_term_is_over_or_of_absurd_size_costs_nothing() {
    run(async {
        let scene = scene().await;
        let leader = scene.cluster.active().await;
        let target = leader % 3 + 1;
        let mut client = scene.client(target).await;
        let header = |term, length| pb::SnapshotHeader {
            cluster_id: scene.cluster_id.clone(),
            target: Some(scene.member(target)),
            vote: Some(pb::Ballot { term, member: Some(scene.member(leader)), committed: true }),
            length,
        };
        let open = |header| {
            let chunk = pb::SnapshotChunk { part: Some(pb::snapshot_chunk::Part::Header(header)) };
            futures::StreamExt::chain(futures::stream::iter([chunk]), futures::stream::pending())
        };
        let old = within("an answer", client.snapshot(open(header(0, 1 << 20)))).await;
        let vote = old.expect("it is told the later vote").into_inner().vote.expect("a vote");
        assert!(vote.term > 0, "{vote:?}");
        let term = scene.term();
        let absurd = within("an answer", client.snapshot(open(header(term, u64::MAX)))).await;
        assert_eq!(absurd.expect_err("too much").code(), Code::ResourceExhausted);
    });
}

/// Joins of who is nobody: the active controller asks at the configured address who is there.
#[test]
fn only_configured_nodes_join_and_only_those_that_answer_at_their_address() {
    run(async {
        let mut scene = scene().await;
        let active = scene.cluster.active().await;
        let away = active % 3 + 1;
        scene.cluster.kill(away);
        let join = |node_id, cluster_id: &str| controller_pb::JoinRequest {
            node_id,
            directory_id: vec![9u8; 16].into(),
            address: free_address(),
            cluster_id: cluster_id.to_owned(),
        };
        let requests = [
            (join(4, &scene.cluster_id), "is not in controller.quorum.voters"),
            (join(away, &scene.cluster_id), "does not answer as"),
            (join(away, ""), "belongs to cluster"),
            (join(away, "AAAAAAAAAAAAAAAAAAAAAQ"), "belongs to cluster"),
        ];
        for (request, reason) in requests {
            let mut client = scene.cluster.client(active);
            let answer = within("an answer", client.join(request)).await.expect("an answer");
            match answer.into_inner().outcome {
                Some(controller_pb::join_response::Outcome::Refused(text)) => {
                    assert!(text.contains(reason), "{text}");
                }
                other => panic!("{other:?} instead of {reason}"),
            }
        }
        let now = quorum(&scene.cluster).await;
        assert_eq!((now.voters.len(), now.observers.len()), (3, 0));
    });
}

#[test]
fn a_node_that_no_list_names_stays_outside_unless_any_may_join() {
    run(async {
        let mut cluster = Cluster::new(1, |options| {
            options.quorum = QuorumSource::Bootstrap(Vec::new());
        });
        cluster.start_all();
        register(&cluster, 1).await;
        let node = start(second_of(&cluster)).expect("it starts");
        let mut status = node.status.clone();
        let joined = status.wait_for(|status| !status.cluster_id.is_empty());
        assert!(tokio::time::timeout(Duration::from_secs(2), joined).await.is_err());
        assert_eq!(quorum(&cluster).await.voters.len(), 1);
    });
}
