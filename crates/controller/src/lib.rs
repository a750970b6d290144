//! The controller: a Raft quorum (openraft) around the pure rules of `metadata`.
//!
//! Promises:
//! - A reply to a command is given only after its records are committed and applied here.
//! - One batch of commands is in flight; a batch carries the metadata version that it was decided
//!   on, and is applied only on that version, so no two commands are decided on the same image
//!   and both committed.
//! - Log entries and votes are synced before Raft hears that they are stored.
//! - Liveness of brokers is soft state and never written to the log.
//! - Nothing here needs a runtime with more than one thread.
//!
//! Does not: hold rules of Kafka (they are in `metadata`), or own a listener: the caller serves
//! [`Controller::routes`] on one.

mod activity;
mod asking;
mod birth;
mod channel;
mod cluster_name;
mod decider;
mod feed;
mod keeper;
mod liveness;
mod membership;
mod options;
mod prober;
mod raft;
mod rules;
mod service;
mod status;
mod store;
mod successor;
mod view;

use activity::Activity;
use birth::Birth;
use cluster_name::ClusterName;
use decider::Decider;
use env::{Env, Tasks};
use keeper::Keeper;
use liveness::Liveness;
use membership::Admissions;
pub use options::{
    ControllerOptions, LivenessOptions, QuorumSource, RaftOptions, TopicDefaults, Voter,
};
pub use raft::{EntryFacts, Inspection, MemberId, RaftFacts};
use raft::{MESSAGE_BYTES_MAX, MetaRaft};
use rpc::controller::controller_server::ControllerServer;
use rpc::raft::raft_server::RaftServer;
pub use status::Status;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use store::applied::AppliedStore;
use store::identity::Identity;
use store::journal::{Journal, JournalOptions};
use store::snapshot_files::SnapshotFiles;
use successor::Successor;
use tokio::sync::{Notify, watch};

/// Time for leadership to move at a shutdown.
const HAND_OVER_TIMEOUT: Duration = Duration::from_millis(500);
/// Time for tasks to end by themselves at a shutdown: none, since without Raft they have nothing to
/// bring to an end.
const TASKS_GRACE: Duration = Duration::ZERO;

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("directory {directory} belongs to cluster {found}, not to {expected}")]
    WrongCluster { directory: String, found: String, expected: String },
    #[error("directory {directory} belongs to node {found}, not to node {expected}")]
    WrongNode { directory: String, found: i32, expected: i32 },
    #[error(
        "directory {directory} has lost its journal, and with it votes and records: empty it, and \
         the node joins its cluster anew"
    )]
    JournalMissing { directory: String },
    #[error("directory {directory} is used by another process")]
    Locked { directory: String },
    #[error("invalid option: {0}")]
    Options(String),
    #[error("storage of the controller: {0}")]
    Storage(#[from] std::io::Error),
    #[error("raft: {0}")]
    Raft(String),
}

/// A running controller. Dropping it without [`Controller::shutdown`] leaves its tasks to the end
/// of their runtime.
pub struct Controller {
    raft: MetaRaft,
    journal: Journal,
    tasks: Tasks,
    routes: tonic::service::Routes,
    status: watch::Receiver<Status>,
    view: view::View,
    activity: Activity,
    has_handed_over: AtomicBool,
}

impl Controller {
    /// Opens the directory, recovers what is in it and starts the node's tasks on the runtime of
    /// the caller. Returns as soon as the node can serve; birth, joining and elections go on in
    /// the background (see [`Controller::watch`]).
    pub async fn start(options: ControllerOptions, env: Env) -> Result<Controller, StartError> {
        check(&options)?;
        let tasks = Tasks::new();
        let files = Files::open(&options, &env)?;
        let cluster = ClusterName::new(files.identity.cluster_id.as_deref());
        let id = MemberId::new(options.node_id, files.identity.directory_id);
        let voters =
            birth::configured_voters(&options.quorum, options.node_id, &options.advertised_address);
        let journal = files.journal.clone();
        let setup = setup(&options, &env, id, &cluster, voters.clone(), &files);
        let (raft, view) = MetaRaft::open(setup, &tasks).await.map_err(StartError::Raft)?;
        let (term, activity) = Activity::new();
        tasks.spawn(activity::run(raft.clone(), term));
        tasks.spawn(Successor { env: env.clone(), raft: raft.clone() }.run());
        let liveness = Arc::new(Liveness::new(options.liveness.session_timeout));
        let attention = Arc::new(Notify::new());
        let (submitter, decider) = Decider::new(
            raft.clone(),
            view.clone(),
            activity.clone(),
            liveness.clone(),
            options.clone(),
            env.clone(),
        );
        tasks.spawn(decider.run());
        let (admissions, admitting) = Admissions::new(raft.clone());
        tasks.spawn(admitting);
        let (failure, failures) = watch::channel(None);
        let birth = Birth::new(
            env.clone(),
            raft.clone(),
            cluster.clone(),
            &options.quorum,
            options.advertised_address.clone(),
            failure.clone(),
        );
        tasks.spawn(birth.run());
        let keeper = Keeper {
            env: env.clone(),
            raft: raft.clone(),
            view: view.clone(),
            activity: activity.clone(),
            submitter: submitter.clone(),
            liveness: liveness.clone(),
            attention: attention.clone(),
            cluster: cluster.clone(),
            failure,
            identity: files.identity,
            options: options.clone(),
        };
        let status = keeper.start(&tasks, failures);
        let service = service::ControllerService::new(service::Parts {
            env,
            raft: raft.clone(),
            view: view.clone(),
            activity: activity.clone(),
            submitter,
            liveness,
            attention,
            admissions,
            asking: asking::Asking::default(),
            cluster,
            voters,
            auto_join: options.auto_join,
        });
        let routes = routes(service, raft.service());
        let has_handed_over = AtomicBool::new(false);
        Ok(Controller { raft, journal, tasks, routes, status, view, activity, has_handed_over })
    }

