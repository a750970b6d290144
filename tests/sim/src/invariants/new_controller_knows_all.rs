//! A controller that takes over knows all that was committed: reading a snapshot and the rest of the
//! log gives the image that the former controller had.
//! Source: I10, I11 (leader completeness and equal state machines).

use super::{Committed, Invariant, View};
use crate::event::Fact;
use types::MetadataVersion;

#[derive(Default)]
pub struct NewControllerKnowsAll {
    committed: MetadataVersion,
}

impl Invariant for NewControllerKnowsAll {
    fn name(&self) -> &'static str {
        "new controller knows all"
    }

    fn observe(&mut self, fact: &Fact, view: &View<'_>, _: &Committed) -> Result<(), String> {
        match fact {
            Fact::Committed(version) => self.committed = self.committed.max(*version),
            Fact::TookOver(version) if *version != self.committed => {
                let committed = self.committed;
                return Err(format!("it has version {version}, {committed} was committed"));
            }
            Fact::TookOver(version) if view.images.last() != Some(view.image) => {
                return Err(format!("its image at version {version} differs from the former one"));
            }
            Fact::TookOver(_)
            | Fact::Applied { .. }
            | Fact::LeaderBegan { .. }
            | Fact::Watermark { .. }
            | Fact::Acked { .. }
            | Fact::Shortened { .. } => {}
        }
        Ok(())
    }
}
