//! Follows the cluster's committed metadata: a stream from one controller, applied in order.
//!
//! Promises:
//! - batches are applied in order, each exactly once; a gap, or a batch of another version than the
//!   next, restarts the stream from what was received;
//! - each image is published first and then followed by the partitions, from one image to the next,
//!   never two at a time;
//! - a controller that breaks off, or falls behind what others have committed, is left for the
//!   next one.
//!
//! The stream is read on the control runtime, so that it is never behind bulk work; images are
//! applied on the main runtime, so that opening partitions does not hold up heartbeats.
//!
//! Does not: decide. Records come from committed decisions.

use crate::channel;
use crate::context::BrokerCore;
use crate::elections::elections;
use crate::replica::ReplicaManager;
use metadata::{Image, Record};
use rpc::controller::controller_client::ControllerClient as Stub;
use rpc::controller::metadata_update::Update;
use rpc::controller::{FollowMetadataRequest, MetadataUpdate};
use std::sync::Arc;
use std::time::Duration;
use telemetry::ElectionKind;
use tokio::sync::{mpsc, watch};
use tonic::Streaming;
use types::MetadataVersion;

/// Updates received but not applied. A full queue stops the stream's reading.
pub const QUEUE_MAX: usize = 256;
/// Updates that are applied as one step of the image.
const STEP_UPDATES_MAX: usize = 64;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// How long the stream may be behind a version that some controller has committed.
const BEHIND_MAX: Duration = Duration::from_millis(1000);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2000);
/// Largest number of records of a snapshot: a bound against a peer gone wild.
const SNAPSHOT_RECORDS_MAX: usize = 20_000_000;

/// One step of the image.
#[derive(Debug)]
pub enum Step {
    /// Replaces everything.
    Snapshot { version: MetadataVersion, records: Vec<Record> },
    /// Continues the version before it.
    Batch { version: MetadataVersion, records: Vec<Record> },
}

impl Step {
    fn version(&self) -> MetadataVersion {
        match self {
            Step::Snapshot { version, .. } | Step::Batch { version, .. } => *version,
        }
    }
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("{0}")]
    Grpc(#[from] Box<tonic::Status>),
    #[error("{0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("ended by the controller")]
    Ended,
    #[error("the controller is behind version {0}, which another one has committed")]
    Behind(MetadataVersion),
    #[error("malformed update: {0}")]
    Malformed(String),
    #[error("version {found} follows {expected_after}")]
    Gap { found: MetadataVersion, expected_after: MetadataVersion },
}

/// Reads the stream of one controller after the other. Runs on the control runtime.
pub struct MetadataStream {
    pub core: Arc<BrokerCore>,
    /// Controllers, the preferred one first.
    pub addresses: Vec<String>,
    /// The highest version that a controller has told in a heartbeat.
    pub committed: watch::Receiver<MetadataVersion>,
    pub steps: mpsc::Sender<Step>,
}

impl MetadataStream {
    /// Follows until the receiver of steps is gone.
    pub async fn run(self) {
        let mut received = MetadataVersion(0);
        let mut backoff = BACKOFF_MIN;
        for address in self.addresses.iter().cycle() {
            if self.steps.is_closed() {
                return;
            }
            let before = received;
            if let Err(error) = self.follow(address, &mut received).await {
                tracing::info!(%address, %error, "metadata stream ended; trying the next one");
            }
            backoff = if received > before { BACKOFF_MIN } else { (backoff * 2).min(BACKOFF_MAX) };
            tokio::time::sleep(backoff).await;
        }
    }

    async fn follow(
        &self,
        address: &str,
        received: &mut MetadataVersion,
    ) -> Result<(), StreamError> {
        let mut stream = self.open(address, *received).await?;
        let mut committed = self.committed.clone();
        let mut snapshot: Vec<Record> = Vec::new();
        loop {
            let update = tokio::select! {
                update = stream.message() => update.map_err(Box::new)?.ok_or(StreamError::Ended)?,
                version = behind(&mut committed, *received) => {
                    return Err(StreamError::Behind(version));
                }
            };
            let Some(step) = assemble(update, &mut snapshot)? else { continue };
            let version = step.version();
            match &step {
                Step::Snapshot { .. } if version < *received => {
                    return Err(StreamError::Gap { found: version, expected_after: *received });
                }
                Step::Batch { .. } if version.0 != received.0 + 1 => {
                    return Err(StreamError::Gap { found: version, expected_after: *received });
                }
                Step::Snapshot { .. } | Step::Batch { .. } => {}
            }
            if self.steps.send(step).await.is_err() {
                return Ok(());
            }
            *received = version;
        }
    }

    async fn open(
        &self,
        address: &str,
        applied: MetadataVersion,
    ) -> Result<Streaming<MetadataUpdate>, StreamError> {
        let channel = channel::channel(&self.core.env.net, address)?;
        let mut stub = Stub::new(channel).max_decoding_message_size(channel::MESSAGE_BYTES_MAX);
        let request =
            FollowMetadataRequest { broker_id: self.core.node_id.0, applied_version: applied.0 };
        let call = tokio::time::timeout(CONNECT_TIMEOUT, stub.follow_metadata(request));
        let response = call.await.map_err(|_| StreamError::TimedOut(CONNECT_TIMEOUT))?;
        Ok(response.map_err(Box::new)?.into_inner())
    }
}

