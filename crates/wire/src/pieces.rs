//! What an encoder hands to a socket.

use bytes::{Bytes, BytesMut};

/// Bytes of a message that whoever sends it supplies as they go out, for example from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub len: usize,
    /// Which of the sender's sources they are in; means nothing here.
    pub source: usize,
}

/// A stretch of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Bytes(Bytes),
    Elsewhere(Elsewhere),
}

impl Part {
    pub fn len(&self) -> usize {
        match self {
            Part::Bytes(bytes) => bytes.len(),
            Part::Elsewhere(elsewhere) => elsewhere.len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes in the order in which they go out, cut where a large field was taken over uncopied.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    pieces: Vec<Bytes>,
    /// What is not here, with the number of pieces before it; in order.
    gaps: Vec<(usize, Elsewhere)>,
    len: usize,
}

impl Pieces {
    /// Empty pieces are dropped.
    pub fn new(mut pieces: Vec<Bytes>) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        let len = pieces.iter().map(Bytes::len).sum();
        Pieces { pieces, gaps: Vec::new(), len }
    }

    pub(crate) fn with_gaps(pieces: Vec<Bytes>, gaps: Vec<(usize, Elsewhere)>) -> Self {
        let here: usize = pieces.iter().map(Bytes::len).sum();
        let elsewhere: usize = gaps.iter().map(|(_, gap)| gap.len).sum();
        Pieces { pieces, gaps, len: here + elsewhere }
    }

    /// Bytes in all pieces together, those that are elsewhere included.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All stretches in order, those that are elsewhere in their places.
    pub fn into_parts(self) -> Vec<Part> {
        let mut parts = Vec::with_capacity(self.pieces.len() + self.gaps.len());
        let mut gaps = self.gaps.into_iter().peekable();
        for (at, piece) in self.pieces.into_iter().enumerate() {
            while let Some((_, gap)) = gaps.next_if(|(before, _)| *before <= at) {
                parts.push(Part::Elsewhere(gap));
            }
            parts.push(Part::Bytes(piece));
        }
        parts.extend(gaps.map(|(_, gap)| Part::Elsewhere(gap)));
        parts
    }

    /// # Panics
    /// Here and in what follows, if bytes are elsewhere: [`Pieces::into_parts`] is for those.
    pub fn as_slice(&self) -> &[Bytes] {
        assert!(self.gaps.is_empty(), "{} stretches of the message are elsewhere", self.gaps.len());
        &self.pieces
    }

    pub fn into_vec(self) -> Vec<Bytes> {
        self.as_slice();
        self.pieces
    }

    /// All bytes in a row: free for one piece, a copy for several.
    pub fn into_bytes(self) -> Bytes {
        let len = self.len;
        let mut pieces = self.into_vec();
        if pieces.len() <= 1 {
            return pieces.pop().unwrap_or_default();
        }
        let mut all = BytesMut::with_capacity(len);
        pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    }
}

impl IntoIterator for Pieces {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_vec().into_iter()
    }
}
