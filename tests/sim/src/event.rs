//! Everything that can happen, as data.

use replication::{AlterPartitionAnswer, IsrProposal, Refusal};
use std::collections::BTreeSet;
use types::{
    BrokerEpoch, EpochOffset, ErrorCode, LeaderEpoch, MetadataVersion, NodeId, Offset,
    PartitionEpoch, TopicIdPartition,
};

use crate::model_log::ModelRecord;

/// A stream between two brokers.
pub type StreamId = u64;
/// One AlterPartition call of one broker.
pub type CallId = u64;
/// One start of one broker's process.
pub type Incarnation = u64;

#[derive(Clone, Debug)]
pub enum Event {
    /// For this start of the node's process; later ones do not see it.
    Node {
        node: NodeId,
        incarnation: Incarnation,
        input: NodeInput,
    },
    Controller(ControllerInput),
    Client {
        client: usize,
        input: ClientInput,
    },
    Start(NodeId),
    Resume(NodeId),
    /// Time for another fault.
    Fault,
    /// These two hear each other again.
    Reconnect(NodeId, NodeId),
    ControllerBack,
}

#[derive(Clone, Debug)]
pub enum NodeInput {
    RegisterNow,
    Registered(Result<BrokerEpoch, ErrorCode>),
    HeartbeatNow,
    /// The controller holds another registration than this one.
    HeartbeatRefused(BrokerEpoch),
    MetadataReady,
    /// A machine's deadline may have come.
    Wake,
    Flush(TopicIdPartition),
    AlterAnswered {
        call: CallId,
        answer: AlterPartitionAnswer,
        /// The image that holds what was committed.
        version: MetadataVersion,
    },
    /// Some replicas are lost: the controller is to know.
    TellFailures,
    FailuresTold(Vec<TopicIdPartition>),
    Connect(NodeId),
    StreamUp {
        stream: StreamId,
        leader: NodeId,
    },
    StreamDown {
        stream: StreamId,
        leader: NodeId,
    },
    FollowerUp {
        stream: StreamId,
        follower: NodeId,
        broker_epoch: BrokerEpoch,
    },
    FollowerDown {
        stream: StreamId,
    },
    Position {
        stream: StreamId,
        partition: TopicIdPartition,
        position: PositionMessage,
    },
    Chunk {
        stream: StreamId,
        partition: TopicIdPartition,
        chunk: ChunkMessage,
    },
    Produce(Produce),
}

/// A follower's position, as it goes over the stream.
#[derive(Clone, Copy, Debug)]
pub struct PositionMessage {
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    pub last_epoch: LeaderEpoch,
    pub log_start_offset: Offset,
    /// Of the follower's image.
    pub partition_epoch: PartitionEpoch,
    pub restart: bool,
}

/// A leader's chunk, as it goes over the stream.
#[derive(Clone, Debug)]
pub struct ChunkMessage {
    pub leader_epoch: LeaderEpoch,
    pub position: Offset,
    pub records: Vec<ModelRecord>,
    pub high_watermark: Offset,
    pub refusal: Option<Refusal>,
    pub diverging: Option<EpochOffset>,
}

#[derive(Clone, Debug)]
pub struct Produce {
    pub client: usize,
    pub request: u64,
    pub partition: TopicIdPartition,
    pub values: Vec<u64>,
    pub is_acks_all: bool,
}

#[derive(Clone, Debug)]
pub enum ControllerInput {
    Register {
        node: NodeId,
        incarnation: Incarnation,
        previous_epoch: BrokerEpoch,
        /// How often the node's disk was replaced.
        disk: u64,
    },
    Heartbeat {
        node: NodeId,
        incarnation: Incarnation,
        broker_epoch: BrokerEpoch,
        version: MetadataVersion,
        wants_shutdown: bool,
    },
    Alter {
        node: NodeId,
        incarnation: Incarnation,
        broker_epoch: BrokerEpoch,
        partition: TopicIdPartition,
        call: CallId,
        proposal: IsrProposal,
    },
    /// Replicas that the broker has lost.
    Fail {
        node: NodeId,
        incarnation: Incarnation,
        broker_epoch: BrokerEpoch,
        partitions: Vec<TopicIdPartition>,
        /// Those of them of which nothing is left.
        gone: BTreeSet<TopicIdPartition>,
    },
    /// The batch under way is committed; of a controller that has gone since, it is not.
    Commit {
        reign: u64,
    },
    Tick,
}

#[derive(Clone, Debug)]
pub enum ClientInput {
    Send,
    Answered { request: u64, outcome: Result<Offset, ErrorCode> },
    TimedOut { request: u64 },
}

/// What a leader rested on when it raised its watermark: settings may change within one event.
#[derive(Clone, Copy, Debug)]
pub struct Led {
    pub epoch: LeaderEpoch,
    pub min_isr: usize,
}

/// What the checker is told, in the order in which it became true.
#[derive(Clone, Debug)]
pub enum Fact {
    /// The controller's image has this version now.
    Committed(MetadataVersion),
    /// A new controller read the metadata log and has this version now.
    TookOver(MetadataVersion),
    /// A broker's image has this version now.
    Applied { node: NodeId, version: MetadataVersion },
    LeaderBegan {
        partition: TopicIdPartition,
        node: NodeId,
        incarnation: Incarnation,
        epoch: LeaderEpoch,
    },
    /// A broker shows records below this to readers. `led`: as what, if it leads.
    Watermark { partition: TopicIdPartition, node: NodeId, led: Option<Led>, offset: Offset },
    /// A produce with acks=all was answered well.
    Acked { partition: TopicIdPartition, base: Offset, values: Vec<u64> },
    /// A log became shorter.
    Shortened { partition: TopicIdPartition, node: NodeId },
}
