//! Taking a compacted segment in, in the place of those that it was made of.
//!
//! Promises: a process that dies between any two changes of the disk, and a power cut that loses any
//! unsynced names, leave either the old segments or the new one. Nothing is synced under the log's
//! lock: the caller syncs the directory between the steps.
//!
//! | step | on disk, once the directory is synced |
//! |--|--|
//! | written | `N.log.cleaned` and indexes, synced; removed by the next opening |
//! | named | `N.log.swap` and indexes, and the mark `N.swap`; the next opening finishes |
//! | replaced | `N.log` is the new segment; the other old segments are still there |
//! | cleared | the other old segments' names are gone |
//! | done | the mark is gone |
//!
//! The steps differ from Kafka's in their order: it renames the old segments first, and the new one
//! is for a moment under its `.swap` name alone. Its recovery of `.swap` files understands ours.

use super::PartitionLog;
use crate::names::{
    CLEANED, DELETED, LOG, SEGMENT_FILES, SNAPSHOT, SWAP, segment_file, with_suffix,
};
use crate::removal::gone_is_fine;
use crate::segment::Segment;
use crate::walk::Walk;
use crate::{LogDirError, RemovalJob};
use env::disk::{DirEntry, Open};
use env::{Disk, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use types::{Offset, Timestamp};

/// A segment that a new one is made of.
pub(crate) struct Source {
    pub base: Offset,
    /// Exclusive.
    pub end: Offset,
    pub size: u64,
    pub touched: Timestamp,
    pub path: PathBuf,
}

impl Source {
    /// Opened when its turn comes: a log may have more segments than a process may have files. If
    /// another file bears the name by then, the log's generation is another, too, or the file is
    /// gone; either way the run ends as changed.
    pub fn open(&self, disk: &dyn Disk) -> io::Result<Arc<dyn File>> {
        disk.open(&self.path, Open::Read)
    }
}

/// A new segment, whole and synced, under `.cleaned` names.
pub(crate) struct Replacement {
    pub segment: Segment,
    /// Base and size of the segments that it was made of; the first has its base.
    pub sources: Vec<(Offset, u64)>,
    /// Of the log when they were taken.
    pub generation: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Named,
    Replaced,
    Cleared,
}

/// A replacement under way.
pub(super) struct Swap {
    stage: Stage,
    base: Offset,
    /// The sources besides the first.
    others: Vec<Offset>,
    /// Until it is in the log.
    segment: Option<Segment>,
    /// Files that have lost their names.
    gone: Vec<PathBuf>,
}

/// What comes next.
pub(crate) enum SwapStep {
    /// Sync the directory and call again.
    Sync,
    /// The new segment is in the log; the job removes what is left of the old ones.
    Done(RemovalJob),
    /// The log was cut meanwhile: nothing of the new segment is left.
    Abandoned,
}

/// The mark that a replacement of this base is under way.
pub(super) fn mark(dir: &Path, base: Offset) -> PathBuf {
    segment_file(dir, base, SWAP)
}

impl PartitionLog {
    /// Begins to take a new segment in; false if the log no longer has what it was made of. The
    /// directory wants a sync then.
    pub(crate) fn begin_swap(&mut self, new: Replacement) -> Result<bool, LogDirError> {
        self.check_open()?;
        if self.swap.is_some() || !self.has_sources(&new) {
            return Ok(false);
        }
        self.name_swap(new).map_err(|error| self.poison("swap segments", error))?;
        Ok(true)
    }

    fn has_sources(&self, new: &Replacement) -> bool {
        let first = new.segment.base;
        let at = self.segments.partition_point(|segment| segment.base < first);
        let here = self.segments.range(at..).take((self.segments.len() - 1).saturating_sub(at));
        let here = here.map(|segment| (segment.base, segment.size));
        new.generation == self.sync.generation
            && here.take(new.sources.len()).eq(new.sources.iter().copied())
    }

    fn name_swap(&mut self, new: Replacement) -> io::Result<()> {
        let base = new.segment.base;
        self.id.disk.open(&mark(&self.id.dir, base), Open::Create)?;
        for kind in SEGMENT_FILES {
            let path = segment_file(&self.id.dir, base, kind);
            let (from, to) = (with_suffix(&path, CLEANED), with_suffix(&path, SWAP));
            gone_is_fine(self.id.disk.rename(&from, &to))?;
        }
        let others = new.sources.iter().skip(1).map(|(base, _)| *base).collect();
        let segment = Some(new.segment);
        self.swap = Some(Swap { stage: Stage::Named, base, others, segment, gone: Vec::new() });
        Ok(())
    }

    /// The next step of a swap, after the directory was synced.
    pub(crate) fn advance_swap(&mut self) -> Result<SwapStep, LogDirError> {
        self.check_open()?;
        let Some(swap) = self.swap.take() else {
            return Ok(SwapStep::Abandoned);
        };
        self.try_advance(swap).map_err(|error| self.poison("swap segments", error))
    }

    fn try_advance(&mut self, mut swap: Swap) -> io::Result<SwapStep> {
        match swap.stage {
            Stage::Named => {
                self.replace(&mut swap)?;
                swap.stage = Stage::Replaced;
            }
            Stage::Replaced if !swap.others.is_empty() => {
                self.clear_others(&mut swap)?;
                swap.stage = Stage::Cleared;
            }
            Stage::Replaced | Stage::Cleared => {
                gone_is_fine(self.id.disk.remove_file(&mark(&self.id.dir, swap.base)))?;
                let (disk, log_dir) = (self.id.disk.clone(), self.id.log_dir.clone());
                return Ok(SwapStep::Done(RemovalJob::files(disk, log_dir, swap.gone)));
            }
        }
        self.swap = Some(swap);
        Ok(SwapStep::Sync)
    }

    fn replace(&mut self, swap: &mut Swap) -> io::Result<()> {
        rename_swapped(&*self.id.disk, &self.id.dir, swap.base)?;
        let mut segment = swap.segment.take().expect("a named swap has its segment");
        segment.renamed(&self.id.dir);
        let at = self.segment_index(swap.base);
        self.replaced += 1;
        self.segments[at] = segment;
        self.segments.drain(at + 1..at + 1 + swap.others.len());
        Ok(())
    }

    fn clear_others(&mut self, swap: &mut Swap) -> io::Result<()> {
        for base in &swap.others {
            swap.gone.extend(self.take_names_away(*base)?);
            let snapshot = segment_file(&self.id.dir, *base, SNAPSHOT);
            let aside = with_suffix(&snapshot, DELETED);
            gone_is_fine(self.id.disk.rename(&snapshot, &aside))?;
            swap.gone.push(aside);
        }
        Ok(())
    }

    /// At opening, after [`resume_swaps`]: removes the segments that the new ones took in, and makes
    /// the new ones' indexes from their batches.
    pub(super) fn finish_swaps(&mut self, bases: &[Offset]) -> io::Result<()> {
        for base in bases {
            let at = self.segments.partition_point(|segment| segment.base < *base);
            if self.segments.get(at).is_none_or(|segment| segment.base != *base) {
                continue;
            }
            let end = self.rebuild_indexes(at)?;
            while self.segments.get(at + 1).is_some_and(|next| next.base < end) {
                let other = self.segments.remove(at + 1).expect("looked at above").base;
                let mut gone = self.take_names_away(other)?;
                gone.push(segment_file(&self.id.dir, other, SNAPSHOT));
                self.remove(gone)?;
            }
        }
        if bases.is_empty() {
            return Ok(());
        }
        self.id.disk.sync_dir(&self.id.dir)?;
        for base in bases {
            gone_is_fine(self.id.disk.remove_file(&mark(&self.id.dir, *base)))?;
        }
        Ok(())
    }

    /// Returns the end of the segment's last batch.
    fn rebuild_indexes(&mut self, at: usize) -> io::Result<Offset> {
        let base = self.segments[at].base;
        let (from, producers) = self.snapshot_before(base)?;
        self.producers = producers;
        self.replay_producers(from, base)?;
        let disk = self.id.disk.clone();
        self.segments[at].reset_indexes(&disk, &self.id.files)?;
        let (file, size) = (self.segments[at].file()?, self.segments[at].size);
        let mut walk = Walk::scan(&file, 0, size);
        let mut end = base;
        while let Some(found) = walk.next_checked().map_err(|error| self.walk_failed(at, error))? {
            end = found.header.end_offset();
            self.recover_batch_indexes(at, &found)?;
        }
        let segment = &mut self.segments[at];
        segment.seal()?;
        segment.offsets.file()?.sync_data()?;
        segment.times.file()?.sync_data()?;
        if let Some(file) = segment.transactions.file() {
            file.sync_data()?;
        }
        Ok(end)
    }

    /// Ends a swap here and now, before something else changes the segments: what is in the log
    /// already is finished, the rest undone. Syncs.
    pub(super) fn settle_swap(&mut self) -> io::Result<()> {
        let Some(swap) = self.swap.take() else {
            return Ok(());
        };
        if swap.stage == Stage::Named {
            remove_swapped(&*self.id.disk, &self.id.dir, swap.base)?;
            return self.id.disk.sync_dir(&self.id.dir);
        }
        self.swap = Some(swap);
        while let Some(swap) = self.swap.take() {
            self.id.disk.sync_dir(&self.id.dir)?;
            if let SwapStep::Done(job) = self.try_advance(swap)? {
                return job.run().map_err(|error| io::Error::other(error.to_string()));
            }
        }
        Ok(())
    }
}

/// Gives a swap's files the log's names. An old index for which there is no new one goes.
fn rename_swapped(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<()> {
    for kind in SEGMENT_FILES {
        let path = segment_file(dir, base, kind);
        let new = with_suffix(&path, SWAP);
        match disk.exists(&new) {
            true => disk.rename(&new, &path)?,
            false => gone_is_fine(disk.remove_file(&path))?,
        }
    }
    Ok(())
}

fn remove_swapped(disk: &dyn Disk, dir: &Path, base: Offset) -> io::Result<()> {
    for kind in SEGMENT_FILES {
        let path = with_suffix(&segment_file(dir, base, kind), SWAP);
        gone_is_fine(disk.remove_file(&path))?;
    }
    gone_is_fine(disk.remove_file(&mark(dir, base)))
}

/// Whether anything is left of a compaction that was interrupted.
pub(super) fn has_swaps(names: &[DirEntry]) -> bool {
    names.iter().any(|entry| entry.name.ends_with(CLEANED) || swap_base(&entry.name).is_some())
}

/// Puts every new segment whose swap was interrupted in its place, at opening. Returns their bases:
/// the segments that they replace are still to be removed, and the marks stay until then. `.cleaned` files go.
pub(super) fn resume_swaps(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<Offset>> {
    let mut bases = Vec::new();
    for entry in disk.list(dir)? {
        if entry.name.ends_with(CLEANED) {
            gone_is_fine(disk.remove_file(&dir.join(&entry.name)))?;
        }
        if let Some(base) = swap_base(&entry.name) {
            bases.push(base);
        }
    }
    bases.sort();
    bases.dedup();
    for base in &bases {
        // First of all, so that a second crash comes back here.
        disk.open(&mark(dir, *base), Open::Create)?;
    }
    if bases.is_empty() {
        return Ok(bases);
    }
    disk.sync_dir(dir)?;
    for base in &bases {
        let log = segment_file(dir, *base, LOG);
        if disk.exists(&with_suffix(&log, SWAP)) {
            rename_swapped(disk, dir, *base)?;
        }
    }
    disk.sync_dir(dir)?;
    for base in &bases {
        // Indexes without their log: from before or after the moment when they all moved.
        for kind in SEGMENT_FILES {
            let path = with_suffix(&segment_file(dir, *base, kind), SWAP);
            gone_is_fine(disk.remove_file(&path))?;
        }
    }
    Ok(bases)
}

fn swap_base(name: &str) -> Option<Offset> {
    let name = name.strip_suffix(SWAP)?;
    let digits = name.split_once('.').map_or(name, |(digits, _)| digits);
    if digits.len() != 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Offset)
}
