//! Configuration rules for tests: a handful of keys, one of them checked.

use metadata::{ConfigChange, ConfigResource, ConfigRules, ConfigValues, PlainConfigRules};

const KEYS: [&str; 5] = [
    "cleanup.policy",
    "log.cleaner.threads",
    "min.insync.replicas",
    "retention.ms",
    "unclean.leader.election.enable",
];

pub struct TestRules;

impl ConfigRules for TestRules {
    fn validate(&self, _: &ConfigResource, values: &ConfigValues) -> Result<(), String> {
        for (name, value) in values {
            if !KEYS.contains(&name.as_str()) {
                return Err(format!("unknown key {name}"));
            }
            if name == "retention.ms" && value.parse::<i64>().is_err() {
                return Err(format!("invalid value {value} for {name}"));
            }
        }
        Ok(())
    }

    fn alter(
        &self,
        resource: &ConfigResource,
        current: &ConfigValues,
        changes: &[ConfigChange],
    ) -> Result<ConfigValues, String> {
        let values = PlainConfigRules.alter(resource, current, changes)?;
        self.validate(resource, &values)?;
        Ok(values)
    }
}
