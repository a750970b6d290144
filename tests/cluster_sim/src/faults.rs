//! What goes wrong, and for how long.
//!
//! Promises: at most `faults_at_once` at a time; everything that was broken is mended by
//! [`Faults::heal_all`]; every fault is counted when it has taken effect.

use crate::net::Delay;
use crate::plan::FaultKind;
use crate::world::World;
use rand::Rng;
use rand::seq::SliceRandom;

/// A cut of the power after a disk that stopped comes within this time.
const TORN_US: u64 = 60_000;
/// Changes that a disk takes before it stops, at most.
const TORN_CHANGES: u64 = 40;
/// How wrong a wall clock gets, at most.
const WALL_JUMP_MS: i64 = 3_600_000;

/// What mends a fault.
enum Heal {
    Start(usize),
    CutPower(usize),
    Resume(usize),
    Uncut(Vec<(usize, usize)>),
    Speed(Vec<(usize, usize)>),
    Disk(usize),
    Wall(usize),
}

struct Active {
    until: u64,
    heal: Heal,
}

/// The faults of a run.
#[derive(Default)]
pub struct Faults {
    active: Vec<Active>,
    next_at: u64,
}

impl Faults {
    /// Mends what is due, and breaks something if it is time.
    pub fn step(&mut self, world: &mut World) {
        self.mend_due(world);
        if world.now < self.next_at || world.plan.faults.is_empty() {
            return;
        }
        self.next_at = world.now + world.rng.random_range(0..=world.plan.fault_pause_us);
        if self.active.len() < world.plan.faults_at_once {
            let kinds: Vec<FaultKind> = world.plan.faults.iter().copied().collect();
            let kind = kinds[world.rng.random_range(0..kinds.len())];
            if self.inject(kind, world) {
                tracing::info!(?kind, "fault");
                world.counters.fault(kind);
            }
        }
    }

    pub fn mend_due(&mut self, world: &mut World) {
        let (due, later) =
            std::mem::take(&mut self.active).into_iter().partition(|one| one.until <= world.now);
        self.active = later;
        let due: Vec<Active> = due;
        due.into_iter().for_each(|one| self.mend(one.heal, world));
    }

    /// Mends everything now; programs that stop in order are started when they have.
    pub fn heal_all(&mut self, world: &mut World) {
        tracing::info!("heal");
        for one in std::mem::take(&mut self.active) {
            self.mend(one.heal, world);
        }
        // A disk that had stopped has lost its power only now.
        for one in std::mem::take(&mut self.active) {
            self.mend(one.heal, world);
        }
        for host in 0..world.nodes.len() {
            if !world.nodes[host].is_running() {
                world.start(host);
            }
        }
    }

    /// The node is down; it comes back after a while.
    pub fn start_later(&mut self, host: usize, world: &mut World) {
        self.until(Heal::Start(host), world);
    }

    fn until(&mut self, heal: Heal, world: &mut World) {
        let length = world.rng.random_range(0..=world.plan.fault_length_us);
        self.active.push(Active { until: world.now + length, heal });
    }

    fn mend(&mut self, heal: Heal, world: &mut World) {
        match heal {
            Heal::Start(host) if !world.nodes[host].is_running() => world.start(host),
            Heal::Start(_) => {}
            Heal::CutPower(host) => {
                world.cut_power(host);
                self.start_later(host, world);
            }
            Heal::Resume(host) => world.nodes[host].is_paused = false,
            Heal::Uncut(links) => {
                links.into_iter().for_each(|(from, to)| world.network.cut(from, to, false));
            }
            Heal::Speed(links) => {
                let delay = world.plan.delay;
                links.into_iter().for_each(|(from, to)| world.network.delay(from, to, delay));
            }
            Heal::Disk(host) => world.disks.max_us[host].set(world.plan.disk_us),
            Heal::Wall(host) => world.nodes[host].clock.shift_wall(0),
        }
    }

