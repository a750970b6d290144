//! The image: all of the cluster's metadata at one version.
//!
//! Promises: only [`Image::apply`] (and what is built on it) changes an image, and it never
//! refuses; equal records in equal order give equal images; cloning costs a few reference counts,
//! and what the first change after it costs hardly grows with the number of topics: images share what
//! they have in common (`ChunkMap`).
//! Does not: check the rules. Records come from decisions that have.

use crate::chunk_map::{ChunkMap, Difference};
use crate::{Broker, ConfigResource, ConfigValues, Partition, Record, Topic, names};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{
    BrokerEpoch, MetadataVersion, NodeId, PartitionIndex, ProducerId, TopicId, TopicIdPartition,
};

/// `min.insync.replicas`, as a topic's and as a broker default's key.
pub const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

static NO_VALUES: ConfigValues = ConfigValues::new();

/// The cluster's metadata at one version.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Image {
    version: MetadataVersion,
    cluster_id: Option<String>,
    brokers: Arc<BTreeMap<NodeId, Arc<Broker>>>,
    last_broker_epoch: BrokerEpoch,
    topics: Arc<ChunkMap<TopicId, Arc<Topic>>>,
    topic_ids: Arc<ChunkMap<String, TopicId>>,
    /// Names that could collide, by what they collide on.
    collisions: Arc<ChunkMap<String, String>>,
    configs: Arc<ChunkMap<ConfigResource, Arc<ConfigValues>>>,
    next_producer_id: ProducerId,
}

/// Writing.
impl Image {
    /// Most partitions that one ElectLeaders command for all partitions moves.
    pub const ELECTIONS_PER_COMMAND_MAX: usize = 1000;

    /// Takes in one record. Never refuses: what a record names and the image lacks is made, or is
    /// already gone. Does not move the version; [`Image::apply_batch`] does.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Cluster { cluster_id } => self.cluster_id = Some(cluster_id.clone()),
            Record::BrokerEpoch { last } => self.raise_broker_epoch(*last),
            Record::Broker(broker) => {
                self.raise_broker_epoch(broker.epoch);
                Arc::make_mut(&mut self.brokers).insert(broker.id, Arc::new(broker.clone()));
            }
            Record::BrokerRemoved { broker_id } => {
                Arc::make_mut(&mut self.brokers).remove(broker_id);
            }
            Record::Topic { topic_id, name } => self.apply_topic(*topic_id, name),
            Record::TopicRemoved { topic_id } => self.apply_topic_removed(*topic_id),
            Record::Partition { topic_id, partition, state } => {
                self.apply_partition(*topic_id, *partition, state);
            }
            Record::Config { resource, name, value } => {
                self.apply_config(resource, name, value.as_deref());
            }
            Record::ProducerIds { next } => self.next_producer_id = *next,
        }
    }

    /// Applies a committed batch and moves the version by one, unless the batch was decided on
    /// another version than this image's own: then nothing is changed and the answer is false.
    #[must_use]
    pub fn apply_batch(&mut self, based_on: MetadataVersion, records: &[Record]) -> bool {
        if based_on != self.version {
            return false;
        }
        for record in records {
            self.apply(record);
        }
        self.version = MetadataVersion(self.version.0 + 1);
        true
    }

    /// The image that a snapshot's records make, at the snapshot's version.
    pub fn from_records<'a>(
        version: MetadataVersion,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Image {
        let mut image = Image::default();
        for record in records {
            image.apply(record);
        }
        image.version = version;
        image
    }

    fn raise_broker_epoch(&mut self, epoch: BrokerEpoch) {
        self.last_broker_epoch = self.last_broker_epoch.max(epoch);
    }

    fn apply_topic(&mut self, topic_id: TopicId, name: &str) {
        let topic = Topic { id: topic_id, name: name.to_owned(), partitions: BTreeMap::new() };
        Arc::make_mut(&mut self.topics).insert(topic_id, Arc::new(topic));
        Arc::make_mut(&mut self.topic_ids).insert(name.to_owned(), topic_id);
        if let Some(key) = names::collision_key(name) {
            Arc::make_mut(&mut self.collisions).insert(key, name.to_owned());
        }
    }

    fn apply_topic_removed(&mut self, topic_id: TopicId) {
        let Some(topic) = Arc::make_mut(&mut self.topics).remove(&topic_id) else { return };
        if self.topic_ids.get(&topic.name) != Some(&topic_id) {
            return;
        }
        Arc::make_mut(&mut self.topic_ids).remove(&topic.name);
        if let Some(key) = names::collision_key(&topic.name) {
            Arc::make_mut(&mut self.collisions).remove(&key);
        }
        let resource = ConfigResource::Topic(topic.name.clone());
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
        }
    }

    fn apply_partition(&mut self, topic_id: TopicId, partition: PartitionIndex, state: &Partition) {
        if let Some(topic) = Arc::make_mut(&mut self.topics).get_mut(&topic_id) {
            let partitions = &mut Arc::make_mut(topic).partitions;
            partitions.insert(partition, Arc::new(state.clone()));
        }
    }

    fn apply_config(&mut self, resource: &ConfigResource, name: &str, value: Option<&str>) {
        let configs = Arc::make_mut(&mut self.configs);
        match value {
            Some(value) => match configs.get_mut(resource) {
                Some(values) => {
                    Arc::make_mut(values).insert(name.to_owned(), value.to_owned());
                }
                None => {
                    let values = ConfigValues::from([(name.to_owned(), value.to_owned())]);
                    configs.insert(resource.clone(), Arc::new(values));
                }
            },
            None => {
                let Some(values) = configs.get_mut(resource) else { return };
                Arc::make_mut(values).remove(name);
                if values.is_empty() {
                    configs.remove(resource);
                }
            }
        }
    }
}

