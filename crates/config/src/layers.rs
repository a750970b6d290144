//! Where a value comes from: the layers of configuration, the strongest first.
//!
//! topic override, then this broker's dynamic value, then the cluster-wide dynamic value, then the
//! node's own file (with environment and overrides), then the table's default. A topic key is
//! looked up under its broker synonyms below the first layer (`retention.ms` under
//! `log.retention.ms`, `log.retention.minutes`, `log.retention.hours`).
//!
//! Lookups are total: a stored value that does not pass its check is skipped, and the next layer
//! counts, so that an image written by another version can always be served.

use crate::describe::Source;
use crate::{Key, Properties, keys};
use std::collections::BTreeMap;

/// Dynamic values of one resource (a topic, a broker, or all brokers), as the metadata holds them.
pub type Overrides = BTreeMap<String, String>;

/// The layers to look a value up in.
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

/// One place where a value is set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Found {
    /// The name that it is set under, which may be a synonym.
    pub(crate) key: &'static Key,
    /// As set.
    pub(crate) raw: String,
    pub(crate) source: Source,
}

impl Found {
    /// The value in the unit of `wanted` (a synonym in hours for a key in milliseconds).
    pub(crate) fn value_for(&self, wanted: &Key) -> String {
        let (from, to) = (self.key.unit.factor_to_base(), wanted.unit.factor_to_base());
        match self.raw.parse::<i64>() {
            Ok(number) if from != to && number >= 0 => {
                number.saturating_mul(from / to.max(1)).to_string()
            }
            _ => self.raw.clone(),
        }
    }
}

impl<'a> Layers<'a> {
    /// Only what the node started with.
    pub fn fixed(fixed: &'a Properties) -> Layers<'a> {
        Layers { topic: &NO_OVERRIDES, broker: &NO_OVERRIDES, cluster: &NO_OVERRIDES, fixed }
    }

    /// The value in force of a broker key; `None` where it is not set and has no default.
    pub fn broker_value(&self, name: &str) -> Option<String> {
        let key = keys::find_broker(name)?;
        self.broker_places(key).into_iter().next().map(|found| found.raw)
    }

    /// The value in force of a topic key; `None` only for an unknown key.
    pub fn topic_value(&self, name: &str) -> Option<String> {
        let key = keys::find_topic(name)?;
        self.topic_places(key).into_iter().next().map(|found| found.value_for(key))
    }

    /// All places where a topic key is set, the strongest first; the default is the last.
    fn topic_places(&self, key: &'static Key) -> Vec<Found> {
        let mut places: Vec<Found> = self.topic_place(key).into_iter().collect();
        self.push_broker_layers(&mut places, &broker_keys(key.synonyms));
        if places.last().is_none_or(|found| found.source != Source::Default) {
            push(&mut places, key, key.default, Source::Default);
        }
        places
    }

    /// All places where a broker key is set, the strongest first.
    fn broker_places(&self, key: &'static Key) -> Vec<Found> {
        let mut places = Vec::new();
        self.push_broker_layers(&mut places, &[key]);
        places
    }

    /// The topic's own value.
    pub(crate) fn topic_place(&self, key: &'static Key) -> Option<Found> {
        let mut places = Vec::new();
        push(&mut places, key, self.topic.get(key.name).map(String::as_str), Source::Topic);
        places.pop()
    }

    /// The places below a topic's own value that an answer names. As Kafka does, it begins with the
    /// first that bears the key's first broker name: hours in a node's file, which rule a topic, are
    /// named only beneath a value in milliseconds.
    pub(crate) fn places_told_of_topic(&self, key: &'static Key) -> Vec<Found> {
        key.synonyms.first().map_or(Vec::new(), |name| self.told(key.synonyms, name))
    }

    /// The same of a broker's key, with those of the keys that say it in other units.
    pub(crate) fn places_told_of_broker(&self, key: &'static Key) -> Vec<Found> {
        self.told(family(key), key.name)
    }

    fn told(&self, names: &[&str], first: &str) -> Vec<Found> {
        let mut places = Vec::new();
        self.push_broker_layers(&mut places, &broker_keys(names));
        places.into_iter().skip_while(|found| found.key.name != first).collect()
    }

    /// What a broker's key is told to be. A dynamic value takes the place of those that a node's file
    /// has under the other names of its family.
    pub(crate) fn broker_value_told(&self, key: &'static Key) -> Option<String> {
        let is_dynamic =
            |name: &&str| self.broker.contains_key(*name) || self.cluster.contains_key(*name);
        let overridden = family(key).iter().any(&is_dynamic);
        match overridden && !is_dynamic(&key.name) {
            true => key.default.map(str::to_owned),
            false => self.broker_value(key.name),
        }
    }

    fn push_broker_layers(&self, places: &mut Vec<Found>, names: &[&'static Key]) {
        for key in names {
            push(places, key, self.broker.get(key.name).map(String::as_str), Source::DynamicBroker);
        }
        for key in names {
            push(
                places,
                key,
                self.cluster.get(key.name).map(String::as_str),
                Source::DynamicDefaultBroker,
            );
        }
        for key in names {
            push(places, key, self.fixed.get(key.name), Source::StaticBroker);
        }
        for key in names {
            push(places, key, key.default, Source::Default);
        }
    }
}

fn broker_keys(names: &[&str]) -> Vec<&'static Key> {
    names.iter().filter_map(|name| keys::find_broker(name)).collect()
}

/// The names of a broker's key and of those that say the same in other units, the strongest first.
fn family(key: &'static Key) -> &'static [&'static str] {
    let topic = keys::all().find(|topic| topic.synonyms.contains(&key.name));
    topic.map_or(std::slice::from_ref(&key.name), |topic| topic.synonyms)
}

fn push(places: &mut Vec<Found>, key: &'static Key, value: Option<&str>, source: Source) {
    if let Some(value) = value.filter(|value| key.check(value).is_ok()) {
        places.push(Found { key, raw: value.trim().to_owned(), source });
    }
}
