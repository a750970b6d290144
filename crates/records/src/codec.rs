//! The five codecs of a batch's payload.
//!
//! Promises: decompression stops with an error at the caller's cap, whatever the input says.

use crate::BatchError;
use bytes::Bytes;

/// A batch's codec, with its number in the attributes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    /// Framed as the xerial library does.
    Snappy = 2,
    /// The LZ4 frame format.
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    pub const ALL: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    pub fn from_id(id: u8) -> Result<Compression, BatchError> {
        Compression::ALL.get(usize::from(id)).copied().ok_or(BatchError::UnknownCodec(id))
    }

    /// Kafka's name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    pub fn from_name(name: &str) -> Option<Compression> {
        Compression::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

/// Compresses a batch's payload at the codec's default level.
pub fn compress(codec: Compression, plain: &[u8]) -> Vec<u8> {
    let _ = (codec, plain);
    todo!()
}

/// Decompresses a batch's payload into at most `output_bytes_max` bytes.
pub fn decompress(
    codec: Compression,
    payload: &Bytes,
    output_bytes_max: usize,
) -> Result<Bytes, BatchError> {
    let _ = (codec, payload, output_bytes_max);
    todo!()
}
