//! What a node says of itself once it is ready: addresses, process id.

use serde::{Deserialize, Serialize};

/// The content of `--ready-file`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Ready {
    pub node_id: i32,
    pub pid: u32,
    pub cluster_id: String,
    /// Listeners of the Kafka protocol.
    pub kafka: Vec<Address>,
    /// gRPC listeners.
    pub grpc: Vec<Address>,
    /// Where metrics and health are; `None` where HTTP is off.
    pub http: Option<String>,
}

/// A listener's name and where it is reached.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub listener: String,
    /// `host:port` as advertised.
    pub address: String,
}
