//! Raft's messages to the other members, over gRPC.
//!
//! Promises: every call has a deadline; connections are made when first needed and again after a
//! failure, through the seams of `env`; a failed call is reported as unreachable, so that openraft
//! waits a little before it tries again. Heartbeats have a connection of their own, so that a large
//! append never delays them.

use super::codec;
use super::gate::check_answer;
use super::types::{Address, LogId, MemberId, Snapshot, TypeConfig, Vote};
use crate::channel;
use crate::cluster_name::ClusterName;
use bytes::Bytes;
use env::{Env, Mutant, mutant};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use rpc::raft as pb;
use rpc::raft::raft_client::RaftClient;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tonic::transport::Channel;
use types::NodeId;

/// Time for an append with entries: the receiver syncs them, on a disk that may be busy.
const APPEND_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for a whole snapshot.
pub(super) const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a snapshot in one message.
const SNAPSHOT_CHUNK_BYTES: usize = 256 << 10;
/// Pause before the next call after a failed one.
const BACKOFF: Duration = Duration::from_millis(100);
/// Largest message; one batch of metadata and its envelope fit.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// Makes a client for each member.
#[derive(Clone)]
pub struct Network {
    env: Env,
    id: MemberId,
    cluster: ClusterName,
    /// From the configuration; wins over the membership's, which may be old.
    addresses: Arc<BTreeMap<NodeId, String>>,
}

impl Network {
    pub fn new(
        env: Env,
        id: MemberId,
        cluster: ClusterName,
        addresses: Arc<BTreeMap<NodeId, String>>,
    ) -> Network {
        Network { env, id, cluster, addresses }
    }

    pub fn client(&self, target: MemberId, node: &Address) -> Peer {
        let address = self.addresses.get(&target.node_id()).unwrap_or(&node.0);
        let client = channel::connect(&self.env, address).map(|channel| {
            RaftClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX)
        });
        Peer { id: self.id, target, cluster: self.cluster.clone(), client }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: MemberId, node: &Address) -> Peer {
        self.client(target, node)
    }
}

/// A client of one member.
pub struct Peer {
    id: MemberId,
    target: MemberId,
    cluster: ClusterName,
    /// The text says why the address cannot be used.
    client: Result<RaftClient<Channel>, String>,
}

type CallResult<T> = Result<T, RPCError<TypeConfig>>;

fn unreachable(text: impl ToString) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(text))
}

fn unreadable(error: codec::CodecError) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(&error))
}

fn id_to_pb(id: Option<&LogId>) -> Option<pb::LogId> {
    id.map(codec::log_id_to_pb)
}

impl Peer {
    fn client(&self) -> CallResult<RaftClient<Channel>> {
        self.client.clone().map_err(unreachable)
    }

    fn target(&self) -> Option<pb::Member> {
        Some(codec::member_to_pb(&self.target))
    }

    async fn call<T>(
        &self,
        timeout: Duration,
        call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
    ) -> CallResult<T> {
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(unreachable(format!("{}: {status}", self.target))),
            Err(_) => Err(unreachable(format!("{}: no answer in {timeout:?}", self.target))),
        }
    }

    fn vote_request(&self, request: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
        pb::VoteRequest {
            cluster_id: self.cluster.get(),
            target: self.target(),
            vote: Some(codec::vote_to_pb(&request.vote)),
            last_log: id_to_pb(request.last_log_id.as_ref()),
            leadership_transfer: request.leadership_transfer,
        }
    }

    /// Asks for its vote.
    pub async fn ask_vote(
        &self,
        request: &VoteRequest<TypeConfig>,
        timeout: Duration,
    ) -> CallResult<VoteResponse<TypeConfig>> {
        let mut client = self.client()?;
        let message = self.vote_request(request);
        vote_response(&self.call(timeout, client.vote(message)).await?)
    }

    /// Asks whether it would vote.
    pub async fn would_vote(
        &self,
        request: &VoteRequest<TypeConfig>,
        timeout: Duration,
    ) -> CallResult<VoteResponse<TypeConfig>> {
        let mut client = self.client()?;
        let message = self.vote_request(request);
        vote_response(&self.call(timeout, client.pre_vote(message)).await?)
    }
}

