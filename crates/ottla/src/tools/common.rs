//! What all tools share: how to connect, properties, topic patterns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use client::{Client, ClientOptions, ConsumerOptions, ProducerOptions};
use env::Env;
use regex_lite::Regex;

use super::ToolError;

/// How to reach the cluster.
#[derive(clap::Args, Clone, Debug)]
pub struct Connect {
    /// Some of the cluster's brokers; the others are found through them
    #[arg(long, value_name = "HOST:PORT,...", default_value = "localhost:9092")]
    #[arg(help_heading = "Connection")]
    pub bootstrap_server: String,
    /// Properties file with client settings, for example request.timeout.ms
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    #[arg(aliases = ["producer.config", "consumer.config", "admin.config"])]
    pub command_config: Option<PathBuf>,
    /// A client setting; may be repeated and wins over --command-config
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Connection")]
    #[arg(aliases = ["producer-property", "consumer-property"])]
    pub command_property: Vec<String>,
}

/// Client properties, split by who uses them.
pub struct Properties {
    pub values: BTreeMap<String, String>,
}

impl Connect {
    /// All properties: the file's, then the single ones, then the bootstrap servers.
    pub fn properties(&self, env: &Env) -> Result<Properties, ToolError> {
        let mut values = BTreeMap::new();
        if let Some(path) = &self.command_config {
            values.extend(read_properties(env, path)?);
        }
        values.extend(parse_pairs(&self.command_property)?);
        values.insert("bootstrap.servers".to_owned(), self.bootstrap_server.clone());
        Ok(Properties { values })
    }

    /// A client, with what the properties say.
    pub fn client(&self, env: &Env, client_id: &str) -> Result<Client, ToolError> {
        self.properties(env)?.client(env, client_id)
    }
}

impl Properties {
    /// Uses a value unless the user gave one.
    pub fn default(&mut self, key: &str, value: &str) {
        self.values.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }

    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.values.insert(key.to_owned(), value.to_string());
    }

    pub fn client(&self, env: &Env, client_id: &str) -> Result<Client, ToolError> {
        let mut options = ClientOptions::new(Vec::new());
        options.client_id = client_id.to_owned();
        let (mut producer, mut consumer) = (ProducerOptions::default(), ConsumerOptions::default());
        for (key, value) in &self.values {
            if key == "security.protocol" && !value.eq_ignore_ascii_case("plaintext") {
                let text = format!("security.protocol={value} is not supported yet");
                return Err(ToolError::Invalid(text));
            }
            let ours = options.set(key, value)?;
            if !ours && !producer.set(key, value)? && !consumer.set(key, value)? && !ignored(key) {
                eprintln!("warning: client property {key} is not known and has no effect");
            }
        }
        Ok(Client::new(env.clone(), options)?)
    }

    pub fn producer(&self) -> Result<ProducerOptions, ToolError> {
        let mut options = ProducerOptions::default();
        for (key, value) in &self.values {
            options.set(key, value)?;
        }
        Ok(options)
    }

    pub fn consumer(&self) -> Result<ConsumerOptions, ToolError> {
        let mut options = ConsumerOptions::default();
        for (key, value) in &self.values {
            options.set(key, value)?;
        }
        Ok(options)
    }
}

/// Properties of Kafka's Java clients that mean nothing here and harm nothing.
fn ignored(key: &str) -> bool {
    const KEYS: [&str; 12] = [
        "security.protocol",
        "key.serializer",
        "value.serializer",
        "key.deserializer",
        "value.deserializer",
        "retries",
        "send.buffer.bytes",
        "receive.buffer.bytes",
        "max.in.flight.requests.per.connection",
        "client.dns.lookup",
        "partition.assignment.strategy",
        "group.protocol",
    ];
    KEYS.contains(&key)
}

/// Reads a file in the format of Java's properties.
pub fn read_properties(env: &Env, path: &Path) -> Result<BTreeMap<String, String>, ToolError> {
    let text = read_text(env, path)?;
    Ok(parse_properties(&text))
}

/// Reads a small text file.
pub fn read_text(env: &Env, path: &Path) -> Result<String, ToolError> {
    let bytes = env::disk::read_file(&*env.disk, path)
        .map_err(|error| ToolError::Invalid(format!("cannot read {}: {error}", path.display())))?;
    String::from_utf8(bytes.to_vec())
        .map_err(|_| ToolError::Invalid(format!("{} is not utf-8 text", path.display())))
}

/// Lines of `key=value` (or `key:value`), with `#` and `!` comments and `\` at the end of a line
/// to go on.
fn parse_properties(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut logical = String::new();
    for line in text.lines() {
        let line = line.trim_start();
        if logical.is_empty() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        if let Some(part) = line.strip_suffix('\\') {
            logical.push_str(part);
            continue;
        }
        logical.push_str(line);
        let (key, value) = logical.split_once(['=', ':']).unwrap_or((logical.as_str(), ""));
        values.insert(key.trim().to_owned(), value.trim().to_owned());
        logical.clear();
    }
    values
}

/// Splits repeated `key=value` arguments.
pub fn parse_pairs(pairs: &[String]) -> Result<BTreeMap<String, String>, ToolError> {
    let mut values = BTreeMap::new();
    for pair in pairs {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(ToolError::Invalid(format!("not of the form key=value: {pair}")));
        };
        values.insert(key.trim().to_owned(), value.to_owned());
    }
    Ok(values)
}

/// Topic names by a regular expression that must match the whole name; a comma means "or".
pub struct TopicPattern(Regex);

impl TopicPattern {
    pub fn new(pattern: &str) -> Result<TopicPattern, ToolError> {
        let pattern = pattern.trim().trim_matches(['"', '\'']).replace(',', "|");
        match Regex::new(&format!("^(?:{pattern})$")) {
            Ok(regex) => Ok(TopicPattern(regex)),
            Err(error) => Err(ToolError::Invalid(format!("{pattern} is not a pattern: {error}"))),
        }
    }

    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// Comma-separated display of any list.
pub fn join<T: ToString>(items: impl IntoIterator<Item = T>, separator: &str) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_as_java_reads_them() {
        let text = "# comment\n! other\na=1\n b : two words \nlong=x,\\\n  y\nempty=\n";
        let values = parse_properties(text);
        let pairs: Vec<String> = values.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["a=1", "b=two words", "empty=", "long=x,y"]);
    }

    #[test]
    fn a_topic_pattern_matches_whole_names_only() {
        let pattern = TopicPattern::new("orders.*,\\w+-log").expect("valid");
        assert!(pattern.matches("orders"));
        assert!(pattern.matches("orders.eu"));
        assert!(pattern.matches("app-log"));
        assert!(!pattern.matches("my-orders"));
        assert!(TopicPattern::new("(").is_err());
    }
}
