//! Reads the text of a schema file; `proto/kafka/README.md` describes the format.

use crate::schema::{Field, Kind, Message, Range, Schema, Struct};

const VERSION_MAX: i16 = i16::MAX;

/// Parses a whole file; the error names the line.
pub fn schema(module: &str, text: &str) -> Result<Schema, String> {
    let mut parser = Parser {
        schema: Schema {
            module: module.to_owned(),
            docs: Vec::new(),
            api: None,
            messages: Vec::new(),
            structs: Vec::new(),
        },
        api: None,
        open: Vec::new(),
        docs: Vec::new(),
    };
    for (number, line) in text.lines().enumerate() {
        parser.line(line.trim()).map_err(|error| format!("{}: {error}", number + 1))?;
    }
    if !parser.open.is_empty() {
        return Err("end: a brace is not closed".to_owned());
    }
    let mut schema = parser.schema;
    settle_versions(&mut schema);
    Ok(schema)
}

struct Parser {
    schema: Schema,
    /// Name, key, versions and first flexible version of the `api` line.
    api: Option<(String, i16, Range, Option<i16>)>,
    /// Indexes of the structs whose braces are open, outermost first.
    open: Vec<usize>,
    /// Comment lines that wait for what they describe.
    docs: Vec<String>,
}

impl Parser {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.is_empty() {
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            self.docs.push(comment.trim().to_owned());
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match (self.open.is_empty(), words[0]) {
            (true, "api") => self.api_line(&words),
            (true, "data") => {
                self.schema.docs = std::mem::take(&mut self.docs);
                Ok(())
            }
            (true, "request" | "response") => self.root_line(words[0]),
            (true, "message") => self.message_line(&words),
            (true, other) => Err(format!("unexpected `{other}` outside of a message")),
            (false, "}") => {
                self.open.pop();
                Ok(())
            }
            (false, _) => self.field_line(&words),
        }
    }

    fn api_line(&mut self, words: &[&str]) -> Result<(), String> {
        let &["api", name, "key", key, "versions", versions, "flexible", flexible] = words else {
            return Err("expected `api NAME key K versions V flexible F`".to_owned());
        };
        self.schema.docs = std::mem::take(&mut self.docs);
        self.schema.api = Some(name.to_owned());
        self.api =
            Some((name.to_owned(), number(key)?, range(versions)?, flexible_from(flexible)?));
        Ok(())
    }

    fn root_line(&mut self, word: &str) -> Result<(), String> {
        let (api, key, versions, flexible) = self.api.clone().ok_or("no `api` line before it")?;
        let suffix = if word == "request" { "Request" } else { "Response" };
        let message = Message { name: format!("{api}{suffix}"), key, versions, flexible };
        self.open_root(message)
    }

    fn message_line(&mut self, words: &[&str]) -> Result<(), String> {
        let &["message", name, "key", key, "versions", versions, "flexible", flexible, "{"] = words
        else {
            return Err("expected `message NAME key K versions V flexible F {`".to_owned());
        };
        self.open_root(Message {
            name: name.to_owned(),
            key: number(key)?,
            versions: range(versions)?,
            flexible: flexible_from(flexible)?,
        })
    }

    fn open_root(&mut self, message: Message) -> Result<(), String> {
        let docs = std::mem::take(&mut self.docs);
        let (name, versions) = (message.name.clone(), message.versions);
        self.schema.messages.push(message);
        self.open_struct(name, versions, docs)
    }

    fn open_struct(
        &mut self,
        name: String,
        versions: Range,
        docs: Vec<String>,
    ) -> Result<(), String> {
        if self.schema.structs.iter().any(|item| item.name == name) {
            return Err(format!("{name} is described twice"));
        }
        self.open.push(self.schema.structs.len());
        self.schema.structs.push(Struct { docs, name, fields: Vec::new(), versions });
        Ok(())
    }