fn vote_response(response: &pb::VoteResponse) -> CallResult<VoteResponse<TypeConfig>> {
    let vote = codec::vote_from_pb(response.vote.as_ref()).map_err(unreadable)?;
    let last = codec::optional_log_id(response.last_log.as_ref()).map_err(unreadable)?;
    check_answer(Some(&vote), last.as_ref()).map_err(unreadable)?;
    Ok(VoteResponse::new(vote, last, response.granted))
}

fn append_response(
    response: pb::AppendResponse,
    has_previous: bool,
) -> Result<AppendEntriesResponse<TypeConfig>, codec::CodecError> {
    use pb::append_response::Outcome;
    Ok(match response.outcome.ok_or(codec::CodecError("append response"))? {
        Outcome::Success(_) => AppendEntriesResponse::Success,
        Outcome::Partial(id) => {
            let id = codec::log_id_from_pb(&id)?;
            check_answer(None, Some(&id))?;
            AppendEntriesResponse::PartialSuccess(Some(id))
        }
        Outcome::Nothing(_) => AppendEntriesResponse::PartialSuccess(None),
        // openraft looks for the conflict at `previous` and counts on there being one.
        Outcome::Conflict(_) if !has_previous => return Err(codec::CodecError("conflict")),
        Outcome::Conflict(_) => AppendEntriesResponse::Conflict,
        Outcome::HigherVote(vote) => {
            let vote = codec::vote_from_pb(Some(&vote))?;
            check_answer(Some(&vote), None)?;
            AppendEntriesResponse::HigherVote(vote)
        }
    })
}

impl RaftNetworkV2<TypeConfig> for Peer {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> CallResult<AppendEntriesResponse<TypeConfig>> {
        let mut client = self.client()?;
        let heartbeat = request.entries.is_empty();
        let has_previous = request.prev_log_id.is_some();
        let timeout = if heartbeat { option.soft_ttl() } else { APPEND_TIMEOUT };
        let message = pb::AppendRequest {
            cluster_id: self.cluster.get(),
            target: self.target(),
            vote: Some(codec::vote_to_pb(&request.vote)),
            previous: id_to_pb(request.prev_log_id.as_ref()),
            leader_commit: id_to_pb(request.leader_commit.as_ref()),
            entries: request.entries.iter().map(codec::entry_to_bytes).collect(),
        };
        let response = match self.call(timeout, client.append(message)).await {
            Err(_) if mutant::is(Mutant::UnansweredAppendCounts) => {
                return Ok(AppendEntriesResponse::Success);
            }
            answered => answered?,
        };
        append_response(response, has_previous).map_err(unreadable)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> CallResult<VoteResponse<TypeConfig>> {
        self.ask_vote(&request, option.soft_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> CallResult<VoteResponse<TypeConfig>> {
        self.would_vote(&request, option.soft_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        use pb::snapshot_chunk::Part;
        let mut client = self.client()?;
        let header = pb::SnapshotHeader {
            cluster_id: self.cluster.get(),
            target: self.target(),
            vote: Some(codec::vote_to_pb(&vote)),
            length: snapshot.snapshot.len() as u64,
        };
        let mut rest = snapshot.snapshot;
        let chunks = std::iter::from_fn(move || {
            let take = rest.len().min(SNAPSHOT_CHUNK_BYTES);
            (take > 0).then(|| Part::Data(rest.split_to(take)))
        });
        let parts = std::iter::once(Part::Header(header)).chain(chunks);
        let messages = parts.map(|part| pb::SnapshotChunk { part: Some(part) });
        let call = client.snapshot(tokio_stream::iter(messages));
        let response = tokio::select! {
            response = self.call(SNAPSHOT_TIMEOUT, call) => response?,
            closed = cancel => return Err(StreamingError::Closed(closed)),
        };
        let vote = codec::vote_from_pb(response.vote.as_ref()).map_err(unreadable)?;
        check_answer(Some(&vote), None).map_err(unreadable)?;
        Ok(SnapshotResponse::new(vote))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> CallResult<TransferLeaderResponse<TypeConfig>> {
        let mut client = self.client()?;
        let message = pb::TransferLeaderRequest {
            cluster_id: self.cluster.get(),
            target: self.target(),
            from: Some(codec::vote_to_pb(request.from_leader())),
            to: Some(codec::member_to_pb(request.to_node_id())),
            last_log: id_to_pb(request.last_log_id()),
        };
        self.call(option.soft_ttl(), client.transfer_leader(message)).await?;
        tracing::debug!(from = %self.id, to = %self.target, "leadership transfer accepted");
        Ok(Ok(()))
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(BACKOFF)))
    }
}
