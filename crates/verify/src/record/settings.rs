//! A client that writes ever larger numbers into a topic's configuration, and reads the last one at
//! the end.

use std::sync::Arc;
use std::time::Duration;

use client::admin::{ConfigChange, ConfigOperation, ConfigResource};

use super::shared::{Phase, Shared};
use crate::history::{ClientNumber, Event, Outcome, Setting, SettingAction};

/// A key that means nothing where nothing is compacted.
const KEY: &str = "delete.retention.ms";
/// Added to the number, so that the value differs from the default.
const BASE: u64 = 1_000_000_000_000;
const EVERY: Duration = Duration::from_millis(500);

/// Writes while the phase is `Load`.
pub async fn write(shared: Arc<Shared>, number: ClientNumber) {
    let (Some(topic), Ok(client)) = (shared.topics.first(), shared.client(number)) else { return };
    let resource = ConfigResource::topic(topic);
    let mut value = 0;
    while shared.is_in(Phase::Load) {
        value += 1;
        let change = ConfigChange {
            name: KEY.to_owned(),
            operation: ConfigOperation::Set,
            value: Some((BASE + value).to_string()),
        };
        let began = shared.now();
        let result = client.alter_configs(&resource, &[change]).await;
        let outcome = match &result {
            Ok(()) => Outcome::Ok,
            Err(_) => Outcome::Unknown,
        };
        let setting = Setting {
            topic: topic.clone(),
            action: SettingAction::Write,
            value: Some(value),
            began,
            ended: shared.now(),
            outcome,
        };
        shared.sink.put(Event::Setting(setting)).await;
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = shared.reached(Phase::Settle) => {}
        }
    }
    client.close().await;
}

/// Reads the number once, after all.
pub async fn final_read(shared: &Shared, number: ClientNumber) {
    let (Some(topic), Ok(client)) = (shared.topics.first(), shared.client(number)) else { return };
    let began = shared.now();
    let result = client.describe_configs(&ConfigResource::topic(topic)).await;
    client.close().await;
    let (value, outcome) = match result {
        Ok(entries) => {
            let entry = entries.into_iter().find(|entry| entry.name == KEY);
            let value = entry.and_then(|entry| entry.value?.parse::<u64>().ok());
            (value.and_then(|value| value.checked_sub(BASE)), Outcome::Ok)
        }
        Err(error) => {
            tracing::warn!(%error, "the setting could not be read");
            (None, Outcome::Unknown)
        }
    };
    let setting = Setting {
        topic: topic.clone(),
        action: SettingAction::FinalRead,
        value,
        began,
        ended: shared.now(),
        outcome,
    };
    shared.sink.put(Event::Setting(setting)).await;
}
