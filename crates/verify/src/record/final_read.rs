//! Reads everything once the load has ended: what is there is there, the rest is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use client::admin::OffsetSpec;
use client::{ClientError, Consumer, Isolation, OffsetReset};
use types::TopicPartition;

use super::shared::Shared;
use crate::history::{ClientNumber, Event, FinalRead, Purpose, Read, ReadError};

const POLL: Duration = Duration::from_millis(200);
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Reads each partition from its start to its end, for at most `time` without news. Returns
/// whether it came to all ends.
pub async fn run(
    shared: &Shared,
    number: ClientNumber,
    ends: &BTreeMap<TopicPartition, i64>,
    time: Duration,
) -> Result<bool, ClientError> {
    let client = shared.client(number)?;
    let all: Vec<_> = ends.keys().map(|of| (of.clone(), OffsetSpec::Earliest)).collect();
    let mut starts = BTreeMap::new();
    for (of, found) in client.list_offsets(&all, Isolation::ReadUncommitted).await? {
        starts.insert(of, found?.offset.0);
    }
    let mut options = shared.settings.consumer.clone();
    options.group = None;
    options.reset = OffsetReset::None;
    let mut consumer = Consumer::new(client.clone(), options);
    consumer.assign(&all);
    let mut positions = starts.clone();
    let mut quiet_until = shared.env.clock.now() + time;
    let open = |positions: &BTreeMap<TopicPartition, i64>| {
        ends.iter().any(|(of, end)| positions.get(of).is_none_or(|position| position < end))
    };
    while open(&positions) && shared.env.clock.now() < quiet_until {
        match consumer.poll(POLL).await {
            Ok(records) => {
                if !records.is_empty() {
                    quiet_until = shared.env.clock.now() + time;
                }
                let ended = shared.now();
                for (partition, content) in shared.contents(&records) {
                    let read = Read {
                        reader: number,
                        session: 0,
                        purpose: Purpose::Final,
                        group: None,
                        committed: false,
                        partition,
                        ended,
                        runs: content.runs,
                        damaged: content.damaged,
                    };
                    shared.sink.put(Event::Read(read)).await;
                }
            }
            Err(error) => {
                let event =
                    ReadError { reader: number, at: shared.now(), error: error.to_string() };
                shared.sink.put(Event::ReadError(event)).await;
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
        for (of, position) in consumer.taken() {
            positions.insert(of, position.0);
        }
    }
    let complete = !open(&positions);
    for (partition, end) in ends {
        let last = FinalRead {
            partition: partition.clone(),
            start: starts.get(partition).copied().unwrap_or(0),
            end: *end,
            complete: positions.get(partition).is_some_and(|position| position >= end),
        };
        shared.sink.put(Event::FinalRead(last)).await;
    }
    client.close().await;
    Ok(complete)
}
