//! Replicas that a living broker loses: a log directory fails, others go on.

use super::{Node, Role};
use crate::context::Context;
use crate::event::*;
use crate::mutant::Mutation;
use types::TopicIdPartition;

const TELL_RETRY_MS: u64 = 150;

impl Node {
    /// A replica that could be lost now, if any.
    pub fn losable(&self, ctx: &mut Context) -> Option<TopicIdPartition> {
        let process = self.process.as_ref().filter(|_| !self.is_paused)?;
        process.broker_epoch?;
        let held = process.replicas.keys().filter(|id| !self.failed.contains(id));
        let held: Vec<TopicIdPartition> = held.copied().collect();
        ctx.rng.pick(&held).copied()
    }

    /// The replica is gone, for this start and for good; the process goes on, and says so.
    pub fn fail_replica(&mut self, ctx: &mut Context, partition: TopicIdPartition) {
        if self.leader_mut(partition).is_some() {
            self.resign(ctx, partition);
        }
        if let Some(replica) = self.process_mut().replicas.get_mut(&partition) {
            replica.role = Role::Offline;
        }
        if let Some(log) = self.disk.get_mut(&partition) {
            ctx.counters.records_lost_in_crashes += log.end().0 as u64;
            log.lose_everything();
        }
        ctx.counters.replicas_failed += 1;
        ctx.facts.push(Fact::Shortened { partition, node: self.id });
        self.failed.insert(partition);
        self.untold.insert(partition);
        self.doubted.insert(partition);
        self.has_lost = true;
        self.tell_failures(ctx);
    }

    /// Somebody removes a partition's directory while the process is down.
    pub fn remove_directory(&mut self, ctx: &mut Context, partition: TopicIdPartition) {
        assert!(self.process.is_none(), "{} runs", self.id);
        if let Some(log) = self.disk.remove(&partition) {
            ctx.counters.records_lost_in_crashes += log.end().0 as u64;
        }
        ctx.counters.last_replicas_lost += 1;
        self.missing.insert(partition);
        self.untold.insert(partition);
    }

    /// Whether the image counts on records of this replica that are gone.
    pub(super) fn has_lost(
        &mut self,
        ctx: &mut Context,
        partition: TopicIdPartition,
        at: &metadata::Partition,
    ) -> bool {
        if !self.missing.contains(&partition) {
            return false;
        }
        let is_in = |replicas: &[types::NodeId]| replicas.contains(&self.id);
        let counts = is_in(&at.isr) || is_in(&at.elr) || is_in(&at.last_known_elr);
        if counts && ctx.config.mutation == Some(Mutation::EmptyReplicaLeads) {
            return false;
        }
        match counts {
            true => self.tell_failures(ctx),
            false => {
                self.missing.remove(&partition);
            }
        }
        counts
    }

    pub(super) fn tell_failures(&mut self, ctx: &mut Context) {
        if self.untold.is_empty() {
            return;
        }
        let (node, partitions) = (self.id, self.untold.iter().copied().collect());
        let process = self.process.as_ref().expect("a running process tells");
        let incarnation = process.incarnation;
        if let Some(broker_epoch) = process.broker_epoch {
            let gone = self.missing.clone();
            let fail = ControllerInput::Fail { node, incarnation, broker_epoch, partitions, gone };
            ctx.send_to_controller(node, fail);
        }
        ctx.node_after_ms(TELL_RETRY_MS, node, incarnation, NodeInput::TellFailures);
    }

    pub(super) fn failures_told(&mut self, partitions: &[TopicIdPartition]) {
        partitions.iter().for_each(|id| {
            self.untold.remove(id);
        });
    }

    /// The partition is deleted, or another broker's: its records go with its id.
    pub(super) fn drop_replica(&mut self, ctx: &mut Context, partition: TopicIdPartition) {
        if self.leader_mut(partition).is_some() {
            self.resign(ctx, partition);
        }
        self.process_mut().replicas.remove(&partition);
        self.failed.remove(&partition);
        self.untold.remove(&partition);
        self.doubted.remove(&partition);
        if ctx.config.mutation != Some(Mutation::LogsByName) {
            self.disk.remove(&partition);
        }
        ctx.counters.replicas_deleted += 1;
    }

    /// What lies on the disk and is not this broker's by a current image is set aside.
    pub(super) fn set_strays_aside(&mut self, ctx: &Context) {
        let (id, process) = (self.id, self.process.as_ref().expect("it follows an image"));
        let is_ours = |partition: &TopicIdPartition| {
            process.image.partition(*partition).is_some_and(|state| state.is_replica(id))
        };
        if ctx.config.mutation != Some(Mutation::LogsByName) {
            self.disk.retain(|partition, _| is_ours(partition));
        }
    }

    /// For one mistake only: a new topic's partition takes the log of an old one's.
    pub(super) fn take_log_of_same_name(&mut self, partition: TopicIdPartition) {
        let is_same = |other: &&TopicIdPartition| {
            other.partition == partition.partition && other.topic_id != partition.topic_id
        };
        let former = self.disk.keys().find(is_same).copied();
        if let Some(log) = former.and_then(|former| self.disk.remove(&former)) {
            self.disk.entry(partition).or_insert(log);
        }
    }
}
