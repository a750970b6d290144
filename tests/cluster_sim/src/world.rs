//! A cluster and its clients from the first tick to the last.
//!
//! Time goes in ticks. In each, the network delivers what is due, and then every program runs until
//! the tick's end, in an order that the seed draws. So programs are as if on machines of their own,
//! while one thread runs all of it and one seed decides everything.

use crate::clock::HostClock;
use crate::context::{self, DiskTimes};
use crate::counters::Counters;
use crate::faults::Faults;
use crate::invariants::{self, Invariant};
use crate::look::{Look, NodeLook};
use crate::net::SimNetwork;
use crate::node::{DiskHealth, Node};
use crate::plan::Plan;
use crate::program::Program;
use crate::workload::{Phase, Workload};
use env::rng::SeededRng;
use env::{Env, MemDisk, Mutant, mutant};
use metadata::Image;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;

/// The unit of time, in microseconds: tokio's timers know no smaller one.
const TICK_US: u64 = 1_000;
/// Until then, a cluster without faults has a topic.
const BIRTH_US: u64 = 30_000_000;
/// Until then, a healed cluster is whole again and has proved it.
const RECOVERY_US: u64 = 120_000_000;
/// Until then, everything is read, however slowly (with slow disks a group may commit only some twenty
/// times a second), as long as something is within each `RECOVERY_US`.
const READ_US: u64 = 480_000_000;
/// Until then, programs that are told to stop have stopped.
const DRAIN_US: u64 = 30_000_000;
/// Until then, next to nothing of a stopped program is left.
const LAST_TASKS_US: u64 = 2_000_000;
const TASKS_LEFT_MAX: usize = 40;
/// How often the invariants are checked.
const CHECK_US: u64 = 10_000;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    /// A hash of everything that happened.
    pub trace: u64,
    pub counters: Counters,
    pub violation: Option<String>,
    /// Simulated time.
    pub us: u64,
}

pub struct World {
    pub plan: Plan,
    pub now: u64,
    pub rng: SmallRng,
    pub network: SimNetwork,
    pub nodes: Vec<Node>,
    pub disks: Rc<DiskTimes>,
    pub counters: Counters,
    clients: Program,
    workload: Workload,
    phase: watch::Sender<Phase>,
    faults: Faults,
    invariants: Vec<Box<dyn Invariant>>,
    newest: Arc<Image>,
    pub is_draining: bool,
    violation: Option<String>,
}

impl World {
    fn new(plan: Plan) -> World {
        context::enter();
        let seed = plan.seed;
        let mut hosts: Vec<String> = (1..=plan.nodes).map(|id| format!("n{id}")).collect();
        hosts.push("clients".to_owned());
        let network = SimNetwork::new(hosts, seed ^ 0xae7, plan.delay, plan.window);
        let disks = DiskTimes::install(plan.nodes, plan.disk_us, seed ^ 0xd15c);
        let nodes: Vec<Node> =
            (0..plan.nodes).map(|host| Node::new(host, &plan, network.clone())).collect();
        for disk in nodes.iter().map(|node| &node.disk) {
            disk.forget_directory_syncs(plan.mutant == Some(Mutant::NamesNotSynced));
            disk.forget_syncs((plan.mutant == Some(Mutant::RecordsNotSynced)).then_some(".log"));
        }
        let host = plan.nodes;
        context::set_turn(host, 0);
        let clock = Arc::new(HostClock::new());
        network.start_program(host);
        let clients = Program::start(&clock, 0, seed ^ 0xc11e);
        let env = Env {
            clock,
            rng: Arc::new(SeededRng::new(seed ^ 0x00c1_1e47)),
            disk: Arc::new(MemDisk::new()),
            net: Arc::new(network.of_host(host)),
        };
        let phase = watch::Sender::new(Phase::Load);
        let workload = Workload::new(&plan, env, phase.subscribe());
        clients.spawn(workload.clone().run());
        World {
            now: 0,
            rng: SmallRng::seed_from_u64(seed ^ 0x3014d),
            network,
            nodes,
            disks,
            counters: Counters::default(),
            clients,
            workload,
            phase,
            faults: Faults::default(),
            invariants: invariants::all(&plan),
            newest: Arc::default(),
            is_draining: false,
            violation: None,
            plan,
        }
    }

