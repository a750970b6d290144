//! A host with a node: its disk and clocks stay, its program comes and goes.

use crate::clock::HostClock;
use crate::net::SimNetwork;
use crate::plan::Plan;
use crate::program::Program;
use config::{NodeConfig, Properties};
use env::rng::SeededRng;
use env::{Env, MemDisk};
use ottla::server::simulated::{self, NodeView};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// What became of a program that ended by itself.
type Ended = Arc<Mutex<Option<Result<(), String>>>>;

pub struct Node {
    /// Its place in the world; its `node.id` is one more.
    pub host: usize,
    pub disk: MemDisk,
    pub clock: Arc<HostClock>,
    config: Arc<NodeConfig>,
    network: SimNetwork,
    running: Option<Running>,
    /// Starts so far.
    pub starts: u64,
    pub is_paused: bool,
    pub health: DiskHealth,
    /// A bit of its disk was turned; what is wrong may be found late, or never.
    pub has_rotted: bool,
    /// The program was told to stop.
    is_stopping: bool,
    /// The last program of the run has stopped.
    pub has_ended: bool,
}

/// What is the matter with a node's disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DiskHealth {
    Sound,
    /// It fails, or soon will: the program may end by itself, and is started when that is mended.
    Failing,
    /// It works again, but the program has met its failure: it may still end by itself.
    Mended,
    /// Some of what it holds is wrong: if the program ends by itself, the disk is replaced.
    Rotten,
}

struct Running {
    program: Program,
    view: NodeView,
    stop: Option<oneshot::Sender<()>>,
    ended: Ended,
}

impl Node {
    pub fn new(host: usize, plan: &Plan, network: SimNetwork) -> Node {
        let properties = Properties::parse(&plan.properties(host + 1)).expect("well-formed");
        let config = NodeConfig::from_properties(properties).expect("a valid configuration");
        Node {
            host,
            disk: MemDisk::new(),
            clock: Arc::new(HostClock::new()),
            config: Arc::new(config),
            network,
            running: None,
            starts: 0,
            is_paused: false,
            health: DiskHealth::Sound,
            has_rotted: false,
            is_stopping: false,
            has_ended: false,
        }
    }

    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// What can be seen of its program.
    pub fn view(&self) -> Option<&NodeView> {
        self.running.as_ref().map(|running| &running.view)
    }

    pub fn start(&mut self, now: u64, seed: u64) {
        assert!(self.running.is_none(), "one program at a time");
        self.starts += 1;
        if self.health == DiskHealth::Mended {
            self.health = DiskHealth::Sound;
        }
        self.network.start_program(self.host);
        let program = Program::start(&self.clock, now, seed);
        let env = Env {
            clock: self.clock.clone(),
            rng: Arc::new(SeededRng::new(seed ^ 0x5eed)),
            disk: Arc::new(self.disk.clone()),
            net: Arc::new(self.network.of_host(self.host)),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let view = NodeView::default();
        let ended = Ended::default();
        let (config, seen, end) = (self.config.clone(), view.clone(), ended.clone());
        program.spawn(async move {
            let stop = async move {
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let result = simulated::run(config, env, seen, stop).await;
            *end.lock().expect("one thread") = Some(result.map_err(|error| error.to_string()));
        });
        self.running = Some(Running { program, view, stop: Some(stop), ended });
    }

    /// After so many more changes of the disk, every one fails.
    pub fn stop_disk_after(&mut self, changes: u64) {
        self.disk.stop_after(Some(changes));
        self.health = DiskHealth::Failing;
    }

    /// Whether the program may end by itself now.
    pub fn may_end(&self) -> bool {
        self.health != DiskHealth::Sound || self.is_stopping
    }

    /// Tells the program to stop in order.
    pub fn tell_to_stop(&mut self) {
        self.is_stopping = true;
        if let Some(stop) = self.running.as_mut().and_then(|running| running.stop.take()) {
            let _ = stop.send(());
        }
    }

    /// Runs the program until `now`; what it ended with, if it has.
    pub fn run_until(&mut self, now: u64, tick: u64) -> Option<Result<(), String>> {
        let running = self.running.as_mut().filter(|_| !self.is_paused)?;
        running.program.run_until(now, tick);
        running.ended.lock().expect("one thread").take()
    }

    /// Lets go of what is looked at in a program that has ended in order.
    pub fn look_away(&mut self) {
        if let Some(running) = &mut self.running {
            running.view = NodeView::default();
        }
    }

    /// Lets go of a program that has ended in order, and of what tasks it has left.
    pub fn end(&mut self) {
        self.network.end_program(self.host, true);
        self.running = None;
    }

    /// How many tasks of its program are alive.
    pub fn tasks(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.program.tasks())
    }

    /// Ends the program at once; the machine stays.
    pub fn kill(&mut self) {
        self.disk.end_program();
        self.network.end_program(self.host, true);
        self.running = None;
        self.is_paused = false;
        self.is_stopping = false;
    }

    /// Ends the program and puts an empty disk into the machine.
    pub fn wipe(&mut self) {
        self.kill();
        self.disk.wipe();
        self.health = DiskHealth::Sound;
        self.has_rotted = false;
    }

    /// Cuts the power: what is not synced is kept, lost or torn, as the seed says.
    pub fn cut_power(&mut self, seed: u64) {
        self.disk.crash(seed);
        self.network.end_program(self.host, false);
        self.running = None;
        self.is_paused = false;
        self.is_stopping = false;
        if self.health == DiskHealth::Failing {
            self.health = DiskHealth::Sound;
        }
    }
}
