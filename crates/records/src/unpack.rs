//! The unpacked bytes of a packed payload, piece by piece: for checks, which look at each byte once
//! and need no room for all of them.
//!
//! Promises: gives the bytes that [`crate::decompress`] gives, and fails where that fails; holds one
//! block of the codec at a time, never more than the caller's cap in all.

use crate::codec::{SnappyBlocks, bad, zstd_window_log_max};
use crate::{BatchError, Compression};
use bytes::Bytes;
use std::io::Read;

pub(crate) enum Unpacked<'a> {
    Plain(&'a [u8]),
    Gzip(Box<flate2::read::MultiGzDecoder<&'a [u8]>>),
    Snappy { blocks: SnappyBlocks<'a>, block: Vec<u8>, at: usize },
    Lz4(Box<lz4_flex::frame::FrameDecoder<&'a [u8]>>),
    Zstd(zstd::Decoder<'static, &'a [u8]>),
}

impl<'a> Unpacked<'a> {
    /// `output_bytes_max` bounds what one block may ask for; the caller counts the blocks.
    pub fn new(
        codec: Compression,
        payload: &'a Bytes,
        output_bytes_max: usize,
    ) -> Result<Unpacked<'a>, BatchError> {
        Ok(match codec {
            Compression::None => Unpacked::Plain(payload),
            Compression::Gzip => {
                Unpacked::Gzip(Box::new(flate2::read::MultiGzDecoder::new(&payload[..])))
            }
            Compression::Snappy => Unpacked::Snappy {
                blocks: SnappyBlocks::new(payload, output_bytes_max)?,
                block: Vec::new(),
                at: 0,
            },
            Compression::Lz4 => {
                Unpacked::Lz4(Box::new(lz4_flex::frame::FrameDecoder::new(&payload[..])))
            }
            Compression::Zstd => {
                let mut reader = zstd::Decoder::with_buffer(&payload[..]).map_err(bad)?;
                reader.window_log_max(zstd_window_log_max(output_bytes_max)).map_err(bad)?;
                Unpacked::Zstd(reader)
            }
        })
    }

    /// Fills some of `out`, which is not empty; 0 is the end.
    pub fn read(&mut self, out: &mut [u8]) -> Result<usize, BatchError> {
        match self {
            Unpacked::Plain(rest) => rest.read(out).map_err(bad),
            Unpacked::Gzip(reader) => reader.read(out).map_err(bad),
            Unpacked::Lz4(reader) => reader.read(out).map_err(bad),
            Unpacked::Zstd(reader) => reader.read(out).map_err(bad),
            Unpacked::Snappy { blocks, block, at } => {
                while *at == block.len() {
                    block.clear();
                    *at = 0;
                    if !blocks.next_into(block)? {
                        return Ok(0);
                    }
                }
                let count = out.len().min(block.len() - *at);
                out[..count].copy_from_slice(&block[*at..*at + count]);
                *at += count;
                Ok(count)
            }
        }
    }
}
