//! What a seed decides before anything runs: sizes, times, faults, load (swarm configuration).

use crate::net::Delay;
use env::Mutant;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

/// Every fault that there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum FaultKind {
    /// The process ends at once; its machine stays.
    Kill,
    /// The machine loses what is not synced.
    PowerCut,
    /// The disk stops between two changes, and the power goes.
    TornPowerCut,
    KillAll,
    PowerCutAll,
    /// A controlled stop and a start.
    Restart,
    Pause,
    /// One node against the others, or two groups.
    Cut,
    /// One way of one link.
    CutOneWay,
    /// The same, on and off in quick turns.
    Flap,
    SlowLink,
    SlowDisk,
    /// The wall clock jumps, forward or back.
    WallJump,
    /// The disk takes little more, or nothing.
    NoSpace,
    /// One log directory fails in every way until the disk is mended and the node started again.
    DirectoryFails,
    /// A bit of a file that recovery reads is wrong at the next start.
    BitRot,
    /// The node comes back with an empty disk.
    Wipe,
    /// The machine of a controller that has just voted loses what is not synced; whom it voted for is
    /// cut off, and whom it followed before is not any more.
    ForgetfulVoter,
}

impl FaultKind {
    pub const ALL: [FaultKind; 18] = [
        FaultKind::Kill,
        FaultKind::PowerCut,
        FaultKind::TornPowerCut,
        FaultKind::KillAll,
        FaultKind::PowerCutAll,
        FaultKind::Restart,
        FaultKind::Pause,
        FaultKind::Cut,
        FaultKind::CutOneWay,
        FaultKind::Flap,
        FaultKind::SlowLink,
        FaultKind::SlowDisk,
        FaultKind::WallJump,
        FaultKind::NoSpace,
        FaultKind::DirectoryFails,
        FaultKind::BitRot,
        FaultKind::Wipe,
        FaultKind::ForgetfulVoter,
    ];

    /// Whether a program may end by it without order: what it has not synced may be lost, or is taken
    /// for lost.
    pub fn ends_programs(self) -> bool {
        match self {
            FaultKind::Kill
            | FaultKind::PowerCut
            | FaultKind::TornPowerCut
            | FaultKind::KillAll
            | FaultKind::PowerCutAll
            | FaultKind::NoSpace
            | FaultKind::DirectoryFails
            | FaultKind::BitRot
            | FaultKind::Wipe
            | FaultKind::ForgetfulVoter => true,
            FaultKind::Restart
            | FaultKind::Pause
            | FaultKind::Cut
            | FaultKind::CutOneWay
            | FaultKind::Flap
            | FaultKind::SlowLink
            | FaultKind::SlowDisk
            | FaultKind::WallJump => false,
        }
    }

