//! The APIs by key, with what their schemas say about versions.

use std::fmt;

use crate::DecodeError;

include!(concat!(env!("OUT_DIR"), "/api_key.rs"));

/// One row of the generated table, which is sorted by key.
struct Api {
    key: ApiKey,
    name: &'static str,
    versions: (i16, i16),
    flexible_from: i16,
}

impl ApiKey {
    /// All known APIs in the order of their keys.
    pub fn all() -> impl Iterator<Item = ApiKey> {
        APIS.iter().map(|api| api.key)
    }

    /// Kafka's name of the API.
    pub fn name(self) -> &'static str {
        self.api().name
    }

    /// The first and the last version of the schema. What a broker advertises is its own matter.
    pub fn versions(self) -> (i16, i16) {
        self.api().versions
    }

    /// Whether messages of this version have compact lengths and tagged fields.
    pub fn is_flexible(self, version: i16) -> bool {
        version >= self.api().flexible_from
    }

    fn api(self) -> &'static Api {
        let index = APIS.binary_search_by_key(&self, |api| api.key);
        &APIS[index.expect("the table holds every key")]
    }
}

impl TryFrom<i16> for ApiKey {
    type Error = DecodeError;

    /// The error names the key.
    fn try_from(key: i16) -> Result<Self, DecodeError> {
        APIS.binary_search_by_key(&key, |api| api.key as i16)
            .map(|index| APIS[index].key)
            .map_err(|_| DecodeError::UnknownApi { key })
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
