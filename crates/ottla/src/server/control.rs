//! The control plane's thread: a runtime of its own for Raft, the controller and heartbeats.

use std::sync::mpsc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A running control thread.
pub(super) struct ControlThread {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ControlThread {
    pub(super) fn start() -> std::io::Result<ControlThread> {
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = env::tasks::thread("control", move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => {
                    if sender.send(Ok(runtime.handle().clone())).is_ok() {
                        // Ends when told, or when the owner is gone.
                        let _ = runtime.block_on(stopped);
                    }
                }
                Err(error) => drop(sender.send(Err(error))),
            }
        });
        let handle =
            receiver.recv().map_err(|_| std::io::Error::other("the control thread ended"))??;
        Ok(ControlThread { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// No thread: the control plane shares the runtime of the caller.
    pub(super) fn of_caller() -> ControlThread {
        ControlThread { handle: Handle::current(), stop: None, thread: None }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs a future on the control thread and waits for its result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.handle.spawn(future).await.expect("work on the control thread does not panic")
    }
}

impl Drop for ControlThread {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
