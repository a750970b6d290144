//! Long polls: a fetch that found too little parks here until something can be read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// One parked fetch. It is registered with every partition that it reads and woken by any of them;
/// a wake that comes before the wait is not lost.
pub struct FetchWait {
    id: u64,
    notify: Notify,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl FetchWait {
    pub fn new() -> Arc<FetchWait> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Arc::new(FetchWait { id, notify: Notify::new() })
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn wake(&self) {
        self.notify.notify_one();
    }

    /// Waits for the next wake.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }
}
