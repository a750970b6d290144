//! `ottla configs`: show and change configs while the cluster runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use client::Client;
use client::admin::{
    ConfigChange, ConfigEntry, ConfigOperation, ConfigResource, ConfigResourceKind,
};

use super::common::{Connect, join, read_properties};
use super::{Context, ToolError};

/// Show and change configs of topics, brokers and groups while the cluster runs
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ottla configs --describe --topic orders
  ottla configs --describe --all --broker 1
  ottla configs --alter --topic orders --add-config retention.ms=3600000,cleanup.policy=[delete,compact]
  ottla configs --alter --topic orders --delete-config retention.ms
  ottla configs --alter --broker-defaults --add-config log.cleaner.threads=2")]
#[command(group(clap::ArgGroup::new("action").required(true).args(["describe", "alter"])))]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
    /// Show configs: those that were changed, or with --all every one
    #[arg(long, help_heading = "Actions")]
    describe: bool,
    /// Change configs
    #[arg(long, help_heading = "Actions")]
    alter: bool,
    /// Show defaults and static configs too
    #[arg(long, requires = "describe")]
    all: bool,
    /// Whose configs: topics, brokers, broker-loggers, client-metrics or groups
    #[arg(long, value_name = "TYPE", help_heading = "Whose configs")]
    entity_type: Option<String>,
    /// The topic's, broker's or group's name; without it all of the type are described
    #[arg(long, value_name = "NAME", requires = "entity_type", help_heading = "Whose configs")]
    entity_name: Option<String>,
    /// The default for all entities of the type (brokers only)
    #[arg(long, requires = "entity_type", conflicts_with = "entity_name")]
    #[arg(help_heading = "Whose configs")]
    entity_default: bool,
    /// This topic's configs
    #[arg(long, value_name = "TOPIC", help_heading = "Whose configs")]
    topic: Option<String>,
    /// This broker's configs
    #[arg(long, value_name = "ID", help_heading = "Whose configs")]
    broker: Option<String>,
    /// The default for all brokers
    #[arg(long, help_heading = "Whose configs")]
    broker_defaults: bool,
    /// This broker's log levels
    #[arg(long, value_name = "ID", help_heading = "Whose configs")]
    broker_logger: Option<String>,
    /// This group's configs
    #[arg(long, value_name = "GROUP", help_heading = "Whose configs")]
    group: Option<String>,
    /// This client-metrics subscription's configs
    #[arg(long, value_name = "NAME", help_heading = "Whose configs")]
    client_metrics: Option<String>,
    /// Configs to set; a value with commas goes into brackets
    #[arg(long, value_name = "K=V,K=[V,W],...", requires = "alter")]
    add_config: Option<String>,
    /// Properties file with configs to set
    #[arg(long, value_name = "FILE", requires = "alter")]
    add_config_file: Option<PathBuf>,
    /// Configs to return to their defaults
    #[arg(long, value_name = "KEY,...", requires = "alter")]
    delete_config: Vec<String>,
}

/// The plural in which Kafka names a kind of entity.
fn plural(kind: ConfigResourceKind) -> &'static str {
    match kind {
        ConfigResourceKind::Topic => "topics",
        ConfigResourceKind::Broker => "brokers",
        ConfigResourceKind::BrokerLogger => "broker-loggers",
        ConfigResourceKind::ClientMetrics => "client-metrics",
        ConfigResourceKind::Group => "groups",
    }
}

/// The name without its last letter, as Kafka prints it.
fn singular(kind: ConfigResourceKind) -> &'static str {
    let plural = plural(kind);
    &plural[..plural.len() - 1]
}

/// The source number of a config set for this very resource.
fn own_source(resource: &ConfigResource) -> Option<i8> {
    match resource.kind {
        ConfigResourceKind::Topic => Some(1),
        ConfigResourceKind::Broker if resource.name.is_empty() => Some(3),
        ConfigResourceKind::Broker => Some(2),
        ConfigResourceKind::BrokerLogger => None,
        ConfigResourceKind::ClientMetrics => Some(7),
        ConfigResourceKind::Group => Some(8),
    }
}

