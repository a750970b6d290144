//! What a consumer's member metadata says of its subscription: the part that all versions of the
//! consumer protocol begin with.

use bytes::Buf;

/// Gives `visit` each topic that a member subscribes to, in place, until it answers `false`. Whether
/// all were seen: not if `visit` has ended it, and not if the bytes are no subscription.
pub(crate) fn each_topic(metadata: &[u8], visit: impl FnMut(&str) -> bool) -> bool {
    read(metadata, visit).is_some()
}

fn read(metadata: &[u8], mut visit: impl FnMut(&str) -> bool) -> Option<()> {
    let mut rest = metadata;
    let version = rest.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = rest.try_get_i32().ok()?;
    if count < 0 {
        return None;
    }
    for _ in 0..count {
        let len = usize::try_from(rest.try_get_i16().ok()?).ok()?;
        let (topic, after) = rest.split_at_checked(len)?;
        rest = after;
        if !visit(std::str::from_utf8(topic).ok()?) {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The topics; `None` if the bytes are no subscription.
    fn topics(metadata: &[u8]) -> Option<Vec<String>> {
        let mut topics = Vec::new();
        let are_all = each_topic(metadata, |topic| {
            topics.push(topic.to_owned());
            true
        });
        are_all.then_some(topics)
    }

    #[test]
    fn topics_are_read_whatever_follows_them() {
        let bytes = b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff";
        assert_eq!(topics(bytes), Some(vec!["a".to_owned(), "bc".to_owned()]));
    }

    #[test]
    fn no_more_topics_are_read_than_are_wanted() {
        let mut count = 0;
        let are_all = each_topic(b"\0\x03\0\0\0\x02\0\x01a\0\x02bc", |_| {
            count += 1;
            false
        });
        assert_eq!((are_all, count), (false, 1));
    }

    #[test]
    fn what_is_no_subscription_is_not_guessed_at() {
        for bytes in [
            &b""[..],
            b"sub",
            b"\xff\xff\0\0\0\0",
            b"\0\0\xff\xff\xff\xff",
            b"\0\0\0\0\0\x01\0\x05a",
        ] {
            assert_eq!(topics(bytes), None, "{bytes:?}");
        }
    }
}
