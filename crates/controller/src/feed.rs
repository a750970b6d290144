//! The stream of metadata to one follower.
//!
//! Promises: batches in order, versions rising by one from the follower's own; where the kept
//! batches do not reach back that far, first a snapshot in parts, the last of which says so. A
//! follower ahead of this node waits until the node has caught up.

use crate::rules;
use crate::view::{Next, View};
use futures::Stream;
use rpc::controller as pb;
use rpc::controller::metadata_update::Update;
use std::collections::VecDeque;
use tokio::sync::watch;
use tonic::Status;
use types::MetadataVersion;

/// Batches taken from the view at a time.
const BATCHES_PER_READ: usize = 64;
/// Records in one part of a snapshot.
const RECORDS_PER_PART: usize = 1000;

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
                let mut parts: VecDeque<pb::SnapshotPart> = records
                    .chunks(RECORDS_PER_PART)
                    .map(|chunk| pb::SnapshotPart {
                        version: version.0,
                        records: chunk.to_vec(),
                        last: false,
                    })
                    .collect();
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
