//! What goes wrong, and for how long.
//!
//! Promises: at most `faults_at_once` at a time; everything that was broken is mended by
//! [`Faults::heal_all`]; every fault is counted when it has taken effect.

use crate::net::Delay;
use crate::node::{DiskHealth, Node};
use crate::plan::FaultKind;
use crate::rot;
use crate::world::World;
use rand::Rng;
use rand::seq::SliceRandom;
use std::path::Path;
use types::NodeId;

/// A cut of the power after a disk that stopped comes within this time.
const TORN_US: u64 = 60_000;
/// Changes that a disk takes before it stops, at most.
const TORN_CHANGES: u64 = 40;
/// How wrong a wall clock gets, at most.
const WALL_JUMP_MS: i64 = 3_600_000;
/// How long a flapping link stays as it is, at most.
const FLAP_US: u64 = 600_000;
/// What a disk still takes when it is nearly full, at most.
const ROOM_BYTES: u64 = 64 << 10;
/// How often it is looked whether a node may come back with a damaged disk.
const LOOK_AGAIN_US: u64 = 100_000;
/// After this time from the heal, an operator gives a node that its damaged disk keeps from being
/// whole an empty one.
const PATIENCE_US: u64 = 30_000_000;

/// What mends a fault.
enum Heal {
    Start(usize),
    CutPower(usize),
    Resume(usize),
    Uncut(Vec<(usize, usize)>),
    /// Links that are turned on and off until a time.
    Flap(Vec<(usize, usize)>, bool, u64),
    Speed(Vec<(usize, usize)>),
    Disk(usize),
    Wall(usize),
    Room(usize),
    Directory(usize),
    /// The node is down and will find a bit turned.
    Rot(usize),
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
    /// When everything was mended; then nothing is broken any more.
    healed_at: Option<u64>,
    /// The node whose disk was damaged or replaced last, until the cluster is whole again. There is
    /// one at a time: more would be more than the replicas can bear.
    patient: Option<usize>,
    /// A disk was replaced, and the controller still counts on what it held: until it does not, nobody
    /// else may lose anything.
    settling: Option<usize>,
    /// A controller that leads was cut off, and another one is about to be elected.
    election: Option<Election>,
}

/// An election that somebody is to forget.
#[derive(Clone, Copy)]
struct Election {
    /// Who leads before it, in which term.
    leader: usize,
    term: u64,
    until: u64,
}

impl Faults {
    /// Mends what is due, and breaks something if it is time.
    pub fn step(&mut self, world: &mut World) {
        self.mend_due(world);
        self.forget_vote(world);
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
        self.settling = self.settling.filter(|host| Faults::is_needed(*host, world));
        self.replace_patient(world);
    }

    /// What an operator does about a node that a damaged disk keeps down.
    fn replace_patient(&mut self, world: &mut World) {
        let Some(host) = self.patient else { return };
        let is_late = self.healed_at.is_some_and(|at| world.now > at + PATIENCE_US);
        // At the end of a run all nodes stop: none is started again.
        if is_late
            && !world.is_draining
            && world.nodes[host].health == DiskHealth::Rotten
            && !world.is_whole()
        {
            self.replace_disk(host, world);
        }
    }

    /// A program ended by itself, since its disk is damaged, or never will be whole.
    pub fn replace_disk(&mut self, host: usize, world: &mut World) {
        tracing::info!(host = host + 1, "the disk is replaced");
        world.counters.add("damaged disks replaced", 1);
        self.wipe(host, world);
        self.start_later(host, world);
    }