fn source_name(source: i8) -> &'static str {
    match source {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

pub(super) async fn run(args: Args, mut context: Context<'_>) -> Result<(), ToolError> {
    let (kind, name) = entity(&args)?;
    let client = args.connect.client(&context.env, "ottla-configs")?;
    let result = if args.alter {
        alter(&args, kind, name, &client, &mut context).await
    } else {
        describe(&args, kind, name, &client, &mut context).await
    };
    client.close().await;
    result
}

/// The kind and name that the arguments mean. An empty name is the default for all.
fn entity(args: &Args) -> Result<(ConfigResourceKind, Option<String>), ToolError> {
    let mut found = Vec::new();
    if let Some(plural) = &args.entity_type {
        let name = if args.entity_default { Some(String::new()) } else { args.entity_name.clone() };
        found.push((kind_of(plural)?, name));
    }
    let shortcuts = [
        (ConfigResourceKind::Topic, &args.topic),
        (ConfigResourceKind::Broker, &args.broker),
        (ConfigResourceKind::BrokerLogger, &args.broker_logger),
        (ConfigResourceKind::Group, &args.group),
        (ConfigResourceKind::ClientMetrics, &args.client_metrics),
    ];
    for (kind, name) in shortcuts {
        if let Some(name) = name {
            found.push((kind, Some(name.clone())));
        }
    }
    if args.broker_defaults {
        found.push((ConfigResourceKind::Broker, Some(String::new())));
    }
    match (found.pop(), found.is_empty()) {
        (Some(entity), true) => Ok(entity),
        (Some(_), false) => Err(ToolError::Invalid("name one entity only".to_owned())),
        (None, _) => Err(ToolError::Invalid(
            "say whose configs: --topic, --broker, --broker-defaults, --group or --entity-type"
                .to_owned(),
        )),
    }
}

fn kind_of(plural: &str) -> Result<ConfigResourceKind, ToolError> {
    match plural {
        "topics" => Ok(ConfigResourceKind::Topic),
        "brokers" => Ok(ConfigResourceKind::Broker),
        "broker-loggers" => Ok(ConfigResourceKind::BrokerLogger),
        "client-metrics" => Ok(ConfigResourceKind::ClientMetrics),
        "groups" => Ok(ConfigResourceKind::Group),
        "users" | "clients" | "ips" => {
            Err(ToolError::Invalid(format!("quotas of {plural} are not supported yet")))
        }
        _ => Err(ToolError::Invalid(format!(
            "no such entity type: {plural} (topics, brokers, broker-loggers, client-metrics, groups)"
        ))),
    }
}

async fn describe(
    args: &Args,
    kind: ConfigResourceKind,
    name: Option<String>,
    client: &Client,
    context: &mut Context<'_>,
) -> Result<(), ToolError> {
    let names = match name {
        Some(name) => vec![name],
        None => all_names(kind, client).await?,
    };
    for name in names {
        let resource = ConfigResource { kind, name };
        if resource.name.is_empty() {
            writeln!(context.out, "Default configs for {} in the cluster are:", plural(kind))?;
        } else {
            let which = if args.all { "All" } else { "Dynamic" };
            let entity = singular(kind);
            writeln!(context.out, "{which} configs for {entity} {} are:", resource.name)?;
        }
        let mut entries = client.describe_configs(&resource).await?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let own = own_source(&resource);
        for entry in entries {
            if args.all || own.is_none_or(|own| entry.source == own) {
                writeln!(context.out, "{}", entry_line(&entry))?;
            }
        }
    }
    Ok(())
}

async fn all_names(kind: ConfigResourceKind, client: &Client) -> Result<Vec<String>, ToolError> {
    match kind {
        ConfigResourceKind::Topic => {
            let topics = client.list_topics(true).await?;
            Ok(topics.into_iter().map(|topic| topic.name).collect())
        }
        ConfigResourceKind::Broker | ConfigResourceKind::BrokerLogger => {
            let cluster = client.describe_cluster().await?;
            let mut names: Vec<String> =
                cluster.brokers.iter().map(|broker| broker.id.to_string()).collect();
            if kind == ConfigResourceKind::Broker {
                names.push(String::new());
            }
            Ok(names)
        }
        ConfigResourceKind::Group => {
            let groups = client.list_groups().await?;
            Ok(groups.into_iter().map(|group| group.group_id).collect())
        }
        ConfigResourceKind::ClientMetrics => {
            Err(ToolError::Invalid("name the client-metrics subscription".to_owned()))
        }
    }
}

fn entry_line(entry: &ConfigEntry) -> String {
    let synonyms = entry.synonyms.iter().map(|synonym| {
        let value = synonym.value.as_deref().unwrap_or("null");
        format!("{}:{}={value}", source_name(synonym.source), synonym.name)
    });
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        entry.value.as_deref().unwrap_or("null"),
        entry.is_sensitive,
        join(synonyms, ", ")
    )
}

