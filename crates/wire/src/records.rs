//! Record batches as a message carries them.

use bytes::{Bytes, BytesMut};

/// The bytes of a `records` field, in one piece or in several that follow each other.
///
/// A decoded field is one slice of the frame. A broker that answers a fetch from several places
/// hands in several pieces, and none of them is copied on the way to the socket.
#[derive(Clone, Debug, Default)]
pub struct Records(Store);

#[derive(Clone, Debug)]
enum Store {
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Default for Store {
    fn default() -> Self {
        Store::One(Bytes::new())
    }
}

impl Records {
    pub fn new(bytes: Bytes) -> Self {
        Records(Store::One(bytes))
    }

    pub fn from_pieces(pieces: Vec<Bytes>) -> Self {
        Records(Store::Many(pieces))
    }

    pub fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Store::One(bytes) => std::slice::from_ref(bytes),
            Store::Many(pieces) => pieces,
        }
    }

    /// Bytes in all pieces together.
    pub fn len(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.pieces().iter().all(Bytes::is_empty)
    }

    /// All bytes in a row: free for one piece, a copy for several.
    pub fn to_bytes(&self) -> Bytes {
        match self.pieces() {
            [] => Bytes::new(),
            [bytes] => bytes.clone(),
            pieces => {
                let mut all = BytesMut::with_capacity(self.len());
                pieces.iter().for_each(|piece| all.extend_from_slice(piece));
                all.freeze()
            }
        }
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Records::new(bytes)
    }
}

impl From<Vec<Bytes>> for Records {
    fn from(pieces: Vec<Bytes>) -> Self {
        Records::from_pieces(pieces)
    }
}

/// Equal bytes are equal, however they are cut.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Records {}