    /// The gRPC services `Controller` and `Raft`, for a tonic server or an axum router.
    pub fn routes(&self) -> tonic::service::Routes {
        self.routes.clone()
    }

    /// The state of this node now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Follows the state of this node.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Reads the metadata as applied here, at any time; for tests that look inside.
    pub fn images(&self) -> impl Fn() -> Arc<metadata::Image> + Send + Sync + 'static {
        let view = self.view.clone();
        move || view.image()
    }

    /// Looks into this node's Raft, at any time; for tests that look inside.
    pub fn inspection(&self) -> Inspection {
        self.raft.inspection()
    }

    /// Hands leadership over if this node has it, and waits a moment for the new leader. To be
    /// called before the listener closes, through which this node hears of it.
    pub async fn hand_over(&self) {
        let is_first = !self.has_handed_over.swap(true, Ordering::Relaxed);
        if is_first && self.activity.is_active() {
            self.raft.hand_over().await;
            let mut reports = self.raft.watch();
            let handed_over = reports.wait_for(|report| !report.is_leader);
            // A quorum of one has nobody to hand over to.
            drop(tokio::time::timeout(HAND_OVER_TIMEOUT, handed_over).await);
        }
    }

    /// Hands leadership over if that was not done yet, stops all tasks and closes all files.
    pub async fn shutdown(self) {
        self.hand_over().await;
        self.raft.shutdown().await;
        self.tasks.shutdown(TASKS_GRACE).await;
        let journal = self.journal;
        env::tasks::blocking(move || journal.close()).await;
    }
}

fn check(options: &ControllerOptions) -> Result<(), StartError> {
    let bad = |text: String| Err(StartError::Options(text));
    if let QuorumSource::Voters(voters) = &options.quorum {
        let ids: std::collections::BTreeSet<_> = voters.iter().map(|one| one.node_id).collect();
        if ids.len() != voters.len() {
            return bad("controller.quorum.voters names a node twice".to_owned());
        }
        if !ids.contains(&options.node_id) {
            let text = format!("controller.quorum.voters lacks this node, {}", options.node_id);
            return bad(text);
        }
    }
    let raft = &options.raft;
    if raft.snapshot_entries == 0 || raft.log_segment_bytes == 0 {
        return bad("snapshots and segments need a positive size".to_owned());
    }
    Ok(())
}

/// What is in the controller's directory.
struct Files {
    identity: Identity,
    journal: Journal,
    snapshots: SnapshotFiles,
    store: Option<AppliedStore>,
}

impl Files {
    fn open(options: &ControllerOptions, env: &Env) -> Result<Files, StartError> {
        let directory = &options.directory;
        env::disk::create_dir_durably(&*env.disk, directory)?;
        let lock = env.disk.lock(&directory.join(".lock")).map_err(|error| {
            if error.kind() == std::io::ErrorKind::WouldBlock {
                StartError::Locked { directory: directory.display().to_string() }
            } else {
                StartError::Storage(error)
            }
        })?;
        let cluster_id = options.cluster_id.as_deref();
        let identity = Identity::load(env, directory, options.node_id, cluster_id)?;
        // The journal is made before the identity is written, so one without the other has lost it.
        if identity.is_some() && !Journal::exists(&*env.disk, directory)? {
            let directory = directory.display().to_string();
            return Err(StartError::JournalMissing { directory });
        }
        let journal = Journal::open(
            env.disk.clone(),
            JournalOptions {
                directory: directory.clone(),
                clock: env.clock.clone(),
                segment_bytes: options.raft.log_segment_bytes,
                own_thread: !options.raft.simulated,
                _lock: Some(lock),
            },
        )?;
        let identity = match identity {
            Some(identity) => identity,
            None => Identity::create(env, directory, options.node_id)?,
        };
        let snapshots = SnapshotFiles::new(env.disk.clone(), directory.clone());
        let simulated = options.raft.simulated;
        let store = if simulated { None } else { AppliedStore::open(directory) };
        Ok(Files { identity, journal, snapshots, store })
    }
}

fn setup(
    options: &ControllerOptions,
    env: &Env,
    id: MemberId,
    cluster: &ClusterName,
    addresses: BTreeMap<types::NodeId, String>,
    files: &Files,
) -> raft::Setup {
    raft::Setup {
        env: env.clone(),
        id,
        cluster: cluster.clone(),
        options: options.raft.clone(),
        addresses,
        journal: files.journal.clone(),
        snapshots: files.snapshots.clone(),
        store: files.store.clone(),
        batches_kept_max: options.batches_kept_max,
    }
}

fn routes(service: service::ControllerService, raft: raft::RaftService) -> tonic::service::Routes {
    let controller = ControllerServer::new(service)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let raft = RaftServer::new(raft)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    tonic::service::Routes::new(controller).add_service(raft)
}
