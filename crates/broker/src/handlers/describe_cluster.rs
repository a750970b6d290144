//! DescribeCluster: the cluster's id and its brokers on the client's listener.

use super::RequestContext;
use super::topics::{self, BrokerAddress};
use metadata::Image;
use types::ErrorCode;
use wire::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

/// KIP-919: what kind of endpoints the client wants.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub async fn handle(
    ctx: &RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if let Some((code, message)) = wrong_endpoint_type(request.endpoint_type) {
        return DescribeClusterResponse {
            error_code: code.into(),
            error_message: Some(message.into()),
            endpoint_type: request.endpoint_type,
            ..Default::default()
        };
    }
    let image = ctx.broker.image.load();
    let alive = topics::brokers_on(&image, &ctx.listener);
    let mut response = DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: image.cluster_id().unwrap_or_default().into(),
        controller_id: topics::any_broker(&ctx.broker, &alive),
        brokers: brokers(&image, alive, &ctx.listener, request.include_fenced_brokers),
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = topics::CLUSTER_OPERATIONS;
    }
    response
}

fn wrong_endpoint_type(endpoint_type: i8) -> Option<(ErrorCode, &'static str)> {
    match endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MismatchedEndpointType,
            "the request was sent to a broker listener and asks for controllers",
        )),
        _ => Some((ErrorCode::UnsupportedEndpointType, "unknown endpoint type")),
    }
}

fn brokers(
    image: &Image,
    alive: Vec<BrokerAddress>,
    listener: &str,
    include_fenced: bool,
) -> Vec<DescribeClusterBroker> {
    let mut all: Vec<DescribeClusterBroker> = alive.into_iter().map(alive_broker).collect();
    if !include_fenced {
        return all;
    }
    let fenced = image.brokers().filter(|broker| broker.fenced);
    all.extend(fenced.filter_map(|broker| {
        let endpoint = broker.endpoint(listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id.0,
            host: endpoint.host.as_str().into(),
            port: i32::from(endpoint.port),
            rack: broker.rack.as_deref().map(Into::into),
            is_fenced: true,
        })
    }));
    all.sort_by_key(|broker| broker.broker_id);
    all
}

fn alive_broker(broker: BrokerAddress) -> DescribeClusterBroker {
    DescribeClusterBroker {
        broker_id: broker.id.0,
        host: broker.host.into(),
        port: broker.port,
        rack: broker.rack.map(Into::into),
        is_fenced: false,
    }
}
