//! Writes the Rust text of a module, of the list of modules and of `ApiKey`.
//!
//! The output stays lean: one `read` and one `write` per struct, everything typed goes through
//! the `Element` trait, so that the compiler's inference does the work.

use std::fmt::Write;

use crate::field::{
    Presence, default_value, differs, has_plain_default, identifier, presence, read_value,
    rust_type, size_min, write_value,
};
use crate::schema::{Field, Kind, Message, Schema, Struct};

macro_rules! line {
    ($out:expr, $($arg:tt)*) => { writeln!($out, $($arg)*).expect("a string takes everything") };
}

pub fn module(schema: &Schema) -> String {
    let mut out = String::from("use crate::generated::*;\n");
    for item in &schema.structs {
        definition(&mut out, schema, item);
        default(&mut out, item);
        element(&mut out, schema, item);
        if used_as_nullable(schema, &item.name) {
            line!(out, "impl Nullable for {} {{}}", item.name);
        }
    }
    for message in &schema.messages {
        message_impl(&mut out, schema, message);
    }
    out
}

fn docs(out: &mut String, docs: &[String]) {
    for text in docs {
        line!(out, "/// {text}");
    }
}

fn range_text(low: i16, high: i16) -> String {
    if low == high { format!("version {low}") } else { format!("versions {low} to {high}") }
}

fn definition(out: &mut String, schema: &Schema, item: &Struct) {
    let (low, high) = (item.versions.low, item.versions.high);
    match (schema.messages.iter().any(|message| message.name == item.name), &schema.api) {
        (true, Some(_)) => docs(out, &schema.docs),
        (true, None) => docs(out, &item.docs),
        (false, _) => {}
    }
    line!(out, "/// Known in {}.", range_text(low, high));
    let derives = "Clone, Debug, PartialEq";
    let plain = item.fields.iter().all(has_plain_default);
    line!(out, "#[derive({derives}{})]", if plain { ", Default" } else { "" });
    line!(out, "pub struct {} {{", item.name);
    for field in &item.fields {
        docs(out, &field.docs);
        if let Some(range) = field.versions.intersect(item.versions)
            && range != item.versions
        {
            line!(out, "/// ({})", range_text(range.low, range.high));
        }
        line!(out, "pub {}: {},", identifier(&field.name), rust_type(field));
    }
    line!(out, "}}");
}

fn default(out: &mut String, item: &Struct) {
    if item.fields.iter().all(has_plain_default) {
        return;
    }
    line!(out, "impl Default for {} {{ fn default() -> Self {{ Self {{", item.name);
    for field in &item.fields {
        line!(out, "{}: {},", identifier(&field.name), default_value(field));
    }
    line!(out, "}} }} }}");
}

fn element(out: &mut String, schema: &Schema, item: &Struct) {
    line!(out, "impl Element for {} {{", item.name);
    line!(out, "const SIZE_MIN: usize = {};", size_min(schema, &item.name));
    read(out, schema, item);
    write(out, schema, item);
    error_codes(out, schema, item);
    line!(out, "}}");
}

fn error_codes(out: &mut String, schema: &Schema, item: &Struct) {
    let bearing = |field: &&Field| bears_errors(schema, field);
    if !item.fields.iter().any(|field| bearing(&field)) {
        return;
    }
    line!(out, "fn error_codes(&self, see: &mut dyn FnMut(i16)) {{");
    for field in item.fields.iter().filter(bearing) {
        let name = identifier(&field.name);
        match is_error_code(field) {
            true => line!(out, "see(self.{name});"),
            false => line!(out, "self.{name}.error_codes(see);"),
        }
    }
    line!(out, "}}");
}

fn is_error_code(field: &Field) -> bool {
    field.name == "error_code" && field.kind == Kind::Int16
}

