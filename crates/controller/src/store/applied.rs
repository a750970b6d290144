//! The applied metadata, kept in sled so that a restart need not read a snapshot and the whole log.
//!
//! Nothing rests on it: sled 0.34 does not sync, so after a power cut it may be behind, or
//! unreadable. Then it is set aside and rebuilt from the snapshot and the log.
//!
//! Layout, one tree; every value at most [`VALUE_BYTES_MAX`] (longer ones would go to files that
//! sled never syncs), so pieces and batches are cut into parts:
//!
//! | key                                    | value                                             |
//! |----------------------------------------|---------------------------------------------------|
//! | `m`                                    | where the state stands, the caller's bytes        |
//! | `i`, piece (4, BE), part (4, BE)       | a piece of the image at some version              |
//! | `b`, version (8, BE), part (4, BE)     | the batch that leads to this version              |
//!
//! One writer, a thread; everything that belongs to one applied entry goes in one atomic batch.

use bytes::{Bytes, BytesMut};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Longest value.
pub const VALUE_BYTES_MAX: usize = 96 << 10;
/// sled's cache: the metadata of a large cluster is far smaller in use than its log.
const CACHE_BYTES: u64 = 16 << 20;
/// Writes that may wait for the thread; more, and the state is given up until the next start.
const QUEUE_MAX: usize = 4096;

/// What was found at the start.
pub struct Kept {
    pub meta: Bytes,
    /// The pieces of the image, its own position first.
    pub image: Vec<Bytes>,
    /// The batches after it, in order.
    pub batches: Vec<Bytes>,
}

enum Write {
    Applied { meta: Bytes, batch: Option<(u64, Bytes)> },
    Reset { image: Vec<Bytes>, upto: u64, meta: Option<Bytes> },
}

/// The kept state. Cheap to clone.
#[derive(Clone)]
pub struct AppliedStore {
    db: sled::Db,
    sender: SyncSender<Write>,
    /// The state has a gap or cannot be written: nothing more is written.
    given_up: Arc<AtomicBool>,
}

impl AppliedStore {
    /// Opens the state below a directory; sets an unreadable one aside. `None` where even a new
    /// one cannot be made: the controller works without.
    pub fn open(directory: &Path) -> Option<AppliedStore> {
        let path = directory.join("applied");
        let db = open_db(&path).or_else(|error| {
            tracing::warn!(%error, "applied metadata is unreadable; set aside, to be rebuilt");
            set_aside(&path);
            open_db(&path)
        });
        let db = match db {
            Ok(db) => db,
            Err(error) => {
                tracing::warn!(%error, "applied metadata is not kept");
                return None;
            }
        };
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let given_up = Arc::new(AtomicBool::new(false));
        let (writer, flag) = (db.clone(), given_up.clone());
        env::tasks::thread("applied-metadata", move || run(&writer, &receiver, &flag));
        Some(AppliedStore { db, sender, given_up })
    }