    /// Runs a plan on the thread of the caller, which should be new for it.
    pub fn run(plan: Plan) -> Outcome {
        let mut world = World::new(plan);
        for host in 0..world.nodes.len() {
            world.start(host);
        }
        world.live();
        world.outcome()
    }

    fn live(&mut self) {
        if !self
            .run_until(BIRTH_US, "the topic is made", |world| world.workload.progress().has_topic)
        {
            return;
        }
        let end = self.now + self.plan.fault_phase_us;
        while self.now < end && self.violation.is_none() {
            self.with_faults(Faults::step);
            self.tick();
        }
        self.with_faults(Faults::heal_all);
        self.phase.send_replace(Phase::Settle);
        if !self.run_until(RECOVERY_US, "all replicas are in sync", World::is_whole) {
            return;
        }
        if !self.run_until(RECOVERY_US, "producers end", |world| {
            world.workload.progress().producers_left == 0
        }) {
            return;
        }
        self.phase.send_replace(Phase::Prove);
        if !self.run_until_read() {
            return;
        }
        if self.run_until(RECOVERY_US, "all replicas are equal", World::is_equal) {
            self.drain();
        }
    }

    /// I14: programs that are told to stop end in time and leave nothing behind.
    fn drain(&mut self) {
        self.is_draining = true;
        for host in 0..self.nodes.len() {
            context::set_turn(host, self.now);
            self.nodes[host].tell_to_stop();
        }
        self.run_until(DRAIN_US, "all nodes have stopped (I14)", |world| {
            world.nodes.iter().all(|node| node.has_ended)
        });
        self.invariants.clear();
        self.nodes.iter_mut().for_each(Node::look_away);
        self.let_tasks_end();
        let left = |node: &Node| (node.disk.open_files() > 0).then(|| node.disk.open_paths());
        if let Some(paths) = self.nodes.iter().find_map(left) {
            self.violation.get_or_insert(format!("files are still open: {paths:?} (I14)"));
        }
    }

    /// Tasks that belong to connections end with those, shortly after the program. A few are left
    /// in about one run of twenty, for a reason that is not known yet: many would be a leak.
    fn let_tasks_end(&mut self) {
        let end = self.now + LAST_TASKS_US;
        let tasks = |world: &World| world.nodes.iter().map(Node::tasks).collect::<Vec<_>>();
        while self.now < end && tasks(self).iter().any(|left| *left > 0) {
            self.tick();
        }
        let tasks = tasks(self);
        self.counters.add("tasks of stopped programs", tasks.iter().sum::<usize>() as u64);
        if tasks.iter().any(|left| *left > TASKS_LEFT_MAX) {
            self.violation.get_or_insert(format!("tasks of stopped programs: {tasks:?} (I14)"));
        }
        self.nodes.iter_mut().for_each(Node::end);
    }

    fn with_faults(&mut self, work: impl FnOnce(&mut Faults, &mut World)) {
        let mut faults = std::mem::take(&mut self.faults);
        context::set_turn(self.nodes.len(), self.now);
        work(&mut faults, self);
        self.faults = faults;
    }

    /// Hosts whose node runs and is not paused.
    pub fn running(&self) -> Vec<usize> {
        let is_up = |node: &&Node| node.is_running() && !node.is_paused;
        self.nodes.iter().filter(is_up).map(|node| node.host).collect()
    }

    /// Ends a program at once. What it did since the last look is looked at first.
    pub fn kill(&mut self, host: usize) {
        self.check();
        context::set_turn(host, self.now);
        self.nodes[host].kill();
    }

    pub fn wipe(&mut self, host: usize) {
        self.check();
        context::set_turn(host, self.now);
        self.nodes[host].wipe();
    }

    pub fn cut_power(&mut self, host: usize) {
        self.check();
        let seed = self.rng.random();
        context::set_turn(host, self.now);
        self.nodes[host].cut_power(seed);
    }

