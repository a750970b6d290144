//! How keys and values become text.

use super::coordinator_records;
use bytes::Bytes;
use records::Record;

/// How a record is read.
pub enum Decoder {
    Plain {
        key: Plain,
        value: Plain,
    },
    /// `__consumer_offsets`
    Offsets,
    /// `__transaction_state`
    Transactions,
}

/// What is printed of a record; nothing for what is not there.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    pub key: Option<String>,
    pub value: Option<String>,
}

/// One of Kafka's decoder classes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {
    String,
    Integer,
    Long,
}

/// By the name of Kafka's class, with or without its package.
pub fn plain(class: Option<&str>) -> Result<Plain, String> {
    match class.map(|class| class.rsplit('.').next().unwrap_or(class)) {
        None | Some("StringDecoder") => Ok(Plain::String),
        // Kafka's prints the address of an object.
        Some("DefaultDecoder") => Ok(Plain::String),
        Some("IntegerDecoder") => Ok(Plain::Integer),
        Some("LongDecoder") => Ok(Plain::Long),
        Some(other) => Err(format!(
            "decoder {other} is not known (StringDecoder, IntegerDecoder, LongDecoder)"
        )),
    }
}

impl Plain {
    fn decode(self, bytes: &Bytes) -> Result<String, String> {
        let wrong = |_| format!("{} bytes are not one {self:?}", bytes.len());
        Ok(match self {
            Plain::String => String::from_utf8_lossy(bytes).into_owned(),
            Plain::Integer => i32::from_be_bytes(bytes[..].try_into().map_err(wrong)?).to_string(),
            Plain::Long => i64::from_be_bytes(bytes[..].try_into().map_err(wrong)?).to_string(),
        })
    }
}

impl Decoder {
    pub fn parse(&self, record: &Record) -> Result<Parsed, String> {
        match self {
            Decoder::Plain { key, value } => Ok(Parsed {
                key: record.key.as_ref().map(|bytes| key.decode(bytes)).transpose()?,
                value: record.value.as_ref().map(|bytes| value.decode(bytes)).transpose()?,
            }),
            Decoder::Offsets => coordinator_records::offsets(record),
            Decoder::Transactions => coordinator_records::transactions(record),
        }
    }
}
