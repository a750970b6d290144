//! A client that knows no more than frames.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::{Message, Request};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
    correlation_id: i32,
    waiting: VecDeque<i32>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.expect("the broker listens");
        Connection { stream, buffer: BytesMut::new(), correlation_id: 0, waiting: VecDeque::new() }
    }

    /// Sends without waiting for the answer.
    pub async fn send<R: Request>(&mut self, version: i16, request: &R) {
        self.correlation_id += 1;
        self.waiting.push_back(self.correlation_id);
        let client = Some("test".into());
        let frame = wire::frame::encode_request(version, self.correlation_id, client, request);
        let frame = frame.expect("a request of this version").into_bytes();
        self.raw(&frame).await;
    }

    /// The next answer; it must be the one to the oldest request that waits.
    pub async fn receive<M: Message>(&mut self, version: i16) -> M {
        let frame = self.frame().await.expect("an answer");
        let (id, response) = wire::frame::decode_response(frame, version).expect("readable");
        assert_eq!(Some(id), self.waiting.pop_front(), "answers come in the order asked");
        response
    }

    pub async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.send(version, request).await;
        self.receive(version).await
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("written");
    }

    /// The next frame without its length; `None` when the broker has closed the connection.
    pub async fn frame(&mut self) -> Option<Bytes> {
        loop {
            let frame = wire::frame::split(&mut self.buffer, i32::MAX as usize).expect("a frame");
            if frame.is_some() {
                return frame;
            }
            let read = self.stream.read_buf(&mut self.buffer);
            let read = tokio::time::timeout(PATIENCE, read).await.expect("an answer in time");
            if read.map_or(0, |count| count) == 0 {
                return None;
            }
        }
    }

    /// Sends no more, and still reads.
    #[allow(dead_code)]
    pub async fn finish_sending(&mut self) {
        self.stream.shutdown().await.expect("the sending half closes");
    }

    /// What comes next, of at most `max` bytes, frame or not; empty at the end.
    #[allow(dead_code)]
    pub async fn some_bytes(&mut self, max: usize) -> Bytes {
        if self.buffer.is_empty() {
            let mut read = (&mut self.stream).take(max as u64);
            let read = tokio::time::timeout(PATIENCE, read.read_buf(&mut self.buffer)).await;
            // A connection that is reset has ended, too.
            read.expect("bytes or an end in time").unwrap_or(0);
        }
        let count = max.min(self.buffer.len());
        self.buffer.split_to(count).freeze()
    }

    /// Forgets a request that gets no answer.
    pub fn expect_silence(&mut self) {
        self.waiting.pop_back();
    }
}
