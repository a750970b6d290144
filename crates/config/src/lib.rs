//! Configuration: one table of every key, and everything that is made from it.
//!
//! Promises:
//! - Each key is one row of the table (`keys`): name, kind, default, range, unit, scope, whether it
//!   can change while running, what Ottla does with it, and its documentation. The parser, the
//!   environment names, DescribeConfigs, the checks of AlterConfigs and the page
//!   `docs/configuration.md` come from the table; a test rewrites the page and fails on a diff.
//! - A [`NodeConfig`] or a [`TopicConfig`] in hand is valid: every value was parsed and checked.
//! - An unknown key is an error that names it and the nearest known one; a bad value is an error
//!   that names key, value and what is allowed. All errors of a file are reported at once.
//!
//! Does not: read files or the environment itself (the program passes text and pairs), know who
//! uses a value, or store dynamic values (those are cluster metadata; see [`Layers`]).

mod alter;
mod cleaner;
mod describe;
mod error;
mod key;
pub mod keys;
mod layers;
mod listener;
mod node;
mod properties;
pub mod reference;
mod suggest;
mod topic;

pub use alter::{AlterOp, Alteration, alter_broker, alter_topic, validate_broker, validate_topic};
pub use cleaner::CleanerConfig;
pub use describe::{Entry, Source, Synonym, describe_broker, describe_topic};
pub use error::{ConfigError, ConfigErrors};
pub use key::{Dynamic, Key, Kind, Scope, Status, Unit, Valid};
pub use layers::{Layers, NO_OVERRIDES, Overrides};
pub use listener::{Endpoint, HttpListener, Listener, ListenerRole, SecurityProtocol};
pub use node::*;
pub use properties::Properties;
pub use topic::*;
