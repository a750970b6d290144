//! Records as lines of output, by Kafka's `DefaultMessageFormatter` rules.

use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;
use client::ConsumedRecord;

use super::ToolError;

/// What is printed of a record, and how.
#[derive(Clone, Debug)]
pub struct Formatter {
    kind: Kind,
    columns: Columns,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key: Decoder,
    value: Decoder,
    headers: Decoder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Default,
    /// Prints nothing.
    NoOp,
}

#[derive(Clone, Copy, Debug)]
struct Columns {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
}

/// How bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decoder {
    /// As they are.
    Raw,
    Short,
    Integer,
    Long,
    Float,
    Double,
}

impl Formatter {
    /// `class` is the name of Kafka's formatter class, with or without its package.
    pub fn new(
        class: Option<&str>,
        properties: &BTreeMap<String, String>,
    ) -> Result<Formatter, ToolError> {
        let name = class.map(|class| class.rsplit('.').next().unwrap_or(class));
        let kind = match name {
            None | Some("DefaultMessageFormatter") => Kind::Default,
            Some("NoOpMessageFormatter") => Kind::NoOp,
            Some(other) => {
                return Err(ToolError::Invalid(format!(
                    "formatter {other} is not known (DefaultMessageFormatter, NoOpMessageFormatter)"
                )));
            }
        };
        let flag = |key: &str, default: bool| match properties.get(key) {
            Some(value) => value.trim().eq_ignore_ascii_case("true"),
            None => default,
        };
        let text = |key: &str, default: &str| {
            properties.get(key).map_or_else(|| default.to_owned(), String::clone)
        };
        let decoder = |key: &str| match properties.get(key) {
            Some(class) => Decoder::by_class(class),
            None => Ok(Decoder::Raw),
        };
        Ok(Formatter {
            kind,
            columns: Columns {
                timestamp: flag("print.timestamp", false),
                partition: flag("print.partition", false),
                offset: flag("print.offset", false),
                delivery: flag("print.delivery", false),
                epoch: flag("print.epoch", false),
                headers: flag("print.headers", false),
                key: flag("print.key", false),
                value: flag("print.value", true),
            },
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key: decoder("key.deserializer")?,
            value: decoder("value.deserializer")?,
            headers: decoder("headers.deserializer")?,
        })
    }