/// Reading.
impl Image {
    /// The number of batches applied so far.
    pub fn version(&self) -> MetadataVersion {
        self.version
    }

    /// `None` until the cluster is named.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    pub fn broker(&self, id: NodeId) -> Option<&Broker> {
        self.brokers.get(&id).map(Arc::as_ref)
    }

    /// All registered brokers, fenced ones too, in order of id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// Brokers that are neither fenced nor shutting down.
    pub fn live_brokers(&self) -> impl Iterator<Item = &Arc<Broker>> {
        self.brokers.values().filter(|broker| broker.is_live())
    }

    /// The highest epoch that any broker has had.
    pub fn last_broker_epoch(&self) -> BrokerEpoch {
        self.last_broker_epoch
    }

    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topic_ids.get(name).and_then(|id| self.topics.get(id))
    }

    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.topic_ids.get(name).copied()
    }

    /// All topics in order of id.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// All topics in order of name.
    pub fn topics_by_name(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topic_ids.values().filter_map(|id| self.topics.get(id))
    }

    /// Topics in order of name, from this name (inclusive) on: for paged listings.
    pub fn topics_from<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Arc<Topic>> {
        let ids = self.topic_ids.range_from(name);
        ids.filter_map(|(_, id)| self.topics.get(id))
    }

    /// The topics that `newer` has no longer, in order of id. Costs what has changed.
    pub fn topics_gone_in<'a>(&'a self, newer: &'a Image) -> impl Iterator<Item = &'a Arc<Topic>> {
        let differences = self.topic_differences(newer).into_iter();
        differences.filter_map(|(_, old, new)| old.filter(|_| new.is_none()))
    }

    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    pub fn partition(&self, id: TopicIdPartition) -> Option<&Arc<Partition>> {
        self.topics.get(&id.topic_id).and_then(|topic| topic.partitions.get(&id.partition))
    }

    /// Every partition, in order of topic id and number.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicIdPartition, &Arc<Partition>)> {
        self.topics.values().flat_map(|topic| {
            topic.partitions.iter().map(|(index, partition)| {
                (TopicIdPartition { topic_id: topic.id, partition: *index }, partition)
            })
        })
    }

    /// The partitions that the broker holds a replica of. Looks at every partition.
    pub fn replicas_of(
        &self,
        broker: NodeId,
    ) -> impl Iterator<Item = (TopicIdPartition, &Arc<Partition>)> {
        self.partitions().filter(move |(_, partition)| partition.is_replica(broker))
    }

    /// The partitions that the broker leads. Looks at every partition.
    pub fn leaders_of(
        &self,
        broker: NodeId,
    ) -> impl Iterator<Item = (TopicIdPartition, &Arc<Partition>)> {
        self.partitions().filter(move |(_, partition)| partition.leader == broker)
    }

    /// An existing topic whose name collides with this one and is another.
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        let other = self.collisions.get(&names::collision_key(name)?)?;
        (other != name).then_some(other.as_str())
    }

    /// The resource's own dynamic values, empty where it has none.
    pub fn configs(&self, resource: &ConfigResource) -> &ConfigValues {
        self.configs.get(resource).map_or(&NO_VALUES, Arc::as_ref)
    }

    /// Everything that has dynamic values.
    pub fn config_resources(&self) -> impl Iterator<Item = (&ConfigResource, &Arc<ConfigValues>)> {
        self.configs.iter()
    }

    /// A topic's own value, else the dynamic default of all brokers under the same key. `None`:
    /// neither says, so the node's file or the table's default holds.
    pub fn topic_config(&self, topic: &str, key: &str) -> Option<&str> {
        let own = self.configs(&ConfigResource::Topic(topic.to_owned())).get(key);
        let value = own.or_else(|| self.configs(&ConfigResource::ClusterDefault).get(key));
        value.map(String::as_str)
    }

    /// How many replicas acks=all needs in sync: the topic's `min.insync.replicas` (`default`
    /// where neither the topic nor the cluster says), but never more than there are replicas.
    pub fn min_insync_replicas(&self, topic: &Topic, default: i32) -> i32 {
        let value = self.topic_config(&topic.name, MIN_INSYNC_REPLICAS);
        let wanted = value.and_then(|value| value.parse().ok()).unwrap_or(default);
        wanted.min(i32::from(topic.replication_factor()).max(1))
    }

    /// The `min.insync.replicas` below which every leader of the partition commits nothing, as far
    /// as the metadata alone says so: the smallest value that a leader may see, 1 where neither the
    /// topic nor the cluster has one (a node's file may say anything).
    pub(crate) fn min_isr_of(&self, id: TopicIdPartition) -> usize {
        let Some(topic) = self.topic(id.topic_id) else { return 1 };
        let own = |resource| {
            let value = self.configs(&resource).get(MIN_INSYNC_REPLICAS)?;
            Some(value.parse::<usize>().unwrap_or(1).max(1))
        };
        if let Some(value) = own(ConfigResource::Topic(topic.name.clone())) {
            return value;
        }
        // They stand together: topics that have values of their own are not looked at.
        let first = ConfigResource::Broker(NodeId(i32::MIN));
        let from_first = self.configs.range_from(&first).map(|(resource, _)| resource);
        let is_broker = |resource: &&ConfigResource| matches!(resource, ConfigResource::Broker(_));
        let brokers = from_first.take_while(is_broker).cloned().filter_map(own);
        brokers.fold(own(ConfigResource::ClusterDefault).unwrap_or(1), usize::min)
    }

    /// Topics that may differ in a later image, in order of id, as they are here and there. Costs what
    /// has changed.
    pub(crate) fn topic_differences<'a>(
        &'a self,
        later: &'a Image,
    ) -> Vec<Difference<'a, TopicId, Arc<Topic>>> {
        match Arc::ptr_eq(&self.topics, &later.topics) {
            true => Vec::new(),
            false => self.topics.differences(&later.topics),
        }
    }

    /// Resources whose values may differ in a later image, in order.
    pub(crate) fn config_differences<'a>(
        &'a self,
        later: &'a Image,
    ) -> Vec<Difference<'a, ConfigResource, Arc<ConfigValues>>> {
        match Arc::ptr_eq(&self.configs, &later.configs) {
            true => Vec::new(),
            false => self.configs.differences(&later.configs),
        }
    }

    /// The first producer id that no block holds yet.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The records that make this image out of an empty one (the version travels beside them).
    pub fn to_records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        if let Some(cluster_id) = &self.cluster_id {
            records.push(Record::Cluster { cluster_id: cluster_id.clone() });
        }
        records.push(Record::BrokerEpoch { last: self.last_broker_epoch });
        records.push(Record::ProducerIds { next: self.next_producer_id });
        records.extend(self.brokers().map(|broker| Record::Broker(broker.as_ref().clone())));
        for topic in self.topics() {
            records.push(Record::Topic { topic_id: topic.id, name: topic.name.clone() });
            for (index, partition) in &topic.partitions {
                records.push(Record::Partition {
                    topic_id: topic.id,
                    partition: *index,
                    state: partition.as_ref().clone(),
                });
            }
        }
        for (resource, values) in self.configs.iter() {
            records.extend(values.iter().map(|(name, value)| Record::Config {
                resource: resource.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            }));
        }
        records
    }

    /// A fingerprint of everything in the image, the same on every node and in every build that
    /// encodes records alike (FNV-1a over the version and the encoded snapshot).
    pub fn digest(&self) -> u64 {
        let mut hash = Fnv::new();
        hash.write(&self.version.0.to_be_bytes());
        for record in self.to_records() {
            hash.write(&rpc::metadata::Record::from(&record).encode_length_delimited_to_vec());
        }
        hash.0
    }
}

/// FNV-1a, 64 bits: stable and short; not meant against adversaries.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
