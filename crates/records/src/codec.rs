//! The five codecs of a batch's payload.
//!
//! Promises: decompression stops with an error at the caller's cap, whatever the input says.

use crate::BatchError;
use bytes::Bytes;
use std::io::{Read, Write};

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
    compress_at(codec, None, plain)
}

/// Compresses at a level; `None` is Kafka's default. A level that the codec's library does not have
/// becomes its nearest one. Snappy has no levels, nor has lz4 here.
pub fn compress_at(codec: Compression, level: Option<i32>, plain: &[u8]) -> Vec<u8> {
    // Writing into memory does not fail.
    match codec {
        Compression::None => plain.to_vec(),
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), gzip_level(level));
            writer.write_all(plain).expect("gzip into memory");
            writer.finish().expect("gzip into memory")
        }
        Compression::Snappy => snappy_blocks(plain),
        Compression::Lz4 => {
            let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
            writer.write_all(plain).expect("lz4 into memory");
            writer.finish().expect("lz4 into memory")
        }
        Compression::Zstd => {
            let levels = zstd::compression_level_range();
            let level = level.unwrap_or(ZSTD_LEVEL).clamp(*levels.start(), *levels.end());
            // In one piece: a frame that tells its size asks its readers for no more than that,
            // where a stream of a high level would ask for 128 MiB.
            zstd::bulk::compress(plain, level).expect("zstd into memory")
        }
    }
}

/// Decompresses a batch's payload into at most `output_bytes_max` bytes.
pub fn decompress(
    codec: Compression,
    payload: &Bytes,
    output_bytes_max: usize,
) -> Result<Bytes, BatchError> {
    match codec {
        Compression::None => Ok(payload.clone()),
        Compression::Gzip => {
            drain(flate2::read::MultiGzDecoder::new(&payload[..]), output_bytes_max)
        }
        Compression::Snappy => unsnappy(payload, output_bytes_max),
        Compression::Lz4 => {
            drain(lz4_flex::frame::FrameDecoder::new(&payload[..]), output_bytes_max)
        }
        Compression::Zstd => {
            let mut reader = zstd::Decoder::with_buffer(&payload[..]).map_err(bad)?;
            reader.window_log_max(zstd_window_log_max(output_bytes_max)).map_err(bad)?;
            drain(reader, output_bytes_max)
        }
    }
}

/// -1, as Kafka has it, is the library's own choice.
fn gzip_level(level: Option<i32>) -> flate2::Compression {
    match level.and_then(|level| u32::try_from(level).ok()) {
        Some(level) => flate2::Compression::new(level.min(9)),
        None => flate2::Compression::default(),
    }
}

/// Kafka's default for `compression.zstd.level`.
const ZSTD_LEVEL: i32 = 3;
/// A frame may ask for a window of 8 MiB (the limit that every decoder supports), or of as much as
/// the caller takes, up to 128 MiB (2^27: what Java's clients at high levels ask for).
pub(crate) fn zstd_window_log_max(output_bytes_max: usize) -> u32 {
    usize::BITS.saturating_sub(output_bytes_max.leading_zeros()).clamp(23, 27)
}

/// Block of the xerial framing, its library's default.
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
const XERIAL_MAGIC: &[u8] = b"\x82SNAPPY\0";
/// Magic, then version and lowest compatible version, 4 bytes each.
const XERIAL_HEADER_BYTES: usize = 16;

pub(crate) fn bad(error: impl std::fmt::Display) -> BatchError {
    BatchError::BadCompression(error.to_string())
}

fn drain(reader: impl Read, limit: usize) -> Result<Bytes, BatchError> {
    let mut out = Vec::new();
    let read = reader.take(limit as u64 + 1).read_to_end(&mut out).map_err(bad)?;
    if read > limit {
        return Err(BatchError::DecompressedTooLarge { limit });
    }
    Ok(out.into())
}

