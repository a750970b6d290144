//! One broker: its disk, which outlives crashes, and its process, which does not. The process is
//! the shell around the machines; it holds no rule.

mod failing;
mod following;
mod leading;
mod roles;

use crate::context::{CONTROLLER, Context};
use crate::controller::incarnation_id;
use crate::event::*;
use crate::model_log::ModelLog;
use crate::mutant::Mutation;
use metadata::{Image, Record};
use replication::{AlterPartitionAnswer, Follower, Leader};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use types::{
    BrokerEpoch, ErrorCode, LeaderEpoch, MetadataVersion, Monotonic, NodeId, Offset,
    PartitionEpoch, TopicIdPartition,
};

const HEARTBEAT_MS: u64 = 100;
const REGISTER_RETRY_MS: u64 = 150;
/// After this the shell ends an AlterPartition call.
const CALL_TIMEOUT_MS: u64 = 400;

/// What a crash takes besides the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    Nothing,
    /// What was not synced, wholly or in part.
    PageCache,
    Disk,
}

pub struct Node {
    pub id: NodeId,
    pub disk: BTreeMap<TopicIdPartition, ModelLog>,
    pub process: Option<Process>,
    /// Starts so far.
    pub starts: Incarnation,
    pub is_paused: bool,
    /// What arrived while paused.
    pub deferred: Vec<(Incarnation, NodeInput)>,
    /// Stored by a clean stop.
    pub previous_epoch: BrokerEpoch,
    /// How often its disk was replaced.
    pub disks: u64,
    /// Partitions in which the controller does not trust its records after a crash, until it is in
    /// sync again.
    pub doubted: BTreeSet<TopicIdPartition>,
    /// Whether records are lost, while it is doubted.
    pub has_lost: bool,
    /// The last start whose crash lost records.
    pub lost_start: Option<Incarnation>,
    /// Replicas that this start has lost.
    pub failed: BTreeSet<TopicIdPartition>,
    /// Those that the controller has not said it knows of.
    pub untold: BTreeSet<TopicIdPartition>,
    /// Partitions whose directories are gone, while the image counts on what was in them.
    pub missing: BTreeSet<TopicIdPartition>,
}

pub struct Process {
    pub incarnation: Incarnation,
    pub broker_epoch: Option<BrokerEpoch>,
    pub image: Image,
    /// The image that the roles below come from.
    acted: Image,
    pub replicas: BTreeMap<TopicIdPartition, Replica>,
    /// For one mistake only: the machines of former leaderships.
    led_before: BTreeMap<TopicIdPartition, Box<Leader>>,
    /// Streams to leaders; `None` while connecting.
    upstreams: BTreeMap<NodeId, Option<StreamId>>,
    /// Streams from followers.
    downstreams: BTreeMap<StreamId, Downstream>,
    calls: BTreeMap<CallId, Call>,
    /// Answers whose images have not come.
    parked: Vec<(MetadataVersion, CallId, AlterPartitionAnswer)>,
    waiting: BTreeMap<u64, Waiting>,
    next_token: u64,
    flushing: BTreeSet<TopicIdPartition>,
    wakes_at: u64,
    pub wants_shutdown: bool,
}

pub struct Replica {
    pub role: Role,
    pub high_watermark: Offset,
}

pub enum Role {
    Leader(Box<Leader>),
    Follower(Follower),
    Offline,
}

struct Downstream {
    follower: NodeId,
    broker_epoch: BrokerEpoch,
    flows: BTreeMap<TopicIdPartition, Flow>,
}

/// What a follower was sent, and what it has.
#[derive(Clone, Copy)]
struct Flow {
    next: Offset,
    acked: Offset,
}

struct Call {
    partition: TopicIdPartition,
    leader_epoch: LeaderEpoch,
    proposed_on: PartitionEpoch,
}

struct Waiting {
    client: usize,
    request: u64,
    partition: TopicIdPartition,
    base: Offset,
    values: Vec<u64>,
}

