//! A disk in memory that can lose what was not synced: for tests and the simulator.
//!
//! Promises: what `sync_data` covered of a file, and what `sync_dir` covered of a directory's names,
//! survives `crash`; of the rest, a seed decides, write by write and name by name. A write that was
//! not synced survives whole, torn at a block, or not at all; a file that was made and whose name
//! was not synced may be gone; a rename or removal may be undone. Want of space, I/O errors, rotten
//! bits and syncs that only pretend can be asked for. One seed gives one outcome.
//! Does not: reorder two writes to the same bytes of a file so that the older one wins; lose a
//! directory whose own name is older than the last sync of its parent.

use crate::disk::{DirEntry, Disk, File, FileStat, Open};
use names::{Nameless, Names};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

mod names;

/// The system's number of "input/output error".
const EIO: i32 = 5;
const EMFILE: i32 = 24;
/// Unit in which an unsynced write is torn.
const BLOCK_BYTES: usize = 512;

/// A file's bytes, independent of its names.
#[derive(Clone, Default)]
struct Inode {
    content: Vec<u8>,
    synced: Vec<u8>,
    /// What happened since the last sync, in order.
    unsynced: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { position, bytes } => {
                let end = position + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*position..end].copy_from_slice(bytes);
            }
            Change::SetLen(len) => content.resize(*len, 0),
        }
    }
}

type InodeId = u64;

#[derive(Default)]
struct State {
    /// Files that have a name, now or for a crash, or that are open.
    inodes: BTreeMap<InodeId, Inode>,
    names: Names,
    locks: BTreeSet<PathBuf>,
    next_inode: InodeId,
    /// How often each file is open: it stays until it is closed, whatever becomes of its names.
    open: BTreeMap<InodeId, u64>,
    /// Raised by a crash: files and locks from before are dead.
    life: u64,
    faults: Faults,
    lies: Lies,
    stats: MemDiskStats,
    crashes: CrashStats,
}

#[derive(Default)]
struct Faults {
    capacity: Option<u64>,
    /// Paths that contain this text fail to sync.
    failing_syncs: Option<String>,
    /// Paths that contain this text fail to be written.
    failing_writes: Option<String>,
    /// Files and names below this directory fail in every way.
    failing_directory: Option<PathBuf>,
    /// Files that may be open at once.
    descriptors: Option<u64>,
    /// Changes that succeed before everything fails, as at a power cut.
    changes_left: Option<u64>,
}

/// Syncs that report success and keep nothing: a drive that lies, or a program that forgot them.
/// They outlast crashes.
#[derive(Default)]
struct Lies {
    /// Files whose path contains this text.
    files: Option<String>,
    directories: bool,
}

/// What a cut of the power did to what was not synced.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CrashStats {
    /// Writes that are gone.
    pub lost_writes: u64,
    /// Writes of which some blocks are there.
    pub torn_writes: u64,
    /// Names that are as before their last change.
    pub lost_names: u64,
}

/// How often things were done, for tests that bound them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct MemDiskStats {
    pub reads: u64,
    pub read_bytes: u64,
    pub writes: u64,
    pub syncs: u64,
    /// Files opened, by whatever way.
    pub opens: u64,
    /// Directories listed.
    pub lists: u64,
    /// Files asked for their length by name.
    pub looks: u64,
}

/// See the module. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemDisk(Arc<Mutex<State>>);

struct MemFile {
    disk: MemDisk,
    inode: InodeId,
    path: PathBuf,
    life: u64,
}

fn eio(what: &str) -> io::Error {
    io::Error::other(format!("injected i/o error: {what}"))
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} is not there", path.display()))
}

impl MemDisk {
    pub fn new() -> MemDisk {
        MemDisk::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panicked in the disk")
    }

