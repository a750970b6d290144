//! Heartbeats: this broker's life, told to every controller on a stream of its own.
//!
//! Promises:
//! - every controller hears a heartbeat each `broker.heartbeat.interval.ms`, and another at once
//!   when what it says has changed;
//! - a stream that breaks is opened again, without touching the others;
//! - only what the active controller answers counts.
//!
//! Does not: write anything to the metadata. Runs on the control runtime.

use crate::channel;
use crate::context::BrokerCore;
use rpc::controller::controller_client::ControllerClient as Stub;
use rpc::controller::{HeartbeatRequest, HeartbeatResponse};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use types::{ErrorCode, MetadataVersion};

/// Heartbeats that may wait to be sent on one stream; when a controller takes none, more are
/// useless.
const UNSENT_MAX: usize = 4;
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2000);

/// What the broker says of itself besides epoch and version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wishes {
    pub unfence: bool,
    pub shutdown: bool,
}

/// What the active controller thinks of this broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Verdict {
    /// Raised with every answer of an active controller.
    pub count: u64,
    pub fenced: bool,
    /// The broker may stop: it leads nothing.
    pub should_shutdown: bool,
    /// The registration is gone or replaced: register again.
    pub unknown: bool,
}

/// The shared state of all heartbeat streams.
pub struct Heartbeats {
    pub core: Arc<BrokerCore>,
    pub wishes: watch::Sender<Wishes>,
    pub verdict: watch::Sender<Verdict>,
    /// The highest version that any controller has committed.
    pub committed: watch::Sender<MetadataVersion>,
}

impl Heartbeats {
    pub fn new(core: Arc<BrokerCore>) -> Heartbeats {
        Heartbeats {
            core,
            wishes: watch::Sender::new(Wishes::default()),
            verdict: watch::Sender::new(Verdict::default()),
            committed: watch::Sender::new(MetadataVersion(0)),
        }
    }

    /// Keeps one stream to one controller, for ever.
    pub async fn keep(self: Arc<Self>, address: String) {
        loop {
            let ended = self.beat(&address).await;
            tracing::debug!(%address, reason = %ended, "heartbeat stream ended");
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }

    async fn beat(&self, address: &str) -> String {
        let (sender, receiver) = mpsc::channel(UNSENT_MAX);
        let mut answers = match self.open(address, receiver, &sender).await {
            Ok(answers) => answers,
            Err(reason) => return reason,
        };
        let mut due = std::pin::pin!(self.next_beat());
        let mut wishes = self.wishes.subscribe();
        let mut applied = self.core.image.watch();
        loop {
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.hear(&answer),
                    Ok(None) => return "ended by the controller".to_owned(),
                    Err(status) => return status.to_string(),
                },
                () = &mut due => {
                    self.say(&sender);
                    due.set(self.next_beat());
                }
                Ok(()) = wishes.changed() => self.say(&sender),
                Ok(()) = applied.changed() => self.say(&sender),
            }
        }
    }

    /// The streams of all controllers beat together, so that this thread wakes once for them.
    fn next_beat(&self) -> tokio::time::Sleep {
        let interval = self.core.config.liveness.heartbeat_interval;
        tokio::time::sleep(env::clock::until_next(self.core.env.clock.now(), interval))
    }

    async fn open(
        &self,
        address: &str,
        receiver: mpsc::Receiver<HeartbeatRequest>,
        sender: &mpsc::Sender<HeartbeatRequest>,
    ) -> Result<Streaming<HeartbeatResponse>, String> {
        let channel = channel::channel(&self.core.env.net, address);
        let mut stub = Stub::new(channel.map_err(|error| error.to_string())?);
        // A server may hold its response headers back until the first message is there.
        self.say(sender);
        let call = stub.heartbeat(ReceiverStream::new(receiver));
        match tokio::time::timeout(CONNECT_TIMEOUT, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(status.to_string()),
            Err(_) => Err(format!("no answer within {CONNECT_TIMEOUT:?}")),
        }
    }

    fn say(&self, sender: &mpsc::Sender<HeartbeatRequest>) {
        let epoch = self.core.broker_epoch.get();
        if epoch == types::BrokerEpoch::NONE {
            return;
        }
        let wishes = *self.wishes.borrow();
        let beat = HeartbeatRequest {
            broker_id: self.core.node_id.0,
            broker_epoch: epoch.0,
            applied_version: self.core.image.applied().0,
            want_unfence: wishes.unfence,
            want_shutdown: wishes.shutdown,
        };
        // Full: the controller does not read. The next interval tries again.
        let _ = sender.try_send(beat);
    }

    fn hear(&self, answer: &HeartbeatResponse) {
        let version = MetadataVersion(answer.committed_version);
        self.committed.send_if_modified(|known| {
            let newer = version > *known;
            *known = version.max(*known);
            newer
        });
        if !answer.is_active {
            return;
        }
        let unknown = [ErrorCode::StaleBrokerEpoch, ErrorCode::BrokerIdNotRegistered]
            .iter()
            .any(|code| i32::from(i16::from(*code)) == answer.error_code);
        self.verdict.send_modify(|verdict| {
            *verdict = Verdict {
                count: verdict.count + 1,
                fenced: answer.fenced,
                should_shutdown: answer.should_shutdown,
                unknown,
            };
        });
    }
}
