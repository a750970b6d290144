//! Batches that are none: their headers and CRCs are right, and what they hold is no records.
//!
//! Whoever takes one stops every reader of the partition (I28) and its compaction. So an
//! acknowledgement of one is a violation by itself.

use super::{PAUSE, Phase, TOPIC, Workload};
use client::{Client, ClientError};
use records::{BatchBuilder, BatchOptions, Compression, NewRecord};
use std::time::Duration;
use types::{PartitionIndex, TopicPartition};
use wire::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};

/// The last that names topics by their names.
const VERSION: i16 = 12;
/// The longest pause between two.
const PAUSE_MS: u64 = 3_000;
/// Where the attributes begin in a batch: what the CRC is of. It stands in the four bytes before.
const ATTRIBUTES_AT: usize = 21;

/// Sends while there is load.
pub(super) async fn run(load: Workload) {
    let client = load.client();
    while load.phase() == Phase::Load {
        tokio::time::sleep(PAUSE + Duration::from_millis(load.env.rng.below(PAUSE_MS))).await;
        match send(&client).await {
            Ok(true) => {
                load.history().violate("a batch of no records is acknowledged (I28)".into())
            }
            Ok(false) => load.history().odd_batches_refused += 1,
            Err(error) => tracing::debug!(%error, "an odd batch got no answer"),
        }
    }
}

/// Whether it was acknowledged.
async fn send(client: &Client) -> Result<bool, ClientError> {
    let of = TopicPartition { topic: TOPIC.into(), partition: PartitionIndex(0) };
    let data =
        PartitionProduceData { index: 0, records: Some(bytes::Bytes::from(odd_batch()).into()) };
    let topic =
        TopicProduceData { name: TOPIC.into(), partition_data: vec![data], ..Default::default() };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1_000,
        topic_data: vec![topic],
        ..Default::default()
    };
    let connection = client.broker(client.leader(&of).await?).await?;
    let time = client.options().request_timeout;
    let response = connection.submit(&request, VERSION, time).await?.wait().await?;
    let mut answers = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    Ok(answers.any(|answer| answer.error_code == 0))
}

/// A plain batch that says that it is packed.
fn odd_batch() -> Vec<u8> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.push(&NewRecord { value: Some("not packed".into()), ..NewRecord::default() });
    let mut bytes = builder.build().bytes.to_vec();
    bytes[ATTRIBUTES_AT + 1] = Compression::Lz4 as u8;
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
    bytes[ATTRIBUTES_AT - 4..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    bytes
}
