//! The table of keys agrees with itself, and the reference page with it.
#![allow(clippy::disallowed_methods)]

use config::{Key, Kind, Layers, NodeConfig, Properties, Scope, Status, TopicConfig, keys};
use std::collections::BTreeMap;

#[test]
fn every_name_occurs_once_and_so_does_every_environment_name() {
    let mut names = BTreeMap::new();
    let mut variables = BTreeMap::new();
    for key in keys::all() {
        assert_eq!(names.insert(key.name, ()), None, "{} is in the table twice", key.name);
        if key.is_broker_key() {
            let variable = key.environment_name();
            assert_eq!(
                variables.insert(variable.clone(), key.name),
                None,
                "{variable} means two keys"
            );
        }
    }
}

#[test]
fn every_default_passes_its_own_check() {
    for key in keys::all() {
        if let Some(default) = key.default {
            assert_eq!(key.check(default), Ok(()), "default of {}", key.name);
        }
    }
}

#[test]
fn a_topic_key_and_its_broker_keys_have_one_kind_of_value_and_one_default() {
    for key in keys::all().filter(|key| key.is_topic_key()) {
        for name in key.synonyms {
            let synonym =
                keys::find_broker(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert_eq!(is_number(key), is_number(synonym), "{} and {name}", key.name);
        }
        let nothing = Properties::new();
        let in_force = Layers::fixed(&nothing).topic_value(key.name);
        assert_eq!(
            in_force.as_deref(),
            key.default,
            "default of {} through its broker keys",
            key.name
        );
    }
}

fn is_number(key: &Key) -> bool {
    matches!(key.kind, Kind::Int | Kind::Short | Kind::Long)
}

#[test]
fn the_topic_keys_of_kafka_are_all_there() {
    let public =
        keys::all().filter(|key| key.scope != Scope::Broker && key.status != Status::Internal);
    let of_kafka: Vec<&str> =
        public.map(|key| key.name).filter(|name| !name.starts_with("ottla.")).collect();
    assert_eq!(of_kafka.len(), 37, "{of_kafka:?}");
}

#[test]
fn defaults_make_a_topic_and_a_node() {
    let nothing = Properties::new();
    let topic = TopicConfig::resolve(&Layers::fixed(&nothing));
    assert_eq!(topic.retention.retention_ms, Some(604_800_000));
    assert_eq!(topic.segment.segment_bytes, 1 << 30);
    assert_eq!(topic.flush.flush_messages, None);
    assert_eq!(topic.min_insync_replicas, 1);
    let mut one = Properties::new();
    one.set("node.id", "1");
    let node = NodeConfig::from_properties(one).expect("a lone node needs only its number");
    assert!(node.is_alone() && node.warnings.is_empty());
}

/// Rewrites the page; a second run passes, and the diff shows in review.
#[test]
fn the_reference_page_is_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = config::reference::page();
    let found = std::fs::read_to_string(path).unwrap_or_default();
    if found != page {
        std::fs::write(path, &page).expect("the page can be written");
        panic!(
            "docs/configuration.md was out of date and has been rewritten: look at the diff and commit it"
        );
    }
}
