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
    pub mutation: Option<Mutation>,
}

impl SimConfig {
    pub fn from_seed(seed: u64, mutation: Option<Mutation>) -> SimConfig {
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
            mutation,
        }
    }
}
