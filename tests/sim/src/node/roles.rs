//! From the image to the machines: who leads, who follows whom.

use super::{Node, Replica, Role};
use crate::context::Context;
use crate::controller::incarnation_id;
use crate::event::Fact;
use crate::mutant::Mutation;
use metadata::{Image, ImageChanges, Partition};
use replication::mutant::Mutant;
use replication::{
    BrokerState, Follower, FollowerLog, FollowerRole, Leader, LeaderConfig, LeaderEffect,
    LeaderLog, LeaderRole, PartitionChange, WaitOutcome,
};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;
use types::{NodeId, Offset, TopicIdPartition};

impl Node {
    /// Acts on the newest image, once it holds the registration of this very start: what an older
    /// image says of this broker was said to a process that is gone.
    pub(super) fn take_roles(&mut self, ctx: &mut Context) {
        let id = self.id;
        let process = self.process_mut();
        let own = process.image.broker(id);
        let is_mine =
            own.is_some_and(|own| own.incarnation_id == incarnation_id(id, process.incarnation));
        if let Some(epoch) = own.filter(|_| is_mine).map(|own| own.epoch) {
            self.registered_as(ctx, epoch);
        } else if ctx.config.mutation != Some(Mutation::ActBeforeRegistration) {
            return;
        }
        let process = self.process_mut();
        let changes = ImageChanges::between(&process.acted, &process.image);
        let is_first = process.acted.version() == Image::default().version();
        process.acted = process.image.clone();
        if is_first {
            self.set_strays_aside(ctx);
        }
        if !changes.brokers.is_empty() {
            self.tell_leaders_of_brokers(ctx);
        }
        if ctx.config.mutation == Some(Mutation::SettingsBeforeRoles) {
            self.configure(ctx, &changes);
        }
        for change in &changes.partitions {
            match change.after.as_ref().filter(|state| state.is_replica(id)) {
                Some(state) => self.take_role(ctx, change.partition, state),
                None if self.disk.contains_key(&change.partition) => {
                    self.drop_replica(ctx, change.partition);
                }
                None => {}
            }
        }
        self.configure(ctx, &changes);
        self.take_parked(ctx);
    }

    /// Tells leaders of new settings.
    fn configure(&mut self, ctx: &mut Context, changes: &ImageChanges) {
        if changes.configs.is_empty() {
            return;
        }
        let now = ctx.monotonic();
        let partitions: Vec<_> = self.process_mut().replicas.keys().copied().collect();
        for partition in partitions {
            let config = leader_config(ctx, &self.process_mut().image, partition);
            let mut effects = Vec::new();
            if let Some(leader) = self.leader_mut(partition) {
                leader.config_changed(now, config, &mut effects);
                self.run_leader(ctx, partition, effects);
            }
        }
    }

    fn tell_leaders_of_brokers(&mut self, ctx: &mut Context) {
        let now = ctx.monotonic();
        let brokers = broker_states(&self.process_mut().image);
        let partitions: Vec<_> = self.process_mut().replicas.keys().copied().collect();
        for partition in partitions {
            let mut effects = Vec::new();
            if let Some(leader) = self.leader_mut(partition) {
                leader.brokers_changed(now, &brokers, &mut effects);
                self.run_leader(ctx, partition, effects);
            }
        }
    }

    fn take_role(
        &mut self,
        ctx: &mut Context,
        partition: TopicIdPartition,
        state: &Arc<Partition>,
    ) {
        if self.failed.contains(&partition) || self.has_lost(ctx, partition, state) {
            return;
        }
        if ctx.config.mutation == Some(Mutation::LogsByName) {
            self.take_log_of_same_name(partition);
        }
        let checkpoint = {
            let log = self.disk.entry(partition).or_default();
            log.watermark_checkpoint.min(log.end())
        };
        self.process_mut()
            .replicas
            .entry(partition)
            .or_insert(Replica { role: Role::Offline, high_watermark: checkpoint });
        let led = self.leader_mut(partition).map(|leader| leader.leader_epoch());
        if state.leader == self.id && led == Some(state.leader_epoch) {
            self.change_led(ctx, partition, state);
            return;
        }
        if led.is_some() && led < Some(state.leader_epoch) {
            self.resign(ctx, partition);
        }
        if state.leader == self.id {
            self.lead(ctx, partition, state);
        } else if state.leader == NodeId::NONE {
            self.process_mut().replicas.get_mut(&partition).expect("just entered").role =
                Role::Offline;
        } else {
            self.follow(ctx, partition, state);
        }
    }

