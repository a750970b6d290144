//! Tasks with an owner: whoever starts a group of tasks awaits all of them at shutdown.

use std::future::Future;
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;
use tokio::sync::watch;
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

/// Runs blocking work (a sync, a recovery) on a thread made for it, and waits.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("blocking work does not panic")
}

/// Starts a named thread of the process's life, for a single-writer loop such as the Raft log's.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread can be started")
}
