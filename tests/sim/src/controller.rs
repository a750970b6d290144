//! One logical controller: the real metadata rules over a log whose commits are atomic. A fail-over
//! is a pause in which what was under way is gone; heartbeats are soft state and begin anew.

use crate::context::Context;
use crate::event::*;
use crate::mutant::Mutation;
use metadata::*;
use replication::mutant::Mutant;
use replication::{AlterPartitionAnswer, IsrProposal};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{BrokerEpoch, MetadataVersion, NodeId, TopicIdPartition, Uuid};

const CLUSTER: &str = "simulated";
pub const TOPIC: &str = "records";
const TICK_MS: u64 = 50;

/// Whom an answer goes to.
#[derive(Clone, Debug)]
enum Asker {
    Nobody,
    Register { node: NodeId, incarnation: Incarnation },
    Alter { node: NodeId, incarnation: Incarnation, call: CallId },
    Fail { node: NodeId, incarnation: Incarnation, partitions: Vec<TopicIdPartition> },
}

pub struct Controller {
    image: Image,
    /// Images by version, for the checker.
    images: Vec<Image>,
    log: Vec<Arc<Vec<Record>>>,
    waiting: Vec<(Command, Asker)>,
    /// The batch that Raft is committing.
    under_way: Vec<(Command, Asker)>,
    heartbeats: BTreeMap<NodeId, u64>,
    /// Raised by every fail-over.
    reign: u64,
    pub is_away: bool,
    /// A deleted topic is made again from this time on.
    recreates_at: Option<u64>,
}

impl Controller {
    pub fn new(ctx: &mut Context) -> Controller {
        let mut controller = Controller {
            image: Image::default(),
            images: vec![Image::default()],
            log: Vec::new(),
            waiting: Vec::new(),
            under_way: Vec::new(),
            heartbeats: BTreeMap::new(),
            reign: 0,
            is_away: false,
            recreates_at: None,
        };
        let name = Command::NameCluster { cluster_id: CLUSTER.to_owned() };
        controller.ask(ctx, name, Asker::Nobody);
        ctx.after_ms(TICK_MS, Event::Controller(ControllerInput::Tick));
        controller
    }

    pub fn image(&self) -> &Image {
        &self.image
    }

    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// At most `count` batches from this version on.
    pub fn batches(&self, version: usize, count: usize) -> &[Arc<Vec<Record>>] {
        let end = (version + count).min(self.log.len());
        &self.log[version.min(end)..end]
    }

