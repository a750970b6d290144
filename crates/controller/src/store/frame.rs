//! One record of a journal file.
//!
//! | field    | bytes | meaning                                                             |
//! |----------|-------|---------------------------------------------------------------------|
//! | length   | 4     | of the body, big-endian, at most [`BODY_BYTES_MAX`]                  |
//! | crc      | 4     | CRC-32C of everything after this field, body included                |
//! | sequence | 8     | rises by one from frame to frame, over all files                     |
//! | synced   | 8     | all frames below this sequence were synced when this one was written |
//! | kind     | 1     | [`Kind`]                                                            |
//! | body     | n     |                                                                     |
//!
//! `synced` is what tells a torn tail from damage: frames of one unsynced group may reach the disk
//! in any order, so a bad frame before a good one proves nothing; a good frame that says that the
//! bad one had been synced does.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes before the body.
pub const HEADER_BYTES: usize = 25;
/// Longest body: a snapshot-sized batch of metadata fits; more is damage.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// What a frame's body is. Numbers are pinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The vote, the purged position and the committed position, whole: the last one counts.
    State = 1,
    /// One Raft entry: index (8 bytes, big-endian) and its encoding.
    Entry = 2,
    /// Entries from this index (8 bytes, big-endian) on are gone.
    Truncate = 3,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        match byte {
            1 => Some(Kind::State),
            2 => Some(Kind::Entry),
            3 => Some(Kind::Truncate),
            _ => None,
        }
    }
}

/// A frame read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub sequence: u64,
    pub synced: u64,
    pub kind: Kind,
    pub body: Bytes,
}

impl Frame {
    /// Bytes of the whole frame.
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }
}

/// Appends a frame with a body of two pieces.
pub fn encode(out: &mut BytesMut, sequence: u64, synced: u64, kind: Kind, body: [&[u8]; 2]) {
    let length = body[0].len() + body[1].len();
    assert!(length <= BODY_BYTES_MAX, "frame body of {length} bytes is over the limit");
    let start = out.len();
    out.reserve(HEADER_BYTES + length);
    out.put_u32(length as u32);
    out.put_u32(0);
    out.put_u64(sequence);
    out.put_u64(synced);
    out.put_u8(kind as u8);
    out.put_slice(body[0]);
    out.put_slice(body[1]);
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
}

/// Reads the frame at `at`; `None` where there is no whole and sound one.
pub fn decode(content: &Bytes, at: usize) -> Option<Frame> {
    let rest = content.get(at..)?;
    let length = u32::from_be_bytes(rest.get(0..4)?.try_into().ok()?) as usize;
    let crc = u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?);
    if length > BODY_BYTES_MAX {
        return None;
    }
    let whole = rest.get(8..HEADER_BYTES + length)?;
    let kind = Kind::from_byte(whole[16])?;
    if crc32c::crc32c(whole) != crc {
        return None;
    }
    let sequence = u64::from_be_bytes(whole[0..8].try_into().ok()?);
    let synced = u64::from_be_bytes(whole[8..16].try_into().ok()?);
    let body = content.slice(at + HEADER_BYTES..at + HEADER_BYTES + length);
    Some(Frame { sequence, synced, kind, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_and_any_flipped_bit_is_seen() {
        let mut out = BytesMut::new();
        encode(&mut out, 7, 5, Kind::Entry, [b"ab", b"cde"]);
        let good = out.clone().freeze();
        let frame = decode(&good, 0).expect("sound");
        assert_eq!((frame.sequence, frame.synced, frame.kind), (7, 5, Kind::Entry));
        assert_eq!(&frame.body[..], b"abcde");
        assert_eq!(frame.size(), good.len());
        for bit in 0..out.len() * 8 {
            let mut bad = out.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bad.freeze(), 0), None, "bit {bit}");
        }
        assert_eq!(decode(&good.slice(..good.len() - 1), 0), None);
    }
}
