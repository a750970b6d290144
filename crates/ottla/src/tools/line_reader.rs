//! Lines of standard input as records, by Kafka's `LineMessageReader` rules.

use std::collections::BTreeMap;

use bytes::Bytes;
use records::Header;

use super::ToolError;

/// What is before and after a separator.
type Halves<'l> = (&'l [u8], &'l [u8]);

/// How a line is cut into headers, key and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

/// A line's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub headers: Vec<Header>,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
}

impl LineReader {
    pub fn new(properties: &BTreeMap<String, String>) -> Result<LineReader, ToolError> {
        let text = |key: &str, default: &str| {
            properties.get(key).map_or_else(|| default.to_owned(), String::clone)
        };
        let flag = |key: &str| {
            properties.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
        };
        let reader = LineReader {
            parse_key: flag("parse.key"),
            key_separator: text("key.separator", "\t"),
            parse_headers: flag("parse.headers"),
            headers_delimiter: text("headers.delimiter", "\t"),
            headers_separator: text("headers.separator", ","),
            headers_key_separator: text("headers.key.separator", ":"),
            ignore_error: flag("ignore.error"),
            null_marker: properties.get("null.marker").cloned(),
        };
        reader.check()?;
        Ok(reader)
    }

    /// Separators that are the same would cut a line in an unforeseeable way.
    fn check(&self) -> Result<(), ToolError> {
        let headers = [
            ("headers.delimiter", Some(&self.headers_delimiter)),
            ("headers.separator", Some(&self.headers_separator)),
            ("headers.key.separator", Some(&self.headers_key_separator)),
            ("null.marker", self.null_marker.as_ref()),
        ];
        for (index, (name, value)) in headers.iter().enumerate() {
            for (other_name, other) in &headers[index + 1..] {
                if value.is_some() && value == other {
                    let text = format!("{name} and {other_name} may not be equal");
                    return Err(ToolError::Invalid(text));
                }
            }
        }
        if self.null_marker.as_ref() == Some(&self.key_separator) {
            return Err(ToolError::Invalid(
                "null.marker and key.separator may not be equal".into(),
            ));
        }
        Ok(())
    }

    /// Cuts one line, given without its line end. `number` counts from 1, for messages.
    pub fn parse(&self, line: &[u8], number: u64) -> Result<Line, ToolError> {
        let mut rest = line;
        let mut parsed = Line::default();
        if self.parse_headers
            && let Some((head, tail)) =
                self.cut(rest, &self.headers_delimiter, "headers delimiter", number)?
        {
            rest = tail;
            if !self.is_null(head) {
                parsed.headers = self.headers(head, number)?;
            }
        }
        if self.parse_key
            && let Some((head, tail)) =
                self.cut(rest, &self.key_separator, "key separator", number)?
        {
            rest = tail;
            parsed.key = self.field(head);
        }
        parsed.value = self.field(rest);
        Ok(parsed)
    }

    fn cut<'l>(
        &self,
        line: &'l [u8],
        separator: &str,
        name: &str,
        number: u64,
    ) -> Result<Option<Halves<'l>>, ToolError> {
        match find(line, separator.as_bytes()) {
            Some(at) => Ok(Some((&line[..at], &line[at + separator.len()..]))),
            None if self.ignore_error => Ok(None),
            None => Err(ToolError::Invalid(format!(
                "No {name} found on line number {number}: '{}'",
                String::from_utf8_lossy(line)
            ))),
        }
    }

    fn is_null(&self, field: &[u8]) -> bool {
        self.null_marker.as_ref().is_some_and(|marker| marker.as_bytes() == field)
    }

    fn field(&self, field: &[u8]) -> Option<Bytes> {
        (!self.is_null(field)).then(|| Bytes::copy_from_slice(field))
    }

    fn headers(&self, text: &[u8], number: u64) -> Result<Vec<Header>, ToolError> {
        let mut headers = Vec::new();
        for pair in pairs(text, self.headers_separator.as_bytes()) {
            let separator = &self.headers_key_separator;
            let Some(at) = find(pair, separator.as_bytes()) else {
                if self.ignore_error {
                    headers.push(Header { key: Bytes::copy_from_slice(pair), value: None });
                    continue;
                }
                let pair = String::from_utf8_lossy(pair);
                return Err(ToolError::Invalid(format!(
                    "No header key separator found in pair '{pair}' on line number {number}"
                )));
            };
            if self.is_null(&pair[..at]) {
                return Err(ToolError::Invalid(format!(
                    "a header key on line number {number} is the null marker; keys cannot be null"
                )));
            }
            let key = Bytes::copy_from_slice(&pair[..at]);
            headers.push(Header { key, value: self.field(&pair[at + separator.len()..]) });
        }
        Ok(headers)
    }
}

