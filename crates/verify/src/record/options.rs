//! What to record.

use std::time::Duration;

use client::{Acks, ClientOptions, ConsumerOptions, ProducerOptions};

/// How the clients behave.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    pub client: ClientOptions,
    pub producer: ProducerOptions,
    pub consumer: ConsumerOptions,
}

/// The size and shape of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordOptions {
    pub topics: TopicOptions,
    pub load: LoadOptions,
    /// How long the load lasts. The recording lasts longer by the time to settle.
    pub duration: Duration,
    /// The longest wait for the cluster to settle after the load, and for each part of the end.
    pub settle: Duration,
}

/// The topics that the run makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOptions {
    /// Their names start with this and the run's id.
    pub prefix: String,
    pub count: u32,
    pub partitions: i32,
    /// Absent: 3, or the number of brokers if there are fewer.
    pub replication_factor: Option<i16>,
    /// Absent: 2 for 3 replicas and more, else 1.
    pub min_insync: Option<u32>,
    pub configs: Vec<(String, String)>,
}

/// The clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOptions {
    pub producers: u32,
    /// Readers that are no group's members.
    pub readers: u32,
    pub groups: u32,
    pub members: u32,
    /// Records a second of all producers together.
    pub rate: u32,
    pub record_bytes: usize,
    /// A record to each of some partitions, a hundred times a second, to measure stalls by.
    pub probe: bool,
    /// How long a group member stays before it leaves and another comes.
    pub churn: Duration,
}

/// Most clients of each kind.
pub(super) const CLIENTS_MAX: u32 = 1000;
/// Most partitions of a run.
pub(super) const PARTITIONS_MAX: u32 = 10_000;

impl Default for ClientSettings {
    /// Kafka's defaults, but for waits that would hide how fast a cluster recovers behind a
    /// client's patience.
    fn default() -> ClientSettings {
        let mut client = ClientOptions::new(Vec::new());
        client.request_timeout = Duration::from_secs(3);
        client.connect_timeout = Duration::from_secs(2);
        client.api_timeout = Duration::from_secs(10);
        client.retry_backoff = Duration::from_millis(20);
        client.retry_backoff_max = Duration::from_millis(200);
        let producer = ProducerOptions {
            request_timeout: client.request_timeout,
            delivery_timeout: Duration::from_secs(30),
            ..Default::default()
        };
        let consumer = ConsumerOptions {
            auto_commit: false,
            fetch_wait_max: Duration::from_millis(100),
            session_timeout: Duration::from_secs(6),
            heartbeat_interval: Duration::from_millis(500),
            rebalance_timeout: Duration::from_secs(10),
            partition_bytes_max: 256 << 10,
            fetch_bytes_max: 4 << 20,
            ..Default::default()
        };
        ClientSettings { client, producer, consumer }
    }
}

impl Default for RecordOptions {
    fn default() -> RecordOptions {
        RecordOptions {
            topics: TopicOptions {
                prefix: "verify".to_owned(),
                count: 2,
                partitions: 6,
                replication_factor: None,
                min_insync: None,
                configs: Vec::new(),
            },
            load: LoadOptions {
                producers: 4,
                readers: 2,
                groups: 1,
                members: 2,
                rate: 1000,
                record_bytes: 200,
                probe: true,
                churn: Duration::from_secs(10),
            },
            duration: Duration::from_secs(30),
            settle: Duration::from_secs(60),
        }
    }
}

impl RecordOptions {
    /// What makes no sense, in words.
    pub fn check(&self, settings: &ClientSettings) -> Result<(), String> {
        let partitions = i64::from(self.topics.count) * i64::from(self.topics.partitions);
        if !(1..=i64::from(PARTITIONS_MAX)).contains(&partitions) {
            return Err(format!("there must be 1 to {PARTITIONS_MAX} partitions"));
        }
        let load = &self.load;
        if load.producers == 0 || load.rate == 0 {
            return Err("without producers and a rate there is nothing to check".to_owned());
        }
        let members = load.groups.saturating_mul(load.members);
        if [load.producers, load.readers, members].iter().any(|count| *count > CLIENTS_MAX) {
            return Err(format!("there may be {CLIENTS_MAX} clients of each kind at most"));
        }
        if settings.producer.acks == Acks::None {
            return Err("with acks=0 nothing is acknowledged, so nothing can be lost".to_owned());
        }
        Ok(())
    }
}
