//! Changing dynamic configuration: the checks of CreateTopics, AlterConfigs and
//! IncrementalAlterConfigs. Pure: the caller stores the result.

use crate::{ConfigError, Overrides, Properties};

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
    let _ = values;
    todo!()
}

/// Checks a broker's whole set of dynamic values. `cluster_wide`: for all brokers (empty name).
pub fn validate_broker(values: &Overrides, cluster_wide: bool) -> Result<(), ConfigError> {
    let _ = (values, cluster_wide);
    todo!()
}

/// The topic's values after `changes`. Lists are appended to and subtracted from the value in
/// force (own value, else the broker's `fixed` one, else the default).
pub fn alter_topic(
    current: &Overrides,
    changes: &[Alteration],
    fixed: &Properties,
) -> Result<Overrides, ConfigError> {
    let _ = (current, changes, fixed);
    todo!()
}

/// The broker's dynamic values after `changes`.
pub fn alter_broker(
    current: &Overrides,
    changes: &[Alteration],
    fixed: &Properties,
    cluster_wide: bool,
) -> Result<Overrides, ConfigError> {
    let _ = (current, changes, fixed, cluster_wide);
    todo!()
}
