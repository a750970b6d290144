//! Brings the debug text of our messages and of the `kafka-protocol` crate's into one form, so
//! that equal text means that every field of that name has the same value.
//!
//! What differs by nature goes away: names of structs, wrappers around ids, the list of unknown
//! tagged fields, and how uuids are shown.

/// The text without wrappers and struct names.
pub fn text(debug: &str) -> String {
    let debug = debug
        .replace(", unknown_tagged_fields: {}", "")
        .replace("unknown_tagged_fields: {}", "")
        .replace(" _type: ", " type: ")
        .replace(" _match: ", " match: ")
        .replace("enable_2_pc", "enable_2pc");
    let debug = uuids(&debug);
    let mut out = String::new();
    // For each open parenthesis, whether its name was kept.
    let mut open = Vec::new();
    let mut chars = debug.chars().peekable();
    while let Some(first) = chars.next() {
        match first {
            '"' => literal(&mut out, &mut chars),
            'A'..='Z' => {
                let mut word = String::from(first);
                while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(next);
                }
                match (word.as_str(), chars.peek()) {
                    ("Some", Some('(')) => {
                        chars.next();
                        open.push(true);
                        out.push_str("Some(");
                    }
                    (_, Some('(')) => {
                        chars.next();
                        open.push(false);
                    }
                    ("None", _) => out.push_str("None"),
                    _ => {}
                }
            }
            ')' => {
                if open.pop().unwrap_or(true) {
                    out.push(')');
                }
            }
            ' ' => {}
            other => out.push(other),
        }
    }
    out.replace("{}", "").replace(",}", "}")
}

/// Replaces uuids in the usual form by Kafka's, which is how ours show themselves.
fn uuids(debug: &str) -> String {
    let mut out = String::new();
    let mut rest = debug;
    while let Some(next) = rest.chars().next() {
        let skip = match rest.get(..36).and_then(uuid) {
            Some(uuid) => {
                out.push_str(&uuid.to_string());
                36
            }
            None => {
                out.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[skip..];
    }
    out
}

fn uuid(text: &str) -> Option<wire::Uuid> {
    let dashes = text.match_indices('-').map(|(at, _)| at);
    if !dashes.eq([8, 13, 18, 23]) {
        return None;
    }
    let value = u128::from_str_radix(&text.replace('-', ""), 16).ok()?;
    Some(wire::Uuid(value.to_be_bytes()))
}

fn literal(out: &mut String, chars: &mut impl Iterator<Item = char>) {
    out.push('"');
    while let Some(next) = chars.next() {
        out.push(next);
        match next {
            '\\' => out.extend(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}
