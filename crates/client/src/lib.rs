//! A Kafka client on our own `wire`, for the tools, the simulator and the platform.
//!
//! Promises:
//! - Works against any Kafka-compatible cluster: each connection negotiates versions by
//!   ApiVersions and every request goes in the highest version that both sides know.
//! - All time, randomness and sockets come from `env`; a seed gives one run.
//! - Retriable errors are retried with backoff until a deadline, after fresh metadata; what is
//!   returned as an error is final.
//! - The producer keeps the order of a partition's records through retries, and with idempotence
//!   (the default with `acks=all`) a retry never doubles a record.
//! - Every queue is bounded: requests in flight per connection, records buffered by a producer,
//!   bytes fetched by a consumer.
//!
//! Does not: know brokers' or controllers' code, or the gRPC services.
//!
//! Units: sizes in bytes, waits as `Duration`, record times in milliseconds since 1970.

mod client;
mod connection;
mod error;
mod options;
mod protocol;
mod retry;
mod versions;

pub mod admin;
pub mod consumer;
pub mod metadata;
pub mod partitioner;
pub mod producer;

pub use client::Client;
pub use connection::Connection;
pub use consumer::{
    ConsumedRecord, Consumer, ConsumerOptions, FetchObservation, Isolation, OffsetReset,
};
pub use error::{ClientError, check};
pub use metadata::{Broker, Cluster, Partition, Topic, TopicSelection};
pub use options::ClientOptions;
pub use producer::{Acks, Delivery, Producer, ProducerOptions, ProducerRecord, RecordMetadata};
pub use protocol::Request;
pub use versions::{ApiVersionRange, ApiVersions};
