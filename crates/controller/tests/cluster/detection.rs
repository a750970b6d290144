//! Who is gone: brokers and active controllers whose process died are found out by their closed
//! connections, long before silence says so; who is merely cut off for a moment is not.

use crate::broker::{Beats, follow, live_as, registration};
use crate::harness::{Cluster, free_address, run};
use controller::ControllerOptions;
use metadata::{Image, RegisterBroker};
use std::time::Duration;
use types::{MetadataVersion, NodeId};

/// Sessions and elections that no test waits for.
fn patient(options: &mut ControllerOptions) {
    options.liveness.session_timeout = Duration::from_secs(60);
    options.raft.election_timeout_min = Duration::from_secs(60);
    options.raft.election_timeout_max = Duration::from_secs(61);
}

/// A broker at an address of the loopback.
fn at(id: i32, address: &str) -> RegisterBroker {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let mut registration = registration(id);
    registration.endpoints[0].port = port.expect("a port");
    registration
}

/// Waits until broker 1, which was unfenced, is fenced as a controller's metadata says.
async fn until_fenced(cluster: &Cluster, controller: i32) {
    let now = cluster.nodes[&controller].status.borrow().version;
    let (mut image, _) = follow(cluster, controller, Image::default(), now).await;
    while !image.broker(NodeId(1)).expect("broker 1 is registered").fenced {
        let next = MetadataVersion(image.version().0 + 1);
        image = follow(cluster, controller, image, next).await.0;
    }
}

#[test]
fn a_broker_whose_process_is_gone_is_fenced_without_waiting_for_its_silence() {
    run(async {
        let mut cluster = Cluster::new(1, patient);
        cluster.start_all();
        // Nobody listens there any more.
        let (beats, _) = live_as(&cluster, at(1, &free_address())).await;
        drop(beats);
        until_fenced(&cluster, 1).await;
    });
}

#[test]
fn a_broker_that_lost_its_stream_and_still_listens_is_fenced_by_its_silence_alone() {
    run(async {
        let mut cluster = Cluster::new(1, |options| {
            options.liveness.session_timeout = Duration::from_millis(1500);
        });
        cluster.start_all();
        let env = env::Env::real();
        let listener = env.net.listen("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (beats, request) = live_as(&cluster, at(1, &address)).await;
        let start = env.clock.now();
        drop(beats);
        // It comes back within its session: nothing happens.
        let mut again = Beats::open(&cluster, 1).await;
        for _ in 0..3 {
            again.send(request).await;
            assert!(!again.answer().await.fenced);
        }
        drop(again);
        until_fenced(&cluster, 1).await;
        let silent = env.clock.now() - start;
        assert!(silent >= Duration::from_millis(1500), "fenced after {silent:?}");
    });
}

#[test]
fn a_killed_active_controller_is_succeeded_and_its_broker_fenced_without_waiting_for_silence() {
    run(async {
        let mut cluster = Cluster::new(3, patient);
        cluster.start_all();
        let (beats, request) = live_as(&cluster, at(1, &free_address())).await;
        let killed = cluster.active().await;
        let version = cluster.nodes[&killed].status.borrow().version;
        cluster.all_at(version).await;
        // The broker is heard by the other controllers too.
        let mut others = Vec::new();
        for id in (1..=3).filter(|id| *id != killed) {
            let mut stream = Beats::open(&cluster, id).await;
            stream.send(request).await;
            stream.answer().await;
            others.push(stream);
        }
        let clock = env::Env::real().clock;
        let start = clock.now();
        cluster.kill(killed);
        drop((beats, others));
        let next = cluster.active().await;
        println!("controller {next} succeeded {killed} after {:?}", clock.now() - start);
        until_fenced(&cluster, next).await;
        println!("broker 1 was fenced after {:?}", clock.now() - start);
    });
}
