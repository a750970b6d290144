//! What one seed stands for: the size of the cluster, its settings, and which faults it suffers.

use crate::mutant::Mutation;
use crate::rng::Rng;

/// One simulated run, derived from its seed (swarm testing: each seed leaves some faults out).
#[derive(Clone, Debug)]
pub struct SimConfig {
    pub seed: u64,
    pub nodes: i32,
    pub partitions: i32,
    pub replicas: i16,
    pub min_insync_replicas: usize,
    /// Has the faults that came later too, see [`SimConfig::widen`].
    pub wide: bool,
    /// `ottla.durability` = `synced`: every crash may lose the page cache. Otherwise only a crash
    /// that Kafka's guarantee covers does.
    pub synced: bool,
    pub clients: usize,
    /// Clients rest up to this long between sends: idle partitions have rules of their own.
    pub client_rest_ms_max: u64,
    /// Virtual time, milliseconds.
    pub fault_phase_ms: u64,
    pub lag_time_max_ms: u64,
    pub session_timeout_ms: u64,
    pub delay_ms_max: u64,
    /// A message now and then takes up to this long.
    pub delay_ms_tail: u64,
    pub metadata_delay_ms_max: u64,
    pub notice_ms_max: u64,
    /// Requests and answers outside of streams that vanish, per mille.
    pub loss: u64,
    /// Messages inside a stream that vanish or come twice, per mille: gRPC never does that, the
    /// rules must bear it.
    pub stream_loss: u64,
    /// Mean time between faults, milliseconds.
    pub fault_interval_ms: u64,
    pub crashes: bool,
    pub lossy_crashes: bool,
    pub pauses: bool,
    pub partitions_faults: bool,
    pub failovers: bool,
    pub shutdowns: bool,
    /// Streams that have a delay of their own of up to so many milliseconds, per mille.
    pub slow_streams: u64,
    pub slow_stream_ms_max: u64,
    /// Commits of the controller that take long, per mille.
    pub slow_commits: u64,
    /// Preferred leaders are elected now and then.
    pub balances: bool,
    /// Brokers learn the metadata late, and hardly ask for it.
    pub slow_metadata: bool,
    /// Live brokers are fenced now and then, as by a late heartbeat.
    pub false_alarms: bool,
    /// Nothing but false alarms and balancing: leaderships come and go over open, slow streams.
    pub is_relay: bool,
    /// A node comes back with an empty disk.
    pub wipes: bool,
    /// The topic says its `min.insync.replicas`, so that the controller keeps eligible leaders.
    /// Then as many nodes less one may forget records at any time.
    pub eligible_leaders: bool,
    /// Brokers may begin with a snapshot of the metadata.
    pub snapshots: bool,
    /// What a dying controller was committing may be committed by the next one, unanswered.
    pub unknown_outcomes: bool,
    /// `min.insync.replicas` changes now and then, never below the floor.
    pub min_isr_changes: bool,
    pub min_isr_floor: usize,
    /// The topic is deleted now and then, and made again.
    pub deletions: bool,
    /// Log directories fail under brokers that go on.
    pub replica_failures: bool,
    /// At the end, the last in-sync replica of a partition loses its directory while it is down.
    pub last_replica_lost: bool,
    pub mutation: Option<Mutation>,
}

impl SimConfig {
    pub fn from_seed(seed: u64, mutation: Option<Mutation>) -> SimConfig {
        let mut config = SimConfig::narrow(seed, mutation);
        config.widen(&mut Rng::new(seed.wrapping_mul(0x9e6c_63d0_876a_3f6b)));
        config
    }