fn snappy_blocks(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(XERIAL_HEADER_BYTES + plain.len() / 2);
    out.extend_from_slice(XERIAL_MAGIC);
    out.extend_from_slice(&1u32.to_be_bytes());
    out.extend_from_slice(&1u32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in plain.chunks(SNAPPY_BLOCK_BYTES) {
        let block = encoder.compress_vec(block).expect("a block is below snappy's limit");
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    out
}

fn unsnappy(payload: &Bytes, limit: usize) -> Result<Bytes, BatchError> {
    let mut blocks = SnappyBlocks::new(payload, limit)?;
    let mut out = Vec::new();
    while blocks.next_into(&mut out)? {}
    Ok(out.into())
}

/// The blocks of a snappy payload. Some clients write one bare block instead of the xerial framing;
/// both are read.
pub(crate) struct SnappyBlocks<'a> {
    rest: &'a [u8],
    is_bare: bool,
    limit: usize,
}

impl<'a> SnappyBlocks<'a> {
    pub fn new(payload: &'a [u8], limit: usize) -> Result<SnappyBlocks<'a>, BatchError> {
        if !payload.starts_with(XERIAL_MAGIC) {
            return Ok(SnappyBlocks { rest: payload, is_bare: true, limit });
        }
        let rest = payload.get(XERIAL_HEADER_BYTES..);
        let rest = rest.ok_or_else(|| bad("xerial header is cut off"))?;
        Ok(SnappyBlocks { rest, is_bare: false, limit })
    }

    /// Appends the next block's bytes, at most the limit in `out`; false at the end.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Result<bool, BatchError> {
        if self.is_bare {
            self.is_bare = false;
            unsnappy_block(std::mem::take(&mut self.rest), self.limit, out)?;
            return Ok(true);
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        let cut_off = || bad("xerial block is cut off");
        let (size, after) = self.rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
        let size = u32::from_be_bytes(*size) as usize;
        let (block, after) = after.split_at_checked(size).ok_or_else(cut_off)?;
        self.rest = after;
        unsnappy_block(block, self.limit, out)?;
        Ok(true)
    }
}

fn unsnappy_block(block: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let size = snap::raw::decompress_len(block).map_err(bad)?;
    if size > limit - out.len() {
        return Err(BatchError::DecompressedTooLarge { limit });
    }
    // A byte of snappy input makes at most 64 bytes of output (a copy of 64 takes 3 bytes): a block
    // that claims more lies, and is refused before its room is allocated.
    if size > block.len().saturating_mul(64) {
        return Err(bad("snappy block claims more than it can hold"));
    }
    let start = out.len();
    out.resize(start + size, 0);
    let made = snap::raw::Decoder::new().decompress(block, &mut out[start..]).map_err(bad)?;
    if made != size {
        return Err(bad("snappy block is shorter than it claims"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> Vec<u8> {
        (0..100_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect()
    }

    #[test]
    fn every_codec_gives_back_what_it_got() {
        for codec in Compression::ALL {
            for plain in [Vec::new(), b"x".to_vec(), text()] {
                let packed = Bytes::from(compress(codec, &plain));
                let back = decompress(codec, &packed, plain.len());
                assert_eq!(back.as_deref(), Ok(&plain[..]), "{codec:?}");
            }
        }
    }

    #[test]
    fn a_higher_level_packs_tighter_and_any_level_can_be_read() {
        // Text-like bytes: levels differ on them.
        let plain: Vec<u8> = (0..60_000u64)
            .map(|n| b'a' + (n.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 29) as u8 % 13)
            .collect();
        for (codec, low, high) in [(Compression::Gzip, 1, 9), (Compression::Zstd, -50, 19)] {
            let packed = [low, high].map(|level| compress_at(codec, Some(level), &plain));
            assert!(packed[0].len() > packed[1].len(), "{codec:?}");
        }
        for codec in Compression::ALL {
            for level in [i32::MIN, -1, 0, 5, i32::MAX] {
                let packed = compress_at(codec, Some(level), &plain[..1000]);
                let back = decompress(codec, &packed.into(), 1000);
                assert_eq!(back.as_deref(), Ok(&plain[..1000]), "{codec:?} at {level}");
            }
        }
    }

    #[test]
    fn output_stops_at_the_cap() {
        let bomb = vec![0u8; 8 << 20];
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            let packed = Bytes::from(compress(codec, &bomb));
            let limit = 1 << 20;
            assert_eq!(
                decompress(codec, &packed, limit),
                Err(BatchError::DecompressedTooLarge { limit }),
                "{codec:?}"
            );
        }
    }

    #[test]
    fn noise_is_an_error_not_a_panic() {
        let noise = Bytes::from_static(&[0xa5; 64]);
        for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
            assert!(decompress(codec, &noise, 1 << 20).is_err(), "{codec:?}");
            let packed = Bytes::from(compress(codec, &text()));
            let cut = packed.slice(..packed.len() - 5);
            assert!(decompress(codec, &cut, 1 << 20).is_err(), "{codec:?} cut");
        }
    }

    #[test]
    fn a_window_is_as_large_as_the_caller_takes() {
        // A stream at the highest level, as Java's zstd writes it.
        let packed = Bytes::from(zstd::encode_all(&text()[..], 22).expect("packs"));
        assert!(decompress(Compression::Zstd, &packed, 1 << 20).is_err());
        assert_eq!(decompress(Compression::Zstd, &packed, 200 << 20).as_deref(), Ok(&text()[..]));
    }

    #[test]
    fn a_bare_snappy_block_is_read_too() {
        let packed = snap::raw::Encoder::new().compress_vec(b"hello hello hello").unwrap();
        let back = decompress(Compression::Snappy, &packed.into(), 100).unwrap();
        assert_eq!(&back[..], b"hello hello hello");
    }
}
