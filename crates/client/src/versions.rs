//! Which versions of each API a broker speaks, and the highest that both sides know.

use std::collections::BTreeMap;

/// The versions of one API, both ends inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiVersionRange {
    pub key: i16,
    pub min: i16,
    pub max: i16,
}

/// What a broker advertises.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ApiVersions {
    ranges: BTreeMap<i16, ApiVersionRange>,
}

impl ApiVersions {
    pub fn new(ranges: impl IntoIterator<Item = ApiVersionRange>) -> ApiVersions {
        ApiVersions { ranges: ranges.into_iter().map(|range| (range.key, range)).collect() }
    }

    /// Every API advertised, by key.
    pub fn iter(&self) -> impl Iterator<Item = &ApiVersionRange> {
        self.ranges.values()
    }

    pub fn get(&self, key: i16) -> Option<ApiVersionRange> {
        self.ranges.get(&key).copied()
    }

    /// The highest version inside both ranges; `None` where they do not meet.
    pub fn highest_common(&self, key: i16, ours: (i16, i16)) -> Option<i16> {
        let theirs = self.get(key)?;
        let version = theirs.max.min(ours.1);
        (version >= theirs.min && version >= ours.0).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_of_both_ranges_is_chosen() {
        let versions = ApiVersions::new([ApiVersionRange { key: 1, min: 4, max: 17 }]);
        assert_eq!(versions.highest_common(1, (4, 18)), Some(17));
        assert_eq!(versions.highest_common(1, (0, 12)), Some(12));
        assert_eq!(versions.highest_common(1, (0, 3)), None);
        assert_eq!(versions.highest_common(1, (18, 19)), None);
        assert_eq!(versions.highest_common(2, (0, 3)), None);
    }
}
