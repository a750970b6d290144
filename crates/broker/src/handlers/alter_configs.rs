//! AlterConfigs: replaces all dynamic values of resources. Old clients only; Kafka's own tools use
//! IncrementalAlterConfigs.

use super::RequestContext;
use super::config_resources::resource;
use super::submit::{error_of, submit, unexpected};
use crate::context::BrokerContext;
use metadata::{Command, ConfigOutcome, ConfigReplacement, ConfigResource, Refusal, Reply};
use types::ErrorCode;
use wire::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

/// Neither request carries a time limit.
pub const TIMEOUT_MS: i32 = 10_000;

pub async fn handle(ctx: &RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let parsed: Vec<_> = request.resources.iter().map(replacement).collect();
    let resources = parsed.iter().flatten().cloned().collect();
    let validate_only = request.validate_only;
    let command = Command::AlterConfigs { resources, validate_only };
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
    AlterConfigsResponse { responses: responses.collect(), ..Default::default() }
}

fn replacement(wanted: &AlterConfigsResource) -> Result<ConfigReplacement, Refusal> {
    let resource = resource(wanted.resource_type, &wanted.resource_name)?;
    let configs = wanted.configs.iter().map(|config| match &config.value {
        Some(value) => Ok((config.name.as_str().to_owned(), Some(value.as_str().to_owned()))),
        None => Err(no_value(&config.name)),
    });
    Ok(ConfigReplacement { resource, configs: configs.collect::<Result<_, _>>()? })
}

/// Null is no value; what is not to be set is deleted, or left out.
pub(super) fn no_value(name: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, format!("{name} needs a value"))
}

/// Submits an alteration and gives each resource of the request its outcome, in the order of the
/// request: its own refusal, or what the controller said.
pub(super) async fn alter<'a>(
    ctx: &BrokerContext,
    resources: impl Iterator<Item = Result<&'a ConfigResource, &'a Refusal>>,
    command: Command,
) -> Vec<Result<(), Refusal>> {
    let resources: Vec<_> = resources.collect();
    let altered: Result<Vec<ConfigOutcome>, Refusal> = if resources.iter().all(Result::is_err) {
        Ok(Vec::new())
    } else {
        match submit(ctx, command, TIMEOUT_MS).await {
            Ok(Reply::ConfigsAltered(outcomes)) => Ok(outcomes),
            Ok(reply) => Err(unexpected(&reply)),
            Err(refusal) => Err(refusal),
        }
    };
    merge(&resources, altered)
}

/// The controller answers in the order asked, for those resources that could be asked.
fn merge(
    resources: &[Result<&ConfigResource, &Refusal>],
    altered: Result<Vec<ConfigOutcome>, Refusal>,
) -> Vec<Result<(), Refusal>> {
    let (mut outcomes, whole) = match altered {
        Ok(outcomes) => (outcomes.into_iter(), None),
        Err(refusal) => (Vec::new().into_iter(), Some(refusal)),
    };
    let merged = resources.iter().map(|resource| match (resource, &whole) {
        (Err(refusal), _) => Err((*refusal).clone()),
        (Ok(_), Some(refusal)) => Err(refusal.clone()),
        (Ok(_), None) => match outcomes.next() {
            Some(outcome) => outcome.outcome,
            None => Err(unexpected(&Reply::ConfigsAltered(Vec::new()))),
        },
    });
    merged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_gets_its_own_outcome_in_the_order_asked() {
        let topic = ConfigResource::Topic("t".to_owned());
        let bad = Refusal::new(ErrorCode::InvalidRequest, "bad");
        let config = Refusal::new(ErrorCode::InvalidConfig, "worse");
        let asked = [Ok(&topic), Err(&bad), Ok(&topic)];
        let outcome = |outcome| ConfigOutcome { resource: topic.clone(), outcome };
        let outcomes = vec![outcome(Ok(())), outcome(Err(config.clone()))];
        let merged = merge(&asked, Ok(outcomes));
        assert_eq!(merged, [Ok(()), Err(bad.clone()), Err(config.clone())]);
        let refused = merge(&asked, Err(config.clone()));
        assert_eq!(refused, [Err(config.clone()), Err(bad), Err(config)]);
    }
}