    /// Mends everything now; programs that stop in order are started when they have.
    pub fn heal_all(&mut self, world: &mut World) {
        tracing::info!("heal");
        self.healed_at = Some(world.now);
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
            Heal::Flap(links, is_cut, until) => self.flap(links, is_cut, until, world),
            Heal::Room(host) => {
                world.nodes[host].disk.set_capacity(None);
                self.disk_mended(host, false, world);
            }
            Heal::Directory(host) => {
                world.nodes[host].disk.fail_directory(None);
                self.disk_mended(host, true, world);
            }
            Heal::Rot(host) => self.rot(host, world),
            Heal::Disk(host) => world.disks.max_us[host].set(world.plan.disk_us),
            Heal::Wall(host) => world.nodes[host].clock.shift_wall(0),
        }
    }

    /// Ends a program, and nothing of its disk stays.
    fn wipe(&mut self, host: usize, world: &mut World) {
        world.wipe(host);
        self.settling = Some(host);
    }

    fn is_needed(host: usize, world: &World) -> bool {
        let id = NodeId(host as i32 + 1);
        let counts = |one: &metadata::Partition| one.isr.contains(&id) || one.elr.contains(&id);
        world.newest().partitions().any(|(_, partition)| counts(partition))
    }

    /// Whether the fault took effect.
    fn inject(&mut self, kind: FaultKind, world: &mut World) -> bool {
        let up = world.running();
        let Some(victim) = pick(&up, world) else { return false };
        let needs_sound_disk = [
            FaultKind::TornPowerCut,
            FaultKind::NoSpace,
            FaultKind::DirectoryFails,
            FaultKind::BitRot,
        ];
        let is_fit = matches!(world.nodes[victim].health, DiskHealth::Sound | DiskHealth::Mended);
        if needs_sound_disk.contains(&kind) && !is_fit {
            return false;
        }
        if kind.ends_programs() && self.settling.is_some() {
            return false;
        }
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
            FaultKind::Flap => {
                let links = if world.rng.random_bool(0.7) {
                    two_ways(world)
                } else {
                    one_way(victim, world)
                };
                let until = world.now + world.plan.fault_length_us;
                self.flap(links, false, until, world);
            }
            FaultKind::NoSpace => self.fill(victim, world),
            FaultKind::DirectoryFails => self.fail_directory(victim, world),
            FaultKind::BitRot | FaultKind::Wipe => return self.damage(kind, victim, world),
            FaultKind::ForgetfulVoter => {
                self.cut_controller(world);
                // It is counted when a vote is forgotten.
                return false;
            }
        }
        true
    }

    fn flap(&mut self, links: Vec<(usize, usize)>, is_cut: bool, until: u64, world: &mut World) {
        let is_over = self.healed_at.is_some() || world.now >= until;
        let is_cut = !is_over && !is_cut;
        links.iter().for_each(|(from, to)| world.network.cut(*from, *to, is_cut));
        if !is_over {
            world.counters.add("turns of flapping links", 1);
            let at = world.now + world.rng.random_range(10_000..FLAP_US);
            self.active.push(Active { until: at, heal: Heal::Flap(links, is_cut, until) });
        }
    }

    fn fill(&mut self, host: usize, world: &mut World) {
        let node = &mut world.nodes[host];
        let room = world.rng.random_range(0..ROOM_BYTES);
        node.disk.set_capacity(Some(node.disk.used() + room));
        node.health = DiskHealth::Failing;
        self.until(Heal::Room(host), world);
    }

    fn fail_directory(&mut self, host: usize, world: &mut World) {
        let directories = world.plan.log_dirs();
        let which = world.rng.random_range(0..directories.len());
        let node = &mut world.nodes[host];
        match world.rng.random_range(0..3) {
            0 => node.disk.fail_directory(Some(Path::new(&directories[which]))),
            1 => node.disk.fail_syncs(Some(&directories[which])),
            _ => node.disk.fail_writes(Some(&directories[which])),
        }
        node.health = DiskHealth::Failing;
        self.until(Heal::Directory(host), world);
    }

    /// The disk works again. A program that has met its failure believes it no more until it is
    /// started again; one that has only found it full goes on.
    fn disk_mended(&mut self, host: usize, starts_again: bool, world: &mut World) {
        let node = &mut world.nodes[host];
        node.disk.fail_syncs(None);
        node.disk.fail_writes(None);
        let is_torn = |one: &Active| matches!(one.heal, Heal::CutPower(of) if of == host);
        if node.health == DiskHealth::Failing && !self.active.iter().any(is_torn) {
            node.health = DiskHealth::Mended;
        }
        if starts_again && node.is_running() {
            world.kill(host);
        }
        if !world.nodes[host].is_running() {
            self.start_later(host, world);
        }
    }

    /// Damages or replaces the content of one disk: only while every other copy is whole.
    fn damage(&mut self, kind: FaultKind, host: usize, world: &mut World) -> bool {
        let is_failing = |node: &Node| node.health == DiskHealth::Failing;
        if !world.is_whole() || !world.has_all_voters() || world.nodes.iter().any(is_failing) {
            return false;
        }
        if let Some(before) = self.patient.replace(host) {
            world.nodes[before].health = DiskHealth::Sound;
        }
        if kind == FaultKind::Wipe {
            self.wipe(host, world);
            self.start_later(host, world);
            return true;
        }
        world.kill(host);
        self.until(Heal::Rot(host), world);
        // It is counted when the bit is turned.
        false
    }

    /// Turns a bit once nobody counts on this node, and starts it.
    fn rot(&mut self, host: usize, world: &mut World) {
        if world.nodes[host].is_running() {
            return;
        }
        let is_needed = Faults::is_needed(host, world);
        if is_needed && self.healed_at.is_none() {
            let until = world.now + LOOK_AGAIN_US;
            self.active.push(Active { until, heal: Heal::Rot(host) });
            return;
        }
        if !is_needed && let Some(file) = rot::turn_a_bit(&world.nodes[host].disk, &mut world.rng) {
            tracing::info!(host = host + 1, file = %file.display(), "a bit is turned");
            world.counters.fault(FaultKind::BitRot);
            world.counters.add(&format!("bits turned in {}", rot::kind_of(&file)), 1);
            world.nodes[host].health = DiskHealth::Rotten;
            world.nodes[host].has_rotted = true;
        }
        world.start(host);
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

    /// Cuts the controllers' leader off, for the others to elect another one. Of three, each vote of
    /// theirs decides.
    fn cut_controller(&mut self, world: &mut World) {
        let leads = |host: &usize| world.raft(*host).is_some_and(|facts| facts.is_leader);
        let up = world.running();
        let Some(leader) = up.iter().copied().find(leads).filter(|_| up.len() == 3) else { return };
        let term = world.raft(leader).map_or(0, |facts| facts.term);
        self.cut(links_of(leader, world), world);
        let until = world.now + world.plan.fault_length_us;
        self.election = Some(Election { leader, term, until });
    }

    /// Where somebody has been elected, the power of the one who has voted for it goes before the new
    /// leader's first entry comes and is synced with the vote. The two leaders change places.
    fn forget_vote(&mut self, world: &mut World) {
        let Some(election) = self.election else { return };
        if self.healed_at.is_some() || self.settling.is_some() || world.now >= election.until {
            self.election = None;
            return;
        }
        let is_elected = |host: &usize| {
            world.raft(*host).is_some_and(|facts| facts.is_leader && facts.term > election.term)
        };
        let up = world.running();
        let Some(elected) = up.iter().copied().find(is_elected) else { return };
        self.election = None;
        let is_voter = |host: &usize| *host != elected && *host != election.leader;
        let Some(voter) = up.into_iter().find(is_voter) else { return };
        tracing::info!(voter = voter + 1, elected = elected + 1, "a vote is forgotten");
        world.counters.fault(FaultKind::ForgetfulVoter);
        world.cut_power(voter);
        for (from, to) in links_of(election.leader, world) {
            world.network.cut(from, to, false);
        }
        self.cut(links_of(elected, world), world);
        world.start(voter);
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

/// All links between a host and the other nodes.
fn links_of(host: usize, world: &World) -> Vec<(usize, usize)> {
    let others = (0..world.nodes.len()).filter(|other| *other != host);
    others.flat_map(|other| [(host, other), (other, host)]).collect()
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