    fn field_line(&mut self, words: &[&str]) -> Result<(), String> {
        let (opens, words) = match words.split_last() {
            Some((&"{", rest)) => (true, rest),
            _ => (false, words),
        };
        let &[name, kind, versions, ref rest @ ..] = words else {
            return Err("expected `NAME TYPE VERSIONS`".to_owned());
        };
        let mut field = Field {
            docs: std::mem::take(&mut self.docs),
            name: name.to_owned(),
            kind: parse_kind(kind),
            versions: range(versions)?,
            nullable: None,
            tag: None,
            default: None,
            ignorable: false,
        };
        modifiers(&mut field, rest)?;
        let element = match &field.kind {
            Kind::Array(element) => (**element).clone(),
            other => other.clone(),
        };
        let (versions, current) = (field.versions, *self.open.last().ok_or("no open brace")?);
        self.schema.structs[current].fields.push(field);
        match (opens, element) {
            (true, Kind::Struct(name)) => self.open_struct(name, versions, Vec::new()),
            (true, _) => Err("only a struct has a body".to_owned()),
            (false, _) => Ok(()),
        }
    }
}

fn modifiers(field: &mut Field, words: &[&str]) -> Result<(), String> {
    let mut words = words.iter().copied().peekable();
    while let Some(word) = words.next() {
        match word {
            "ignorable" => field.ignorable = true,
            "tag" => field.tag = Some(number(words.next().ok_or("`tag` wants a number")?)?),
            "default" => {
                field.default = Some(words.next().ok_or("`default` wants a value")?.to_owned());
            }
            "nullable" => {
                let explicit = words.next_if(|next| next.starts_with(|c: char| c.is_ascii_digit()));
                field.nullable = Some(explicit.map_or(Ok(field.versions), range)?);
            }
            other => return Err(format!("unknown word `{other}`")),
        }
    }
    Ok(())
}

fn parse_kind(word: &str) -> Kind {
    match word {
        "bool" => Kind::Bool,
        "int8" => Kind::Int8,
        "int16" => Kind::Int16,
        "uint16" => Kind::Uint16,
        "int32" => Kind::Int32,
        "int64" => Kind::Int64,
        "float64" => Kind::Float64,
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        other => match other.strip_prefix("[]") {
            Some(element) => Kind::Array(Box::new(parse_kind(element))),
            None => Kind::Struct(other.to_owned()),
        },
    }
}

/// `3`, `3+` or `3-7`.
fn range(word: &str) -> Result<Range, String> {
    if let Some(low) = word.strip_suffix('+') {
        return Ok(Range { low: number(low)?, high: VERSION_MAX });
    }
    match word.split_once('-') {
        Some((low, high)) => Ok(Range { low: number(low)?, high: number(high)? }),
        None => number(word).map(|version| Range { low: version, high: version }),
    }
}

fn flexible_from(word: &str) -> Result<Option<i16>, String> {
    if word == "none" { Ok(None) } else { range(word).map(|range| Some(range.low)) }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is not a number that fits"))
}

/// Narrows each struct's versions to those in which something refers to it. A struct is described
/// before or at its first use, so one pass from the roots down sees every reference.
fn settle_versions(schema: &mut Schema) {
    let roots: Vec<(String, Range)> =
        schema.messages.iter().map(|message| (message.name.clone(), message.versions)).collect();
    let mut found: Vec<Option<Range>> = vec![None; schema.structs.len()];
    for (name, versions) in roots {
        visit(schema, &name, versions, 0, &mut found);
    }
    for (item, range) in schema.structs.iter_mut().zip(found) {
        item.versions = range.unwrap_or_else(|| panic!("nothing uses {}", item.name));
    }
}

fn visit(schema: &Schema, name: &str, versions: Range, depth: usize, found: &mut [Option<Range>]) {
    assert!(depth < 16, "{name} contains itself");
    let item = schema.find(name);
    let index = schema.structs.iter().position(|other| other.name == name).expect("just found");
    found[index] = Some(found[index].map_or(versions, |range| range.join(versions)));
    for field in &item.fields {
        let kind = match &field.kind {
            Kind::Array(element) => element,
            other => other,
        };
        if let (Kind::Struct(inner), Some(range)) = (kind, field.versions.intersect(versions)) {
            visit(schema, inner, range, depth + 1, found);
        }
    }
}
