//! Clients that only ask: for the ends of partitions, and for the positions of groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::Client;
use client::Isolation;
use client::admin::OffsetSpec;

use super::shared::{Phase, Shared};
use crate::history::{ClientNumber, Committed, Event, Watermark, WatermarkSource};

/// How often ends are asked for.
const ENDS_EVERY: Duration = Duration::from_millis(100);
/// How often the positions of a group are asked for.
const GROUPS_EVERY: Duration = Duration::from_millis(500);

/// What is asked, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The ends of all partitions.
    Ends,
    /// The positions of this group.
    Positions(String),
}

struct Watcher {
    shared: Arc<Shared>,
    number: ClientNumber,
    client: Client,
}

/// Asks until the phase is `Done`.
pub async fn run(shared: Arc<Shared>, number: ClientNumber, question: Question) {
    let client = match shared.client(number) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, client = %number, "client not started");
            return;
        }
    };
    let watcher = Watcher { shared: shared.clone(), number, client: client.clone() };
    tokio::select! {
        () = watcher.ask(&question) => {}
        () = shared.reached(Phase::Done) => {}
    }
    client.close().await;
}

impl Watcher {
    async fn ask(&self, question: &Question) {
        loop {
            match question {
                Question::Ends => {
                    self.ask_ends().await;
                    tokio::time::sleep(ENDS_EVERY).await;
                }
                Question::Positions(group) => {
                    self.ask_positions(group).await;
                    tokio::time::sleep(GROUPS_EVERY).await;
                }
            }
        }
    }

    async fn ask_ends(&self) {
        let all = self.shared.partitions.iter().map(|of| (of.clone(), OffsetSpec::Latest));
        let all: Vec<_> = all.collect();
        let began = self.shared.now();
        let found = self.client.list_offsets(&all, Isolation::ReadUncommitted).await;
        let ended = self.shared.now();
        // A partition without an answer tells nothing; the next question will.
        for (partition, found) in found.into_iter().flatten() {
            let Ok(found) = found else { continue };
            let (reader, end) = (self.number, found.offset.0);
            let source = WatermarkSource::ListOffsets;
            let watermark = Watermark { reader, partition, began, ended, end, source };
            self.shared.sink.put(Event::Watermark(watermark)).await;
        }
    }

    async fn ask_positions(&self, group: &str) {
        let began = self.shared.now();
        let Ok(offsets) = self.client.committed_offsets(group).await else { return };
        let ended = self.shared.now();
        let offsets = offsets.into_iter().map(|offset| (offset.partition, offset.offset.0));
        let offsets: BTreeMap<_, _> = offsets.filter(|(_, offset)| *offset >= 0).collect();
        for partition in &self.shared.partitions {
            let committed = Committed {
                group: group.to_owned(),
                reader: self.number,
                partition: partition.clone(),
                offset: offsets.get(partition).copied(),
                began,
                ended,
            };
            self.shared.sink.put(Event::Committed(committed)).await;
        }
    }
}
