//! The follower's side of the shell: streams to leaders, chunks into the log.

use super::{Node, Role};
use crate::context::Context;
use crate::event::*;
use crate::model_log::{ModelLog, ModelRecord};
use crate::mutant::Mutation;
use replication::{
    Chunk, Divergence, Follower, FollowerEffect, FollowerLog, epoch_batches_to_append,
};
use std::collections::VecDeque;
use types::{LeaderEpoch, NodeId, Offset, PartitionEpoch, TopicIdPartition};

impl Node {
    pub(super) fn connect(&mut self, ctx: &mut Context, leader: NodeId) {
        let node = self.id;
        let process = self.process_mut();
        if process.upstreams.get(&leader) != Some(&None) {
            return;
        }
        let incarnation = process.incarnation;
        match process.broker_epoch {
            Some(broker_epoch) => ctx.connect((node, incarnation), broker_epoch, leader),
            // It registers again just now (seeds 98719 and 145585 waited for ever).
            None => ctx.node_after_ms(100, node, incarnation, NodeInput::Connect(leader)),
        }
    }

    pub(super) fn stream_up(&mut self, ctx: &mut Context, stream: StreamId, leader: NodeId) {
        let now = ctx.monotonic();
        self.process_mut().upstreams.insert(leader, Some(stream));
        for partition in self.followed_from(leader) {
            let mut effects = Vec::new();
            if let Some(follower) = self.follower_mut(partition) {
                follower.stream_opened(now, &mut effects);
            }
            self.run_follower(ctx, partition, effects, Vec::new());
        }
    }

    /// It may break before this side knew that it was open.
    pub(super) fn stream_down(&mut self, ctx: &mut Context, stream: StreamId, leader: NodeId) {
        let process = self.process_mut();
        if process.upstreams.get(&leader).copied().flatten().is_some_and(|open| open != stream) {
            return;
        }
        process.upstreams.insert(leader, None);
        for partition in self.followed_from(leader) {
            if let Some(follower) = self.follower_mut(partition) {
                follower.stream_broken();
            }
        }
        self.connect(ctx, leader);
    }

    fn followed_from(&mut self, leader: NodeId) -> Vec<TopicIdPartition> {
        let follows = |role: &Role| match role {
            Role::Follower(follower) => follower.role().leader == leader,
            Role::Leader(_) | Role::Offline => false,
        };
        let replicas = self.process_mut().replicas.iter();
        replicas.filter(|(_, replica)| follows(&replica.role)).map(|(id, _)| *id).collect()
    }

    fn follower_mut(&mut self, partition: TopicIdPartition) -> Option<&mut Follower> {
        match &mut self.process_mut().replicas.get_mut(&partition)?.role {
            Role::Follower(follower) => Some(follower),
            Role::Leader(_) | Role::Offline => None,
        }
    }

    pub(super) fn chunk(
        &mut self,
        ctx: &mut Context,
        stream: StreamId,
        partition: TopicIdPartition,
        message: ChunkMessage,
    ) {
        let now = ctx.monotonic();
        let process = self.process.as_mut().expect("inputs go to running processes");
        let Some(replica) = process.replicas.get_mut(&partition) else { return };
        let Role::Follower(follower) = &mut replica.role else { return };
        let upstream = process.upstreams.get(&follower.role().leader);
        if upstream != Some(&Some(stream)) {
            return;
        }
        let Some(log) = self.disk.get(&partition) else { return };
        let mutation = ctx.config.mutation;
        let divergence = |leader: types::EpochOffset| match mutation {
            Some(Mutation::TruncateWithoutOwnEpochs) => Divergence { leader, own: None },
            _ => Divergence { leader, own: log.epoch_end(leader.epoch) },
        };
        let shown = shown_by_mistake(mutation, log, &message);
        if let Some(offset) = shown.filter(|shown| *shown > replica.high_watermark) {
            replica.high_watermark = offset;
            let fact = Fact::Watermark { partition, node: self.id, led: None, offset };
            ctx.facts.push(fact);
        }
        let chunk = Chunk {
            leader_epoch: match mutation {
                Some(Mutation::ChunkOfAnyEpoch) => follower.role().leader_epoch,
                _ => message.leader_epoch,
            },
            position: match mutation {
                Some(Mutation::AppendAnywhere) => log.end(),
                _ => message.position,
            },
            has_records: !message.records.is_empty(),
            high_watermark: message.high_watermark,
            log_start_offset: Offset::ZERO,
            refusal: message.refusal,
            divergence: message.diverging.map(divergence),
        };
        let mut effects = Vec::new();
        follower.chunk(now, &chunk, &mut effects);
        self.run_follower(ctx, partition, effects, message.records);
    }