    /// Nothing is waiting to be decided or committed.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty() && !self.is_away
    }

    /// Microseconds since the oldest of the brokers' last heartbeats.
    pub fn oldest_heartbeat(&self, now: u64) -> u64 {
        self.heartbeats.values().map(|at| now.saturating_sub(*at)).max().unwrap_or(u64::MAX)
    }

    pub fn handle(&mut self, ctx: &mut Context, input: ControllerInput) {
        if matches!(input, ControllerInput::Alter { .. }) {
            ctx.alters_in_flight -= 1;
        }
        if self.is_away && !matches!(input, ControllerInput::Tick) {
            return;
        }
        match input {
            ControllerInput::Register { node, incarnation, previous_epoch, disk } => {
                self.register(ctx, (node, incarnation), previous_epoch, disk);
            }
            ControllerInput::Heartbeat {
                node,
                incarnation,
                broker_epoch,
                version,
                wants_shutdown,
            } => {
                if self.image.broker(node).is_some_and(|known| known.epoch > broker_epoch) {
                    let refused = NodeInput::HeartbeatRefused(broker_epoch);
                    ctx.send_from_controller(node, incarnation, refused);
                }
                self.heartbeat(ctx, (node, broker_epoch), version, wants_shutdown);
            }
            ControllerInput::Alter {
                node,
                incarnation,
                broker_epoch,
                partition,
                call,
                proposal,
            } => {
                let command = alter_command((node, broker_epoch), partition, &proposal);
                self.ask(ctx, command, Asker::Alter { node, incarnation, call });
            }
            ControllerInput::Fail { node, incarnation, broker_epoch, partitions, gone } => {
                let command = Command::FailReplicas(FailReplicas {
                    broker_id: node,
                    broker_epoch,
                    log_dirs: Vec::new(),
                    partitions: partitions.clone(),
                    records_gone: partitions.iter().all(|id| gone.contains(id)),
                });
                self.ask(ctx, command, Asker::Fail { node, incarnation, partitions });
            }
            ControllerInput::Commit { reign } => self.commit(ctx, reign),
            ControllerInput::Tick => self.tick(ctx),
        }
    }

    pub fn create_topic(&mut self, ctx: &mut Context) {
        let (partitions, replicas) = (ctx.config.partitions, ctx.config.replicas);
        let mut topic = NewTopic::placed(TOPIC, partitions, replicas);
        if ctx.config.eligible_leaders {
            let value = ctx.config.min_insync_replicas.to_string();
            topic.configs.push(("min.insync.replicas".to_owned(), Some(value)));
        }
        let topics = vec![topic];
        let command = Command::CreateTopics(CreateTopics { topics, validate_only: false });
        self.ask(ctx, command, Asker::Nobody);
    }

    /// Another `min.insync.replicas` for the topic, more than there are replicas too.
    pub fn change_min_isr(&mut self, ctx: &mut Context) {
        if self.is_away || self.image.topic_by_name(TOPIC).is_none() {
            return;
        }
        let highest = ctx.config.replicas as u64 + 2;
        let value = ctx.rng.range(ctx.config.min_isr_floor as u64, highest);
        ctx.counters.min_isr_changes += 1;
        ctx.trace.line(|| format!("{} controller sets the minimum to {value}", ctx.now));
        let change = ConfigChange {
            name: "min.insync.replicas".to_owned(),
            operation: ConfigOperation::Set,
            value: Some(value.to_string()),
        };
        let resource = ConfigResource::Topic(TOPIC.to_owned());
        let resources = vec![ConfigAlteration { resource, changes: vec![change] }];
        let command = Command::IncrementalAlterConfigs { resources, validate_only: false };
        self.ask(ctx, command, Asker::Nobody);
    }

    /// Deletes the topic; another of the same name follows.
    pub fn delete_topic(&mut self, ctx: &mut Context) {
        if self.is_away || self.image.topic_by_name(TOPIC).is_none() {
            return;
        }
        ctx.counters.topics_deleted += 1;
        let topics = vec![TopicSelector::Name(TOPIC.to_owned())];
        self.recreates_at = Some(ctx.now + ctx.rng.range(1_000, 500_000));
        self.ask(ctx, Command::DeleteTopics { topics }, Asker::Nobody);
    }

    fn recreate_topic(&mut self, ctx: &mut Context) {
        let is_due = self.recreates_at.is_some_and(|at| ctx.now >= at);
        if is_due && self.is_idle() && self.image.topic_by_name(TOPIC).is_none() {
            self.create_topic(ctx);
        }
    }

    pub fn balance(&mut self, ctx: &mut Context) {
        if !self.is_away {
            ctx.counters.balances += 1;
            let (election, partitions) = (ElectionKind::Preferred, ElectionScope::All);
            self.ask(ctx, Command::ElectLeaders { election, partitions }, Asker::Nobody);
        }
    }

    /// Fences a broker that may be as live as ever.
    pub fn alarm(&mut self, ctx: &mut Context, broker_id: NodeId) {
        let Some(broker) = self.image.broker(broker_id).filter(|_| !self.is_away) else { return };
        ctx.counters.false_alarms += 1;
        let command = Command::FenceBroker { broker_id, broker_epoch: broker.epoch };
        self.ask(ctx, command, Asker::Nobody);
    }

    /// The active controller is gone, and what it had not committed with it. What it was committing
    /// may be committed all the same, but nobody is told.
    pub fn fail(&mut self, ctx: &mut Context) {
        if ctx.config.mutation == Some(Mutation::AnswerBeforeCommit) {
            self.answer_without_commit(ctx);
        }
        if ctx.config.unknown_outcomes && !self.under_way.is_empty() && ctx.rng.chance(500) {
            ctx.counters.unknown_outcomes += 1;
            self.under_way.iter_mut().for_each(|(_, asker)| *asker = Asker::Nobody);
            self.waiting.clear();
            self.commit(ctx, self.reign);
        }
        self.reign += 1;
        self.is_away = true;
        self.waiting.clear();
        self.under_way.clear();
    }

    fn answer_without_commit(&mut self, ctx: &mut Context) {
        let former = (self.image.clone(), self.images.len());
        let facts = ctx.facts.len();
        self.commit(ctx, self.reign);
        ctx.facts.truncate(facts);
        self.images.truncate(former.1);
        self.log.truncate(former.1 - 1);
        self.image = former.0;
    }

    /// Another one is active: it has read the log, or a snapshot and the rest of the log. Nobody is
    /// fenced before it had the time to be heard.
    pub fn take_over(&mut self, ctx: &mut Context) {
        self.is_away = false;
        if ctx.config.mutation == Some(Mutation::ForgetCommitted) && self.images.len() > 2 {
            self.images.pop();
            self.log.pop();
        }
        if ctx.config.wide {
            self.replay(ctx);
        }
        for at in self.heartbeats.values_mut() {
            *at = ctx.now;
        }
    }

    fn replay(&mut self, ctx: &mut Context) {
        let from = ctx.rng.below(self.images.len());
        let snapshot = &self.images[from];
        let mut image = Image::from_records(snapshot.version(), &snapshot.to_records());
        for batch in &self.log[from..] {
            let version = image.version();
            assert!(image.apply_batch(version, batch), "a batch was skipped");
        }
        self.image = image;
        ctx.facts.push(Fact::TookOver(self.image.version()));
    }

    fn ask(&mut self, ctx: &mut Context, command: Command, asker: Asker) {
        self.waiting.push((command, asker));
        self.begin_commit(ctx);
    }

    fn begin_commit(&mut self, ctx: &mut Context) {
        if self.under_way.is_empty() && !self.waiting.is_empty() {
            self.under_way = std::mem::take(&mut self.waiting);
            let slow = ctx.config.slow_commits;
            let is_slow = slow > 0 && !ctx.is_calm && ctx.rng.chance(slow);
            let delay = ctx.rng.range(200, if is_slow { 300_000 } else { 8_000 });
            let commit = ControllerInput::Commit { reign: self.reign };
            ctx.after_us(delay, Event::Controller(commit));
        }
    }

    fn register(
        &mut self,
        ctx: &mut Context,
        (node, incarnation): (NodeId, Incarnation),
        previous_epoch: BrokerEpoch,
        disk: u64,
    ) {
        let session = ctx.config.session_timeout_ms * 1000;
        let is_recent = self.heartbeats.get(&node).is_some_and(|at| ctx.now - at < session);
        let is_fenced = self.image.broker(node).is_none_or(|broker| broker.fenced);
        let command = Command::RegisterBroker(RegisterBroker {
            broker_id: node,
            cluster_id: CLUSTER.to_owned(),
            incarnation_id: incarnation_id(node, incarnation),
            endpoints: vec![endpoint(node)],
            rack: None,
            log_dirs: vec![Uuid::from_random(node.0 as u128 + 1 + (u128::from(disk) << 32))],
            features: Vec::new(),
            previous_epoch,
            session_alive: is_recent && !is_fenced,
        });
        self.ask(ctx, command, Asker::Register { node, incarnation });
    }

    fn heartbeat(
        &mut self,
        ctx: &mut Context,
        (node, broker_epoch): (NodeId, BrokerEpoch),
        version: types::MetadataVersion,
        wants_shutdown: bool,
    ) {
        let Some(broker) = self.image.broker(node) else { return };
        if broker.epoch != broker_epoch {
            return;
        }
        let (fenced, is_leaving) = (broker.fenced, broker.in_controlled_shutdown);
        let has_caught_up = version >= broker.registered_version;
        self.heartbeats.insert(node, ctx.now);
        if wants_shutdown && !is_leaving && !fenced {
            let command = Command::BeginControlledShutdown { broker_id: node, broker_epoch };
            self.ask(ctx, command, Asker::Nobody);
        } else if fenced && has_caught_up && !wants_shutdown {
            ctx.counters.unfencings += 1;
            let command = Command::UnfenceBroker { broker_id: node, broker_epoch };
            self.ask(ctx, command, Asker::Nobody);
        }
    }

    fn tick(&mut self, ctx: &mut Context) {
        ctx.after_ms(TICK_MS, Event::Controller(ControllerInput::Tick));
        if self.is_away {
            return;
        }
        self.recreate_topic(ctx);
        let session = ctx.config.session_timeout_ms * 1000;
        let silent = |broker: &&Arc<Broker>| {
            let heard = self.heartbeats.get(&broker.id).copied().unwrap_or(0);
            !broker.fenced && ctx.now - heard >= session
        };
        let silent: Vec<(NodeId, BrokerEpoch)> =
            self.image.brokers().filter(silent).map(|broker| (broker.id, broker.epoch)).collect();
        for (broker_id, broker_epoch) in silent {
            ctx.counters.fencings += 1;
            ctx.trace.line(|| format!("{} controller fences {broker_id}", ctx.now));
            let command = Command::FenceBroker { broker_id, broker_epoch };
            self.ask(ctx, command, Asker::Nobody);
        }
    }

    fn commit(&mut self, ctx: &mut Context, reign: u64) {
        if reign != self.reign {
            return;
        }
        let (mut commands, askers): (Vec<Command>, Vec<Asker>) =
            std::mem::take(&mut self.under_way).into_iter().unzip();
        let mutation = ctx.config.mutation;
        commands.iter_mut().for_each(|command| mutate_command(mutation, &self.image, command));
        let context = DecideContext {
            seed: ctx.rng.next(),
            config_rules: &PlainConfigRules,
            num_partitions: 1,
            replication_factor: 3,
            unclean_leader_election: mutation == Some(Mutation::UncleanElection),
        };
        let mut batch = decide_batch(&self.decided_on(mutation, &commands), &commands, &context);
        mutate_records(mutation, &self.image, &commands, &mut batch.records);
        if !batch.records.is_empty() {
            let before = self.image.clone();
            assert!(self.image.apply_batch(batch.based_on, &batch.records), "a batch was skipped");
            self.count_elections(ctx, &before);
            self.images.push(self.image.clone());
            self.log.push(Arc::new(batch.records));
            ctx.facts.push(Fact::Committed(self.image.version()));
        }
        for (asker, reply) in askers.into_iter().zip(batch.replies) {
            answer(ctx, asker, reply, self.image.version());
        }
        self.begin_commit(ctx);
    }

    /// The image; for one mistake only, another one, in which everybody is live.
    fn decided_on(&self, mutation: Option<Mutation>, commands: &[Command]) -> Image {
        let mut image = self.image.clone();
        let alters = |command: &Command| matches!(command, Command::AlterPartition(_));
        if mutation == Some(Mutation::Rule(Mutant::JoinWhileFenced)) && commands.iter().all(alters)
        {
            for broker in self.image.brokers() {
                let (fenced, in_controlled_shutdown) = (false, false);
                let live = Broker { fenced, in_controlled_shutdown, ..broker.as_ref().clone() };
                image.apply(&Record::Broker(live));
            }
        }
        image
    }

    fn count_elections(&self, ctx: &mut Context, before: &Image) {
        for change in ImageChanges::between(before, &self.image).partitions {
            let (Some(old), Some(new)) = (change.before, change.after) else { continue };
            let is_election = old.leader != new.leader && new.has_leader();
            ctx.counters.elections += u64::from(is_election);
            let was_eligible = old.elr.contains(&new.leader);
            ctx.counters.eligible_elected += u64::from(is_election && was_eligible);
            ctx.trace.line(|| {
                format!(
                    "{} controller {}: leader {} epoch {} isr {:?} elr {:?} partition epoch {}",
                    ctx.now,
                    change.partition.partition,
                    new.leader,
                    new.leader_epoch,
                    new.isr,
                    new.elr,
                    new.partition_epoch
                )
            });
        }
    }
}

