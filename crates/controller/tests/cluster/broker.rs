//! A broker as the controllers see one: it registers, follows the metadata and sends heartbeats.

use crate::harness::{Cluster, within};
use metadata::{Command, Image, Record, RegisterBroker, Reply};
use rpc::controller as pb;
use rpc::controller::metadata_update::Update;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use types::{BrokerEpoch, MetadataVersion, NodeId, Uuid};

/// The registration of a broker's first start.
pub fn registration(id: i32) -> RegisterBroker {
    RegisterBroker {
        broker_id: NodeId(id),
        cluster_id: String::new(),
        incarnation_id: Uuid([id as u8; 16]),
        endpoints: vec![metadata::Endpoint {
            name: "PLAINTEXT".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 9092,
            security_protocol: 0,
        }],
        rack: None,
        log_dirs: vec![Uuid([100 + id as u8; 16])],
        features: Vec::new(),
        previous_epoch: BrokerEpoch::NONE,
        session_alive: false,
    }
}

/// Registers a broker; the version is where its registration took effect.
pub async fn register(cluster: &Cluster, id: i32) -> (BrokerEpoch, MetadataVersion) {
    register_as(cluster, registration(id)).await
}

/// Registers a broker as given, but for the cluster's id.
pub async fn register_as(
    cluster: &Cluster,
    mut registration: RegisterBroker,
) -> (BrokerEpoch, MetadataVersion) {
    let active = cluster.active().await;
    let named = cluster.until(active, "a name", |status| !status.cluster_id.is_empty()).await;
    registration.cluster_id = named.cluster_id;
    match cluster.submit(Command::RegisterBroker(registration)).await {
        (Reply::BrokerRegistered { broker_epoch }, version) => (broker_epoch, version),
        other => panic!("{other:?}"),
    }
}

/// A heartbeat stream to one controller.
pub struct Beats {
    sender: mpsc::Sender<pb::HeartbeatRequest>,
    answers: Streaming<pb::HeartbeatResponse>,
}

impl Beats {
    pub async fn open(cluster: &Cluster, controller: i32) -> Beats {
        let (sender, receiver) = mpsc::channel(16);
        let mut client = cluster.client(controller);
        let call = client.heartbeat(ReceiverStream::new(receiver));
        let answers = within("a stream", call).await.expect("heartbeats are taken").into_inner();
        Beats { sender, answers }
    }

    pub async fn send(&self, request: pb::HeartbeatRequest) {
        self.sender.send(request).await.expect("the stream is open");
    }

    pub async fn answer(&mut self) -> pb::HeartbeatResponse {
        let answer = within("an answer", self.answers.message()).await;
        answer.expect("the stream is open").expect("the stream goes on")
    }

    /// Sends one heartbeat again and again until an answer satisfies the predicate.
    pub async fn until(
        &mut self,
        request: pb::HeartbeatRequest,
        predicate: impl Fn(&pb::HeartbeatResponse) -> bool,
    ) -> pb::HeartbeatResponse {
        let work = async {
            loop {
                self.send(request).await;
                let answer = self.answer().await;
                if predicate(&answer) {
                    return answer;
                }
                tokio::task::yield_now().await;
            }
        };
        within("the answer hoped for", work).await
    }
}

/// Brings a broker to life: registered and unfenced.
pub async fn live(cluster: &Cluster, id: i32) -> (Beats, pb::HeartbeatRequest) {
    live_as(cluster, registration(id)).await
}

/// Brings a broker to life with this registration.
pub async fn live_as(
    cluster: &Cluster,
    registration: RegisterBroker,
) -> (Beats, pb::HeartbeatRequest) {
    let id = registration.broker_id.0;
    let (epoch, version) = register_as(cluster, registration).await;
    let mut beats = Beats::open(cluster, cluster.active().await).await;
    let request = pb::HeartbeatRequest {
        broker_id: id,
        broker_epoch: epoch.0,
        applied_version: version.0,
        want_unfence: true,
        want_shutdown: false,
    };
    beats.until(request, |answer| answer.is_active && !answer.fenced).await;
    (beats, request)
}

/// Follows one controller's metadata from a version until it has reached another.
pub async fn follow(
    cluster: &Cluster,
    controller: i32,
    mut image: Image,
    upto: MetadataVersion,
) -> (Image, bool) {
    let applied_version = image.version().0;
    let request = pb::FollowMetadataRequest { broker_id: 1, applied_version };
    let mut client = cluster.client(controller);
    let call = within("a stream", client.follow_metadata(request)).await;
    let mut updates = call.expect("the metadata is given").into_inner();
    let mut parts: Vec<Record> = Vec::new();
    let mut by_snapshot = false;
    let decode = |records: Vec<rpc::metadata::Record>| {
        let records = records.into_iter().map(Record::try_from);
        records.collect::<Result<Vec<_>, _>>().expect("readable records")
    };
    while image.version() < upto {
        let update = within("an update", updates.message()).await.expect("the stream goes on");
        match update.and_then(|update| update.update).expect("an update") {
            Update::Batch(batch) => {
                let base = image.version();
                assert!(image.apply_batch(base, &decode(batch.records)), "batches are in order");
                assert_eq!(image.version().0, batch.version);
            }
            Update::Snapshot(part) => {
                parts.extend(decode(part.records));
                if part.last {
                    image = Image::from_records(MetadataVersion(part.version), &parts);
                    by_snapshot = true;
                }
            }
        }
    }
    (image, by_snapshot)
}
