//! Commands from this broker to the active controller.
//!
//! Promises:
//! - a command goes to the controller believed active; a `NotActive` answer moves the belief, a
//!   connection error moves on to the next controller;
//! - an attempt and the whole call each have a deadline;
//! - while the call's time lasts, a command is sent again after "not active" and after a broken
//!   connection. The latter may have committed it: commands are compare-and-set, idempotent or
//!   refused the second time, so a caller may see its own creation as "already exists", never two.
//!
//! Does not: know what a command means.

use crate::channel;
use env::Env;
use metadata::{Command, Reply};
use rpc::controller::controller_client::ControllerClient as Stub;
use rpc::controller::submit_response::Outcome;
use rpc::controller::{DescribeQuorumRequest, DescribeQuorumResponse, SubmitRequest};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use tokio::runtime::Handle;
use tonic::transport::Channel;
use types::{MetadataVersion, Monotonic, host_port};

/// How long [`ControllerClient::submit`] tries; an election fits in several times.
pub const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one controller may take for an answer (without the wait for brokers).
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(250);
/// How long a controller may take to accept a connection before it counts as gone.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// A controller that just restarts refuses once.
const PROBE_ROUNDS: u32 = 2;
/// Channels kept: more controllers than this are never told of by configuration and hints.
const CHANNELS_MAX: usize = 32;

/// Talks to the controllers of the quorum. Its connections live on the control runtime, whoever
/// calls: bulk work on the caller's does not delay them.
pub struct ControllerClient {
    env: Env,
    control: Handle,
    addresses: Vec<String>,
    state: Mutex<State>,
}

struct State {
    /// The controller believed active.
    believed: String,
    channels: BTreeMap<String, Channel>,
}

/// How a command is submitted.
#[derive(Clone, Copy, Debug)]
pub struct SubmitOptions {
    /// The whole call, retries included.
    pub timeout: Duration,
    /// After the commit, wait until the live brokers have applied it, at most this long.
    pub wait_applied: Duration,
}

impl Default for SubmitOptions {
    fn default() -> Self {
        SubmitOptions { timeout: SUBMIT_TIMEOUT, wait_applied: Duration::ZERO }
    }
}

/// Why a command was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// No controller answered in time; the command may or may not have been committed.
    #[error("no active controller answered within {0:?}")]
    TimedOut(Duration),
    /// The answer could not be understood.
    #[error("the controller's answer is malformed: {0}")]
    Malformed(String),
}

/// What one attempt came to.
enum Attempt {
    Answered(rpc::metadata::Reply, MetadataVersion),
    /// Try the address, if there is one.
    NotActive(Option<String>),
    Failed(String),
}

impl ControllerClient {
    /// A client of the controllers at these addresses (`host:port`), at least one.
    pub fn new(env: Env, control: Handle, addresses: Vec<String>) -> ControllerClient {
        assert!(!addresses.is_empty(), "a broker knows at least one controller");
        let believed = addresses[0].clone();
        let state = Mutex::new(State { believed, channels: BTreeMap::new() });
        ControllerClient { env, control, addresses, state }
    }

    /// The controllers of the configuration.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Has the active controller decide and commit `command`. The reply may be a refusal; the
    /// version is the one at which the reply holds.
    pub async fn submit(&self, command: Command) -> Result<(Reply, MetadataVersion), SubmitError> {
        self.submit_with(command, SubmitOptions::default()).await
    }

