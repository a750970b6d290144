//! Raft's log and vote, as openraft wants them, on the journal.
//!
//! Promises (openraft's `testing::log::Suite` runs on it): an entry is readable once `append` has
//! returned; appends complete in order, after their sync; a vote is synced before `save_vote`
//! returns.

use super::codec::{self, CodecError};
use super::inspection::EntryFacts;
use super::types::{Entry, LogId, TypeConfig, Vote};
use crate::store::journal::{Durable, Journal, OnDurable};
use bytes::Bytes;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use rpc::raft as pb;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, Range, RangeBounds};
use tokio::sync::oneshot;

/// Most bytes of entries given to one replication read: bounds an append request.
const READ_BYTES_MAX: usize = 1 << 20;

/// The log of one member. Cheap to clone.
#[derive(Clone)]
pub struct LogStore {
    journal: Journal,
}

impl LogStore {
    pub fn new(journal: Journal) -> LogStore {
        LogStore { journal }
    }

    /// Whether nothing was ever logged here (a vote may have been given).
    pub fn is_empty(&self) -> bool {
        self.journal.range().is_empty() && self.journal.state().purged_index.is_none()
    }

    pub(super) fn range(&self) -> Range<u64> {
        self.journal.range()
    }

    pub(super) fn entries(&self, range: Range<u64>) -> io::Result<Vec<EntryFacts>> {
        let facts = |bytes: Bytes| {
            let id = codec::entry_from_bytes(&bytes)?.log_id;
            let (term, leader) = (id.leader_id.term, id.leader_id.member);
            Ok(EntryFacts { index: id.index, term, leader, bytes })
        };
        self.journal.read(range)?.into_iter().map(facts).collect()
    }

    async fn durable(&self, give: impl FnOnce(OnDurable)) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        give(Box::new(move |result| drop(sender.send(result))));
        let lost = |_| Err(io::Error::other("the raft journal ended"));
        receiver.await.unwrap_or_else(lost)
    }

    async fn update(&self, change: impl FnOnce(&mut Durable)) -> io::Result<()> {
        self.durable(|on_durable| self.journal.update(change, Some(on_durable))).await
    }
}

fn read_log_id(bytes: &Bytes) -> Result<Option<LogId>, CodecError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    codec::log_id_from_pb(&codec::unstore::<pb::LogId>(bytes, "log id")?).map(Some)
}

fn write_log_id(id: &LogId) -> Bytes {
    codec::store(&codec::log_id_to_pb(id))
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let entries = self.journal.read(start..end.max(start))?;
        let entries = entries.iter().map(codec::entry_from_bytes);
        Ok(entries.collect::<Result<Vec<_>, _>>()?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        let bytes = self.journal.state().vote;
        if bytes.is_empty() {
            return Ok(None);
        }
        let ballot = codec::unstore::<pb::Ballot>(&bytes, "vote")?;
        Ok(Some(codec::vote_from_pb(Some(&ballot))?))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let mut size = 0;
        let mut entries = Vec::new();
        for index in start..end {
            let Some(bytes) = self.journal.read(index..index + 1)?.pop() else { break };
            size += bytes.len();
            if size > READ_BYTES_MAX && !entries.is_empty() {
                break;
            }
            entries.push(codec::entry_from_bytes(&bytes)?);
        }
        Ok(entries)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogStore;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let last_purged_log_id = read_log_id(&self.journal.state().purged)?;
        let range = self.journal.range();
        let last = match range.end.checked_sub(1) {
            Some(last) if !range.is_empty() => self.journal.read(last..last + 1)?.pop(),
            _ => None,
        };
        let last_log_id = match last {
            Some(bytes) => Some(codec::entry_from_bytes(&bytes)?.log_id),
            None => last_purged_log_id,
        };
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogStore {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let bytes = codec::store(&codec::vote_to_pb(vote));
        self.update(|state| state.vote = bytes).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let bytes = committed.as_ref().map(write_log_id).unwrap_or_default();
        self.journal.update(|state| state.committed = bytes, None);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let committed = read_log_id(&self.journal.state().committed)?;
        // It goes to the disk with another write than the entries, so it may be ahead of them.
        let last = self.get_log_state().await?.last_log_id;
        Ok(committed.filter(|committed| Some(committed.index) <= last.map(|last| last.index)))
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let encode = |entry: Entry| (entry.log_id.index, codec::entry_to_bytes(&entry));
        let entries: Vec<(u64, Bytes)> = entries.into_iter().map(encode).collect();
        self.journal.append(entries, Box::new(move |result| callback.io_completed(result)));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let from = last_log_id.map_or(0, |last| last.index + 1);
        self.durable(|on_durable| self.journal.truncate(from, on_durable)).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let bytes = write_log_id(&upto);
        let purge = |state: &mut Durable| {
            state.purged_index = Some(upto.index);
            state.purged = bytes;
        };
        // In its turn, but not waited for: Raft would answer no heartbeat meanwhile. What comes back
        // if the power goes is in the snapshot, too. A failed write fails whatever comes after it.
        self.journal.update(purge, Some(Box::new(drop)));
        Ok(())
    }
}