    pub(super) fn run_follower(
        &mut self,
        ctx: &mut Context,
        partition: TopicIdPartition,
        effects: Vec<FollowerEffect>,
        records: Vec<ModelRecord>,
    ) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let mut more = Vec::new();
            match effect {
                FollowerEffect::SendPosition {
                    leader_epoch,
                    offset,
                    last_epoch,
                    log_start_offset,
                    restart,
                } => {
                    let process = self.process_mut();
                    let known = process.image.partition(partition);
                    let position = PositionMessage {
                        partition_epoch: known.map_or(PartitionEpoch(0), |at| at.partition_epoch),
                        leader_epoch,
                        offset,
                        last_epoch,
                        log_start_offset,
                        restart,
                    };
                    self.send_position(ctx, partition, position);
                }
                FollowerEffect::AppendChunk { leader_epoch } => {
                    self.append_chunk(ctx, partition, (leader_epoch, &records), &mut more);
                }
                FollowerEffect::TruncateTo(end) | FollowerEffect::TruncateFullyAndStartAt(end) => {
                    self.truncate(ctx, partition, end, &mut more);
                }
                FollowerEffect::AdvanceLogStart(_) => {}
                FollowerEffect::SetHighWatermark(offset) => {
                    let node = self.id;
                    let process = self.process_mut();
                    let replica = process.replicas.get_mut(&partition).expect("it follows");
                    replica.high_watermark = offset;
                    ctx.facts.push(Fact::Watermark { partition, node, led: None, offset });
                }
            }
            effects.extend(more);
        }
    }

    /// A restart claims the whole log, so a synced one is synced first.
    fn send_position(
        &mut self,
        ctx: &mut Context,
        partition: TopicIdPartition,
        position: PositionMessage,
    ) {
        if Node::is_follower_synced(ctx) && position.restart {
            self.disk.get_mut(&partition).expect("it follows").sync();
        }
        let Some(follower) = self.follower_mut(partition) else { return };
        let leader = follower.role().leader;
        if let Some(Some(stream)) = self.process_mut().upstreams.get(&leader).copied() {
            let input = NodeInput::Position { stream, partition, position };
            ctx.send_on_stream(stream, true, input);
        }
    }

    fn append_chunk(
        &mut self,
        ctx: &mut Context,
        partition: TopicIdPartition,
        (leader_epoch, records): (LeaderEpoch, &[ModelRecord]),
        effects: &mut Vec<FollowerEffect>,
    ) {
        let now = ctx.monotonic();
        let count =
            epoch_batches_to_append(leader_epoch, records.iter().map(|record| record.epoch));
        let log = self.disk.get_mut(&partition).expect("it follows");
        for record in &records[..count] {
            match ctx.config.mutation {
                Some(Mutation::KeepEmptyEpochs) => log.append_but_keep_epochs(*record),
                _ => log.append(*record),
            }
        }
        let (end, last_epoch) = (log.end(), log.last_epoch());
        self.plan_flush(ctx, partition);
        let follower = self.follower_mut(partition).expect("it follows");
        follower.appended(now, end, last_epoch, effects);
    }

    fn truncate(
        &mut self,
        ctx: &mut Context,
        partition: TopicIdPartition,
        end: Offset,
        effects: &mut Vec<FollowerEffect>,
    ) {
        let now = ctx.monotonic();
        let node = self.id;
        let log = self.disk.get_mut(&partition).expect("it follows");
        let before = log.end();
        match ctx.config.mutation {
            Some(Mutation::KeepTruncatedEpochs) => log.truncate_but_keep_epochs(end),
            _ => log.truncate(end),
        }
        ctx.counters.records_truncated += (before.0 - log.end().0) as u64;
        ctx.trace.line(|| {
            format!("{} {node} truncates {} from {before} to {end}", ctx.now, partition.partition)
        });
        let process = self.process.as_mut().expect("inputs go to running processes");
        let replica = process.replicas.get_mut(&partition).expect("it follows");
        replica.high_watermark = replica.high_watermark.min(log.end());
        let facts = follower_log(log, replica.high_watermark);
        ctx.facts.push(Fact::Shortened { partition, node });
        let follower = self.follower_mut(partition).expect("it follows");
        follower.truncated(now, facts, effects);
    }
}

/// A high watermark that a follower with this mistake shows.
fn shown_by_mistake(
    mutation: Option<Mutation>,
    log: &ModelLog,
    message: &ChunkMessage,
) -> Option<Offset> {
    match mutation {
        Some(Mutation::WatermarkAboveEnd) => Some(message.high_watermark),
        Some(Mutation::DivergingWatermark) if message.diverging.is_some() => {
            Some(message.high_watermark.min(log.end()))
        }
        _ => None,
    }
}

fn follower_log(log: &ModelLog, high_watermark: Offset) -> FollowerLog {
    FollowerLog {
        start_offset: Offset::ZERO,
        end_offset: log.end(),
        last_epoch: log.last_epoch(),
        high_watermark,
    }
}
