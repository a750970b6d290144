//! What a schema file says: one API (or a set of data messages) with its structs and fields.
//!
//! Version ranges are inclusive at both ends.

/// An inclusive range of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub low: i16,
    pub high: i16,
}

impl Range {
    pub fn contains(self, version: i16) -> bool {
        self.low <= version && version <= self.high
    }

    pub fn intersect(self, other: Range) -> Option<Range> {
        let range = Range { low: self.low.max(other.low), high: self.high.min(other.high) };
        (range.low <= range.high).then_some(range)
    }

    /// The smallest range that holds both.
    pub fn join(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high) }
    }
}

/// The type of a field, or of an array's elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Kind>),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub docs: Vec<String>,
    /// As in the schema, in snake case.
    pub name: String,
    pub kind: Kind,
    pub versions: Range,
    pub nullable: Option<Range>,
    pub tag: Option<u32>,
    pub default: Option<String>,
    pub ignorable: bool,
}

#[derive(Clone, Debug)]
pub struct Struct {
    pub docs: Vec<String>,
    pub name: String,
    pub fields: Vec<Field>,
    /// The versions in which anything refers to it.
    pub versions: Range,
}

/// A message: the root struct of a request, of a response or of a data record.
#[derive(Clone, Debug)]
pub struct Message {
    pub name: String,
    pub key: i16,
    pub versions: Range,
    /// The first flexible version.
    pub flexible: Option<i16>,
}

/// One schema file.
#[derive(Clone, Debug)]
pub struct Schema {
    /// Name of the Rust module.
    pub module: String,
    pub docs: Vec<String>,
    /// The API's name; none for a file of data messages.
    pub api: Option<String>,
    pub messages: Vec<Message>,
    /// All structs, roots included, in the order of the file.
    pub structs: Vec<Struct>,
}

impl Schema {
    pub fn find(&self, name: &str) -> &Struct {
        self.structs
            .iter()
            .find(|item| item.name == name)
            .unwrap_or_else(|| panic!("{}: no struct is named {name}", self.module))
    }

    /// Whether any version of any message here has tagged fields.
    pub fn ever_flexible(&self) -> bool {
        self.messages.iter().any(|message| message.flexible.is_some())
    }
}
