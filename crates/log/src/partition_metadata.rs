//! `partition.metadata`: which topic a partition's directory belongs to.
//!
//! Two lines: `version: 0` and `topic_id: <22 characters of url-safe base64>`.

use types::TopicId;

pub fn encode(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

pub fn decode(bytes: &[u8]) -> Result<TopicId, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
    let (mut version, mut topic_id) = (None, None);
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("version", value)) => version = Some(value),
            Some(("topic_id", value)) => topic_id = Some(value),
            Some(_) | None => return Err(format!("line {line:?} is not known")),
        }
    }
    if version != Some("0") {
        return Err(format!("version is {version:?}, not 0"));
    }
    let id: TopicId = topic_id.ok_or("no topic id")?.parse().map_err(|e| format!("{e}"))?;
    if id.is_zero() {
        return Err("topic id is zero".to_owned());
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_id_is_read_back() {
        let id = TopicId::from_random(42);
        let text = encode(id);
        assert!(text.starts_with("version: 0\ntopic_id: "), "{text}");
        assert_eq!(decode(text.as_bytes()), Ok(id));
        let zero = encode(TopicId::ZERO);
        for bad in ["", "version: 1\ntopic_id: x", "version: 0", "x", zero.as_str()] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
