//! Dynamic configuration as the metadata sees it: values by resource. What keys there are and what
//! values they take is the caller's knowledge, behind [`ConfigRules`].

use std::collections::BTreeMap;
use std::fmt;
use types::NodeId;

/// The dynamic values of one resource, by key.
pub type ConfigValues = BTreeMap<String, String>;

/// What values belong to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    Broker(NodeId),
    /// The default of all brokers (Kafka's empty broker name).
    ClusterDefault,
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigResource::Topic(name) => write!(f, "topic {name}"),
            ConfigResource::Broker(id) => write!(f, "broker {id}"),
            ConfigResource::ClusterDefault => f.write_str("all brokers"),
        }
    }
}

/// What IncrementalAlterConfigs does to one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigOperation {
    Set,
    Delete,
    /// Adds to a list what it does not hold yet.
    Append,
    /// Removes from a list.
    Subtract,
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigChange {
    pub name: String,
    pub operation: ConfigOperation,
    /// Needed by all operations but `Delete`.
    pub value: Option<String>,
}

/// What the rules need to know about configuration keys. The texts of refusals go to clients, so
/// an implementor names the key and the value in them. Both functions are pure.
pub trait ConfigRules {
    /// Checks the whole set of values that a resource would have.
    fn validate(&self, resource: &ConfigResource, values: &ConfigValues) -> Result<(), String>;

    /// The resource's values after `changes`, checked. An implementor knows what lists append and
    /// subtract start from where the resource has no value of its own.
    fn alter(
        &self,
        resource: &ConfigResource,
        current: &ConfigValues,
        changes: &[ConfigChange],
    ) -> Result<ConfigValues, String>;
}

/// Rules that know no keys: every value is fine, every value may be a comma-separated list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainConfigRules;

impl ConfigRules for PlainConfigRules {
    fn validate(&self, _: &ConfigResource, _: &ConfigValues) -> Result<(), String> {
        Ok(())
    }

    fn alter(
        &self,
        _: &ConfigResource,
        current: &ConfigValues,
        changes: &[ConfigChange],
    ) -> Result<ConfigValues, String> {
        let mut values = current.clone();
        for change in changes {
            match plain_change(&values, change)? {
                Some(value) => values.insert(change.name.clone(), value),
                None => values.remove(&change.name),
            };
        }
        Ok(values)
    }
}

/// The key's value after the change.
fn plain_change(values: &ConfigValues, change: &ConfigChange) -> Result<Option<String>, String> {
    let name = &change.name;
    let given = || change.value.as_deref().ok_or_else(|| format!("{name} needs a value"));
    let mut list: Vec<&str> = match values.get(name) {
        Some(value) => value.split(',').filter(|item| !item.is_empty()).collect(),
        None => Vec::new(),
    };
    match change.operation {
        ConfigOperation::Set => Ok(Some(given()?.to_owned())),
        ConfigOperation::Delete => Ok(None),
        ConfigOperation::Append => {
            for item in given()?.split(',') {
                if !list.contains(&item) {
                    list.push(item);
                }
            }
            Ok(Some(list.join(",")))
        }
        ConfigOperation::Subtract => {
            let removed: Vec<&str> = given()?.split(',').collect();
            list.retain(|item| !removed.contains(item));
            Ok(Some(list.join(",")))
        }
    }
}
