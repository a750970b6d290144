//! The seams to the world: clock, randomness, disk, network and tasks.
//!
//! Promises: this is the only crate that reads real time or entropy, opens files or sockets, or
//! spawns tasks and threads; the simulator gives other implementations of the same traits, so one
//! seed gives one run.
//! Does not: know anything of Kafka.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod clock;
pub mod descriptors;
pub mod disk;
pub mod mem_disk;
pub mod memory;
pub mod mutant;
pub mod net;
pub mod places;
pub mod rng;
pub mod sections;
pub mod tasks;

use std::sync::Arc;

pub use clock::Clock;
pub use disk::{Disk, File};
pub use mem_disk::MemDisk;
pub use mutant::Mutant;
pub use net::{BoxStream, Listener, Network, SocketOptions, Stream};
pub use rng::Rng;
pub use tasks::{Tasks, TasksHandle};

/// All seams in one cheap handle; passed to everything that starts something.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub disk: Arc<dyn Disk>,
    pub net: Arc<dyn Network>,
}

impl Env {
    /// The real world.
    pub fn real() -> Env {
        Env {
            clock: Arc::new(clock::RealClock::new()),
            rng: Arc::new(rng::OsRng),
            disk: Arc::new(disk::RealDisk),
            net: Arc::new(net::RealNetwork),
        }
    }
}
