//! Raft's messages from the other members.
//!
//! Promises: what the [`Gate`] refuses changes nothing; what openraft would panic on is refused
//! before it gets there; one snapshot at a time is taken in, of bounded size and time, and none of a
//! leader whose term is over.

use super::Raft;
use super::codec::{self, CodecError};
use super::gate::{Envelope, Gate, check_answer};
use super::network::SNAPSHOT_TIMEOUT;
use super::state_machine;
use super::types::{Entry, LogId, Snapshot, TypeConfig, Vote};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use openraft::RaftState;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::vote::RaftLeaderId;
use rpc::raft as pb;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

/// Largest snapshot that is taken in.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;

/// Time for what comes first in a snapshot, and for its content beside what [`RATE_MIN`] gives it. Its
/// sender has all of it in memory; who pauses for longer keeps out others that are whole.
const PATIENCE: Duration = Duration::from_secs(5);
/// A snapshot comes at this rate at least, in bytes a second.
const RATE_MIN: u64 = 256 << 10;

/// The gRPC service of one member.
pub struct RaftService {
    raft: Raft,
    gate: Gate,
    /// For the one snapshot that may be coming in.
    receiving: Semaphore,
}

fn bad(error: CodecError) -> Status {
    Status::invalid_argument(error.to_string())
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

impl RaftService {
    pub(super) fn new(raft: Raft, gate: Gate) -> RaftService {
        RaftService { raft, gate, receiving: Semaphore::new(1) }
    }

    fn vote_request(&self, request: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Status> {
        let vote = codec::vote_from_pb(request.vote.as_ref()).map_err(bad)?;
        let last_log_id = codec::optional_log_id(request.last_log.as_ref()).map_err(bad)?;
        self.gate.check(&Envelope {
            cluster_id: &request.cluster_id,
            target: request.target.as_ref(),
            vote,
            is_leaders: false,
            positions: &[last_log_id],
        })?;
        let leadership_transfer = request.leadership_transfer;
        Ok(VoteRequest { vote, last_log_id, leadership_transfer })
    }

    /// Checks what comes before a snapshot's content.
    fn snapshot_vote(&self, header: &pb::SnapshotHeader) -> Result<Vote, Status> {
        if header.length > SNAPSHOT_BYTES_MAX {
            return Err(Status::resource_exhausted(format!("snapshot of {} bytes", header.length)));
        }
        let vote = codec::vote_from_pb(header.vote.as_ref()).map_err(bad)?;
        self.gate.check(&Envelope {
            cluster_id: &header.cluster_id,
            target: header.target.as_ref(),
            vote,
            is_leaders: true,
            positions: &[],
        })?;
        Ok(vote)
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

/// What is committed here is in every later snapshot: openraft panics on one that lacks it.
fn check_last(last: Option<LogId>, committed: Option<&LogId>) -> Result<(), Status> {
    if let (Some(last), Some(committed)) = (last, committed)
        && last > *committed
        && last.index <= committed.index
    {
        let text = format!("a snapshot up to {last} contradicts {committed}, which is committed");
        return Err(Status::invalid_argument(text));
    }
    Ok(())
}

/// What `bytes` of a snapshot give the chunk behind them, beside the patience.
fn time_for(bytes: usize) -> Duration {
    Duration::from_secs(1) * (bytes as u64 / RATE_MIN) as u32
}

type Chunk = Result<pb::SnapshotChunk, Status>;

fn part(chunk: Option<Chunk>) -> Result<Option<pb::snapshot_chunk::Part>, Status> {
    Ok(chunk.transpose()?.and_then(|chunk| chunk.part))
}

/// Takes in the content of a snapshot. Its memory grows with the bytes that come, up to `length`.
async fn receive(
    mut chunks: impl Stream<Item = Chunk> + Unpin,
    length: u64,
    patience: Duration,
) -> Result<Bytes, Status> {
    use pb::snapshot_chunk::Part;
    let wrong = |size: u64| Status::data_loss(format!("snapshot of {length} bytes has {size}"));
    let mut late = std::pin::pin!(tokio::time::sleep(patience));
    let first_end = late.deadline();
    let mut content = BytesMut::new();
    loop {
        let next = tokio::select! {
            biased;
            chunk = chunks.next() => part(chunk)?,
            () = &mut late => return Err(Status::deadline_exceeded("a slow snapshot")),
        };
        let Some(next) = next else { break };
        let Part::Data(data) = next else {
            return Err(Status::invalid_argument("a snapshot has one header"));
        };
        let size = (content.len() + data.len()) as u64;
        if size > length {
            return Err(wrong(size));
        }
        content.extend_from_slice(&data);
        late.as_mut().reset(first_end + time_for(content.len()));
    }
    if content.len() as u64 != length {
        return Err(wrong(content.len() as u64));
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
        let vote = codec::vote_from_pb(request.vote.as_ref()).map_err(bad)?;
        let prev_log_id = codec::optional_log_id(request.previous.as_ref()).map_err(bad)?;
        let leader_commit = codec::optional_log_id(request.leader_commit.as_ref()).map_err(bad)?;
        self.gate.check(&Envelope {
            cluster_id: &request.cluster_id,
            target: request.target.as_ref(),
            vote,
            is_leaders: true,
            positions: &[prev_log_id, leader_commit],
        })?;
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
        let late = |_| Status::deadline_exceeded("no header of a snapshot");
        let first = tokio::time::timeout(PATIENCE, chunks.next()).await.map_err(late)?;
        let first = part(first)?;
        let Some(pb::snapshot_chunk::Part::Header(header)) = first else {
            return Err(Status::invalid_argument("a snapshot begins with its header"));
        };
        let vote = self.snapshot_vote(&header)?;
        let own = self.raft.with_raft_state(|state| *state.vote_ref()).await.map_err(failed)?;
        let is_current = vote >= own;
        if !is_current {
            // Nothing of it would be taken: the sender hears of the later vote at once.
            let vote = Some(codec::vote_to_pb(&own));
            return Ok(Response::new(pb::SnapshotResponse { vote }));
        }
        let busy = |_| Status::unavailable("another snapshot is coming in");
        let _receiving = self.receiving.try_acquire().map_err(busy)?;
        let late = |_| Status::deadline_exceeded(format!("no snapshot in {SNAPSHOT_TIMEOUT:?}"));
        let content = receive(chunks, header.length, PATIENCE);
        let content = tokio::time::timeout(SNAPSHOT_TIMEOUT, content).await.map_err(late)??;
        let meta = state_machine::snapshot_meta(&content).map_err(bad)?;
        check_answer(None, meta.last_log_id.as_ref()).map_err(bad)?;
        check_answer(None, meta.last_membership.log_id().as_ref()).map_err(bad)?;
        if meta.last_log_id.is_some_and(|last| last.leader_id > vote.leader_id.to_committed()) {
            return Err(Status::invalid_argument("the snapshot is newer than its sender's vote"));
        }
        let last = meta.last_log_id;
        let check = move |state: &RaftState<TypeConfig>| check_last(last, state.local_committed());
        self.raft.with_raft_state(check).await.map_err(failed)??;
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
        let from = codec::vote_from_pb(request.from.as_ref()).map_err(bad)?;
        let to = codec::member_from_pb(request.to.as_ref()).map_err(bad)?;
        let last = codec::optional_log_id(request.last_log.as_ref()).map_err(bad)?;
        self.gate.check(&Envelope {
            cluster_id: &request.cluster_id,
            target: request.target.as_ref(),
            vote: from,
            is_leaders: true,
            positions: &[last],
        })?;
        let request = TransferLeaderRequest::new(from, to, last);
        let accepted = self.raft.handle_transfer_leader(request).await.map_err(failed)?;
        if let Err(error) = &accepted {
            tracing::debug!(%error, "leadership transfer refused");
        }
        Ok(Response::new(pb::TransferLeaderResponse { accepted: accepted.is_ok() }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::leader_id::Elected;
    use super::super::types::MemberId;
    use super::*;

    fn id(term: u64, index: u64) -> LogId {
        LogId { leader_id: Elected { term, member: MemberId::from(1u64) }, index }
    }

    #[test]
    fn a_snapshot_of_a_later_term_that_ends_before_what_is_committed_is_refused() {
        let committed = id(3, 10);
        for bad in [id(4, 0), id(4, 10)] {
            assert!(check_last(Some(bad), Some(&committed)).is_err(), "{bad}");
        }
        // An older one is not installed, which openraft sees itself.
        for good in [Some(id(4, 11)), Some(id(3, 10)), Some(id(3, 9)), None] {
            assert!(check_last(good, Some(&committed)).is_ok(), "{good:?}");
        }
        assert!(check_last(Some(id(4, 0)), None).is_ok());
    }

    #[tokio::test]
    async fn a_snapshot_that_pauses_or_trickles_is_given_up() {
        use pb::snapshot_chunk::Part;
        let patience = Duration::from_millis(20);
        let data = |bytes: &'static [u8]| {
            let part = Some(Part::Data(Bytes::from_static(bytes)));
            Ok(pb::SnapshotChunk { part })
        };
        let whole = futures::stream::iter([data(b"ab"), data(b"c")]);
        assert_eq!(receive(whole, 3, patience).await.expect("in time"), "abc");
        let pause = futures::stream::iter([data(b"ab")]).chain(futures::stream::pending());
        let trickle = futures::stream::unfold((), |()| async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((data(b"a"), ()))
        });
        let slow = [
            receive(pause, 3, patience).await,
            receive(Box::pin(trickle), 1 << 20, patience).await,
        ];
        for late in slow {
            let code = late.expect_err("too slow").code();
            assert_eq!(code, tonic::Code::DeadlineExceeded);
        }
        assert_eq!(time_for(RATE_MIN as usize * 3), Duration::from_secs(3));
    }
}
