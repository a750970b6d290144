//! File descriptors: what is done when the process, or the machine, has none left.
//!
//! A process may have so many open files, sockets among them (`RLIMIT_NOFILE`). That it has none left
//! says nothing of its disks: a file can be opened again as soon as another one is closed.
//!
//! Promises of [`with_relief`], which every call of `RealDisk` that opens something goes through:
//! - it fails for want of descriptors only after [`PATIENCE`]: first files are closed that nobody needs
//!   now ([`Relieve`]), then a descriptor of the reserve is given up ([`keep_reserve`]), then it waits. A
//!   wait of two seconds is a disk that hangs to whoever watches it: others lead meanwhile;
//! - the reserve fills up again by itself as soon as there are descriptors.
//!
//! Connections that others make have no part in this: they are bounded, and refused first.

use crate::sections::section;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

/// "Too many open files", of the process and of the machine.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
/// Longest wait for a descriptor.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Who has files open that may be closed.
pub trait Relieve: Send + Sync {
    /// Closes some that nobody needs now, without waiting for a disk; whether there were any.
    fn relieve(&self) -> bool;
}

/// What can be given up.
struct Relief {
    /// Descriptors that stand for those kept for files, and how many of them are missing.
    reserve: Mutex<Vec<OwnedFd>>,
    missing: AtomicUsize,
    relievers: Mutex<Vec<Weak<dyn Relieve>>>,
    shortages: AtomicU64,
}

/// The process's.
static RELIEF: Relief = Relief::new();

/// Whether a call failed for want of descriptors, which is never a failure of a disk.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

/// How often there was none, in this process's life.
pub fn shortages() -> u64 {
    RELIEF.shortages.load(Ordering::Relaxed)
}

/// Keeps so many descriptors for files and for connections to other nodes.
pub fn keep_reserve(count: usize) {
    RELIEF.keep_reserve(count);
}

/// Asks this one, as long as it lives, to close files when there are no descriptors left.
pub fn relieve_by(reliever: &Arc<impl Relieve + 'static>) {
    let reliever = Arc::downgrade(reliever);
    RELIEF.add(reliever);
}

/// Calls until it does not fail for want of descriptors, which may take as long as [`PATIENCE`].
/// Blocks.
pub fn with_relief<T>(call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    RELIEF.during(call)
}

/// Frees descriptors for a call that has found none: files that nobody needs, else one of the reserve.
/// False if there is nothing to free.
pub fn give_up_some() -> bool {
    RELIEF.give_up_some()
}

impl Relief {
    const fn new() -> Relief {
        Relief {
            reserve: Mutex::new(Vec::new()),
            missing: AtomicUsize::new(0),
            relievers: Mutex::new(Vec::new()),
            shortages: AtomicU64::new(0),
        }
    }

    fn reserve(&self) -> MutexGuard<'_, Vec<OwnedFd>> {
        self.reserve.lock().expect("no thread panicked with the reserve")
    }

    fn relievers(&self) -> MutexGuard<'_, Vec<Weak<dyn Relieve>>> {
        self.relievers.lock().expect("no thread panicked with the relievers")
    }

    fn add(&self, reliever: Weak<dyn Relieve>) {
        let mut relievers = self.relievers();
        relievers.retain(|one| one.strong_count() > 0);
        relievers.push(reliever);
    }

    fn keep_reserve(&self, count: usize) {
        self.missing.store(count, Ordering::Relaxed);
        self.refill();
    }

    fn refill(&self) {
        if self.missing.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Only who has the lock counts, so that no two fill the same gap.
        let mut reserve = self.reserve();
        while self.missing.load(Ordering::Relaxed) > 0 {
            // Of anything: it is the number that counts.
            let Ok(one) = std::fs::File::open("/dev/null") else { return };
            reserve.push(one.into());
            self.missing.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn during<T>(&self, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        self.refill();
        match call() {
            Err(error) if is_shortage(&error) => {}
            other => return other,
        }
        section(|| {
            let start = Instant::now();
            loop {
                self.shortages.fetch_add(1, Ordering::Relaxed);
                if !self.give_up_some() {
                    std::thread::sleep(PAUSE);
                }
                match call() {
                    Err(error) if is_shortage(&error) && start.elapsed() < PATIENCE => {}
                    other => return other,
                }
            }
        })
    }

    fn give_up_some(&self) -> bool {
        let relievers: Vec<Arc<dyn Relieve>> =
            self.relievers().iter().filter_map(Weak::upgrade).collect();
        // All of them: others may be looking for descriptors at the same time.
        let closed = relievers.iter().filter(|one| one.relieve()).count();
        if closed > 0 {
            return true;
        }
        let mut reserve = self.reserve();
        let given = reserve.pop();
        if given.is_some() {
            self.missing.fetch_add(1, Ordering::Relaxed);
        }
        given.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none_left() -> io::Error {
        io::Error::from_raw_os_error(EMFILE)
    }

    #[test]
    fn want_of_descriptors_is_told_from_failures_of_disks() {
        assert!(is_shortage(&none_left()) && is_shortage(&io::Error::from_raw_os_error(ENFILE)));
        for other in [5, 28, 13] {
            assert!(!is_shortage(&io::Error::from_raw_os_error(other)), "errno {other}");
        }
        assert!(!is_shortage(&io::Error::other("too many open files")));
    }

    #[test]
    fn what_nobody_needs_is_closed_first_then_the_reserve_is_given_up_and_filled_again() {
        struct Closer(AtomicUsize);
        impl Relieve for Closer {
            fn relieve(&self) -> bool {
                let less = |left: usize| left.checked_sub(1);
                self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
            }
        }
        let relief = Relief::new();
        let closer = Arc::new(Closer(AtomicUsize::new(2)));
        let weak = Arc::downgrade(&closer);
        relief.add(weak);
        relief.keep_reserve(3);
        assert_eq!(relief.reserve().len(), 3);
        let mut failures = 4;
        let done = relief.during(|| {
            if failures == 0 {
                return Ok("opened");
            }
            failures -= 1;
            Err(none_left())
        });
        assert_eq!(done.expect("it comes to pass"), "opened");
        assert_eq!(closer.0.load(Ordering::Relaxed), 0, "closed first");
        assert_eq!(relief.reserve().len(), 1, "then two of the reserve");
        assert_eq!(relief.during(|| Ok(7)).expect("another call"), 7);
        assert_eq!(relief.reserve().len(), 3, "filled again");
        let other = relief.during(|| Err::<(), _>(io::Error::from_raw_os_error(5)));
        assert_eq!(other.expect_err("a failure of the disk").raw_os_error(), Some(5));
        assert_eq!(relief.shortages.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn many_that_fill_the_reserve_at_once_fill_it_once() {
        let relief = Relief::new();
        relief.keep_reserve(2);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        relief.give_up_some();
                        relief.refill();
                    }
                });
            }
        });
        relief.refill();
        let held = relief.reserve().len();
        assert_eq!((held, relief.missing.load(Ordering::Relaxed)), (2, 0));
    }
}
