//! One row of the table of keys, and the check of a value against it.

use crate::ConfigError;

/// The kind of a value, with Kafka's number in DescribeConfigs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    /// Comma-separated.
    List = 7,
    Class = 8,
    /// A string that is never shown.
    Password = 9,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
            Kind::Class => "class",
            Kind::Password => "password",
        }
    }
}

/// Which values of the kind are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Valid {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// The same, but not 0.
    BetweenNot0(i64, i64),
    /// For doubles.
    Ratio,
    /// A switch that cannot be turned on, and why.
    Off(&'static str),
    OneOf(&'static [&'static str]),
    /// Each element of a list, none twice.
    ListOf(&'static [&'static str]),
    /// Each element of a list; one that is named twice counts once.
    RepeatedListOf(&'static [&'static str]),
    /// `partition:broker` pairs, or `*` for all.
    Replicas,
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    None,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
    Bytes,
    BytesPerSecond,
    Records,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Milliseconds => "ms",
            Unit::Seconds => "s",
            Unit::Minutes => "min",
            Unit::Hours => "h",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "bytes/s",
            Unit::Records => "records",
        }
    }

    /// Milliseconds per unit of time; 1 for everything else, so that a synonym in hours can stand
    /// for a key in milliseconds.
    pub fn factor_to_base(self) -> i64 {
        match self {
            Unit::Seconds => 1000,
            Unit::Minutes => 60_000,
            Unit::Hours => 3_600_000,
            Unit::None
            | Unit::Milliseconds
            | Unit::Bytes
            | Unit::BytesPerSecond
            | Unit::Records => 1,
        }
    }
}

/// Where a key may be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// A node: its file, and dynamically where [`Dynamic`] allows.
    Broker,
    /// A topic only; its broker-side names are the synonyms.
    Topic,
    /// A topic and, under the same name, a node.
    Both,
}

/// Whether a broker key can change while running.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dynamic {
    ReadOnly,
    /// For one broker.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

/// What Ottla does with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It works as documented.
    Enforced,
    /// Accepted with a warning: the feature comes later.
    Later,
    /// Accepted with a warning: Ottla is built so that the key has nothing to set.
    Unneeded,
    /// For tests: works, but is not shown by DescribeConfigs or the reference page.
    Internal,
}

/// One configuration key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// As text; `None` = not set. A topic key's default counts only where its synonyms have none.
    pub default: Option<&'static str>,
    pub valid: Valid,
    pub unit: Unit,
    pub scope: Scope,
    pub dynamic: Dynamic,
    /// For a topic key: the broker keys below it, the strongest first.
    pub synonyms: &'static [&'static str],
    pub status: Status,
    pub doc: &'static str,
}

/// A node's key with a default.
pub(crate) const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { default: Some(default), ..unset(name, kind, doc) }
}

/// A node's key without a default.
pub(crate) const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: None,
        valid: Valid::Any,
        unit: Unit::None,
        scope: Scope::Broker,
        dynamic: Dynamic::ReadOnly,
        synonyms: &[],
        status: Status::Enforced,
        doc,
    }
}

/// A topic's key.
pub(crate) const fn topic(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { scope: Scope::Topic, ..key(name, kind, default, doc) }
}

impl Key {
    pub(crate) const fn min(self, min: i64) -> Key {
        Key { valid: Valid::AtLeast(min), ..self }
    }

    pub(crate) const fn range(self, min: i64, max: i64) -> Key {
        Key { valid: Valid::Between(min, max), ..self }
    }

    pub(crate) const fn valid(self, valid: Valid) -> Key {
        Key { valid, ..self }
    }

    pub(crate) const fn unit(self, unit: Unit) -> Key {
        Key { unit, ..self }
    }

    pub(crate) const fn ms(self) -> Key {
        self.unit(Unit::Milliseconds)
    }

    pub(crate) const fn bytes(self) -> Key {
        self.unit(Unit::Bytes)
    }

    pub(crate) const fn both(self) -> Key {
        Key { scope: Scope::Both, ..self }
    }

    pub(crate) const fn dynamic(self) -> Key {
        Key { dynamic: Dynamic::ClusterWide, ..self }
    }

    pub(crate) const fn per_broker(self) -> Key {
        Key { dynamic: Dynamic::PerBroker, ..self }
    }

