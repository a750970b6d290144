//! Kafka-style properties: the text format, overrides and environment names.

use crate::keys;
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
        let mut properties = Properties::new();
        let mut errors = Vec::new();
        for (line, content) in logical_lines(text) {
            match split_pair(&content) {
                Ok((name, value)) => properties.set(&name, &value),
                Err(reason) => errors.push(ConfigError::Syntax { line, reason }),
            }
        }
        if errors.is_empty() { Ok(properties) } else { Err(ConfigErrors(errors)) }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.trim().to_owned());
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Applies one `--override key=value`.
    pub fn apply_override(&mut self, text: &str) -> Result<(), ConfigError> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                self.set(name.trim(), value);
                Ok(())
            }
            _ => {
                let reason = format!("override {text} is not of the form key=value");
                Err(ConfigError::Conflict(reason))
            }
        }
    }

    /// Applies environment variables (`OTTLA_NODE_ID` sets `node.id`). Returns the names that
    /// start with `OTTLA_` and set no key: a warning, not an error, since an orchestrator makes
    /// such names for a service called ottla.
    pub fn apply_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Vec<String> {
        let keys: BTreeMap<String, &'static str> = keys::all()
            .filter(|key| key.is_broker_key())
            .map(|key| (key.environment_name(), key.name))
            .collect();
        let mut unknown = Vec::new();
        for (variable, value) in variables {
            if !variable.starts_with("OTTLA_") {
                continue;
            }
            match keys.get(&variable) {
                Some(name) => self.set(name, &value),
                None => unknown.push(variable),
            }
        }
        unknown
    }
}

/// Lines without comments and blank ones, continued ones joined, each with the number (from 1) of
/// its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, physical) in text.lines().enumerate() {
        let content = physical.trim_start();
        let (number, mut whole) = match open.take() {
            Some(started) => started,
            None if content.is_empty() || content.starts_with(['#', '!']) => continue,
            None => (index + 1, String::new()),
        };
        let content = content.trim_end_matches('\r');
        let backslashes = content.len() - content.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            whole.push_str(&content[..content.len() - 1]);
            open = Some((number, whole));
        } else {
            whole.push_str(content);
            lines.push((number, whole));
        }
    }
    lines.extend(open);
    lines
}

/// Splits at the first unescaped `=`, `:` or blank, and takes escapes out.
fn split_pair(line: &str) -> Result<(String, String), String> {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && (matches!(c, '=' | ':') || c.is_whitespace());
        escaped = *c == '\\' && !escaped;
        ends
    });
    let end = end.map_or(line.len(), |(at, _)| at);
    let name = unescape(&line[..end])?;
    if name.is_empty() {
        return Err(format!("no key in {line}"));
    }
    let rest = line[end..].trim_start();
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Ok((name, unescape(rest)?.trim().to_owned()))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            None => {}
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                plain.push(code.ok_or_else(|| format!("bad escape \\u{digits}"))?);
            }
            Some(other) => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let parsed = Properties::parse(text).expect("the text parses");
        assert_eq!(parsed.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn comments_blanks_and_separators_are_as_in_java() {
        check(
            "# a comment\n! another\n\n  a = 1 \r\nb:2\nc 3\nd\n",
            &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "")],
        );
        check(
            "listeners=PLAINTEXT://:9092,GRPC://:9094",
            &[("listeners", "PLAINTEXT://:9092,GRPC://:9094")],
        );
    }

    #[test]
    fn a_backslash_continues_a_line_and_escapes() {
        check(
            "a=1,\\\n   2,\\\n   3\nb=x\\\\\nc\\ d=\\u0041\\=",
            &[("a", "1,2,3"), ("b", "x\\"), ("c d", "A=")],
        );
        check("a=1\\", &[("a", "1")]);
    }

    #[test]
    fn the_last_value_wins() {
        check("a=1\na=2", &[("a", "2")]);
    }

    #[test]
    fn an_error_names_its_line() {
        let errors = Properties::parse("a=1\n\n=2\nb=\\uzzzz").expect_err("two lines are bad");
        assert_eq!(errors.to_string(), "line 3: no key in =2\nline 4: bad escape \\uzzzz");
    }

    #[test]
    fn environment_names_set_keys_and_others_are_told() {
        let mut properties = Properties::parse("node.id=1").expect("parses");
        let variables = [
            ("OTTLA_NODE_ID", "7"),
            ("OTTLA_HTTP_LISTENER", ":1"),
            ("OTTLA_PORT_1_TCP", "x"),
            ("HOME", "/"),
        ];
        let unknown = properties
            .apply_environment(variables.map(|(a, b)| (a.to_owned(), b.to_owned())).into_iter());
        assert_eq!(properties.get("node.id"), Some("7"));
        assert_eq!(properties.get("ottla.http.listener"), Some(":1"));
        assert_eq!(unknown, ["OTTLA_PORT_1_TCP"]);
    }
}
