//! A cluster in virtual time: one queue of events, one thread, one seed.

use crate::client::{self, Client};
use crate::config::SimConfig;
use crate::context::{CONTROLLER, Context};
use crate::controller::{Controller, TOPIC};
use crate::counters::Counters;
use crate::event::*;
use crate::invariants::{Checker, View, Violation};
use crate::node::{Loss, Node};
use std::collections::BTreeMap;
use types::{NodeId, TopicIdPartition};

const SETUP_MS_MAX: u64 = 20_000;
const HEAL_MS_MAX: u64 = 60_000;
const HOLD_MS_MAX: u64 = 10_000;
/// How long a cluster is watched after a loss that it does not mend by itself.
const AFTER_LOSS_MS: u64 = 8_000;
/// Events in one run; more means that something goes round in circles.
const EVENTS_MAX: u64 = 3_000_000;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    pub counters: Counters,
    pub trace_hash: u64,
    pub lines: Vec<String>,
    pub violation: Option<Violation>,
}

pub struct World {
    pub(crate) ctx: Context,
    pub(crate) controller: Controller,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    clients: Vec<Client>,
    checker: Checker,
    partitions: Vec<TopicIdPartition>,
    /// A broker that lost unsynced records: until it has left the ISRs, nothing else may happen,
    /// since Kafka's guarantee covers one such loss at a time.
    held_for: Option<NodeId>,
    has_faults: bool,
}

impl World {
    pub fn run(config: SimConfig, keeps_trace: bool) -> Outcome {
        let mut world = World::new(config, keeps_trace);
        let violation = world.live().err();
        let counters = world.ctx.counters;
        let trace = world.ctx.trace;
        let trace_hash = trace.hash();
        Outcome { counters, trace_hash, lines: trace.into_lines(), violation }
    }

    fn new(config: SimConfig, keeps_trace: bool) -> World {
        let clients = (0..config.clients).map(Client::new).collect();
        let ids = (1..=config.nodes).map(NodeId);
        let nodes = ids.map(|id| (id, Node::new(id))).collect();
        let mut ctx = Context::new(config, keeps_trace);
        let controller = Controller::new(&mut ctx);
        World {
            ctx,
            controller,
            nodes,
            clients,
            checker: Checker::new(),
            partitions: Vec::new(),
            held_for: None,
            has_faults: false,
        }
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.set_up()?;
        self.suffer()?;
        self.heal()?;
        self.checker.finish(&view(&self.ctx, &self.controller, &self.nodes))?;
        match self.ctx.config.last_replica_lost {
            true => self.lose_last_replica(),
            false => Ok(()),
        }
    }

    /// The last member of an ISR loses its directory while it is down: nobody who stands behind it may
    /// cut a record that all have acknowledged.
    fn lose_last_replica(&mut self) -> Result<(), Violation> {
        let shared = {
            let mut all = self.controller.image().partitions();
            all.find(|(_, at)| at.replicas.len() > 1).map(|(id, at)| (id, at.clone()))
        };
        let Some((id, at)) = shared else { return Ok(()) };
        let others: Vec<NodeId> =
            at.replicas.iter().copied().filter(|replica| *replica != at.leader).collect();
        for other in &others {
            self.nodes.get_mut(other).expect("a replica").crash(&mut self.ctx, Loss::Nothing);
        }
        self.run_until(HEAL_MS_MAX, "the leader is alone in sync", |world| {
            world.controller.image().partition(id).is_some_and(|now| now.isr == [at.leader])
        })?;
        let last = self.nodes.get_mut(&at.leader).expect("a replica");
        last.crash(&mut self.ctx, Loss::Nothing);
        last.remove_directory(&mut self.ctx, id);
        let held: Vec<_> = others.iter().map(|other| self.nodes[other].disk[&id].end()).collect();
        for replica in &at.replicas {
            let delay = self.ctx.rng.range(20, 1_500);
            self.ctx.after_ms(delay, Event::Start(*replica));
        }
        let end = self.ctx.now + AFTER_LOSS_MS * 1000;
        while self.ctx.now < end {
            self.step()?;
        }
        for (other, held) in others.iter().zip(held) {
            let has = self.nodes[other].disk[&id].end();
            if has < held {
                let what = format!("{other} had {id} to {held}, has it to {has}");
                return Err(Violation::new("what is lost is not cut elsewhere", what));
            }
        }
        Ok(())
    }