    pub(crate) const fn under(self, synonyms: &'static [&'static str]) -> Key {
        Key { synonyms, ..self }
    }

    pub(crate) const fn later(self) -> Key {
        Key { status: Status::Later, ..self }
    }

    pub(crate) const fn unneeded(self) -> Key {
        Key { status: Status::Unneeded, ..self }
    }

    pub(crate) const fn internal(self) -> Key {
        Key { status: Status::Internal, ..self }
    }

    /// Whether a node's file may hold it.
    pub fn is_broker_key(&self) -> bool {
        matches!(self.scope, Scope::Broker | Scope::Both)
    }

    /// Whether a topic may hold it.
    pub fn is_topic_key(&self) -> bool {
        matches!(self.scope, Scope::Topic | Scope::Both)
    }

    /// Whether the value must never be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// The environment variable of a broker key: `node.id` is `OTTLA_NODE_ID`; our own keys do not
    /// say `OTTLA` twice.
    pub fn environment_name(&self) -> String {
        let tail = self.name.strip_prefix("ottla.").unwrap_or(self.name);
        format!("OTTLA_{}", tail.to_uppercase().replace(['.', '-'], "_"))
    }

    /// What is allowed, in words; empty where anything is.
    pub fn allowed(&self) -> String {
        match self.valid {
            Valid::Any => String::new(),
            Valid::AtLeast(min) => format!("at least {min}"),
            Valid::Between(min, max) => format!("{min} to {max}"),
            Valid::BetweenNot0(i64::MIN, i64::MAX) => "any number but 0".to_owned(),
            Valid::BetweenNot0(min, max) => format!("{min} to {max}, but not 0"),
            Valid::Ratio => "0 to 1".to_owned(),
            Valid::OneOf(names) => format!("one of {}", names.join(", ")),
            Valid::Off(_) => "false".to_owned(),
            Valid::ListOf(names) | Valid::RepeatedListOf(names) => {
                format!("a list of {}", names.join(", "))
            }
            Valid::Replicas => "a list of partition:broker, or *".to_owned(),
        }
    }

    /// Checks a value. An error names key, value and what is allowed.
    pub fn check(&self, value: &str) -> Result<(), ConfigError> {
        match self.problem(value.trim()) {
            None => Ok(()),
            Some(reason) => {
                let shown = if self.is_sensitive() { "[hidden]" } else { value };
                Err(ConfigError::InvalidValue {
                    name: self.name.to_owned(),
                    value: shown.to_owned(),
                    reason,
                })
            }
        }
    }

    fn problem(&self, value: &str) -> Option<String> {
        match self.kind {
            Kind::Boolean => match (value.to_ascii_lowercase().as_str(), self.valid) {
                ("true", Valid::Off(reason)) => Some(reason.to_owned()),
                ("true" | "false", _) => None,
                _ => Some("must be true or false".to_owned()),
            },
            Kind::Short => self.number_problem(value, i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Int => self.number_problem(value, i64::from(i32::MIN), i64::from(i32::MAX)),
            Kind::Long => self.number_problem(value, i64::MIN, i64::MAX),
            Kind::Double => self.double_problem(value),
            Kind::List => self.list_problem(value),
            Kind::String | Kind::Class | Kind::Password => match self.valid {
                Valid::OneOf(names) if !names.contains(&value) => {
                    Some(format!("must be {}", self.allowed()))
                }
                _ => None,
            },
        }
    }

    fn number_problem(&self, value: &str, min: i64, max: i64) -> Option<String> {
        let Ok(number) = value.parse::<i64>() else {
            return Some(format!("not a number of type {}", self.kind.name()));
        };
        let (min, max) = match self.valid {
            Valid::AtLeast(at_least) => (at_least.max(min), max),
            Valid::Between(from, to) | Valid::BetweenNot0(from, to) => (from.max(min), to.min(max)),
            _ => (min, max),
        };
        match number {
            0 if matches!(self.valid, Valid::BetweenNot0(..)) => Some("must not be 0".to_owned()),
            n if n < min => Some(format!("must be at least {min}")),
            n if n > max => Some(format!("must be at most {max}")),
            _ => None,
        }
    }

    fn double_problem(&self, value: &str) -> Option<String> {
        let Some(number) = value.parse::<f64>().ok().filter(|number| number.is_finite()) else {
            return Some("not a number of type double".to_owned());
        };
        match self.valid {
            Valid::Ratio if !(0.0..=1.0).contains(&number) => Some("must be 0 to 1".to_owned()),
            Valid::AtLeast(min) if number < min as f64 => Some(format!("must be at least {min}")),
            _ => None,
        }
    }

    fn element_problem(&self, list: &str, names: &[&str]) -> Option<String> {
        let mut elements = list.split(',').map(str::trim);
        let unknown = elements.find(|element| !names.contains(element))?;
        Some(match unknown {
            "" => "has an empty element".to_owned(),
            unknown => format!("{unknown} is unknown: must be {}", self.allowed()),
        })
    }

    fn list_problem(&self, value: &str) -> Option<String> {
        match self.valid {
            Valid::ListOf(_) | Valid::RepeatedListOf(_) if value.is_empty() => None,
            Valid::ListOf(names) => {
                let twice = || is_repeated(value).then(|| "lists an element twice".to_owned());
                self.element_problem(value, names).or_else(twice)
            }
            Valid::RepeatedListOf(names) => self.element_problem(value, names),
            Valid::Replicas if value == "*" => None,
            Valid::Replicas => {
                let wrong = split_list(value).into_iter().find(|pair| !is_replica(pair))?;
                Some(format!("{wrong} is neither * alone nor of the form partition:broker"))
            }
            _ => None,
        }
    }
}

fn is_repeated(list: &str) -> bool {
    let mut elements: Vec<&str> = list.split(',').map(str::trim).collect();
    let count = elements.len();
    elements.sort_unstable();
    elements.dedup();
    elements.len() != count
}

/// Whether it is a number, a colon and a number.
fn is_replica(pair: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    pair.split_once(':')
        .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
}

/// The elements of a comma-separated value, trimmed, without empty ones.
pub(crate) fn split_list(value: &str) -> Vec<&str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty()).collect()
}
