//! What can be wrong with a configuration, in words for the person who wrote it.

use std::fmt;

/// One thing that is wrong. The text names the key, and the value where there is one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("unknown key {name}{}", hint(.name, .nearest))]
    UnknownKey { name: String, nearest: Option<&'static str> },
    /// The value does not parse or is outside the allowed range.
    #[error("invalid value {value} for configuration {name}: {reason}")]
    InvalidValue { name: String, value: String, reason: String },
    /// A key that must be given is not.
    #[error("missing required key {name}: {reason}")]
    Missing { name: &'static str, reason: String },
    /// Two keys contradict each other.
    #[error("{0}")]
    Conflict(String),
    /// A line of a properties file, an override or an alteration that cannot be read.
    #[error("line {line}: {reason}")]
    Syntax { line: usize, reason: String },
    /// The key exists but cannot be changed while running, or not at this level.
    #[error("cannot change {name} while running: {reason}")]
    NotDynamic { name: String, reason: String },
    /// Append or subtract on a key that holds no list.
    #[error("key {name} is not a list, so append and subtract do not apply to it")]
    NotAList { name: String },
}

fn hint(name: &str, nearest: &Option<&'static str>) -> String {
    match nearest {
        _ if name.starts_with("zookeeper.") => {
            " (there is no ZooKeeper: remove it, and name the controllers in \
             controller.quorum.voters)"
                .to_owned()
        }
        Some(nearest) => format!(" (did you mean {nearest}?)"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_told_with_what_to_do() {
        let said = |name: &str, nearest| {
            ConfigError::UnknownKey { name: name.to_owned(), nearest }.to_string()
        };
        assert_eq!(
            said("node.idd", Some("node.id")),
            "unknown key node.idd (did you mean node.id?)"
        );
        assert_eq!(said("x", None), "unknown key x");
        assert!(said("zookeeper.connect", None).contains("controller.quorum.voters"));
    }
}

/// Everything that is wrong with a configuration, at least one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> ConfigErrors {
        ConfigErrors(vec![error])
    }
}
