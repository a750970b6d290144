//! Raft's messages from the other members.
//!
//! Promises: a message for another member, or from another cluster, is refused; what openraft
//! would panic on is refused before it gets there; a snapshot's size is bounded.

use super::Raft;
use super::codec::{self, CodecError};
use super::state_machine;
use super::types::{Entry, LogId, MemberId, Snapshot, TypeConfig, Vote};
use crate::cluster_name::ClusterName;
use bytes::{Bytes, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::vote::RaftLeaderId;
use rpc::raft as pb;
use tonic::{Request, Response, Status, Streaming};

/// Largest snapshot that is taken in.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// The gRPC service of one member.
pub struct RaftService {
    raft: Raft,
    id: MemberId,
    cluster: ClusterName,
}

fn bad(error: CodecError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

impl RaftService {
    pub(super) fn new(raft: Raft, id: MemberId, cluster: ClusterName) -> RaftService {
        RaftService { raft, id, cluster }
    }

    fn check(&self, cluster_id: &str, target: Option<&pb::Member>) -> Result<(), Status> {
        self.cluster
            .check(cluster_id)
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        let target = codec::member_from_pb(target).map_err(bad)?;
        if target == self.id {
            return Ok(());
        }
        let text = format!("this is {}, not {target}", self.id);
        Err(Status::failed_precondition(text))
    }

    fn vote_request(&self, request: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
        self.check(&request.cluster_id, request.target.as_ref())?;
        Ok(VoteRequest {
            vote: codec::vote_from_pb(request.vote.as_ref()).map_err(bad)?,
            last_log_id: codec::optional_log_id(request.last_log.as_ref()).map_err(bad)?,
            leadership_transfer: request.leadership_transfer,
        })
    }
}

fn vote_response(response: &VoteResponse<TypeConfig>) -> Response<pb::VoteResponse> {
    Response::new(pb::VoteResponse {
        vote: Some(codec::vote_to_pb(&response.vote)),
        granted: response.vote_granted,
        last_log: response.last_log_id.as_ref().map(codec::log_id_to_pb),
    })
}

/// Entries must follow `previous` one by one, and be no newer than the sender's vote.
fn check_entries(previous: Option<LogId>, entries: &[Entry], vote: &Vote) -> Result<(), Status> {
    let leader = vote.leader_id.to_committed();
    let mut last = previous;
    for entry in entries {
        let id = entry.log_id;
        let follows = match last {
            Some(last) => last.index + 1 == id.index && last.leader_id <= id.leader_id,
            None => id.index == 0,
        };
        if !follows || id.leader_id > leader {
            return Err(Status::invalid_argument(format!("entry {id} does not follow {last:?}")));
        }
        last = Some(id);
    }
    Ok(())
}

async fn receive(mut chunks: Streaming<pb::SnapshotChunk>, length: u64) -> Result<Bytes, Status> {
    use pb::snapshot_chunk::Part;
    if length > SNAPSHOT_BYTES_MAX {
        return Err(Status::resource_exhausted(format!("snapshot of {length} bytes")));
    }
    let mut content = BytesMut::new();
    while let Some(chunk) = chunks.message().await? {
        match chunk.part {
            Some(Part::Data(data)) => content.extend_from_slice(&data),
            Some(Part::Header(_)) | None => {
                return Err(Status::invalid_argument("a snapshot has one header"));
            }
        }
        if content.len() as u64 > length {
            break;
        }
    }
    if content.len() as u64 != length {
        return Err(Status::data_loss(format!("snapshot of {length} bytes has {}", content.len())));
    }
    Ok(content.freeze())
}

#[tonic::async_trait]
impl pb::raft_server::Raft for RaftService {
    async fn append(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        use pb::append_response::{Matched, Outcome};
        let request = request.into_inner();
        self.check(&request.cluster_id, request.target.as_ref())?;
        let vote = codec::vote_from_pb(request.vote.as_ref()).map_err(bad)?;
        let prev_log_id = codec::optional_log_id(request.previous.as_ref()).map_err(bad)?;
        let leader_commit = codec::optional_log_id(request.leader_commit.as_ref()).map_err(bad)?;
        let entries = request.entries.iter().map(codec::entry_from_bytes);
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(bad)?;
        check_entries(prev_log_id, &entries, &vote)?;
        let request = AppendEntriesRequest { vote, prev_log_id, entries, leader_commit };
        let response = self.raft.append_entries(request).await.map_err(failed)?;
        let outcome = match response {
            AppendEntriesResponse::Success => Outcome::Success(Matched {}),
            AppendEntriesResponse::PartialSuccess(Some(id)) => {
                Outcome::Partial(codec::log_id_to_pb(&id))
            }
            AppendEntriesResponse::PartialSuccess(None) => Outcome::Nothing(Matched {}),
            AppendEntriesResponse::Conflict => Outcome::Conflict(Matched {}),
            AppendEntriesResponse::HigherVote(vote) => {
                Outcome::HigherVote(codec::vote_to_pb(&vote))
            }
        };
        Ok(Response::new(pb::AppendResponse { outcome: Some(outcome) }))
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = self.vote_request(request.get_ref())?;
        let response = self.raft.vote(request).await.map_err(failed)?;
        Ok(vote_response(&response))
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = self.vote_request(request.get_ref())?;
        let response = self.raft.pre_vote(request).await.map_err(failed)?;
        Ok(vote_response(&response))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        let mut chunks = request.into_inner();
        let first = chunks.message().await?.and_then(|chunk| chunk.part);
        let Some(pb::snapshot_chunk::Part::Header(header)) = first else {
            return Err(Status::invalid_argument("a snapshot begins with its header"));
        };
        self.check(&header.cluster_id, header.target.as_ref())?;
        let vote = codec::vote_from_pb(header.vote.as_ref()).map_err(bad)?;
        let content = receive(chunks, header.length).await?;
        let meta = state_machine::snapshot_meta(&content).map_err(bad)?;
        if meta.last_log_id.is_some_and(|last| last.leader_id > vote.leader_id.to_committed()) {
            return Err(Status::invalid_argument("the snapshot is newer than its sender's vote"));
        }
        let snapshot = Snapshot { meta, snapshot: content };
        let response = self.raft.install_full_snapshot(vote, snapshot).await.map_err(failed)?;
        let vote = Some(codec::vote_to_pb(&response.vote));
        Ok(Response::new(pb::SnapshotResponse { vote }))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let request = request.into_inner();
        self.check(&request.cluster_id, request.target.as_ref())?;
        let from = codec::vote_from_pb(request.from.as_ref()).map_err(bad)?;
        let to = codec::member_from_pb(request.to.as_ref()).map_err(bad)?;
        let last = codec::optional_log_id(request.last_log.as_ref()).map_err(bad)?;
        let request = TransferLeaderRequest::new(from, to, last);
        let accepted = self.raft.handle_transfer_leader(request).await.map_err(failed)?;
        if let Err(error) = &accepted {
            tracing::debug!(%error, "leadership transfer refused");
        }
        Ok(Response::new(pb::TransferLeaderResponse { accepted: accepted.is_ok() }))
    }
}
