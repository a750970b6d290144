//! The table of keys, as the metadata's rules ask for it.

use config::{AlterOp, Alteration, Properties};
use metadata::{ConfigChange, ConfigOperation, ConfigResource, ConfigRules, ConfigValues};

/// Checks by the table. What a list without a value of its own starts from is this node's file;
/// files of one cluster agree on such keys.
pub(super) struct TableRules {
    pub(super) fixed: Properties,
}

impl ConfigRules for TableRules {
    fn validate(&self, resource: &ConfigResource, values: &ConfigValues) -> Result<(), String> {
        match resource {
            ConfigResource::Topic(_) => config::validate_topic(values),
            ConfigResource::Broker(_) => config::validate_broker(values, false),
            ConfigResource::ClusterDefault => config::validate_broker(values, true),
        }
        .map_err(|error| error.to_string())
    }

    fn alter(
        &self,
        resource: &ConfigResource,
        current: &ConfigValues,
        changes: &[ConfigChange],
    ) -> Result<ConfigValues, String> {
        let changes: Vec<Alteration> = changes.iter().map(alteration).collect();
        match resource {
            ConfigResource::Topic(_) => config::alter_topic(current, &changes, &self.fixed),
            ConfigResource::Broker(_) => {
                config::alter_broker(current, &changes, &self.fixed, false)
            }
            ConfigResource::ClusterDefault => {
                config::alter_broker(current, &changes, &self.fixed, true)
            }
        }
        .map_err(|error| error.to_string())
    }
}

fn alteration(change: &ConfigChange) -> Alteration {
    let op = match change.operation {
        ConfigOperation::Set => AlterOp::Set,
        ConfigOperation::Delete => AlterOp::Delete,
        ConfigOperation::Append => AlterOp::Append,
        ConfigOperation::Subtract => AlterOp::Subtract,
    };
    Alteration { name: change.name.clone(), op, value: change.value.clone() }
}
