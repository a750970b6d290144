//! I33: a configuration that was acknowledged is there at the end.
//!
//! Brokers follow the metadata each at its own pace, so that only the last question is judged, asked
//! after the cluster has settled.

use std::collections::{BTreeMap, BTreeSet};

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};
use crate::history::{Event, Outcome, SettingAction};

#[derive(Default)]
pub struct SettingsKept {
    topics: BTreeMap<String, Values>,
}

#[derive(Default)]
struct Values {
    acknowledged: Option<u64>,
    /// Written without an outcome: they may take effect late.
    unknown: BTreeSet<u64>,
    last_reads: Vec<Option<u64>>,
}

impl Invariant for SettingsKept {
    fn rule(&self) -> Rule {
        Rule {
            id: "I33",
            name: "settings-kept",
            promise: "an acknowledged change of a topic's configuration is there at the end",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, _: &mut Findings) {
        let Event::Setting(setting) = event else { return };
        let values = self.topics.entry(setting.topic.clone()).or_default();
        match (setting.action, setting.outcome) {
            (SettingAction::Write, Outcome::Ok) => {
                values.acknowledged = values.acknowledged.max(setting.value);
            }
            (SettingAction::Write, Outcome::Unknown) => values.unknown.extend(setting.value),
            (SettingAction::FinalRead, Outcome::Ok) => values.last_reads.push(setting.value),
            (SettingAction::Write, Outcome::Refused)
            | (SettingAction::FinalRead, Outcome::Refused | Outcome::Unknown) => {}
        }
    }

    fn conclude(&mut self, _: &Facts, found: &mut Findings) {
        for (topic, values) in &self.topics {
            for read in &values.last_reads {
                found.checked(1);
                let shown = read.map_or("none".to_owned(), |value| value.to_string());
                if read.is_some_and(|value| values.unknown.contains(&value)) {
                    continue;
                }
                if *read < values.acknowledged {
                    let kept = values.acknowledged.unwrap_or(0);
                    found.violation(format_args!(
                        "{topic}: the setting is {shown}, and {kept} was acknowledged"
                    ));
                } else if *read > values.acknowledged {
                    found.violation(format_args!("{topic}: the setting is {shown}, never written"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check;

    #[test]
    fn the_last_acknowledged_setting_or_a_later_unknown_one_passes() {
        check(
            "settings-kept",
            "setting write 1 ok
             setting write 2 ?
             setting write 3 !
             setting read 1
             setting read 2",
            &[],
        );
    }

    #[test]
    fn a_setting_that_was_lost_or_never_written_is_told() {
        check(
            "settings-kept",
            "setting write 1 ok
             setting write 2 ok
             setting read 1
             setting read -
             setting read 3",
            &[
                "t: the setting is 1, and 2 was acknowledged",
                "t: the setting is none, and 2 was acknowledged",
                "t: the setting is 3, never written",
            ],
        );
    }
}
