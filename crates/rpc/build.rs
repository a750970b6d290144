//! Compiles every schema in `proto/ottla` to Rust, without a protoc: one module for each package
//! `ottla.<module>.v1`, and the descriptor set for server reflection.

#![allow(clippy::disallowed_methods)]

use prost::Message;
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let folder = root.join("ottla");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={}", folder.display());

    let schemas = schemas(&folder)?;
    let files: Vec<String> = schemas.iter().map(|name| format!("ottla/{name}.proto")).collect();
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let descriptors = compiler.file_descriptor_set();
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .build_client(true)
        .build_server(true)
        .include_file("packages.rs")
        .compile_fds(descriptors)?;

    let mut modules = String::new();
    for name in &schemas {
        writeln!(modules, "pub use packages::ottla::{name}::v1 as {name};")?;
    }
    fs::write(out.join("modules.rs"), modules)?;
    Ok(())
}

/// The stems of the schema files, in order of name. Each holds the package `ottla.<stem>.v1`.
fn schemas(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).ok_or("schema's name")?;
            println!("cargo:rerun-if-changed={}", path.display());
            names.push(stem.to_owned());
        }
    }
    names.sort();
    Ok(names)
}
