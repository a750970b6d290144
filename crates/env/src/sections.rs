//! Short work that may turn out long: system calls on files, and locks held by others during them.
//!
//! A runtime's worker does such work itself, since the page cache answers in microseconds and a
//! change of threads costs more. But a disk that hangs keeps the thread in the kernel for as long as
//! it likes, and a few of those would be the end of everything the runtime does.
//!
//! Promises:
//! - one worker of the runtime is always free of such work: whoever would be the last one lets
//!   another thread go on in its place first;
//! - on threads made for blocking work, on other threads and where [`set_workers`] was not called,
//!   the work is just done.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LockResult, Mutex, MutexGuard, TryLockError};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Workers of the process's runtime; 0: nothing is watched over.
static WORKERS: AtomicUsize = AtomicUsize::new(0);
/// Workers that are in a section now.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MAY_BLOCK: Cell<bool> = const { Cell::new(false) };
}

/// The process has one runtime of several workers, this many.
pub fn set_workers(workers: usize) {
    WORKERS.store(workers, Ordering::Relaxed);
}

/// Runs work on a thread that is made to be blocked.
pub fn on_blocking_thread<T>(work: impl FnOnce() -> T) -> T {
    let _reset = MayBlock(MAY_BLOCK.replace(true));
    work()
}

struct MayBlock(bool);

impl Drop for MayBlock {
    fn drop(&mut self) {
        MAY_BLOCK.set(self.0);
    }
}

struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Does work that may block.
pub fn section<T>(work: impl FnOnce() -> T) -> T {
    let workers = WORKERS.load(Ordering::Relaxed);
    if workers == 0 || MAY_BLOCK.get() {
        return work();
    }
    let others = INSIDE.fetch_add(1, Ordering::Relaxed);
    let inside = Inside;
    if others + 1 < workers || !is_on_workers() {
        return work();
    }
    // This thread is no worker while another one has taken its place.
    drop(inside);
    tokio::task::block_in_place(work)
}

fn is_on_workers() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Takes a lock whose holder may be in a section.
pub fn lock<T>(mutex: &Mutex<T>) -> LockResult<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(error)) => Err(error),
        Err(TryLockError::WouldBlock) => section(|| mutex.lock()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    #[test]
    fn workers_that_hang_in_sections_leave_the_runtime_alive() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        let runtime = runtime.expect("a runtime");
        set_workers(2);
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().expect("free");
        let (begun, begins) = mpsc::channel();
        for _ in 0..5 {
            let (gate, begun) = (gate.clone(), begun.clone());
            runtime.spawn(async move {
                begun.send(()).expect("somebody counts");
                drop(lock(&gate));
            });
        }
        for _ in 0..5 {
            let begun = begins.recv_timeout(Duration::from_secs(60));
            begun.expect("each begins, though those before it hang");
        }
        let alive = runtime.spawn(async { 7 });
        assert_eq!(runtime.block_on(alive).expect("it runs"), 7);
        drop(held);
        set_workers(0);
    }
}
