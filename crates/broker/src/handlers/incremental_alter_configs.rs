//! IncrementalAlterConfigs: sets, removes, appends to and subtracts from single values.

use super::RequestContext;
use super::alter_configs::{alter, no_value};
use super::config_resources::resource;
use super::submit::error_of;
use metadata::{Command, ConfigAlteration, ConfigChange, ConfigOperation, Refusal};
use types::ErrorCode;
use wire::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

pub async fn handle(
    ctx: &RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let parsed: Vec<_> = request.resources.iter().map(alteration).collect();
    let resources = parsed.iter().flatten().cloned().collect();
    let validate_only = request.validate_only;
    let command = Command::IncrementalAlterConfigs { resources, validate_only };
    let resources = parsed.iter().map(|item| item.as_ref().map(|item| &item.resource));
    let outcomes = alter(&ctx.broker, resources, command).await;
    let responses = request.resources.iter().zip(outcomes).map(|(resource, outcome)| {
        let (error_code, error_message) = error_of(&outcome);
        AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.clone(),
        }
    });
    IncrementalAlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn alteration(wanted: &AlterConfigsResource) -> Result<ConfigAlteration, Refusal> {
    let resource = resource(wanted.resource_type, &wanted.resource_name)?;
    let changes = wanted.configs.iter().map(change).collect::<Result<_, _>>()?;
    Ok(ConfigAlteration { resource, changes })
}

fn change(config: &AlterableConfig) -> Result<ConfigChange, Refusal> {
    let Some(operation) = operation(config.config_operation) else {
        let text = format!("unknown operation {} on {}", config.config_operation, config.name);
        return Err(Refusal::new(ErrorCode::InvalidRequest, text));
    };
    if operation != ConfigOperation::Delete && config.value.is_none() {
        return Err(no_value(&config.name));
    }
    Ok(ConfigChange {
        name: config.name.as_str().to_owned(),
        operation,
        value: config.value.as_ref().map(|value| value.as_str().to_owned()),
    })
}

/// Kafka's numbers.
fn operation(code: i8) -> Option<ConfigOperation> {
    match code {
        0 => Some(ConfigOperation::Set),
        1 => Some(ConfigOperation::Delete),
        2 => Some(ConfigOperation::Append),
        3 => Some(ConfigOperation::Subtract),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_operation_refuses_its_resource() {
        let wanted = |operation| AlterConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configs: vec![AlterableConfig {
                name: "retention.ms".into(),
                config_operation: operation,
                value: Some("1".into()),
            }],
        };
        let set = alteration(&wanted(0)).expect("known");
        assert_eq!(set.changes[0].operation, ConfigOperation::Set);
        let refusal = alteration(&wanted(4)).expect_err("unknown");
        assert_eq!(refusal.code, ErrorCode::InvalidRequest);
        for (operation, is_fine) in [(0, false), (1, true), (2, false), (3, false)] {
            let mut without = wanted(operation);
            without.configs[0].value = None;
            assert_eq!(alteration(&without).is_ok(), is_fine, "operation {operation} of null");
        }
    }
}
