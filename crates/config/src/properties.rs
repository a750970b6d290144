//! Kafka-style properties: the text format, overrides and environment names.

use crate::{ConfigError, ConfigErrors};
use std::collections::BTreeMap;

/// Keys and values as given, last one wins. Not yet checked against the table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    pub fn new() -> Properties {
        Properties::default()
    }

    /// Parses a properties file: `key=value`, `key: value` or `key value`, comments by `#` or `!`,
    /// a backslash at the end of a line continues it, blanks around key and value are trimmed.
    pub fn parse(text: &str) -> Result<Properties, ConfigErrors> {
        let _ = text;
        todo!()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Applies one `--override key=value`.
    pub fn apply_override(&mut self, text: &str) -> Result<(), ConfigError> {
        let _ = text;
        todo!()
    }
}
