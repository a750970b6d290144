//! Names of files and directories, as programs see them and as a crash finds them.
//!
//! Promises: what `sync` covered of a directory's names survives `lose`; of the rest a seed decides,
//! name by name. Every change costs what it changes, not what else there is; only `lose` looks at
//! all names. Whoever takes a name from a file is told if that was its last one.
//!
//! Paths are compared byte by byte, which is many times faster than by components: two spellings of
//! one path are two names.

use super::InodeId;
use rand::Rng;
use rand::rngs::SmallRng;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};

/// What one path leads to: now, and for a crash.
#[derive(Clone, Copy, Default)]
struct Entry {
    file: Option<InodeId>,
    is_dir: bool,
    synced_file: Option<InodeId>,
    synced_dir: bool,
}

impl Entry {
    fn is_synced(&self) -> bool {
        self.file == self.synced_file && self.is_dir == self.synced_dir
    }

    fn is_nothing(&self) -> bool {
        self.is_synced() && self.file.is_none() && !self.is_dir
    }
}

#[derive(Default)]
pub(super) struct Names {
    entries: BTreeMap<OsString, Entry>,
    /// Paths whose entry is not synced.
    unsynced: BTreeSet<OsString>,
    /// How many entries lead to a file, now or for a crash.
    links: BTreeMap<InodeId, u32>,
}

/// Files that no name leads to any more.
pub(super) type Nameless = Vec<InodeId>;

/// Paths below a directory. All of them begin with its own path and a slash.
fn below(dir: &Path) -> (impl RangeBounds<OsStr>, OsString) {
    let mut prefix = dir.as_os_str().to_owned();
    if !prefix.as_encoded_bytes().ends_with(b"/") {
        prefix.push("/");
    }
    let from: Bound<OsString> = Bound::Excluded(prefix.clone());
    (Range(from), prefix)
}

struct Range(Bound<OsString>);

impl RangeBounds<OsStr> for Range {
    fn start_bound(&self) -> Bound<&OsStr> {
        self.0.as_ref().map(OsString::as_os_str)
    }

    fn end_bound(&self) -> Bound<&OsStr> {
        Bound::Unbounded
    }
}

fn starts_with(path: &OsStr, prefix: &OsStr) -> bool {
    path.as_encoded_bytes().starts_with(prefix.as_encoded_bytes())
}

/// Whether nothing but a root is above this path.
fn is_rooted(path: &Path, kept_dirs: &BTreeSet<PathBuf>, root_is_there: bool) -> bool {
    path.parent().is_none_or(|parent| {
        parent.as_os_str().is_empty()
            || (root_is_there && parent == Path::new("/"))
            || kept_dirs.contains(parent)
    })
}

impl Names {
    pub fn file(&self, path: &Path) -> Option<InodeId> {
        self.entries.get(path.as_os_str())?.file
    }

    pub fn is_dir(&self, path: &Path) -> bool {
        self.entries.get(path.as_os_str()).is_some_and(|entry| entry.is_dir)
    }

    pub fn is_linked(&self, inode: InodeId) -> bool {
        self.links.contains_key(&inode)
    }

