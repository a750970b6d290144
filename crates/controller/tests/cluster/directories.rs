//! Directories that are not what they seem: of another cluster, without their journal, with a
//! damaged snapshot. A node with one of them refuses, and says what is wrong.

use crate::broker::{live, register};
use crate::harness::{Cluster, files, run, start, within};
use controller::{ControllerOptions, QuorumSource, StartError};
use env::Env;
use std::time::Duration;

fn remove(directory: &std::path::Path, suffix: &str) {
    for name in files(directory, suffix) {
        Env::real().disk.remove_file(&directory.join(name)).expect("the file can go");
    }
}

#[test]
fn a_member_of_one_cluster_that_is_started_into_another_one_fails_and_names_both() {
    run(async {
        let mut ours = Cluster::new(3, |_| {});
        let mut theirs = Cluster::new(3, |_| {});
        ours.start_all();
        theirs.start_all();
        let mut ids = Vec::new();
        for cluster in [&ours, &theirs] {
            let named = |status: &controller::Status| !status.cluster_id.is_empty();
            ids.push(cluster.until(3, "a name", named).await.cluster_id);
        }
        ours.shut_down(3);
        theirs.shut_down(3);
        // Their directory in our cluster.
        let mut stranger = ours.options(3);
        stranger.directory = theirs.directory(3);
        let node = start(stranger).expect("it knows no better yet");
        let mut status = node.status.clone();
        let failed = status.wait_for(|status| status.failure.is_some());
        let failed = within("the failure", failed).await.expect("the node runs").clone();
        let text = failed.failure.expect("a failure");
        assert!(text.contains(&ids[0]) && text.contains(&ids[1]), "{text}");
        // It has not taken part in ours.
        register(&ours, 1).await;
        assert!(!status.borrow().is_active);
    });
}

#[test]
fn a_member_without_its_journal_does_not_start_since_it_might_vote_twice() {
    run(async {
        let mut cluster = Cluster::new(1, |_| {});
        cluster.start_all();
        register(&cluster, 1).await;
        cluster.shut_down(1);
        remove(&cluster.directory(1), ".journal");
        let error = start(cluster.options(1)).err().expect("its votes are gone");
        assert!(matches!(error, StartError::JournalMissing { .. }), "{error}");
    });
}

#[test]
fn a_member_whose_snapshot_is_damaged_does_not_start_with_less() {
    run(async {
        let small = |options: &mut ControllerOptions| {
            options.raft.snapshot_entries = 10;
            options.raft.keep_entries = 1;
            options.raft.log_segment_bytes = 4096;
        };
        let mut cluster = Cluster::new(1, small);
        cluster.start_all();
        for id in 10..70 {
            register(&cluster, id).await;
        }
        cluster.shut_down(1);
        let directory = cluster.directory(1);
        let disk = Env::real().disk;
        for name in files(&directory, ".snapshot") {
            let file =
                disk.open(&directory.join(name), env::disk::Open::Write).expect("it is there");
            file.write_all_at(b"damage", 100).expect("it can be written");
        }
        // The applied state may stand in for a snapshot; without it there is nothing to start from.
        disk.remove_dir_all(&directory.join("applied")).expect("it can go");
        let error = start(cluster.options(1)).err().expect("what was purged is nowhere");
        assert!(matches!(error, StartError::Raft(_)), "{error}");
    });
}

#[test]
fn a_node_alone_stays_active_beyond_every_election_timeout() {
    run(async {
        let mut cluster = Cluster::new(1, |options| {
            options.quorum = QuorumSource::Bootstrap(Vec::new());
            options.raft.heartbeat_interval = Duration::from_millis(20);
            options.raft.election_timeout_min = Duration::from_millis(60);
            options.raft.election_timeout_max = Duration::from_millis(100);
        });
        cluster.start_all();
        live(&cluster, 1).await;
        let term = cluster.nodes[&1].status.borrow().term;
        let mut status = cluster.nodes[&1].status.clone();
        // Ten times as long as it takes to lose a quorum.
        let changed = status.wait_for(|status| !status.is_active || status.term != term);
        let changed = tokio::time::timeout(Duration::from_secs(2), changed).await;
        assert!(changed.is_err(), "{changed:?}");
        register(&cluster, 2).await;
    });
}
