//! Frames of Kafka's protocol: a length (4 bytes, big-endian, the frame's bytes after it), then
//! that many bytes.
//!
//! Promises:
//! - a frame is a slice of the bytes read: nothing is copied out of the read buffer;
//! - memory follows the bytes that came, not the length that was claimed, and is counted as they come
//!   ([`RequestMemory`]): while there is no room, nothing more of a frame is read, unless it is small;
//! - waiting for room is bounded as every other stop inside a frame: who is not read from cannot be
//!   heard to have gone;
//! - a frame above the limit, a negative length, a frame that stops half-way and a silent
//!   connection each end with their own error.

use super::memory::{Held, RequestMemory, SMALL_BYTES};
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The read buffer's first size; small requests are read many at a time.
const READ_BYTES: usize = 16 * 1024;
/// A claimed length is believed up to here; beyond it, the buffer grows with the bytes that come.
const BELIEVED_BYTES_MAX: usize = 256 * 1024;
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
    #[error("queued.max.request.bytes leaves no room for a begun frame for {0:?}")]
    NoRoom(Duration),
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

/// A frame without its length, and what it holds of the memory of all requests.
pub struct Frame {
    pub bytes: Bytes,
    pub held: Held,
}

/// Cuts a byte stream into frames.
pub struct FrameReader<R> {
    io: R,
    buffer: BytesMut,
    limits: FrameLimits,
    memory: RequestMemory,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(io: R, limits: FrameLimits, memory: RequestMemory) -> FrameReader<R> {
        FrameReader { io, buffer: BytesMut::new(), limits, memory }
    }

    /// The next frame. [`FrameError::Idle`] leaves the reader usable: the caller decides whether the
    /// silence was a wait for its own answers.
    pub async fn next(&mut self) -> Result<Frame, FrameError> {
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
        let mut held = self.memory.hold();
        room(end, &mut held, self.limits.stall).await?;
        held.add(self.buffer.len().min(end) - LENGTH_BYTES);
        self.read_until(end, &mut held).await?;
        held.came_whole();
        self.buffer.advance(LENGTH_BYTES);
        Ok(Frame { bytes: self.buffer.split_to(length).freeze(), held })
    }

    /// Reads until the buffer holds a frame's last byte, which stands before `end`.
    async fn read_until(&mut self, end: usize, held: &mut Held) -> Result<(), FrameError> {
        while self.buffer.len() < end {
            room(end, held, self.limits.stall).await?;
            if held.is_beyond() {
                // The others wait for this one: a trickle must not keep them.
                let patience = self.limits.stall;
                let rest = async {
                    while self.buffer.len() < end {
                        self.read_part(end, held).await?;
                    }
                    Ok::<(), FrameError>(())
                };
                let late = |_| Err(FrameError::Stalled(patience));
                return tokio::time::timeout(patience, rest).await.unwrap_or_else(late);
            }
            self.read_part(end, held).await?;
        }
        Ok(())
    }

    /// Reads something of a frame that is not all there.
    async fn read_part(&mut self, end: usize, held: &mut Held) -> Result<(), FrameError> {
        let before = self.buffer.len();
        // Doubling keeps the copies of a growing buffer below its final size.
        let believed = BELIEVED_BYTES_MAX.max(before);
        self.read_more((end - before).min(believed)).await?;
        held.add(self.buffer.len().min(end) - before);
        Ok(())
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

/// Waits for room for more of the frame that ends at `end`.
async fn room(end: usize, held: &mut Held, patience: Duration) -> Result<(), FrameError> {
    if end <= LENGTH_BYTES + SMALL_BYTES || held.room(patience).await {
        return Ok(());
    }
    Err(FrameError::NoRoom(patience))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;

    const LIMITS: FrameLimits = FrameLimits {
        frame_bytes_max: 4 * 1024 * 1024,
        idle: Duration::from_secs(600),
        stall: Duration::from_secs(30),
    };

    fn memory() -> RequestMemory {
        RequestMemory::new(Some(1 << 30), Arc::default())
    }

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
            let mut reader = FrameReader::new(&mut io, LIMITS, memory());
            for body in &bodies {
                assert_eq!(reader.next().await.expect("a frame").bytes, body);
            }
            assert!(matches!(reader.next().await, Err(FrameError::Closed)));
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_limit_or_below_zero_is_refused_at_once() {
        for bytes in [[0x7f, 0xff, 0xff, 0xff], [0xff, 0xff, 0xff, 0xff], [0, 0x40, 0, 1]] {
            let mut reader = FrameReader::new(&bytes[..], LIMITS, memory());
            assert!(matches!(reader.next().await, Err(FrameError::Size { .. })));
        }
    }

    #[tokio::test]
    async fn memory_follows_the_bytes_that_came() {
        let limits = FrameLimits { frame_bytes_max: i32::MAX as usize, ..LIMITS };
        let mut bytes = i32::MAX.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; 100]);
        let mut reader = FrameReader::new(&bytes[..], limits, memory());
        assert!(matches!(reader.next().await, Err(FrameError::Truncated)));
        assert!(reader.buffer.capacity() <= 2 * BELIEVED_BYTES_MAX);
    }

