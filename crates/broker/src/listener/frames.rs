//! Frames of Kafka's protocol: a length (4 bytes, big-endian, the frame's bytes after it), then
//! that many bytes.
//!
//! Promises:
//! - a frame is a slice of the bytes read: nothing is copied out of the read buffer;
//! - memory follows the bytes that came, not the length that was claimed;
//! - a frame above the limit, a negative length, a frame that stops half-way and a silent
//!   connection each end with their own error.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The read buffer's first size; small requests are read many at a time.
const READ_BYTES: usize = 16 * 1024;
/// A claimed length is believed up to here; beyond it, the buffer grows with the bytes that come.
const BELIEVED_BYTES_MAX: usize = 1024 * 1024;
const LENGTH_BYTES: usize = 4;

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("closed by the client")]
    Closed,
    #[error("closed by the client inside a frame")]
    Truncated,
    #[error("a frame of {size} bytes; at most {max} are allowed")]
    Size { size: i32, max: usize },
    #[error("no request for {0:?}")]
    Idle(Duration),
    #[error("no byte of a begun frame for {0:?}")]
    Stalled(Duration),
    #[error("{0}")]
    Io(io::Error),
}

/// The times and sizes that a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// `socket.request.max.bytes`.
    pub frame_bytes_max: usize,
    /// `connections.max.idle.ms`: the longest silence between frames.
    pub idle: Duration,
    /// The longest silence inside a frame.
    pub stall: Duration,
}

/// Cuts a byte stream into frames.
pub struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
    limits: FrameLimits,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(io: R, limits: FrameLimits) -> FrameReader<R> {
        FrameReader { io, buffer: BytesMut::new(), limits }
    }

    /// The next frame without its length. [`FrameError::Idle`] leaves the reader usable: the caller
    /// decides whether the silence was a wait for its own answers.
    pub async fn next(&mut self) -> Result<Bytes, FrameError> {
        while self.buffer.len() < LENGTH_BYTES {
            self.read_more(READ_BYTES).await?;
        }
        let size =
            i32::from_be_bytes([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]]);
        let max = self.limits.frame_bytes_max;
        let length = match usize::try_from(size) {
            Ok(length) if length <= max => length,
            _ => return Err(FrameError::Size { size, max }),
        };
        let end = LENGTH_BYTES + length;
        while self.buffer.len() < end {
            // Doubling keeps the copies of a growing buffer below its final size.
            let believed = BELIEVED_BYTES_MAX.max(self.buffer.len());
            let missing = end - self.buffer.len();
            self.read_more(missing.min(believed)).await?;
        }
        self.buffer.advance(LENGTH_BYTES);
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn read_more(&mut self, room: usize) -> Result<(), FrameError> {
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve(room.max(READ_BYTES));
        } else if self.buffer.capacity() - self.buffer.len() < room {
            self.buffer.reserve(room);
        }
        let inside = !self.buffer.is_empty();
        let patience = if inside { self.limits.stall } else { self.limits.idle };
        let read = tokio::time::timeout(patience, self.io.read_buf(&mut self.buffer)).await;
        match read {
            Err(_) if inside => Err(FrameError::Stalled(patience)),
            Err(_) => Err(FrameError::Idle(patience)),
            Ok(Ok(0)) if inside => Err(FrameError::Truncated),
            Ok(Ok(0)) => Err(FrameError::Closed),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(FrameError::Io(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits {
        frame_bytes_max: 4 * 1024 * 1024,
        idle: Duration::from_secs(600),
        stall: Duration::from_secs(30),
    };

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as i32).to_be_bytes().to_vec();
        bytes.extend_from_slice(body);
        bytes
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_however_they_are_cut() {
        let bodies = [vec![1u8; 10], vec![], vec![2u8; 100_000], vec![3u8; 3_000_000]];
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
        for cut in [7, 4096, stream.len()] {
            let chunks =
                stream.chunks(cut).map(|chunk| Ok::<_, io::Error>(Bytes::copy_from_slice(chunk)));
            let mut io = tokio_test_reader(chunks.collect());
            let mut reader = FrameReader::new(&mut io, LIMITS);
            for body in &bodies {
                assert_eq!(reader.next().await.expect("a frame"), body);
            }
            assert!(matches!(reader.next().await, Err(FrameError::Closed)));
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_or_below_zero_is_refused_at_once() {
        for bytes in [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff], [0, 0x40, 0, 1]] {
            let mut reader = FrameReader::new(&bytes[..], LIMITS);
            assert!(matches!(reader.next().await, Err(FrameError::Size { .. })));
        }
    }

    #[tokio::test]
    async fn memory_follows_the_bytes_that_came() {
        let limits = FrameLimits { frame_bytes_max: i32::MAX as usize, ..LIMITS };
        let mut bytes = i32::MAX.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 100]);
        let mut reader = FrameReader::new(&bytes[..], limits);
        assert!(matches!(reader.next().await, Err(FrameError::Truncated)));
        assert!(reader.buffer.capacity() <= 2 * BELIEVED_BYTES_MAX);
    }

    #[tokio::test]
    async fn silence_between_frames_and_inside_one_are_told_apart() {
        let (mut client, server) = tokio::io::duplex(64);
        let patience = Duration::from_millis(1);
        let limits = FrameLimits { idle: patience, stall: patience, ..LIMITS };
        let mut reader = FrameReader::new(server, limits);
        assert!(matches!(reader.next().await, Err(FrameError::Idle(_))));
        tokio::io::AsyncWriteExt::write_all(&mut client, &[0, 0]).await.expect("written");
        assert!(matches!(reader.next().await, Err(FrameError::Stalled(_))));
    }

    /// A reader that gives one chunk per read.
    fn tokio_test_reader(chunks: Vec<io::Result<Bytes>>) -> impl AsyncRead + Unpin {
        struct Chunks(std::vec::IntoIter<io::Result<Bytes>>, Bytes);
        impl AsyncRead for Chunks {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                out: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                if self.1.is_empty()
                    && let Some(Ok(chunk)) = self.0.next()
                {
                    self.1 = chunk;
                }
                let count = self.1.len().min(out.remaining());
                let part = self.1.split_to(count);
                out.put_slice(&part);
                std::task::Poll::Ready(Ok(()))
            }
        }
        Chunks(chunks.into_iter(), Bytes::new())
    }
}
