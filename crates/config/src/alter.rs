//! Changing dynamic configuration: the checks of CreateTopics, AlterConfigs and
//! IncrementalAlterConfigs. Pure: the caller stores the result.

use crate::key::split_list;
use crate::{ConfigError, Dynamic, Key, Kind, Layers, Overrides, Properties, keys};

/// What IncrementalAlterConfigs asks for one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AlterOp {
    Set,
    Delete,
    Append,
    Subtract,
}

impl AlterOp {
    /// Kafka's number on the wire (0 set, 1 delete, 2 append, 3 subtract).
    pub fn from_code(code: i8) -> Option<AlterOp> {
        match code {
            0 => Some(AlterOp::Set),
            1 => Some(AlterOp::Delete),
            2 => Some(AlterOp::Append),
            3 => Some(AlterOp::Subtract),
            _ => None,
        }
    }
}

/// One change of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alteration {
    pub name: String,
    pub op: AlterOp,
    /// Needed by all but `Delete`.
    pub value: Option<String>,
}

/// Checks all values given at a topic's creation, or by AlterConfigs, which replaces all.
pub fn validate_topic(values: &Overrides) -> Result<(), ConfigError> {
    for (name, value) in values {
        topic_key(name)?.check(value)?;
    }
    check_compaction_lags(values)
}

/// Checks a broker's whole set of dynamic values. `cluster_wide`: for all brokers (empty name).
pub fn validate_broker(values: &Overrides, cluster_wide: bool) -> Result<(), ConfigError> {
    for (name, value) in values {
        broker_key(name, cluster_wide)?.check(value)?;
        check_while_running(name, value)?;
    }
    Ok(())
}

/// The topic's values after `changes`. A key that is not known can be deleted: who resets all keys
/// may be newer than the cluster. Lists are appended to and subtracted from the value in
/// force (own value, else the broker's `fixed` one, else the default).
pub fn alter_topic(
    current: &Overrides,
    changes: &[Alteration],
    fixed: &Properties,
) -> Result<Overrides, ConfigError> {
    let mut values = current.clone();
    check_named_once(changes)?;
    for change in changes {
        if change.op == AlterOp::Delete && keys::find_topic(&change.name).is_none() {
            values.remove(&change.name);
            continue;
        }
        let key = topic_key(&change.name)?;
        let in_force = Layers { topic: current, ..Layers::fixed(fixed) }.topic_value(key.name);
        apply(&mut values, key, change, in_force)?;
    }
    check_compaction_lags(&values)?;
    Ok(values)
}

/// The broker's dynamic values after `changes`.
pub fn alter_broker(
    current: &Overrides,
    changes: &[Alteration],
    fixed: &Properties,
    cluster_wide: bool,
) -> Result<Overrides, ConfigError> {
    let mut values = current.clone();
    check_named_once(changes)?;
    for change in changes {
        if change.op == AlterOp::Delete && keys::find_broker(&change.name).is_none() {
            values.remove(&change.name);
            continue;
        }
        let key = broker_key(&change.name, cluster_wide)?;
        let in_force = Layers { broker: current, ..Layers::fixed(fixed) }.broker_value(key.name);
        apply(&mut values, key, change, in_force)?;
        if let Some(value) = values.get(key.name) {
            check_while_running(key.name, value)?;
        }
    }
    Ok(values)
}

/// What a node's file may say, but nobody may set while nodes run (as Kafka has it): compacted topics
/// would grow without bound, and nothing would tell.
fn check_while_running(name: &str, value: &str) -> Result<(), ConfigError> {
    if name == "log.cleaner.threads" && value.trim().parse() == Ok(0) {
        return Err(ConfigError::InvalidValue {
            name: name.to_owned(),
            value: value.to_owned(),
            reason: "must be at least 1 while the node runs".to_owned(),
        });
    }
    Ok(())
}

fn topic_key(name: &str) -> Result<&'static Key, ConfigError> {
    keys::find_topic(name).ok_or_else(|| ConfigError::UnknownKey {
        name: name.to_owned(),
        nearest: keys::nearest_topic(name),
    })
}

fn broker_key(name: &str, cluster_wide: bool) -> Result<&'static Key, ConfigError> {
    let key = keys::find_broker(name).ok_or_else(|| ConfigError::UnknownKey {
        name: name.to_owned(),
        nearest: keys::nearest_broker(name),
    })?;
    let reason = match key.dynamic {
        Dynamic::ReadOnly => "it is read at the start only",
        Dynamic::PerBroker if cluster_wide => "it is set for each broker on its own",
        Dynamic::PerBroker | Dynamic::ClusterWide => return Ok(key),
    };
    Err(ConfigError::NotDynamic { name: name.to_owned(), reason: reason.to_owned() })
}

fn check_named_once(changes: &[Alteration]) -> Result<(), ConfigError> {
    let mut names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(ConfigError::Conflict(format!("key {} is changed twice in one request", pair[0])))
        }
        None => Ok(()),
    }
}

fn apply(
    values: &mut Overrides,
    key: &'static Key,
    change: &Alteration,
    in_force: Option<String>,
) -> Result<(), ConfigError> {
    let given = || {
        change.value.as_deref().ok_or_else(|| ConfigError::InvalidValue {
            name: change.name.clone(),
            value: "null".to_owned(),
            reason: "a value is needed".to_owned(),
        })
    };
    let value = match change.op {
        AlterOp::Delete => {
            values.remove(key.name);
            return Ok(());
        }
        AlterOp::Set => given()?.trim().to_owned(),
        AlterOp::Append | AlterOp::Subtract if key.kind != Kind::List => {
            return Err(ConfigError::NotAList { name: change.name.clone() });
        }
        AlterOp::Append => appended(&in_force.unwrap_or_default(), given()?),
        AlterOp::Subtract => subtracted(&in_force.unwrap_or_default(), given()?),
    };
    key.check(&value)?;
    values.insert(key.name.to_owned(), value);
    Ok(())
}

fn appended(current: &str, added: &str) -> String {
    let mut elements = split_list(current);
    for element in split_list(added) {
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements.join(",")
}

fn subtracted(current: &str, removed: &str) -> String {
    let removed = split_list(removed);
    let mut elements = split_list(current);
    elements.retain(|element| !removed.contains(element));
    elements.join(",")
}

fn check_compaction_lags(values: &Overrides) -> Result<(), ConfigError> {
    let number = |name: &str| values.get(name).and_then(|value| value.trim().parse::<i64>().ok());
    match (number("min.compaction.lag.ms"), number("max.compaction.lag.ms")) {
        (Some(min), Some(max)) if min > max => Err(ConfigError::Conflict(format!(
            "min.compaction.lag.ms {min} must not be above max.compaction.lag.ms {max}"
        ))),
        _ => Ok(()),
    }
}