    fn change_led(&mut self, ctx: &mut Context, partition: TopicIdPartition, state: &Partition) {
        let now = ctx.monotonic();
        let mutation = ctx.config.mutation;
        let former = self.leader_mut(partition).expect("it leads").config();
        let config = match mutation {
            Some(Mutation::SettingsAfterRoles) => former,
            _ => leader_config(ctx, &self.process_mut().image, partition),
        };
        let change = PartitionChange {
            config,
            partition_epoch: state.partition_epoch,
            replicas: state.replicas.clone(),
            isr: state.isr.clone(),
        };
        let mut effects = Vec::new();
        let leader = self.leader_mut(partition).expect("it leads");
        leader.metadata_changed(now, &change, &mut effects);
        self.run_leader(ctx, partition, effects);
    }

    pub(super) fn resign(&mut self, ctx: &mut Context, partition: TopicIdPartition) {
        let mut effects = Vec::new();
        let leader = self.leader_mut(partition).expect("it leads");
        leader.resign(&mut effects);
        if ctx.config.mutation == Some(Mutation::AckAtResignation) {
            for effect in &mut effects {
                if let LeaderEffect::Complete { outcome, .. } = effect {
                    *outcome = WaitOutcome::Committed;
                }
            }
        }
        self.run_leader(ctx, partition, effects);
        let keeps = ctx.config.mutation == Some(Mutation::Rule(Mutant::KeepFollowers));
        let process = self.process_mut();
        let replica = process.replicas.get_mut(&partition).expect("it leads");
        let former = std::mem::replace(&mut replica.role, Role::Offline);
        if let (Role::Leader(former), true) = (former, keeps) {
            process.led_before.insert(partition, former);
        }
        for downstream in process.downstreams.values_mut() {
            downstream.flows.remove(&partition);
        }
    }

    /// Whether followers are told that the topic is synced.
    pub(super) fn is_follower_synced(ctx: &Context) -> bool {
        ctx.config.synced && ctx.config.mutation != Some(Mutation::FollowerIgnoresSync)
    }

    fn lead(&mut self, ctx: &mut Context, partition: TopicIdPartition, state: &Partition) {
        let now = ctx.monotonic();
        let node = self.id;
        let process = self.process.as_mut().expect("a running process takes roles");
        let log = self.disk.get_mut(&partition).expect("entered with the role");
        let replica = process.replicas.get_mut(&partition).expect("entered with the role");
        log.begin_epoch(state.leader_epoch);
        let role = LeaderRole {
            id: node,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
            replicas: state.replicas.clone(),
            isr: state.isr.clone(),
            brokers: broker_states(&process.image),
        };
        let facts = LeaderLog {
            start_offset: Offset::ZERO,
            end_offset: log.end(),
            durable_offset: log.durable_end(),
            high_watermark: replica.high_watermark,
        };
        let config = leader_config(ctx, &process.image, partition);
        let mut effects = Vec::new();
        let mut leader = Leader::new(role, facts, config, now, &mut effects);
        leader.set_mutant(ctx.config.mutation.and_then(|mutation| mutation.rule()));
        if let Some(former) = process.led_before.get(&partition) {
            leader.keep_followers(former);
        }
        replica.role = Role::Leader(Box::new(leader));
        let (epoch, incarnation) = (state.leader_epoch, process.incarnation);
        ctx.trace.line(|| {
            let (end, hw) = (facts.end_offset, facts.high_watermark);
            format!(
                "{} {node} leads {} epoch {epoch} end {end} hw {hw}",
                ctx.now, partition.partition
            )
        });
        ctx.facts.push(Fact::LeaderBegan { partition, node, incarnation, epoch });
        self.plan_flush(ctx, partition);
        self.run_leader(ctx, partition, effects);
    }