    /// Other sizes, and the faults that the first simulator did not know.
    fn widen(&mut self, rng: &mut Rng) {
        self.wide = true;
        if rng.chance(400) {
            self.nodes = rng.range(3, 6) as i32;
            self.replicas = rng.range(1, self.nodes as u64 + 1) as i16;
            self.min_insync_replicas = rng.range(1, self.replicas as u64 + 1) as usize;
        }
        if rng.chance(400) {
            // A storm: leaders change all the time, and messages outlive leaderships.
            self.fault_interval_ms = rng.range(20, 150);
            self.fault_phase_ms = rng.range(5_000, 15_000);
            self.session_timeout_ms = rng.range(250, 600);
            self.delay_ms_tail = rng.range(200, 1_500);
        }
        self.slow_streams = if rng.chance(500) { rng.range(50, 400) } else { 0 };
        self.slow_stream_ms_max = rng.range(100, 1_500);
        self.slow_commits = if rng.chance(400) { rng.range(20, 300) } else { 0 };
        self.balances = rng.chance(500);
        self.false_alarms = rng.chance(500);
        self.wipes = rng.chance(400);
        self.eligible_leaders = rng.chance(600);
        self.snapshots = rng.chance(500);
        self.unknown_outcomes = rng.chance(700);
        self.slow_metadata = rng.chance(200);
        if self.slow_metadata {
            self.metadata_delay_ms_max = rng.range(500, 2_500);
            self.lag_time_max_ms = rng.range(100, 400);
            self.loss = rng.range(50, 250);
        }
        self.is_relay = !self.slow_metadata && rng.chance(250);
        if self.is_relay {
            self.fault_interval_ms = rng.range(40, 400);
            self.fault_phase_ms = rng.range(5_000, 12_000);
            self.metadata_delay_ms_max = rng.range(5, 100);
            self.slow_streams = 500;
            self.slow_stream_ms_max = rng.range(200, 2_000);
            self.lag_time_max_ms = 1_500;
            self.client_rest_ms_max = 30;
        }
        self.change_settings(rng);
    }

    /// What users do while all goes on, and what disks do.
    fn change_settings(&mut self, rng: &mut Rng) {
        if rng.chance(50) {
            self.min_insync_replicas = self.replicas as usize + 1;
        }
        self.min_isr_changes = self.eligible_leaders && rng.chance(450);
        self.min_isr_floor = rng.range(1, self.min_insync_replicas as u64 + 1) as usize;
        self.deletions = rng.chance(200);
        self.replica_failures = rng.chance(400);
        self.last_replica_lost = rng.chance(250);
    }

    /// The smallest `min.insync.replicas` that will be in force, but never more than there are
    /// replicas.
    pub fn effective_min_isr(&self) -> usize {
        let lowest = match self.min_isr_changes {
            true => self.min_isr_floor,
            false => self.min_insync_replicas,
        };
        lowest.min(self.replicas as usize)
    }

    /// What a seed stood for in the first simulator: the seeds that failed there keep their
    /// meaning.
    pub fn narrow(seed: u64, mutation: Option<Mutation>) -> SimConfig {
        let mut rng = Rng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let nodes = if rng.chance(300) { 5 } else { 3 };
        let replicas = if nodes == 5 && rng.chance(300) { 5 } else { 3 };
        let is_slow = rng.chance(300);
        SimConfig {
            seed,
            nodes,
            partitions: rng.range(1, 4) as i32,
            replicas,
            min_insync_replicas: rng.range(1, replicas as u64) as usize,
            wide: false,
            synced: rng.chance(300),
            clients: rng.range(1, 4) as usize,
            client_rest_ms_max: if rng.chance(350) { rng.range(500, 4_000) } else { 30 },
            fault_phase_ms: rng.range(3_000, 9_000),
            lag_time_max_ms: rng.range(200, 1_500),
            session_timeout_ms: rng.range(400, 1_200),
            delay_ms_max: if is_slow { 60 } else { rng.range(2, 8) },
            delay_ms_tail: rng.range(20, 400),
            metadata_delay_ms_max: rng.range(5, 300),
            notice_ms_max: rng.range(50, 2_000),
            loss: if rng.chance(700) { rng.range(0, 100) } else { 0 },
            stream_loss: if rng.chance(300) { rng.range(1, 30) } else { 0 },
            fault_interval_ms: rng.range(100, 900),
            crashes: rng.chance(800),
            lossy_crashes: rng.chance(600),
            pauses: rng.chance(500),
            partitions_faults: rng.chance(600),
            failovers: rng.chance(500),
            shutdowns: rng.chance(400),
            slow_streams: 0,
            slow_stream_ms_max: 0,
            slow_commits: 0,
            balances: false,
            slow_metadata: false,
            false_alarms: false,
            is_relay: false,
            wipes: false,
            eligible_leaders: false,
            snapshots: false,
            unknown_outcomes: false,
            min_isr_changes: false,
            min_isr_floor: 1,
            deletions: false,
            replica_failures: false,
            last_replica_lost: false,
            mutation,
        }
    }
}
