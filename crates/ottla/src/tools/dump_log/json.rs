//! JSON with its fields in the order they are put, as Kafka's tools print it.

use base64_text::encode;
use std::fmt::Write;

/// An object under construction.
pub struct Object(String);

impl Object {
    pub fn new() -> Object {
        Object(String::from("{"))
    }

    /// A field of any JSON text.
    pub fn raw(mut self, name: &str, json: &str) -> Object {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        let _ = write!(self.0, "{}:{json}", string(name));
        self
    }

    pub fn number(self, name: &str, value: i64) -> Object {
        self.raw(name, &value.to_string())
    }

    pub fn text(self, name: &str, value: &str) -> Object {
        self.raw(name, &string(value))
    }

    pub fn nullable(self, name: &str, value: Option<&str>) -> Object {
        self.raw(name, &value.map_or_else(|| "null".to_owned(), string))
    }

    /// Bytes are base64 text.
    pub fn bytes(self, name: &str, value: Option<&[u8]>) -> Object {
        let text = value.map(encode);
        self.nullable(name, text.as_deref())
    }

    pub fn build(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

pub fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

pub fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

mod base64_text {
    //! Base64 with padding (RFC 4648).

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    pub fn encode(bytes: &[u8]) -> String {
        let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
        for chunk in bytes.chunks(3) {
            let mut group = [0; 3];
            group[..chunk.len()].copy_from_slice(chunk);
            let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
            for place in 0..4 {
                match place <= chunk.len() {
                    true => out.push(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize] as char),
                    false => out.push('='),
                }
            }
        }
        out
    }

    #[cfg(test)]
    mod tests {
        #[test]
        fn padding_fills_the_last_group() {
            let encoded = ["", "f", "fo", "foo", "foob"].map(|text| super::encode(text.as_bytes()));
            assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
        }
    }
}
