//! Requests: how many of each API, their errors, times and bytes.

use crate::TimeHistogram;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;
use types::ErrorCode;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ApiLabel {
    api: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ApiErrorLabel {
    api: &'static str,
    error: &'static str,
}

/// The metrics of one API; kept by whoever dispatches its requests.
#[derive(Clone)]
pub struct ApiMetrics {
    api: &'static str,
    requests: Counter,
    time: TimeHistogram,
    request_bytes: Counter,
    response_bytes: Counter,
    errors: Arc<Family<ApiErrorLabel, Counter>>,
}

impl ApiMetrics {
    /// A request was answered: its time from the last byte read to the first byte written, and the
    /// sizes of both frames.
    pub fn answered(&self, time: Duration, request_bytes: u64, response_bytes: u64) {
        self.requests.inc();
        self.time.observe(time);
        self.request_bytes.inc_by(request_bytes);
        self.response_bytes.inc_by(response_bytes);
    }

    /// An answer, or one of its parts, carries an error. Takes a short lock; errors are rare.
    pub fn error(&self, error: ErrorCode) {
        self.errors.get_or_create(&ApiErrorLabel { api: self.api, error: error.name() }).inc();
    }
}

/// The registered families.
pub(crate) struct ApiFamilies {
    requests: Family<ApiLabel, Counter>,
    time: Family<ApiLabel, TimeHistogram>,
    request_bytes: Family<ApiLabel, Counter>,
    response_bytes: Family<ApiLabel, Counter>,
    errors: Arc<Family<ApiErrorLabel, Counter>>,
}

impl ApiFamilies {
    pub(crate) fn register(registry: &mut Registry) -> ApiFamilies {
        let families = ApiFamilies {
            requests: Family::default(),
            time: Family::default(),
            request_bytes: Family::default(),
            response_bytes: Family::default(),
            errors: Arc::default(),
        };
        registry.register("requests", "Requests answered", families.requests.clone());
        let help = "Time from a request's last byte read to its answer's first byte written";
        registry.register_with_unit("request_time", help, Unit::Seconds, families.time.clone());
        let help = "Size of requests, as framed";
        registry.register_with_unit("request", help, Unit::Bytes, families.request_bytes.clone());
        let help = "Size of answers, as framed";
        registry.register_with_unit("response", help, Unit::Bytes, families.response_bytes.clone());
        let help = "Errors in answers, by Kafka's name";
        registry.register("request_errors", help, Family::clone(&families.errors));
        families
    }

    pub(crate) fn of(&self, api: &'static str) -> ApiMetrics {
        let label = ApiLabel { api };
        ApiMetrics {
            api,
            requests: self.requests.get_or_create_owned(&label),
            time: self.time.get_or_create_owned(&label),
            request_bytes: self.request_bytes.get_or_create_owned(&label),
            response_bytes: self.response_bytes.get_or_create_owned(&label),
            errors: Arc::clone(&self.errors),
        }
    }
}