/// Mistakes of the controller that a changed question shows.
fn mutate_command(mutation: Option<Mutation>, image: &Image, command: &mut Command) {
    if let (Some(Mutation::EveryStopIsClean), Command::RegisterBroker(register)) =
        (mutation, &mut *command)
        && let Some(former) = image.broker(register.broker_id)
    {
        register.previous_epoch = former.epoch;
        register.log_dirs.clone_from(&former.log_dirs);
    }
    let Command::AlterPartition(alter) = command else { return };
    for item in &mut alter.partitions {
        let Some(state) = image.partition(item.partition) else { continue };
        if mutation == Some(Mutation::AnyPartitionEpoch) {
            item.partition_epoch = state.partition_epoch;
        }
        if mutation == Some(Mutation::AnyLeaderEpochInAlter) {
            if let Some(leader) = image.broker(state.leader) {
                (alter.broker_id, alter.broker_epoch) = (leader.id, leader.epoch);
            }
            item.leader_epoch = state.leader_epoch;
            item.partition_epoch = state.partition_epoch;
        }
    }
}

/// Mistakes of the controller that changed records show.
fn mutate_records(
    mutation: Option<Mutation>,
    image: &Image,
    commands: &[Command],
    records: &mut Vec<Record>,
) {
    let registers = |command: &Command| matches!(command, Command::RegisterBroker(_));
    let is_partition = |record: &Record| matches!(record, Record::Partition { .. });
    if mutation == Some(Mutation::KeepIsrAtRegistration) && commands.iter().all(registers) {
        records.retain(|record| !is_partition(record));
    }
    records.retain(|record| {
        let Record::Partition { topic_id, partition, state } = record else { return true };
        let id = TopicIdPartition { topic_id: *topic_id, partition: *partition };
        image.partition(id).is_none_or(|former| !is_left_out(mutation, former, state, commands))
    });
    for record in records {
        let Record::Partition { topic_id, partition, state } = record else { continue };
        let id = TopicIdPartition { topic_id: *topic_id, partition: *partition };
        let Some(former) = image.partition(id) else { continue };
        match mutation {
            Some(Mutation::SameLeaderEpoch) => state.leader_epoch = former.leader_epoch,
            Some(Mutation::AlwaysEligible) => {
                let left = former.isr.iter().chain(&former.elr).copied();
                state.elr = left.filter(|id| !state.isr.contains(id)).collect();
            }
            _ => {}
        }
    }
}