    fn set_up(&mut self) -> Result<(), Violation> {
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            let delay = self.ctx.rng.range(1, 50);
            self.ctx.after_ms(delay, Event::Start(id));
        }
        let count = self.nodes.len();
        self.run_until(SETUP_MS_MAX, "the brokers are live", |world| {
            world.controller.image().live_brokers().count() == count
        })?;
        self.controller.create_topic(&mut self.ctx);
        self.run_until(SETUP_MS_MAX, "the topic is created", |world| {
            world.controller.image().topic_by_name(TOPIC).is_some()
        })?;
        self.partitions = self.controller.image().partitions().map(|(id, _)| id).collect();
        Ok(())
    }

    fn suffer(&mut self) -> Result<(), Violation> {
        self.has_faults = true;
        self.ctx.is_calm = false;
        self.ctx.after_ms(300, Event::Fault);
        for client in 0..self.clients.len() {
            let delay = self.ctx.rng.range(1, 40);
            self.ctx.after_ms(delay, Event::Client { client, input: ClientInput::Send });
        }
        let end = self.ctx.now + self.ctx.config.fault_phase_ms * 1000;
        while self.ctx.next_time().is_some_and(|at| at < end) {
            self.step()?;
        }
        Ok(())
    }

    /// Everything is repaired; then the cluster must come together by itself.
    fn heal(&mut self) -> Result<(), Violation> {
        self.has_faults = false;
        self.ctx.is_calm = true;
        self.ctx.network.unblock_all();
        for client in &mut self.clients {
            client.is_draining = true;
        }
        if self.controller.is_away {
            self.ctx.after_ms(100, Event::ControllerBack);
        }
        let ids: Vec<NodeId> = self.nodes.keys().copied().collect();
        for id in ids {
            self.ctx.after_ms(1, Event::Resume(id));
            self.ctx.after_ms(100, Event::Start(id));
        }
        if self.ctx.config.stream_loss > 0 || self.ctx.config.slow_streams > 0 {
            let streams = self.ctx.network.streams_where(|_, _| true);
            self.ctx.break_streams(&streams, false);
        }
        // A node that has just forgotten records leaves the ISRs before another one stops.
        // As the only replica of a topic that was made since, it need not.
        let end = self.ctx.now + HOLD_MS_MAX * 1000;
        while self.is_held() && self.ctx.now < end {
            self.step()?;
        }
        self.held_for = None;
        self.ctx.is_calm = true;
        let has_failed = |node: &&Node| !node.failed.is_empty();
        let failed: Vec<NodeId> =
            self.nodes.values().filter(has_failed).map(|node| node.id).collect();
        failed.into_iter().for_each(|id| self.begin_shutdown(id));
        self.run_until(HEAL_MS_MAX, "every replica is in sync and equal", World::has_converged)
    }

    fn run_until(
        &mut self,
        limit_ms: u64,
        goal: &str,
        is_reached: impl Fn(&World) -> bool,
    ) -> Result<(), Violation> {
        let end = self.ctx.now + limit_ms * 1000;
        while !is_reached(self) {
            if self.ctx.now > end {
                let state = self.describe();
                return Err(Violation::new("converges", format!("never: {goal}\n{state}")));
            }
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Violation> {
        let event = self.ctx.pop().expect("heartbeats never end");
        self.ctx.counters.events += 1;
        assert!(self.ctx.counters.events < EVENTS_MAX, "a run without end");
        self.ctx.trace.mark(self.ctx.now);
        let version = self.controller.images().len();
        self.dispatch(event);
        if self.controller.images().len() > version {
            self.review_doubts(version - 1);
            self.partitions = self.controller.image().partitions().map(|(id, _)| id).collect();
            self.spread_metadata();
        }
        self.release_hold();
        let facts = std::mem::take(&mut self.ctx.facts);
        if facts.is_empty() {
            return Ok(());
        }
        self.ctx.trace.mark(facts.len() as u64);
        let view = view(&self.ctx, &self.controller, &self.nodes);
        facts.iter().try_for_each(|fact| self.checker.observe(fact, &view))
    }

    /// Which nodes the controller trusts, after the batches since this version.
    fn review_doubts(&mut self, since: usize) {
        let former = &self.controller.images()[since];
        let image = self.controller.image();
        for node in self.nodes.values_mut() {
            let (old, new) = (former.broker(node.id), image.broker(node.id));
            let is_unclean = |new: &metadata::Broker| {
                old.is_none_or(|old| old.epoch < new.epoch && old.epoch != new.previous_epoch)
            };
            if new.is_some_and(is_unclean) {
                node.doubt(image);
            }
            node.review_doubts(image);
        }
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Node { node, incarnation, input } => self.node_event(node, incarnation, input),
            Event::Controller(input) => self.controller.handle(&mut self.ctx, input),
            Event::Client { client, input } => self.client_event(client, input),
            Event::Start(id) => self.start(id),
            Event::Resume(id) => self.resume(id),
            Event::Fault if self.has_faults => self.next_fault(),
            Event::Fault => {}
            Event::Reconnect(one, other) => self.ctx.network.unblock(one, other),
            Event::ControllerBack if self.controller.is_away => {
                self.controller.take_over(&mut self.ctx);
            }
            Event::ControllerBack => {}
        }
    }

    fn node_event(&mut self, id: NodeId, incarnation: Incarnation, input: NodeInput) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if node.process.as_ref().is_none_or(|process| process.incarnation != incarnation) {
            return;
        }
        if !arrives(&self.ctx, &input) {
            return;
        }
        if node.is_paused {
            node.deferred.push((incarnation, input));
            return;
        }
        if self.ctx.trace.is_kept() {
            let line = format!("{} {id}.{incarnation} {input:?}", self.ctx.now);
            self.ctx.trace.line(|| line);
        }
        if matches!(input, NodeInput::MetadataReady) {
            self.teach(id, incarnation);
        } else {
            node.handle(&mut self.ctx, input);
        }
        self.stop_if_done(id);
    }

    /// Some batches of metadata that the broker has not seen yet, in order.
    fn teach(&mut self, id: NodeId, incarnation: Incarnation) {
        if self.ctx.network.is_blocked(CONTROLLER, id) {
            return;
        }
        let newest = self.controller.images().len() - 1;
        let snapshots = self.ctx.config.snapshots;
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let mut version = node.process.as_ref().expect("it runs").image.version().0 as usize;
        if snapshots && version == 0 && newest > 10 && self.ctx.rng.chance(500) {
            version = self.ctx.rng.range(newest as u64 / 2, newest as u64) as usize;
            node.load_snapshot(&mut self.ctx, &self.controller.images()[version]);
        }
        // One that is far behind reads fast.
        let behind = self.controller.images().len() - 1 - version;
        let count = (self.ctx.rng.range(1, 5) as usize).max(behind / 2);
        let batches = self.controller.batches(version, count);
        if batches.is_empty() {
            return;
        }
        node.learn(&mut self.ctx, batches);
        if behind > count {
            let delay = self.ctx.delay_us();
            let input = NodeInput::MetadataReady;
            self.ctx.after_us(delay, Event::Node { node: id, incarnation, input });
        }
    }

    fn spread_metadata(&mut self) {
        for node in self.nodes.values() {
            let Some(process) = &node.process else { continue };
            let delay = self.ctx.rng.range(1, self.ctx.config.metadata_delay_ms_max);
            let input = NodeInput::MetadataReady;
            self.ctx.node_after_ms(delay, node.id, process.incarnation, input);
        }
    }

    fn stop_if_done(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let Some(process) = &node.process else { return };
        let is_leaving = |broker: &metadata::Broker| {
            broker.in_controlled_shutdown && Some(broker.epoch) == process.broker_epoch
        };
        let has_left = process.image.broker(id).is_some_and(is_leaving);
        if process.wants_shutdown && has_left && !node.leads() {
            node.stop(&mut self.ctx);
            self.ctx.counters.controlled_shutdowns += 1;
            let pause = self.ctx.rng.range(10, 800);
            self.ctx.after_ms(pause, Event::Start(id));
        }
    }

    fn start(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if node.process.as_ref().is_some_and(|process| process.wants_shutdown) {
            node.stop(&mut self.ctx);
        }
        if node.process.is_none() {
            self.ctx.counters.restarts += u64::from(node.starts > 0);
            node.start(&mut self.ctx);
        }
    }

    fn resume(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.is_paused = false;
        for (incarnation, input) in std::mem::take(&mut node.deferred) {
            self.ctx.after_us(1, Event::Node { node: id, incarnation, input });
        }
    }

    fn client_event(&mut self, client: usize, input: ClientInput) {
        let produce = self.clients[client].handle(&mut self.ctx, input, &self.partitions);
        let Some(produce) = produce else { return };
        let Some(target) = client::target(&mut self.ctx, &self.nodes, produce.partition) else {
            return;
        };
        let Some(process) = &self.nodes[&target].process else { return };
        let incarnation = process.incarnation;
        if !self.ctx.is_lost(NodeId(-2), target) {
            let delay = self.ctx.delay_us();
            let input = NodeInput::Produce(produce);
            self.ctx.after_us(delay, Event::Node { node: target, incarnation, input });
        }
    }

    /// Whether a broker may lose its unsynced records now: always where topics are synced. Else
    /// only while all is well and every one of its partitions has another in-sync replica: the
    /// last one standing must not be the one that forgot (KIP-966 without its ELR).
    pub(crate) fn may_lose_power(&self, id: NodeId) -> bool {
        match self.ctx.config.synced {
            true => self.may_crash(id),
            false => self.may_lose_everything(id),
        }
    }

    /// Whether one more node may forget records: with eligible leaders, as long as each committed
    /// record is left on one of the replicas that must hold it.
    pub(crate) fn may_lose_everything(&self, id: NodeId) -> bool {
        match self.has_eligible_leaders() {
            true => self.is_one_more_doubt_fine(id),
            false => self.is_all_well(id),
        }
    }

    /// A crash that loses nothing counts as one that may have lost something (KIP-966 survives
    /// `min.insync.replicas` less one of these): it matters while another node has.
    pub(crate) fn may_crash(&self, id: NodeId) -> bool {
        let has_lost = |node: &Node| node.has_lost && node.is_doubted();
        let is_whole = !self.nodes.values().any(has_lost);
        !self.has_eligible_leaders() || is_whole || self.is_one_more_doubt_fine(id)
    }

    fn is_one_more_doubt_fine(&self, id: NodeId) -> bool {
        // One that is to stop may be stopped before it is registered: no epoch proves that.
        let is_leaving = |node: &Node| node.process.as_ref().is_some_and(|it| it.wants_shutdown);
        let is_doubted = |node: &&Node| node.is_doubted() || is_leaving(node);
        let others = self.nodes.values().filter(|node| node.id != id);
        let doubted = others.filter(is_doubted).count();
        doubted + 1 < self.ctx.config.effective_min_isr()
    }

    fn has_eligible_leaders(&self) -> bool {
        self.ctx.config.eligible_leaders && self.ctx.config.effective_min_isr() > 1
    }

    fn is_all_well(&self, id: NodeId) -> bool {
        let image = self.controller.image();
        // Registered as this very start: a former one may still be in an ISR.
        let is_well = |node: &Node| {
            let Some(process) = &node.process else { return false };
            let registered = image.broker(node.id).map(|broker| broker.epoch);
            !process.wants_shutdown && !node.is_paused && process.broker_epoch == registered
        };
        let is_alone =
            |partition: &metadata::Partition| partition.in_isr(id) && partition.isr.len() < 2;
        self.nodes.values().all(is_well)
            && self.controller.is_idle()
            && self.ctx.alters_in_flight == 0
            && !self.ctx.network.has_blocks()
            && image.live_brokers().count() == self.nodes.len()
            && self.controller.oldest_heartbeat(self.ctx.now) < 200_000
            && !image.partitions().any(|(_, partition)| is_alone(partition))
    }

    /// Without eligible leaders nothing else may happen until a forgetful node has left the ISRs.
    pub(crate) fn hold_for(&mut self, id: NodeId) {
        if self.has_eligible_leaders() {
            return;
        }
        self.held_for = Some(id);
        self.ctx.is_calm = true;
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held_for.is_some()
    }

    fn release_hold(&mut self) {
        let Some(id) = self.held_for else { return };
        let image = self.controller.image();
        let node = &self.nodes[&id];
        let is_out = |partition: &metadata::Partition| !partition.in_isr(id);
        let has_left = match node.failed.is_empty() {
            true => {
                let is_old = node.is_registered_as_before_loss(image);
                !is_old && image.partitions().all(|(_, partition)| is_out(partition))
            }
            false => {
                let mut failed = node.failed.iter().filter_map(|id| image.partition(*id));
                node.untold.is_empty() && failed.all(|partition| is_out(partition))
            }
        };
        if has_left {
            self.held_for = None;
            self.ctx.is_calm = false;
        }
    }

    fn has_converged(&self) -> bool {
        let newest = self.controller.image();
        let knows = |node: &Node| {
            let process = node.process.as_ref();
            process.is_some_and(|process| process.image.version() == newest.version())
        };
        self.clients.iter().all(Client::is_idle)
            && newest.topic_by_name(TOPIC).is_some()
            && self.nodes.values().all(|node| node.failed.is_empty())
            && self.nodes.values().all(knows)
            && newest.partitions().all(|(id, partition)| self.is_whole(id, partition))
    }

    fn is_whole(&self, id: TopicIdPartition, partition: &metadata::Partition) -> bool {
        if !partition.has_leader() || partition.isr.len() != partition.replicas.len() {
            return false;
        }
        let Some((leader, _)) = self.nodes[&partition.leader].led(id) else { return false };
        let end = leader.end_offset();
        let is_same = |replica: &NodeId| {
            let node = &self.nodes[replica];
            let Some(log) = node.disk.get(&id) else { return end.0 == 0 };
            let process = node.process.as_ref();
            let replicas = process.and_then(|process| process.replicas.get(&id));
            log.end() == end && replicas.is_some_and(|here| here.high_watermark == end)
        };
        leader.high_watermark() == end && partition.replicas.iter().all(is_same)
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        let idle = self.clients.iter().filter(|client| client.is_idle()).count();
        text += &format!("clients idle {idle} of {}\n", self.clients.len());
        for (id, partition) in self.controller.image().partitions() {
            text += &format!("{id}: {partition:?}\n");
            for node in self.nodes.values() {
                let end = node.disk.get(&id).map(|log| log.end());
                let process = node.process.as_ref();
                let here = process.and_then(|process| process.replicas.get(&id));
                let role = here.map(|here| format!("{} hw {}", here.role, here.high_watermark));
                text += &format!("  {} end {end:?} {role:?}\n", node.id);
            }
        }
        for broker in self.controller.image().brokers() {
            text += &format!("{broker:?}\n");
        }
        text
    }
}

