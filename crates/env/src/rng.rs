//! Randomness: the operating system's in production, a seed's in tests.

use rand::{RngCore, SeedableRng};
use std::sync::Mutex;
use types::Uuid;

/// A source of random bits.
pub trait Rng: Send + Sync {
    fn next_u64(&self) -> u64;

    /// A number below `bound`, which must be positive.
    fn below(&self, bound: u64) -> u64 {
        assert!(bound > 0, "bound must be positive");
        self.next_u64() % bound
    }

    /// A new random id.
    fn uuid(&self) -> Uuid {
        Uuid::from_random((u128::from(self.next_u64()) << 64) | u128::from(self.next_u64()))
    }
}

/// The operating system's entropy.
pub struct OsRng;

impl Rng for OsRng {
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the operating system gives entropy")
    }
}

/// The same bits for the same seed.
pub struct SeededRng {
    inner: Mutex<rand::rngs::SmallRng>,
}

impl SeededRng {
    pub fn new(seed: u64) -> SeededRng {
        SeededRng { inner: Mutex::new(rand::rngs::SmallRng::seed_from_u64(seed)) }
    }
}

impl Rng for SeededRng {
    fn next_u64(&self) -> u64 {
        self.inner.lock().expect("rng lock").next_u64()
    }
}
