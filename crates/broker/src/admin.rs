//! placeholder
use crate::context::BrokerContext;
use crate::registration::Phase;
use std::sync::Arc;
use tokio::sync::watch;

pub fn routes(_: &Arc<BrokerContext>, _: watch::Receiver<Phase>) -> tonic::service::Routes {
    tonic::service::Routes::default()
}
