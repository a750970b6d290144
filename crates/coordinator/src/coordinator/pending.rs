//! Records on their way to the log, and what follows when it is known how that ended.
//!
//! ```text
//!  append -> committed               what waited for it is done, and answered
//!         -> in the log, and late    refused; holds once anything after it is committed
//!         -> not in the log          refused; a change that was made here already is written by
//!                                    the group's next round, or taken back by reading the log again
//! ```

use super::sync::append_error;
use super::{Coordinator, Effect, Reply, Token};
use crate::offsets::CommittedOffset;
use crate::records::GroupRecord;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use types::{ErrorCode, Monotonic, TopicPartition};

/// Most bytes of records in one append: a batch of the topic's `max.message.bytes` holds them by far.
const PART_BYTES_MAX: usize = 128 << 10;
/// What a record costs besides its key and value, and more.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Offsets in the log that are not known to be committed, by group and partition. `None`: removed.
pub(super) type Late = BTreeMap<(String, TopicPartition), Option<CommittedOffset>>;

/// Who waits, and for what.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub token: Token,
    /// The answer if all goes well.
    pub reply: Reply,
}

impl Asked {
    pub fn answer(self, result: Result<(), ErrorCode>) -> Effect {
        let reply = match (result, self.reply) {
            (Ok(()), reply) => reply,
            (Err(error), Reply::Commit(results)) => {
                let failed = |(at, code): (TopicPartition, Option<_>)| (at, code.or(Some(error)));
                Reply::Commit(results.into_iter().map(failed).collect())
            }
            (Err(error), _) => Reply::Refused(error),
        };
        Effect::Reply { token: self.token, reply }
    }
}

/// What waits for an append.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    /// Offsets, which change here once they are committed.
    Offsets { asked: Option<Asked>, records: Vec<GroupRecord> },
    /// The leader's assignment, which members are given once it is committed.
    Assignment(Assignment),
    /// A group that was changed here already, and offsets that change with it once that is committed.
    Change { asked: Option<Asked>, records: Vec<GroupRecord> },
    /// A static member took its former self's place in a stable group. If that is lost, a round of the
    /// group begins, which writes it: a client that has the log refuse its record (it is as long as
    /// the client likes) is to disturb its own group only.
    Replaced { asked: Option<Asked>, group_id: String },
    /// A group has no members any more, or was one that held nothing. If that is lost, its last
    /// generation comes back, whose members are silent, and goes by itself. Kafka lets it, too.
    Emptied { asked: Option<Asked> },
}

/// An assignment that is being written.
#[derive(Clone, Debug)]
pub(super) struct Assignment {
    pub group_id: String,
    pub generation: i32,
    /// By member id.
    pub assignments: BTreeMap<String, Bytes>,
}

impl Pending {
    pub fn into_asked(self) -> Option<Asked> {
        match self {
            Pending::Offsets { asked, .. }
            | Pending::Change { asked, .. }
            | Pending::Replaced { asked, .. }
            | Pending::Emptied { asked } => asked,
            Pending::Assignment(_) => None,
        }
    }

    fn records(&self) -> &[GroupRecord] {
        match self {
            Pending::Offsets { records, .. } | Pending::Change { records, .. } => records,
            Pending::Assignment(_) | Pending::Replaced { .. } | Pending::Emptied { .. } => &[],
        }
    }
}

impl Coordinator {
    /// How an append ended: in the order of the appends. An error means that the records are not
    /// committed here, as yet or at all; the caller unloads when leadership is gone.
    pub fn append_done(
        &mut self,
        now: Monotonic,
        append_id: u64,
        result: Result<(), ErrorCode>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(pending) = self.pending.remove(&append_id) else { return };
        if result.is_ok() {
            // What stands before it in the log is committed with it.
            self.settle_loaded();
            for ((group_id, partition), value) in std::mem::take(&mut self.late) {
                self.set_offset(group_id, partition, value);
            }
        }
        let told = result.map_err(append_error);
        match pending {
            Pending::Assignment(written) => self.assignment_done(now, written, told, effects),
            Pending::Emptied { asked } => {
                effects.extend(asked.map(|asked| asked.answer(told)));
            }
            Pending::Replaced { asked, group_id } => {
                effects.extend(asked.map(|asked| asked.answer(told)));
                if result.is_err_and(|error| !is_in_log(error)) {
                    self.replacement_lost(now, &group_id, effects);
                }
            }
            Pending::Offsets { asked, records } => {
                self.offsets_done(records, result);
                effects.extend(asked.map(|asked| asked.answer(told)));
            }
            Pending::Change { asked, records } => {
                self.offsets_done(records, result);
                effects.extend(asked.map(|asked| asked.answer(told)));
                if result.is_err_and(|error| !is_in_log(error)) {
                    self.give_up(effects);
                }
            }
        }
    }

