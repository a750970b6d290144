//! Birth of a cluster and joining one, without a format step.
//!
//! Rules (each keeps two clusters from being born, or a wiped disk from voting twice):
//! - A node that is not empty never forms a cluster: it has one, or takes part in a birth.
//! - A cluster is formed only by the configured voter with the lowest node id, and only when every
//!   configured voter has answered that it is empty and is configured with the same voters. The
//!   members are the directory ids that they answered with.
//! - Once formed on the proposer's disk, the cluster lives there; a proposer that crashes goes on
//!   with its log. One that was wiped asks again, and finds empty nodes or the cluster.
//! - An empty node that finds a node that is not empty joins: the active controller makes it a
//!   learner, and then a voter in the place of its old self.
//! - A node that its cluster has replaced or never heard of joins again under its own id.
//!
//! Whoever answers at a configured address, at a member's, or at the one that it gives for the active
//! controller, is heard by Raft from then on ([`MetaRaft::meet`]); and a member that has not yet seen
//! the entry that names its cluster learns the name here, since the others hear only those who know it.

use crate::asking::Present;
use crate::channel;
use crate::cluster_name::ClusterName;
use crate::options::QuorumSource;
use crate::raft::{Address, Member, MemberId, MetaRaft};
use env::Env;
use futures::future::join_all;
use rpc::controller as pb;
use rpc::controller::controller_client::ControllerClient;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tonic::transport::Channel;
use types::{NodeId, Uuid};

/// Time for another node to introduce itself.
const INTRODUCE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for being made a voter; the active controller waits until this node has caught up.
const JOIN_TIMEOUT: Duration = Duration::from_secs(35);
/// Pause between rounds while the cluster is not there.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// A member that hears of no leader for this long asks whether it still is a member.
const LOST_AFTER: Duration = Duration::from_secs(3);

/// What a node answered.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Answer {
    member: MemberId,
    cluster_id: String,
    is_empty: bool,
    voters: BTreeSet<NodeId>,
    leader_address: String,
    term: u64,
}

/// Brings this node into a cluster and keeps it there.
pub struct Birth {
    env: Env,
    raft: MetaRaft,
    cluster: ClusterName,
    advertised_address: String,
    /// Node ids of the configured voters, this node among them; empty where it joins by address.
    voters: BTreeMap<NodeId, String>,
    peers: Vec<(String, Option<ControllerClient<Channel>>)>,
    /// Members at addresses that are not configured.
    others: BTreeMap<String, ControllerClient<Channel>>,
    failure: tokio::sync::watch::Sender<Option<String>>,
    told: Option<String>,
    /// Why it was not taken in, the last time.
    refused: Option<String>,
}

/// The configured voters with their addresses; this node alone where nothing else is named.
pub fn configured_voters(
    source: &QuorumSource,
    node_id: NodeId,
    address: &str,
) -> BTreeMap<NodeId, String> {
    match source {
        QuorumSource::Voters(voters) => {
            voters.iter().map(|voter| (voter.node_id, voter.address.clone())).collect()
        }
        QuorumSource::Bootstrap(servers) if servers.is_empty() => {
            BTreeMap::from([(node_id, address.to_owned())])
        }
        QuorumSource::Bootstrap(_) => BTreeMap::new(),
    }
}

impl Birth {
    pub fn new(
        env: Env,
        raft: MetaRaft,
        cluster: ClusterName,
        source: &QuorumSource,
        advertised_address: String,
        failure: tokio::sync::watch::Sender<Option<String>>,
    ) -> Birth {
        let own = raft.id().node_id();
        let voters = configured_voters(source, own, &advertised_address);
        let addresses: Vec<String> = match source {
            QuorumSource::Voters(_) => {
                voters.iter().filter(|(id, _)| **id != own).map(|(_, a)| a.clone()).collect()
            }
            QuorumSource::Bootstrap(servers) => {
                servers.iter().filter(|server| **server != advertised_address).cloned().collect()
            }
        };
        let connect = |address: String| {
            let client = channel::connect(&env, &address).map(ControllerClient::new);
            if let Err(error) = &client {
                tracing::error!(error, "a controller's address cannot be used");
            }
            (address, client.ok())
        };
        let peers = addresses.into_iter().map(connect).collect();
        let others = BTreeMap::new();
        Birth {
            env,
            raft,
            cluster,
            advertised_address,
            voters,
            peers,
            others,
            failure,
            told: None,
            refused: None,
        }
    }

    /// Runs until the node's tasks end.
    pub async fn run(mut self) {
        loop {
            if self.is_member() {
                self.wait_until_lost().await;
            }
            self.round().await;
            tokio::time::sleep(ROUND_PAUSE).await;
        }
    }

    /// A voter in a cluster as far as this node knows.
    fn is_member(&self) -> bool {
        !self.raft.is_empty() && self.raft.report().has_voter(self.raft.id())
    }