impl Node {
    pub fn new(id: NodeId) -> Node {
        Node {
            id,
            disk: BTreeMap::new(),
            process: None,
            starts: 0,
            is_paused: false,
            deferred: Vec::new(),
            previous_epoch: BrokerEpoch::NONE,
            disks: 0,
            doubted: BTreeSet::new(),
            has_lost: false,
            lost_start: None,
            failed: BTreeSet::new(),
            untold: BTreeSet::new(),
            missing: BTreeSet::new(),
        }
    }

    pub fn start(&mut self, ctx: &mut Context) {
        assert!(self.process.is_none(), "{} starts twice", self.id);
        self.starts += 1;
        let incarnation = self.starts;
        self.process = Some(Process {
            incarnation,
            broker_epoch: None,
            image: Image::default(),
            acted: Image::default(),
            replicas: BTreeMap::new(),
            led_before: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            downstreams: BTreeMap::new(),
            calls: BTreeMap::new(),
            parked: Vec::new(),
            waiting: BTreeMap::new(),
            next_token: 0,
            flushing: BTreeSet::new(),
            wakes_at: u64::MAX,
            wants_shutdown: false,
        });
        ctx.network.started(self.id, incarnation);
        ctx.node_after_ms(1, self.id, incarnation, NodeInput::RegisterNow);
        ctx.node_after_ms(2, self.id, incarnation, NodeInput::HeartbeatNow);
    }

    /// The process is gone, and what the loss takes.
    pub fn crash(&mut self, ctx: &mut Context, loss: Loss) {
        let Some(process) = self.process.take() else { return };
        ctx.network.stopped(self.id);
        self.is_paused = false;
        self.deferred.clear();
        self.previous_epoch = BrokerEpoch::NONE;
        let streams = ctx.network.streams_where(|one, other| one == self.id || other == self.id);
        let drains = ctx.rng.chance(500);
        ctx.break_streams(&streams, drains);
        if !self.untold.is_empty() {
            self.has_lost = true;
            self.lost_start = Some(process.incarnation);
        }
        self.doubted = self.disk.keys().copied().collect();
        self.failed.clear();
        self.untold.clear();
        if loss == Loss::Nothing {
            return;
        }
        if loss == Loss::Disk || !ctx.config.synced {
            self.has_lost = true;
            self.lost_start = Some(process.incarnation);
        }
        self.disks += u64::from(loss == Loss::Disk);
        for (partition, log) in &mut self.disk {
            let (durable, end) = (log.durable_end(), log.end());
            if loss == Loss::Disk {
                log.lose_everything();
            } else {
                let kept = ctx.rng.range(durable.0 as u64, end.0 as u64 + 1) as i64;
                log.lose_page_cache(Offset(kept));
            }
            ctx.counters.records_lost_in_crashes += (end.0 - log.end().0) as u64;
            ctx.facts.push(Fact::Shortened { partition: *partition, node: self.id });
        }
    }

    /// A clean stop: everything is on disk, and the registration with it.
    pub fn stop(&mut self, ctx: &mut Context) {
        let epoch = self.process.as_ref().and_then(|process| process.broker_epoch);
        // A directory that failed has no room for the mark of a clean stop.
        let epoch = epoch.filter(|_| self.untold.is_empty());
        for log in self.disk.values_mut() {
            log.sync();
        }
        let doubted = std::mem::take(&mut self.doubted);
        self.crash(ctx, Loss::Nothing);
        if epoch.is_some() {
            self.doubted = doubted;
        }
        self.previous_epoch = epoch.unwrap_or(BrokerEpoch::NONE);
    }

