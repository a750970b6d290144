//! Where a value comes from: the layers of configuration, the strongest first.
//!
//! topic override, then this broker's dynamic value, then the cluster-wide dynamic value, then the
//! node's own file (with environment and overrides), then the table's default. A topic key is
//! looked up under its broker synonyms below the first layer (`retention.ms` under
//! `log.retention.ms`, `log.retention.minutes`, `log.retention.hours`).

use crate::Properties;
use std::collections::BTreeMap;

/// Dynamic values of one resource (a topic, a broker, or all brokers), as the metadata holds them.
pub type Overrides = BTreeMap<String, String>;

/// The layers to look a value up in. A missing layer is an empty one ([`Layers::NONE`]).
#[derive(Clone, Copy)]
pub struct Layers<'a> {
    /// The topic's own values (resource type topic).
    pub topic: &'a Overrides,
    /// This broker's dynamic values (resource type broker, name = node id).
    pub broker: &'a Overrides,
    /// All brokers' dynamic values (resource type broker, empty name).
    pub cluster: &'a Overrides,
    /// What the node started with ([`crate::NodeConfig::properties`]).
    pub fixed: &'a Properties,
}

/// A layer without values.
pub static NO_OVERRIDES: Overrides = BTreeMap::new();

impl<'a> Layers<'a> {
    /// Only what the node started with.
    pub fn fixed(fixed: &'a Properties) -> Layers<'a> {
        Layers { topic: &NO_OVERRIDES, broker: &NO_OVERRIDES, cluster: &NO_OVERRIDES, fixed }
    }
}
