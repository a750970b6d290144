//! Record batches as a message carries them.

use crate::Elsewhere;
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
    Elsewhere(Elsewhere),
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

    /// Bytes that are not here: the sender of the message puts them in their place.
    pub fn from_elsewhere(elsewhere: Elsewhere) -> Self {
        Records(Store::Elsewhere(elsewhere))
    }

    /// What is here: nothing of what is elsewhere.
    pub fn pieces(&self) -> &[Bytes] {
        match &self.0 {
            Store::One(bytes) => std::slice::from_ref(bytes),
            Store::Many(pieces) => pieces,
            Store::Elsewhere(_) => &[],
        }
    }

    pub fn elsewhere(&self) -> Option<Elsewhere> {
        match &self.0 {
            Store::One(_) | Store::Many(_) => None,
            Store::Elsewhere(elsewhere) => Some(*elsewhere),
        }
    }

    /// Bytes in all pieces together, here or elsewhere.
    pub fn len(&self) -> usize {
        let here: usize = self.pieces().iter().map(Bytes::len).sum();
        here + self.elsewhere().map_or(0, |elsewhere| elsewhere.len)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in a row: free for one piece, a copy for several.
    ///
    /// # Panics
    /// If they are elsewhere.
    pub fn to_bytes(&self) -> Bytes {
        assert!(self.elsewhere().is_none(), "the records are elsewhere");
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

/// Equal bytes are equal, however they are cut. Those that are elsewhere are equal only to themselves.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        match (self.elsewhere(), other.elsewhere()) {
            (None, None) => self.len() == other.len() && self.to_bytes() == other.to_bytes(),
            (own, others) => own == others,
        }
    }
}

impl Eq for Records {}
