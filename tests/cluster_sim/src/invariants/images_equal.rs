//! I10: metadata of one version is the same on every controller and broker, for ever.

use super::Invariant;
use crate::counters::Counters;
use crate::look::Look;
use metadata::Image;
use std::collections::BTreeMap;
use std::sync::Arc;
use types::MetadataVersion;

#[derive(Default)]
pub struct ImagesEqual {
    digests: BTreeMap<MetadataVersion, u64>,
    /// Images that were looked at: the last of each place.
    seen: BTreeMap<(usize, usize), Arc<Image>>,
}

impl Invariant for ImagesEqual {
    fn check(&mut self, look: &Look, _: &mut Counters) -> Result<(), String> {
        for node in &look.nodes {
            for (which, image) in node.images.iter().enumerate() {
                let before = self.seen.insert((node.host, which), image.clone());
                if before.is_some_and(|before| Arc::ptr_eq(&before, image)) {
                    continue;
                }
                let digest = image.digest();
                let known = *self.digests.entry(image.version()).or_insert(digest);
                if known != digest {
                    let version = image.version();
                    return Err(format!(
                        "{} has other metadata of version {version} than another node (I10)",
                        node.name()
                    ));
                }
            }
        }
        Ok(())
    }
}