    /// The newest metadata that any node has applied.
    pub fn newest(&self) -> &Image {
        &self.newest
    }

    /// What a node's Raft says of itself.
    pub fn raft(&self, host: usize) -> Option<controller::RaftFacts> {
        Some(self.nodes[host].view()?.raft()?.facts())
    }

    /// Every node is a voter, as it is now and not as it was before its disk was replaced.
    pub fn has_all_voters(&self) -> bool {
        let facts: Vec<_> = self.nodes.iter().filter_map(|node| node.view()?.raft()).collect();
        let facts: Vec<_> = facts.into_iter().map(controller::Inspection::facts).collect();
        let members: BTreeSet<_> = facts.iter().map(|one| one.member).collect();
        facts.len() == self.nodes.len()
            && facts.iter().all(|one| one.voters == members && !one.is_joint)
    }

    fn look(&mut self) -> Look {
        let nodes: Vec<NodeLook> = self.nodes.iter().filter_map(NodeLook::of).collect();
        for image in nodes.iter().flat_map(|node| &node.images) {
            if image.version() > self.newest.version() {
                self.newest = image.clone();
            }
        }
        Look { nodes, newest: self.newest.clone() }
    }

    fn check(&mut self) {
        let look = self.look();
        for invariant in &mut self.invariants {
            if let Err(text) = invariant.check(&look, &mut self.counters) {
                self.violation.get_or_insert(text);
            }
        }
    }

    /// Every node is there and knows the newest metadata, and every replica is in sync.
    pub fn is_whole(&self) -> bool {
        let looks: Vec<NodeLook> = self.nodes.iter().filter_map(NodeLook::of).collect();
        let is_whole = |partition: &metadata::Partition| {
            partition.isr.len() == partition.replicas.len()
                && partition.isr.contains(&partition.leader)
        };
        looks.len() == self.nodes.len()
            && looks.iter().all(|node| {
                node.is_ready
                    && node.images.iter().all(|image| image.version() == self.newest.version())
            })
            && self.newest.partitions().all(|(_, partition)| is_whole(partition))
    }

    /// Every replica ends where its partition's high watermark is.
    fn is_equal(&self) -> bool {
        let looks: Vec<NodeLook> = self.nodes.iter().filter_map(NodeLook::of).collect();
        let ends = |id: &types::TopicIdPartition| {
            let views = looks.iter().filter_map(|node| node.replicas.get(id));
            views.map(|one| (one.view.high_watermark, one.view.end_offset)).collect::<Vec<_>>()
        };
        self.is_whole()
            && self.newest.partitions().all(|(id, partition)| {
                let ends = ends(&id);
                ends.len() == partition.replicas.len()
                    && ends.iter().all(|one| *one == ends[0] && one.0 == one.1)
            })
    }

    pub fn start(&mut self, host: usize) {
        let seed = self.rng.random();
        context::set_turn(host, self.now);
        self.nodes[host].start(self.now, seed);
    }

    /// Ticks until everything acknowledged is read; false, and a violation, if nothing is for a while.
    fn run_until_read(&mut self) -> bool {
        let (began, mut before) = (self.now, self.workload.history().group.commits);
        while !self.run_for(RECOVERY_US, |world| world.workload.progress().is_proven) {
            let commits = self.workload.history().group.commits;
            let time = self.now - began;
            if self.violation.is_some() || commits == before || time >= READ_US {
                self.is_late(time, "everything acknowledged is read");
                return false;
            }
            before = commits;
        }
        true
    }

    /// Ticks until something holds; false, and a violation, if it does not in time.
    fn run_until(&mut self, time: u64, what: &str, holds: impl Fn(&World) -> bool) -> bool {
        let is_done = self.run_for(time, holds);
        if !is_done {
            self.is_late(time, what);
        }
        is_done
    }

    fn is_late(&mut self, time: u64, what: &str) {
        let text = format!("after {:.1} s, not yet: {what}", time as f64 / 1e6);
        self.violation.get_or_insert(text);
    }