fn bears_errors(schema: &Schema, field: &Field) -> bool {
    fn inside(schema: &Schema, kind: &Kind) -> bool {
        match kind {
            Kind::Struct(name) => {
                schema.find(name).fields.iter().any(|field| bears_errors(schema, field))
            }
            Kind::Array(element) => inside(schema, element),
            _ => false,
        }
    }
    is_error_code(field) || inside(schema, &field.kind)
}

fn read(out: &mut String, schema: &Schema, item: &Struct) {
    line!(out, "fn read(r: &mut Reader, v: i16, f: bool) -> Result<Self, DecodeError> {{");
    line!(out, "let mut m = Self::default();");
    for field in item.fields.iter().filter(|field| field.tag.is_none()) {
        let name = identifier(&field.name);
        match presence(field.versions, item.versions) {
            Presence::Never => {}
            Presence::Always => line!(out, "m.{name} = {};", read_value(field, item.versions)),
            Presence::When(when) => {
                line!(out, "if {when} {{ m.{name} = {}; }}", read_value(field, item.versions));
            }
        }
    }
    if schema.ever_flexible() {
        read_tagged(out, item);
    }
    line!(out, "Ok(m)\n}}");
}

fn read_tagged(out: &mut String, item: &Struct) {
    let tagged: Vec<&Field> = item.fields.iter().filter(|field| field.tag.is_some()).collect();
    if tagged.is_empty() {
        line!(out, "if f {{ r.skip_tagged_fields()?; }}");
        return;
    }
    line!(out, "if f {{ r.tagged_fields(|r, tag| {{ match tag {{");
    for field in tagged {
        let tag = field.tag.expect("filtered");
        let name = identifier(&field.name);
        match presence(field.versions, item.versions) {
            Presence::Never => {}
            Presence::Always => {
                line!(out, "{tag} => m.{name} = {},", read_value(field, item.versions));
            }
            Presence::When(when) => {
                line!(out, "{tag} if {when} => m.{name} = {},", read_value(field, item.versions));
            }
        }
    }
    line!(out, "_ => return Ok(false),\n}} Ok(true) }})?; }}");
}

fn write(out: &mut String, schema: &Schema, item: &Struct) {
    line!(out, "fn write(&self, w: &mut Writer, v: i16, f: bool) -> Result<(), EncodeError> {{");
    for field in item.fields.iter().filter(|field| field.tag.is_none()) {
        write_field(out, item, field);
    }
    if schema.ever_flexible() {
        write_tagged(out, item);
    }
    line!(out, "Ok(())\n}}");
}

fn write_field(out: &mut String, item: &Struct, field: &Field) {
    let absent = absent_check(item, field);
    match presence(field.versions, item.versions) {
        Presence::Never => {}
        Presence::Always => line!(out, "{}", write_value(&item.name, field, item.versions)),
        Presence::When(when) => {
            let value = write_value(&item.name, field, item.versions);
            line!(
                out,
                "if {when} {{ {value} }} {}",
                absent.map_or(String::new(), |check| { format!("else {check}") })
            );
        }
    }
}

/// Refuses a value that this version cannot carry, unless the schema lets it go.
fn absent_check(item: &Struct, field: &Field) -> Option<String> {
    let refuse = format!("return Err(absent(\"{}.{}\", v));", item.name, field.name);
    (!field.ignorable).then(|| format!("if {} {{ {refuse} }}", differs(field)))
}

fn write_tagged(out: &mut String, item: &Struct) {
    let mut tagged: Vec<&Field> = item.fields.iter().filter(|field| field.tag.is_some()).collect();
    tagged.sort_by_key(|field| field.tag);
    if tagged.is_empty() {
        line!(out, "if f {{ w.unsigned_varint(0); }}");
        return;
    }
    line!(out, "let mut tags = 0;");
    for field in &tagged {
        let flag = format!("has_{}", field.name);
        match presence(field.versions, item.versions) {
            Presence::Never => line!(out, "let {flag} = false;"),
            Presence::Always => line!(out, "let {flag} = {};", differs(field)),
            Presence::When(when) => {
                line!(out, "let {flag} = {when} && {};", differs(field));
                if let Some(check) = absent_check(item, field) {
                    line!(out, "if !({when}) {{ {check} }}");
                }
            }
        }
        line!(out, "tags += u32::from({flag});");
    }
    line!(out, "if f {{ w.unsigned_varint(tags);");
    for field in &tagged {
        let value = write_value(&item.name, field, item.versions);
        line!(
            out,
            "if has_{} {{ w.tagged_field({}, |w| {{ {value} Ok(()) }})?; }}",
            field.name,
            field.tag.expect("filtered")
        );
    }
    line!(out, "}}");
}

