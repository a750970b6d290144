//! The reference page of all keys, `docs/configuration.md`, made from the table.

use crate::{Dynamic, Key, Scope, Status, keys};
use std::fmt::Write;

const HEAD: &str = "\
# Configuration

This page is made from the table in `crates/config/src/keys`; a test rewrites it, so change the table.

A node is configured by a properties file (`ottla server --config FILE`), by environment variables, which win over
the file (`node.id` is `OTTLA_NODE_ID`; a key that starts with `ottla.` does not repeat it: `ottla.http.listener` is
`OTTLA_HTTP_LISTENER`), and by `--override key=value`, which wins over both. Names, meanings and defaults are those of
Apache Kafka, so its files work. An unknown key is an error. Topic keys are set when a topic is created or altered;
the broker keys named under them are their defaults.

*Changes* says whether a running node takes a new value (`ottla configs --alter`): `at start` no; `per broker` and
`cluster` (one broker or all) yes. *Status*: `works`; `later`, accepted with a warning until the feature comes;
`not needed`, accepted with a warning since Ottla is built so that there is nothing to set.
";

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for part in keys::PARTS {
        let _ = write!(page, "\n## {}\n\n", part.title);
        page.push_str(
            "| key | type | default | allowed | changes | status | |\n|--|--|--|--|--|--|--|\n",
        );
        for key in part.keys.iter().filter(|key| key.status != Status::Internal) {
            row(&mut page, key);
        }
    }
    page
}

fn row(page: &mut String, key: &Key) {
    let default = match key.default {
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some("9223372036854775807" | "1.7976931348623157E308") => "no limit".to_owned(),
        Some(value) => format!("`{value}`"),
    };
    let unit = match key.unit.name() {
        "" => String::new(),
        unit => format!(" ({unit})"),
    };
    let changes = match (key.scope, key.dynamic) {
        (Scope::Topic, _) => "topic",
        (Scope::Both, _) => "topic, cluster",
        (Scope::Broker, Dynamic::ReadOnly) => "at start",
        (Scope::Broker, Dynamic::PerBroker) => "per broker",
        (Scope::Broker, Dynamic::ClusterWide) => "cluster",
    };
    let status = match key.status {
        Status::Enforced => "works",
        Status::Later => "later",
        Status::Unneeded => "not needed",
        Status::Internal => "internal",
    };
    let under: Vec<&str> = key.synonyms.iter().copied().filter(|name| *name != key.name).collect();
    let under = if under.is_empty() {
        String::new()
    } else {
        format!(" Broker: `{}`.", under.join("`, `"))
    };
    let (name, kind, allowed, doc) = (key.name, key.kind.name(), key.allowed(), key.doc);
    let _ = writeln!(
        page,
        "| `{name}` | {kind}{unit} | {default} | {allowed} | {changes} | {status} | {doc}{under} |"
    );
}
