//! How a client behaves, under Kafka's names for client properties.

use std::time::Duration;

use crate::error::ClientError;

/// Options of a [`crate::Client`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// `bootstrap.servers`: `host:port` of some brokers.
    pub bootstrap: Vec<String>,
    /// `client.id`.
    pub client_id: String,
    /// `request.timeout.ms`: the wait for one answer; a connection that exceeds it is closed.
    pub request_timeout: Duration,
    /// `default.api.timeout.ms`: the whole of an operation, retries included.
    pub api_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    /// `retry.backoff.ms`: the first pause, doubled up to `retry_backoff_max`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `metadata.max.age.ms`.
    pub metadata_age_max: Duration,
}

/// Largest response frame taken from a broker; a fetch stays far below it.
pub(crate) const RESPONSE_BYTES_MAX: usize = 256 << 20;
/// Most requests of one connection that wait for an answer; more wait to be sent.
pub(crate) const IN_FLIGHT_MAX: usize = 64;

impl ClientOptions {
    /// Kafka's defaults for these servers.
    pub fn new(bootstrap: Vec<String>) -> ClientOptions {
        ClientOptions {
            bootstrap,
            client_id: "ottla".to_owned(),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_age_max: Duration::from_secs(300),
        }
    }

    /// Takes a client property by Kafka's name. `Ok(false)`: not a property of this struct.
    pub fn set(&mut self, key: &str, value: &str) -> Result<bool, ClientError> {
        match key {
            "bootstrap.servers" => self.bootstrap = parse_servers(value),
            "client.id" => self.client_id = value.to_owned(),
            "request.timeout.ms" => self.request_timeout = parse_ms(key, value)?,
            "default.api.timeout.ms" => self.api_timeout = parse_ms(key, value)?,
            "socket.connection.setup.timeout.ms" => self.connect_timeout = parse_ms(key, value)?,
            "retry.backoff.ms" => self.retry_backoff = parse_ms(key, value)?,
            "retry.backoff.max.ms" => self.retry_backoff_max = parse_ms(key, value)?,
            "metadata.max.age.ms" => self.metadata_age_max = parse_ms(key, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Splits `a:1,b:2`.
pub fn parse_servers(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// A property in milliseconds.
pub(crate) fn parse_ms(key: &str, value: &str) -> Result<Duration, ClientError> {
    parse_number::<u64>(key, value).map(Duration::from_millis)
}

/// A property that is a number.
pub(crate) fn parse_number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, ClientError> {
    value
        .trim()
        .parse()
        .map_err(|_| ClientError::Invalid(format!("{key} is not a valid number: {value}")))
}

/// A property that is true or false.
pub(crate) fn parse_bool(key: &str, value: &str) -> Result<bool, ClientError> {
    match value.trim() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ClientError::Invalid(format!("{key} is neither true nor false: {value}"))),
    }
}