async fn alter(
    args: &Args,
    kind: ConfigResourceKind,
    name: Option<String>,
    client: &Client,
    context: &mut Context<'_>,
) -> Result<(), ToolError> {
    let Some(name) = name else {
        return Err(ToolError::Invalid("name the entity whose configs change".to_owned()));
    };
    let mut set = match &args.add_config_file {
        Some(path) => read_properties(&context.env, path)?,
        None => BTreeMap::new(),
    };
    if let Some(text) = &args.add_config {
        set.extend(parse_configs(text)?);
    }
    let deleted = args.delete_config.iter().flat_map(|keys| keys.split(','));
    let deleted: Vec<String> = deleted.map(|key| key.trim().to_owned()).collect();
    if set.is_empty() && deleted.is_empty() {
        let text = "nothing to change: give --add-config, --add-config-file or --delete-config";
        return Err(ToolError::Invalid(text.to_owned()));
    }
    let resource = ConfigResource { kind, name };
    check_deleted(client, &resource, &deleted).await?;
    let set = set.into_iter().map(|(name, value)| ConfigChange {
        name,
        operation: ConfigOperation::Set,
        value: Some(value),
    });
    let delete = deleted.into_iter().map(|name| ConfigChange {
        name,
        operation: ConfigOperation::Delete,
        value: None,
    });
    client.alter_configs(&resource, &set.chain(delete).collect::<Vec<_>>()).await?;
    if resource.name.is_empty() {
        let plural = plural(kind);
        writeln!(context.out, "Completed updating default config for {plural} in the cluster.")?;
    } else {
        let entity = singular(kind);
        writeln!(context.out, "Completed updating config for {entity} {}.", resource.name)?;
    }
    Ok(())
}

/// A config that is not set cannot be deleted: most likely its name is misspelt.
async fn check_deleted(
    client: &Client,
    resource: &ConfigResource,
    deleted: &[String],
) -> Result<(), ToolError> {
    if deleted.is_empty() {
        return Ok(());
    }
    let own = own_source(resource);
    let entries = client.describe_configs(resource).await?;
    let is_set = |key: &str| {
        entries.iter().any(|entry| entry.name == key && own.is_none_or(|own| entry.source == own))
    };
    let missing: Vec<&String> = deleted.iter().filter(|key| !is_set(key)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(ToolError::Invalid(format!("Invalid config(s): {}", join(missing, ","))))
}

/// Splits `a=1,b=[2,3]` at the commas outside brackets.
fn parse_configs(text: &str) -> Result<BTreeMap<String, String>, ToolError> {
    let mut parts = vec![String::new()];
    let mut depth = 0u32;
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    let mut configs = BTreeMap::new();
    for part in parts {
        let Some((key, value)) = part.split_once('=') else {
            return Err(ToolError::Invalid(format!("not of the form key=value: {part}")));
        };
        configs.insert(key.trim().to_owned(), value.trim().to_owned());
    }
    Ok(configs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_inside_brackets_belong_to_the_value() {
        let configs = parse_configs("a=1,cleanup.policy=[delete,compact],c=").expect("valid");
        let pairs: Vec<String> = configs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["a=1", "c=", "cleanup.policy=delete,compact"]);
        assert!(parse_configs("a").is_err());
    }
}
