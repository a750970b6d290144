//! The stream of metadata to one follower.
//!
//! Promises: batches in order, versions rising by one from the follower's own; where the kept
//! batches do not reach back that far, first a snapshot in parts, the last of which says so. A
//! follower ahead of this node waits until the node has caught up.

use crate::rules;
use crate::view::{Next, View};
use futures::Stream;
use prost::Message;
use rpc::controller as pb;
use rpc::controller::metadata_update::Update;
use rpc::metadata::Record;
use std::collections::VecDeque;
use tokio::sync::watch;
use tonic::Status;
use types::MetadataVersion;

/// Batches taken from the view at a time.
const BATCHES_PER_READ: usize = 64;
/// Most records in one part of a snapshot.
const RECORDS_PER_PART: usize = 1000;
/// A part takes no more records once it has so many bytes: what a message may have is far more.
const PART_BYTES: usize = 1 << 20;

struct Follower {
    view: View,
    versions: watch::Receiver<MetadataVersion>,
    /// What has been put in `waiting` so far.
    reached: MetadataVersion,
    waiting: VecDeque<Update>,
}

/// All updates after a version, without end.
pub fn follow(
    view: View,
    from: MetadataVersion,
) -> impl Stream<Item = Result<pb::MetadataUpdate, Status>> + Send {
    let versions = view.watch();
    let follower = Follower { view, versions, reached: from, waiting: VecDeque::new() };
    futures::stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(update) = follower.waiting.pop_front() {
                return Some((Ok(pb::MetadataUpdate { update: Some(update) }), follower));
            }
            follower.versions.mark_unchanged();
            follower.read();
            if follower.waiting.is_empty() {
                follower.versions.changed().await.ok()?;
            }
        }
    })
}

impl Follower {
    fn read(&mut self) {
        match self.view.after(self.reached, BATCHES_PER_READ) {
            Next::Nothing => {}
            Next::Batches(batches) => {
                for batch in batches {
                    assert_eq!(batch.version, self.reached.0 + 1, "batches follow one another");
                    self.reached = MetadataVersion(batch.version);
                    self.waiting.push_back(Update::Batch((*batch).clone()));
                }
            }
            Next::Image(image) => {
                let version = image.version();
                let records = rules::snapshot(&image);
                let mut parts = parts(version, records);
                if parts.is_empty() {
                    parts.push_back(pb::SnapshotPart { version: version.0, ..Default::default() });
                }
                if let Some(part) = parts.back_mut() {
                    part.last = true;
                }
                self.reached = version;
                self.waiting.extend(parts.into_iter().map(Update::Snapshot));
            }
        }
    }
}

/// Cuts a snapshot in parts; none says that it is the last.
fn parts(version: MetadataVersion, records: Vec<Record>) -> VecDeque<pb::SnapshotPart> {
    let mut parts: VecDeque<pb::SnapshotPart> = VecDeque::new();
    let mut bytes = PART_BYTES;
    for record in records {
        let is_full = parts.back().is_none_or(|part| part.records.len() == RECORDS_PER_PART);
        if is_full || bytes >= PART_BYTES {
            parts.push_back(pb::SnapshotPart { version: version.0, ..Default::default() });
            bytes = 0;
        }
        bytes += record.encoded_len();
        if let Some(part) = parts.back_mut() {
            part.records.push(record);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str) -> Record {
        Record::from(&metadata::Record::Cluster { cluster_id: name.to_owned() })
    }

    #[test]
    fn a_snapshot_is_cut_by_count_and_by_size_and_keeps_its_order() {
        let large = "x".repeat(PART_BYTES);
        let mut records: Vec<Record> = (0..2500).map(|n| record(&n.to_string())).collect();
        records.extend([record(&large), record("after"), record(&large)]);
        let parts = parts(MetadataVersion(3), records.clone());
        let sizes: Vec<usize> = parts.iter().map(|part| part.records.len()).collect();
        assert_eq!(sizes, [1000, 1000, 501, 2]);
        let joined: Vec<Record> = parts.into_iter().flat_map(|part| part.records).collect();
        assert_eq!(joined, records);
    }
}
