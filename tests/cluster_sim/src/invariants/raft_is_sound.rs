//! I11: the rules of Raft, over the logs of all controllers (Raft's paper, figure 3; openraft's own
//! turmoil suite checks the same): log matching; what is committed is the same everywhere and for
//! ever, and on a majority of the voters; a leader has all that was committed before its term; terms
//! and positions of a running member never go back, and stand in their order.

use super::Invariant;
use crate::counters::Counters;
use crate::look::{Look, NodeLook};
use controller::{EntryFacts, Inspection, MemberId, RaftFacts};
use std::collections::BTreeMap;

/// An entry, as short as it can be told from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    written_in: Leadership,
    crc: u32,
}

/// A term and who led in it.
type Leadership = (u64, MemberId);

/// What is known of one member's log. It outlasts the member's program: a disk keeps it.
#[derive(Default)]
struct Log {
    entries: BTreeMap<u64, Entry>,
    /// The start and the term in which it was read last.
    read_in: (u64, u64),
}

#[derive(Default)]
pub struct RaftIsSound {
    /// By leadership and index: the entry, and the leadership of the one before it.
    entries: BTreeMap<(Leadership, u64), (Entry, Option<Leadership>)>,
    /// Who wrote in each term: one member, except before the first election.
    writers: BTreeMap<u64, MemberId>,
    logs: BTreeMap<MemberId, Log>,
    committed: BTreeMap<u64, Entry>,
    /// The highest term in which anything was known to be committed so far.
    commit_term: u64,
    before: BTreeMap<(MemberId, u64), RaftFacts>,
}

impl Invariant for RaftIsSound {
    fn check(&mut self, look: &Look, counters: &mut Counters) -> Result<(), String> {
        let mut members = Vec::new();
        for node in &look.nodes {
            let Some(raft) = &node.raft else { continue };
            let facts = raft.facts();
            let said = self.compare_with_before(node, &facts);
            said.map_err(|text| format!("{}: {text} (I11): {facts:?}", node.name()))?;
            let read = self.read(node, raft, &facts);
            read.map_err(|text| format!("{}: {text} (I11)", node.name()))?;
            members.push((node, facts));
        }
        // A Raft whose journal takes no more has said last what was to be written into it.
        for (node, facts) in members.iter().filter(|(_, facts)| !facts.has_failed) {
            let found = self.take_committed(facts, counters);
            found.map_err(|text| format!("{}: {text} (I11): {facts:?}", node.name()))?;
        }
        for (node, facts) in members.iter().filter(|(_, facts)| facts.is_leader) {
            let found = self.leader_is_complete(facts);
            found.map_err(|text| format!("{}: {text} (I11): {facts:?}", node.name()))?;
        }
        Ok(())
    }
}

impl RaftIsSound {
    /// Positions are in their order and never go back while the program runs.
    fn compare_with_before(&mut self, node: &NodeLook, now: &RaftFacts) -> Result<(), String> {
        let positions = |facts: &RaftFacts| {
            [
                facts.purged_index,
                facts.snapshot_index,
                facts.applied_index,
                facts.committed_index,
                facts.last_index,
            ]
        };
        let own = positions(now);
        if own.windows(2).any(|two| two[0] > two[1]) {
            return Err("not purged <= snapshot <= applied <= committed <= last".to_owned());
        }
        let Some(before) = self.before.insert((now.member, node.start), now.clone()) else {
            return Ok(());
        };
        // The last one may: entries that were not committed are truncated.
        let went_back = positions(&before).into_iter().zip(own).take(4).any(|(old, new)| old > new);
        if went_back || before.term > now.term {
            return Err(format!("went back from {before:?}"));
        }
        Ok(())
    }