    /// Writes one record with its line end.
    pub fn write(&self, record: &ConsumedRecord, out: &mut dyn Write) -> Result<(), ToolError> {
        if self.kind == Kind::NoOp {
            return Ok(());
        }
        let columns = self.columns;
        let mut fields: Vec<Vec<u8>> = Vec::new();
        if columns.timestamp {
            fields.push(timestamp(record).into_bytes());
        }
        if columns.partition {
            fields.push(format!("Partition:{}", record.partition.partition).into_bytes());
        }
        if columns.offset {
            fields.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if columns.delivery {
            fields.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if columns.epoch {
            // Kafka's own tool never has the epoch at hand here; ours does.
            fields.push(format!("Epoch:{}", record.leader_epoch).into_bytes());
        }
        if columns.headers {
            fields.push(self.headers_field(record)?);
        }
        if columns.key {
            fields.push(self.decode(self.key, record.key.as_ref())?);
        }
        if columns.value {
            fields.push(self.decode(self.value, record.value.as_ref())?);
        }
        out.write_all(&fields.join(self.key_separator.as_bytes()))?;
        out.write_all(self.line_separator.as_bytes())?;
        Ok(())
    }

    fn headers_field(&self, record: &ConsumedRecord) -> Result<Vec<u8>, ToolError> {
        if record.headers.is_empty() {
            return Ok(b"NO_HEADERS".to_vec());
        }
        let mut parts = Vec::new();
        for header in &record.headers {
            let mut part = header.key.to_vec();
            part.push(b':');
            part.extend(self.decode(self.headers, header.value.as_ref())?);
            parts.push(part);
        }
        Ok(parts.join(self.headers_separator.as_bytes()))
    }

    fn decode(&self, decoder: Decoder, bytes: Option<&Bytes>) -> Result<Vec<u8>, ToolError> {
        match bytes {
            Some(bytes) => decoder.decode(bytes),
            None => Ok(self.null_literal.clone().into_bytes()),
        }
    }
}

fn timestamp(record: &ConsumedRecord) -> String {
    if record.timestamp.0 < 0 {
        return "NO_TIMESTAMP".to_owned();
    }
    let kind = if record.is_append_time { "LogAppendTime" } else { "CreateTime" };
    format!("{kind}:{}", record.timestamp)
}

impl Decoder {
    /// By the name of Kafka's deserializer class, with or without its package.
    fn by_class(class: &str) -> Result<Decoder, ToolError> {
        match class.rsplit('.').next().unwrap_or(class) {
            "StringDeserializer" | "ByteArrayDeserializer" | "BytesDeserializer" => {
                Ok(Decoder::Raw)
            }
            "ShortDeserializer" => Ok(Decoder::Short),
            "IntegerDeserializer" => Ok(Decoder::Integer),
            "LongDeserializer" => Ok(Decoder::Long),
            "FloatDeserializer" => Ok(Decoder::Float),
            "DoubleDeserializer" => Ok(Decoder::Double),
            other => Err(ToolError::Invalid(format!(
                "deserializer {other} is not known (String, ByteArray, Short, Integer, Long, Float, \
                 Double, each with Deserializer behind)"
            ))),
        }
    }

    fn decode(self, bytes: &Bytes) -> Result<Vec<u8>, ToolError> {
        let wrong = |_| {
            let text = format!("{} bytes are not one {self:?}", bytes.len());
            ToolError::Invalid(text)
        };
        let text = match self {
            Decoder::Raw => return Ok(bytes.to_vec()),
            Decoder::Short => i16::from_be_bytes(bytes[..].try_into().map_err(wrong)?).to_string(),
            Decoder::Integer => {
                i32::from_be_bytes(bytes[..].try_into().map_err(wrong)?).to_string()
            }
            Decoder::Long => i64::from_be_bytes(bytes[..].try_into().map_err(wrong)?).to_string(),
            Decoder::Float => {
                format!("{:?}", f32::from_be_bytes(bytes[..].try_into().map_err(wrong)?))
            }
            Decoder::Double => {
                format!("{:?}", f64::from_be_bytes(bytes[..].try_into().map_err(wrong)?))
            }
        };
        Ok(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use records::Header;
    use types::{LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicPartition};

    fn check(properties: &[(&str, &str)], expected: &str) {
        let map = properties.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let partition = TopicPartition { topic: "t".to_owned(), partition: PartitionIndex(3) };
        let header = |key: &'static str, value: Option<&'static str>| Header {
            key: Bytes::from_static(key.as_bytes()),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
        };
        let record = ConsumedRecord {
            partition,
            offset: Offset(42),
            timestamp: Timestamp(1000),
            is_append_time: false,
            leader_epoch: LeaderEpoch(5),
            key: None,
            value: Some(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 1, 0])),
            headers: vec![header("a", Some("1")), header("b", None)],
        };
        let mut out = Vec::new();
        let result = Formatter::new(None, &map).and_then(|f| f.write(&record, &mut out));
        let shown = match result {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn fields_are_printed_in_kafkas_order() {
        let long = ("value.deserializer", "org.apache.kafka.common.serialization.LongDeserializer");
        check(&[long], "256\n");
        check(
            &[
                long,
                ("print.key", "true"),
                ("print.offset", "true"),
                ("print.partition", "true"),
                ("print.headers", "true"),
                ("print.timestamp", "true"),
                ("print.epoch", "true"),
            ],
            "CreateTime:1000\tPartition:3\tOffset:42\tEpoch:5\ta:1,b:null\tnull\t256\n",
        );
        check(&[("print.value", "false"), ("print.key", "true"), ("null.literal", "-")], "-\n");
        check(&[("value.deserializer", "IntegerDeserializer")], "8 bytes are not one Integer");
    }
}
