//! One field in Rust: its type, default, version conditions, and the statements that read and
//! write it.

use crate::schema::{Field, Kind, Range, Schema};

/// The Rust type without the `Option` of a nullable field.
pub fn plain_type(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "bool".into(),
        Kind::Int8 => "i8".into(),
        Kind::Int16 => "i16".into(),
        Kind::Uint16 => "u16".into(),
        Kind::Int32 => "i32".into(),
        Kind::Int64 => "i64".into(),
        Kind::Float64 => "f64".into(),
        Kind::Uuid => "Uuid".into(),
        Kind::String => "StrBytes".into(),
        Kind::Bytes => "Bytes".into(),
        Kind::Records => "Records".into(),
        Kind::Struct(name) => name.clone(),
        Kind::Array(element) => format!("Vec<{}>", plain_type(element)),
    }
}

pub fn rust_type(field: &Field) -> String {
    let plain = plain_type(&field.kind);
    if field.nullable.is_some() { format!("Option<{plain}>") } else { plain }
}

/// The field's name as an identifier.
pub fn identifier(name: &str) -> String {
    match name {
        "type" | "match" | "ref" | "mod" | "move" | "use" | "in" | "where" => format!("r#{name}"),
        other => other.to_owned(),
    }
}

fn defaults_to_null(field: &Field) -> bool {
    field.nullable.is_some()
        && (field.default.as_deref() == Some("null") || field.kind == Kind::Records)
}

/// Whether `Default::default()` of the Rust type is the schema's default.
pub fn has_plain_default(field: &Field) -> bool {
    match field.nullable {
        Some(_) => defaults_to_null(field),
        None => field.default.is_none(),
    }
}

pub fn default_value(field: &Field) -> String {
    if has_plain_default(field) {
        return "Default::default()".into();
    }
    if field.nullable.is_some() {
        assert!(field.default.is_none(), "{}: a nullable default is null or empty", field.name);
        return "Some(Default::default())".into();
    }
    let value = field.default.clone().expect("not the plain default");
    match field.kind {
        Kind::Bool | Kind::Int8 | Kind::Int16 | Kind::Uint16 | Kind::Int32 | Kind::Int64 => value,
        _ => panic!("{}: no default is possible for this type", field.name),
    }
}

/// A condition that holds when the field differs from its default.
pub fn differs(field: &Field) -> String {
    let name = format!("self.{}", identifier(&field.name));
    if defaults_to_null(field) {
        return format!("{name}.is_some()");
    }
    if field.nullable.is_some() {
        let plain = plain_type(&field.kind);
        return format!("{name}.as_ref().is_none_or(|value| *value != <{plain}>::default())");
    }
    match (&field.kind, field.default.as_deref()) {
        (Kind::Bool, Some("true")) => format!("!{name}"),
        (Kind::Bool, _) => name,
        (Kind::String | Kind::Bytes | Kind::Records | Kind::Array(_), _) => {
            format!("!{name}.is_empty()")
        }
        (Kind::Uuid, _) => format!("{name} != Uuid::ZERO"),
        (Kind::Float64, _) => format!("{name} != 0.0"),
        (Kind::Struct(_), _) => format!("{name} != Default::default()"),
        (_, Some(value)) => format!("{name} != {value}"),
        (_, None) => format!("{name} != 0"),
    }
}

/// When a field is there, given the versions in which its struct is.
pub enum Presence {
    Always,
    Never,
    When(String),
}

pub fn presence(range: Range, within: Range) -> Presence {
    let Some(range) = range.intersect(within) else { return Presence::Never };
    let (low, high) = (range.low, range.high);
    match (low > within.low, high < within.high) {
        (false, false) => Presence::Always,
        (true, false) => Presence::When(format!("v >= {low}")),
        (false, true) => Presence::When(format!("v <= {high}")),
        (true, true) if low == high => Presence::When(format!("v == {low}")),
        (true, true) => Presence::When(format!("v >= {low} && v <= {high}")),
    }
}

/// The expression that reads the field's value, in the versions where the field is.
pub fn read_value(field: &Field, within: Range) -> String {
    let plain = "Element::read(r, v, f)?";
    let versions = field.versions.intersect(within).expect("the field is there");
    let Some(nullable) = field.nullable else { return plain.into() };
    match presence(nullable, versions) {
        Presence::Always => plain.into(),
        Presence::Never => format!("Some({plain})"),
        Presence::When(when) => format!("if {when} {{ {plain} }} else {{ Some({plain}) }}"),
    }
}

/// The statement that writes the field's value, in the versions where the field is.
pub fn write_value(owner: &str, field: &Field, within: Range) -> String {
    let name = identifier(&field.name);
    let plain = format!("self.{name}.write(w, v, f)?;");
    let versions = field.versions.intersect(within).expect("the field is there");
    let Some(nullable) = field.nullable else { return plain };
    let required =
        format!("required(&self.{name}, \"{owner}.{}\", v)?.write(w, v, f)?;", field.name);
    match presence(nullable, versions) {
        Presence::Always => plain,
        Presence::Never => required,
        Presence::When(when) => format!("if {when} {{ {plain} }} else {{ {required} }}"),
    }
}

/// The fewest bytes that a struct takes in any of its versions.
pub fn size_min(schema: &Schema, name: &str) -> usize {
    let item = schema.find(name);
    (item.versions.low..=item.versions.high)
        .flat_map(|version| [false, true].map(|flexible| (version, flexible)))
        .filter(|&(version, flexible)| possible(schema, version, flexible))
        .map(|(version, flexible)| struct_size_min(schema, name, version, flexible))
        .min()
        .unwrap_or(0)
}

/// Whether some message of the file is flexible (or not) in this version.
fn possible(schema: &Schema, version: i16, flexible: bool) -> bool {
    schema
        .messages
        .iter()
        .filter(|message| message.versions.contains(version))
        .any(|message| message.flexible.is_some_and(|from| version >= from) == flexible)
}

fn struct_size_min(schema: &Schema, name: &str, version: i16, flexible: bool) -> usize {
    let fields = schema.find(name).fields.iter();
    let present = fields.filter(|field| field.tag.is_none() && field.versions.contains(version));
    let sizes = present.map(|field| {
        let nullable = field.nullable.is_some_and(|range| range.contains(version));
        match (&field.kind, nullable) {
            (Kind::Struct(_), true) => 1,
            (Kind::Struct(inner), false) => struct_size_min(schema, inner, version, flexible),
            (Kind::Bool | Kind::Int8, _) => 1,
            (Kind::Int16 | Kind::Uint16, _) => 2,
            (Kind::Int32, _) => 4,
            (Kind::Int64 | Kind::Float64, _) => 8,
            (Kind::Uuid, _) => 16,
            (Kind::String, _) => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            (Kind::Bytes | Kind::Records | Kind::Array(_), _) => {
                if flexible {
                    1
                } else {
                    4
                }
            }
        }
    });
    sizes.sum::<usize>() + usize::from(flexible)
}