    /// Everything but metadata, which the world brings by [`Node::learn`].
    pub fn handle(&mut self, ctx: &mut Context, input: NodeInput) {
        match input {
            NodeInput::RegisterNow => self.register(ctx),
            NodeInput::Registered(outcome) => self.registered(ctx, outcome),
            NodeInput::HeartbeatNow => self.heartbeat(ctx),
            NodeInput::HeartbeatRefused(epoch) => self.register_again(ctx, epoch),
            NodeInput::MetadataReady => {}
            NodeInput::Wake => self.wake(ctx),
            NodeInput::Flush(partition) => self.flush(ctx, partition),
            NodeInput::AlterAnswered { call, answer, version } => {
                self.alter_answered(ctx, call, answer, version);
            }
            NodeInput::TellFailures => self.tell_failures(ctx),
            NodeInput::FailuresTold(partitions) => self.failures_told(&partitions),
            NodeInput::Connect(leader) => self.connect(ctx, leader),
            NodeInput::StreamUp { stream, leader } => self.stream_up(ctx, stream, leader),
            NodeInput::StreamDown { stream, leader } => self.stream_down(ctx, stream, leader),
            NodeInput::FollowerUp { stream, follower, broker_epoch } => {
                let flows = BTreeMap::new();
                let downstream = Downstream { follower, broker_epoch, flows };
                self.process_mut().downstreams.insert(stream, downstream);
            }
            NodeInput::FollowerDown { stream } => {
                self.process_mut().downstreams.remove(&stream);
            }
            NodeInput::Position { stream, partition, position } => {
                self.position(ctx, stream, partition, position);
            }
            NodeInput::Chunk { stream, partition, chunk } => {
                self.chunk(ctx, stream, partition, chunk);
            }
            NodeInput::Produce(produce) => self.produce(ctx, produce),
        }
        self.plan_wake(ctx);
    }

    /// New batches of metadata; the roles follow from the newest of them.
    pub fn learn(&mut self, ctx: &mut Context, batches: &[Arc<Vec<Record>>]) {
        let id = self.id;
        let process = self.process_mut();
        for batch in batches {
            let version = process.image.version();
            assert!(process.image.apply_batch(version, batch), "{id} skipped a batch");
            ctx.facts.push(Fact::Applied { node: id, version: process.image.version() });
        }
        self.take_roles(ctx);
        self.plan_wake(ctx);
    }

    /// A start may begin with a snapshot instead of the first batch.
    pub fn load_snapshot(&mut self, ctx: &mut Context, snapshot: &Image) {
        let node = self.id;
        let records = snapshot.to_records();
        let process = self.process_mut();
        process.image = Image::from_records(snapshot.version(), &records);
        ctx.counters.snapshots_loaded += 1;
        ctx.facts.push(Fact::Applied { node, version: process.image.version() });
    }

    /// Whether the controller holds a registration of a start that has lost records since.
    pub fn is_registered_as_before_loss(&self, image: &Image) -> bool {
        self.is_registered_as_one_of(image, self.lost_start.unwrap_or(0))
    }

    /// Whether the controller holds the registration of one of the first starts.
    fn is_registered_as_one_of(&self, image: &Image, starts: Incarnation) -> bool {
        let Some(broker) = image.broker(self.id) else { return false };
        (1..=starts).any(|start| broker.incarnation_id == incarnation_id(self.id, start))
    }

    /// Takes note of the partitions in which it is in sync again, as this very start.
    pub fn review_doubts(&mut self, image: &Image) {
        if self.doubted.is_empty() || self.process.is_none() {
            return;
        }
        if !self.is_registered_as_one_of(image, self.starts - 1) {
            let is_trusted = |id: &TopicIdPartition| {
                image.partition(*id).is_none_or(|state| state.in_isr(self.id))
            };
            let failed = &self.failed;
            self.doubted.retain(|id| failed.contains(id) || !is_trusted(id));
            self.has_lost &= !self.doubted.is_empty();
        }
    }

    /// Whether the controller does not trust its records somewhere, or will not once it registers:
    /// topics that are made until then count, too, however empty its disk is.
    pub fn is_doubted(&self) -> bool {
        let is_unregistered =
            self.process.as_ref().is_none_or(|process| process.broker_epoch.is_none());
        let has_proof = self.previous_epoch != BrokerEpoch::NONE;
        !self.doubted.is_empty() || (self.starts > 0 && is_unregistered && !has_proof)
    }

    /// Registered anew without the proof of a clean stop.
    pub fn doubt(&mut self, image: &Image) {
        let is_replica = |id: &TopicIdPartition| {
            image.partition(*id).is_some_and(|state| state.is_replica(self.id))
        };
        let all = image.partitions().map(|(id, _)| id).filter(is_replica);
        self.doubted = all.collect();
    }

    pub fn leads(&self) -> bool {
        let Some(process) = &self.process else { return false };
        process.image.leaders_of(self.id).next().is_some()
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("inputs go to running processes")
    }

