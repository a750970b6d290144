//! openraft's own test suite on our log and state machine.

use super::log_store::LogStore;
use super::state_machine::StateMachine;
use super::types::TypeConfig;
use crate::store::applied::AppliedStore;
use crate::store::journal::{Journal, JournalOptions};
use crate::store::snapshot_files::SnapshotFiles;
use env::Env;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use std::sync::Arc;
use tempfile::TempDir;

struct Builder {
    own_thread: bool,
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = Env::real().disk;
        let options = JournalOptions {
            directory: directory.path().to_owned(),
            clock: Env::real().clock,
            // Small, so that the suite rolls files.
            segment_bytes: 512,
            own_thread: self.own_thread,
            _lock: None,
        };
        let journal = Journal::open(disk.clone(), options).expect("an empty journal opens");
        let snapshots = SnapshotFiles::new(Arc::clone(&disk), directory.path().to_owned());
        let store = self.own_thread.then(|| AppliedStore::open(directory.path())).flatten();
        let machine = StateMachine::open(snapshots, store, 10).expect("an empty state opens");
        Ok((directory, LogStore::new(journal), machine))
    }
}

fn run(own_thread: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let suite = Suite::test_all(Builder { own_thread });
    runtime.expect("a runtime").block_on(suite).expect("the suite passes");
}

#[test]
fn the_storage_suite_passes_with_a_writer_thread_and_sled() {
    run(true);
}

#[test]
fn the_storage_suite_passes_inline() {
    run(false);
}
