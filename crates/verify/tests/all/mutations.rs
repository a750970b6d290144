//! One thing is changed in a history without fault: the invariant that is for it must notice,
//! wherever in the history it is.

use std::collections::BTreeSet;

use env::Rng;
use env::rng::SeededRng;
use verify::history::*;

use crate::model::{history, judge};

const SEEDS: u64 = 60;

/// Changes a history; false where it holds nothing to change.
type Mutation = fn(&mut Vec<Event>, &SeededRng) -> bool;

/// Demands that an invariant notices a mutation in every history that it can be made in, and that
/// it can be made in most.
fn check(rule: &str, mutate: Mutation) {
    let mut applied = 0;
    for seed in 0..SEEDS {
        let mut events = history(seed);
        if !mutate(&mut events, &SeededRng::new(seed)) {
            continue;
        }
        applied += 1;
        let report = judge(&events);
        let found = report.invariants.iter().find(|invariant| invariant.name == rule);
        let noticed = found.map(|invariant| invariant.violations + invariant.notes);
        assert!(noticed > Some(0), "seed {seed}: {rule} noticed nothing\n{report}");
        // One of them only takes notes.
        assert!(rule == "watermark-current" || report.verdict.exit_code() == 1, "{report}");
    }
    assert!(applied > SEEDS / 2, "{rule}: only {applied} histories could be changed");
}

/// A random one of the events that `wanted` takes.
fn pick(events: &[Event], rng: &SeededRng, wanted: impl Fn(&Event) -> bool) -> Option<usize> {
    let found: Vec<usize> = (0..events.len()).filter(|index| wanted(&events[*index])).collect();
    (!found.is_empty()).then(|| found[rng.below(found.len() as u64) as usize])
}

/// A send that was acknowledged with its offset.
fn acknowledged(events: &[Event], rng: &SeededRng) -> Option<Sent> {
    let index = pick(
        events,
        rng,
        |event| matches!(event, Event::Sent(sent) if sent.outcome == Outcome::Ok && sent.offset.is_some()),
    )?;
    match &events[index] {
        Event::Sent(sent) => Some(sent.clone()),
        _ => None,
    }
}

fn final_read<'a>(events: &'a mut [Event], of: &Sent) -> Option<&'a mut Read> {
    events.iter_mut().find_map(|event| match event {
        Event::Read(read) if read.purpose == Purpose::Final && read.partition == of.partition => {
            Some(read)
        }
        _ => None,
    })
}

/// The first of the events whose send is this one.
fn sent_mut<'a>(events: &'a mut [Event], of: &Sent) -> Option<&'a mut Sent> {
    events.iter_mut().find_map(|event| match event {
        Event::Sent(sent) if sent == of => Some(sent),
        _ => None,
    })
}

#[test]
fn a_record_that_is_missing_at_the_end_is_lost() {
    check("acknowledged-kept", |events, rng| {
        let Some(sent) = acknowledged(events, rng) else { return false };
        let Some(read) = final_read(events, &sent) else { return false };
        read.runs.retain(|run| Some(run.0) != sent.offset);
        true
    });
}

#[test]
fn another_offset_in_an_acknowledgement_is_noticed() {
    check("offsets-acknowledged", |events, rng| {
        let Some(sent) = acknowledged(events, rng) else { return false };
        let Some(sent) = sent_mut(events, &sent) else { return false };
        sent.offset = sent.offset.map(|offset| offset + 1);
        true
    });
}

#[test]
fn another_record_for_one_reader_is_noticed() {
    check("one-value", |events, rng| {
        let along =
            |event: &Event| matches!(event, Event::Read(read) if read.purpose == Purpose::Along);
        let Some(index) = pick(events, rng, along) else { return false };
        let Event::Read(read) = &mut events[index] else { return false };
        let Some(run) = read.runs.first_mut() else { return false };
        run.2 += 1;
        true
    });
}

#[test]
fn a_record_that_was_read_and_is_gone_is_noticed() {
    check("reads-kept", |events, rng| {
        let Some(sent) = acknowledged(events, rng) else { return false };
        let was_read = events.iter().any(|event| match event {
            Event::Read(read) => {
                read.purpose == Purpose::Along
                    && read.partition == sent.partition
                    && read.runs.iter().any(|run| Some(run.0) == sent.offset)
            }
            _ => false,
        });
        let Some(read) = final_read(events, &sent) else { return false };
        read.runs.retain(|run| Some(run.0) != sent.offset);
        was_read
    });
}

#[test]
fn a_second_copy_is_noticed() {
    check("once", |events, rng| {
        let Some(sent) = acknowledged(events, rng) else { return false };
        let Some(read) = final_read(events, &sent) else { return false };
        let end = read.runs.last().map_or(0, |run| run.0 + 1);
        read.runs.push(Run(end, sent.producer, sent.counter, 1));
        true
    });
}

#[test]
fn a_hole_is_noticed() {
    check("dense", |events, rng| {
        let Some(sent) = acknowledged(events, rng) else { return false };
        let Some(read) = final_read(events, &sent) else { return false };
        read.runs.retain(|run| Some(run.0) != sent.offset);
        true
    });
}

