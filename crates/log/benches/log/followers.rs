//! What a leader's log costs where two followers read it as it grows: an append, two reads of it, and
//! the high watermark. Once with the newest batches in memory and once without; that all is in the
//! page cache in both cases is what a broker has.

use crate::{Duration2, batch_of, bytes, create, in_turn, line, put, rate, remove, timed};
use log::{LogConfig, PartitionLog, TailLimits};
use std::path::Path;
use types::Offset;

const FOLLOWERS: usize = 2;

pub fn followers(dir: &Path) {
    // Followers that come after each batch, and those that find several; small batches and large ones.
    for (size, at_once) in [(64 << 10, 1), (64 << 10, 4), (16 << 10, 8), (1 << 10, 8)] {
        let limits = TailLimits::new(64 << 20, 1 << 20);
        // Small batches are many: as many as there are large ones in the bytes are enough.
        let total = bytes().min(200_000 * size as u64);
        let with = || one(dir, size, at_once, total, Some(&limits));
        let without = || one(dir, size, at_once, total, None);
        let pair = in_turn(with, without);
        let [ours, bare] = pair.cpu;
        let name = format!("{at_once} appends of {size} bytes, {FOLLOWERS} reads, from memory");
        line(&name, rate(total, ours), "MiB/s", Some(rate(total, bare)), "> 100 %");
        let per_gb = |took: std::time::Duration| took.as_secs_f64() / (total as f64 / 1e9);
        println!("    {:.3} s of processor per GB, from files {:.3}", per_gb(ours), per_gb(bare));
    }
}

fn one(
    dir: &Path,
    size: usize,
    at_once: u64,
    total: u64,
    limits: Option<&TailLimits>,
) -> Duration2 {
    let (mut log, _) = create(dir, "followed", &LogConfig::default());
    log.keep_tail(limits);
    let batch = batch_of(size);
    let mut positions = [Offset(0); FOLLOWERS];
    let took = timed(|| {
        for _ in 0..total / size as u64 / at_once {
            (0..at_once).for_each(|_| put(&mut log, &batch));
            positions.iter_mut().for_each(|position| follow(&mut log, position));
            log.set_high_watermark(log.end_offset());
        }
    });
    drop(log);
    remove(dir, "followed");
    took
}

/// Reads what is new, as the broker does: a plan, its bytes, and where they end.
fn follow(log: &mut PartitionLog, position: &mut Offset) {
    while *position < log.end_offset() {
        let plan = log.read_plan(*position, log.end_offset(), 1 << 20, true).expect("a plan");
        let read = log.read_tail(&plan).unwrap_or_else(|| plan.read().expect("a read"));
        let last = records::batches(&read).last().expect("a batch").expect("a sound one");
        *position = last.header.end_offset();
    }
}