    /// Cuts the power: what was not synced is lost, torn or kept, as the seed decides. Open files
    /// and locks of before are dead; faults are gone.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state();
        let mut rng = SmallRng::seed_from_u64(seed);
        let (lost_names, nameless) = state.names.lose(&mut rng);
        state.crashes.lost_names += lost_names;
        state.drop_nameless(nameless);
        state.lose_writes(&mut rng);
        state.close_all();
        state.faults = Faults::default();
    }

    /// Ends the program that uses the disk, and not the machine: nothing is lost, but open files and
    /// locks are dead.
    pub fn end_program(&self) {
        self.state().close_all();
    }

    /// Puts an empty disk in its place: everything is gone, and what is open is dead.
    pub fn wipe(&self) {
        let mut state = self.state();
        let before = std::mem::take(&mut *state);
        *state = State {
            life: before.life + 1,
            lies: before.lies,
            stats: before.stats,
            crashes: before.crashes,
            ..State::default()
        };
    }

    /// From now on files may hold this many bytes together; more is "no space left".
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().faults.capacity = bytes;
    }

    /// Syncs of files whose path contains this text fail.
    pub fn fail_syncs(&self, of: Option<&str>) {
        self.state().faults.failing_syncs = of.map(str::to_owned);
    }

    /// Writes to files whose path contains this text fail.
    pub fn fail_writes(&self, of: Option<&str>) {
        self.state().faults.failing_writes = of.map(str::to_owned);
    }

    /// After this many more changes (writes, cuts, names, syncs) every one fails: for stopping a
    /// program between any two, before a `crash`.
    pub fn stop_after(&self, changes: Option<u64>) {
        self.state().faults.changes_left = changes;
    }

    /// Everything in this directory and below it fails, reads too, as when its volume is gone.
    pub fn fail_directory(&self, path: Option<&Path>) {
        self.state().faults.failing_directory = path.map(Path::to_owned);
    }

    /// From now on so many files may be open at once: opening one more, listing and syncing a directory
    /// included, is "too many open files". Those that are open stay so.
    pub fn set_descriptors(&self, max: Option<u64>) {
        self.state().faults.descriptors = max;
    }

    /// From now on syncs of files whose path contains this text report success and do nothing.
    pub fn forget_syncs(&self, of: Option<&str>) {
        self.state().lies.files = of.map(str::to_owned);
    }

    /// From now on syncs of directories report success and do nothing.
    pub fn forget_directory_syncs(&self, forgets: bool) {
        self.state().lies.directories = forgets;
    }

    /// Bytes of all files.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// All files with their lengths, in the order of their paths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let state = self.state();
        let length = |inode| state.inodes[&inode].content.len() as u64;
        let files = state.names.files();
        let mut files: Vec<(PathBuf, u64)> =
            files.map(|(path, inode)| (path.to_owned(), length(inode))).collect();
        files.sort_unstable();
        files
    }

    /// How many files are open.
    pub fn open_files(&self) -> u64 {
        self.state().open.values().sum()
    }

    /// The names of files that are open.
    pub fn open_paths(&self) -> Vec<PathBuf> {
        let state = self.state();
        let is_open = |entry: &(&Path, InodeId)| state.open.contains_key(&entry.1);
        state.names.files().filter(is_open).map(|(path, _)| path.to_owned()).collect()
    }

    /// What all crashes together did.
    pub fn crashes(&self) -> CrashStats {
        self.state().crashes
    }

    pub fn stats(&self) -> MemDiskStats {
        self.state().stats
    }

    /// Flips a bit of a file behind everybody's back: in what is there and in what a crash finds.
    pub fn flip_bit(&self, path: &Path, position: usize) {
        let mut state = self.state();
        let inode = state.names.file(path).expect("the caller names a file");
        let inode = state.inodes.get_mut(&inode).expect("a name has its file");
        inode.content[position] ^= 1;
        if let Some(byte) = inode.synced.get_mut(position) {
            *byte ^= 1;
        }
        for change in &mut inode.unsynced {
            if let Change::Write { position: start, bytes } = change
                && let Some(byte) = position.checked_sub(*start).and_then(|at| bytes.get_mut(at))
            {
                *byte ^= 1;
            }
        }
    }
}

