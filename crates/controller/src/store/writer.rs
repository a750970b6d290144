//! The one writer of the journal: group commit.
//!
//! All operations that have come in while the last sync ran are written together and share one
//! sync. Completions are called in the order of the operations. After a failed write or sync the
//! writer is poisoned: everything later fails, since what the disk holds is not known any more.

use super::frame::{self, Kind};
use super::journal::{Durable, Index, JournalOptions, OnDurable, Place};
use super::pace::Pace;
use super::recovery;
use bytes::{Bytes, BytesMut};
use env::{Disk, Mutant, mutant};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Most bytes written in one group: bounds the time until the first completion.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// One thing to write.
pub enum Operation {
    Append { entries: Vec<(u64, Bytes)>, on_durable: OnDurable },
    Truncate { from: u64, on_durable: OnDurable },
    State { state: Durable, on_durable: OnDurable },
}

impl Operation {
    fn complete(self, result: io::Result<()>) {
        match self {
            Operation::Append { on_durable, .. }
            | Operation::Truncate { on_durable, .. }
            | Operation::State { on_durable, .. } => on_durable(result),
        }
    }

    fn size(&self) -> usize {
        match self {
            Operation::Append { entries, .. } => {
                entries.iter().map(|(_, bytes)| bytes.len() + frame::HEADER_BYTES + 8).sum()
            }
            Operation::Truncate { .. } | Operation::State { .. } => 256,
        }
    }
}

enum Mode {
    // Bounded by openraft, which has few storage operations in flight.
    Thread { sender: Mutex<Option<Sender<Operation>>>, thread: Mutex<Option<JoinHandle<()>>> },
    Inline(Box<Mutex<Core>>),
}

/// Hands operations to the core, on a thread of its own or inline.
pub struct Writer {
    mode: Mode,
}

impl Writer {
    pub fn start(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        index: Arc<Mutex<Index>>,
        pace: Pace,
        next_sequence: u64,
        tail: u64,
    ) -> io::Result<Writer> {
        let own_thread = options.own_thread;
        let written = index.lock().expect("journal lock").durable.clone();
        let group_start = next_sequence;
        let failure = None;
        let mut core =
            Core { disk, options, index, pace, next_sequence, group_start, tail, written, failure };
        core.open_first_segment()?;
        if !own_thread {
            return Ok(Writer { mode: Mode::Inline(Box::new(Mutex::new(core))) });
        }
        let (sender, receiver) = channel();
        let thread = env::tasks::thread("raft-journal", move || core.run(&receiver));
        let sender = Mutex::new(Some(sender));
        Ok(Writer { mode: Mode::Thread { sender, thread: Mutex::new(Some(thread)) } })
    }

    pub fn submit(&self, operation: Operation) {
        match &self.mode {
            Mode::Inline(core) => core.lock().expect("journal core lock").group(vec![operation]),
            Mode::Thread { sender, .. } => {
                let sender = sender.lock().expect("journal sender lock");
                let refused = match &*sender {
                    Some(sender) => sender.send(operation).err().map(|error| error.0),
                    None => Some(operation),
                };
                if let Some(operation) = refused {
                    operation.complete(Err(io::Error::other("the raft journal is closed")));
                }
            }
        }
    }

    pub fn close(&self) {
        if let Mode::Thread { sender, thread } = &self.mode {
            drop(sender.lock().expect("journal sender lock").take());
            let thread = thread.lock().expect("journal thread lock").take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("the raft journal's thread has panicked");
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without a join: a dropped controller stands for a crash.
        if let Mode::Thread { sender, .. } = &self.mode {
            drop(sender.lock().expect("journal sender lock").take());
        }
    }
}

struct Core {
    disk: Arc<dyn Disk>,
    options: JournalOptions,
    index: Arc<Mutex<Index>>,
    pace: Pace,
    next_sequence: u64,
    /// All frames before this one are synced.
    group_start: u64,
    /// Where the next frame goes in the last segment.
    tail: u64,
    /// The state in the file, as of the operations written so far.
    written: Durable,
    failure: Option<String>,
}

impl Core {
    fn run(&mut self, receiver: &Receiver<Operation>) {
        while let Ok(first) = receiver.recv() {
            let mut size = first.size();
            let mut group = vec![first];
            while size < GROUP_BYTES_MAX {
                let Ok(operation) = receiver.try_recv() else { break };
                size += operation.size();
                group.push(operation);
            }
            self.group(group);
        }
    }

    fn group(&mut self, group: Vec<Operation>) {
        let result = match &self.failure {
            Some(failure) => Err(io::Error::other(failure.clone())),
            None => self.timed_write(&group),
        };
        if let Err(error) = &result
            && self.failure.is_none()
        {
            tracing::error!(%error, "the raft journal cannot be written; it takes nothing more");
            self.failure = Some(error.to_string());
        }
        for operation in group {
            let own = match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            operation.complete(own);
        }
        if self.failure.is_none()
            && let Err(error) = self.remove_purged()
        {
            tracing::warn!(%error, "purged raft journal files stay for now");
        }
    }

