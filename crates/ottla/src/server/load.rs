//! The node's configuration: file, environment, overrides, in this order.

use super::Args;
use config::{ConfigErrors, NodeConfig, Properties};
use env::Env;
use env::disk::read_file;
use std::path::Path;

/// What came of it.
pub(super) struct Loaded {
    pub(super) config: NodeConfig,
    /// Environment variables that look like ours and set nothing.
    unknown_variables: Vec<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("cannot read {path}: {error}")]
    Read { path: String, error: std::io::Error },
    #[error("{path} is not text in UTF-8")]
    NotText { path: String },
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// Variables of the program itself, which are not keys.
const OF_THE_PROGRAM: [&str; 3] = ["OTTLA_CONFIG", "OTTLA_LOG_FORMAT", "OTTLA_LOG_FILTER"];

impl Loaded {
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let unknown = self.unknown_variables.iter();
        let unknown = unknown.map(|name| format!("environment variable {name} sets no key"));
        self.config.warnings.iter().cloned().chain(unknown)
    }
}

pub(super) fn load(args: &Args, env: &Env) -> Result<Loaded, LoadError> {
    let mut properties = match &args.config {
        Some(path) => Properties::parse(&read(path, env)?)?,
        None => Properties::new(),
    };
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let variables = variables.filter(|(name, _)| !OF_THE_PROGRAM.contains(&name.as_str()));
    let unknown_variables = properties.apply_environment(variables);
    for given in &args.overrides {
        properties.apply_override(given).map_err(ConfigErrors::from)?;
    }
    if args.config.is_none() && !properties.contains("node.id") && !properties.contains("broker.id")
    {
        properties.set("node.id", "1");
    }
    let mut config = NodeConfig::from_properties(properties)?;
    // A trial on one machine is reached as localhost; a node of a cluster by its machine's name.
    let is_trial = args.config.is_none() && config.is_alone();
    let host = if is_trial { "localhost".to_owned() } else { host_name(env) };
    config.advertise_as(&host);
    Ok(Loaded { config, unknown_variables })
}

fn read(path: &Path, env: &Env) -> Result<String, LoadError> {
    let shown = || path.display().to_string();
    let content = read_file(env.disk.as_ref(), path)
        .map_err(|error| LoadError::Read { path: shown(), error })?;
    String::from_utf8(content.to_vec()).map_err(|_| LoadError::NotText { path: shown() })
}

fn host_name(env: &Env) -> String {
    let name = super::host::kernel_value("kernel/hostname", env);
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}
