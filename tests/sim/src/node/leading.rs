//! The leader's side of the shell: produces in, chunks out.

use super::{CALL_TIMEOUT_MS, Call, Flow, Node, Process, Role, Waiting};
use crate::context::Context;
use crate::event::*;
use crate::model_log::{ModelLog, ModelRecord};
use crate::mutant::Mutation;
use replication::{
    Acks, AlterPartitionAnswer, FollowerPosition, IsrProposal, Leader, LeaderEffect, Refusal,
    WaitOutcome, WaitToken,
};
use std::time::Duration;
use types::{
    EpochOffset, ErrorCode, LeaderEpoch, MetadataVersion, NodeId, Offset, TopicIdPartition,
};

/// Records in one chunk, and records on their way to one follower.
const CHUNK_RECORDS_MAX: i64 = 8;
const WINDOW_RECORDS: i64 = 24;
const PRODUCE_TIMEOUT: Duration = Duration::from_millis(700);

impl Node {
    pub(super) fn leader_mut(&mut self, partition: TopicIdPartition) -> Option<&mut Leader> {
        match &mut self.process_mut().replicas.get_mut(&partition)?.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower(_) | Role::Offline => None,
        }
    }

    pub(super) fn produce(&mut self, ctx: &mut Context, produce: Produce) {
        let now = ctx.monotonic();
        let acks = if produce.is_acks_all { Acks::All } else { Acks::Leader };
        let (client, request) = (produce.client, produce.request);
        let admitted = match self.leader_mut(produce.partition) {
            None => Err(ErrorCode::NotLeaderOrFollower),
            Some(leader) => {
                leader.admit(acks).map(|()| leader.leader_epoch()).map_err(|no| no.code())
            }
        };
        let epoch = match admitted {
            Ok(epoch) => epoch,
            Err(code) => {
                ctx.counters.produce_refused += 1;
                ctx.counters.not_enough_replicas += u64::from(code == ErrorCode::NotEnoughReplicas);
                let outcome = Err(code);
                ctx.send_to_client(client, ClientInput::Answered { request, outcome });
                return;
            }
        };
        let log = self.disk.get_mut(&produce.partition).expect("a leader has a log");
        let base = log.end();
        for value in &produce.values {
            log.append(ModelRecord { epoch, value: *value });
        }
        let end = log.end();
        let mut effects = Vec::new();
        self.leader_mut(produce.partition).expect("it leads").appended(now, end, &mut effects);
        self.plan_flush(ctx, produce.partition);
        if produce.is_acks_all {
            self.wait(ctx, produce.clone(), base, end, &mut effects);
        } else {
            ctx.counters.acks_leader += 1;
            let outcome = Ok(base);
            ctx.send_to_client(client, ClientInput::Answered { request, outcome });
        }
        self.run_leader(ctx, produce.partition, effects);
        self.push(ctx, produce.partition, false);
    }

    fn wait(
        &mut self,
        ctx: &mut Context,
        produce: Produce,
        base: Offset,
        end: Offset,
        effects: &mut Vec<LeaderEffect>,
    ) {
        let deadline = ctx.monotonic() + PRODUCE_TIMEOUT;
        let Produce { client, request, partition, values, .. } = produce;
        let process = self.process_mut();
        let token = process.next_token;
        process.next_token += 1;
        process.waiting.insert(token, Waiting { client, request, partition, base, values });
        if ctx.config.mutation == Some(Mutation::AckAtAppend) {
            let outcome = WaitOutcome::Committed;
            effects.push(LeaderEffect::Complete { token: WaitToken(token), outcome });
            return;
        }
        let leader = self.leader_mut(partition).expect("it leads");
        leader.wait_for(end, WaitToken(token), deadline, effects);
    }

    pub(super) fn position(
        &mut self,
        ctx: &mut Context,
        stream: StreamId,
        partition: TopicIdPartition,
        message: PositionMessage,
    ) {
        let now = ctx.monotonic();
        let downstreams = &self.process_mut().downstreams;
        let Some(downstream) = downstreams.get(&stream) else { return };
        let (broker, broker_epoch) = (downstream.follower, downstream.broker_epoch);
        // What is left of a broken stream must not undo what the next one said.
        let mut later = downstreams.range(stream + 1..);
        let mutation = ctx.config.mutation;
        let is_old = later.any(|(_, other)| other.follower == broker);
        if is_old && mutation != Some(Mutation::OldStreamCounts) {
            return;
        }
        let log = self.disk.get(&partition);
        let position = FollowerPosition {
            broker,
            broker_epoch,
            leader_epoch: message.leader_epoch,
            offset: message.offset,
            last_epoch: message.last_epoch,
            log_start_offset: message.log_start_offset,
            partition_epoch: message.partition_epoch,
            restart: message.restart,
            epoch_end: log.and_then(|log| log.epoch_end(message.last_epoch)).map(|end| {
                match mutation {
                    Some(Mutation::NoDivergenceCheck) => {
                        EpochOffset { epoch: message.last_epoch, offset: message.offset }
                    }
                    _ => end,
                }
            }),
        };
        let mut effects = Vec::new();
        let outcome = match self.leader_mut(partition) {
            Some(leader) => leader.position(now, &position, &mut effects),
            None => Err(Refusal::NotLeaderOrFollower),
        };
        let flows = &mut self.process_mut().downstreams.get_mut(&stream).expect("just seen").flows;
        match outcome {
            Err(refusal) => {
                flows.remove(&partition);
                self.refuse(ctx, stream, partition, (message, refusal));
            }
            Ok(()) if message.restart => {
                flows.insert(partition, Flow { next: message.offset, acked: message.offset });
                self.send_next(ctx, stream, partition, true);
            }
            Ok(()) => {
                if let Some(flow) = flows.get_mut(&partition) {
                    flow.acked = flow.acked.max(message.offset);
                    self.send_next(ctx, stream, partition, false);
                }
            }
        }
        self.run_leader(ctx, partition, effects);
    }

    fn refuse(
        &mut self,
        ctx: &mut Context,
        stream: StreamId,
        partition: TopicIdPartition,
        (message, refusal): (PositionMessage, Refusal),
    ) {
        let diverging = match refusal {
            Refusal::Diverging(end) => Some(end),
            _ => None,
        };
        ctx.counters.divergences += u64::from(diverging.is_some());
        let is_epoch = matches!(refusal, Refusal::FencedLeaderEpoch | Refusal::UnknownLeaderEpoch);
        ctx.counters.epochs_refused += u64::from(is_epoch);
        let chunk = ChunkMessage {
            leader_epoch: message.leader_epoch,
            position: message.offset,
            records: Vec::new(),
            high_watermark: self.watermark_by_mistake(ctx, partition),
            refusal: refusal.code().map(Refusal::from_code),
            diverging,
        };
        ctx.send_on_stream(stream, false, NodeInput::Chunk { stream, partition, chunk });
    }

    /// A refusal carries no high watermark.
    fn watermark_by_mistake(&mut self, ctx: &Context, partition: TopicIdPartition) -> Offset {
        if ctx.config.mutation != Some(Mutation::DivergingWatermark) {
            return Offset::ZERO;
        }
        self.leader_mut(partition).map_or(Offset::ZERO, |leader| leader.high_watermark())
    }

    /// Sends what every follower is due.
    fn push(&mut self, ctx: &mut Context, partition: TopicIdPartition, even_empty: bool) {
        let streams: Vec<_> = self.process_mut().downstreams.keys().copied().collect();
        for stream in streams {
            self.send_next(ctx, stream, partition, even_empty);
        }
    }

    fn send_next(
        &mut self,
        ctx: &mut Context,
        stream: StreamId,
        partition: TopicIdPartition,
        mut even_empty: bool,
    ) {
        let Some(leader) = self.leader_mut(partition) else { return };
        let (leader_epoch, high_watermark) = (leader.leader_epoch(), leader.high_watermark());
        let Some(log) = self.disk.get(&partition) else { return };
        let process = self.process.as_mut().expect("inputs go to running processes");
        let Some(flow) = flow_mut(process, stream, partition) else { return };
        loop {
            let records = due(log, flow);
            if records.is_empty() && !even_empty {
                return;
            }
            even_empty = false;
            let position = flow.next;
            flow.next = position.plus(records.len() as i64);
            let chunk = ChunkMessage {
                leader_epoch,
                position,
                records: records.to_vec(),
                high_watermark,
                refusal: None,
                diverging: None,
            };
            ctx.send_on_stream(stream, false, NodeInput::Chunk { stream, partition, chunk });
        }
    }

    pub(super) fn run_leader(
        &mut self,
        ctx: &mut Context,
        partition: TopicIdPartition,
        effects: Vec<LeaderEffect>,
    ) {
        let node = self.id;
        let led = self.leader_mut(partition).map(|leader| Led {
            epoch: leader.leader_epoch(),
            min_isr: leader.effective_min_isr(),
        });
        let mut has_moved = false;
        for effect in effects {
            match effect {
                LeaderEffect::HighWatermark(offset) => {
                    has_moved = true;
                    let process = self.process_mut();
                    let replica = process.replicas.get_mut(&partition).expect("it leads");
                    replica.high_watermark = offset;
                    ctx.facts.push(Fact::Watermark { partition, node, led, offset });
                }
                LeaderEffect::ProposeIsr(proposal) => self.propose(ctx, partition, proposal),
                LeaderEffect::IsrChanged { .. } => {}
                // What comes of it is the proposal.
                LeaderEffect::SlowFollower(_) => ctx.counters.slow_followers += 1,
                LeaderEffect::AskAnew(follower) => self.ask_anew(ctx, partition, follower),
                LeaderEffect::Complete { token, outcome } => self.complete(ctx, token, outcome),
            }
        }
        if has_moved {
            self.push(ctx, partition, true);
        }
    }

    /// Ends the follower's flow: it begins another.
    fn ask_anew(&mut self, ctx: &mut Context, partition: TopicIdPartition, follower: NodeId) {
        ctx.counters.asked_anew += 1;
        let Some(leader_epoch) = self.led(partition).map(|(_, epoch)| epoch) else { return };
        let mut chunk = ChunkMessage {
            leader_epoch,
            position: Offset::ZERO,
            records: Vec::new(),
            high_watermark: Offset::ZERO,
            refusal: Some(Refusal::NotLeaderOrFollower),
            diverging: None,
        };
        for (stream, downstream) in &mut self.process_mut().downstreams {
            if downstream.follower != follower {
                continue;
            }
            let Some(flow) = downstream.flows.remove(&partition) else { continue };
            chunk.position = flow.next;
            let (stream, chunk) = (*stream, chunk.clone());
            ctx.send_on_stream(stream, false, NodeInput::Chunk { stream, partition, chunk });
        }
    }

    fn propose(&mut self, ctx: &mut Context, partition: TopicIdPartition, proposal: IsrProposal) {
        let node = self.id;
        let leader = self.leader_mut(partition).expect("only leaders propose");
        let is_shrink = proposal.isr.len() < leader.isr().len();
        ctx.counters.isr_shrinks += u64::from(is_shrink);
        ctx.counters.isr_expands += u64::from(!is_shrink);
        let process = self.process_mut();
        let Some(broker_epoch) = process.broker_epoch else { return };
        let call = ctx.next_call();
        let (leader_epoch, proposed_on) = (proposal.leader_epoch, proposal.partition_epoch);
        process.calls.insert(call, Call { partition, leader_epoch, proposed_on });
        let incarnation = process.incarnation;
        let (answer, version) = (AlterPartitionAnswer::Lost, MetadataVersion(0));
        let lost = NodeInput::AlterAnswered { call, answer, version };
        ctx.node_after_ms(CALL_TIMEOUT_MS, node, incarnation, lost);
        let alter =
            ControllerInput::Alter { node, incarnation, broker_epoch, partition, call, proposal };
        ctx.send_to_controller(node, alter);
    }

    fn complete(&mut self, ctx: &mut Context, token: WaitToken, outcome: WaitOutcome) {
        let Some(waiting) = self.process_mut().waiting.remove(&token.0) else { return };
        let Waiting { client, request, partition, base, values } = waiting;
        let outcome = match outcome.code() {
            Some(code) => Err(code),
            None => {
                ctx.counters.acks_all += 1;
                ctx.facts.push(Fact::Acked { partition, base, values });
                Ok(base)
            }
        };
        ctx.send_to_client(client, ClientInput::Answered { request, outcome });
    }

    /// For the checker: what the partition's leader machine here says of itself.
    pub fn led(&self, partition: TopicIdPartition) -> Option<(&Leader, LeaderEpoch)> {
        match &self.process.as_ref()?.replicas.get(&partition)?.role {
            Role::Leader(leader) => Some((leader, leader.leader_epoch())),
            Role::Follower(_) | Role::Offline => None,
        }
    }
}

fn flow_mut(
    process: &mut Process,
    stream: StreamId,
    partition: TopicIdPartition,
) -> Option<&mut Flow> {
    process.downstreams.get_mut(&stream)?.flows.get_mut(&partition)
}

fn due<'a>(log: &'a ModelLog, flow: &Flow) -> &'a [ModelRecord] {
    let window_end = flow.acked.plus(WINDOW_RECORDS);
    let end = log.end().min(window_end).min(flow.next.plus(CHUNK_RECORDS_MAX));
    log.slice(flow.next, end.max(flow.next))
}