    fn timed_write(&mut self, group: &[Operation]) -> io::Result<()> {
        self.pace.begin();
        let result = self.write(group);
        self.pace.end();
        result
    }

    fn open_first_segment(&mut self) -> io::Result<()> {
        if self.index.lock().expect("journal lock").segments.is_empty() {
            self.roll(0)?;
        }
        Ok(())
    }

    /// Starts a new file. Its first frame is the whole state, so that older files can go.
    fn roll(&mut self, number: u64) -> io::Result<()> {
        let reserve = self.options.segment_bytes;
        let directory = &self.options.directory;
        let segment = recovery::create_segment(&*self.disk, directory, number, reserve)?;
        self.index.lock().expect("journal lock").segments.push_back(segment);
        self.tail = recovery::MAGIC.len() as u64;
        self.group_start = self.next_sequence;
        let state = self.written.encode();
        let mut out = BytesMut::new();
        self.frame(&mut out, Kind::State, [&state, &[]]);
        self.write_out(&out, true)
    }

    fn frame(&mut self, out: &mut BytesMut, kind: Kind, body: [&[u8]; 2]) {
        frame::encode(out, self.next_sequence, self.group_start, kind, body);
        self.next_sequence += 1;
    }

    fn write(&mut self, group: &[Operation]) -> io::Result<()> {
        if self.tail >= self.options.segment_bytes {
            let number = self.last_segment() + 1;
            self.roll(number)?;
        }
        self.group_start = self.next_sequence;
        let segment = self.last_segment();
        let mut out = BytesMut::new();
        let mut placed = Vec::new();
        for operation in group {
            match operation {
                Operation::Append { entries, .. } => {
                    for (index, bytes) in entries {
                        let before = self.tail + out.len() as u64;
                        let position = before + frame::HEADER_BYTES as u64 + 8;
                        let length = bytes.len();
                        placed.push((*index, bytes, Place { segment, position, length }));
                        self.frame(&mut out, Kind::Entry, [&index.to_be_bytes(), bytes]);
                    }
                }
                Operation::Truncate { from, .. } => {
                    self.frame(&mut out, Kind::Truncate, [&from.to_be_bytes(), &[]]);
                }
                Operation::State { state, .. } => {
                    self.written = state.clone();
                    self.frame(&mut out, Kind::State, [&state.encode(), &[]]);
                }
            }
        }
        self.add_committed(&mut out);
        self.write_out(&out, !leaves_out_sync(group))?;
        let mut index = self.index.lock().expect("journal lock");
        for (number, bytes, place) in placed {
            let open = index.segments.back_mut().expect("a file is open");
            open.max_index = open.max_index.max(Some(number));
            index.placed(number, bytes, place);
        }
        Ok(())
    }

    /// The committed position has no write of its own: it goes out with what is written next.
    fn add_committed(&mut self, out: &mut BytesMut) {
        let committed = self.index.lock().expect("journal lock").durable.committed.clone();
        if committed != self.written.committed {
            self.written.committed = committed;
            let state = self.written.encode();
            self.frame(out, Kind::State, [&state, &[]]);
        }
    }

    fn last_segment(&self) -> u64 {
        let index = self.index.lock().expect("journal lock");
        index.segments.back().expect("a file is open").number
    }

    /// Deletes files from the front that hold nothing but purged entries.
    fn remove_purged(&mut self) -> io::Result<()> {
        loop {
            let number = {
                let mut index = self.index.lock().expect("journal lock");
                let is_last = index.segments.len() < 2;
                let front = index.segments.front().expect("a file is open");
                if is_last || front.max_index > self.written.purged_index {
                    return Ok(());
                }
                let number = front.number;
                index.segments.pop_front();
                number
            };
            let directory = &self.options.directory;
            self.disk.remove_file(&directory.join(recovery::segment_name(number)))?;
            // In order: a gap between the files that are left would be taken for damage.
            self.disk.sync_dir(directory)?;
        }
    }

    fn write_out(&mut self, out: &BytesMut, syncs: bool) -> io::Result<()> {
        let file = {
            let index = self.index.lock().expect("journal lock");
            index.segments.back().expect("a file is open").file.clone()
        };
        file.write_all_at(out, self.tail)?;
        if syncs {
            file.sync_data()?;
        }
        self.tail += out.len() as u64;
        Ok(())
    }
}

/// Whether the simulation wants this group to be acknowledged without a sync.
fn leaves_out_sync(group: &[Operation]) -> bool {
    let is_entries = |one: &Operation| matches!(one, Operation::Append { .. });
    let is_state = |one: &Operation| matches!(one, Operation::State { .. });
    (mutant::is(Mutant::RaftLogNotSynced) && group.iter().all(is_entries))
        || (mutant::is(Mutant::VoteNotSynced) && group.iter().all(is_state))
}