    /// As [`ControllerClient::submit`], with times of the caller's choice.
    pub async fn submit_with(
        &self,
        command: Command,
        options: SubmitOptions,
    ) -> Result<(Reply, MetadataVersion), SubmitError> {
        let request = SubmitRequest {
            command: Some(rpc::metadata::Command::from(&command)),
            wait_applied_ms: options.wait_applied.as_millis() as u32,
        };
        let deadline = self.env.clock.now() + options.timeout;
        let mut backoff = BACKOFF_MIN;
        loop {
            let address = self.believed();
            match self.attempt(&address, &request, deadline, options.wait_applied).await {
                Attempt::Answered(reply, version) => {
                    let reply = Reply::try_from(reply);
                    let reply = reply.map_err(|error| SubmitError::Malformed(error.to_string()))?;
                    return Ok((reply, version));
                }
                // A fresh hint is followed at once, the first time.
                Attempt::NotActive(Some(active)) if active != address => {
                    self.believe(active);
                }
                Attempt::NotActive(_) => {
                    tracing::debug!(%address, "controller is not active");
                    self.believe(self.address_after(&address));
                }
                Attempt::Failed(reason) => {
                    tracing::debug!(%address, %reason, "controller did not answer");
                    self.believe(self.address_after(&address));
                }
            }
            let left = deadline.since(self.env.clock.now());
            if left <= backoff {
                return Err(SubmitError::TimedOut(options.timeout));
            }
            let jitter = self.env.rng.below(backoff.as_micros() as u64 / 2 + 1);
            tokio::time::sleep(backoff / 2 + Duration::from_micros(jitter)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// The quorum's state, as the controller believed active sees it.
    pub async fn describe_quorum(&self) -> Result<DescribeQuorumResponse, SubmitError> {
        for _ in 0..=self.addresses.len() {
            let address = self.believed();
            let Some(mut stub) = self.stub(&address) else {
                self.believe(self.address_after(&address));
                continue;
            };
            let mut request = tonic::Request::new(DescribeQuorumRequest {});
            request.set_timeout(ATTEMPT_TIMEOUT);
            let call = stub.describe_quorum(request);
            match tokio::time::timeout(ATTEMPT_TIMEOUT, call).await {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(_)) | Err(_) => self.believe(self.address_after(&address)),
            }
        }
        Err(SubmitError::TimedOut(ATTEMPT_TIMEOUT))
    }

    /// Waits until so many controllers take no connection, twice in a row, that the others are no
    /// quorum.
    pub async fn quorum_unreachable(&self) {
        let mut rounds_lost = 0;
        loop {
            let probes = self.addresses.iter().map(|address| self.is_reachable(address));
            let reachable = futures::future::join_all(probes).await;
            let reachable = reachable.into_iter().filter(|is_reachable| *is_reachable).count();
            let is_lost = reachable <= self.addresses.len() / 2;
            rounds_lost = if is_lost { rounds_lost + 1 } else { 0 };
            if rounds_lost == PROBE_ROUNDS {
                return;
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
    }

    async fn is_reachable(&self, address: &str) -> bool {
        let connected = tokio::time::timeout(PROBE_TIMEOUT, self.env.net.connect(address)).await;
        matches!(connected, Ok(Ok(_)))
    }

    async fn attempt(
        &self,
        address: &str,
        request: &SubmitRequest,
        deadline: Monotonic,
        wait: Duration,
    ) -> Attempt {
        let Some(mut stub) = self.stub(address) else {
            return Attempt::Failed("not an address".to_owned());
        };
        let left = deadline.since(self.env.clock.now());
        let timeout = (ATTEMPT_TIMEOUT + wait).min(left);
        let call = stub.submit(tonic::Request::new(request.clone()));
        let response = match tokio::time::timeout(timeout, call).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Attempt::Failed(status.to_string()),
            Err(_) => return Attempt::Failed(format!("no answer within {timeout:?}")),
        };
        match response.outcome {
            Some(Outcome::Reply(reply)) => {
                Attempt::Answered(reply, MetadataVersion(response.version))
            }
            Some(Outcome::NotActive(hint)) => {
                Attempt::NotActive(Some(hint.leader_address).filter(|text| !text.is_empty()))
            }
            None => Attempt::Failed("an answer without an outcome".to_owned()),
        }
    }

    fn believed(&self) -> String {
        self.state.lock().expect("controller client lock").believed.clone()
    }

    fn believe(&self, address: String) {
        self.state.lock().expect("controller client lock").believed = address;
    }

    /// The configured controller after `address`, the first one after an unknown address.
    fn address_after(&self, address: &str) -> String {
        let index = self.addresses.iter().position(|known| known == address);
        self.addresses[index.map_or(0, |index| (index + 1) % self.addresses.len())].clone()
    }

    fn stub(&self, address: &str) -> Option<Stub<Channel>> {
        let mut state = self.state.lock().expect("controller client lock");
        if let Some(channel) = state.channels.get(address) {
            return Some(stub(channel.clone()));
        }
        let _control = self.control.enter();
        let channel = channel::channel(&self.env.net, address).ok()?;
        if state.channels.len() >= CHANNELS_MAX {
            state.channels.clear();
        }
        state.channels.insert(address.to_owned(), channel.clone());
        Some(stub(channel))
    }
}

fn stub(channel: Channel) -> Stub<Channel> {
    Stub::new(channel).max_decoding_message_size(channel::MESSAGE_BYTES_MAX)
}

/// Where the configuration says the controllers are: the voters, else the bootstrap servers, else
/// this node's own controller listener.
pub fn configured_addresses(config: &config::NodeConfig) -> Vec<String> {
    let quorum = &config.quorum;
    if !quorum.voters.is_empty() {
        let voters = quorum.voters.iter();
        // The local controller first: the metadata stream prefers it.
        let (local, others): (Vec<_>, Vec<_>) =
            voters.partition(|voter| voter.node_id == config.node_id);
        let all = local.into_iter().chain(others);
        return all.map(|voter| host_port(&voter.host, voter.port)).collect();
    }
    if !quorum.bootstrap.is_empty() {
        return quorum.bootstrap.iter().map(|(host, port)| host_port(host, port)).collect();
    }
    let own = config.network.listeners.iter();
    let own = own.filter(|listener| listener.role == config::ListenerRole::Controller);
    own.map(|listener| {
        let host = match listener.host.as_str() {
            "" | "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        host_port(host, listener.port)
    })
    .collect()
}
