//! The stand-in controller.

use metadata::{Command, DecideContext, Image, PlainConfigRules, Record, decide_batch};
use rpc::controller::controller_server::{Controller, ControllerServer};
use rpc::controller::submit_response::Outcome;
use rpc::controller::{self as pb, metadata_update::Update};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use types::{BrokerEpoch, NodeId};

/// Decides and commits at once; fences nobody.
pub struct StandIn {
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    image: Image,
    batches: Vec<Vec<Record>>,
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl StandIn {
    pub async fn start() -> (Arc<StandIn>, String) {
        let stand_in =
            Arc::new(StandIn { state: Mutex::default(), version: watch::Sender::new(0) });
        stand_in.decide(Command::NameCluster { cluster_id: "stand-in-cluster-id-0".to_owned() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let service = ControllerServer::new(Service(stand_in.clone()));
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(incoming));
        (stand_in, address)
    }

    /// Decides a command, commits and applies its records.
    pub fn decide(&self, command: Command) -> (metadata::Reply, u64) {
        let (mut replies, version) = self.decide_all(&[command]);
        (replies.remove(0), version)
    }

    /// Decides commands as one batch.
    pub fn decide_all(&self, commands: &[Command]) -> (Vec<metadata::Reply>, u64) {
        let mut state = self.state.lock().expect("lock");
        let context = DecideContext {
            seed: 7 + state.batches.len() as u64,
            config_rules: &PlainConfigRules,
            num_partitions: 1,
            replication_factor: 1,
            unclean_leader_election: false,
        };
        let decided = decide_batch(&state.image, commands, &context);
        if !decided.records.is_empty() {
            assert!(state.image.apply_batch(decided.based_on, &decided.records));
            state.batches.push(decided.records);
        }
        let version = state.image.version().0;
        drop(state);
        self.version.send_replace(version);
        (decided.replies, version)
    }

    fn batch_after(&self, version: u64) -> Option<Vec<rpc::metadata::Record>> {
        let state = self.state.lock().expect("lock");
        let batch = state.batches.get(version as usize)?;
        Some(batch.iter().map(rpc::metadata::Record::from).collect())
    }

    fn hear(&self, beat: &pb::HeartbeatRequest) -> pb::HeartbeatResponse {
        let (broker_id, broker_epoch) = (NodeId(beat.broker_id), BrokerEpoch(beat.broker_epoch));
        let image = self.state.lock().expect("lock").image.clone();
        let broker = image.broker(broker_id);
        let fenced = broker.is_none_or(|broker| broker.fenced);
        let caught_up = broker.is_some_and(|b| beat.applied_version >= b.registered_version.0);
        if beat.want_unfence && fenced && caught_up {
            self.decide(Command::UnfenceBroker { broker_id, broker_epoch });
        }
        let known = broker.is_some_and(|broker| broker.epoch == broker_epoch);
        pb::HeartbeatResponse {
            is_active: true,
            fenced,
            should_shutdown: beat.want_shutdown && image.leaders_of(broker_id).next().is_none(),
            committed_version: image.version().0,
            error_code: if known { 0 } else { 102 },
        }
    }
}

struct Service(Arc<StandIn>);

#[tonic::async_trait]
impl Controller for Service {
    async fn submit(
        &self,
        request: Request<pb::SubmitRequest>,
    ) -> Result<Response<pb::SubmitResponse>, Status> {
        let command = request.into_inner().command.expect("a command");
        let command = Command::try_from(command).expect("a known command");
        let (reply, version) = self.0.decide(command);
        let outcome = Some(Outcome::Reply((&reply).into()));
        Ok(Response::new(pb::SubmitResponse { outcome, version }))
    }

    type HeartbeatStream = Boxed<pb::HeartbeatResponse>;

    async fn heartbeat(
        &self,
        request: Request<Streaming<pb::HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let stand_in = self.0.clone();
        let answers = request.into_inner().map(move |beat| beat.map(|beat| stand_in.hear(&beat)));
        Ok(Response::new(Box::pin(answers)))
    }

    type FollowMetadataStream = Boxed<pb::MetadataUpdate>;

    async fn follow_metadata(
        &self,
        request: Request<pb::FollowMetadataRequest>,
    ) -> Result<Response<Self::FollowMetadataStream>, Status> {
        let from = request.into_inner().applied_version;
        let start = (self.0.clone(), self.0.version.subscribe(), from);
        let updates = futures::stream::unfold(start, |(stand_in, mut versions, at)| async move {
            versions.wait_for(|version| *version > at).await.ok()?;
            let records = stand_in.batch_after(at)?;
            let batch = pb::MetadataBatch { version: at + 1, records };
            let update = pb::MetadataUpdate { update: Some(Update::Batch(batch)) };
            Some((Ok(update), (stand_in, versions, at + 1)))
        });
        Ok(Response::new(Box::pin(updates)))
    }

    async fn describe_quorum(
        &self,
        _: Request<pb::DescribeQuorumRequest>,
    ) -> Result<Response<pb::DescribeQuorumResponse>, Status> {
        Ok(Response::new(pb::DescribeQuorumResponse {
            leader_id: 1,
            leader_epoch: 3,
            ..Default::default()
        }))
    }

    async fn introduce(
        &self,
        _: Request<pb::IntroduceRequest>,
    ) -> Result<Response<pb::IntroduceResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn join(
        &self,
        _: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