    fn offsets_done(&mut self, records: Vec<GroupRecord>, result: Result<(), ErrorCode>) {
        for record in records {
            let GroupRecord::Offset { group_id, partition, value } = record else { continue };
            match result {
                Ok(()) => self.set_offset(group_id, partition, value),
                Err(error) if is_in_log(error) => {
                    self.late.insert((group_id, partition), value);
                }
                Err(_) => {}
            }
        }
    }

    /// An offset as the log has it; `None` removes it.
    pub(super) fn set_offset(
        &mut self,
        group_id: String,
        partition: TopicPartition,
        value: Option<CommittedOffset>,
    ) {
        match value {
            Some(value) => {
                self.offsets.entry(group_id).or_default().insert(partition, value);
            }
            None => {
                let Some(offsets) = self.offsets.get_mut(&group_id) else { return };
                offsets.remove(&partition);
                if offsets.is_empty() {
                    self.offsets.remove(&group_id);
                }
            }
        }
    }

    /// Offsets that are in the log, or on their way to it, and not committed, in their order.
    pub(super) fn unsettled(
        &self,
    ) -> impl Iterator<Item = (&str, &TopicPartition, Option<&CommittedOffset>)> {
        let late = self.loaded_late.iter().chain(&self.late);
        let late = late
            .map(|((group_id, partition), value)| (group_id.as_str(), partition, value.as_ref()));
        let pending = self.pending.values().flat_map(Pending::records);
        let pending = pending.filter_map(|record| match record {
            GroupRecord::Offset { group_id, partition, value } => {
                Some((group_id.as_str(), partition, value.as_ref()))
            }
            GroupRecord::Group { .. } => None,
        });
        late.chain(pending)
    }

    /// The partitions that the log has an offset of the group for, or comes to have.
    pub(super) fn partitions_of(&self, group_id: &str) -> BTreeSet<TopicPartition> {
        let committed = self.offsets.get(group_id).into_iter().flat_map(|of| of.keys());
        let unsettled = self.unsettled().filter(|(id, ..)| *id == group_id);
        committed.chain(unsettled.map(|(_, partition, _)| partition)).cloned().collect()
    }

    pub(super) fn append(
        &mut self,
        records: Vec<GroupRecord>,
        pending: Pending,
        effects: &mut Vec<Effect>,
    ) {
        let append_id = self.next_append_id;
        self.next_append_id += 1;
        self.pending.insert(append_id, pending);
        effects.push(Effect::Append { append_id, records });
    }

    /// Appends many records in as many parts as they need; `asked` waits for the last. `pending` says
    /// what each part is.
    pub(super) fn append_parts(
        &mut self,
        records: Vec<GroupRecord>,
        mut asked: Option<Asked>,
        pending: fn(Option<Asked>, Vec<GroupRecord>) -> Pending,
        effects: &mut Vec<Effect>,
    ) {
        assert!(asked.is_none() || !records.is_empty(), "nobody would be answered");
        let parts = parts(records);
        let last = parts.len().saturating_sub(1);
        for (index, part) in parts.into_iter().enumerate() {
            let asked = if index == last { asked.take() } else { None };
            self.append(part.clone(), pending(asked, part), effects);
        }
    }
}

/// Whether records whose commit failed like this are in the log all the same: they are committed
/// later, unless another leader cuts them.
fn is_in_log(error: ErrorCode) -> bool {
    matches!(error, ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend)
}

fn parts(records: Vec<GroupRecord>) -> Vec<Vec<GroupRecord>> {
    let mut parts: Vec<Vec<GroupRecord>> = Vec::new();
    let mut bytes = 0;
    for record in records {
        let (key, value) = record.encode();
        let size = key.len() + value.map_or(0, |value| value.len()) + RECORD_OVERHEAD_BYTES;
        match parts.last_mut() {
            Some(part) if bytes + size <= PART_BYTES_MAX => {
                part.push(record);
                bytes += size;
            }
            Some(_) | None => {
                parts.push(vec![record]);
                bytes = size;
            }
        }
    }
    parts
}
