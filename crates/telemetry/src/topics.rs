//! Topics and partitions: records in and out, and where their logs stand.
//!
//! Promises: a topic, or a partition, is on the page exactly as long as somebody holds a handle of it.
//! Those who hold one for a topic of a name share its cells, so that one that was deleted and made again
//! meanwhile does not lose them when the last of the old handles goes.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use types::{Offset, PartitionIndex};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EncodeLabelSet)]
struct TopicLabel {
    topic: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, EncodeLabelSet)]
struct PartitionLabel {
    topic: String,
    partition: i32,
}

/// How many handles of each label there are.
struct Holders<L>(Mutex<BTreeMap<L, usize>>);

impl<L> Default for Holders<L> {
    fn default() -> Holders<L> {
        Holders(Mutex::new(BTreeMap::new()))
    }
}

impl<L: Ord + Clone> Holders<L> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<L, usize>> {
        self.0.lock().expect("no thread panicked while it counted handles")
    }

    /// One more; `make` gets its cells before anybody else can take the label off the page.
    fn hold<C>(&self, label: &L, make: impl FnOnce() -> C) -> C {
        let mut holders = self.lock();
        *holders.entry(label.clone()).or_default() += 1;
        make()
    }

    /// One less; `forget` takes the label off the page with the last one.
    fn release(&self, label: &L, forget: impl FnOnce()) {
        let mut holders = self.lock();
        let Some(count) = holders.get_mut(label) else { return };
        *count -= 1;
        if *count == 0 {
            holders.remove(label);
            forget();
        }
    }
}

/// The metrics of one topic on this broker; kept by its partitions. A clone is the same handle.
#[derive(Clone)]
pub struct TopicMetrics(Arc<TopicHandle>);

struct TopicHandle {
    label: TopicLabel,
    families: Arc<TopicFamilies>,
    bytes_in: Counter,
    records_in: Counter,
    bytes_out: Counter,
    replica_bytes_in: Counter,
    replica_bytes_out: Counter,
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        self.families.release_topic(&self.label);
    }
}

impl TopicMetrics {
    /// A leader appended what a producer sent.
    pub fn produced(&self, bytes: u64, records: u64) {
        self.0.bytes_in.inc_by(bytes);
        self.0.records_in.inc_by(records);
    }

    /// A consumer was sent record bytes.
    pub fn fetched(&self, bytes: u64) {
        self.0.bytes_out.inc_by(bytes);
    }

    /// A follower here appended what its leader sent.
    pub fn replicated_in(&self, bytes: u64) {
        self.0.replica_bytes_in.inc_by(bytes);
    }

    /// A leader here sent a follower record bytes.
    pub fn replicated_out(&self, bytes: u64) {
        self.0.replica_bytes_out.inc_by(bytes);
    }
}

/// The metrics of one replica on this broker. A clone is the same handle.
#[derive(Clone)]
pub struct PartitionMetrics(Arc<PartitionHandle>);

struct PartitionHandle {
    label: PartitionLabel,
    families: Arc<TopicFamilies>,
    log_end: Gauge,
    high_watermark: Gauge,
    log_start: Gauge,
    size: Gauge,
}

impl Drop for PartitionHandle {
    fn drop(&mut self) {
        self.families.release_partition(&self.label);
    }
}

impl PartitionMetrics {
    /// The next offset to be appended.
    pub fn log_end(&self, offset: Offset) {
        self.0.log_end.set(offset.0);
    }

    pub fn high_watermark(&self, offset: Offset) {
        self.0.high_watermark.set(offset.0);
    }

    pub fn log_start(&self, offset: Offset) {
        self.0.log_start.set(offset.0);
    }

