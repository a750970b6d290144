//! A cluster and its clients from the first tick to the last.
//!
//! Time goes in ticks. In each, the network delivers what is due, and then every program runs until
//! the tick's end, in an order that the seed draws. So programs are as if on machines of their own,
//! while one thread runs all of it and one seed decides everything.

use crate::clock::HostClock;
use crate::context::{self, DiskTimes};
use crate::counters::Counters;
use crate::net::SimNetwork;
use crate::node::Node;
use crate::plan::Plan;
use crate::program::Program;
use crate::workload::{Phase, Workload};
use env::rng::SeededRng;
use env::{Env, MemDisk};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;

/// The unit of time, in microseconds: tokio's timers know no smaller one.
const TICK_US: u64 = 1_000;
/// Until then, a cluster without faults has a topic.
const BIRTH_US: u64 = 30_000_000;
/// Until then, a healed cluster is whole again and has proved it.
const RECOVERY_US: u64 = 120_000_000;

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
        let host = plan.nodes;
        context::set_turn(host, 0);
        let clock = Arc::new(HostClock::new());
        network.start_program(host);
        let clients = Program::start(&clock, 0, seed ^ 0xc11e);
        let env = Env {
            clock,
            rng: Arc::new(SeededRng::new(seed ^ 0xc11e_47)),
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
        if !self.run_until(BIRTH_US, "the topic is made", |world| {
            world.workload.progress().has_topic
        }) {
            return;
        }
        let end = self.now + self.plan.fault_phase_us;
        while self.now < end && self.violation.is_none() {
            self.tick();
        }
        self.phase.send_replace(Phase::Settle);
        if !self.run_until(RECOVERY_US, "producers end", |world| {
            world.workload.progress().producers_left == 0
        }) {
            return;
        }
        self.phase.send_replace(Phase::Prove);
        self.run_until(RECOVERY_US, "everything acknowledged is read", |world| {
            world.workload.progress().is_proven
        });
    }

    pub fn start(&mut self, host: usize) {
        let seed = self.rng.random();
        context::set_turn(host, self.now);
        self.nodes[host].start(self.now, seed);
    }

    /// Ticks until something holds; false, and a violation, if it does not in time.
    fn run_until(&mut self, time: u64, what: &str, holds: impl Fn(&World) -> bool) -> bool {
        let end = self.now + time;
        while self.violation.is_none() {
            if holds(self) {
                return true;
            }
            if self.now >= end {
                let text = format!("after {:.1} s, not yet: {what}", time as f64 / 1e6);
                self.violation = Some(text);
            }
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
        let panic = context::take_panic();
        let seen = panic.or_else(|| self.workload.history().violation.clone());
        if self.violation.is_none() {
            self.violation = seen;
        }
    }

    /// A program has ended by itself or in order.
    fn ended(&mut self, host: usize, result: Result<(), String>) {
        if let Err(error) = result {
            self.violation = Some(format!("n{} failed: {error}", host + 1));
        }
    }

    fn outcome(self) -> Outcome {
        let mut counters = self.counters;
        {
            let history = self.workload.history();
            counters.add("acked records", history.acked());
            counters.add("records read", history.reads);
            counters.add("failed records", history.failed);
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
        let _logging = log_filter.map(|filter| crate::logging::install(&filter));
        World::run(plan)
    };
    #[allow(clippy::disallowed_methods, reason = "a simulation is the whole of its thread")]
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(work);
    let joined = thread.expect("a thread can be started").join();
    joined.expect("the simulation itself does not panic")
}