fn used_as_nullable(schema: &Schema, name: &str) -> bool {
    let mut fields = schema.structs.iter().flat_map(|item| &item.fields);
    fields.any(|field| field.nullable.is_some() && field.kind == Kind::Struct(name.to_owned()))
}

fn message_impl(out: &mut String, schema: &Schema, message: &Message) {
    let Message { name, key, versions, flexible } = message;
    line!(out, "impl Message for {name} {{");
    line!(out, "const NAME: &'static str = \"{name}\";");
    line!(out, "const KEY: i16 = {key};");
    line!(out, "const VERSIONS: (i16, i16) = ({}, {});", versions.low, versions.high);
    line!(out, "const FLEXIBLE_FROM: i16 = {};", flexible.unwrap_or(i16::MAX));
    line!(out, "}}");
    if schema.api.is_some() && name.ends_with("Request") {
        let response = format!("{}Response", name.trim_end_matches("Request"));
        line!(out, "impl Request for {name} {{ type Response = {response}; }}");
    }
}

/// The modules, and `for_each_api!`, which hands all APIs to another macro.
pub fn module_list(schemas: &[Schema]) -> String {
    let mut out = String::new();
    for schema in schemas {
        docs(&mut out, &schema.docs);
        line!(out, "#[allow(clippy::all, unused_variables, unused_mut)]");
        line!(
            out,
            "pub mod {0} {{ include!(concat!(env!(\"OUT_DIR\"), \"/{0}.rs\")); }}",
            schema.module
        );
    }
    line!(out, "/// Calls `$m!` with `[Name module NameRequest NameResponse]` for every API.");
    line!(out, "#[macro_export]\nmacro_rules! for_each_api {{ ($m:path) => {{ $m! {{");
    for schema in schemas {
        if let Some(api) = &schema.api {
            line!(out, "[{api} {} {api}Request {api}Response]", schema.module);
        }
    }
    line!(out, "}} }} }}");
    line!(out, "/// Calls `$m!` with `[module Name]` for every data message.");
    line!(out, "#[macro_export]\nmacro_rules! for_each_data {{ ($m:path) => {{ $m! {{");
    for schema in schemas.iter().filter(|schema| schema.api.is_none()) {
        for message in &schema.messages {
            line!(out, "[{} {}]", schema.module, message.name);
        }
    }
    line!(out, "}} }} }}");
    out
}

pub fn api_key(schemas: &[Schema]) -> String {
    let mut apis: Vec<(&str, &Message)> = schemas
        .iter()
        .filter_map(|schema| Some((schema.api.as_deref()?, schema.messages.first()?)))
        .collect();
    apis.sort_by_key(|(_, message)| message.key);
    let mut out = String::new();
    line!(out, "/// The APIs that this crate knows, by Kafka's key.");
    line!(out, "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]");
    line!(out, "#[repr(i16)]\npub enum ApiKey {{");
    for (name, message) in &apis {
        line!(out, "{name} = {},", message.key);
    }
    line!(out, "}}");
    line!(out, "const APIS: [Api; {}] = [", apis.len());
    for (name, message) in &apis {
        line!(
            out,
            "Api {{ key: ApiKey::{name}, name: \"{name}\", versions: ({}, {}), flexible_from: {} }},",
            message.versions.low,
            message.versions.high,
            message.flexible.unwrap_or(i16::MAX)
        );
    }
    line!(out, "];");
    out
}