    /// All files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&Path, InodeId)> {
        self.entries.iter().filter_map(|(path, entry)| Some((Path::new(path), entry.file?)))
    }

    /// What lies directly in a directory, and whether it is a directory itself.
    pub fn list(&self, dir: &Path) -> impl Iterator<Item = (&OsStr, bool)> {
        let (range, prefix) = below(dir);
        let inside = prefix.len();
        self.entries
            .range::<OsStr, _>(range)
            .take_while(move |(path, _)| starts_with(path, &prefix))
            .filter(|(_, entry)| entry.file.is_some() || entry.is_dir)
            .filter(move |(path, _)| !path.as_encoded_bytes()[inside..].contains(&b'/'))
            .filter_map(|(path, entry)| Some((Path::new(path).file_name()?, entry.is_dir)))
    }

    /// Gives a file a name; tells whose only name it was before.
    pub fn bind(&mut self, path: &Path, inode: InodeId) -> Nameless {
        self.change(path.as_os_str(), |entry| entry.file = Some(inode))
    }

    pub fn unbind(&mut self, path: &Path) -> Nameless {
        self.change(path.as_os_str(), |entry| entry.file = None)
    }

    pub fn make_dir(&mut self, path: &Path) {
        self.change(path.as_os_str(), |entry| entry.is_dir = true);
    }

    /// The directory with all that it holds.
    pub fn remove_dir(&mut self, dir: &Path) -> Nameless {
        let mut nameless = Vec::new();
        for path in self.tree(dir) {
            nameless.extend(self.change(&path, |entry| {
                entry.file = None;
                entry.is_dir = false;
            }));
        }
        nameless
    }

    /// A directory moves with what it holds, and what was synced in it stays so.
    pub fn move_dir(&mut self, from: &Path, to: &Path) -> Nameless {
        let mut nameless = Vec::new();
        for path in self.tree(from) {
            let entry = self.entries[&path];
            let rest = Path::new(&path).strip_prefix(from).expect("below the directory");
            let moved = match rest.as_os_str().is_empty() {
                true => to.as_os_str().to_owned(),
                false => to.join(rest).into_os_string(),
            };
            let is_inside = path != from.as_os_str();
            nameless.extend(self.change(&moved, |there| {
                there.file = entry.file.or(there.file);
                there.is_dir |= entry.is_dir;
                if is_inside && entry.synced_file.is_some() {
                    there.synced_file = entry.synced_file;
                }
            }));
            nameless.extend(self.change(&path, |entry| {
                entry.file = None;
                entry.is_dir = false;
            }));
        }
        nameless
    }

    /// The directory's path and all below it that are something now or were when last synced.
    fn tree(&self, dir: &Path) -> Vec<OsString> {
        let (range, prefix) = below(dir);
        let below = self.entries.range::<OsStr, _>(range).map(|(path, _)| path.clone());
        let below = below.take_while(|path| starts_with(path, &prefix));
        std::iter::once(dir.as_os_str().to_owned())
            .filter(|path| self.entries.contains_key(path))
            .chain(below)
            .collect()
    }

    /// From now on a crash finds the names in this directory as they are.
    pub fn sync(&mut self, dir: &Path) -> Nameless {
        let (range, prefix) = below(dir);
        let inside: Vec<OsString> = self
            .unsynced
            .range::<OsStr, _>(range)
            .take_while(|path| starts_with(path, &prefix))
            .filter(|path| Path::new(path).parent() == Some(dir))
            .cloned()
            .collect();
        let mut nameless = Vec::new();
        for path in inside {
            nameless.extend(self.change(&path, |entry| {
                entry.synced_file = entry.file;
                entry.synced_dir = entry.is_dir;
            }));
        }
        nameless
    }

    fn change(&mut self, path: &OsStr, how: impl FnOnce(&mut Entry)) -> Nameless {
        let before = self.entries.get(path).copied().unwrap_or_default();
        let mut after = before;
        how(&mut after);
        match after.is_nothing() {
            true => drop(self.entries.remove(path)),
            false => drop(self.entries.insert(path.to_owned(), after)),
        }
        match after.is_synced() {
            true => drop(self.unsynced.remove(path)),
            false => drop(self.unsynced.insert(path.to_owned())),
        }
        for inode in [after.file, after.synced_file].into_iter().flatten() {
            *self.links.entry(inode).or_default() += 1;
        }
        let mut nameless = Vec::new();
        for inode in [before.file, before.synced_file].into_iter().flatten() {
            let count = self.links.get_mut(&inode).expect("a named file has a count");
            *count -= 1;
            if *count == 0 {
                self.links.remove(&inode);
                nameless.push(inode);
            }
        }
        nameless
    }

    /// Cuts the power: of every name that is not synced, the seed decides whether it is as it was
    /// before or as it is now. Says how many are as before.
    pub fn lose(&mut self, rng: &mut SmallRng) -> (u64, Nameless) {
        // By components, not bytes: the order of the draws is part of what a seed means.
        let entries = std::mem::take(&mut self.entries);
        let entries: BTreeMap<PathBuf, Entry> =
            entries.into_iter().map(|(path, entry)| (path.into(), entry)).collect();
        let mut kept_dirs = BTreeSet::new();
        for (path, entry) in entries.iter().filter(|(_, entry)| entry.is_dir || entry.synced_dir) {
            let is_same = entry.is_dir == entry.synced_dir;
            let is_there =
                if is_same || rng.random_bool(0.5) { entry.is_dir } else { entry.synced_dir };
            if is_there && is_rooted(path, &kept_dirs, true) {
                kept_dirs.insert(path.clone());
            }
        }
        let mut lost = 0;
        let mut kept = Names::default();
        for (path, entry) in &entries {
            let is_same = entry.file == entry.synced_file;
            let found =
                if is_same || rng.random_bool(0.5) { entry.file } else { entry.synced_file };
            lost += u64::from(found != entry.file);
            let file = found.filter(|_| is_rooted(path, &kept_dirs, false));
            let is_dir = kept_dirs.contains(path);
            kept.change(path.as_os_str(), |entry| {
                *entry = Entry { file, is_dir, synced_file: file, synced_dir: is_dir };
            });
        }
        let before = std::mem::replace(self, kept);
        let nameless = before.links.into_keys().filter(|inode| !self.is_linked(*inode)).collect();
        (lost, nameless)
    }
}
