//! Resources that have configuration: how requests name them and where their values lie.

use crate::context::BrokerContext;
use config::{Layers, NO_OVERRIDES, Overrides};
use metadata::{ConfigResource, Image, Refusal};
use types::{ErrorCode, NodeId, is_internal_topic};

/// Kafka's number of a resource type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ResourceType {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
    Group = 32,
}

impl ResourceType {
    fn from_code(code: i8) -> Option<ResourceType> {
        let all = [
            ResourceType::Topic,
            ResourceType::Broker,
            ResourceType::BrokerLogger,
            ResourceType::ClientMetrics,
            ResourceType::Group,
        ];
        all.into_iter().find(|kind| *kind as i8 == code)
    }
}

/// The resource of a request.
pub fn resource(kind: i8, name: &str) -> Result<ConfigResource, Refusal> {
    let invalid = |message: String| Refusal::new(ErrorCode::InvalidRequest, message);
    let Some(kind) = ResourceType::from_code(kind) else {
        return Err(invalid(format!("unknown resource type {kind}")));
    };
    match kind {
        ResourceType::Topic => Ok(ConfigResource::Topic(name.to_owned())),
        ResourceType::Broker if name.is_empty() => Ok(ConfigResource::ClusterDefault),
        ResourceType::Broker => match name.parse() {
            Ok(id) => Ok(ConfigResource::Broker(NodeId(id))),
            Err(_) => Err(invalid(format!("broker id must be an integer, but it is: {name}"))),
        },
        ResourceType::BrokerLogger | ResourceType::ClientMetrics | ResourceType::Group => {
            Err(invalid(format!("configuration of resource type {kind:?} is not kept here")))
        }
    }
}

/// Whether the resource is there: a topic that exists, a broker that is registered.
pub fn check_exists(image: &Image, resource: &ConfigResource) -> Result<(), Refusal> {
    match resource {
        ConfigResource::Topic(name) if image.topic_by_name(name).is_none() => {
            let code = ErrorCode::UnknownTopicOrPartition;
            let internal = if is_internal_topic(name) { " (internal, not made yet)" } else { "" };
            Err(Refusal::new(code, format!("topic {name} does not exist{internal}")))
        }
        ConfigResource::Topic(_) | ConfigResource::Broker(_) | ConfigResource::ClusterDefault => {
            Ok(())
        }
    }
}

/// The layers below a topic's own values, on this broker.
pub struct TopicLayers<'a> {
    pub image: &'a Image,
    pub topic: &'a Overrides,
}

impl<'a> TopicLayers<'a> {
    pub fn on(&self, ctx: &'a BrokerContext) -> Layers<'a> {
        Layers {
            topic: self.topic,
            broker: self.image.configs(&ConfigResource::Broker(ctx.node_id)),
            cluster: self.image.configs(&ConfigResource::ClusterDefault),
            fixed: &ctx.config.properties,
        }
    }
}

/// The layers of a resource, as this broker sees them.
pub fn layers<'a>(
    ctx: &'a BrokerContext,
    image: &'a Image,
    resource: &ConfigResource,
) -> Layers<'a> {
    let topic = match resource {
        ConfigResource::Topic(_) => image.configs(resource),
        ConfigResource::Broker(_) | ConfigResource::ClusterDefault => &NO_OVERRIDES,
    };
    let mut layers = TopicLayers { image, topic }.on(ctx);
    if *resource == ConfigResource::ClusterDefault {
        layers.broker = &NO_OVERRIDES;
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_broker_name_means_all_brokers() {
        assert_eq!(resource(4, ""), Ok(ConfigResource::ClusterDefault));
        assert_eq!(resource(4, "3"), Ok(ConfigResource::Broker(NodeId(3))));
        assert_eq!(resource(2, "t"), Ok(ConfigResource::Topic("t".to_owned())));
        assert!(resource(4, "three").is_err());
        assert!(resource(16, "x").is_err());
        assert!(resource(99, "x").is_err());
    }
}
