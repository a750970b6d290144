//! What prost and tonic make of `proto/ottla/*.proto`: messages, clients and servers of the gRPC
//! services between nodes and of the admin service.
//!
//! Promises: `rpc::<name>` is the package `ottla.<name>.v1` of the file `<name>.proto`; every
//! `bytes` field is a [`bytes::Bytes`], decoded without a copy; [`FILE_DESCRIPTOR_SET`] describes
//! all of them for server reflection.
//! Does not: know what any of it means. Bounds on message sizes are set where servers and clients
//! are made.

#[allow(clippy::all, clippy::disallowed_types, clippy::disallowed_methods, rustdoc::all)]
mod packages {
    include!(concat!(env!("OUT_DIR"), "/packages.rs"));
}

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

/// The encoded descriptors of all schemas, for `tonic_reflection`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    #[test]
    fn the_descriptor_set_describes_every_service() {
        let set = FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET).unwrap();
        let packages: Vec<&str> = set.file.iter().map(|file| file.package()).collect();
        for name in ["metadata", "controller", "replica", "raft", "admin"] {
            assert!(packages.contains(&format!("ottla.{name}.v1").as_str()), "{packages:?}");
        }
        let services = set.file.iter().map(|file| file.service.len()).sum::<usize>();
        assert!(services >= 4);
    }
}