/// Records that a controller with this mistake does not write.
fn is_left_out(
    mutation: Option<Mutation>,
    former: &Partition,
    next: &Partition,
    commands: &[Command],
) -> bool {
    let fails = |id: NodeId| {
        let is_fail = |command: &Command| match command {
            Command::FailReplicas(failed) => failed.broker_id == id,
            _ => false,
        };
        commands.iter().all(is_fail)
    };
    match mutation {
        Some(Mutation::SilentLoss) => {
            let same = Partition { partition_epoch: former.partition_epoch, ..next.clone() };
            same == *former && commands.iter().all(|it| matches!(it, Command::FailReplicas(_)))
        }
        Some(Mutation::LastMemberStays) => former.isr.len() == 1 && fails(former.isr[0]),
        _ => false,
    }
}

/// The id of one start of a node's process.
pub fn incarnation_id(node: NodeId, incarnation: Incarnation) -> Uuid {
    Uuid::from_random((node.0 as u128) << 64 | u128::from(incarnation) << 1 | 1)
}

fn endpoint(node: NodeId) -> Endpoint {
    Endpoint {
        name: "PLAINTEXT".to_owned(),
        host: format!("broker-{node}"),
        port: 9092,
        security_protocol: 0,
    }
}

fn alter_command(
    (broker_id, broker_epoch): (NodeId, BrokerEpoch),
    partition: TopicIdPartition,
    proposal: &IsrProposal,
) -> Command {
    let member = |member: &replication::IsrMember| IsrMember {
        broker_id: member.broker,
        broker_epoch: member.broker_epoch,
    };
    let item = AlterPartitionItem {
        partition,
        leader_epoch: proposal.leader_epoch,
        partition_epoch: proposal.partition_epoch,
        new_isr: proposal.isr.iter().map(member).collect(),
        leader_recovery: LeaderRecovery::Recovered,
    };
    Command::AlterPartition(AlterPartition { broker_id, broker_epoch, partitions: vec![item] })
}