    /// Returns when this node is not a member any more, or hears of no leader for long, or does not
    /// learn the name of its cluster. A restarted node goes on knowing the leader that it had, so it is
    /// the silence that counts.
    async fn wait_until_lost(&mut self) {
        let mut reports = self.raft.watch();
        while self.is_member() {
            self.told = None;
            self.refused = None;
            match tokio::time::timeout(LOST_AFTER, reports.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return std::future::pending().await,
                Err(_) if !self.cluster.is_known() => return,
                Err(_) if self.raft.leader_is_silent(LOST_AFTER).await => return,
                Err(_) => {}
            }
        }
    }

    /// Says why nothing happens, once for each reason.
    fn tell(&mut self, reason: String) {
        if self.told.as_ref() != Some(&reason) {
            tracing::info!(node = %self.raft.id().node_id(), "{reason}");
            self.told = Some(reason);
        }
    }

    /// A human should look: mostly the node stays outside until something is changed. It asks again and
    /// again, so a reason is told once.
    fn refused(&mut self, reason: String) {
        if self.refused.as_ref() != Some(&reason) {
            tracing::warn!(node = %self.raft.id().node_id(), reason, "not joined");
            self.refused = Some(reason);
        }
    }

    async fn round(&mut self) {
        let answers = self.introduce().await;
        for (place, answer) in answers.iter().enumerate() {
            if let Some(answer) = answer {
                // The place behind the configured ones is the active controller's, see `join`.
                self.meet(place + usize::from(place >= self.peers.len()), answer);
            }
        }
        let known = answers.iter().flatten().find(|answer| !answer.is_empty);
        if let Some(known) = known.cloned() {
            if !self.is_ours(&known.cluster_id) {
                return;
            }
            if !known.leader_address.is_empty() {
                self.join(&known.leader_address).await;
            } else {
                self.tell("waiting for an active controller".to_owned());
            }
        } else if self.raft.is_empty() && !self.cluster.is_known() {
            self.form(answers).await;
        } else {
            self.tell("waiting for the other controllers".to_owned());
        }
    }

    /// Whether an id is this node's cluster's, or could become so; a node of another cluster fails.
    fn is_ours(&mut self, cluster_id: &str) -> bool {
        let Err(error) = self.cluster.check(cluster_id) else { return true };
        self.tell(format!("cannot join: {error}"));
        self.failure.send_replace(Some(error.to_string()));
        false
    }

    /// What the configured controllers answer, and behind them the members at other addresses: only
    /// they may know who has joined meanwhile, where this node was given no more than a way in.
    async fn introduce(&mut self) -> Vec<Option<Answer>> {
        self.find_others();
        let own = self.raft.id();
        let ask = |client: Option<ControllerClient<Channel>>| async move {
            introduction(client?, own).await
        };
        let configured = join_all(self.peers.iter().map(|(_, client)| ask(client.clone())));
        let others = join_all(self.others.values().map(|client| ask(Some(client.clone()))));
        let (mut answers, others) = tokio::join!(configured, others);
        // An address that a member has left may be another cluster's by now, which is no failure.
        let is_fellow = |one: &Answer| self.cluster.check(&one.cluster_id).is_ok();
        answers.extend(others.into_iter().map(|answer| answer.filter(is_fellow)));
        answers
    }

    fn find_others(&mut self) {
        let configured: Vec<&str> =
            self.peers.iter().map(|(address, _)| address.as_str()).collect();
        let members = self.raft.report().members;
        let addresses = other_addresses(&members, self.raft.id(), &configured);
        self.others.retain(|address, _| addresses.contains(address));
        for address in addresses {
            if !self.others.contains_key(&address)
                && let Ok(channel) = channel::connect(&self.env, &address)
            {
                self.others.insert(address, ControllerClient::new(channel));
            }
        }
    }

    /// Remembers who answered at an address, unless it belongs to another cluster.
    fn meet(&self, place: usize, answer: &Answer) {
        if self.cluster.check(&answer.cluster_id).is_err() {
            return;
        }
        self.raft.meet(place, answer.member, answer.term);
        let is_fellow = self.raft.report().has_voter(answer.member) && self.is_member();
        if is_fellow && !self.cluster.is_known() && !answer.cluster_id.is_empty() {
            // Kept in memory only: the entry that names the cluster is on its way.
            let _ = self.cluster.set(&answer.cluster_id);
        }
    }

    /// Forms a cluster if the rules allow this node to.
    async fn form(&mut self, answers: Vec<Option<Answer>>) {
        let own = self.raft.id();
        if self.voters.keys().next() != Some(&own.node_id()) {
            self.tell("waiting for a cluster to be formed".to_owned());
            return;
        }
        let ids: BTreeSet<NodeId> = self.voters.keys().copied().collect();
        let mut members = BTreeMap::from([(own, Address(self.advertised_address.clone()))]);
        for ((address, _), answer) in self.peers.iter().zip(&answers) {
            let Some(answer) = answer else {
                let reason = format!("waiting for the controller at {address} to form a cluster");
                return self.tell(reason);
            };
            if answer.voters != ids {
                let reason = format!(
                    "controller {} at {address} is configured with voters {:?}, this one with {ids:?}",
                    answer.member.node_id(),
                    answer.voters
                );
                return self.tell(reason);
            }
            members.insert(answer.member, Address(address.clone()));
        }
        let found: BTreeSet<NodeId> = members.keys().map(MemberId::node_id).collect();
        if found != ids || members.len() != ids.len() {
            return self.tell(format!("voters {ids:?} are configured, {found:?} answer"));
        }
        tracing::info!(?ids, "all voters are empty: forming a cluster");
        if let Err(error) = self.raft.initialize(members).await {
            self.tell(format!("the cluster is not formed: {error}"));
        }
    }

