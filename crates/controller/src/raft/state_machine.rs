//! The state machine: applied metadata, and its snapshots.
//!
//! Promises: a batch is applied only on the version it was decided on, on every node alike;
//! nothing rests on what is applied: it is rebuilt from the last snapshot and the log. A snapshot
//! is reported only when its file is synced, so the log is never purged behind anything less.

use super::codec::{self, CodecError};
use super::types::{
    Applied, Entry, LogId, Proposal, Snapshot, SnapshotMeta, StoredMembership, TypeConfig,
};
use crate::rules;
use crate::store::applied::AppliedStore;
use crate::store::snapshot_files::{self, SnapshotFiles};
use crate::view::View;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use metadata::Image;
use openraft::EntryPayload;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use prost::Message;
use rpc::controller::{MetadataBatch, SnapshotPart};
use rpc::raft as pb;
use std::io;
use std::sync::Arc;
use types::MetadataVersion;

/// Records in one piece of a snapshot.
const RECORDS_PER_PIECE: usize = 512;

/// What is applied, beside the image.
#[derive(Clone, Default)]
pub struct Position {
    pub last_applied: Option<LogId>,
    pub membership: StoredMembership,
}

/// Applies what Raft commits.
pub struct StateMachine {
    view: View,
    position: Position,
    snapshots: SnapshotFiles,
    store: Option<AppliedStore>,
}

/// Where an image stands, as the first piece of a snapshot.
fn position_piece(position: &Position, version: MetadataVersion) -> Bytes {
    codec::store(&pb::SnapshotMeta {
        last_applied: position.last_applied.as_ref().map(codec::log_id_to_pb),
        membership_at: position.membership.log_id().as_ref().map(codec::log_id_to_pb),
        membership: Some(codec::membership_to_pb(position.membership.membership())),
        version: version.0,
    })
}

/// An image as the pieces of a snapshot.
fn pieces(position: &Position, image: &Image) -> Vec<Bytes> {
    let mut pieces = vec![position_piece(position, image.version())];
    let records = rules::snapshot(image);
    for chunk in records.chunks(RECORDS_PER_PIECE) {
        let version = image.version().0;
        let part = SnapshotPart { version, records: chunk.to_vec(), last: false };
        pieces.push(codec::store(&part));
    }
    pieces
}

/// The content of a snapshot's file, read back.
fn parse(content: &Bytes) -> Result<(Position, Image), CodecError> {
    let unreadable = CodecError("snapshot");
    let pieces = snapshot_files::unpack(content).ok_or(unreadable.clone())?;
    let (meta, parts) = pieces.split_first().ok_or(unreadable.clone())?;
    let meta: pb::SnapshotMeta = codec::unstore(meta, "snapshot")?;
    let last_applied = codec::optional_log_id(meta.last_applied.as_ref())?;
    let at = meta.membership_at.as_ref();
    let membership = codec::stored_membership(at, meta.membership.as_ref())?;
    let mut records = Vec::new();
    for part in parts {
        records.extend(codec::unstore::<SnapshotPart>(part, "snapshot")?.records);
    }
    let image = rules::image_of(MetadataVersion(meta.version), &records).map_err(|_| unreadable)?;
    Ok((Position { last_applied, membership }, image))
}

/// What a snapshot says it covers.
pub fn snapshot_meta(content: &Bytes) -> Result<SnapshotMeta, CodecError> {
    parse(content).map(|(position, _)| meta_of(&position))
}

fn meta_of(position: &Position) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: position.last_applied,
        last_membership: position.membership.clone(),
    }
}

impl StateMachine {
    /// Starts from the applied state kept in sled where it is at hand and not behind the newest
    /// snapshot, from that snapshot otherwise.
    pub fn open(
        snapshots: SnapshotFiles,
        mut store: Option<AppliedStore>,
        batches_max: usize,
    ) -> io::Result<StateMachine> {
        let snapshot = snapshots.current()?.map(|content| parse(&content)).transpose()?;
        let (position, image) = snapshot.unwrap_or_default();
        let kept = store.as_mut().and_then(|store| load(store, &position));
        let (position, image) = match kept {
            Some(kept) => kept,
            None => {
                if let Some(store) = &store {
                    store.reset(&pieces(&position, &image));
                }
                (position, image)
            }
        };
        Ok(StateMachine { view: View::new(image, batches_max), position, snapshots, store })
    }