fn answer(ctx: &mut Context, asker: Asker, reply: Reply, version: MetadataVersion) {
    match asker {
        Asker::Nobody => {}
        Asker::Fail { node, incarnation, partitions } => {
            // Of another registration: it is told again under the new one.
            if reply == Reply::Done {
                ctx.counters.failures_told += partitions.len() as u64;
                ctx.send_from_controller(node, incarnation, NodeInput::FailuresTold(partitions));
            }
        }
        Asker::Register { node, incarnation } => {
            let outcome = match reply {
                Reply::BrokerRegistered { broker_epoch } => Ok(broker_epoch),
                Reply::Refused(refusal) => Err(refusal.code),
                other => panic!("a registration was answered with {other:?}"),
            };
            ctx.counters.registrations += u64::from(outcome.is_ok());
            ctx.send_from_controller(node, incarnation, NodeInput::Registered(outcome));
        }
        Asker::Alter { node, incarnation, call } => {
            let answer = alter_answer(reply);
            if let AlterPartitionAnswer::Refused(code) = &answer {
                ctx.counters.isr_refused += 1;
                ctx.trace.line(|| format!("{} controller refuses {node}'s isr: {code}", ctx.now));
            }
            let input = NodeInput::AlterAnswered { call, answer, version };
            ctx.send_from_controller(node, incarnation, input);
        }
    }
}

fn alter_answer(reply: Reply) -> AlterPartitionAnswer {
    match reply {
        Reply::PartitionsAltered(mut items) => {
            let item = items.pop().expect("one item was asked");
            match item.outcome {
                Ok(altered) => AlterPartitionAnswer::Committed {
                    isr: altered.isr,
                    partition_epoch: altered.partition_epoch,
                },
                Err(refusal) => AlterPartitionAnswer::Refused(refusal.code),
            }
        }
        Reply::Refused(refusal) => AlterPartitionAnswer::Refused(refusal.code),
        other => panic!("an alteration was answered with {other:?}"),
    }
}
