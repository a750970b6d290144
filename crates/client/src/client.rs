//! The handle to a cluster: connections by broker, cached topics, and calls that retry.
//!
//! Promises:
//! - One connection per broker and purpose-free: all parts of a client share it.
//! - Calls to "any broker" go on to the next one when one does not answer.
//! - A topic's cached metadata is dropped as soon as a broker says it is out of date, and after
//!   `metadata_age_max`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use env::{Env, Tasks};
use types::{ErrorCode, LeaderEpoch, Monotonic, NodeId, PartitionIndex, TopicPartition};
use wire::StrBytes;
use wire::find_coordinator::FindCoordinatorRequest;

use crate::connection::Connection;
use crate::error::{ClientError, check};
use crate::metadata::{self, Broker, Cluster, Topic, TopicSelection};
use crate::options::ClientOptions;
use crate::protocol::Request;
use crate::retry::Attempts;

/// A cluster's client. Cheap to clone; [`Client::close`] ends its tasks.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    env: Env,
    options: ClientOptions,
    tasks: Tasks,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By address. At most one per broker and bootstrap server.
    connections: BTreeMap<String, Arc<Connection>>,
    brokers: BTreeMap<NodeId, Broker>,
    topics: CachedTopics,
    /// Group coordinators found earlier.
    coordinators: BTreeMap<String, NodeId>,
}

struct CachedTopic {
    topic: Arc<Topic>,
    read_at: Monotonic,
}

/// Topics by name, as some broker told them.
#[derive(Default)]
struct CachedTopics(BTreeMap<String, CachedTopic>);

impl CachedTopics {
    /// Forgets what is too old to be used, where it keeps others out: it may be deleted long ago.
    fn make_room(&mut self, topics: usize, now: Monotonic, age_max: Duration) {
        if self.0.len() + topics > CACHED_TOPICS_MAX {
            self.0.retain(|_, cached| now.since(cached.read_at) < age_max);
        }
    }

    fn take_in(&mut self, cluster: &Cluster, now: Monotonic) {
        for (name, topic) in &cluster.topics {
            if topic.error.is_none() && self.0.len() < CACHED_TOPICS_MAX {
                let cached = CachedTopic { topic: Arc::new(topic.clone()), read_at: now };
                self.0.insert(name.clone(), cached);
            } else {
                self.0.remove(name);
            }
        }
    }
}

/// Most topics, and most groups, kept in the cache; a client that uses more asks more often.
const CACHED_TOPICS_MAX: usize = 10_000;

impl Client {
    /// A client; nothing is connected before the first call. Must be made inside a tokio runtime.
    pub fn new(env: Env, options: ClientOptions) -> Result<Client, ClientError> {
        if options.bootstrap.is_empty() {
            return Err(ClientError::Invalid("no bootstrap server given".to_owned()));
        }
        let state = Mutex::new(State::default());
        let inner = Inner { env, options, tasks: Tasks::new(), state };
        Ok(Client { inner: Arc::new(inner) })
    }

    pub fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    pub fn env(&self) -> &Env {
        &self.inner.env
    }

    /// The group that all of this client's tasks belong to.
    pub fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// Ends all connections and tasks.
    pub async fn close(&self) {
        self.lock().connections.clear();
        self.inner.tasks.shutdown(Duration::from_secs(1)).await;
    }

    pub(crate) fn attempts(&self) -> Attempts {
        Attempts::new(self.env(), self.options())
    }

    pub(crate) fn attempts_within(&self, time: Duration) -> Attempts {
        Attempts::within(self.env(), self.options(), time)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().expect("client lock")
    }

    /// A live connection to an address, opened if need be.
    pub async fn connect(&self, addr: &str) -> Result<Arc<Connection>, ClientError> {
        if let Some(connection) = self.open_connection(addr) {
            return Ok(connection);
        }
        let opened =
            Connection::open(&self.inner.env, &self.inner.tasks, addr, &self.inner.options).await?;
        // Another caller may have opened one meanwhile; one stays, so that order is kept.
        if let Some(connection) = self.open_connection(addr) {
            return Ok(connection);
        }
        let opened = Arc::new(opened);
        self.lock().connections.insert(addr.to_owned(), opened.clone());
        Ok(opened)
    }

    fn open_connection(&self, addr: &str) -> Option<Arc<Connection>> {
        let mut state = self.lock();
        let connection = state.connections.get(addr)?;
        if connection.is_ended() {
            state.connections.remove(addr);
            return None;
        }
        Some(connection.clone())
    }

