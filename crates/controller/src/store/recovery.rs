//! Reading the journal's files at the start.
//!
//! Promises: returns exactly the state that was synced, plus possibly some of what was written
//! after it; cuts a torn tail in the last file; refuses damage of what had been synced.

use super::frame::{self, Frame, Kind};
use super::journal::{Durable, Place, Segment, Slot};
use bytes::{Buf, Bytes};
use env::Disk;
use env::disk::Open;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// First bytes of a journal file: a name and the format's version.
pub const MAGIC: &[u8; 8] = b"OTTLARJ1";
const SUFFIX: &str = ".journal";

/// The file name of a segment.
pub fn segment_name(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

/// What the files hold.
pub struct Recovered {
    pub segments: VecDeque<Segment>,
    pub durable: Durable,
    pub slots: VecDeque<Slot>,
    pub next_sequence: u64,
    /// Where the next frame goes in the last segment.
    pub tail: u64,
}

fn damaged(path: &Path, what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged file {}: {what}", path.display()))
}

/// Reads all journal files of a directory.
pub fn recover(disk: &dyn Disk, directory: &Path) -> io::Result<Recovered> {
    let mut state = Recovered {
        segments: VecDeque::new(),
        durable: Durable::default(),
        slots: VecDeque::new(),
        next_sequence: 0,
        tail: 0,
    };
    let numbers = segment_numbers(disk, directory)?;
    let mut torn: Option<u64> = None;
    for (position, number) in numbers.iter().enumerate() {
        let path = directory.join(segment_name(*number));
        let is_last = position + 1 == numbers.len();
        let follows = state.segments.back().is_none_or(|before| before.number + 1 == *number);
        if !follows {
            return Err(damaged(&path, "the file before it is missing"));
        }
        let file = disk.open(&path, Open::Write)?;
        let content = file.read_bytes_at(file.len()? as usize, 0)?;
        let segment = Segment { number: *number, file, max_index: None };
        if !content.starts_with(MAGIC) {
            // A crash while the file was made: it holds nothing that was ever reported.
            if is_last && frame_after(&content, 0).is_none() {
                torn = Some(*number);
                break;
            }
            return Err(damaged(&path, "no journal header"));
        }
        state.segments.push_back(segment);
        let end = read_segment(&mut state, &path, &content)?;
        if end < content.len() {
            check_torn(&state, &path, &content, end, is_last)?;
            let segment = state.segments.back().expect("just pushed");
            segment.file.set_len(end as u64)?;
        }
        state.tail = end as u64;
    }
    if let Some(number) = torn {
        disk.remove_file(&directory.join(segment_name(number)))?;
        disk.sync_dir(directory)?;
    }
    if let Some(last) = state.segments.back() {
        // After a crash of the process alone, frames may be here that were never synced.
        last.file.sync_data()?;
    }
    check_joined(&state, directory)?;
    Ok(state)
}

pub fn segment_numbers(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(directory)?;
    let stems = names.iter().filter_map(|entry| entry.name.strip_suffix(SUFFIX));
    Ok(stems.filter_map(|stem| stem.parse().ok()).collect())
}

/// Applies the frames of one file; returns the position after the last sound one.
fn read_segment(state: &mut Recovered, path: &Path, content: &Bytes) -> io::Result<usize> {
    let mut at = MAGIC.len();
    while let Some(frame) = frame::decode(content, at) {
        // The first frame of the oldest file may have any sequence.
        let first = state.segments.len() == 1 && at == MAGIC.len();
        if !first && frame.sequence != state.next_sequence {
            // Bytes of an older use of these blocks; not written by this file's owner.
            break;
        }
        apply(state, path, &frame, at)?;
        state.next_sequence = frame.sequence + 1;
        at += frame.size();
    }
    Ok(at)
}

fn apply(state: &mut Recovered, path: &Path, frame: &Frame, at: usize) -> io::Result<()> {
    match frame.kind {
        Kind::State => {
            state.durable = Durable::decode(&frame.body)
                .ok_or_else(|| damaged(path, format!("unreadable state at {at}")))?;
            drop_purged(state);
        }
        Kind::Truncate => {
            let from = read_index(&frame.body)
                .ok_or_else(|| damaged(path, format!("unreadable truncation at {at}")))?;
            while state.slots.back().is_some_and(|slot| slot.index >= from) {
                state.slots.pop_back();
            }
        }
        Kind::Entry => {
            let index = read_index(&frame.body)
                .ok_or_else(|| damaged(path, format!("unreadable entry at {at}")))?;
            if let Some(last) = state.slots.back()
                && last.index + 1 != index
            {
                return Err(damaged(path, format!("entry {index} follows {}", last.index)));
            }
            let segment = state.segments.back_mut().expect("the file being read");
            segment.max_index = segment.max_index.max(Some(index));
            let place = Place {
                segment: segment.number,
                position: (at + frame::HEADER_BYTES + 8) as u64,
                length: frame.body.len() - 8,
            };
            state.slots.push_back(Slot { index, place: Some(place), bytes: None });
            drop_purged(state);
        }
    }
    Ok(())
}

fn read_index(body: &Bytes) -> Option<u64> {
    let mut body = body.clone();
    (body.len() >= 8).then(|| body.get_u64())
}

fn drop_purged(state: &mut Recovered) {
    let Some(purged) = state.durable.purged_index else { return };
    while state.slots.front().is_some_and(|slot| slot.index <= purged) {
        state.slots.pop_front();
    }
}

/// Tells a torn tail from damage at `end`.
fn check_torn(
    state: &Recovered,
    path: &Path,
    content: &Bytes,
    end: usize,
    is_last: bool,
) -> io::Result<()> {
    if !is_last {
        return Err(damaged(path, format!("no sound frame at {end}, but a later file exists")));
    }
    match frame_after(content, end) {
        Some(later) if later.synced > state.next_sequence => {
            Err(damaged(path, format!("frame {} at {end} was synced", state.next_sequence)))
        }
        _ => {
            tracing::info!(file = %path.display(), from = end, "cut a torn tail of the raft journal");
            Ok(())
        }
    }
}

/// The last sound frame at any later position: what it says of synced frames covers the earlier.
fn frame_after(content: &Bytes, from: usize) -> Option<Frame> {
    let mut found = None;
    let mut at = from;
    while at + frame::HEADER_BYTES <= content.len() {
        match frame::decode(content, at) {
            Some(frame) => {
                at += frame.size();
                found = Some(frame);
            }
            None => at += 1,
        }
    }
    found
}

/// Entries must start right after what was purged, or before.
fn check_joined(state: &Recovered, directory: &Path) -> io::Result<()> {
    let next = state.durable.purged_index.map_or(0, |index| index + 1);
    match state.slots.front() {
        Some(first) if first.index > next => {
            let what = format!("entries start at {}, purged below {next}", first.index);
            Err(damaged(directory, what))
        }
        _ => Ok(()),
    }
}

/// Opens a new file for a segment, with its header, reserved blocks and a durable name.
pub fn create_segment(
    disk: &dyn Disk,
    directory: &Path,
    number: u64,
    reserve: u64,
) -> io::Result<Segment> {
    let file: Arc<dyn env::File> =
        disk.open(&directory.join(segment_name(number)), Open::Create)?;
    file.set_len(0)?;
    file.allocate(reserve)?;
    file.write_all_at(MAGIC, 0)?;
    file.sync_data()?;
    disk.sync_dir(directory)?;
    Ok(Segment { number, file, max_index: None })
}
