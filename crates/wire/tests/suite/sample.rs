//! Makes valid messages straight from the schemas, as bytes.
//!
//! Promises: every field of the version is there with a random value, arrays have a few elements,
//! nullable fields are null now and then, and a tagged field is never sent with its default, so
//! that a correct reader and writer give the same bytes back.

use std::fs;
use std::path::PathBuf;

use crate::parse;
use crate::random::Random;
use crate::schema::{Field, Kind, Message, Schema, Struct};

/// All schema files, read and parsed.
pub fn schemas() -> Vec<Schema> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../proto/kafka");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .expect("the schemas are there")
        .map(|entry| entry.expect("the directory is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "api"))
        .collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let module = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
        parse::schema(module, &fs::read_to_string(path).expect("readable")).expect("valid")
    };
    paths.iter().map(read).collect()
}

/// The schema and the message with this name.
pub fn find<'a>(schemas: &'a [Schema], name: &str) -> (&'a Schema, &'a Message) {
    let mut messages =
        schemas.iter().flat_map(|schema| schema.messages.iter().map(move |item| (schema, item)));
    messages.find(|(_, message)| message.name == name).expect("every message has a schema")
}

pub fn message(random: &mut Random, schema: &Schema, message: &Message, version: i16) -> Vec<u8> {
    let flexible = message.flexible.is_some_and(|from| version >= from);
    let mut sampler = Sampler { random, schema, version, flexible, out: Vec::new() };
    sampler.structure(schema.find(&message.name));
    sampler.out
}

struct Sampler<'a> {
    random: &'a mut Random,
    schema: &'a Schema,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
}

impl Sampler<'_> {
    fn structure(&mut self, item: &Struct) {
        let version = self.version;
        let present = || item.fields.iter().filter(|field| field.versions.contains(version));
        for field in present().filter(|field| field.tag.is_none()) {
            self.field(field);
        }
        if !self.flexible {
            return;
        }
        let mut tagged: Vec<&Field> = present().filter(|field| field.tag.is_some()).collect();
        tagged.sort_by_key(|field| field.tag);
        tagged.retain(|_| !self.random.one_in(3));
        self.varint(tagged.len());
        for field in tagged {
            let outer = std::mem::take(&mut self.out);
            self.present_value(&field.kind, false);
            let value = std::mem::replace(&mut self.out, outer);
            self.varint(field.tag.expect("filtered") as usize);
            self.varint(value.len());
            self.out.extend(value);
        }
    }

    fn field(&mut self, field: &Field) {
        let nullable = field.nullable.is_some_and(|range| range.contains(self.version));
        if nullable && self.random.one_in(4) {
            return self.null(&field.kind);
        }
        if nullable && matches!(field.kind, Kind::Struct(_)) {
            self.out.push(1);
        }
        self.present_value(&field.kind, true);
    }

    fn null(&mut self, kind: &Kind) {
        match (kind, self.flexible) {
            (Kind::Struct(_), _) => self.out.push(0xff),
            (_, true) => self.out.push(0),
            (Kind::String, false) => self.out.extend([0xff; 2]),
            (_, false) => self.out.extend([0xff; 4]),
        }
    }

    fn present_value(&mut self, kind: &Kind, may_be_empty: bool) {
        match kind {
            Kind::Bool => {
                let value = u8::from(!may_be_empty || self.random.one_in(2));
                self.out.push(value);
            }
            Kind::Int8 => self.fixed(1),
            Kind::Int16 | Kind::Uint16 => self.fixed(2),
            Kind::Int32 => self.fixed(4),
            Kind::Int64 => self.fixed(8),
            Kind::Uuid => self.fixed(16),
            Kind::Float64 => {
                let value = self.random.next() as i32;
                self.out.extend((f64::from(value) / 8.0).to_be_bytes());
            }
            Kind::String => self.string(may_be_empty),
            Kind::Bytes | Kind::Records => {
                let length = if self.random.one_in(8) { 3000 } else { 20 };
                let length = self.random.below(length) + usize::from(!may_be_empty);
                self.length(length, 4);
                let bytes = self.random.bytes(length);
                self.out.extend(bytes);
            }
            Kind::Array(element) => {
                let count = self.random.below(3) + usize::from(!may_be_empty);
                self.length(count, 4);
                (0..count).for_each(|_| self.present_value(element, true));
            }
            Kind::Struct(name) => self.structure(self.schema.find(name)),
        }
    }

    /// Any bytes but those of a likely default: the first is never 0, 0x7f, 0x80 or 0xff.
    fn fixed(&mut self, size: usize) {
        let mut bytes = self.random.bytes(size);
        bytes[0] = 0x11 + bytes[0] % 0x60;
        if self.random.one_in(3) {
            bytes[0] |= 0x84;
        }
        if bytes[0] == 0xff {
            bytes[0] = 0xfe;
        }
        self.out.extend(bytes);
    }

    fn string(&mut self, may_be_empty: bool) {
        let letters = ['a', 'Z', '.', '-', '7', 'é', '語', '\u{1f980}'];
        let limit = if self.random.one_in(10) { 200 } else { 12 };
        let count = self.random.below(limit) + usize::from(!may_be_empty);
        let text: String = (0..count).map(|_| letters[self.random.below(letters.len())]).collect();
        self.length(text.len(), 2);
        self.out.extend(text.as_bytes());
    }

    fn length(&mut self, length: usize, width: usize) {
        if self.flexible {
            self.varint(length + 1);
        } else {
            self.out.extend(&(length as u32).to_be_bytes()[4 - width..]);
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value > 0x7f {
            self.out.push(value as u8 | 0x80);
            value /= 128;
        }
        self.out.push(value as u8);
    }
}