impl State {
    fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.content.len() as u64).sum()
    }

    fn change(&mut self, path: &Path) -> io::Result<()> {
        if let Some(left) = &mut self.faults.changes_left {
            if *left == 0 {
                return Err(eio("the disk has stopped"));
            }
            *left -= 1;
        }
        self.reach(path)?;
        match &self.faults.failing_writes {
            Some(part) if path.to_string_lossy().contains(part) => Err(eio("write")),
            _ => Ok(()),
        }
    }

    /// Fails where the directory does.
    fn reach(&self, path: &Path) -> io::Result<()> {
        match &self.faults.failing_directory {
            Some(dir) if path.starts_with(dir) => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        }
    }

    /// Fails where one more file may not be open.
    fn descriptor(&self) -> io::Result<()> {
        match self.faults.descriptors {
            Some(max) if self.open.values().sum::<u64>() >= max => {
                Err(io::Error::from_raw_os_error(EMFILE))
            }
            _ => Ok(()),
        }
    }

    fn fails_to_sync(&self, path: &Path) -> bool {
        let failing = self.faults.failing_syncs.as_ref();
        failing.is_some_and(|part| path.to_string_lossy().contains(part))
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() && !self.names.is_dir(dir) => {
                Err(not_found(dir))
            }
            _ => Ok(()),
        }
    }

    /// Ends every use of the disk, and drops files that nothing but a use kept.
    fn close_all(&mut self) {
        self.life += 1;
        self.open.clear();
        self.locks.clear();
        self.inodes.retain(|inode, _| self.names.is_linked(*inode));
    }

    /// Drops those of the files that are not open either.
    fn drop_nameless(&mut self, nameless: Nameless) {
        for inode in nameless {
            if !self.open.contains_key(&inode) {
                self.inodes.remove(&inode);
            }
        }
    }

    fn lose_writes(&mut self, rng: &mut SmallRng) {
        for inode in self.inodes.values_mut() {
            let mut content = std::mem::take(&mut inode.synced);
            for change in std::mem::take(&mut inode.unsynced) {
                match (rng.random_range(0..4), change) {
                    (0, _) => self.crashes.lost_writes += 1,
                    (1, Change::Write { position, bytes }) => {
                        self.crashes.torn_writes += 1;
                        tear(&mut content, position, &bytes, rng);
                    }
                    (_, change) => change.apply(&mut content),
                }
            }
            inode.synced.clone_from(&content);
            inode.content = content;
        }
    }
}

/// Writes each block, or leaves it as it was.
fn tear(content: &mut Vec<u8>, position: usize, bytes: &[u8], rng: &mut SmallRng) {
    let mut at = position;
    let mut rest = bytes;
    while !rest.is_empty() {
        let room = BLOCK_BYTES - at % BLOCK_BYTES;
        let (block, after) = rest.split_at(room.min(rest.len()));
        if rng.random_bool(0.5) {
            Change::Write { position: at, bytes: block.to_vec() }.apply(content);
        }
        at += block.len();
        rest = after;
    }
}

impl MemFile {
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.life != self.life {
            return Err(eio("the file is of a life before the crash"));
        }
        Ok(state)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(&self.path)?;
        state.stats.writes += 1;
        let capacity = state.faults.capacity;
        let room = capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used()));
        let inode = state.inodes.get_mut(&self.inode).expect("an open file stays");
        let change = match change {
            Change::Write { position, bytes } => {
                let end = position + bytes.len();
                let grow = end.saturating_sub(inode.content.len()) as u64;
                if grow > room {
                    // As a file system does it: what fits is written, and then it fails.
                    let part = bytes.len() - (grow - room) as usize;
                    let part = Change::Write { position, bytes: bytes[..part].to_vec() };
                    part.apply(&mut inode.content);
                    inode.unsynced.push(part);
                    return Err(io::ErrorKind::StorageFull.into());
                }
                Change::Write { position, bytes }
            }
            cut => cut,
        };
        change.apply(&mut inode.content);
        inode.unsynced.push(change);
        Ok(())
    }
}

impl File for MemFile {
    fn write_all_at(&self, buf: &[u8], position: u64) -> io::Result<()> {
        self.change(Change::Write { position: position as usize, bytes: buf.to_vec() })
    }