/// The parts between separators, without empty ones at the end. An empty separator stands between
/// any two characters.
fn pairs<'t>(text: &'t [u8], separator: &[u8]) -> Vec<&'t [u8]> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let end = match separator.is_empty() {
            true => (1..rest.len()).find(|at| rest[*at] & 0xc0 != 0x80),
            false => find(rest, separator),
        };
        let Some(end) = end else { break };
        parts.push(&rest[..end]);
        rest = &rest[end + separator.len()..];
    }
    parts.push(rest);
    // Nothing at all is one empty part.
    while parts.last().is_some_and(|part| part.is_empty()) && !text.is_empty() {
        parts.pop();
    }
    parts
}

/// Where the needle is first; an empty one is at the begin.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    (0..=haystack.len()).find(|at| haystack[*at..].starts_with(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(properties: &[(&str, &str)], line: &str, expected: &str) {
        let map = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let shown = match LineReader::new(&map).and_then(|r| r.parse(line.as_bytes(), 7)) {
            Ok(line) => {
                let text = |bytes: &Option<Bytes>| match bytes {
                    Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    None => "null".to_owned(),
                };
                let headers: Vec<String> = line
                    .headers
                    .iter()
                    .map(|h| format!("{}={}", String::from_utf8_lossy(&h.key), text(&h.value)))
                    .collect();
                format!("[{}] {} {}", headers.join(" "), text(&line.key), text(&line.value))
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn lines_are_cut_as_kafka_cuts_them() {
        let key = ("parse.key", "true");
        let headers = ("parse.headers", "true");
        check(&[], "a\tb", "[] null a\tb");
        check(&[key], "k\tv\tw", "[] k v\tw");
        check(&[key, ("key.separator", "=>")], "k=>v", "[] k v");
        check(&[key], "none", "No key separator found on line number 7: 'none'");
        check(&[key, ("ignore.error", "true")], "none", "[] null none");
        check(&[key, headers], "a:1,b:2\tk\tv", "[a=1 b=2] k v");
        check(&[headers], "a:1,b\tv", "No header key separator found in pair 'b' on line number 7");
        check(&[key, ("null.marker", "NIL")], "NIL\tNIL", "[] null null");
        check(&[headers, ("null.marker", "NIL")], "a:NIL\tv", "[a=null] null v");
        check(&[headers], "a:1,\tv", "[a=1] null v");
        check(
            &[headers],
            "a:1,,b:2\tv",
            "No header key separator found in pair '' on line number 7",
        );
        check(&[headers], "\tv", "No header key separator found in pair '' on line number 7");
        check(&[key, ("key.separator", "")], "kv", "[]  kv");
        check(&[headers, ("headers.key.separator", "")], "h:v,i\tx", "[=h:v =i] null x");
        let one_by_one = [headers, ("headers.separator", "")];
        check(&one_by_one, "h:v\tx", "No header key separator found in pair 'h' on line number 7");
        let ignored = [headers, ("headers.separator", ""), ("ignore.error", "true")];
        check(&ignored, "ä:\tx", "[ä=null =] null x");
        check(
            &[("headers.delimiter", ","), headers],
            "x",
            "headers.delimiter and headers.separator may not be equal",
        );
    }
}
