//! The newest bytes of a log in memory, for followers that are about to fetch them.
//!
//! ```text
//!  the active segment's file
//!  |....................|piece|piece....|open piece|
//!                       ^start                     ^end
//! ```
//!
//! Promises:
//! - what it gives for a range of the file is what was written there, byte for byte: it takes in
//!   only what continues it, and its owner empties it before the file is cut or left;
//! - pieces begin and end between batches;
//! - all tails of a node together, and each of them, stay within the bytes of a [`TailLimits`],
//!   counted as they are allocated. What was given out lives on until its reader drops it;
//! - no buffer of a request lives on because of a tail: bytes are copied in, once. They are in the
//!   processor's cache then, and each follower after that takes them without a copy.
//!
//! Does not: know offsets, roles or damage. Reads are planned by the log first
//! ([`crate::PartitionLog::read_plan`]), and only the plan's bytes come from here.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A reader gets a piece as it is if it is at least this large; smaller ones are put together.
const WHOLE_BYTES_MIN: usize = 64 << 10;
/// Largest piece that several batches share.
const PIECE_BYTES_MAX: u64 = 256 << 10;

/// How much memory the tails of a node may take; clones share it.
#[derive(Clone)]
pub struct TailLimits(Arc<Limits>);

struct Limits {
    node_bytes: u64,
    log_bytes: u64,
    held: AtomicU64,
}

impl TailLimits {
    /// At most `node_bytes` over all logs, and `log_bytes` in each. 0 in either: nothing is kept.
    pub fn new(node_bytes: u64, log_bytes: u64) -> TailLimits {
        TailLimits(Arc::new(Limits { node_bytes, log_bytes, held: AtomicU64::new(0) }))
    }

    pub fn is_off(&self) -> bool {
        self.0.node_bytes == 0 || self.0.log_bytes == 0
    }

    /// Bytes that all tails hold now.
    pub fn held_bytes(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let within = |held: u64| Some(held + bytes).filter(|held| *held <= self.0.node_bytes);
        self.0.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.0.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that get no more.
struct Piece {
    bytes: Bytes,
    allocated: u64,
}

/// One log's tail. Off, and empty, until it is told its limits.
#[derive(Default)]
pub(crate) struct Tail {
    limits: Option<TailLimits>,
    /// Position in the file of the first byte that is held.
    start: u64,
    /// Position after the last one.
    end: u64,
    pieces: VecDeque<Piece>,
    /// The newest piece, to which more is added as long as its allocation has room.
    open: Vec<u8>,
    open_bytes: u64,
    /// Room that the next piece is made with: followers that come often leave small ones.
    next_bytes: u64,
    held: u64,
}

impl Tail {
    /// Keeps what is pushed from now on; `None`: nothing, and forgets what it holds.
    pub fn keep(&mut self, limits: Option<&TailLimits>) {
        match limits.filter(|limits| !limits.is_off()) {
            None => {
                self.clear();
                self.limits = None;
            }
            Some(_) if self.limits.is_some() => {}
            Some(limits) => self.limits = Some(limits.clone()),
        }
    }

    /// Position of the first byte held; the same as the end if there is none.
    pub fn start(&self) -> u64 {
        self.start
    }

    pub fn clear(&mut self) {
        self.drop_to(self.end);
    }

    /// Whole batches were written to the file at `position`.
    pub fn push(&mut self, position: u64, parts: &[&[u8]]) {
        let Some(limits) = self.limits.clone() else { return };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if position != self.end {
            self.clear();
            (self.start, self.end) = (position, position);
        }
        let room = self.open_bytes - self.open.len() as u64;
        if room < length as u64 && !self.open_piece(&limits, length as u64) {
            // With a hole it would be no tail.
            self.clear();
            let end = position + length as u64;
            (self.start, self.end) = (end, end);
            return;
        }
        parts.iter().for_each(|part| self.open.extend_from_slice(part));
        self.end += length as u64;
    }

    /// Makes room for a new piece that begins with `length` bytes; older ones go for it.
    fn open_piece(&mut self, limits: &TailLimits, length: u64) -> bool {
        if !self.open.is_empty() {
            self.next_bytes = (self.open_bytes * 2).min(PIECE_BYTES_MAX);
            self.seal();
        }
        let log_bytes = limits.0.log_bytes;
        if length > log_bytes {
            return false;
        }
        let bytes = length.max(self.next_bytes.min(log_bytes / 4));
        while self.held + bytes > log_bytes && self.drop_first() {}
        while !limits.take(bytes) {
            if !self.drop_first() {
                return false;
            }
        }
        self.held += bytes;
        self.open_bytes = bytes;
        self.open = Vec::with_capacity(bytes as usize);
        true
    }

    /// Ends the open piece.
    fn seal(&mut self) {
        let (open, allocated) = (std::mem::take(&mut self.open), self.open_bytes);
        self.open_bytes = 0;
        self.pieces.push_back(Piece { bytes: open.into(), allocated });
    }

    /// Forgets the oldest closed piece; false if there is none.
    fn drop_first(&mut self) -> bool {
        let Some(piece) = self.pieces.pop_front() else { return false };
        self.start += piece.bytes.len() as u64;
        self.give_back(piece.allocated);
        true
    }

    fn give_back(&mut self, bytes: u64) {
        self.held -= bytes;
        if let Some(limits) = &self.limits {
            limits.give_back(bytes);
        }
    }

    /// Forgets pieces that lie wholly before a position.
    pub fn drop_to(&mut self, position: u64) {
        while self.pieces.front().is_some_and(|p| self.start + p.bytes.len() as u64 <= position) {
            self.drop_first();
        }
        if position >= self.end && self.pieces.is_empty() {
            self.open = Vec::new();
            let allocated = std::mem::take(&mut self.open_bytes);
            self.give_back(allocated);
            self.start = self.end;
        }
    }

    /// The bytes of a range of the file whose ends lie between batches, or the first of them, which
    /// end between batches, too; `None` if any of the range is not held.
    pub fn get(&mut self, range: &Range<u64>) -> Option<Bytes> {
        if range.start < self.start || range.end > self.end || range.is_empty() {
            return None;
        }
        let first = self.parts(range).next();
        if let Some(large) = first.filter(|part| part.len() >= WHOLE_BYTES_MIN) {
            return Some(large);
        }
        if !self.open.is_empty() && range.end > self.end - self.open.len() as u64 {
            // As much as comes between two reads: the next ones find it in one piece.
            self.next_bytes = (range.end - range.start).min(PIECE_BYTES_MAX);
            self.seal();
        }
        let mut parts: Vec<Bytes> = self.parts(range).collect();
        if parts.len() == 1 {
            return parts.pop();
        }
        let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
        parts.iter().for_each(|part| whole.extend_from_slice(part));
        Some(whole.freeze())
    }

    /// What closed pieces hold of a range, in order.
    fn parts(&self, range: &Range<u64>) -> impl Iterator<Item = Bytes> {
        let mut at = self.start;
        let (start, end) = (range.start, range.end);
        self.pieces.iter().filter_map(move |piece| {
            let first = at;
            at += piece.bytes.len() as u64;
            let (from, to) = (start.max(first), end.min(at));
            (from < to).then(|| piece.bytes.slice((from - first) as usize..(to - first) as usize))
        })
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.clear();
    }
}
