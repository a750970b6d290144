//! Histories as short scripts, for the tests of the invariants.
//!
//! One line is one event, of partition `t-0`. Line `n` (from 0) begins at `10n` and ends at
//! `10n + 5`, unless it says `@began..ended`.
//!
//! ```text
//! begin [plain] [acks=1]         absent: an idempotent producer with acks=all
//! sent 1/0x3 7                   records 0 to 2 of producer 1, acknowledged at 7 and on
//! sent 1/3 ?                     unknown; `!` is refused, `ok` is acknowledged without an offset
//! read 2.0 7=1/0x3 10=1/3        reader 2, session 0
//! group g 3.4 0=1/0              member 3 of g, generation 4
//! final 0=1/0 1=1/1              everything, by reader 99; `partial` says it was not all
//! list 5 10                      client 5 was told the end 10; `fetch` by a fetch
//! assigned g 3 4 7               generation 4 starts at 7; `-`: without a start
//! commit g 3 4 9 ok              `?` is unknown
//! committed g 9                  `-`: none
//! finished g                     the group read to the end; `unfinished`
//! fault kill    setting write 3 ok    setting read 3    transaction 1 7 ok    end    broken
//! ```

use types::{PartitionIndex, TopicPartition};

use crate::findings::Findings;
use crate::history::*;
use crate::{CheckOptions, Checker, Report};

/// The events of a script; an end is added if there is none.
pub fn history(script: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        if number == 0 && !line.starts_with("begin") {
            events.push(begin(&[]));
        }
        let at = number as u64 * 10;
        let (words, times) = match line.split_once('@') {
            Some((words, times)) => {
                let (began, ended) = times.split_once("..").expect("began..ended");
                (words, (number_of(began), number_of(ended)))
            }
            None => (line, (at, at + 5)),
        };
        let words: Vec<&str> = words.split_whitespace().collect();
        add(&mut events, words[0], &words[1..], (At(times.0), At(times.1)));
    }
    if !matches!(events.last(), Some(Event::End(_))) {
        events.push(Event::End(End { at: At(1_000_000), complete: true }));
    }
    events
}

/// What one invariant finds in a script.
pub fn findings(rule: &str, script: &str) -> Findings {
    let mut checker = Checker::new();
    for event in history(script) {
        checker.take(&event);
    }
    checker.findings(rule)
}

/// Demands that one invariant finds exactly these violations, and that without any it has looked at
/// something.
pub fn check(rule: &str, script: &str, expected: &[&str]) {
    let found = findings(rule, script);
    assert_eq!(found.examples, expected, "{found:?}");
    assert!(found.checked > 0, "{rule} looked at nothing");
}

/// The same for notes.
pub fn check_notes(rule: &str, script: &str, expected: &[&str]) {
    let found = findings(rule, script);
    assert_eq!(found.note_examples, expected, "{found:?}");
    assert_eq!(found.violations, 0, "{found:?}");
}

/// The whole report on a script.
pub fn report(script: &str) -> Report {
    let mut checker = Checker::new();
    for event in history(script) {
        checker.take(&event);
    }
    checker.finish(&CheckOptions::default())
}

pub fn partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: PartitionIndex(0) }
}

fn begin(words: &[&str]) -> Event {
    let acks = if words.contains(&"acks=1") { AcksLevel::Leader } else { AcksLevel::All };
    Event::Begin(Begin {
        version: VERSION,
        run: "test".to_owned(),
        acks,
        idempotent: !words.contains(&"plain"),
        topics: vec![TopicShape { name: "t".to_owned(), partitions: 1 }],
        ..Default::default()
    })
}