    /// Ticks until something holds; false if it does not in time, or there is a violation.
    fn run_for(&mut self, time: u64, holds: impl Fn(&World) -> bool) -> bool {
        let end = self.now + time;
        while self.violation.is_none() {
            if self.now.is_multiple_of(CHECK_US) && holds(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            // Programs that stop in order are started again even now.
            self.with_faults(Faults::mend_due);
            self.tick();
        }
        false
    }

    fn tick(&mut self) {
        self.now += TICK_US;
        self.network.advance(self.now);
        let mut order: Vec<usize> = (0..=self.nodes.len()).collect();
        order.shuffle(&mut self.rng);
        for host in order {
            context::set_turn(host, self.now);
            match self.nodes.get_mut(host) {
                None => self.clients.run_until(self.now, TICK_US),
                Some(node) => {
                    let ended = node.run_until(self.now, TICK_US);
                    if let Some(result) = ended {
                        self.ended(host, result);
                    }
                }
            }
        }
        if self.now.is_multiple_of(CHECK_US) {
            self.check();
        }
        let panic = context::take_panic();
        let seen = panic.or_else(|| self.workload.history().violation.clone());
        if self.violation.is_none() {
            self.violation = seen;
        }
    }

    /// A program has ended by itself or in order.
    fn ended(&mut self, host: usize, result: Result<(), String>) {
        if let (Err(error), false) = (&result, self.nodes[host].may_end()) {
            self.violation = Some(format!("n{} failed: {error}", host + 1));
        }
        tracing::info!(?result, "the program has ended");
        self.check();
        if self.is_draining {
            return self.drained(host);
        }
        self.nodes[host].kill();
        match self.nodes[host].health {
            DiskHealth::Sound | DiskHealth::Mended => {
                self.with_faults(|faults, world| faults.start_later(host, world));
            }
            DiskHealth::Failing => self.counters.add("programs ended by a failing disk", 1),
            DiskHealth::Rotten => {
                self.with_faults(|faults, world| faults.replace_disk(host, world));
            }
        }
    }

    /// A program has stopped at the end of the run.
    fn drained(&mut self, host: usize) {
        self.nodes[host].has_ended = true;
        self.counters.add("programs stopped to the end", 1);
    }

    fn outcome(self) -> Outcome {
        let mut counters = self.counters;
        {
            let history = self.workload.history();
            counters.add("acked records", history.acked());
            counters.add("records read", history.reads);
            counters.add("failed records", history.failed);
            counters.add("group commits", history.group.commits);
            counters.add("group offsets fetched", history.group.fetches);
            counters.add("administrative calls", history.admin_calls);
            counters.add("batches of no records refused", history.odd_batches_refused);
            counters.add("deletions of records", history.deletions);
        }
        for crashes in self.nodes.iter().map(|node| node.disk.crashes()) {
            counters.add("writes lost in power cuts", crashes.lost_writes);
            counters.add("writes torn in power cuts", crashes.torn_writes);
            counters.add("names lost in power cuts", crashes.lost_names);
        }
        let net = self.network.counters();
        counters.add("connections", net.connections);
        counters.add("items delivered", net.deliveries);
        counters.add("items held by cut links", net.held);
        counters.add("connections refused", net.refused);
        counters.add("connections reset", net.resets);
        counters.add("runs", 1);
        Outcome {
            seed: self.plan.seed,
            trace: self.network.trace(),
            counters,
            violation: self.violation,
            us: self.now,
        }
    }
}

/// Runs a plan on a thread of its own, whose entropy is the seed's.
pub fn run_plan(plan: Plan, log_filter: Option<String>) -> Outcome {
    let work = move || {
        crate::entropy::seed_thread(plan.seed);
        mutant::set(plan.mutant);
        let _logging = log_filter.map(|filter| crate::logging::install(&filter));
        World::run(plan)
    };
    #[allow(clippy::disallowed_methods, reason = "a simulation is the whole of its thread")]
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(work);
    let joined = thread.expect("a thread can be started").join();
    joined.expect("the simulation itself does not panic")
}
