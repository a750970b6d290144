//! The metadata as applied on this node: the image, and the last batches for those who follow it.
//!
//! Promises: batches are kept in order with versions rising by one; whoever asks for what comes
//! after a version gets either exactly the next batches or a whole image; the version that is
//! watched never goes back, except never: a snapshot only ever moves it forward.

use crate::rules;
use metadata::Image;
use rpc::controller::MetadataBatch;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;
use types::MetadataVersion;

/// What follows a version.
pub enum Next {
    /// The follower is up to date, or ahead of this node: wait.
    Nothing,
    /// The batches after it, in order; at least one.
    Batches(Vec<Arc<MetadataBatch>>),
    /// It is too far behind: start again from this image.
    Image(Arc<Image>),
}

struct State {
    image: Arc<Image>,
    batches: VecDeque<Arc<MetadataBatch>>,
}

/// The applied metadata. Cheap to clone.
#[derive(Clone)]
pub struct View {
    state: Arc<Mutex<State>>,
    batches_max: usize,
    version: Arc<watch::Sender<MetadataVersion>>,
}

impl View {
    /// Starts from an image and keeps at most `batches_max` batches.
    pub fn new(image: Image, batches_max: usize) -> View {
        let version = Arc::new(watch::Sender::new(image.version()));
        let state = State { image: Arc::new(image), batches: VecDeque::new() };
        View { state: Arc::new(Mutex::new(state)), batches_max, version }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("view lock")
    }

    pub fn image(&self) -> Arc<Image> {
        self.lock().image.clone()
    }

    pub fn version(&self) -> MetadataVersion {
        *self.version.borrow()
    }

    /// Follows the version.
    pub fn watch(&self) -> watch::Receiver<MetadataVersion> {
        self.version.subscribe()
    }

    /// Applies a batch if it was decided on the image's own version; returns whether it was.
    pub fn apply(&self, base: MetadataVersion, batch: MetadataBatch) -> Result<bool, String> {
        let version = {
            let mut state = self.lock();
            if state.image.version() != base {
                return Ok(false);
            }
            rules::apply(Arc::make_mut(&mut state.image), base, &batch)?;
            let version = state.image.version();
            assert_eq!(version.0, base.0 + 1, "a batch raises the version by one");
            state.batches.push_back(Arc::new(MetadataBatch { version: version.0, ..batch }));
            while state.batches.len() > self.batches_max {
                state.batches.pop_front();
            }
            version
        };
        self.version.send_replace(version);
        Ok(true)
    }

    /// Puts another image in the place of the one there, as a snapshot brings it.
    pub fn replace(&self, image: Image) {
        let version = image.version();
        {
            let mut state = self.lock();
            state.batches.clear();
            state.image = Arc::new(image);
        }
        self.version.send_replace(version);
    }

    /// At most `max` batches after a version.
    pub fn after(&self, version: MetadataVersion, max: usize) -> Next {
        let state = self.lock();
        if version >= state.image.version() {
            return Next::Nothing;
        }
        match state.batches.front() {
            // The oldest kept batch leads from the version before its own.
            Some(oldest) if oldest.version <= version.0 + 1 => {
                let skip = (version.0 + 1 - oldest.version) as usize;
                Next::Batches(state.batches.iter().skip(skip).take(max).cloned().collect())
            }
            Some(_) | None => Next::Image(state.image.clone()),
        }
    }
}