fn number_of<T: std::str::FromStr>(text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn optional<T: std::str::FromStr>(text: &str) -> Option<T> {
    (text != "-").then(|| number_of(text))
}

fn outcome(text: &str) -> Outcome {
    match text {
        "?" => Outcome::Unknown,
        "!" => Outcome::Refused,
        _ => Outcome::Ok,
    }
}

/// `1/0x3`: producer, counter, count.
fn name(text: &str) -> (ClientNumber, u32, u32) {
    let (producer, rest) = text.split_once('/').expect("producer/counter");
    let (counter, count) = rest.split_once('x').unwrap_or((rest, "1"));
    (ClientNumber(number_of(producer)), number_of(counter), number_of(count))
}

fn runs(words: &[&str]) -> (Vec<Run>, Vec<(i64, String)>) {
    let (mut runs, mut damaged) = (Vec::new(), Vec::new());
    for word in words {
        let (offset, what) = word.split_once('=').expect("offset=name");
        if what == "damaged" {
            damaged.push((number_of(offset), "its checksum is wrong".to_owned()));
            continue;
        }
        let (producer, counter, count) = name(what);
        runs.push(Run(number_of(offset), producer, counter, count));
    }
    (runs, damaged)
}

fn read(reader: &str, group: Option<&str>, words: &[&str], ended: At) -> Read {
    let (reader, session) = reader.split_once('.').expect("reader.session");
    let (runs, damaged) = runs(words);
    Read {
        reader: ClientNumber(number_of(reader)),
        session: number_of(session),
        purpose: Purpose::Along,
        group: group.map(str::to_owned),
        committed: false,
        partition: partition(),
        ended,
        runs,
        damaged,
    }
}

fn add(events: &mut Vec<Event>, op: &str, words: &[&str], (began, ended): (At, At)) {
    let event = match op {
        "begin" => begin(words),
        "sent" => sent(words, began, ended),
        "read" => Event::Read(read(words[0], None, &words[1..], ended)),
        "committed-read" => {
            let mut read = read(words[0], None, &words[1..], ended);
            read.committed = true;
            Event::Read(read)
        }
        "group" => Event::Read(read(words[1], Some(words[0]), &words[2..], ended)),
        "final" | "partial" => {
            let mut read = read("99.0", None, words, ended);
            read.purpose = Purpose::Final;
            let end = read.runs.iter().map(|run| run.0 + i64::from(run.3)).max().unwrap_or(0);
            let damaged = read.damaged.iter().map(|(offset, _)| offset + 1).max().unwrap_or(0);
            events.push(Event::Read(read));
            let (complete, end) = (op == "final", end.max(damaged));
            Event::FinalRead(FinalRead { partition: partition(), start: 0, end, complete })
        }
        "list" | "fetch" => Event::Watermark(Watermark {
            reader: ClientNumber(number_of(words[0])),
            partition: partition(),
            began,
            ended,
            end: number_of(words[1]),
            source: if op == "list" {
                WatermarkSource::ListOffsets
            } else {
                WatermarkSource::Fetch
            },
        }),
        "assigned" | "commit" | "committed" | "finished" | "unfinished" => {
            group(op, words, began, ended)
        }
        "fault" => {
            Event::Fault(Fault { at: began, kind: words[0].to_owned(), note: String::new() })
        }
        "setting" => setting(words, began, ended),
        "transaction" => Event::Transaction(Transaction {
            producer: ClientNumber(number_of(words[0])),
            transaction: number_of(words[1]),
            began,
            ended,
            outcome: outcome(words[2]),
        }),
        "end" | "broken" => Event::End(End { at: ended, complete: op == "end" }),
        _ => panic!("{op} is no event"),
    };
    events.push(event);
}

fn sent(words: &[&str], began: At, ended: At) -> Event {
    let (producer, counter, count) = name(words[0]);
    Event::Sent(Sent {
        producer,
        partition: partition(),
        counter,
        count,
        began,
        ended,
        outcome: outcome(words[1]),
        offset: words[1].parse().ok(),
        transaction: words.get(2).map(|word| number_of(word)),
        error: None,
    })
}

fn group(op: &str, words: &[&str], began: At, ended: At) -> Event {
    let group = words[0].to_owned();
    match op {
        "assigned" => {
            let start = optional(words[3]);
            Event::Assigned(Assigned {
                group,
                member: ClientNumber(number_of(words[1])),
                generation: number_of(words[2]),
                began,
                ended,
                partitions: vec![AssignedPartition { partition: partition(), start }],
            })
        }
        "commit" => Event::Commit(Commit {
            group,
            member: ClientNumber(number_of(words[1])),
            generation: number_of(words[2]),
            partition: partition(),
            offset: number_of(words[3]),
            began,
            ended,
            outcome: outcome(words[4]),
            error: None,
        }),
        "committed" => Event::Committed(Committed {
            group,
            reader: ClientNumber(98),
            partition: partition(),
            offset: optional(words[1]),
            began,
            ended,
        }),
        _ => Event::FinalGroup(FinalGroup { group, complete: op == "finished" }),
    }
}

fn setting(words: &[&str], began: At, ended: At) -> Event {
    let action = if words[0] == "write" { SettingAction::Write } else { SettingAction::FinalRead };
    Event::Setting(Setting {
        topic: "t".to_owned(),
        action,
        value: optional(words[1]),
        began,
        ended,
        outcome: outcome(words.get(2).unwrap_or(&"ok")),
    })
}
