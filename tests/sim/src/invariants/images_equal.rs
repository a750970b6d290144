//! Brokers' metadata images are equal to the controller's at equal versions.
//! Source: I10.

use super::{Committed, Invariant, View};
use crate::event::Fact;

pub struct ImagesEqual;

impl Invariant for ImagesEqual {
    fn name(&self) -> &'static str {
        "images equal at equal versions"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        let Fact::Applied { node, .. } = fact else { return Ok(()) };
        let Some(process) = &view.nodes[node].process else { return Ok(()) };
        // The newest of several batches applied at once stands for all of them.
        let version = process.image.version();
        if view.images.get(version.0 as usize) == Some(&process.image) {
            return Ok(());
        }
        Err(format!("{node} differs from the controller at version {version}"))
    }
}
