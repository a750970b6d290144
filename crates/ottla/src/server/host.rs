//! Checks of the machine at the start. They warn and never refuse: a trial must run anywhere.

use config::NodeConfig;
use env::Env;
use env::disk::Open;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

/// Each segment holds files open, and each connection a socket.
const OPEN_FILES_WANTED: u64 = 100_000;
/// Above 1, the system swaps the broker out in favour of page cache.
const SWAPPINESS_MAX: u64 = 1;
/// Above it, much dirty cache gathers before writing starts, and then writes stall.
const DIRTY_BACKGROUND_RATIO_MAX: u64 = 10;
/// Longest value read from the kernel, in bytes.
const KERNEL_VALUE_BYTES_MAX: usize = 256;

/// Looks at the machine; returns a sentence for each thing that should be better. Raises the
/// process's own limit of open files as far as it may.
pub(super) fn check(config: &NodeConfig, env: &Env) -> Vec<String> {
    let mut warnings = Vec::new();
    warnings.extend(open_files());
    let number = |name| kernel_value(name, env).and_then(|value| value.parse::<u64>().ok());
    if let Some(swappiness) = number("vm/swappiness").filter(|value| *value > SWAPPINESS_MAX) {
        warnings.push(format!(
            "vm.swappiness is {swappiness}: set it to {SWAPPINESS_MAX}, or the system may swap this process out"
        ));
    }
    let ratio = number("vm/dirty_background_ratio");
    if let Some(ratio) = ratio.filter(|value| *value > DIRTY_BACKGROUND_RATIO_MAX) {
        warnings.push(format!(
            "vm.dirty_background_ratio is {ratio}: at most {DIRTY_BACKGROUND_RATIO_MAX} keeps writing even"
        ));
    }
    for dir in &config.storage.log_dirs {
        warnings.extend(network_file_system(dir));
    }
    warnings
}

/// A value below `/proc/sys`, trimmed.
pub(super) fn kernel_value(name: &str, env: &Env) -> Option<String> {
    let path = Path::new("/proc/sys").join(name);
    // These files say that they are empty, so their length is of no use.
    let file = env.disk.open(&path, Open::Read).ok()?;
    let content = file.read_bytes_at(KERNEL_VALUE_BYTES_MAX, 0).ok()?;
    Some(String::from_utf8_lossy(&content).trim().to_owned())
}

/// How many files and sockets the process may have open; `None` is no limit.
pub(super) fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

fn open_files() -> Option<String> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        // Refusal leaves the limit as it is, which the check below tells.
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let current = open_files_limit()?;
    (current < OPEN_FILES_WANTED).then(|| {
        format!("at most {current} files can be open: allow {OPEN_FILES_WANTED} (ulimit -n)")
    })
}

fn network_file_system(dir: &Path) -> Option<String> {
    // The directory may not be there yet: its nearest ancestor is on the same file system.
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let kind = match rustix::fs::statfs(there).ok()?.f_type as u64 & 0xffff_ffff {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x0102_1997 => "9P",
        _ => return None,
    };
    Some(format!(
        "{} is on {kind}: a network file system is slow and may lie about syncing",
        dir.display()
    ))
}
