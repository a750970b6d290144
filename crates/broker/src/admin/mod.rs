//! The gRPC services that a broker serves beside the replica streams: administration, server
//! reflection and the standard health service.
//!
//! Promises: the health of the whole server (empty name) and of each service is SERVING exactly
//! while the broker takes part in the cluster; reflection knows every service of the node.

mod answers;
mod service;

use crate::context::BrokerContext;
use crate::registration::Phase;
use rpc::admin::admin_server::AdminServer;
use std::sync::Arc;
use tokio::sync::watch;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// All services of a broker. The health task lives as long as the broker's tasks.
pub fn routes(context: &Arc<BrokerContext>, phase: watch::Receiver<Phase>) -> Routes {
    let admin = AdminServer::new(service::AdminService { context: context.clone() });
    let replica = context.replicas.service();
    let (reporter, health) = tonic_health::server::health_reporter();
    let names = ["".to_owned(), name_of(&admin).to_owned(), name_of(&replica).to_owned()];
    crate::broker::spawn(&context.core.tasks, report(reporter, names, phase));
    let mut routes = Routes::new(admin).add_service(replica).add_service(health);
    // Both ways of asking are in use: grpcurl tries v1 first, older tools know v1alpha only.
    if let Ok(reflection) = reflection().build_v1() {
        routes = routes.add_service(reflection);
    }
    if let Ok(reflection) = reflection().build_v1alpha() {
        routes = routes.add_service(reflection);
    }
    routes
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(rpc::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn name_of<S: NamedService>(_: &S) -> &'static str {
    S::NAME
}

async fn report(reporter: HealthReporter, names: [String; 3], mut phase: watch::Receiver<Phase>) {
    loop {
        let status = match *phase.borrow_and_update() {
            Phase::Unfenced => ServingStatus::Serving,
            Phase::CatchingUp | Phase::Registered => ServingStatus::NotServing,
        };
        for name in &names {
            reporter.set_service_status(name, status).await;
        }
        if phase.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflection_knows_every_schema() {
        assert!(reflection().build_v1().is_ok());
        assert!(reflection().build_v1alpha().is_ok());
    }
}
