//! What a connection can send.

/// A request that may be shared between threads, as all of Kafka's are.
pub trait Request: wire::Request<Response: Send> + Send + Sync + 'static {}

impl<T: wire::Request<Response: Send> + Send + Sync + 'static> Request for T {}
