//! A partition's change of role, as the metadata image says.

use super::fetcher::FollowLink;
use super::partition::{Partition, Role, State};
use super::settings::leader_config;
use config::{NodeConfig, TopicConfig};
use env::{Mutant, mutant};
use metadata::Image;
use replication::mutant::Mutant as Rule;
use replication::{
    BrokerState, Follower, FollowerRole, Leader, LeaderLog, LeaderRole, PartitionChange,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use types::{LeaderEpoch, NodeId};

/// The brokers of an image as the leaders' machines see them.
pub fn broker_states(image: &Image) -> BTreeMap<NodeId, BrokerState> {
    let state = |b: &Arc<metadata::Broker>| BrokerState {
        epoch: b.epoch,
        fenced: b.fenced,
        in_controlled_shutdown: b.in_controlled_shutdown,
    };
    image.brokers().map(|broker| (broker.id, state(broker))).collect()
}

/// The rule that the simulation wants leaders to leave out.
fn left_out_rule() -> Option<Rule> {
    let rules = [
        (Mutant::WatermarkWithoutIsr, Rule::IgnoreUnheard),
        (Mutant::IsrByIdAlone, Rule::AnyBrokerEpoch),
    ];
    rules.into_iter().find(|(mutant, _)| mutant::is(*mutant)).map(|(_, rule)| rule)
}

impl Partition {
    /// Takes note of the partition epoch before the role follows: what is said from here on was said
    /// by one who knew.
    pub fn has_seen(&self, at: &metadata::Partition) {
        self.partition_epoch.fetch_max(at.partition_epoch.0, Ordering::AcqRel);
    }

    /// This broker leads: begins, or goes on with what changed. An epoch older than the present
    /// role's is ignored.
    pub fn lead(
        self: &Arc<Self>,
        at: &metadata::Partition,
        brokers: &BTreeMap<NodeId, BrokerState>,
        node: &NodeConfig,
    ) {
        let _working = self.health.working(self.now());
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        let mut effects = Vec::new();
        match &mut state.role {
            Role::Leading(leader) if leader.leader_epoch() == at.leader_epoch => {
                let change = PartitionChange {
                    partition_epoch: at.partition_epoch,
                    replicas: at.replicas.clone(),
                    isr: at.isr.clone(),
                    config: leader_config(&self.config.load(), node),
                };
                // Brokers first: by the old ones a member that was just fenced could rejoin at once.
                leader.brokers_changed(now, brokers, &mut effects);
                leader.metadata_changed(now, &change, &mut effects);
            }
            Role::Leading(_) | Role::Following(..) | Role::Idle => {
                if at.leader_epoch.0 <= self.epoch.load(Ordering::Acquire) {
                    return;
                }
                self.resign(state);
                self.begin_to_lead(state, at, brokers, node, &mut effects);
            }
        }
        self.run_leader_effects(state, effects);
        self.note_deadline(state);
        if self.is_synced() {
            self.start_sync(state);
        }
        self.take_early_positions(state);
    }

    fn begin_to_lead(
        &self,
        state: &mut State,
        at: &metadata::Partition,
        brokers: &BTreeMap<NodeId, BrokerState>,
        node: &NodeConfig,
        effects: &mut Vec<replication::LeaderEffect>,
    ) {
        let mut log = self.log.lock();
        if let Err(error) = log.assign_epoch_start(at.leader_epoch) {
            // Without a durable epoch start this log cannot be told from a diverged one.
            tracing::error!(partition = %self.name, %error, "cannot lead");
            self.shared.failures.push(&error);
            return;
        }
        let facts = LeaderLog {
            start_offset: log.start_offset(),
            end_offset: log.end_offset(),
            durable_offset: log.synced_offset(),
            high_watermark: log.high_watermark(),
        };
        drop(log);
        let role = LeaderRole {
            id: self.shared.node_id,
            leader_epoch: at.leader_epoch,
            partition_epoch: at.partition_epoch,
            replicas: at.replicas.clone(),
            isr: at.isr.clone(),
            brokers: brokers.clone(),
        };
        let config = leader_config(&self.config.load(), node);
        let mut leader = Leader::new(role, facts, config, self.now(), effects);
        leader.set_mutant(left_out_rule());
        self.epoch.store(at.leader_epoch.0, Ordering::Release);
        tracing::info!(
            partition = %self.name, epoch = %at.leader_epoch, end_offset = %facts.end_offset, "leads"
        );
        state.role = Role::Leading(Box::new(leader));
        state.wake_fetches();
    }

    /// Another broker leads: follows it.
    pub fn follow(self: &Arc<Self>, at: &metadata::Partition, link: &Arc<FollowLink>) {
        let role = FollowerRole { leader: at.leader, leader_epoch: at.leader_epoch };
        let _working = self.health.working(self.now());
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        if at.leader_epoch.0 <= self.epoch.load(Ordering::Acquire) {
            return;
        }
        let mut effects = Vec::new();
        self.epoch.store(at.leader_epoch.0, Ordering::Release);
        if let Role::Following(follower, old) = &mut state.role {
            if old.leader != link.leader {
                old.remove(&self.id);
                *old = link.clone();
            }
            link.add(self);
            follower.leader_changed(now, role, link.is_open(), &mut effects);
        } else {
            self.resign(state);
            let mut follower = Follower::new(role, self.follower_log());
            follower.config_changed(self.is_synced());
            link.add(self);
            if link.is_open() {
                follower.stream_opened(now, &mut effects);
            }
            state.role = Role::Following(Box::new(follower), link.clone());
        }
        self.run_follower_effects(state, link, effects, None);
        self.note_deadline(state);
        state.wake_fetches();
    }

    /// Nobody leads (or this broker is to hold the partition no longer).
    pub fn idle(self: &Arc<Self>, leader_epoch: LeaderEpoch) {
        let mut state = self.lock();
        let state = &mut *state;
        self.resign(state);
        self.epoch.fetch_max(leader_epoch.0, Ordering::AcqRel);
        self.note_deadline(state);
        state.wake_fetches();
    }

    /// Ends the present role: every waiting produce is answered, followers are told nothing more.
    fn resign(self: &Arc<Self>, state: &mut State) {
        let mut effects = Vec::new();
        match &mut state.role {
            Role::Leading(leader) => {
                leader.resign(&mut effects);
                self.log.lock().keep_tail(None);
            }
            Role::Following(_, link) => link.remove(&self.id),
            Role::Idle => {}
        }
        self.run_leader_effects(state, effects);
        state.subscriptions.clear();
        state.role = Role::Idle;
    }

    /// The settings of the image whose roles follow; [`Partition::configure`] comes after those. A
    /// leader takes both at once: by either alone it could commit what no eligible leader holds.
    pub fn stage(&self, config: Arc<TopicConfig>) {
        self.config.store(config);
    }

    /// Topic settings changed.
    pub fn configure(
        self: &Arc<Self>,
        config: Arc<TopicConfig>,
        log_config: log::LogConfig,
        node: &NodeConfig,
    ) {
        let leader_config = leader_config(&config, node);
        self.config.store(config);
        let mut state = self.lock();
        let now = self.now();
        let state = &mut *state;
        self.log.lock().set_config(log_config);
        let mut effects = Vec::new();
        match &mut state.role {
            Role::Leading(leader) => leader.config_changed(now, leader_config, &mut effects),
            Role::Following(follower, _) => follower.config_changed(leader_config.synced),
            Role::Idle => {}
        }
        self.run_leader_effects(state, effects);
        self.note_deadline(state);
        if self.is_synced() {
            self.start_sync(state);
        }
    }
}
