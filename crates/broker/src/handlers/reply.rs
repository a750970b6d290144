//! An answer on its way out.

use super::fetch_source::FetchSource;
use wire::Pieces;

/// An encoded response, its length and header included, and what holds those of its bytes that are
/// elsewhere.
#[derive(Debug)]
pub struct Reply {
    pub pieces: Pieces,
    /// By the number that the pieces name them with.
    pub sources: Vec<FetchSource>,
}

impl Reply {
    /// Bytes that it holds itself.
    pub fn held_bytes(&self) -> usize {
        let elsewhere: usize = self.sources.iter().map(FetchSource::size).sum();
        self.pieces.len() - elsewhere
    }
}

impl From<Pieces> for Reply {
    fn from(pieces: Pieces) -> Reply {
        Reply { pieces, sources: Vec::new() }
    }
}
