//! What goes wrong, one variant each.

use crate::context::{CONTROLLER, Context};
use crate::event::Event;
use crate::node::Loss;
use crate::world::World;
use types::NodeId;

/// One fault. Each heals by itself after a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process dies; its files stay as they are (kill -9).
    Crash(NodeId),
    /// The machine loses power: what is not synced may be gone.
    PowerLoss(NodeId),
    /// The process dies and its disk is replaced by an empty one.
    Wipe(NodeId),
    /// The process stands still (SIGSTOP, a long stall) and then goes on.
    Pause(NodeId),
    /// Two brokers, or a broker and the controller, do not hear each other.
    Cut(NodeId, NodeId),
    /// The first does not reach the second; the other way works.
    CutOneWay(NodeId, NodeId),
    /// A broker hears nobody.
    Isolate(NodeId),
    /// The streams of a broker break.
    BreakStreams(NodeId),
    /// The active controller dies; another takes over after a while.
    Failover,
    /// A broker stops in an orderly way.
    Shutdown(NodeId),
    /// The controller takes a live broker for dead.
    FalseAlarm(NodeId),
    /// A log directory fails under a broker that goes on: it loses a replica.
    FailReplica(NodeId),
    /// Not a fault: `min.insync.replicas` changes.
    MinIsr,
    /// Not a fault: the topic is deleted, and made again.
    DeleteTopic,
    /// Not a fault: the controller moves leaderships to the preferred replicas.
    Balance,
}

impl World {
    /// Lets something go wrong, and plans the next.
    pub(crate) fn next_fault(&mut self) {
        let mean = self.ctx.config.fault_interval_ms;
        let pause = self.ctx.rng.range(mean / 4, mean * 2);
        self.ctx.after_ms(pause, Event::Fault);
        if self.is_held() {
            return;
        }
        if let Some(fault) = self.choose_fault() {
            self.ctx.trace.line(|| format!("{} FAULT {fault:?}", self.ctx.now));
            self.inject(fault);
        }
    }

    fn choose_fault(&mut self) -> Option<Fault> {
        let count = self.ctx.config.nodes as u64;
        let node = NodeId(self.ctx.rng.range(1, count + 1) as i32);
        let other = NodeId(self.ctx.rng.range(1, count + 1) as i32);
        let config = &self.ctx.config;
        let (crashes, lossy) = (config.crashes, config.lossy_crashes);
        let (pauses, cuts) = (config.pauses, config.partitions_faults);
        let (failovers, shutdowns) = (config.failovers, config.shutdowns);
        let (wipes, balances, alarms) = (config.wipes, config.balances, config.false_alarms);
        if config.is_relay {
            let is_alarm = self.ctx.rng.chance(600);
            return Some(if is_alarm { Fault::FalseAlarm(node) } else { Fault::Balance });
        }
        let (changes, deletions) = (config.min_isr_changes, config.deletions);
        let failures = config.replica_failures;
        let kinds = if config.wide { 22 } else { 11 };
        match self.ctx.rng.below(kinds) {
            0 | 1 if crashes && self.may_crash(node) => Some(Fault::Crash(node)),
            2 | 3 if lossy && self.may_lose_power(node) => Some(Fault::PowerLoss(node)),
            4 if pauses => Some(Fault::Pause(node)),
            5 if cuts && node != other => Some(Fault::Cut(node, other)),
            6 if cuts => Some(Fault::Cut(node, CONTROLLER)),
            7 if cuts && node != other => Some(match self.ctx.rng.below(3) {
                0 => Fault::CutOneWay(node, CONTROLLER),
                1 => Fault::CutOneWay(CONTROLLER, node),
                _ => Fault::CutOneWay(node, other),
            }),
            8 if cuts => Some(Fault::Isolate(node)),
            9 if failovers => Some(Fault::Failover),
            10 if shutdowns && self.may_crash(node) => Some(Fault::Shutdown(node)),
            12 if cuts => Some(Fault::CutOneWay(CONTROLLER, node)),
            13 | 14 if balances => Some(Fault::Balance),
            15 | 16 if alarms => Some(Fault::FalseAlarm(node)),
            17 | 18 if changes => Some(Fault::MinIsr),
            19 if deletions => Some(Fault::DeleteTopic),
            20 | 21 if failures && self.may_lose_everything(node) => Some(Fault::FailReplica(node)),
            11 if wipes && self.may_lose_everything(node) => Some(Fault::Wipe(node)),
            _ => Some(Fault::BreakStreams(node)),
        }
    }