    /// Asks the active controller to make this node a voter.
    async fn join(&mut self, leader: &str) {
        if leader == self.advertised_address {
            return;
        }
        self.tell(format!("joining the cluster at {leader}"));
        let own = self.raft.id();
        let Ok(channel) = channel::connect(&self.env, leader) else { return };
        let mut client = ControllerClient::new(channel);
        let Some(answer) = introduction(client.clone(), own).await else { return };
        if !self.is_ours(&answer.cluster_id) {
            return;
        }
        // Its place is behind the configured ones: its entries come before its membership does.
        self.meet(self.peers.len(), &answer);
        let request = pb::JoinRequest {
            node_id: own.node_id().0,
            directory_id: own.directory_id().0.to_vec().into(),
            address: self.advertised_address.clone(),
            cluster_id: answer.cluster_id,
        };
        let call = client.join(request);
        let outcome = match tokio::time::timeout(JOIN_TIMEOUT, call).await {
            Ok(Ok(response)) => response.into_inner().outcome,
            Ok(Err(status)) => return self.tell(format!("not joined: {}", status.message())),
            Err(_) => return self.tell("not joined: no answer in time".to_owned()),
        };
        match outcome {
            Some(pb::join_response::Outcome::ClusterId(id)) => self.joined(&id).await,
            Some(pb::join_response::Outcome::Refused(reason)) => self.refused(reason),
            Some(pb::join_response::Outcome::NotActive(_)) | None => {}
        }
    }

    /// The cluster has taken this node in: wait until its log says so too.
    async fn joined(&mut self, cluster_id: &str) {
        if let Err(error) = self.cluster.check(cluster_id) {
            self.failure.send_replace(Some(error.to_string()));
            return;
        }
        let own = self.raft.id();
        let mut reports = self.raft.watch();
        let member = reports.wait_for(|report| report.has_voter(own));
        if matches!(tokio::time::timeout(LOST_AFTER, member).await, Ok(Ok(_))) {
            tracing::info!(cluster_id, "joined the quorum");
        }
    }
}

/// Where members are that the configuration does not name.
fn other_addresses(members: &[Member], own: MemberId, configured: &[&str]) -> BTreeSet<String> {
    let others = members.iter().filter(|one| one.id.node_id() != own.node_id());
    let addresses = others.map(|one| &one.address);
    addresses.filter(|address| !configured.contains(&address.as_str())).cloned().collect()
}

/// Who is there, where it answers in time.
async fn introduction(mut client: ControllerClient<Channel>, own: MemberId) -> Option<Answer> {
    let request = pb::IntroduceRequest {
        node_id: own.node_id().0,
        directory_id: own.directory_id().0.to_vec().into(),
    };
    let call = client.introduce(request);
    let response = tokio::time::timeout(INTRODUCE_TIMEOUT, call).await.ok()?.ok()?;
    answer(response.into_inner())
}

/// Who is at an address, if it answers in time. The active controller asks before it takes somebody
/// in: anyone can claim to be a node.
pub async fn who_is_at(env: &Env, address: &str, own: MemberId) -> Option<Present> {
    let channel = channel::connect(env, address).ok()?;
    let answer = introduction(ControllerClient::new(channel), own).await?;
    Some(Present { member: answer.member, cluster_id: answer.cluster_id })
}

fn answer(response: pb::IntroduceResponse) -> Option<Answer> {
    let directory = response.directory_id[..].try_into().ok()?;
    Some(Answer {
        member: MemberId::new(NodeId(response.node_id), Uuid(directory)),
        cluster_id: response.cluster_id,
        is_empty: response.is_empty,
        voters: response.voters.into_iter().map(NodeId).collect(),
        leader_address: response.leader_address,
        term: response.term,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_no_list_names_are_asked_too_and_never_this_node() {
        let member = |node, directory, address: &str| Member {
            id: MemberId::new(NodeId(node), Uuid([directory; 16])),
            address: address.to_owned(),
            is_voter: true,
            matched_index: None,
            silent_for: None,
        };
        let own = member(1, 1, "h1:1");
        let members =
            [own.clone(), member(1, 9, "h1:9"), member(2, 2, "h2:2"), member(3, 3, "h3:3")];
        let found = other_addresses(&members, own.id, &["h2:2"]);
        assert_eq!(found, BTreeSet::from(["h3:3".to_owned()]));
        assert!(other_addresses(&[], own.id, &[]).is_empty());
    }
}