    /// Reads what is new in a log, or all of it in a new term, since then entries may be replaced.
    fn read(
        &mut self,
        node: &NodeLook,
        raft: &Inspection,
        facts: &RaftFacts,
    ) -> Result<(), String> {
        let log = self.logs.entry(facts.member).or_default();
        let range = raft.entry_range();
        let read_in = (node.start, facts.term);
        let is_same = log.read_in == read_in && log.entries.len() > 1;
        log.read_in = read_in;
        // A log that cannot be read is another rule's business.
        let read = |from: u64| raft.entries(from..range.end).unwrap_or_default();
        let last = log.entries.last_key_value().map_or(0, |(index, _)| *index);
        let from = if is_same { last.min(range.end.saturating_sub(1)) } else { range.start };
        let mut from = from.max(range.start);
        let mut found = read(from);
        // Where the last entry is another, those before it may be, too.
        let differs = |one: &EntryFacts| {
            log.entries
                .get(&one.index)
                .is_some_and(|known| known.written_in != (one.term, one.leader))
        };
        if found.first().is_some_and(differs) {
            from = range.start;
            found = read(from);
        }
        if (found.len() as u64) < range.end.saturating_sub(from) {
            return Ok(());
        }
        drop(log.entries.split_off(&from));
        for EntryFacts { index, term, leader, bytes } in found {
            let writer = *self.writers.entry(term).or_insert(leader);
            if writer != leader && term > 0 {
                return Err(format!("{writer} and {leader} both wrote in term {term}"));
            }
            let entry = Entry { written_in: (term, leader), crc: crc32c::crc32c(&bytes) };
            let previous = index.checked_sub(1).and_then(|before| log.entries.get(&before));
            let previous = previous.map(|entry| entry.written_in);
            log.entries.insert(index, entry);
            let known = self.entries.entry((entry.written_in, index)).or_insert((entry, previous));
            known.1 = known.1.or(previous);
            if known.0 != entry || (previous.is_some() && known.1 != previous) {
                let text = format!("{entry:?} after {previous:?}, elsewhere {known:?}");
                return Err(format!("logs do not match at {index}: {text}"));
            }
        }
        Ok(())
    }

    /// What a member calls committed is so for ever, and on a majority.
    fn take_committed(&mut self, facts: &RaftFacts, counters: &mut Counters) -> Result<(), String> {
        let Some(committed) = facts.committed_index else { return Ok(()) };
        let Some(log) = self.logs.get(&facts.member) else { return Ok(()) };
        let known_to = self.committed.last_key_value().map_or(0, |(index, _)| *index);
        // What was compared before cannot differ in the same log: matching has been checked.
        let from = known_to.saturating_sub(8).min(committed);
        let own: Vec<(u64, Entry)> =
            log.entries.range(from..=committed).map(|(index, entry)| (*index, *entry)).collect();
        for (index, entry) in own {
            let before = *self.committed.entry(index).or_insert(entry);
            if before != entry {
                return Err(format!("{entry:?} at {index}, where {before:?} was committed"));
            }
            if index <= known_to {
                continue;
            }
            counters.add("raft entries committed", 1);
            self.commit_term = self.commit_term.max(facts.term);
            let holders = facts.voters.iter().filter(|voter| self.holds(**voter, index, entry));
            let (holders, voters) = (holders.count(), facts.voters.len());
            // While the voters change, other majorities count.
            if !facts.is_joint && holders * 2 <= voters {
                return Err(format!("{index} is committed on {holders} of {voters} voters"));
            }
        }
        Ok(())
    }

    fn holds(&self, member: MemberId, index: u64, entry: Entry) -> bool {
        let Some(log) = self.logs.get(&member) else { return false };
        match log.entries.first_key_value() {
            // Purged entries are in its snapshot.
            Some((first, _)) if index < *first => true,
            _ => log.entries.get(&index) == Some(&entry),
        }
    }

    fn leader_is_complete(&self, facts: &RaftFacts) -> Result<(), String> {
        if facts.term < self.commit_term {
            return Ok(());
        }
        let Some((index, entry)) = self.committed.last_key_value() else { return Ok(()) };
        if self.holds(facts.member, *index, *entry) {
            return Ok(());
        }
        Err(format!("leads in term {} without {index}, which was committed", facts.term))
    }
}
