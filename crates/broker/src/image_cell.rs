//! The broker's view of the cluster: the newest metadata image, whole and immutable.
//!
//! Promises:
//! - [`ImageCell::load`] never blocks and gives one consistent version;
//! - versions only rise;
//! - a version is *published* when readers see it, and *applied* when the partitions of this broker
//!   have followed it too; waiters wait for the latter.
//!
//! Does not: build images. [`crate::metadata_follower`] is the only writer.

use arc_swap::ArcSwap;
use metadata::Image;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use types::MetadataVersion;

/// Holds the newest image.
pub struct ImageCell {
    image: ArcSwap<Image>,
    applied: watch::Sender<MetadataVersion>,
}

impl ImageCell {
    /// A cell with an empty image.
    pub fn new() -> ImageCell {
        let image = ArcSwap::from_pointee(Image::default());
        ImageCell { image, applied: watch::Sender::new(MetadataVersion(0)) }
    }

    /// The newest image.
    pub fn load(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// The newest version that the partitions have followed.
    pub fn applied(&self) -> MetadataVersion {
        *self.applied.borrow()
    }

    /// Tells of each version applied (only the last of several is seen).
    pub fn watch(&self) -> watch::Receiver<MetadataVersion> {
        self.applied.subscribe()
    }

    /// Makes `image` the newest. Only the metadata follower calls this.
    pub fn publish(&self, image: Arc<Image>) {
        self.image.store(image);
    }

    /// Says that the partitions have followed the image of `version`. Only the metadata follower
    /// calls this.
    pub fn mark_applied(&self, version: MetadataVersion) {
        self.applied.send_replace(version);
    }

    /// Waits until `version`, or a later one, is applied; false when `timeout` passes before.
    pub async fn wait_for(&self, version: MetadataVersion, timeout: Duration) -> bool {
        let mut watch = self.watch();
        let reached = watch.wait_for(|applied| *applied >= version);
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }
}

impl Default for ImageCell {
    fn default() -> Self {
        ImageCell::new()
    }
}
