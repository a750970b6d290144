//! DescribeConfigs: values in force and where they come from, of topics and brokers.

use super::RequestContext;
use super::config_resources::{check_exists, layers, resource};
use crate::context::BrokerContext;
use config::Entry;
use metadata::{ConfigResource, Image, Refusal};
use types::ErrorCode;
use wire::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

pub async fn handle(
    ctx: &RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let image = ctx.broker.image.load();
    let show =
        Show { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.iter().map(|wanted| {
        let outcome = describe(&ctx.broker, &image, wanted);
        let (error_code, error_message, entries) = match outcome {
            Ok(entries) => (0, None, entries),
            Err(refusal) => (refusal.code.into(), Some(refusal.message.into()), Vec::new()),
        };
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: wanted.resource_type,
            resource_name: wanted.resource_name.clone(),
            configs: entries.into_iter().map(|entry| show.entry(entry)).collect(),
        }
    });
    DescribeConfigsResponse { results: results.collect(), ..Default::default() }
}

fn describe(
    ctx: &BrokerContext,
    image: &Image,
    wanted: &DescribeConfigsResource,
) -> Result<Vec<Entry>, Refusal> {
    let resource = resource(wanted.resource_type, &wanted.resource_name)?;
    // An empty list asks for all, as null does.
    let keys = wanted.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
    let names: Option<Vec<&str>> = keys.map(|keys| keys.iter().map(|key| &**key).collect());
    entries(ctx, image, &resource, names.as_deref())
}

/// The configuration of a resource, as this broker sees it.
pub fn entries(
    ctx: &BrokerContext,
    image: &Image,
    resource: &ConfigResource,
    only: Option<&[&str]>,
) -> Result<Vec<Entry>, Refusal> {
    check_exists(image, resource)?;
    let layers = layers(ctx, image, resource);
    match resource {
        ConfigResource::Topic(_) => Ok(config::describe_topic(&layers, only)),
        ConfigResource::ClusterDefault => Ok(config::describe_broker(&layers, only, true)),
        ConfigResource::Broker(id) if *id == ctx.node_id => {
            Ok(config::describe_broker(&layers, only, false))
        }
        // What a broker's own file says, only that broker knows: clients ask it directly.
        ConfigResource::Broker(id) => {
            let message = format!("unexpected broker id {id}: this is broker {}", ctx.node_id);
            Err(Refusal::new(ErrorCode::InvalidRequest, message))
        }
    }
}

/// What the client wants to see of each entry.
struct Show {
    synonyms: bool,
    documentation: bool,
}

impl Show {
    fn entry(&self, entry: Entry) -> DescribeConfigsResourceResult {
        let synonyms = if self.synonyms { entry.synonyms } else { Vec::new() };
        let synonyms = synonyms.into_iter().map(|synonym| DescribeConfigsSynonym {
            name: synonym.name.into(),
            value: synonym.value.map(Into::into),
            source: synonym.source as i8,
        });
        DescribeConfigsResourceResult {
            name: entry.name.into(),
            value: entry.value.map(Into::into),
            read_only: entry.read_only,
            config_source: entry.source as i8,
            is_sensitive: entry.sensitive,
            synonyms: synonyms.collect(),
            config_type: entry.kind as i8,
            documentation: self.documentation.then(|| entry.doc.into()),
        }
    }
}
