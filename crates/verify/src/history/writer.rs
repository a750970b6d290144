//! Writes a history to a file.
//!
//! Promises: events reach the file in the order of their `put` calls by one client; at most
//! [`WAITING_MAX`] wait in memory, then clients wait; an error of the disk ends the recording and is
//! told once, by [`HistoryWriter::finish`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use env::{Env, File};
use tokio::sync::{mpsc, oneshot};

use super::Event;

/// Most events between the clients and the file.
const WAITING_MAX: usize = 8192;
/// Bytes that are written together.
const BUFFER_BYTES: usize = 64 << 10;

/// The clients' end. Cheap to clone.
#[derive(Clone)]
pub struct HistorySink {
    events: mpsc::Sender<Event>,
}

/// The file's end.
pub struct HistoryWriter {
    done: oneshot::Receiver<io::Result<u64>>,
}

impl HistorySink {
    /// Hands over an event, waiting for room. Nothing after the disk has failed.
    pub async fn put(&self, event: Event) {
        // The error is the writer's to tell.
        let _ = self.events.send(event).await;
    }

    /// Whether the disk has failed, so that going on is in vain.
    pub fn is_closed(&self) -> bool {
        self.events.is_closed()
    }
}

impl HistoryWriter {
    /// Makes the file (an old one of that name goes) and starts the task that writes it.
    pub fn create(
        env: &Env,
        tasks: &env::Tasks,
        path: &Path,
    ) -> io::Result<(HistorySink, HistoryWriter)> {
        let file = env.disk.open(path, env::disk::Open::Create)?;
        file.set_len(0)?;
        let (events, received) = mpsc::channel(WAITING_MAX);
        let (told, done) = oneshot::channel();
        tasks.spawn(async move {
            // Whoever does not ask does not need the answer.
            let _ = told.send(write_all(file, received).await);
        });
        Ok((HistorySink { events }, HistoryWriter { done }))
    }

    /// Waits until every sink is gone and everything is written; returns the file's bytes.
    pub async fn finish(self) -> io::Result<u64> {
        match self.done.await {
            Ok(result) => result,
            Err(_) => Err(io::Error::other("the history's writer was stopped")),
        }
    }
}

async fn write_all(file: Arc<dyn File>, mut events: mpsc::Receiver<Event>) -> io::Result<u64> {
    let (mut buffer, mut position) = (Vec::with_capacity(BUFFER_BYTES + 4096), 0);
    while let Some(event) = events.recv().await {
        serde_json::to_writer(&mut buffer, &event).map_err(io::Error::other)?;
        buffer.push(b'\n');
        if buffer.len() >= BUFFER_BYTES {
            flush(&*file, &mut buffer, &mut position)?;
        }
    }
    flush(&*file, &mut buffer, &mut position)?;
    Ok(position)
}

fn flush(file: &dyn File, buffer: &mut Vec<u8>, position: &mut u64) -> io::Result<()> {
    file.write_all_at(buffer, *position)?;
    *position += buffer.len() as u64;
    buffer.clear();
    Ok(())
}
