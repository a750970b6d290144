//! The controller's gRPC service: commands, heartbeats, the stream of metadata, the quorum.
//!
//! Promises: what a peer sends never panics; streams end when the peer goes; a follower of the
//! metadata gets batches with versions rising by one, or first a whole snapshot.

use crate::activity::Activity;
use crate::asking::Asking;
use crate::birth;
use crate::cluster_name::ClusterName;
use crate::decider::{SubmitError, Submitter};
use crate::feed;
use crate::liveness::{Attendance, Heartbeat, Liveness};
use crate::membership::Admissions;
use crate::raft::{Member, MemberId, MetaRaft};
use crate::view::View;
use env::Env;
use futures::{Stream, StreamExt};
use metadata::{Command, Image};
use rpc::controller as pb;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tonic::{Request, Response, Status, Streaming};
use types::{BrokerEpoch, ErrorCode, MetadataVersion, NodeId, Uuid};

/// Longest wait for the brokers to apply a command.
const WAIT_APPLIED_MAX: Duration = Duration::from_secs(10);

/// What the service needs of the controller.
pub struct Parts {
    pub env: Env,
    pub raft: MetaRaft,
    pub view: View,
    pub activity: Activity,
    pub submitter: Submitter,
    pub liveness: Arc<Liveness>,
    /// Woken where a heartbeat may call for a command.
    pub attention: Arc<Notify>,
    pub admissions: Admissions,
    pub asking: Asking,
    pub cluster: ClusterName,
    /// The configured voters and where they are.
    pub voters: BTreeMap<NodeId, String>,
    /// `controller.quorum.auto.join.enable`: nodes that no list names are taken in.
    pub auto_join: bool,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct ControllerService {
    parts: Arc<Parts>,
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl ControllerService {
    pub fn new(parts: Parts) -> ControllerService {
        ControllerService { parts: Arc::new(parts) }
    }

    fn not_active(&self) -> pb::NotActive {
        let report = self.parts.raft.report();
        let own = self.parts.raft.id();
        // While this node leads but is not confirmed yet, nobody is active.
        let leader = report.leader.filter(|leader| *leader != own).map(|leader| leader.node_id());
        pb::NotActive {
            leader_id: leader.unwrap_or(NodeId::NONE).0,
            leader_address: leader.map(|id| self.parts.raft.address(id)).unwrap_or_default(),
        }
    }

    /// Takes a heartbeat in and says how the broker stands.
    fn heartbeat_of(
        &self,
        attendance: &mut Attendance,
        request: &pb::HeartbeatRequest,
    ) -> pb::HeartbeatResponse {
        let parts = &self.parts;
        let heartbeat = Heartbeat {
            broker_id: NodeId(request.broker_id),
            broker_epoch: BrokerEpoch(request.broker_epoch),
            applied_version: MetadataVersion(request.applied_version),
            want_unfence: request.want_unfence,
            want_shutdown: request.want_shutdown,
        };
        attendance.heard(parts.env.clock.now(), heartbeat);
        let image = parts.view.image();
        let response = standing(&image, &heartbeat, parts.activity.is_active());
        if response.is_active && response.error_code == 0 {
            let shutdown = request.want_shutdown && !response.should_shutdown;
            if shutdown || (response.fenced && request.want_unfence) {
                parts.attention.notify_one();
            }
        }
        response
    }

    /// Makes a node a voter in the place of its old self, if it is where it should be. The directory
    /// is not looked at: that of a node whose disk was wiped or replaced is new.
    async fn admit(&self, member: MemberId, asked: String) -> Result<(), String> {
        let parts = &self.parts;
        let node = member.node_id();
        let address = self.place_of(node, asked)?;
        let own = parts.raft.id();
        let is_listed = parts.voters.contains_key(&node) || !parts.auto_join;
        let call = || birth::who_is_at(&parts.env, &address, own);
        let present = parts.asking.ask(&address, is_listed, call).await?;
        let is_there = present.is_some_and(|present| {
            present.member == member && parts.cluster.check(&present.cluster_id).is_ok()
        });
        if !is_there {
            return Err(format!(
                "the controller at {address} does not answer as {member}; \
                 controller.quorum.auto.join.enable lets it in elsewhere"
            ));
        }
        parts.admissions.admit(member, address).await
    }

    /// Where a node that asks to join must be: where the configuration has it, or else where it was as
    /// a member. Others are refused, unless any node may join.
    fn place_of(&self, node: NodeId, asked: String) -> Result<String, String> {
        let parts = &self.parts;
        if let Some(address) = parts.voters.get(&node) {
            return Ok(address.clone());
        }
        if parts.auto_join {
            return Ok(asked);
        }
        let report = parts.raft.report();
        let old = report.members.into_iter().find(|one| one.id.node_id() == node);
        old.map(|one| one.address).ok_or_else(|| {
            format!(
                "node {node} is not in controller.quorum.voters, and \
                 controller.quorum.auto.join.enable is false"
            )
        })
    }
}

/// How a broker stands in the image.
fn standing(image: &Image, heartbeat: &Heartbeat, is_active: bool) -> pb::HeartbeatResponse {
    let mut response = pb::HeartbeatResponse {
        is_active,
        fenced: true,
        should_shutdown: false,
        committed_version: image.version().0,
        error_code: 0,
    };
    let code = |code: ErrorCode| i32::from(code as i16);
    match image.broker(heartbeat.broker_id) {
        Some(broker) if broker.epoch == heartbeat.broker_epoch => {
            response.fenced = broker.fenced;
            let leaving = broker.fenced || broker.in_controlled_shutdown;
            response.should_shutdown =
                heartbeat.want_shutdown && leaving && image.leaders_of(broker.id).next().is_none();
        }
        // One that is not active may not have applied the registration yet.
        Some(_) | None if !is_active => {}
        Some(_) => response.error_code = code(ErrorCode::StaleBrokerEpoch),
        None => response.error_code = code(ErrorCode::BrokerIdNotRegistered),
    }
    response
}

#[tonic::async_trait]
impl pb::controller_server::Controller for ControllerService {
    async fn submit(
        &self,
        request: Request<pb::SubmitRequest>,
    ) -> Result<Response<pb::SubmitResponse>, Status> {
        use pb::submit_response::Outcome;
        let request = request.into_inner();
        let wait = Duration::from_millis(request.wait_applied_ms.into()).min(WAIT_APPLIED_MAX);
        let command = request.command;
        let command = command.ok_or_else(|| Status::invalid_argument("no command"))?;
        let command = Command::try_from(command)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (outcome, version) = match self.parts.submitter.submit(command).await {
            Ok((reply, version)) => (Outcome::Reply((&reply).into()), version),
            Err(SubmitError::NotActive) => {
                (Outcome::NotActive(self.not_active()), MetadataVersion(0))
            }
            Err(SubmitError::Overloaded) => {
                return Err(Status::resource_exhausted(SubmitError::Overloaded.to_string()));
            }
        };
        if !wait.is_zero() && matches!(outcome, Outcome::Reply(_)) {
            let applied = self.parts.liveness.applied_everywhere(&self.parts.view, version);
            // A time that runs out is no error: the command is committed.
            drop(tokio::time::timeout(wait, applied).await);
        }
        let version = version.0;
        Ok(Response::new(pb::SubmitResponse { outcome: Some(outcome), version }))
    }

    type HeartbeatStream = Boxed<pb::HeartbeatResponse>;

    /// Answers each heartbeat, and speaks up between them when the broker's standing changes.
    async fn heartbeat(
        &self,
        request: Request<Streaming<pb::HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        struct Beats {
            service: ControllerService,
            requests: Streaming<pb::HeartbeatRequest>,
            attendance: Attendance,
            versions: tokio::sync::watch::Receiver<MetadataVersion>,
            terms: tokio::sync::watch::Receiver<Option<u64>>,
            last: Option<(pb::HeartbeatRequest, pb::HeartbeatResponse)>,
        }
        let beats = Beats {
            service: self.clone(),
            requests: request.into_inner(),
            attendance: Attendance::new(self.parts.liveness.clone()),
            versions: self.parts.view.watch(),
            terms: self.parts.activity.watch(),
            last: None,
        };
        let next = |mut beats: Beats| async move {
            loop {
                tokio::select! {
                    message = beats.requests.message() => {
                        let request = message.transpose()?.ok()?;
                        let response = beats.service.heartbeat_of(&mut beats.attendance, &request);
                        beats.last = Some((request, response));
                        return Some((Ok(response), beats));
                    }
                    changed = beats.versions.changed() => changed.ok()?,
                    changed = beats.terms.changed() => changed.ok()?,
                }
                let Some((request, last)) = &beats.last else { continue };
                let heartbeat = Heartbeat {
                    broker_id: NodeId(request.broker_id),
                    broker_epoch: BrokerEpoch(request.broker_epoch),
                    applied_version: MetadataVersion(request.applied_version),
                    want_unfence: request.want_unfence,
                    want_shutdown: request.want_shutdown,
                };
                let parts = &beats.service.parts;
                let active = parts.activity.is_active();
                let response = standing(&parts.view.image(), &heartbeat, active);
                let same =
                    pb::HeartbeatResponse { committed_version: last.committed_version, ..response };
                if same != *last {
                    beats.last = Some((*request, response));
                    return Some((Ok(response), beats));
                }
            }
        };
        Ok(Response::new(Box::pin(futures::stream::unfold(beats, next))))
    }

    type FollowMetadataStream = Boxed<pb::MetadataUpdate>;

    async fn follow_metadata(
        &self,
        request: Request<pb::FollowMetadataRequest>,
    ) -> Result<Response<Self::FollowMetadataStream>, Status> {
        let from = MetadataVersion(request.get_ref().applied_version);
        // A controller whose journal has failed learns nothing any more, and whoever follows it would
        // act on what was.
        let mut reports = self.parts.raft.watch();
        let failed = async move { drop(reports.wait_for(|report| report.failure.is_some()).await) };
        if self.parts.raft.report().failure.is_some() {
            return Err(Status::unavailable("this controller has failed"));
        }
        let updates = feed::follow(self.parts.view.clone(), from);
        Ok(Response::new(Box::pin(updates.take_until(Box::pin(failed)))))
    }

    async fn describe_quorum(
        &self,
        _request: Request<pb::DescribeQuorumRequest>,
    ) -> Result<Response<pb::DescribeQuorumResponse>, Status> {
        let parts = &self.parts;
        if parts.activity.is_active() && parts.raft.confirm().await.is_err() {
            return Err(Status::unavailable("leadership is not confirmed"));
        }
        let report = parts.raft.report();
        let wall = parts.env.clock.wall().0;
        let own = parts.raft.id();
        let position = |index: Option<u64>| index.map_or(-1, |index| index as i64);
        let member = |one: &Member| {
            let own = one.id == own;
            let end = if own { report.last_log_index } else { one.matched_index };
            let heard = one.silent_for.map(|silent| wall - silent.as_millis() as i64);
            let heard = if own { Some(wall) } else { heard };
            let caught_up = heard.filter(|_| end.is_some() && end >= report.committed_index);
            pb::QuorumMember {
                node_id: one.id.node_id().0,
                directory_id: one.id.directory_id().0.to_vec().into(),
                address: one.address.clone(),
                log_end_offset: end.map_or(-1, |index| index as i64 + 1),
                last_fetch_timestamp: heard.unwrap_or(-1),
                last_caught_up_timestamp: caught_up.unwrap_or(-1),
            }
        };
        let (voters, observers): (Vec<_>, Vec<_>) =
            report.committed_members.iter().partition(|one| one.is_voter);
        Ok(Response::new(pb::DescribeQuorumResponse {
            leader_id: report.leader.map_or(NodeId::NONE, |leader| leader.node_id()).0,
            leader_epoch: report.term as i64,
            high_watermark: position(report.committed_index) + 1,
            voters: voters.into_iter().map(member).collect(),
            observers: observers.into_iter().map(member).collect(),
        }))
    }

    async fn introduce(
        &self,
        _request: Request<pb::IntroduceRequest>,
    ) -> Result<Response<pb::IntroduceResponse>, Status> {
        let parts = &self.parts;
        let own = parts.raft.id();
        let leader = parts.raft.report().leader.map(|leader| leader.node_id());
        Ok(Response::new(pb::IntroduceResponse {
            node_id: own.node_id().0,
            directory_id: own.directory_id().0.to_vec().into(),
            cluster_id: parts.cluster.get(),
            leader_id: leader.unwrap_or(NodeId::NONE).0,
            leader_address: leader.map(|id| parts.raft.address(id)).unwrap_or_default(),
            is_empty: parts.raft.is_empty() && !parts.cluster.is_known(),
            voters: parts.voters.keys().map(|id| id.0).collect(),
            term: parts.raft.report().term,
        }))
    }

    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinResponse>, Status> {
        use pb::join_response::Outcome;
        let request = request.into_inner();
        let directory = request.directory_id[..]
            .try_into()
            .map_err(|_| Status::invalid_argument("a directory id has 16 bytes"))?;
        let member = MemberId::new(NodeId(request.node_id), Uuid(directory));
        let cluster_id = self.parts.cluster.get();
        let outcome = if !self.parts.activity.is_active() {
            Outcome::NotActive(self.not_active())
        } else if cluster_id.is_empty() {
            Outcome::Refused("the cluster has no id yet".to_owned())
        } else if let Err(error) = self.parts.cluster.require(&request.cluster_id) {
            Outcome::Refused(error.to_string())
        } else {
            match self.admit(member, request.address).await {
                Ok(()) => Outcome::ClusterId(cluster_id),
                Err(reason) => Outcome::Refused(reason),
            }
        };
        Ok(Response::new(pb::JoinResponse { outcome: Some(outcome) }))
    }
}