/// Messages of a stream that broke are gone, unless it drains.
fn arrives(ctx: &Context, input: &NodeInput) -> bool {
    match input {
        NodeInput::StreamUp { stream, .. } | NodeInput::FollowerUp { stream, .. } => {
            ctx.network.is_open(*stream)
        }
        NodeInput::Position { stream, .. } | NodeInput::Chunk { stream, .. } => {
            ctx.network.arrives(*stream)
        }
        NodeInput::RegisterNow
        | NodeInput::TellFailures
        | NodeInput::FailuresTold(_)
        | NodeInput::Registered(_)
        | NodeInput::HeartbeatNow
        | NodeInput::HeartbeatRefused(_)
        | NodeInput::MetadataReady
        | NodeInput::Wake
        | NodeInput::Flush(_)
        | NodeInput::AlterAnswered { .. }
        | NodeInput::Connect(_)
        | NodeInput::StreamDown { .. }
        | NodeInput::FollowerDown { .. }
        | NodeInput::Produce(_) => true,
    }
}

fn view<'a>(
    ctx: &'a Context,
    controller: &'a Controller,
    nodes: &'a BTreeMap<NodeId, Node>,
) -> View<'a> {
    View { config: &ctx.config, image: controller.image(), images: controller.images(), nodes }
}
