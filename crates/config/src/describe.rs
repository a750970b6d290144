//! What DescribeConfigs answers.

use crate::layers::Found;
use crate::{Dynamic, Key, Kind, Layers, Status, keys};

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

/// One place where the value of a key is set.
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
    let described = listed(Key::is_topic_key, only).into_iter().map(|key| {
        let mut places: Vec<Found> = layers.topic_place(key).into_iter().collect();
        places.extend(layers.places_told_of_topic(key));
        entry(key, layers.topic_value(key.name), &places, false)
    });
    described.collect()
}

/// All broker keys. `dynamic_only`: for the cluster-wide resource (empty name), where only values
/// that are set at that level are listed.
pub fn describe_broker(
    layers: &Layers<'_>,
    only: Option<&[&str]>,
    dynamic_only: bool,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for key in listed(Key::is_broker_key, only) {
        let mut places = layers.places_told_of_broker(key);
        if dynamic_only {
            places.retain(|found| found.source == Source::DynamicDefaultBroker);
            if places.is_empty() {
                continue;
            }
        }
        let value = layers.broker_value_told(key);
        entries.push(entry(key, value, &places, key.dynamic == Dynamic::ReadOnly));
    }
    entries
}

fn listed(belongs: impl Fn(&Key) -> bool, only: Option<&[&str]>) -> Vec<&'static Key> {
    let wanted = |key: &Key| only.is_none_or(|names| names.contains(&key.name));
    let mut list: Vec<&'static Key> = keys::all()
        .filter(|key| belongs(key) && key.status != Status::Internal && wanted(key))
        .collect();
    list.sort_by_key(|key| key.name);
    list
}

fn entry(key: &'static Key, value: Option<String>, places: &[Found], read_only: bool) -> Entry {
    let sensitive = key.is_sensitive();
    let shown = |value: String| (!sensitive).then_some(value);
    let source = places.first().map_or(Source::Default, |found| found.source);
    let synonyms = places.iter().map(|found| Synonym {
        name: found.key.name,
        value: shown(found.raw.clone()),
        source: found.source,
    });
    Entry {
        name: key.name,
        value: value.and_then(shown),
        source,
        is_default: source == Source::Default,
        read_only,
        sensitive,
        kind: key.kind,
        synonyms: synonyms.collect(),
        doc: key.doc,
    }
}