    #[tokio::test]
    async fn silence_between_frames_and_inside_one_are_told_apart() {
        let (mut client, server) = tokio::io::duplex(64);
        let patience = Duration::from_millis(1);
        let limits = FrameLimits { idle: patience, stall: patience, ..LIMITS };
        let mut reader = FrameReader::new(server, limits, memory());
        assert!(matches!(reader.next().await, Err(FrameError::Idle(_))));
        client.write_all(&[0, 0]).await.expect("written");
        assert!(matches!(reader.next().await, Err(FrameError::Stalled(_))));
    }

    /// What is half sent must not wait for what is half sent.
    #[tokio::test]
    async fn while_requests_hold_all_memory_no_frame_is_read_but_one_to_its_end() {
        let memory = RequestMemory::new(Some(1000), Arc::default());
        let mut ends = Vec::new();
        let mut readers = Vec::new();
        for _ in 0..3 {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            client.write_all(&frame(&[7; 100_000])[..50_000]).await.expect("written");
            ends.push(client);
            readers.push(FrameReader::new(server, LIMITS, memory.clone()));
        }
        // Each has come to the point where it waits for bytes or for memory.
        let mut reading: Vec<_> = readers.iter_mut().map(|one| Box::pin(one.next())).collect();
        for one in &mut reading {
            assert!(one.as_mut().now_or_never().is_none());
        }
        for client in &mut ends {
            client.write_all(&[7; 50_004]).await.expect("written");
        }
        let mut frames = Vec::new();
        for _ in 0..3 {
            let (frame, at, _) = futures::future::select_all(&mut reading).await;
            let done = reading.remove(at);
            drop(done);
            let frame = frame.expect("a frame");
            assert_eq!(frame.bytes.len(), 100_000);
            for other in &mut reading {
                assert!(other.as_mut().now_or_never().is_none(), "this one is not done yet");
            }
            frames.push(frame.bytes);
            // Its request is done.
            drop(frame.held);
        }
    }

    #[tokio::test]
    async fn without_room_small_frames_come_in_and_half_of_a_large_one_is_gone_after_a_while() {
        let memory = RequestMemory::new(Some(10), Arc::default());
        let [mut full, mut beyond] = [(); 2].map(|()| memory.hold());
        full.add(10);
        assert!(beyond.room(LIMITS.stall).await && beyond.is_beyond());
        let small = frame(&[1; SMALL_BYTES]);
        let mut reader = FrameReader::new(&small[..], LIMITS, memory.clone());
        let read = reader.next().now_or_never().expect("it waits for nobody");
        assert_eq!(read.expect("a frame").bytes.len(), SMALL_BYTES);
        let limits = FrameLimits { stall: Duration::from_millis(5), ..LIMITS };
        let half = frame(&[1; 100_000]);
        let mut reader = FrameReader::new(&half[..50_000], limits, memory);
        assert!(matches!(reader.next().await, Err(FrameError::NoRoom(_))));
    }

    #[tokio::test]
    async fn a_trickle_keeps_the_others_waiting_for_a_while_only() {
        let memory = RequestMemory::new(Some(10), Arc::default());
        let mut full = memory.hold();
        full.add(10);
        let limits = FrameLimits { stall: Duration::from_millis(20), ..LIMITS };
        let (mut client, server) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(server, limits, memory);
        let trickle = async {
            // Too many to come one by one in time.
            client.write_all(&[0, 0x3f, 0, 0]).await.expect("written");
            loop {
                client.write_all(&[1]).await.expect("written");
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let read = reader.next().await;
            assert!(matches!(read, Err(FrameError::Stalled(_))));
        };
        let trickle = std::pin::pin!(trickle);
        let read = std::pin::pin!(read);
        let first = futures::future::select(trickle, read).await;
        assert!(matches!(first, futures::future::Either::Right(_)));
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
