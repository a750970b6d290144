//! Turns the schema files of `proto/kafka/` into Rust modules under `OUT_DIR`.
//!
//! Promises: the same schemas give the same output; a schema that does not make sense stops the
//! build with its file and line. Does not: look at anything but the schema files.
#![allow(clippy::disallowed_methods)] // A build script reads and writes files by nature.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/field.rs"]
mod field;
#[path = "build/parse.rs"]
mod parse;
#[path = "build/schema.rs"]
mod schema;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets the directory"));
    let source = root.join("../../proto/kafka");
    let target = PathBuf::from(env::var("OUT_DIR").expect("cargo sets the output directory"));
    println!("cargo:rerun-if-changed={}", source.display());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");

    let mut files: Vec<PathBuf> = fs::read_dir(&source)
        .expect("the schema directory is readable")
        .map(|entry| entry.expect("the schema directory is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "api"))
        .collect();
    files.sort();
    let schemas: Vec<schema::Schema> = files.iter().map(|path| read(path)).collect();
    for schema in &schemas {
        write(&target, &format!("{}.rs", schema.module), &emit::module(schema));
    }
    write(&target, "modules.rs", &emit::module_list(&schemas));
    write(&target, "api_key.rs", &emit::api_key(&schemas));
}

fn read(path: &Path) -> schema::Schema {
    let module = path.file_stem().and_then(|stem| stem.to_str()).expect("a plain file name");
    let text = fs::read_to_string(path).expect("the schema file is readable");
    match parse::schema(module, &text) {
        Ok(schema) => schema,
        Err(error) => panic!("{}:{error}", path.display()),
    }
}

fn write(target: &Path, name: &str, text: &str) {
    fs::write(target.join(name), text).expect("the output directory is writable");
}
