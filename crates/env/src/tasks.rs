//! Tasks with an owner: whoever starts a group of tasks awaits all of them at shutdown.
//!
//! Blocking work has a thread of its own, except in a simulation ([`simulate_blocking`]), where it
//! is a task that takes as long as the simulation says and is done at one moment in between.

use crate::sections::on_blocking_thread;
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// A group of tasks on one runtime. Cheap to clone; the group ends with [`Tasks::shutdown`].
#[derive(Clone)]
pub struct Tasks {
    handle: TasksHandle,
    set: Arc<Mutex<JoinSet<()>>>,
    stop: Arc<watch::Sender<bool>>,
}

/// The runtime that a group's tasks run on.
pub type TasksHandle = Handle;

impl Tasks {
    /// A group on the runtime of the caller.
    pub fn new() -> Tasks {
        Tasks::on(Handle::current())
    }

    /// A group on a given runtime (for example the control plane's own thread).
    pub fn on(handle: TasksHandle) -> Tasks {
        let set = Arc::new(Mutex::new(JoinSet::new()));
        Tasks { handle, set, stop: Arc::new(watch::Sender::new(false)) }
    }

    /// Starts a task. It should watch [`Tasks::stopping`]; it is aborted at shutdown otherwise.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set.lock().expect("task set lock");
        while set.try_join_next().is_some() {}
        set.spawn_on(future, &self.handle);
    }

    /// Becomes true when the group is to end.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub fn is_stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Waits until the group is to end.
    pub async fn stopped(&self) {
        let mut stopping = self.stop.subscribe();
        // An error means the sender is gone: the group has ended.
        let _ = stopping.wait_for(|stop| *stop).await;
    }

    /// Tells all tasks to end, gives them `grace`, aborts the rest and awaits every one.
    pub async fn shutdown(&self, grace: std::time::Duration) {
        self.stop.send_replace(true);
        let mut set = std::mem::take(&mut *self.set.lock().expect("task set lock"));
        let drain = async { while set.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, drain).await.is_err() {
            set.shutdown().await;
        }
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Tasks::new()
    }
}

/// How long blocking work waits before it is done, and then until its end is known.
type BlockingTimes = Rc<dyn Fn() -> (Duration, Duration)>;

thread_local! {
    static SIMULATED: RefCell<Option<BlockingTimes>> = const { RefCell::new(None) };
}

/// From now on, [`blocking`] uses no thread when called on this one: each piece of work is done
/// on the runtime of its caller, after the first and before the second of the given times. `None`
/// ends that.
pub fn simulate_blocking(times: Option<Rc<dyn Fn() -> (Duration, Duration)>>) {
    SIMULATED.with(|simulated| *simulated.borrow_mut() = times);
}

/// Runs blocking work (a sync, a recovery) on a thread made for it, and waits. The work is done
/// even if nobody waits any more.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let times = SIMULATED.with(|simulated| simulated.borrow().clone()).map(|times| times());
    let done = match times {
        None => tokio::task::spawn_blocking(|| on_blocking_thread(work)),
        Some((before, after)) => tokio::spawn(async move {
            tokio::time::sleep(before).await;
            let done = work();
            tokio::time::sleep(after).await;
            done
        }),
    };
    done.await.expect("blocking work does not panic")
}

/// A share of the threads for blocking work: so many pieces at once; the others wait without a thread,
/// so that work which does not come back (a disk that hangs) keeps nobody else's. Clones are the same.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

/// A thread's place in a room.
pub struct Place(Option<OwnedSemaphorePermit>);

impl Room {
    pub fn new(pieces: usize) -> Room {
        Room(Arc::new(Semaphore::new(pieces)))
    }

    /// Waits for a place.
    pub async fn enter(&self) -> Place {
        // The semaphore is never closed.
        Place(self.0.clone().acquire_owned().await.ok())
    }

    /// As [`blocking`], once there is a place.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.enter().await.blocking(work).await
    }
}

impl Place {
    /// As [`blocking`]. The place is given back when the work is done, whoever waits for it.
    pub async fn blocking<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let work = move || {
            let _place = self.0;
            work()
        };
        blocking(work).await
    }
}

/// Starts a named thread of the process's life, for a single-writer loop such as the Raft log's.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    let work = || on_blocking_thread(work);
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread can be started")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Cold reads on a disk that hung kept images from being applied, and other disks from working.
    #[test]
    fn work_that_does_not_come_back_keeps_its_own_room_only() {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).max_blocking_threads(3).enable_time();
        let runtime = builder.build().expect("a runtime");
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().expect("free");
        let (hangs, other) = (Room::new(2), Room::new(1));
        let (begun, begins) = mpsc::channel();
        for _ in 0..20 {
            let (hangs, gate, begun) = (hangs.clone(), gate.clone(), begun.clone());
            runtime.spawn(async move {
                let work = move || {
                    begun.send(()).expect("somebody counts");
                    drop(gate.lock());
                };
                hangs.blocking(work).await;
            });
        }
        for _ in 0..2 {
            begins.recv_timeout(Duration::from_secs(60)).expect("its room is for two");
        }
        let answered = runtime.block_on(async {
            let work = tokio::spawn(async move { other.blocking(|| 7).await });
            tokio::time::timeout(Duration::from_secs(60), work).await
        });
        assert_eq!(answered.expect("in time").expect("it ran"), 7);
        assert!(begins.try_recv().is_err(), "the others wait");
        drop(held);
        for _ in 0..18 {
            begins.recv_timeout(Duration::from_secs(60)).expect("each has its turn");
        }
    }
}
