//! `ottla broker-api-versions`: what each broker speaks.

use client::{ApiVersionRange, TopicSelection};
use wire::ApiKey;

use super::common::Connect;
use super::{Context, ToolError};

/// Show which versions of each API the brokers speak
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  ottla broker-api-versions --bootstrap-server localhost:9092

Each line is API(key): versions of the broker [usable: highest that this program speaks too].")]
pub struct Args {
    #[command(flatten)]
    connect: Connect,
}

pub(super) async fn run(args: Args, context: Context<'_>) -> Result<(), ToolError> {
    let client = args.connect.client(&context.env, "ottla-broker-api-versions")?;
    let cluster = client.metadata(&TopicSelection::None).await?;
    let mut failed = false;
    for broker in cluster.brokers.values() {
        let rack = broker.rack.as_deref().unwrap_or("null");
        write!(
            context.out,
            "{} (id: {} rack: {rack} isFenced: false) -> ",
            broker.addr(),
            broker.id
        )?;
        let connection = match client.broker(broker.id).await {
            Ok(connection) => connection,
            Err(error) => {
                failed = true;
                writeln!(context.out, "ERROR: {error}")?;
                continue;
            }
        };
        writeln!(context.out, "(")?;
        let mut lines: Vec<(i16, String)> =
            connection.versions().iter().map(|range| (range.key, line(*range))).collect();
        for api in ApiKey::all() {
            if connection.versions().get(api as i16).is_none() {
                lines.push((api as i16, format!("\t{api}({}): UNSUPPORTED", api as i16)));
            }
        }
        lines.sort();
        let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
        writeln!(context.out, "{}\n)", lines.join(",\n"))?;
    }
    client.close().await;
    if failed { Err(ToolError::Told) } else { Ok(()) }
}

fn line(range: ApiVersionRange) -> String {
    let versions = if range.min == range.max {
        range.min.to_string()
    } else {
        format!("{} to {}", range.min, range.max)
    };
    let Ok(api) = ApiKey::try_from(range.key) else {
        return format!("\tUNKNOWN({}): {versions}", range.key);
    };
    let (our_min, our_max) = api.versions();
    let usable = range.max.min(our_max);
    let usable = if usable >= range.min && usable >= our_min {
        format!("usable: {usable}")
    } else if range.min > our_max {
        "unusable: node too new".to_owned()
    } else {
        "unusable: node too old".to_owned()
    };
    format!("\t{api}({}): {versions} [{usable}]", range.key)
}
