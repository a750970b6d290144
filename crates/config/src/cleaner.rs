//! How compaction runs on a node: `log.cleaner.*`, all of which may change while it runs.

use crate::Layers;
use std::time::Duration;

/// What all cleaner threads of a node share.
#[derive(Clone, PartialEq, Debug)]
pub struct CleanerConfig {
    /// `log.cleaner.threads`
    pub threads: u32,
    /// `log.cleaner.dedupe.buffer.size`
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.size`
    pub io_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`
    pub load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`
    pub bytes_per_second: f64,
    /// `log.cleaner.backoff.ms`
    pub backoff: Duration,
}

impl CleanerConfig {
    /// The values in force. Stored values are checked by the layers, and defaults by a test, so a
    /// number is a number here.
    pub fn resolve(layers: &Layers<'_>) -> CleanerConfig {
        let text = |name: &str| {
            layers.broker_value(name).unwrap_or_else(|| panic!("broker key {name} is in the table"))
        };
        let number = |name: &str| text(name).parse::<u64>().unwrap_or(0);
        CleanerConfig {
            threads: u32::try_from(number("log.cleaner.threads")).unwrap_or(u32::MAX),
            dedupe_buffer_bytes: number("log.cleaner.dedupe.buffer.size"),
            io_buffer_bytes: number("log.cleaner.io.buffer.size"),
            load_factor: text("log.cleaner.io.buffer.load.factor").parse().unwrap_or(0.0),
            bytes_per_second: text("log.cleaner.io.max.bytes.per.second").parse().unwrap_or(0.0),
            backoff: Duration::from_millis(number("log.cleaner.backoff.ms")),
        }
    }
}
