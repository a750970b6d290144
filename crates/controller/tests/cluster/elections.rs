//! Elections after one that nobody has won.

use crate::broker::register;
use crate::harness::{Cluster, run, within};
use crate::quorum;
use rpc::raft as pb;
use rpc::raft::raft_client::RaftClient;

/// Far beyond every term and every entry.
const FAR: u64 = 1000;

/// A voter that has voted in a later term for a member that is gone, and whose log is too short to be
/// elected: the other one has to hear of that term.
#[test]
fn a_member_that_has_missed_terms_stands_in_a_later_one() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start_all();
        let (_, version) = register(&cluster, 1).await;
        cluster.all_at(version).await;
        let named = cluster.until(1, "a name", |status| !status.cluster_id.is_empty()).await;
        let voters = quorum(&cluster).await.voters;
        let member = |id: i32| {
            let voter = voters.iter().find(|voter| voter.node_id == id).expect("a voter");
            pb::Member { node_id: id, directory_id: voter.directory_id.clone() }
        };
        // The second misses an entry that the first and the third have.
        cluster.kill(2);
        let (_, version) = register(&cluster, 2).await;
        cluster.all_at(version).await;
        cluster.kill(1);
        cluster.kill(3);
        cluster.start(2);
        let ballot = pb::Ballot { term: FAR, member: Some(member(3)), committed: false };
        let last = pb::LogId { term: FAR - 1, leader: Some(member(3)), index: FAR };
        let request = pb::VoteRequest {
            cluster_id: named.cluster_id,
            target: Some(member(2)),
            vote: Some(ballot),
            last_log: Some(last),
            leadership_transfer: true,
        };
        let address = format!("http://{}", cluster.options(2).advertised_address);
        let voted = async {
            loop {
                let Ok(mut client) = RaftClient::connect(address.clone()).await else { continue };
                if let Ok(answer) = client.vote(request.clone()).await {
                    return answer.into_inner();
                }
            }
        };
        assert!(within("a vote", voted).await.granted);
        cluster.start(1);
        assert_eq!(cluster.active().await, 1);
        let now = quorum(&cluster).await;
        assert!(now.leader_epoch > FAR as i64, "term {}", now.leader_epoch);
    });
}
