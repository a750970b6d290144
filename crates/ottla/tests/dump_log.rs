//! `ottla dump-log` against the output of Kafka's own tool on files that Kafka 4.2 wrote
//! (`tests/compat/test_dump_log.py` keeps both in `dump_log/`), and on files with faults.

#![allow(clippy::disallowed_methods, reason = "a test reads and damages files")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dump_log")
}

fn dump(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.arg("dump-log").args(arguments).current_dir(directory);
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// A copy of a kept partition that a test may damage.
fn copy(partition: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for entry in std::fs::read_dir(kept().join(partition)).expect("kept files") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), directory.path().join(entry.file_name())).expect("copied");
    }
    directory
}

fn change(directory: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = directory.join(file);
    let mut bytes = std::fs::read(&path).expect("the file");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("written");
}

const LOG: &str = "00000000000000000000.log";
const INDEX: &str = "00000000000000000000.index";
const TIME_INDEX: &str = "00000000000000000000.timeindex";

#[test]
fn every_line_is_that_of_kafkas_tool() {
    let expected = std::fs::read_to_string(kept().join("expected.txt")).expect("kept output");
    let mut commands = 0;
    for part in expected.split("$ ").filter(|part| part.contains("--files ")) {
        let (arguments, expected) = part.split_once('\n').expect("arguments, then output");
        let output = dump(&kept(), &arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(text(&output.stdout), expected, "{arguments}");
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments}");
        commands += 1;
    }
    assert!(commands > 50, "{commands} commands");
}

#[test]
fn a_damaged_batch_is_told_and_a_torn_tail_counted() {
    let directory = copy("plain-0");
    change(directory.path(), LOG, |bytes| {
        bytes[80] ^= 1;
        bytes.extend_from_slice(&[7; 33]);
    });
    let output = dump(directory.path(), &["--files", LOG]);
    let lines = text(&output.stdout);
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[2].ends_with("isvalid: false"), "{}", lines[2]);
    assert!(lines[3].ends_with("isvalid: true"), "{}", lines[3]);
    let last = lines.last().expect("a last line");
    assert_eq!(*last, format!("Found 33 invalid bytes at the end of {LOG}"));
    assert!(output.status.success());
}

#[test]
fn indexes_that_do_not_fit_their_log_are_told_at_the_end() {
    let directory = copy("plain-0");
    change(directory.path(), INDEX, |bytes| bytes[3] += 1);
    change(directory.path(), TIME_INDEX, |bytes| bytes[7] ^= 1);
    let both = format!("{INDEX},{TIME_INDEX}");
    let output = dump(directory.path(), &["--verify-index-only", "--files", &both]);
    let told = text(&output.stderr);
    assert!(told.contains("Mismatches in :"), "{told}");
    assert!(told.contains("  Index offset: "), "{told}");
    assert!(told.contains("Found timestamp mismatch in :"), "{told}");
    assert_eq!(text(&output.stdout), format!("Dumping {INDEX}\nDumping {TIME_INDEX}\n"));
}

#[test]
fn an_index_cut_inside_an_entry_fails_its_sanity_check() {
    let directory = copy("plain-0");
    change(directory.path(), INDEX, |bytes| bytes.truncate(bytes.len() - 3));
    let output = dump(directory.path(), &["--index-sanity-check", "--files", INDEX]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("5 bytes behind the last entry"));
}

#[test]
fn gaps_between_offsets_are_told() {
    let directory = copy("plain-0");
    // The second batch and all behind it take higher offsets; base offsets lie outside the CRC.
    change(directory.path(), LOG, |bytes| {
        let mut at = 0;
        let mut is_first = true;
        while at < bytes.len() {
            let length = i32::from_be_bytes(bytes[at + 8..at + 12].try_into().expect("four"));
            if !is_first {
                bytes[at + 6] = 1;
            }
            is_first = false;
            at += 12 + length as usize;
        }
    });
    let output = dump(directory.path(), &["--deep-iteration", "--files", LOG]);
    let told = text(&output.stderr);
    assert!(told.starts_with("Non-consecutive offsets in "), "{told}");
    assert!(told.contains(" is followed by "), "{told}");
}

#[test]
fn a_snapshot_with_a_wrong_crc_is_refused() {
    let directory = copy("plain-0");
    let snapshot = "00000000000000000060.snapshot";
    change(directory.path(), snapshot, |bytes| bytes[12] ^= 1);
    let output = dump(directory.path(), &["--files", snapshot]);
    assert!(text(&output.stderr).contains("Snapshot is corrupt (CRC is no longer valid)"));
    assert!(!output.status.success());
}

#[test]
fn checkpoints_are_printed_and_a_wrong_one_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, content: &str| {
        std::fs::write(directory.path().join(name), content).expect("written");
        dump(directory.path(), &["--files", name])
    };
    let output = file("leader-epoch-checkpoint", "0\n2\n0 0\n3 17\n");
    assert_eq!(
        text(&output.stdout),
        "Dumping leader-epoch-checkpoint\nleaderEpoch: 0 startOffset: 0\n\
         leaderEpoch: 3 startOffset: 17\n"
    );
    let output = file("recovery-point-offset-checkpoint", "0\n1\norders 4 1200\n");
    assert!(text(&output.stdout).ends_with("topic: orders partition: 4 offset: 1200\n"));
    assert!(!file("replication-offset-checkpoint", "0\n2\norders 4 1200\n").status.success());
    assert!(!file("leader-epoch-checkpoint", "1\n0\n").status.success());
    let output = file("notes.txt", "?");
    assert_eq!(text(&output.stderr), "Ignoring unknown file notes.txt\n");
}
