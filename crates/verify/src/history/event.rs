//! The events of a history and their form as JSON.
//!
//! ```json
//! {"op":"begin","version":1,"run":"a1","acks":"all","idempotent":true,"topics":[{"name":"t","partitions":3}]}
//! {"op":"send","producer":1,"partition":"t-0","counter":0,"count":2,"began":10,"ended":25,"outcome":"ok","offset":0}
//! {"op":"send","producer":1,"partition":"t-0","counter":2,"began":30,"ended":90,"outcome":"unknown","error":"..."}
//! {"op":"read","reader":2,"session":0,"partition":"t-0","ended":40,"runs":[[0,1,0,2]]}
//! {"op":"final_read","partition":"t-0","start":0,"end":2,"complete":true}
//! {"op":"end","at":100,"complete":true}
//! ```

use serde::{Deserialize, Serialize};
use types::{Monotonic, TopicPartition};

/// The version of the form that this code writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// A time: microseconds of the recorder's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct At(pub u64);

/// One client of the run; producers, readers and group members share the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientNumber(pub u32);

/// A record's name: who sent it, and the how-manieth it is of that producer in its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName {
    pub producer: ClientNumber,
    /// From 0 for each producer and partition, growing by 1.
    pub counter: u32,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Event {
    Begin(Begin),
    #[serde(rename = "send")]
    Sent(Sent),
    Transaction(Transaction),
    Read(Read),
    ReadError(ReadError),
    Watermark(Watermark),
    Assigned(Assigned),
    Commit(Commit),
    Committed(Committed),
    Setting(Setting),
    FinalRead(FinalRead),
    FinalGroup(FinalGroup),
    Fault(Fault),
    End(End),
}

/// What the run was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    pub version: u32,
    pub run: String,
    /// Milliseconds since 1970, for people.
    #[serde(default)]
    pub started_ms: i64,
    pub acks: AcksLevel,
    pub idempotent: bool,
    pub topics: Vec<TopicShape>,
    /// Producers that send at a steady beat, to measure stalls by.
    #[serde(default)]
    pub probers: Vec<ClientNumber>,
    /// What else the recorder was told, for people.
    #[serde(default)]
    pub note: String,
}

/// Which acknowledgement producers waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AcksLevel {
    #[default]
    #[serde(rename = "all")]
    All,
    #[serde(rename = "1")]
    Leader,
    #[serde(rename = "0")]
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicShape {
    pub name: String,
    pub partitions: i32,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    /// It certainly did not take effect.
    Refused,
    /// It may have taken effect, or may yet.
    Unknown,
}

/// Consecutive records of one producer in one partition that shared their fate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub producer: ClientNumber,
    #[serde(with = "partition_text")]
    pub partition: TopicPartition,
    /// The first record's counter.
    pub counter: u32,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u32,
    /// Before the first was handed to the client.
    pub began: At,
    /// After the client told the outcome of the last.
    pub ended: At,
    pub outcome: Outcome,
    /// The first record's, others follow on it; absent where the answer named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The producer's transaction, where it sent inside one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a producer's transaction ended: `ok` committed, `refused` aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    pub producer: ClientNumber,
    pub transaction: u64,
    pub began: At,
    pub ended: At,
    pub outcome: Outcome,
}

/// Records of one partition that a reader was handed, in the order it was handed them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    pub reader: ClientNumber,
    /// Within a session each read of a partition goes on where the one before it ended.
    pub session: u32,
    #[serde(default)]
    pub purpose: Purpose,
    /// The group that the reader is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether it reads committed transactions only.
    #[serde(default, skip_serializing_if = "is_false")]
    pub committed: bool,
    #[serde(with = "partition_text")]
    pub partition: TopicPartition,
    pub ended: At,
    pub runs: Vec<Run>,
    /// Records whose content is not what any client of the run sends, with what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<(i64, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Reads along while the load runs.
    #[default]
    Along,
    /// Reads everything once the load has ended.
    Final,
}

/// Consecutive offsets that hold consecutive records of one producer:
/// `[offset, producer, counter, count]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run(pub i64, pub ClientNumber, pub u32, pub u32);

/// A reader was told an error; its next session starts anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadError {
    pub reader: ClientNumber,
    pub at: At,
    pub error: String,
}

/// A partition's end as a client was told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    pub reader: ClientNumber,
    #[serde(with = "partition_text")]
    pub partition: TopicPartition,
    pub began: At,
    pub ended: At,
    /// Exclusive.
    pub end: i64,
    pub source: WatermarkSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatermarkSource {
    ListOffsets,
    Fetch,
}

