//! A group of consumers: members come and go, read from what is committed, and commit.

use super::reader::take;
use super::{PAUSE, Phase, TOPIC, Workload};
use client::{Consumer, ConsumerOptions, OffsetReset};
use std::collections::BTreeMap;
use std::time::Duration;
use types::{Offset, TopicPartition};

const GROUP: &str = "readers";
/// How often the committed offsets are looked at.
const LOOK: Duration = Duration::from_millis(700);

fn consumer(load: &Workload) -> Consumer {
    let options = ConsumerOptions {
        group: Some(GROUP.to_owned()),
        reset: OffsetReset::Earliest,
        auto_commit: false,
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_millis(500),
        rebalance_timeout: Duration::from_secs(6),
        ..ConsumerOptions::default()
    };
    let mut consumer = Consumer::new(load.client(), options);
    consumer.subscribe(&[TOPIC.to_owned()]).expect("there is a group");
    consumer
}

/// Where a member is, within one assignment.
struct Session {
    epoch: u64,
    next: BTreeMap<TopicPartition, Offset>,
}

/// Reads and commits for a while, or to the end where everything is to be read; ends early at an
/// error.
async fn live(load: &Workload, consumer: &mut Consumer) {
    let mut session = Session { epoch: 0, next: BTreeMap::new() };
    let mut polls = load.env.rng.below(100) + 10;
    while polls > 0 {
        polls -= u64::from(load.phase() != Phase::Prove);
        let records = match consumer.poll(Duration::from_millis(300)).await {
            Ok(records) => records,
            Err(error) => {
                tracing::debug!(%error, "a member has not read");
                return tokio::time::sleep(PAUSE).await;
            }
        };
        if consumer.assignment_epoch() != session.epoch {
            session = Session { epoch: consumer.assignment_epoch(), next: BTreeMap::new() };
        }
        for record in &records {
            let next = session.next.insert(record.partition.clone(), record.offset.plus(1));
            take(&mut load.history(), record, next);
        }
        if load.env.rng.below(3) == 0 && consumer.generation().is_some() {
            let (before, taken) = (load.history().group.acked(), consumer.taken());
            match consumer.commit().await {
                Ok(()) => load.history().note_commit(&before, &taken),
                Err(error) => {
                    tracing::debug!(%error, "a member has not committed");
                    return tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// One member after another; some leave, some are gone without a word.
pub(super) async fn member(load: Workload) {
    loop {
        let mut consumer = consumer(&load);
        live(&load, &mut consumer).await;
        let client = consumer.client().clone();
        if load.env.rng.below(2) == 0 {
            let left = tokio::time::timeout(Duration::from_secs(2), consumer.close()).await;
            tracing::debug!(?left, "a member leaves");
        } else {
            drop(consumer);
        }
        client.close().await;
    }
}

/// Looks at the group's offsets again and again.
pub(super) async fn observe(load: Workload) {
    let client = load.client();
    loop {
        let before = load.history().group.acked();
        match client.committed_offsets(GROUP).await {
            Ok(offsets) => {
                let found = offsets.into_iter().map(|one| (one.partition, one.offset)).collect();
                load.history().note_committed(&before, &found);
            }
            Err(error) => tracing::debug!(%error, "committed offsets are not told"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The group gets to the end of all partitions and commits that.
pub(super) async fn prove(load: &Workload) {
    debug_assert!(load.phase() == Phase::Prove);
    while !load.history().is_all_committed() {
        tokio::time::sleep(PAUSE).await;
    }
}