    /// Whether unsynced data may be lost by it. What takes one disk's content is done only where all
    /// others are in sync.
    fn loses_data(self) -> bool {
        match self {
            FaultKind::PowerCut
            | FaultKind::TornPowerCut
            | FaultKind::PowerCutAll
            | FaultKind::ForgetfulVoter => true,
            FaultKind::Kill
            | FaultKind::KillAll
            | FaultKind::Restart
            | FaultKind::Pause
            | FaultKind::Cut
            | FaultKind::CutOneWay
            | FaultKind::Flap
            | FaultKind::SlowLink
            | FaultKind::SlowDisk
            | FaultKind::WallJump
            | FaultKind::NoSpace
            | FaultKind::DirectoryFails
            | FaultKind::BitRot
            | FaultKind::Wipe => false,
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub nodes: usize,
    pub partitions: i32,
    pub replication_factor: i16,
    pub min_isr: i32,
    /// `ottla.durability=synced`. Without it, nothing that loses unsynced data is done.
    pub synced: bool,
    /// Log directories of each node.
    pub directories: usize,
    pub segment_bytes: u32,
    pub heartbeat_ms: u32,
    pub session_ms: u32,
    pub raft_heartbeat_ms: u32,
    pub lag_time_ms: u32,
    pub snapshot_entries: u32,
    /// `ottla.log.open.files.max`.
    pub open_files_max: u32,
    pub delay: Delay,
    pub window: usize,
    /// What a piece of blocking work takes at most, in microseconds.
    pub disk_us: u64,
    pub producers: u16,
    /// Records of a producer that wait for their ack at most.
    pub outstanding: usize,
    pub value_bytes_max: usize,
    /// Members of the group of consumers.
    pub group_members: u16,
    /// Topics come and go.
    pub has_admin: bool,
    /// Records are deleted, too.
    pub deletes_records: bool,
    /// The pause between two records, at most.
    pub send_pause_us: u64,
    pub faults: BTreeSet<FaultKind>,
    /// Between two faults, at most.
    pub fault_pause_us: u64,
    /// How long faults last, at most.
    pub fault_length_us: u64,
    /// Faults at once.
    pub faults_at_once: usize,
    pub fault_phase_us: u64,
    /// A rule that is left out.
    pub mutant: Option<Mutant>,
}

fn one_of<T: Copy>(rng: &mut SmallRng, values: &[T]) -> T {
    values[rng.random_range(0..values.len())]
}

impl Plan {
    pub fn new(seed: u64) -> Plan {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x0711_a5ee_d000_0001);
        let rng = &mut rng;
        let nodes = one_of(rng, &[3, 3, 3, 3, 5]);
        let synced = rng.random_bool(0.6);
        let heartbeat_ms = one_of(rng, &[50, 100, 200]);
        let delay_max = one_of(rng, &[300, 1_000, 3_000, 20_000]);
        let wanted = |kind: &FaultKind, rng: &mut SmallRng| {
            (synced || !kind.loses_data()) && rng.random_bool(0.5)
        };
        let mut faults: BTreeSet<FaultKind> =
            FaultKind::ALL.into_iter().filter(|kind| wanted(kind, rng)).collect();
        if faults.is_empty() {
            faults.insert(FaultKind::Kill);
        }
        // One run in twelve is without faults: those must be right, too.
        if rng.random_ratio(1, 12) {
            faults.clear();
        }
        Plan {
            seed,
            nodes,
            partitions: rng.random_range(1..=4),
            replication_factor: 3,
            min_isr: one_of(rng, &[2, 2, 2, 1]),
            synced,
            directories: one_of(rng, &[1, 1, 2]),
            segment_bytes: one_of(rng, &[4 << 10, 16 << 10, 1 << 20]),
            heartbeat_ms,
            session_ms: heartbeat_ms * one_of(rng, &[4, 5, 10]),
            raft_heartbeat_ms: one_of(rng, &[50, 100, 200]),
            lag_time_ms: one_of(rng, &[1_000, 3_000, 30_000]),
            snapshot_entries: one_of(rng, &[20, 100, 5_000]),
            delay: Delay { min: 100, max: delay_max },
            // A small window on slow links would let clients take minutes to read everything.
            window: one_of(rng, &[4 << 10, 64 << 10, 256 << 10]).max(if delay_max >= 20_000 {
                64 << 10
            } else {
                0
            }),
            disk_us: one_of(rng, &[0, 1_000, 5_000, 30_000]),
            producers: rng.random_range(1..=3),
            outstanding: one_of(rng, &[1, 5, 50]),
            value_bytes_max: one_of(rng, &[20, 200, 3_000]),
            group_members: one_of(rng, &[0, 0, 1, 2]),
            has_admin: rng.random_bool(0.5),
            deletes_records: rng.random_bool(0.3),
            send_pause_us: one_of(rng, &[2_000, 10_000, 50_000]),
            faults,
            fault_pause_us: one_of(rng, &[500_000, 2_000_000, 5_000_000]),
            fault_length_us: one_of(rng, &[500_000, 3_000_000, 8_000_000]),
            faults_at_once: one_of(rng, &[1, 1, 2, 4]),
            fault_phase_us: rng.random_range(3..=12) * 1_000_000,
            open_files_max: one_of(rng, &[10, 50, 10_000]),
            mutant: None,
        }
    }

    /// A run without faults, for the first steps and for comparisons.
    pub fn without_faults(mut self) -> Plan {
        self.faults.clear();
        self
    }

    /// The same with less time for faults.
    pub fn shortened(mut self) -> Plan {
        self.fault_phase_us = self.fault_phase_us.min(3_000_000);
        self
    }

    pub fn voters(&self) -> String {
        let voters: Vec<String> = (1..=self.nodes).map(|id| format!("{id}@n{id}:9093")).collect();
        voters.join(",")
    }

    /// The first holds the controller's files, too.
    pub fn log_dirs(&self) -> Vec<String> {
        (0..self.directories).map(|number| format!("/data{number}")).collect()
    }

    pub fn bootstrap(&self) -> Vec<String> {
        (1..=self.nodes).map(|id| format!("n{id}:9092")).collect()
    }

    /// The node's configuration as its file would say it.
    pub fn properties(&self, id: usize) -> String {
        let durability = if self.synced { "synced" } else { "replicated" };
        format!(
            "node.id={id}\n\
             process.roles=broker,controller\n\
             listeners=PLAINTEXT://n{id}:9092,CONTROLLER://n{id}:9093,GRPC://n{id}:9094\n\
             controller.quorum.voters={}\n\
             log.dirs={}\n\
             ottla.http.listener=\n\
             num.recovery.threads.per.data.dir=1\n\
             broker.heartbeat.interval.ms={}\n\
             broker.session.timeout.ms={}\n\
             ottla.raft.heartbeat.interval.ms={}\n\
             ottla.raft.election.timeout.min.ms={}\n\
             ottla.raft.election.timeout.max.ms={}\n\
             ottla.metadata.log.max.entries.between.snapshots={}\n\
             replica.lag.time.max.ms={}\n\
             replica.fetch.backoff.ms=200\n\
             replica.high.watermark.checkpoint.interval.ms=1000\n\
             log.flush.offset.checkpoint.interval.ms=3000\n\
             log.initial.task.delay.ms=1000\n\
             producer.id.expiration.ms=600000\n\
             producer.id.expiration.check.interval.ms=1000\n\
             min.insync.replicas={}\n\
             ottla.durability={durability}\n\
             internal.segment.bytes={}\n\
             ottla.log.open.files.max={}\n\
             offsets.topic.num.partitions=2\n\
             offsets.topic.replication.factor=3\n",
            self.voters(),
            self.log_dirs().join(","),
            self.heartbeat_ms,
            self.session_ms,
            self.raft_heartbeat_ms,
            self.raft_heartbeat_ms * 2,
            self.raft_heartbeat_ms * 4,
            self.snapshot_entries,
            self.lag_time_ms,
            self.min_isr,
            self.segment_bytes,
            self.open_files_max,
        )
    }
}