    pub fn view(&self) -> View {
        self.view.clone()
    }

    fn apply_entry(&mut self, entry: &Entry) -> io::Result<Applied> {
        let mut batch = None;
        let applied = match &entry.payload {
            EntryPayload::Blank => Applied::Nothing,
            EntryPayload::Membership(membership) => {
                self.position.membership =
                    StoredMembership::new(Some(entry.log_id), membership.clone());
                Applied::Nothing
            }
            EntryPayload::Normal(Proposal { base, records }) => {
                let decoded = MetadataBatch::decode(records.clone())
                    .map_err(|_| CodecError("metadata batch"))?;
                if self.view.apply(*base, decoded).map_err(io::Error::other)? {
                    batch = Some(records);
                    Applied::Version(self.view.version())
                } else {
                    Applied::Skipped
                }
            }
        };
        self.position.last_applied = Some(entry.log_id);
        if let Some(store) = &self.store {
            let version = self.view.version();
            let meta = position_piece(&self.position, version);
            store.applied(meta, batch.map(|batch| (version.0, batch.clone())));
        }
        Ok(applied)
    }
}

/// The state kept in sled, unless it is unreadable or older than the snapshot.
fn load(store: &mut AppliedStore, snapshot: &Position) -> Option<(Position, Image)> {
    let kept = store.load()?;
    let meta: pb::SnapshotMeta = codec::unstore(&kept.meta, "applied state").ok()?;
    let (_, mut image) = parse(&snapshot_files::pack(&kept.image)).ok()?;
    for batch in kept.batches {
        let batch = MetadataBatch::decode(batch).ok()?;
        let base = image.version();
        rules::apply(&mut image, base, &batch).ok()?;
    }
    let last_applied = codec::optional_log_id(meta.last_applied.as_ref()).ok()?;
    let at = meta.membership_at.as_ref();
    let membership = codec::stored_membership(at, meta.membership.as_ref()).ok()?;
    let usable = image.version().0 >= meta.version && last_applied >= snapshot.last_applied;
    usable.then_some((Position { last_applied, membership }, image))
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.position.last_applied, self.position.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin + Send,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let applied = self.apply_entry(&entry)?;
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder {
            position: self.position.clone(),
            image: self.view.image(),
            snapshots: self.snapshots.clone(),
            store: self.store.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMeta,
        content: Bytes,
    ) -> Result<(), io::Error> {
        let (position, image) = parse(&content)?;
        save(&self.snapshots, &position, content).await?;
        if let Some(store) = &self.store {
            store.reset(&pieces(&position, &image));
        }
        self.position = position;
        self.view.replace(image);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let snapshots = self.snapshots.clone();
        let Some(content) = env::tasks::blocking(move || snapshots.current()).await? else {
            return Ok(None);
        };
        let (position, _) = parse(&content)?;
        Ok(Some(Snapshot { meta: meta_of(&position), snapshot: content }))
    }
}

async fn save(snapshots: &SnapshotFiles, position: &Position, content: Bytes) -> io::Result<()> {
    let snapshots = snapshots.clone();
    let index = position.last_applied.map_or(0, |id| id.index);
    env::tasks::blocking(move || snapshots.save(index, &content)).await
}

/// Makes a snapshot of the image as it was when the builder was made.
pub struct Builder {
    position: Position,
    image: Arc<Image>,
    snapshots: SnapshotFiles,
    store: Option<AppliedStore>,
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let position = self.position.clone();
        let image = self.image.clone();
        let build = move || {
            let pieces = pieces(&position, &image);
            (snapshot_files::pack(&pieces), pieces)
        };
        let (content, pieces) = env::tasks::blocking(build).await;
        save(&self.snapshots, &self.position, content.clone()).await?;
        if let Some(store) = &self.store {
            store.compact(self.image.version().0, &pieces);
        }
        Ok(Snapshot { meta: meta_of(&self.position), snapshot: content })
    }
}
