//! The gRPC service by which other brokers follow what this one leads.

use super::manager::ReplicaManager;
use super::session;
use futures::StreamExt;
use rpc::replica::replica_server::{Replica, ReplicaServer};
use rpc::replica::{FollowRequest, FollowResponse};
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

impl ReplicaManager {
    /// The gRPC service for other brokers.
    pub fn service(self: &Arc<Self>) -> ReplicaServer<ReplicaService> {
        ReplicaServer::new(ReplicaService(self.clone()))
            .max_decoding_message_size(crate::channel::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(crate::channel::MESSAGE_BYTES_MAX)
    }
}

/// The replica service of `proto/ottla/replica.proto`.
pub struct ReplicaService(Arc<ReplicaManager>);

#[tonic::async_trait]
impl Replica for ReplicaService {
    type FollowStream =
        Pin<Box<dyn futures::Stream<Item = Result<FollowResponse, Status>> + Send + 'static>>;

    async fn follow(
        &self,
        request: Request<tonic::Streaming<FollowRequest>>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream ended at once"))?;
        let hello = first
            .hello
            .clone()
            .ok_or_else(|| Status::invalid_argument("the first message lacks field hello"))?;
        let manager = self.0.clone();
        let tasks = manager.core().tasks.clone();
        if tasks.is_stopping() {
            return Err(Status::unavailable("this broker is stopping"));
        }
        let mut streams_ended = manager.streams_ended();
        let responses = session::serve(&tasks, manager, hello, first, requests);
        // An error is the end of the broker.
        let ended = async move { streams_ended.changed().await.unwrap_or_default() };
        let responses = ReceiverStream::new(responses).take_until(Box::pin(ended));
        Ok(Response::new(Box::pin(responses)))
    }
}