    /// A connection to a broker of the cluster, asking where it is if that is not known.
    pub async fn broker(&self, id: NodeId) -> Result<Arc<Connection>, ClientError> {
        let known = self.lock().brokers.get(&id).map(Broker::addr);
        if let Some(addr) = known
            && let Ok(connection) = self.connect(&addr).await
        {
            return Ok(connection);
        }
        // It may have moved to another address.
        let cluster = self.metadata_once(&TopicSelection::None, false).await?;
        let broker = cluster.brokers.get(&id).ok_or(ClientError::NoBroker(id.0))?;
        self.connect(&broker.addr()).await
    }

    /// A connection to some broker: a live one, else any that answers.
    pub async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let (live, mut addrs) = {
            let state = self.lock();
            let live = state.connections.values().find(|c| !c.is_ended()).cloned();
            let addrs: Vec<String> = state.brokers.values().map(Broker::addr).collect();
            (live, addrs)
        };
        if let Some(connection) = live {
            return Ok(connection);
        }
        addrs.extend(self.inner.options.bootstrap.iter().cloned());
        addrs.dedup();
        let mut last = ClientError::NoBroker(-1);
        for addr in addrs {
            match self.connect(&addr).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends a request to any broker, trying again on lost connections only; the response's own
    /// error codes are the caller's.
    pub async fn call_any<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        let mut attempts = self.attempts();
        loop {
            let result = match self.any().await {
                Ok(connection) => connection.call(request).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(response) => return Ok(response),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    /// The cluster as some broker sees it.
    pub async fn metadata(&self, selection: &TopicSelection) -> Result<Cluster, ClientError> {
        let mut attempts = self.attempts();
        loop {
            match self.metadata_once(selection, false).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) => attempts.pause(error).await?,
            }
        }
    }

    async fn metadata_once(
        &self,
        selection: &TopicSelection,
        auto_create: bool,
    ) -> Result<Cluster, ClientError> {
        let connection = self.any().await?;
        let response = connection.call(&metadata::request(selection, auto_create)).await?;
        let cluster = Cluster::from(response);
        let now = self.inner.env.clock.now();
        let mut state = self.lock();
        if !cluster.brokers.is_empty() {
            state.brokers = cluster.brokers.clone();
        }
        let oldest = self.inner.options.metadata_age_max;
        state.topics.make_room(cluster.topics.len(), now, oldest);
        if *selection == TopicSelection::All {
            state.topics.0.retain(|name, _| cluster.topics.contains_key(name));
        }
        state.topics.take_in(&cluster, now);
        Ok(cluster)
    }

    /// A topic, from the cache or the cluster. Waits (up to `api_timeout`) for one that is being
    /// made; with `auto_create` the question itself makes it, where the cluster allows that.
    pub async fn topic(&self, name: &str, auto_create: bool) -> Result<Arc<Topic>, ClientError> {
        self.topic_within(name, auto_create, self.inner.options.api_timeout).await
    }

    /// The same with another limit of time.
    pub async fn topic_within(
        &self,
        name: &str,
        auto_create: bool,
        time: Duration,
    ) -> Result<Arc<Topic>, ClientError> {
        let mut attempts = self.attempts_within(time);
        loop {
            if let Some(topic) = self.cached_topic(name) {
                return Ok(topic);
            }
            let selection = TopicSelection::Named(vec![name.to_owned()]);
            let error = match self.metadata_once(&selection, auto_create).await {
                Ok(cluster) => match cluster.topics.get(name) {
                    Some(Topic { error: Some(code), .. }) => ClientError::refused(*code, None),
                    Some(topic) => return Ok(Arc::new(topic.clone())),
                    None => ClientError::refused(ErrorCode::UnknownTopicOrPartition, None),
                },
                Err(error) => error,
            };
            attempts.pause(error).await?;
        }
    }

    fn cached_topic(&self, name: &str) -> Option<Arc<Topic>> {
        let now = self.inner.env.clock.now();
        let state = self.lock();
        let cached = state.topics.0.get(name)?;
        let fresh = now.since(cached.read_at) < self.inner.options.metadata_age_max;
        fresh.then(|| cached.topic.clone())
    }

    /// Forgets a topic, so that the next use asks the cluster.
    pub fn forget_topic(&self, name: &str) {
        self.lock().topics.0.remove(name);
    }

    /// The leader of a partition, one attempt. An error here is retriable unless it says not.
    pub async fn leader(&self, of: &TopicPartition) -> Result<NodeId, ClientError> {
        self.leadership(of).await.map(|(leader, _)| leader)
    }

    /// The leader of a partition and its leader epoch (NONE from a cluster that tells none).
    pub async fn leadership(
        &self,
        of: &TopicPartition,
    ) -> Result<(NodeId, LeaderEpoch), ClientError> {
        let topic = match self.cached_topic(&of.topic) {
            Some(topic) => topic,
            None => {
                let selection = TopicSelection::Named(vec![of.topic.clone()]);
                let mut cluster = self.metadata_once(&selection, false).await?;
                let unknown = || ClientError::refused(ErrorCode::UnknownTopicOrPartition, None);
                let topic = cluster.topics.remove(&of.topic).ok_or_else(unknown)?;
                if let Some(code) = topic.error {
                    return Err(ClientError::refused(code, None));
                }
                Arc::new(topic)
            }
        };
        let leader =
            leader_in(&topic, of.partition).inspect_err(|_| self.forget_topic(&of.topic))?;
        let epoch = topic.partitions.get(&of.partition).map(|partition| partition.leader_epoch);
        Ok((leader, epoch.unwrap_or(LeaderEpoch::NONE)))
    }

    /// A connection to a group's coordinator, one attempt.
    pub async fn coordinator(&self, group: &str) -> Result<Arc<Connection>, ClientError> {
        self.coordinator_with_id(group).await.map(|(_, connection)| connection)
    }

    pub(crate) async fn coordinator_with_id(
        &self,
        group: &str,
    ) -> Result<(NodeId, Arc<Connection>), ClientError> {
        let known = self.lock().coordinators.get(group).copied();
        if let Some(id) = known {
            let connection = self.broker(id).await.inspect_err(|_| self.forget_coordinator(group));
            return Ok((id, connection?));
        }
        let connection = self.any().await?;
        let key = StrBytes::from(group);
        // Until version 3 the request holds one key and the response one coordinator.
        let request = match connection.version_of::<FindCoordinatorRequest>()? {
            0..=3 => FindCoordinatorRequest { key, ..Default::default() },
            _ => FindCoordinatorRequest { coordinator_keys: vec![key], ..Default::default() },
        };
        let response = connection.call(&request).await?;
        let (id, host, port) = match response.coordinators.first() {
            Some(found) => {
                check(found.error_code, found.error_message.as_deref())?;
                (NodeId(found.node_id), found.host.to_string(), found.port)
            }
            None => {
                check(response.error_code, response.error_message.as_deref())?;
                (NodeId(response.node_id), response.host.to_string(), response.port)
            }
        };
        self.note_coordinator(group, Broker { id, host, port, rack: None });
        Ok((id, self.broker(id).await?))
    }

    fn note_coordinator(&self, group: &str, broker: Broker) {
        let mut state = self.lock();
        if state.coordinators.len() >= CACHED_TOPICS_MAX {
            state.coordinators.clear();
        }
        state.coordinators.insert(group.to_owned(), broker.id);
        state.brokers.entry(broker.id).or_insert(broker);
    }

    /// Forgets a group's coordinator after it said that it is not, or went away.
    pub fn forget_coordinator(&self, group: &str) {
        self.lock().coordinators.remove(group);
    }
}

/// The leader of a partition in a topic's metadata.
pub(crate) fn leader_in(topic: &Topic, partition: PartitionIndex) -> Result<NodeId, ClientError> {
    let Some(partition) = topic.partitions.get(&partition) else {
        return Err(ClientError::refused(ErrorCode::UnknownTopicOrPartition, None));
    };
    partition.leader.ok_or_else(|| {
        ClientError::refused(partition.error.unwrap_or(ErrorCode::LeaderNotAvailable), None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(names: impl Iterator<Item = usize>) -> Cluster {
        let topic = |number: usize| {
            let topic = Topic {
                name: number.to_string(),
                id: types::Uuid([1; 16]),
                is_internal: false,
                error: None,
                partitions: BTreeMap::new(),
            };
            (topic.name.clone(), topic)
        };
        Cluster { topics: names.map(topic).collect(), ..Cluster::default() }
    }

    #[test]
    fn topics_that_are_too_old_keep_no_others_out() {
        let (age_max, begin) = (Duration::from_secs(300), Monotonic(1));
        let mut cached = CachedTopics::default();
        cached.take_in(&cluster(0..CACHED_TOPICS_MAX), begin);
        let later = begin + Duration::from_secs(200);
        cached.make_room(1, later, age_max);
        cached.take_in(&cluster(20_000..20_001), later);
        assert_eq!(cached.0.len(), CACHED_TOPICS_MAX, "all of them are in use");
        assert!(!cached.0.contains_key("20000"));
        cached.make_room(1, begin + age_max, age_max);
        cached.take_in(&cluster(20_000..20_001), begin + age_max);
        assert!(cached.0.contains_key("20000") && cached.0.len() == 1);
    }
}
