//! Topic names: which are allowed, and which collide.

use types::TOPIC_NAME_BYTES_MAX;

/// Checks a new topic's name. The text of a refusal names the rule that it breaks.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("topic name is empty".to_owned());
    }
    if name == "." || name == ".." {
        return Err(format!("topic name {name} is not allowed"));
    }
    if name.len() > TOPIC_NAME_BYTES_MAX {
        let length = name.len();
        return Err(format!(
            "topic name is {length} characters long, at most {TOPIC_NAME_BYTES_MAX} are allowed"
        ));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(format!(
            "topic name {name:?} contains {c:?}, only ASCII letters, digits, '.', '_' and '-' are \
             allowed"
        )),
        None => Ok(()),
    }
}

/// What a name is reduced to where metric names allow no dots: names equal after it collide.
pub fn collision_name(name: &str) -> String {
    name.replace('.', "_")
}

/// The collision name of a name that can collide at all (one that has a `.` or a `_`).
pub(crate) fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| collision_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_allowed_characters_up_to_249_pass() {
        for name in ["a", "a.b_c-D9", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(check_topic_name(name), Ok(()), "{name}");
        }
        for name in ["", ".", "..", "a b", "a/b", "ä", "a\n", &"x".repeat(250)] {
            assert!(check_topic_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_differ_by_dot_and_underscore_collide() {
        assert_eq!(collision_key("a.b"), collision_key("a_b"));
        assert_ne!(collision_key("a.b"), collision_key("a-b"));
        assert_eq!(collision_key("ab"), None);
    }
}