    fn inject(&mut self, fault: Fault) {
        match fault {
            Fault::Crash(node) => self.crash(node, false),
            Fault::PowerLoss(node) => self.crash(node, true),
            Fault::Wipe(node) => self.wipe(node),
            Fault::Pause(node) => self.pause(node),
            Fault::Cut(one, other) => cut(&mut self.ctx, one, other, true),
            Fault::CutOneWay(from, to) => cut(&mut self.ctx, from, to, false),
            Fault::Isolate(node) => self.isolate(node),
            Fault::BreakStreams(node) => break_streams(&mut self.ctx, node),
            Fault::Failover => self.fail_over(),
            Fault::Shutdown(node) => self.begin_shutdown(node),
            Fault::FalseAlarm(node) => self.controller.alarm(&mut self.ctx, node),
            Fault::Balance => self.controller.balance(&mut self.ctx),
            Fault::MinIsr => self.controller.change_min_isr(&mut self.ctx),
            Fault::DeleteTopic => self.controller.delete_topic(&mut self.ctx),
            Fault::FailReplica(node) => self.fail_replica(node),
        }
    }

    fn crash(&mut self, id: NodeId, loses_power: bool) {
        let is_synced = self.ctx.config.synced;
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if node.process.is_none() {
            return;
        }
        let loss = if loses_power { Loss::PageCache } else { Loss::Nothing };
        node.crash(&mut self.ctx, loss);
        self.ctx.counters.crashes += 1;
        if loses_power {
            self.ctx.counters.lossy_crashes += 1;
            if !is_synced {
                self.hold_for(id);
            }
        }
        let pause = self.ctx.rng.range(20, 2_500);
        self.ctx.after_ms(pause, Event::Start(id));
    }

    fn wipe(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        node.crash(&mut self.ctx, Loss::Disk);
        self.ctx.counters.disks_wiped += 1;
        self.hold_for(id);
        let pause = self.ctx.rng.range(20, 2_500);
        self.ctx.after_ms(pause, Event::Start(id));
    }

    fn fail_replica(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        let Some(partition) = node.losable(&mut self.ctx) else { return };
        node.fail_replica(&mut self.ctx, partition);
        self.hold_for(id);
    }

    fn pause(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if node.process.is_some() && !node.is_paused {
            node.is_paused = true;
            self.ctx.counters.pauses += 1;
            let pause = self.ctx.rng.range(50, 2_500);
            self.ctx.after_ms(pause, Event::Resume(id));
        }
    }

    fn isolate(&mut self, id: NodeId) {
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            cut(&mut self.ctx, id, other, true);
        }
        cut(&mut self.ctx, id, CONTROLLER, true);
    }

    fn fail_over(&mut self) {
        if !self.controller.is_away {
            self.controller.fail(&mut self.ctx);
            self.ctx.counters.failovers += 1;
            let pause = self.ctx.rng.range(200, 1_500);
            self.ctx.after_ms(pause, Event::ControllerBack);
        }
    }

    pub(crate) fn begin_shutdown(&mut self, id: NodeId) {
        let node = self.nodes.get_mut(&id).expect("a node of the cluster");
        if let Some(process) = &mut node.process {
            process.wants_shutdown = true;
            // Bounded: without an answer it stops all the same.
            self.ctx.after_ms(3_000, Event::Start(id));
        }
    }
}

fn cut(ctx: &mut Context, one: NodeId, other: NodeId, both_ways: bool) {
    ctx.counters.partitions += 1;
    ctx.network.block(one, other);
    if both_ways {
        ctx.network.block(other, one);
    }
    let is_between = |a: NodeId, b: NodeId| (a, b) == (one, other) || (a, b) == (other, one);
    let streams = ctx.network.streams_where(is_between);
    ctx.break_streams(&streams, false);
    let pause = ctx.rng.range(50, 2_500);
    ctx.after_ms(pause, Event::Reconnect(one, other));
}

fn break_streams(ctx: &mut Context, node: NodeId) {
    let streams = ctx.network.streams_where(|one, other| one == node || other == node);
    let drains = ctx.rng.chance(500);
    ctx.break_streams(&streams, drains);
}
