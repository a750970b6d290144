//! I27: readers of committed transactions are handed all records of one or none.
//!
//! An aborted transaction's records are never handed over; at the end a committed one's are all
//! there, and of one without an outcome all or none.

use std::collections::BTreeMap;

use types::TopicPartition;

use super::Invariant;
use crate::facts::Facts;
use crate::findings::{Count, Findings, Rule};
use crate::history::{ClientNumber, Event, Outcome, Purpose, RecordName};

type TransactionId = (ClientNumber, u64);

#[derive(Default)]
pub struct Transactions {
    outcomes: BTreeMap<TransactionId, Outcome>,
    records: BTreeMap<TransactionId, Vec<(TopicPartition, RecordName)>>,
    of_record: BTreeMap<(TopicPartition, RecordName), TransactionId>,
    /// What readers of committed transactions were handed.
    handed: BTreeMap<(TopicPartition, RecordName), i64>,
    /// Whether the final reader reads committed transactions only.
    final_committed: bool,
}

impl Invariant for Transactions {
    fn rule(&self) -> Rule {
        Rule {
            id: "I27",
            name: "transactions",
            promise: "a transaction's records are all read or none, an aborted one's none",
            count: Count::Other,
        }
    }

    fn observe(&mut self, event: &Event, _: &mut Findings) {
        match event {
            Event::Sent(sent) => {
                let Some(number) = sent.transaction else { return };
                if sent.outcome == Outcome::Refused {
                    return;
                }
                let id = (sent.producer, number);
                for (counter, _) in sent.records() {
                    let name = RecordName { producer: sent.producer, counter };
                    let key = (sent.partition.clone(), name);
                    self.records.entry(id).or_default().push(key.clone());
                    self.of_record.insert(key, id);
                }
            }
            Event::Transaction(transaction) => {
                let id = (transaction.producer, transaction.transaction);
                self.outcomes.insert(id, transaction.outcome);
            }
            Event::Read(read) if read.committed => {
                self.final_committed |= read.purpose == Purpose::Final;
                for (offset, name) in read.runs.iter().flat_map(|run| run.records()) {
                    self.handed.insert((read.partition.clone(), name), offset);
                }
            }
            _ => {}
        }
    }

    fn conclude(&mut self, facts: &Facts, found: &mut Findings) {
        for ((partition, name), offset) in &self.handed {
            let Some(id) = self.of_record.get(&(partition.clone(), *name)) else { continue };
            found.checked(1);
            if self.outcomes.get(id) == Some(&Outcome::Refused) {
                found.violation(format_args!(
                    "{partition}: record {name} at offset {offset} was read, and its transaction \
                     {} of producer {} was aborted",
                    id.1, id.0
                ));
            }
        }
        if !self.final_committed {
            return;
        }
        for (id, records) in &self.records {
            let complete = |of: &TopicPartition| {
                let last = facts.partitions.get(of).and_then(|of| of.final_read.as_ref());
                last.is_some_and(|last| last.complete)
            };
            if !records.iter().all(|(partition, _)| complete(partition)) {
                continue;
            }
            found.checked(1);
            let there = records.iter().filter(|key| self.handed.contains_key(key)).count();
            let all = match self.outcomes.get(id) {
                Some(Outcome::Ok) => there == records.len(),
                Some(Outcome::Unknown) | None => there == 0 || there == records.len(),
                Some(Outcome::Refused) => true,
            };
            if !all {
                found.violation(format_args!(
                    "transaction {} of producer {}: {there} of {} records are there",
                    id.1,
                    id.0,
                    records.len()
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, history};
    use crate::{Checker, history::Event};

    /// The same script, with a final reader that reads committed transactions only.
    fn violations(script: &str) -> Vec<String> {
        let mut checker = Checker::new();
        for mut event in history(script) {
            if let Event::Read(read) = &mut event {
                read.committed = true;
            }
            checker.take(&event);
        }
        checker.findings("transactions").examples
    }

    #[test]
    fn whole_transactions_pass() {
        let found = violations(
            "sent 1/0x2 0 7
             transaction 1 7 ok
             sent 1/2 3 8
             transaction 1 8 !
             sent 1/3 5 9
             transaction 1 9 ?
             final 0=1/0x2",
        );
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_record_of_an_aborted_transaction_that_is_read_is_told() {
        check(
            "transactions",
            "sent 1/0 0 7
             committed-read 2.0 0=1/0
             transaction 1 7 !",
            &["t-0: record 1/0 at offset 0 was read, and its transaction 7 of producer 1 was \
               aborted"],
        );
    }

    #[test]
    fn a_torn_transaction_is_told_whether_or_not_its_outcome_is_known() {
        let found = violations(
            "sent 1/0x2 0 7
             transaction 1 7 ok
             sent 1/2x2 3 8
             transaction 1 8 ?
             final 0=1/0 3=1/2",
        );
        assert_eq!(
            found,
            [
                "transaction 7 of producer 1: 1 of 2 records are there",
                "transaction 8 of producer 1: 1 of 2 records are there"
            ]
        );
    }
}