/// A group member learned what it owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assigned {
    pub group: String,
    pub member: ClientNumber,
    pub generation: i32,
    pub began: At,
    pub ended: At,
    pub partitions: Vec<AssignedPartition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedPartition {
    #[serde(with = "partition_text")]
    pub partition: TopicPartition,
    /// Where the member starts to read: what the group had committed, or the log's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<i64>,
}

/// A member wrote its position in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub group: String,
    pub member: ClientNumber,
    pub generation: i32,
    #[serde(with = "partition_text")]
    pub partition: TopicPartition,
    /// The next record to read.
    pub offset: i64,
    pub began: At,
    pub ended: At,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A group's position in one partition, as a client was told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    pub group: String,
    pub reader: ClientNumber,
    #[serde(with = "partition_text")]
    pub partition: TopicPartition,
    /// Absent: the group has none there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    pub began: At,
    pub ended: At,
}

/// A number written into a topic's configuration, or read from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub topic: String,
    pub action: SettingAction,
    /// Each write writes a larger one. Absent: nothing was written yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<u64>,
    pub began: At,
    pub ended: At,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingAction {
    Write,
    /// The last read, after the load and after the cluster healed.
    FinalRead,
}

/// How far the final reader came in one partition. `complete`: to `end`, which was the partition's
/// end once every send had its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalRead {
    #[serde(with = "partition_text")]
    pub partition: TopicPartition,
    pub start: i64,
    pub end: i64,
    pub complete: bool,
}

/// Whether a group's members came to the end of all partitions after the load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalGroup {
    pub group: String,
    pub complete: bool,
}

/// Something that was done to the cluster. The kind `heal` says that nothing is wrong from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub at: At,
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// The kind of [`Fault`] after which the cluster is whole.
pub const HEAL: &str = "heal";

/// The last line. `complete`: everything planned was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub at: At,
    pub complete: bool,
}

impl From<Monotonic> for At {
    fn from(time: Monotonic) -> At {
        At(time.0)
    }
}

impl At {
    /// Seconds, for people.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.6} s", self.seconds())
    }
}

impl std::fmt::Display for ClientNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::fmt::Display for RecordName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.producer, self.counter)
    }
}

impl Run {
    /// Each offset with its record.
    pub fn records(&self) -> impl Iterator<Item = (i64, RecordName)> + use<> {
        let Run(offset, producer, counter, count) = *self;
        (0..count).map(move |index| {
            let counter = counter.saturating_add(index);
            (offset.saturating_add(i64::from(index)), RecordName { producer, counter })
        })
    }
}

impl Sent {
    /// The records' names with the offsets that the answer gave them.
    pub fn records(&self) -> impl Iterator<Item = (u32, Option<i64>)> + use<> {
        let (counter, offset) = (self.counter, self.offset);
        (0..self.count).map(move |index| {
            let at = offset.map(|first| first.saturating_add(i64::from(index)));
            (counter.saturating_add(index), at)
        })
    }
}

fn one() -> u32 {
    1
}

fn is_one(count: &u32) -> bool {
    *count == 1
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A partition as `topic-0`.
mod partition_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use types::{PartitionIndex, TopicPartition};

    pub fn serialize<S: Serializer>(of: &TopicPartition, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(of)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<TopicPartition, D::Error> {
        let text = std::borrow::Cow::<'a, str>::deserialize(from)?;
        let parsed = text.rsplit_once('-').and_then(|(topic, index)| {
            let partition = PartitionIndex(index.parse().ok()?);
            Some(TopicPartition { topic: topic.to_owned(), partition })
        });
        parsed.ok_or_else(|| D::Error::custom(format!("{text} is not of the form topic-0")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_the_documentation_are_read() {
        let lines = include_str!("event.rs").lines().filter_map(|line| line.strip_prefix("//! "));
        let events: Vec<Event> = lines
            .filter(|line| line.starts_with('{'))
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        assert_eq!(events.len(), 6);
        for event in events {
            let text = serde_json::to_string(&event).expect("encodes");
            assert_eq!(serde_json::from_str::<Event>(&text).expect("decodes"), event);
        }
    }

    #[test]
    fn a_send_of_one_record_is_short() {
        let send = Event::Sent(Sent {
            producer: ClientNumber(1),
            partition: TopicPartition {
                topic: "a-b".to_owned(),
                partition: types::PartitionIndex(7),
            },
            counter: 5,
            count: 1,
            began: At(1),
            ended: At(2),
            outcome: Outcome::Unknown,
            offset: None,
            transaction: None,
            error: None,
        });
        let text = serde_json::to_string(&send).expect("encodes");
        assert_eq!(
            text,
            r#"{"op":"send","producer":1,"partition":"a-b-7","counter":5,"began":1,"ended":2,"outcome":"unknown"}"#
        );
    }
}