    fn follow(&mut self, ctx: &mut Context, partition: TopicIdPartition, state: &Partition) {
        let now = ctx.monotonic();
        let role = FollowerRole { leader: state.leader, leader_epoch: state.leader_epoch };
        let is_synced = Node::is_follower_synced(ctx);
        let is_careless = ctx.config.mutation == Some(Mutation::NoRestartPerEpoch);
        let process = self.process.as_mut().expect("a running process takes roles");
        let is_open = process.upstreams.get(&state.leader).is_some_and(Option::is_some);
        let replica = process.replicas.get_mut(&partition).expect("entered with the role");
        let log = self.disk.get_mut(&partition).expect("entered with the role");
        let mut effects = Vec::new();
        match &mut replica.role {
            Role::Follower(follower) if role.leader_epoch <= follower.role().leader_epoch => return,
            Role::Follower(follower) if is_careless && role.leader == follower.role().leader => {
                return;
            }
            Role::Follower(follower)
                if ctx.config.mutation != Some(Mutation::TruncateToWatermark) =>
            {
                follower.leader_changed(now, role, is_open, &mut effects);
            }
            Role::Follower(_) | Role::Leader(_) | Role::Offline => {
                if ctx.config.mutation == Some(Mutation::TruncateToWatermark) {
                    log.truncate(replica.high_watermark);
                    ctx.facts.push(Fact::Shortened { partition, node: self.id });
                }
                let facts = FollowerLog {
                    start_offset: Offset::ZERO,
                    end_offset: log.end(),
                    last_epoch: log.last_epoch(),
                    high_watermark: replica.high_watermark,
                };
                let mut follower = Follower::new(role, facts);
                follower.config_changed(is_synced);
                if is_open {
                    follower.stream_opened(now, &mut effects);
                }
                replica.role = Role::Follower(follower);
            }
        }
        if let Entry::Vacant(vacant) = process.upstreams.entry(state.leader) {
            vacant.insert(None);
            self.connect(ctx, state.leader);
        }
        self.run_follower(ctx, partition, effects, Vec::new());
    }
}

/// The settings in force for a partition's leader: the metadata's, else the node's file.
fn leader_config(ctx: &Context, image: &Image, partition: TopicIdPartition) -> LeaderConfig {
    let in_file = ctx.config.min_insync_replicas as i32;
    let value = |topic: &Arc<metadata::Topic>| {
        image.topic_config(&topic.name, "min.insync.replicas").map(|value| value.parse::<i32>())
    };
    let dynamic = image.topic(partition.topic_id).and_then(value);
    let min_isr = dynamic.map_or(in_file, |value| value.expect("the controller writes numbers"));
    LeaderConfig {
        replica_lag_time_max: Duration::from_millis(ctx.config.lag_time_max_ms),
        slow_follower_max: Some(Duration::from_millis(ctx.config.lag_time_max_ms / 4)),
        min_insync_replicas: min_isr as usize,
        synced: ctx.config.synced && ctx.config.mutation != Some(Mutation::LeaderIgnoresSync),
    }
}

fn broker_states(image: &Image) -> BTreeMap<NodeId, BrokerState> {
    let state = |broker: &Arc<metadata::Broker>| {
        let state = BrokerState {
            epoch: broker.epoch,
            fenced: broker.fenced,
            in_controlled_shutdown: broker.in_controlled_shutdown,
        };
        (broker.id, state)
    };
    image.brokers().map(state).collect()
}
