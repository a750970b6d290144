//! A controller whose disk has failed learns nothing any more: nobody may go on believing it.

use crate::broker::{register, registration};
use crate::harness::{Cluster, run, within};
use metadata::{Command, RegisterBroker};
use rpc::controller as pb;
use rpc::controller::controller_client::ControllerClient;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

async fn follow_from(
    client: &mut ControllerClient<Channel>,
    version: u64,
) -> Result<Streaming<pb::MetadataUpdate>, Status> {
    let request = pb::FollowMetadataRequest { broker_id: 1, applied_version: version };
    let answer = within("an answer", client.follow_metadata(request)).await;
    answer.map(|response| response.into_inner())
}

#[test]
fn a_controller_whose_journal_fails_lets_its_followers_go() {
    run(async {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.start_all();
        let (_, version) = register(&cluster, 1).await;
        cluster.all_at(version).await;
        let active = cluster.active().await;
        let mut client = cluster.client(active);
        let mut updates = follow_from(&mut client, version.0).await.expect("it follows");
        cluster.nodes[&active].disk.fail();
        let cluster_id = cluster.nodes[&active].status.borrow().cluster_id.clone();
        let command = Command::RegisterBroker(RegisterBroker { cluster_id, ..registration(2) });
        let request = pb::SubmitRequest { command: Some((&command).into()), wait_applied_ms: 0 };
        // Whoever answers, and whatever: the entry could not be written.
        let _ = within("an answer", client.submit(request)).await;
        cluster.until(active, "its failure", |status| status.failure.is_some()).await;
        while let Ok(Some(_)) = within("the end of the stream", updates.message()).await {}
        let refused = follow_from(&mut client, version.0).await.expect_err("it knows nothing new");
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    });
}
