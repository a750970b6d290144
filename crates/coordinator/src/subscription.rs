//! What a consumer's member metadata says of its subscription: the part that all versions of the
//! consumer protocol begin with.

use bytes::{Buf, Bytes};

/// The topics that a member subscribes to; `None` if the bytes are no subscription.
pub(crate) fn topics(metadata: &Bytes) -> Option<Vec<String>> {
    let mut rest = metadata.clone();
    let version = rest.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = rest.try_get_i32().ok()?;
    if count < 0 {
        return None;
    }
    let mut topics = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(rest.try_get_i16().ok()?).ok()?;
        if len > rest.len() {
            return None;
        }
        topics.push(String::from_utf8(rest.split_to(len).to_vec()).ok()?);
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_whatever_follows_them() {
        let bytes = Bytes::from_static(b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff");
        assert_eq!(topics(&bytes), Some(vec!["a".to_owned(), "bc".to_owned()]));
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
            assert_eq!(topics(&Bytes::from_static(bytes)), None, "{bytes:?}");
        }
    }
}