    fn register(&mut self, ctx: &mut Context) {
        let previous_epoch = self.previous_epoch;
        let node = self.id;
        let process = self.process_mut();
        if process.broker_epoch.is_some() {
            return;
        }
        let incarnation = process.incarnation;
        let disk = self.disks;
        let input = ControllerInput::Register { node, incarnation, previous_epoch, disk };
        ctx.send_to_controller(node, input);
        ctx.node_after_ms(REGISTER_RETRY_MS, node, incarnation, NodeInput::RegisterNow);
    }

    fn registered(&mut self, ctx: &mut Context, outcome: Result<BrokerEpoch, ErrorCode>) {
        let id = self.id;
        match outcome {
            Ok(epoch) => self.registered_as(ctx, epoch),
            Err(code) => ctx.trace.line(|| format!("{} {id} may not register: {code}", ctx.now)),
        }
    }

    /// Streams say the registration that they were opened under, so they are opened anew.
    fn registered_as(&mut self, ctx: &mut Context, epoch: BrokerEpoch) {
        let id = self.id;
        let former = self.process_mut().broker_epoch;
        if former.is_some_and(|former| former >= epoch) {
            return;
        }
        self.process_mut().broker_epoch = Some(epoch);
        if former.is_some() {
            let streams = ctx.network.streams_where(|follower, _| follower == id);
            ctx.break_streams(&streams, false);
        }
    }

    /// A late registration of a former start took this one's place.
    fn register_again(&mut self, ctx: &mut Context, epoch: BrokerEpoch) {
        let process = self.process_mut();
        let never = ctx.config.mutation == Some(Mutation::NeverRegisterAgain);
        if process.broker_epoch != Some(epoch) || never {
            return;
        }
        process.broker_epoch = None;
        let streams = ctx.network.streams_where(|follower, _| follower == self.id);
        ctx.break_streams(&streams, false);
        self.register(ctx);
    }

    fn heartbeat(&mut self, ctx: &mut Context) {
        let node = self.id;
        let process = self.process_mut();
        let incarnation = process.incarnation;
        ctx.node_after_ms(HEARTBEAT_MS, node, incarnation, NodeInput::HeartbeatNow);
        if let Some(broker_epoch) = process.broker_epoch {
            let (version, wants_shutdown) = (process.image.version(), process.wants_shutdown);
            let input = ControllerInput::Heartbeat {
                node,
                incarnation,
                broker_epoch,
                version,
                wants_shutdown,
            };
            ctx.send_to_controller(node, input);
        }
        let is_slow = ctx.config.slow_metadata && !ctx.is_calm && ctx.rng.chance(950);
        if !is_slow && !ctx.network.is_blocked(CONTROLLER, node) {
            let delay = ctx.delay_us();
            let input = NodeInput::MetadataReady;
            ctx.after_us(delay, Event::Node { node, incarnation, input });
        }
    }

    /// What was committed is acted on with the image that holds it, and with the settings of then.
    fn alter_answered(
        &mut self,
        ctx: &mut Context,
        call: CallId,
        answer: AlterPartitionAnswer,
        version: MetadataVersion,
    ) {
        let now = ctx.monotonic();
        let is_early = ctx.config.mutation == Some(Mutation::AnswerBeforeImage);
        if self.process_mut().acted.version() < version && !is_early {
            ctx.counters.answers_parked += 1;
            self.process_mut().parked.push((version, call, answer));
            return;
        }
        let Some(call) = self.process_mut().calls.remove(&call) else { return };
        let mut effects = Vec::new();
        let answer = mutated(ctx.config.mutation, answer);
        let Some(leader) = self.leader_mut(call.partition) else { return };
        if leader.leader_epoch() != call.leader_epoch {
            return;
        }
        leader.alter_partition_answered(now, call.proposed_on, answer, &mut effects);
        self.run_leader(ctx, call.partition, effects);
    }

    /// The image has come that some answers waited for.
    fn take_parked(&mut self, ctx: &mut Context) {
        for (version, call, answer) in std::mem::take(&mut self.process_mut().parked) {
            self.alter_answered(ctx, call, answer, version);
        }
    }