/// Returns once a version beyond `received` has been committed for longer than the patience.
async fn behind(
    committed: &mut watch::Receiver<MetadataVersion>,
    received: MetadataVersion,
) -> MetadataVersion {
    let known = committed.wait_for(|version| *version > received).await.map(|version| *version);
    match known {
        Ok(version) => {
            tokio::time::sleep(BEHIND_MAX).await;
            version
        }
        // Heartbeats have ended with the broker.
        Err(_) => std::future::pending().await,
    }
}

/// Turns updates into steps: parts of a snapshot are collected until the last one.
fn assemble(
    update: MetadataUpdate,
    snapshot: &mut Vec<Record>,
) -> Result<Option<Step>, StreamError> {
    match update.update {
        Some(Update::Batch(batch)) => {
            snapshot.clear();
            let version = MetadataVersion(batch.version);
            Ok(Some(Step::Batch { version, records: decode(batch.records)? }))
        }
        Some(Update::Snapshot(part)) => {
            snapshot.extend(decode(part.records)?);
            if snapshot.len() > SNAPSHOT_RECORDS_MAX {
                return Err(StreamError::Malformed("a snapshot without end".to_owned()));
            }
            let version = MetadataVersion(part.version);
            let records = part.last.then(|| std::mem::take(snapshot));
            Ok(records.map(|records| Step::Snapshot { version, records }))
        }
        None => Err(StreamError::Malformed("an update of an unknown kind".to_owned())),
    }
}

fn decode(records: Vec<rpc::metadata::Record>) -> Result<Vec<Record>, StreamError> {
    let decoded = records.into_iter().map(Record::try_from);
    decoded.collect::<Result<_, _>>().map_err(|error| StreamError::Malformed(error.to_string()))
}

/// Applies steps to the image and leads the partitions along. Runs on the main runtime.
pub struct MetadataApplier {
    pub core: Arc<BrokerCore>,
    pub replicas: Arc<ReplicaManager>,
    pub steps: mpsc::Receiver<Step>,
}

impl MetadataApplier {
    /// Applies until the stream has ended.
    pub async fn run(mut self) {
        let mut steps = Vec::new();
        while self.steps.recv_many(&mut steps, STEP_UPDATES_MAX).await > 0 {
            let old = self.core.image.load();
            let new = Arc::new(advance(&old, steps.drain(..), |kind| {
                self.core.metrics.leader_elected(kind);
            }));
            self.core.departed.follow(&old, &new, self.core.env.clock.now());
            self.core.image.publish(new.clone());
            self.replicas.apply(&old, &new).await;
            self.core.image.mark_applied(new.version());
            self.core.metrics.metadata_version(new.version());
            count_cluster(&self.core, &new);
        }
    }
}

/// The image after the steps; `elected` hears of the elections on the way.
fn advance(
    image: &Image,
    steps: impl Iterator<Item = Step>,
    elected: impl Fn(ElectionKind),
) -> Image {
    let mut image = image.clone();
    for step in steps {
        match step {
            Step::Snapshot { version, records } => {
                image = Image::from_records(version, &records);
            }
            Step::Batch { version, records } => {
                elections(&image, &records).for_each(&elected);
                let applied = image.apply_batch(MetadataVersion(version.0 - 1), &records);
                assert!(applied, "batch {version} continues image {}", image.version());
            }
        }
    }
    image
}

/// What needs no walk over the partitions: that is the upkeep's, from time to time.
fn count_cluster(core: &BrokerCore, image: &Image) {
    let fenced = image.brokers().filter(|broker| broker.fenced).count();
    core.metrics.brokers(image.brokers().count() - fenced, fenced);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::controller::{MetadataBatch, SnapshotPart};

    fn record(cluster_id: &str) -> Record {
        Record::Cluster { cluster_id: cluster_id.to_owned() }
    }

    fn part(id: &str, last: bool) -> MetadataUpdate {
        let records = vec![rpc::metadata::Record::from(&record(id))];
        let part = SnapshotPart { version: 7, records, last };
        MetadataUpdate { update: Some(Update::Snapshot(part)) }
    }

    #[test]
    fn a_snapshot_is_one_step_however_many_parts_it_came_in() {
        let mut parts = Vec::new();
        assert!(assemble(part("a", false), &mut parts).expect("readable").is_none());
        let step = assemble(part("b", true), &mut parts).expect("readable").expect("whole");
        let Step::Snapshot { version, records } = step else { panic!("a snapshot") };
        assert_eq!((version, records), (MetadataVersion(7), vec![record("a"), record("b")]));
        assert!(parts.is_empty());
    }

    #[test]
    fn batches_continue_a_snapshot_and_reach_the_same_image_in_one_step_or_in_two() {
        let snapshot =
            || Step::Snapshot { version: MetadataVersion(7), records: vec![record("a")] };
        let batch = || Step::Batch { version: MetadataVersion(8), records: vec![record("b")] };
        let at_once = advance(&Image::default(), [snapshot(), batch()].into_iter(), |_| ());
        let first = advance(&Image::default(), [snapshot()].into_iter(), |_| ());
        let second = advance(&first, [batch()].into_iter(), |_| ());
        assert_eq!(at_once, second);
        assert_eq!(second.version(), MetadataVersion(8));
        assert_eq!(second.cluster_id(), Some("b"));
    }

    #[test]
    fn an_update_of_an_unknown_kind_ends_the_stream() {
        let update = MetadataUpdate { update: None };
        assert!(assemble(update, &mut Vec::new()).is_err());
        let batch = MetadataBatch { version: 1, records: vec![rpc::metadata::Record::default()] };
        let update = MetadataUpdate { update: Some(Update::Batch(batch)) };
        assert!(assemble(update, &mut Vec::new()).is_err());
    }
}
