//! Groups come and go: each commits one offset from outside, and is deleted, or stays.
//!
//! Each name is used once and each request is sent once; a group whose fate is not known is left
//! alone. So what coordinators must say at the end is known: what was acknowledged as committed is
//! there, and what was acknowledged as deleted does not come back (I29).

use super::{PAUSE, Phase, TOPIC, Workload};
use client::{Client, ClientError, check};
use std::collections::BTreeMap;
use std::time::Duration;
use types::Offset;
use wire::delete_groups::DeleteGroupsRequest;
use wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

/// The last that names topics by their names.
const COMMIT_VERSION: i16 = 8;
const DELETE_VERSION: i16 = 1;
/// Groups that are there at once, about.
const GROUPS: usize = 3;
/// The longest pause between two calls.
const PAUSE_MS: u64 = 1_000;

struct Groups {
    load: Workload,
    client: Client,
    /// What each has committed.
    there: BTreeMap<String, Offset>,
    deleted: Vec<String>,
    next: i64,
}

/// Works while there is load, then says what must be there.
pub(super) async fn run(load: Workload) {
    let client = load.client();
    let (there, deleted) = (BTreeMap::new(), Vec::new());
    let mut groups = Groups { client, load, there, deleted, next: 0 };
    while groups.load.phase() == Phase::Load {
        let pause = groups.load.env.rng.below(PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        match groups.there.len() < GROUPS {
            true => groups.commit().await,
            false => groups.delete().await,
        }
    }
    let mut phase = groups.load.phase.clone();
    let _ = phase.wait_for(|phase| *phase == Phase::Prove).await;
    groups.prove().await;
    groups.load.progress().admins_left -= 1;
}

impl Groups {
    async fn commit(&mut self) {
        let (group, offset) = (format!("passing-{}", self.next), Offset(self.next));
        self.next += 1;
        if self.is_done(self.try_commit(&group, offset).await) {
            self.there.insert(group, offset);
        }
    }

    async fn delete(&mut self) {
        let which = self.load.env.rng.below(self.there.len() as u64) as usize;
        let Some(group) = self.there.keys().nth(which).cloned() else { return };
        self.there.remove(&group);
        if self.is_done(self.try_delete(&group).await) {
            self.deleted.push(group);
        }
    }

    fn is_done(&self, result: Result<(), ClientError>) -> bool {
        match result {
            Ok(()) => {
                self.load.history().admin_calls += 1;
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a group has perhaps not come or gone");
                false
            }
        }
    }

    async fn try_commit(&self, group: &str, offset: Offset) -> Result<(), ClientError> {
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset.0,
            ..Default::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: TOPIC.into(),
            partitions: vec![partition],
            ..Default::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            topics: vec![topic],
            ..Default::default()
        };
        let connection = self.client.coordinator(group).await?;
        let time = self.client.options().request_timeout;
        let response = connection.submit(&request, COMMIT_VERSION, time).await?.wait().await?;
        let codes = response.topics.iter().flat_map(|topic| &topic.partitions);
        codes.map(|partition| partition.error_code).try_for_each(|code| check(code, None))
    }

    async fn try_delete(&self, group: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest { groups_names: vec![group.into()] };
        self.client.forget_coordinator(group);
        let connection = self.client.coordinator(group).await?;
        let time = self.client.options().request_timeout;
        let response = connection.submit(&request, DELETE_VERSION, time).await?.wait().await?;
        response.results.iter().map(|group| group.error_code).try_for_each(|code| check(code, None))
    }

    async fn prove(&mut self) {
        for (group, offset) in std::mem::take(&mut self.there) {
            let found = self.committed(&group).await;
            if found != [offset] {
                let text = format!("{group}: {found:?} is told, {offset} was committed (I29)");
                self.load.history().violate(text);
            }
        }
        for group in std::mem::take(&mut self.deleted) {
            let found = self.committed(&group).await;
            if !found.is_empty() {
                let text = format!("{group} was deleted, and {found:?} is told (I29)");
                self.load.history().violate(text);
            }
        }
    }

    async fn committed(&self, group: &str) -> Vec<Offset> {
        loop {
            match self.client.committed_offsets(group).await {
                Ok(found) => return found.into_iter().map(|one| one.offset).collect(),
                Err(error) => tracing::debug!(%error, group, "not told"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