    fn wake(&mut self, ctx: &mut Context) {
        let now = ctx.monotonic();
        self.process_mut().wakes_at = u64::MAX;
        let partitions: Vec<_> = self.process_mut().replicas.keys().copied().collect();
        for partition in partitions {
            let replica = self.process_mut().replicas.get_mut(&partition).expect("just listed");
            match &mut replica.role {
                Role::Leader(leader) if leader.next_deadline() <= now => {
                    let mut effects = Vec::new();
                    leader.tick(now, &mut effects);
                    self.run_leader(ctx, partition, effects);
                }
                Role::Follower(follower) if follower.next_deadline() <= now => {
                    let mut effects = Vec::new();
                    follower.tick(now, &mut effects);
                    self.run_follower(ctx, partition, effects, Vec::new());
                }
                Role::Leader(_) | Role::Follower(_) | Role::Offline => {}
            }
        }
    }

    fn plan_wake(&mut self, ctx: &mut Context) {
        let node = self.id;
        let process = self.process_mut();
        let deadline = |replica: &Replica| match &replica.role {
            Role::Leader(leader) => leader.next_deadline(),
            Role::Follower(follower) => follower.next_deadline(),
            Role::Offline => Monotonic::NEVER,
        };
        let next = process.replicas.values().map(deadline).min().unwrap_or(Monotonic::NEVER);
        if next < Monotonic::NEVER && next.0 < process.wakes_at {
            process.wakes_at = next.0;
            let incarnation = process.incarnation;
            let delay = next.0.saturating_sub(ctx.now) + 1;
            ctx.after_us(delay, Event::Node { node, incarnation, input: NodeInput::Wake });
        }
    }

    /// Syncs the log in a while, as the page cache does or as a synced topic asks.
    fn plan_flush(&mut self, ctx: &mut Context, partition: TopicIdPartition) {
        let node = self.id;
        let process = self.process_mut();
        if !process.flushing.insert(partition) {
            return;
        }
        let delay = if ctx.config.synced { ctx.rng.range(1, 15) } else { ctx.rng.range(20, 900) };
        let incarnation = process.incarnation;
        ctx.node_after_ms(delay, node, incarnation, NodeInput::Flush(partition));
    }

    fn flush(&mut self, ctx: &mut Context, partition: TopicIdPartition) {
        let now = ctx.monotonic();
        self.process_mut().flushing.remove(&partition);
        let Some(log) = self.disk.get_mut(&partition) else { return };
        log.sync();
        let durable = log.durable_end();
        let process = self.process.as_mut().expect("inputs go to running processes");
        let Some(replica) = process.replicas.get_mut(&partition) else { return };
        if ctx.rng.chance(300) {
            log.watermark_checkpoint = replica.high_watermark.min(durable);
        }
        match &mut replica.role {
            Role::Leader(leader) => {
                let mut effects = Vec::new();
                leader.durable(now, durable, &mut effects);
                self.run_leader(ctx, partition, effects);
            }
            Role::Follower(follower) => {
                let mut effects = Vec::new();
                follower.durable(durable, &mut effects);
                self.run_follower(ctx, partition, effects, Vec::new());
            }
            Role::Offline => {}
        }
    }
}

fn mutated(mutation: Option<Mutation>, answer: AlterPartitionAnswer) -> AlterPartitionAnswer {
    let rolled_back = AlterPartitionAnswer::Refused(ErrorCode::OperationNotAttempted);
    match (mutation, &answer) {
        (Some(Mutation::LostIsRefused), AlterPartitionAnswer::Lost) => rolled_back,
        (Some(Mutation::AnyRefusalRollsBack), AlterPartitionAnswer::Refused(_)) => rolled_back,
        _ => answer,
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Role::Leader(leader) => write!(
                f,
                "leads epoch {} isr {:?} maximal {:?} followers {:?}",
                leader.leader_epoch(),
                leader.isr(),
                leader.maximal_isr(),
                leader.followers()
            ),
            Role::Follower(follower) => write!(f, "{follower:?}"),
            Role::Offline => f.write_str("offline"),
        }
    }
}