    /// Whether the fault took effect.
    fn inject(&mut self, kind: FaultKind, world: &mut World) -> bool {
        let up = world.running();
        let Some(victim) = pick(&up, world) else { return false };
        match kind {
            FaultKind::Kill => self.kill(&[victim], world),
            FaultKind::KillAll => self.kill(&up, world),
            FaultKind::PowerCut => self.cut_power(&[victim], world),
            FaultKind::PowerCutAll => self.cut_power(&up, world),
            FaultKind::TornPowerCut => {
                let changes = world.rng.random_range(0..TORN_CHANGES);
                world.nodes[victim].stop_disk_after(changes);
                let until = world.now + world.rng.random_range(0..TORN_US);
                self.active.push(Active { until, heal: Heal::CutPower(victim) });
            }
            FaultKind::Restart => world.nodes[victim].tell_to_stop(),
            FaultKind::Pause => {
                world.nodes[victim].is_paused = true;
                self.until(Heal::Resume(victim), world);
            }
            FaultKind::Cut => self.cut(two_ways(world), world),
            FaultKind::CutOneWay => self.cut(one_way(victim, world), world),
            FaultKind::SlowLink => self.slow_links(victim, world),
            FaultKind::SlowDisk => {
                let max = world.rng.random_range(50_000..1_500_000);
                world.disks.max_us[victim].set(max);
                self.until(Heal::Disk(victim), world);
            }
            FaultKind::WallJump => {
                let jump = world.rng.random_range(-WALL_JUMP_MS..WALL_JUMP_MS);
                world.nodes[victim].clock.shift_wall(jump);
                self.until(Heal::Wall(victim), world);
            }
        }
        true
    }

    fn kill(&mut self, hosts: &[usize], world: &mut World) {
        for host in hosts {
            world.kill(*host);
            self.start_later(*host, world);
        }
    }

    fn cut_power(&mut self, hosts: &[usize], world: &mut World) {
        for host in hosts {
            world.cut_power(*host);
            self.start_later(*host, world);
        }
    }

    fn cut(&mut self, links: Vec<(usize, usize)>, world: &mut World) {
        let links: Vec<(usize, usize)> =
            links.into_iter().filter(|(from, to)| !world.network.is_cut(*from, *to)).collect();
        links.iter().for_each(|(from, to)| world.network.cut(*from, *to, true));
        self.until(Heal::Uncut(links), world);
    }

    fn slow_links(&mut self, victim: usize, world: &mut World) {
        let max = world.rng.random_range(5_000..400_000);
        let delay = Delay { min: max / 4, max };
        let mut links = Vec::new();
        for other in (0..=world.nodes.len()).filter(|other| *other != victim) {
            links.extend([(victim, other), (other, victim)]);
        }
        links.iter().for_each(|(from, to)| world.network.delay(*from, *to, delay));
        self.until(Heal::Speed(links), world);
    }
}

fn pick(hosts: &[usize], world: &mut World) -> Option<usize> {
    (!hosts.is_empty()).then(|| hosts[world.rng.random_range(0..hosts.len())])
}

/// All links between two groups of hosts, the clients' among them.
fn two_ways(world: &mut World) -> Vec<(usize, usize)> {
    let mut hosts: Vec<usize> = (0..=world.nodes.len()).collect();
    hosts.shuffle(&mut world.rng);
    let size = world.rng.random_range(1..=world.nodes.len() / 2);
    let (cut_off, others) = hosts.split_at(size);
    let mut links = Vec::new();
    for (one, other) in cut_off.iter().flat_map(|one| others.iter().map(move |other| (one, other)))
    {
        links.extend([(*one, *other), (*other, *one)]);
    }
    links
}

/// One link, or all links from or to a host: one that hears nobody, or that nobody hears.
fn one_way(victim: usize, world: &mut World) -> Vec<(usize, usize)> {
    let others: Vec<usize> = (0..=world.nodes.len()).filter(|other| *other != victim).collect();
    match world.rng.random_range(0..3) {
        0 => vec![(victim, others[world.rng.random_range(0..others.len())])],
        1 => others.into_iter().map(|other| (victim, other)).collect(),
        _ => others.into_iter().map(|other| (other, victim)).collect(),
    }
}
