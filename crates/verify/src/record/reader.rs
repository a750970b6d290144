//! A reader of the run that is no group's member: reads all partitions along, and again from some
//! earlier offset every few seconds, so that what changed is seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::admin::OffsetSpec;
use client::{Client, ClientError, ConsumedRecord, Consumer, FetchObservation, OffsetReset};
use types::{Offset, TopicPartition};

use super::shared::{Phase, Shared};
use crate::history::{
    At, ClientNumber, Event, Purpose, Read, ReadError, Watermark, WatermarkSource,
};

/// The wait of one poll.
const POLL: Duration = Duration::from_millis(100);
/// The shortest session; the longest is three times as long.
const SESSION_MIN: Duration = Duration::from_secs(3);
/// The pause after an error.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// High watermarks of a partition are written down this often, and whenever one goes back.
const WATERMARK_EVERY: u64 = 50_000;

struct Reader {
    shared: Arc<Shared>,
    number: ClientNumber,
    client: Client,
    session: u32,
    /// The end and the time of the last watermark written down.
    watermarks: BTreeMap<TopicPartition, (i64, At)>,
}

/// Reads until the phase is `Done`.
pub async fn run(shared: Arc<Shared>, number: ClientNumber) {
    let client = match shared.client(number) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, reader = %number, "reader not started");
            return;
        }
    };
    let watermarks = BTreeMap::new();
    let mut reader =
        Reader { shared: shared.clone(), number, client: client.clone(), session: 0, watermarks };
    tokio::select! {
        () = reader.read() => {}
        () = shared.reached(Phase::Done) => {}
    }
    client.close().await;
}

impl Reader {
    async fn read(&mut self) {
        let mut consumer = self.consumer();
        self.start_over(&mut consumer);
        let mut ends_at = self.session_end();
        loop {
            match consumer.poll(POLL).await {
                Ok(records) => self.write(records).await,
                Err(error) => {
                    self.failed(&error).await;
                    consumer = self.consumer();
                    self.start_over(&mut consumer);
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
            for fetch in consumer.take_fetches() {
                self.watermark(fetch).await;
            }
            if self.shared.now() >= ends_at && self.shared.is_in(Phase::Load) {
                self.go_back(&mut consumer);
                ends_at = self.session_end();
            }
        }
    }

    fn consumer(&self) -> Consumer {
        let mut options = self.shared.settings.consumer.clone();
        options.group = None;
        options.reset = OffsetReset::None;
        let mut consumer = Consumer::new(self.client.clone(), options);
        consumer.watch_fetches();
        consumer
    }

    fn start_over(&mut self, consumer: &mut Consumer) {
        self.session += 1;
        let all = self.shared.partitions.iter();
        let all: Vec<_> = all.map(|of| (of.clone(), OffsetSpec::Earliest)).collect();
        consumer.assign(&all);
    }

    /// Starts a session at a random place of what was read, in each partition.
    fn go_back(&mut self, consumer: &mut Consumer) {
        self.session += 1;
        for of in &self.shared.partitions {
            let Some(position) = consumer.position(of) else { continue };
            // Not further than can be read again in a session.
            let back = self.shared.env.rng.below(5_000).min(position.0.max(0) as u64);
            consumer.seek(of, Offset(position.0 - back as i64));
        }
    }

    fn session_end(&self) -> At {
        let min = SESSION_MIN.as_micros() as u64;
        At(self.shared.now().0 + min + self.shared.env.rng.below(2 * min))
    }

    async fn write(&self, records: Vec<ConsumedRecord>) {
        let ended = self.shared.now();
        for (partition, content) in self.shared.contents(&records) {
            let read = Read {
                reader: self.number,
                session: self.session,
                purpose: Purpose::Along,
                group: None,
                committed: false,
                partition,
                ended,
                runs: content.runs,
                damaged: content.damaged,
            };
            self.shared.sink.put(Event::Read(read)).await;
        }
    }

    /// A batch that cannot be read is damage at its offset; other errors are the cluster's.
    async fn failed(&self, error: &ClientError) {
        let (reader, at) = (self.number, self.shared.now());
        let text = error.to_string();
        if let ClientError::Corrupt { partition, offset, .. } = error
            && let Some(of) = self.shared.partitions.iter().find(|of| of.to_string() == *partition)
        {
            let read = Read {
                reader,
                session: self.session,
                purpose: Purpose::Along,
                group: None,
                committed: false,
                partition: of.clone(),
                ended: at,
                runs: Vec::new(),
                damaged: vec![(*offset, text.clone())],
            };
            self.shared.sink.put(Event::Read(read)).await;
        }
        self.shared.sink.put(Event::ReadError(ReadError { reader, at, error: text })).await;
    }

    async fn watermark(&mut self, fetch: FetchObservation) {
        let (end, ended) = (fetch.high_watermark.0, At::from(fetch.ended));
        // Not told: its leader was just elected.
        if end < 0 {
            return;
        }
        if let Some((before, at)) = self.watermarks.get(&fetch.partition)
            && end >= *before
            && ended.0 < at.0 + WATERMARK_EVERY
        {
            return;
        }
        self.watermarks.insert(fetch.partition.clone(), (end, ended));
        let watermark = Watermark {
            reader: self.number,
            partition: fetch.partition,
            began: fetch.began.into(),
            ended,
            end,
            source: WatermarkSource::Fetch,
        };
        self.shared.sink.put(Event::Watermark(watermark)).await;
    }
}