    /// What is there, if it is whole.
    pub fn load(&self) -> Option<Kept> {
        let meta = Bytes::copy_from_slice(&self.db.get(b"m").ok()??);
        let image = self.values(b"i", 4)?;
        let batches = self.values(b"b", 8)?;
        let follow = batches.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0);
        let whole = image.iter().map(|(number, _)| *number).eq(0..image.len() as u64);
        (follow && whole).then(|| Kept {
            meta,
            image: image.into_iter().map(|(_, bytes)| bytes).collect(),
            batches: batches.into_iter().map(|(_, bytes)| bytes).collect(),
        })
    }

    /// The values under a prefix, joined from their parts, by number.
    fn values(&self, prefix: &[u8], width: usize) -> Option<Vec<(u64, Bytes)>> {
        let mut values: Vec<(u64, BytesMut)> = Vec::new();
        for pair in self.db.scan_prefix(prefix) {
            let (key, value) = pair.ok()?;
            let digits = key.get(1..1 + width)?;
            let number = digits.iter().fold(0, |sum, digit| (sum << 8) | u64::from(*digit));
            match values.last_mut() {
                Some((last, bytes)) if *last == number => bytes.extend_from_slice(&value),
                Some(_) | None => values.push((number, BytesMut::from(&value[..]))),
            }
        }
        Some(values.into_iter().map(|(number, bytes)| (number, bytes.freeze())).collect())
    }

    /// Notes one applied entry: where the state stands now, and the batch if it was one.
    pub fn applied(&self, meta: Bytes, batch: Option<(u64, Bytes)>) {
        self.send(Write::Applied { meta, batch });
    }

    /// Replaces everything by an image.
    pub fn reset(&self, image: &[Bytes]) {
        let meta = image.first().cloned();
        self.send(Write::Reset { image: image.to_vec(), upto: u64::MAX, meta });
    }

    /// Replaces the image by a later one, and drops the batches that it holds.
    pub fn compact(&self, version: u64, image: &[Bytes]) {
        self.send(Write::Reset { image: image.to_vec(), upto: version, meta: None });
    }

    fn send(&self, write: Write) {
        if self.given_up.load(Ordering::Relaxed) {
            return;
        }
        if self.sender.try_send(write).is_err() {
            tracing::warn!("applied metadata cannot keep up; it is rebuilt at the next start");
            self.given_up.store(true, Ordering::Relaxed);
        }
    }
}

fn open_db(path: &Path) -> sled::Result<sled::Db> {
    sled::Config::default().path(path).cache_capacity(CACHE_BYTES).open()
}

#[allow(clippy::disallowed_methods, reason = "sled opens real files, beside the seam")]
fn set_aside(path: &PathBuf) {
    let aside = path.with_extension("damaged");
    // The one set aside before has been seen, or never will be.
    drop(std::fs::remove_dir_all(&aside));
    if let Err(error) = std::fs::rename(path, &aside) {
        tracing::warn!(%error, "applied metadata cannot be set aside");
    }
}

fn run(db: &sled::Db, receiver: &Receiver<Write>, given_up: &AtomicBool) {
    while let Ok(write) = receiver.recv() {
        let result = match write {
            Write::Applied { meta, batch } => apply(db, meta, batch),
            Write::Reset { image, upto, meta } => replace(db, &image, upto, meta),
        };
        if let Err(error) = result {
            tracing::warn!(%error, "applied metadata is given up; it is rebuilt at the next start");
            given_up.store(true, Ordering::Relaxed);
            return;
        }
    }
}

fn put(batch: &mut sled::Batch, prefix: &[u8], value: &Bytes) {
    // An empty value has one part too, so that it is not taken for a missing one.
    let parts = value.chunks(VALUE_BYTES_MAX).chain(value.is_empty().then_some(&[][..]));
    for (number, part) in (0u32..).zip(parts) {
        batch.insert([prefix, &number.to_be_bytes()].concat(), part);
    }
}

fn apply(db: &sled::Db, meta: Bytes, applied: Option<(u64, Bytes)>) -> sled::Result<()> {
    let mut batch = sled::Batch::default();
    batch.insert(b"m", &meta[..]);
    if let Some((version, bytes)) = applied {
        put(&mut batch, &[&b"b"[..], &version.to_be_bytes()].concat(), &bytes);
    }
    db.apply_batch(batch)
}

fn replace(db: &sled::Db, image: &[Bytes], upto: u64, meta: Option<Bytes>) -> sled::Result<()> {
    let mut batch = sled::Batch::default();
    for key in db.scan_prefix(b"i").keys() {
        batch.remove(key?);
    }
    let last = [&b"b"[..], &upto.to_be_bytes(), &u32::MAX.to_be_bytes()].concat();
    for key in db.range(b"b".to_vec()..=last).keys() {
        batch.remove(key?);
    }
    for (number, piece) in (0u32..).zip(image) {
        put(&mut batch, &[&b"i"[..], &number.to_be_bytes()].concat(), piece);
    }
    if let Some(meta) = meta {
        batch.insert(b"m", &meta[..]);
    }
    db.apply_batch(batch)
}
