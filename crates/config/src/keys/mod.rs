//! The table of every key, in parts by area.

mod groups;
mod log;
mod network;
mod node;
mod replication;
mod security;
mod topic;

use crate::Key;
use crate::suggest::nearest;

/// A part of the table, with its title on the reference page.
pub struct Part {
    pub title: &'static str,
    pub keys: &'static [Key],
}

/// The whole table. Every name occurs once.
pub const PARTS: &[Part] = &[
    Part { title: "Topics", keys: topic::KEYS },
    Part { title: "The node and its quorum", keys: node::KEYS },
    Part { title: "Network and requests", keys: network::KEYS },
    Part { title: "Replication", keys: replication::KEYS },
    Part { title: "Log", keys: log::KEYS },
    Part { title: "Groups and transactions", keys: groups::KEYS },
    Part { title: "Security, quotas, tiers and metrics", keys: security::KEYS },
];

/// Families of keys whose names hold a listener's, provider's or plugin's name. Accepted with a
/// warning; nothing reads them yet.
pub const FAMILIES: &[&str] =
    &["listener.name.", "config.providers.", "rsm.config.", "rlmm.config."];

/// All keys.
pub fn all() -> impl Iterator<Item = &'static Key> {
    PARTS.iter().flat_map(|part| part.keys.iter())
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// The broker key of this name.
pub fn find_broker(name: &str) -> Option<&'static Key> {
    find(name).filter(|key| key.is_broker_key())
}

/// The topic key of this name.
pub fn find_topic(name: &str) -> Option<&'static Key> {
    find(name).filter(|key| key.is_topic_key())
}

/// The broker key whose name is nearest, if any is near.
pub fn nearest_broker(name: &str) -> Option<&'static str> {
    nearest(name, all().filter(|key| key.is_broker_key()).map(|key| key.name))
}

/// The topic key whose name is nearest, if any is near.
pub fn nearest_topic(name: &str) -> Option<&'static str> {
    nearest(name, all().filter(|key| key.is_topic_key()).map(|key| key.name))
}

/// Whether a name belongs to an accepted family.
pub fn in_family(name: &str) -> bool {
    FAMILIES.iter().any(|family| name.starts_with(family))
}
