//! Who may take how many of the runtime's threads for blocking work.
//!
//! A disk that hangs keeps every thread that works on it. Promises: what waits for one directory never
//! takes the threads that others need, since each directory has rooms of its own, images and inquiries
//! have theirs, and there are threads for all rooms together and for everything else
//! ([`blocking_threads_max`]); work beyond its room waits without a thread.

use env::tasks::Room;

/// Reads of one directory that wait for the device. More at once make no disk faster.
const READS_PER_DIRECTORY: usize = 64;
/// Other work in one directory: syncs, removals, answers that wait for a lock of who works there.
const WORK_PER_DIRECTORY: usize = 64;
/// Images are applied one at a time.
const IMAGES: usize = 1;
/// Requests that look at all directories at once.
const INQUIRIES: usize = 4;
/// For everything else: upkeep, compaction, and workers of the runtime whose place another thread
/// takes while they are in a disk (`env::sections`).
const OTHERS: usize = 512;

/// Rooms of one log directory.
pub struct DirRooms {
    pub reads: Room,
    pub work: Room,
}

impl DirRooms {
    pub fn new() -> DirRooms {
        DirRooms { reads: Room::new(READS_PER_DIRECTORY), work: Room::new(WORK_PER_DIRECTORY) }
    }
}

/// Rooms of no directory.
pub struct Rooms {
    pub images: Room,
    pub inquiries: Room,
}

impl Rooms {
    pub fn new() -> Rooms {
        Rooms { images: Room::new(IMAGES), inquiries: Room::new(INQUIRIES) }
    }
}

/// Threads for blocking work that the runtime of a broker with so many log directories needs at most.
pub fn blocking_threads_max(directories: usize) -> usize {
    directories * (READS_PER_DIRECTORY + WORK_PER_DIRECTORY) + IMAGES + INQUIRIES + OTHERS
}