    /// Bytes of all segments.
    pub fn size(&self, bytes: u64) {
        self.0.size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

/// The registered families.
pub(crate) struct TopicFamilies {
    bytes_in: Family<TopicLabel, Counter>,
    records_in: Family<TopicLabel, Counter>,
    bytes_out: Family<TopicLabel, Counter>,
    replica_bytes_in: Family<TopicLabel, Counter>,
    replica_bytes_out: Family<TopicLabel, Counter>,
    log_end: Family<PartitionLabel, Gauge>,
    high_watermark: Family<PartitionLabel, Gauge>,
    log_start: Family<PartitionLabel, Gauge>,
    size: Family<PartitionLabel, Gauge>,
    topic_holders: Holders<TopicLabel>,
    partition_holders: Holders<PartitionLabel>,
}

impl TopicFamilies {
    pub(crate) fn register(registry: &mut Registry) -> TopicFamilies {
        let families = TopicFamilies {
            bytes_in: Family::default(),
            records_in: Family::default(),
            bytes_out: Family::default(),
            replica_bytes_in: Family::default(),
            replica_bytes_out: Family::default(),
            log_end: Family::default(),
            high_watermark: Family::default(),
            log_start: Family::default(),
            size: Family::default(),
            topic_holders: Holders::default(),
            partition_holders: Holders::default(),
        };
        let bytes = Unit::Bytes;
        let help = "Record bytes appended for producers";
        registry.register_with_unit("topic_in", help, bytes.clone(), families.bytes_in.clone());
        registry.register(
            "topic_in_records",
            "Records appended for producers",
            families.records_in.clone(),
        );
        let help = "Record bytes sent to consumers";
        registry.register_with_unit("topic_out", help, bytes.clone(), families.bytes_out.clone());
        let help = "Record bytes appended by followers here";
        registry.register_with_unit(
            "topic_replica_in",
            help,
            bytes.clone(),
            families.replica_bytes_in.clone(),
        );
        let help = "Record bytes sent to followers by leaders here";
        registry.register_with_unit(
            "topic_replica_out",
            help,
            bytes.clone(),
            families.replica_bytes_out.clone(),
        );
        let help = "Next offset to be appended";
        registry.register("partition_log_end_offset", help, families.log_end.clone());
        let help = "Offset below which all in-sync replicas have the records";
        registry.register("partition_high_watermark_offset", help, families.high_watermark.clone());
        let help = "First offset that is kept";
        registry.register("partition_log_start_offset", help, families.log_start.clone());
        registry.register_with_unit(
            "partition_size",
            "Bytes of all segments",
            bytes,
            families.size.clone(),
        );
        families
    }

    pub(crate) fn topic(self: &Arc<Self>, topic: &str) -> TopicMetrics {
        let label = TopicLabel { topic: topic.to_owned() };
        let handle = self.topic_holders.hold(&label, || TopicHandle {
            bytes_in: self.bytes_in.get_or_create_owned(&label),
            records_in: self.records_in.get_or_create_owned(&label),
            bytes_out: self.bytes_out.get_or_create_owned(&label),
            replica_bytes_in: self.replica_bytes_in.get_or_create_owned(&label),
            replica_bytes_out: self.replica_bytes_out.get_or_create_owned(&label),
            families: self.clone(),
            label: label.clone(),
        });
        TopicMetrics(Arc::new(handle))
    }

    fn release_topic(&self, label: &TopicLabel) {
        self.topic_holders.release(label, || {
            for counters in [
                &self.bytes_in,
                &self.records_in,
                &self.bytes_out,
                &self.replica_bytes_in,
                &self.replica_bytes_out,
            ] {
                counters.remove(label);
            }
        });
    }

    pub(crate) fn partition(
        self: &Arc<Self>,
        topic: &str,
        partition: PartitionIndex,
    ) -> PartitionMetrics {
        let label = PartitionLabel { topic: topic.to_owned(), partition: partition.0 };
        let handle = self.partition_holders.hold(&label, || PartitionHandle {
            log_end: self.log_end.get_or_create_owned(&label),
            high_watermark: self.high_watermark.get_or_create_owned(&label),
            log_start: self.log_start.get_or_create_owned(&label),
            size: self.size.get_or_create_owned(&label),
            families: self.clone(),
            label: label.clone(),
        });
        PartitionMetrics(Arc::new(handle))
    }

    fn release_partition(&self, label: &PartitionLabel) {
        self.partition_holders.release(label, || {
            for gauges in [&self.log_end, &self.high_watermark, &self.log_start, &self.size] {
                gauges.remove(label);
            }
        });
    }
}
