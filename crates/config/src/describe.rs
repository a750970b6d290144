//! What DescribeConfigs answers.

use crate::{Kind, Layers};

/// Where a value comes from, with Kafka's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum Source {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
}

/// One place where the value of a key is set; the first one of an entry is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Synonym {
    pub name: &'static str,
    /// `None` where the key is sensitive.
    pub value: Option<String>,
    pub source: Source,
}

/// One key of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub name: &'static str,
    /// `None`: not set and without a default, or sensitive.
    pub value: Option<String>,
    pub source: Source,
    pub is_default: bool,
    pub read_only: bool,
    pub sensitive: bool,
    pub kind: Kind,
    pub synonyms: Vec<Synonym>,
    pub doc: &'static str,
}

/// All topic keys, sorted by name, with the values in force for a topic. `only`: these names (an
/// unknown one is left out, as Kafka does); `None`: all.
pub fn describe_topic(layers: &Layers<'_>, only: Option<&[&str]>) -> Vec<Entry> {
    let _ = (layers, only);
    todo!()
}

/// All broker keys. `dynamic_only`: for the cluster-wide resource (empty name), where only values
/// that are set at that level are listed.
pub fn describe_broker(
    layers: &Layers<'_>,
    only: Option<&[&str]>,
    dynamic_only: bool,
) -> Vec<Entry> {
    let _ = (layers, only, dynamic_only);
    todo!()
}