    fn write_all_vectored_at(&self, bufs: &[io::IoSlice<'_>], position: u64) -> io::Result<()> {
        let bytes = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        self.change(Change::Write { position: position as usize, bytes })
    }

    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.state()?;
        state.reach(&self.path)?;
        state.stats.reads += 1;
        let count = match state.inodes.get(&self.inode) {
            None => 0,
            Some(inode) => {
                let from = inode.content.len().min(position as usize);
                let count = buf.len().min(inode.content.len() - from);
                buf[..count].copy_from_slice(&inode.content[from..from + count]);
                count
            }
        };
        state.stats.read_bytes += count as u64;
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.inodes.get(&self.inode).map_or(0, |inode| inode.content.len() as u64))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::SetLen(len as usize))
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        state.change(&self.path)?;
        state.stats.syncs += 1;
        if state.fails_to_sync(&self.path) {
            return Err(eio("sync"));
        }
        let path = self.path.to_string_lossy();
        if state.lies.files.as_ref().is_some_and(|part| path.contains(part)) {
            return Ok(());
        }
        if let Some(inode) = state.inodes.get_mut(&self.inode) {
            // Not a copy of the content: files are synced often and written little in between.
            let Inode { unsynced, synced, .. } = inode;
            unsynced.drain(..).for_each(|change| change.apply(synced));
        }
        Ok(())
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        state.reach(path)?;
        state.descriptor()?;
        let found = state.names.file(path);
        let inode = match (found, how) {
            (Some(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, Open::Read | Open::Write) => return Err(not_found(path)),
            (None, Open::Create | Open::CreateNew) => {
                state.parent_exists(path)?;
                state.change(path)?;
                state.next_inode += 1;
                let inode = state.next_inode;
                state.inodes.insert(inode, Inode::default());
                state.names.bind(path, inode);
                inode
            }
        };
        let life = state.life;
        state.stats.opens += 1;
        *state.open.entry(inode).or_default() += 1;
        Ok(Arc::new(MemFile { disk: self.clone(), inode, path: path.to_owned(), life }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        for dir in path.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
            if !state.names.is_dir(dir) {
                state.change(dir)?;
                state.names.make_dir(dir);
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if from == to && (state.names.file(from).is_some() || state.names.is_dir(from)) {
            return Ok(());
        }
        if let Some(inode) = state.names.file(from) {
            state.parent_exists(to)?;
            state.change(from)?;
            // The other way round, the file would be without a name for a moment.
            let replaced = state.names.bind(to, inode);
            state.names.unbind(from);
            state.drop_nameless(replaced);
            return Ok(());
        }
        if !state.names.is_dir(from) {
            return Err(not_found(from));
        }
        state.change(from)?;
        let nameless = state.names.move_dir(from, to);
        state.drop_nameless(nameless);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.names.file(path).is_none() {
            return Err(not_found(path));
        }
        state.change(path)?;
        let nameless = state.names.unbind(path);
        state.drop_nameless(nameless);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.is_dir(path) {
            return Err(not_found(path));
        }
        state.change(path)?;
        let nameless = state.names.remove_dir(path);
        state.drop_nameless(nameless);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut state = self.state();
        state.reach(path)?;
        state.descriptor()?;
        state.stats.lists += 1;
        if !state.names.is_dir(path) {
            return Err(not_found(path));
        }
        let entries = state.names.list(path);
        let entry = |(name, is_dir): (&OsStr, _)| DirEntry {
            name: name.to_string_lossy().into_owned(),
            is_dir,
        };
        let mut entries: Vec<DirEntry> = entries.map(entry).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state();
        state.names.file(path).is_some() || state.names.is_dir(path)
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let mut state = self.state();
        state.reach(path)?;
        state.stats.looks += 1;
        let inode = state.names.file(path).ok_or_else(|| not_found(path))?;
        let len = state.inodes[&inode].content.len() as u64;
        Ok(FileStat { len, modified: None })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.is_dir(path) {
            return Err(not_found(path));
        }
        state.descriptor()?;
        state.change(path)?;
        state.stats.syncs += 1;
        if state.fails_to_sync(path) {
            return Err(eio("sync"));
        }
        if state.lies.directories {
            return Ok(());
        }
        let nameless = state.names.sync(path);
        state.drop_nameless(nameless);
        Ok(())
    }

    fn space(&self, _path: &Path) -> io::Result<(u64, u64)> {
        let state = self.state();
        let capacity = state.faults.capacity.ok_or(io::ErrorKind::Unsupported)?;
        Ok((capacity, capacity.saturating_sub(state.used())))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.open(path, Open::Create)?;
        let mut state = self.state();
        if !state.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemLock { disk: self.clone(), path: path.to_owned(), life: state.life }))
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life != self.life {
            return;
        }
        if let Some(count) = state.open.get_mut(&self.inode) {
            *count -= 1;
            if *count == 0 {
                state.open.remove(&self.inode);
                if !state.names.is_linked(self.inode) {
                    state.inodes.remove(&self.inode);
                }
            }
        }
    }
}

struct MemLock {
    disk: MemDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
