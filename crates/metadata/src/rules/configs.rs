//! IncrementalAlterConfigs and AlterConfigs.

use super::elections::{UNCLEAN_LEADER_ELECTION, elect_leaderless, review_eligible};
use crate::draft::Draft;
use crate::image::MIN_INSYNC_REPLICAS;
use crate::{
    ConfigAlteration, ConfigOutcome, ConfigReplacement, ConfigResource, ConfigValues, Record,
    Refusal, Reply,
};
use std::collections::BTreeSet;
use types::ErrorCode;

/// Each resource succeeds or fails on its own, with all of its changes.
pub fn alter_incrementally(
    draft: &mut Draft<'_>,
    resources: &[ConfigAlteration],
    validate_only: bool,
) -> Reply {
    let names: Vec<&ConfigResource> = resources.iter().map(|item| &item.resource).collect();
    run(draft, &names, validate_only, |draft, index| {
        let ConfigAlteration { resource, changes } = &resources[index];
        check_keys(changes.iter().map(|change| change.name.as_str()))?;
        let current = draft.image().configs(resource);
        let altered = draft.context.config_rules.alter(resource, current, changes);
        altered.map_err(|message| invalid(resource, message))
    })
}

/// The values of each resource become those given, and no others.
pub fn replace(
    draft: &mut Draft<'_>,
    resources: &[ConfigReplacement],
    validate_only: bool,
) -> Reply {
    let names: Vec<&ConfigResource> = resources.iter().map(|item| &item.resource).collect();
    run(draft, &names, validate_only, |draft, index| {
        let ConfigReplacement { resource, configs } = &resources[index];
        check_keys(configs.iter().map(|(name, _)| name.as_str()))?;
        let given = |(name, value): &(String, Option<String>)| Some((name.clone(), value.clone()?));
        let values: ConfigValues = configs.iter().filter_map(given).collect();
        let valid = draft.context.config_rules.validate(resource, &values);
        valid.map_err(|message| invalid(resource, message))?;
        Ok(values)
    })
}

/// A value that the table refuses. Kafka calls that of a broker an invalid request.
fn invalid(resource: &ConfigResource, message: String) -> Refusal {
    let code = match resource {
        ConfigResource::Topic(_) => ErrorCode::InvalidConfig,
        ConfigResource::Broker(_) | ConfigResource::ClusterDefault => ErrorCode::InvalidRequest,
    };
    Refusal::new(code, message)
}

/// Decides each resource with `values_of` (its values afterwards) and writes what differs.
fn run<'a>(
    draft: &mut Draft<'a>,
    resources: &[&ConfigResource],
    validate_only: bool,
    values_of: impl Fn(&Draft<'a>, usize) -> Result<ConfigValues, Refusal>,
) -> Reply {
    let decide_all = |draft: &mut Draft<'a>| {
        let mut outcomes = Vec::with_capacity(resources.len());
        for (index, resource) in resources.iter().enumerate() {
            let outcome = check_resource(draft, resources, resource)
                .and_then(|()| values_of(draft, index))
                .and_then(|values| keeps_minimum(draft, resource, values))
                .map(|values| write(draft, resource, &values));
            outcomes.push(ConfigOutcome { resource: (*resource).clone(), outcome });
        }
        outcomes
    };
    let outcomes = if validate_only { draft.dry_run(decide_all) } else { decide_all(draft) };
    Reply::ConfigsAltered(outcomes)
}

fn check_resource(
    draft: &Draft<'_>,
    resources: &[&ConfigResource],
    resource: &ConfigResource,
) -> Result<(), Refusal> {
    if resources.iter().filter(|other| **other == resource).count() > 1 {
        let message = format!("{resource} is named twice in the request");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    match resource {
        ConfigResource::Topic(name) if draft.image().topic_id(name).is_none() => {
            let message = format!("topic {name} does not exist");
            Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, message))
        }
        ConfigResource::Broker(id) if draft.image().broker(*id).is_none() => {
            let message = format!("broker {id} is not registered");
            Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, message))
        }
        ConfigResource::Topic(_) | ConfigResource::Broker(_) | ConfigResource::ClusterDefault => {
            Ok(())
        }
    }
}

fn check_keys<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            let message = format!("{name} is given twice");
            return Err(Refusal::new(ErrorCode::InvalidRequest, message));
        }
    }
    Ok(())
}

/// The cluster's `min.insync.replicas` may change, not go: what each node's file says instead is not
/// known here, so nobody would be an eligible leader (Kafka refuses the same).
fn keeps_minimum(
    draft: &Draft<'_>,
    resource: &ConfigResource,
    values: ConfigValues,
) -> Result<ConfigValues, Refusal> {
    let had_it = draft.image().configs(resource).contains_key(MIN_INSYNC_REPLICAS);
    let goes = had_it && !values.contains_key(MIN_INSYNC_REPLICAS);
    match resource {
        ConfigResource::ClusterDefault if goes => {
            let message =
                format!("{MIN_INSYNC_REPLICAS} of all brokers cannot be removed, only set");
            Err(Refusal::new(ErrorCode::InvalidConfig, message))
        }
        ConfigResource::ClusterDefault | ConfigResource::Broker(_) | ConfigResource::Topic(_) => {
            Ok(values)
        }
    }
}

/// Writes the difference between the resource's values and `values`.
fn write(draft: &mut Draft<'_>, resource: &ConfigResource, values: &ConfigValues) {
    let current = draft.image().configs(resource).clone();
    for name in current.keys().filter(|name| !values.contains_key(*name)) {
        let (resource, name) = (resource.clone(), name.clone());
        draft.push(Record::Config { resource, name, value: None });
    }
    for (name, value) in values.iter().filter(|(name, value)| current.get(*name) != Some(value)) {
        let (resource, name, value) = (resource.clone(), name.clone(), Some(value.clone()));
        draft.push(Record::Config { resource, name, value });
    }
    let differs = |key: &str| current.get(key) != values.get(key);
    if differs(MIN_INSYNC_REPLICAS) {
        review_eligible(draft, |topic| match resource {
            ConfigResource::Topic(name) => topic.name == *name,
            ConfigResource::ClusterDefault | ConfigResource::Broker(_) => true,
        });
    }
    if differs(UNCLEAN_LEADER_ELECTION) {
        // Partitions that wait for an ISR member may now take any replica: do it at once.
        elect_leaderless(draft, |_, topic| match resource {
            ConfigResource::Topic(name) => topic.name == *name,
            ConfigResource::ClusterDefault => true,
            ConfigResource::Broker(_) => false,
        });
    }
}