#[test]
fn two_records_in_the_wrong_order_are_noticed() {
    check("producer-order", |events, rng| {
        let Some(first) = acknowledged(events, rng) else { return false };
        let second = events.iter().find_map(|event| match event {
            Event::Sent(sent) => {
                let follows = sent.producer == first.producer
                    && sent.partition == first.partition
                    && sent.counter > first.counter
                    && sent.offset.is_some();
                follows.then(|| sent.clone())
            }
            _ => None,
        });
        let Some(second) = second else { return false };
        // In every answer and every reading, so that nothing else is wrong.
        for event in events.iter_mut() {
            match event {
                Event::Sent(sent) if *sent == first => sent.offset = second.offset,
                Event::Sent(sent) if *sent == second => sent.offset = first.offset,
                Event::Read(read) if read.partition == first.partition => {
                    for run in read.runs.iter_mut().filter(|run| run.1 == first.producer) {
                        if run.2 == first.counter {
                            run.2 = second.counter;
                        } else if run.2 == second.counter {
                            run.2 = first.counter;
                        }
                    }
                }
                _ => {}
            }
        }
        true
    });
}

#[test]
fn a_refused_record_that_is_there_is_noticed() {
    check("refused-unseen", |events, rng| {
        let Some(sent) = acknowledged(events, rng) else { return false };
        let Some(sent) = sent_mut(events, &sent) else { return false };
        (sent.outcome, sent.offset) = (Outcome::Refused, None);
        true
    });
}

#[test]
fn a_record_that_nobody_sent_is_noticed() {
    check("intact", |events, rng| {
        let Some(of) = acknowledged(events, rng) else { return false };
        events.retain(|event| !matches!(event, Event::Sent(sent) if *sent == of));
        true
    });
}

#[test]
fn a_record_left_out_by_a_reader_is_noticed() {
    check("reader-order", |events, rng| {
        let long = |event: &Event| matches!(event, Event::Read(read) if read.runs.len() > 2);
        let Some(index) = pick(events, rng, long) else { return false };
        let Event::Read(read) = &mut events[index] else { return false };
        read.runs.remove(1);
        true
    });
}

#[test]
fn a_record_that_a_group_was_never_handed_is_noticed() {
    check("group-coverage", |events, rng| {
        let of_group = |event: &Event| matches!(event, Event::Read(read) if read.group.is_some());
        let Some(index) = pick(events, rng, of_group) else { return false };
        let Event::Read(read) = &events[index] else { return false };
        let (partition, Some(run)) = (read.partition.clone(), read.runs.first().copied()) else {
            return false;
        };
        for event in events.iter_mut() {
            if let Event::Read(read) = event
                && read.group.is_some()
                && read.partition == partition
            {
                read.runs.retain(|other| other.0 != run.0);
            }
        }
        true
    });
}

#[test]
fn a_forgotten_position_is_noticed() {
    check("commits-kept", |events, rng| {
        let committed = |event: &Event| match event {
            Event::Committed(answer) => events.iter().any(|other| match other {
                Event::Commit(commit) => {
                    commit.outcome == Outcome::Ok
                        && commit.partition == answer.partition
                        && commit.ended < answer.began
                }
                _ => false,
            }),
            _ => false,
        };
        let Some(index) = pick(events, rng, committed) else { return false };
        let Event::Committed(answer) = &mut events[index] else { return false };
        answer.offset = None;
        true
    });
}

#[test]
fn a_second_owner_is_noticed() {
    check("sole-owner", |events, rng| {
        let assigned = |event: &Event| matches!(event, Event::Assigned(_));
        let Some(index) = pick(events, rng, assigned) else { return false };
        let mut second = events[index].clone();
        if let Event::Assigned(assigned) = &mut second {
            assigned.member = ClientNumber(77);
        }
        events.insert(index + 1, second);
        true
    });
}

#[test]
fn an_end_before_what_was_acknowledged_is_noticed() {
    check("watermark-current", |events, rng| {
        let acknowledged: BTreeSet<(String, i64, At)> = events
            .iter()
            .filter_map(|event| match event {
                Event::Sent(sent) => Some((sent.partition.to_string(), sent.offset?, sent.ended)),
                _ => None,
            })
            .collect();
        let binding = |event: &Event| match event {
            Event::Watermark(mark) => acknowledged.iter().any(|(partition, offset, ended)| {
                *partition == mark.partition.to_string()
                    && offset + 1 == mark.end
                    && *ended < mark.began
            }),
            _ => false,
        };
        let Some(index) = pick(events, rng, binding) else { return false };
        let Event::Watermark(mark) = &mut events[index] else { return false };
        mark.end -= 1;
        true
    });
}

#[test]
fn an_end_that_goes_back_is_noticed() {
    check("watermark-forward", |events, rng| {
        let grown = |event: &Event| match event {
            Event::Watermark(mark) => events.iter().any(|other| match other {
                Event::Watermark(earlier) => {
                    earlier.partition == mark.partition
                        && earlier.ended < mark.began
                        && earlier.end > 0
                }
                _ => false,
            }),
            _ => false,
        };
        let Some(index) = pick(events, rng, grown) else { return false };
        let Event::Watermark(mark) = &mut events[index] else { return false };
        mark.end = 0;
        true
    });
}

#[test]
fn an_append_before_one_that_was_acknowledged_earlier_is_noticed() {
    check("append-order", |events, rng| {
        let Some(first) = acknowledged(events, rng) else { return false };
        // One at a higher offset is made to have ended before this one began.
        let next = events.iter_mut().find_map(|event| match event {
            Event::Sent(sent) => {
                let follows = sent.partition == first.partition && sent.offset > first.offset;
                follows.then_some(sent)
            }
            _ => None,
        });
        let Some(next) = next else { return false };
        (next.began, next.ended) = (At(0), At(0));
        true
    });
}
