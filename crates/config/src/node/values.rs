//! Reads broker keys of a node's own file, typed. The file has been checked against the table
//! before, and the table's defaults pass their own checks, so a number is a number here.

use crate::key::split_list;
use crate::{Properties, keys};
use std::time::Duration;

pub(super) struct Values<'a>(pub(super) &'a Properties);

impl<'a> Values<'a> {
    /// The value given or the default; `None` where there is neither or it is empty.
    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        let key =
            keys::find_broker(name).unwrap_or_else(|| panic!("broker key {name} is in the table"));
        self.0.get(name).or(key.default).map(str::trim).filter(|value| !value.is_empty())
    }

    pub(super) fn text(&self, name: &str) -> &'a str {
        self.optional(name).unwrap_or_default()
    }

    pub(super) fn list(&self, name: &str) -> Vec<&'a str> {
        split_list(self.text(name))
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    pub(super) fn i64(&self, name: &str) -> i64 {
        let text = self.text(name);
        text.parse().unwrap_or_else(|_| panic!("{name}={text} was checked to be a number"))
    }

    pub(super) fn u64(&self, name: &str) -> u64 {
        u64::try_from(self.i64(name)).unwrap_or(0)
    }

    pub(super) fn u32(&self, name: &str) -> u32 {
        u32::try_from(self.u64(name)).unwrap_or(u32::MAX)
    }

    pub(super) fn u16(&self, name: &str) -> u16 {
        u16::try_from(self.u64(name)).unwrap_or(u16::MAX)
    }

    /// `None` for a negative value.
    pub(super) fn optional_u32(&self, name: &str) -> Option<u32> {
        u32::try_from(self.i64(name)).ok()
    }

    pub(super) fn ms(&self, name: &str) -> Duration {
        Duration::from_millis(self.u64(name))
    }

    pub(super) fn seconds(&self, name: &str) -> Duration {
        Duration::from_secs(self.u64(name))
    }
}
