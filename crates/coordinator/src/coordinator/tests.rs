//! The group protocol, as members see it.

use super::*;
use crate::offsets::{CommittedOffset, OffsetCommit, OffsetCommitItem};
use crate::requests::{JoinRequest, LeaveItem, LeaveRequest, SyncRequest};
use bytes::Bytes;
use types::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition, Uuid};

mod removals;
mod static_members;

const SESSION: Duration = Duration::from_secs(10);

fn coordinator() -> Coordinator {
    Coordinator::new(CoordinatorConfig {
        session_timeout_min: Duration::from_secs(6),
        session_timeout_max: Duration::from_secs(1800),
        initial_rebalance_delay: Duration::from_secs(3),
        members_max: 100,
        offset_metadata_bytes_max: 4096,
        sweep_interval: Duration::from_secs(600),
    })
}

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_millis(seconds * 1000)
}

fn join_request(token: u64, member_id: &str) -> JoinRequest {
    JoinRequest {
        token: Token(token),
        group_id: "g".into(),
        member_id: member_id.into(),
        group_instance_id: None,
        client_id: "c".into(),
        client_host: "/h".into(),
        require_known_member_id: true,
        skips_assignment: true,
        new_member_suffix: format!("{token}"),
        session_timeout: SESSION,
        rebalance_timeout: Duration::from_secs(60),
        protocol_type: "consumer".into(),
        protocols: vec![Protocol { name: "range".into(), metadata: Bytes::from_static(b"sub") }],
    }
}

fn join(c: &mut Coordinator, now: Monotonic, request: JoinRequest) -> Vec<(u64, JoinReply)> {
    let mut effects = Vec::new();
    c.join(now, request, &mut effects);
    joins(effects)
}

fn joins(effects: Vec<Effect>) -> Vec<(u64, JoinReply)> {
    let pick = |effect| match effect {
        Effect::Reply { token, reply: Reply::Join(reply) } => Some((token.0, reply)),
        _ => None,
    };
    effects.into_iter().filter_map(pick).collect()
}

fn sync(c: &mut Coordinator, now: Monotonic, token: u64, id: &str, generation: i32) -> Vec<Effect> {
    let mut effects = Vec::new();
    let assignments = vec![(id.to_owned(), Bytes::from_static(b"all"))];
    let request = SyncRequest {
        token: Token(token),
        group_id: "g".into(),
        member_id: id.into(),
        group_instance_id: None,
        generation,
        protocol_type: None,
        protocol_name: None,
        assignments,
    };
    c.sync(now, request, &mut effects);
    effects
}

/// Ends the appends among these effects in their order; all replies, old and new.
fn finish(
    c: &mut Coordinator,
    effects: Vec<Effect>,
    result: Result<(), ErrorCode>,
) -> Vec<(u64, Reply)> {
    let mut replies = Vec::new();
    for effect in effects {
        match effect {
            Effect::Reply { token, reply } => replies.push((token.0, reply)),
            Effect::Append { append_id, .. } => {
                let mut more = Vec::new();
                c.append_done(at(60), append_id, result, &mut more);
                replies.extend(finish(c, more, result));
            }
            Effect::Expired { .. } | Effect::Reload => {}
        }
    }
    replies
}

fn records_of(effects: &[Effect]) -> Vec<GroupRecord> {
    let appended = effects.iter().filter_map(|effect| match effect {
        Effect::Append { records, .. } => Some(records.clone()),
        Effect::Reply { .. } | Effect::Expired { .. } | Effect::Reload => None,
    });
    appended.flatten().collect()
}

/// One member that has joined and holds its assignment.
fn stable_group(c: &mut Coordinator) -> String {
    let replies = join(c, at(0), join_request(1, ""));
    assert_eq!(replies[0].1.error, Some(ErrorCode::MemberIdRequired));
    let id = replies[0].1.member_id.clone();
    assert!(join(c, at(0), join_request(2, &id)).is_empty(), "the first rebalance waits");
    let mut effects = Vec::new();
    c.tick(at(3), &mut effects);
    let replies = joins(effects);
    assert_eq!((replies[0].0, replies[0].1.generation), (2, 1));
    assert_eq!(replies[0].1.leader, id);
    assert_eq!(replies[0].1.members.len(), 1);
    let effects = sync(c, at(3), 3, &id, 1);
    let Effect::Append { append_id, .. } = &effects[0] else { panic!("{effects:?}") };
    let mut effects = Vec::new();
    c.append_done(at(3), *append_id, Ok(()), &mut effects);
    let [Effect::Reply { token: Token(3), reply: Reply::Sync(reply) }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((reply.error, &reply.assignment[..]), (None, &b"all"[..]));
    id
}

#[test]
fn a_first_member_gets_an_id_waits_and_leads() {
    let mut c = coordinator();
    let id = stable_group(&mut c);
    assert_eq!(c.group("g").unwrap().state, GroupState::Stable);
    assert_eq!(c.heartbeat(at(4), "g", &id, None, 1), Ok(()));
    assert_eq!(c.heartbeat(at(4), "g", &id, None, 7), Err(ErrorCode::IllegalGeneration));
    assert_eq!(c.heartbeat(at(4), "g", "x", None, 1), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_second_member_makes_the_first_join_again() {
    let mut c = coordinator();
    let first = stable_group(&mut c);
    let second = join(&mut c, at(4), join_request(10, ""))[0].1.member_id.clone();
    assert!(join(&mut c, at(4), join_request(11, &second)).is_empty());
    assert_eq!(c.heartbeat(at(5), "g", &first, None, 1), Err(ErrorCode::RebalanceInProgress));
    let replies = join(&mut c, at(5), join_request(12, &first));
    assert_eq!(replies.len(), 2);
    assert!(replies.iter().all(|(_, r)| r.generation == 2 && r.leader == first));
    let leader = replies.iter().find(|(token, _)| *token == 12).unwrap();
    assert_eq!(leader.1.members.len(), 2);
}

#[test]
fn a_silent_member_is_dropped_and_an_empty_group_is_recorded() {
    let mut c = coordinator();
    stable_group(&mut c);
    assert_eq!(c.next_deadline(), at(13));
    let mut effects = Vec::new();
    c.tick(at(13), &mut effects);
    assert_eq!(c.group("g").unwrap().state, GroupState::Empty);
    let told =
        |effect: &Effect| matches!(effect, Effect::Expired { member_id, .. } if member_id == "c-1");
    assert!(matches!(&effects[..], [Effect::Append { .. }, last] if told(last)), "{effects:?}");
}

#[test]
fn a_leaving_member_is_gone_at_once() {
    let mut c = coordinator();
    let id = stable_group(&mut c);
    let item = LeaveItem { member_id: id, group_instance_id: None };
    let request = LeaveRequest { group_id: "g".into(), members: vec![item.clone(), item] };
    let mut effects = Vec::new();
    c.leave(at(5), Token(9), &request, &mut effects);
    assert_eq!(c.group("g").unwrap().state, GroupState::Empty);
    // It is told once the empty group is committed.
    let results = vec![None, Some(ErrorCode::UnknownMemberId)];
    assert_eq!(finish(&mut c, effects, Ok(())), [(9, Reply::Leave(results))]);
}

#[test]
fn a_member_whose_leave_is_not_committed_is_told_so() {
    let mut c = coordinator();
    let id = stable_group(&mut c);
    let item = LeaveItem { member_id: id, group_instance_id: None };
    let request = LeaveRequest { group_id: "g".into(), members: vec![item] };
    let mut effects = Vec::new();
    c.leave(at(5), Token(9), &request, &mut effects);
    let told = finish(&mut c, effects, Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(told, [(9, Reply::Refused(ErrorCode::CoordinatorNotAvailable))]);
}

#[test]
fn a_member_that_was_never_in_leaves_at_once() {
    let mut c = coordinator();
    let item = LeaveItem { member_id: "x".into(), group_instance_id: None };
    let request = LeaveRequest { group_id: "g".into(), members: vec![item] };
    let mut effects = Vec::new();
    c.leave(at(5), Token(9), &request, &mut effects);
    let reply = Reply::Leave(vec![Some(ErrorCode::UnknownMemberId)]);
    assert_eq!(effects, [Effect::Reply { token: Token(9), reply }]);
}

fn commit(generation: i32, member_id: &str) -> OffsetCommit {
    commit_of("t", 7, generation, member_id)
}

/// Commits this offset of the topic's partition 0.
fn commit_of(topic: &str, offset: i64, generation: i32, member_id: &str) -> OffsetCommit {
    let partition = TopicPartition { topic: topic.into(), partition: PartitionIndex(0) };
    let committed = CommittedOffset {
        offset: Offset(offset),
        leader_epoch: LeaderEpoch::NONE,
        metadata: String::new(),
        commit_timestamp: Timestamp(1),
        topic_id: topic_id(topic),
    };
    OffsetCommit {
        token: Token(50),
        group_id: "g".into(),
        member_id: member_id.into(),
        group_instance_id: None,
        generation,
        items: vec![OffsetCommitItem { partition, committed }],
    }
}

/// The id of the first topic of a name.
fn topic_id(topic: &str) -> TopicId {
    Uuid([topic.as_bytes()[0]; 16])
}

/// The committed offset of a topic's partition 0.
fn offset_of(c: &Coordinator, group_id: &str, topic: &str) -> Option<i64> {
    let partition = TopicPartition { topic: topic.into(), partition: PartitionIndex(0) };
    c.offsets(group_id)?.get(&partition).map(|committed| committed.offset.0)
}

/// Commits from outside of the group, and ends that like this.
fn commit_outside(c: &mut Coordinator, topic: &str, offset: i64, result: Result<(), ErrorCode>) {
    let mut effects = Vec::new();
    c.commit(at(0), commit_of(topic, offset, -1, ""), &mut effects);
    finish(c, effects, result);
}

#[test]
fn an_offset_can_be_fetched_only_once_it_is_committed() {
    let mut c = coordinator();
    let mut effects = Vec::new();
    c.commit(at(0), commit(-1, ""), &mut effects);
    assert!(c.offsets("g").is_none());
    let Effect::Append { append_id, records } = effects.remove(0) else { panic!() };
    c.append_done(at(0), append_id, Ok(()), &mut effects);
    assert_eq!(c.offsets("g").unwrap().len(), 1);
    let mut other = coordinator();
    records.into_iter().for_each(|record| other.load(at(0), record));
    assert_eq!(other.offsets("g"), c.offsets("g"));
}

#[test]
fn a_commit_of_another_generation_is_refused() {
    let mut c = coordinator();
    let id = stable_group(&mut c);
    for (generation, member, error) in [
        (9, id.as_str(), ErrorCode::IllegalGeneration),
        (1, "x", ErrorCode::UnknownMemberId),
        (-1, "", ErrorCode::UnknownMemberId),
    ] {
        let mut effects = Vec::new();
        c.commit(at(4), commit(generation, member), &mut effects);
        let [Effect::Reply { reply: Reply::Commit(results), .. }] = &effects[..] else { panic!() };
        assert_eq!(results[0].1, Some(error), "generation {generation} member {member}");
    }
}

#[test]
fn a_group_of_nothing_but_offsets_has_no_member_that_may_commit() {
    let mut c = coordinator();
    let refused = |c: &mut Coordinator| {
        let mut effects = Vec::new();
        c.commit(at(4), commit(1, "m"), &mut effects);
        let [Effect::Reply { reply: Reply::Commit(results), .. }] = &effects[..] else { panic!() };
        results[0].1
    };
    assert_eq!(refused(&mut c), Some(ErrorCode::IllegalGeneration), "there is no group");
    commit_outside(&mut c, "t", 7, Ok(()));
    assert_eq!(refused(&mut c), Some(ErrorCode::UnknownMemberId));
}

#[test]
fn a_commit_that_came_late_holds_once_anything_after_it_is_committed() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Err(ErrorCode::RequestTimedOut));
    assert_eq!(offset_of(&c, "g", "t"), None, "nobody knows that it is committed");
    commit_outside(&mut c, "u", 1, Ok(()));
    assert_eq!(offset_of(&c, "g", "t"), Some(7));
    // What the log has refused never holds.
    commit_outside(&mut c, "t", 9, Err(ErrorCode::NotEnoughReplicas));
    commit_outside(&mut c, "u", 2, Ok(()));
    assert_eq!(offset_of(&c, "g", "t"), Some(7));
}

/// The record of a commit.
fn record_of(commit: OffsetCommit) -> GroupRecord {
    let mut effects = Vec::new();
    coordinator().commit(at(0), commit, &mut effects);
    records_of(&effects).swap_remove(0)
}

#[test]
fn an_offset_that_was_loaded_late_is_told_once_it_is_committed() {
    for commits_more in [false, true] {
        let mut c = coordinator();
        c.load(at(0), record_of(commit_of("t", 7, -1, "")));
        c.load_late(at(0), record_of(commit_of("t", 8, -1, "")));
        c.loaded(at(0));
        assert_eq!(offset_of(&c, "g", "t"), Some(7), "nobody knows that 8 is committed");
        assert!(c.has_loaded_late());
        // One that comes late after it is not committed with it.
        commit_outside(&mut c, "t", 9, Err(ErrorCode::RequestTimedOut));
        c.settle_loaded();
        assert_eq!(offset_of(&c, "g", "t"), Some(8));
        if commits_more {
            c.load_late(at(0), record_of(commit_of("u", 1, -1, "")));
            commit_outside(&mut c, "v", 1, Ok(()));
            assert_eq!((offset_of(&c, "g", "t"), offset_of(&c, "g", "u")), (Some(9), Some(1)));
        }
        assert!(!c.has_loaded_late());
    }
}

#[test]
fn the_group_without_a_name_keeps_offsets_and_takes_no_members() {
    let mut c = coordinator();
    let mut effects = Vec::new();
    c.commit(at(0), OffsetCommit { group_id: String::new(), ..commit(-1, "") }, &mut effects);
    finish(&mut c, effects, Ok(()));
    assert_eq!(offset_of(&c, "", "t"), Some(7));
    let request = JoinRequest { group_id: String::new(), ..join_request(1, "") };
    let replies = join(&mut c, at(0), request);
    assert_eq!(replies[0].1.error, Some(ErrorCode::InvalidGroupId));
}

#[test]
fn assignments_are_described_while_members_gather() {
    let mut c = coordinator();
    let first = stable_group(&mut c);
    let second = join(&mut c, at(4), join_request(10, ""))[0].1.member_id.clone();
    join(&mut c, at(4), join_request(11, &second));
    let described = |c: &Coordinator| {
        let group = c.describe("g");
        let of = |m: MemberDescription| (m.member_id, m.metadata.len(), m.assignment);
        (group.state, group.members.into_iter().map(of).collect::<Vec<_>>())
    };
    let all = Bytes::from_static(b"all");
    let members = vec![(first.clone(), 0, all.clone()), (second.clone(), 0, Bytes::new())];
    assert_eq!(described(&c), (GroupState::PreparingRebalance, members.clone()));
    join(&mut c, at(5), join_request(12, &first));
    assert_eq!(described(&c), (GroupState::CompletingRebalance, members.clone()));
    // Not the new ones before they are committed.
    let effects = sync(&mut c, at(5), 13, &second, 2);
    assert!(effects.is_empty(), "{effects:?}");
    let effects = sync(&mut c, at(5), 14, &first, 2);
    assert_eq!(described(&c), (GroupState::CompletingRebalance, members));
    finish(&mut c, effects, Ok(()));
    let members = vec![(first, 3, all), (second, 3, Bytes::new())];
    assert_eq!(described(&c), (GroupState::Stable, members));
}

#[test]
fn of_assignors_with_equal_votes_kafkas_first_is_taken() {
    for [one, other] in [["p1", "p2"], ["range", "roundrobin"], ["sticky", "range"]] {
        let mut c = coordinator();
        let protocol = |name: &str| Protocol { name: name.into(), metadata: Bytes::new() };
        for (token, names) in [(1, [other, one]), (2, [one, other])] {
            let protocols = names.into_iter().map(protocol).collect();
            let request = JoinRequest {
                require_known_member_id: false,
                protocols,
                ..join_request(token, "")
            };
            assert!(join(&mut c, at(0), request).is_empty());
        }
        let mut effects = Vec::new();
        c.tick(at(3), &mut effects);
        c.tick(at(6), &mut effects);
        let chosen: Vec<_> = joins(effects).into_iter().map(|(_, r)| r.protocol_name).collect();
        assert_eq!(chosen, [Some(one.to_owned()), Some(one.to_owned())]);
    }
}

#[test]
fn assignors_without_number_are_refused() {
    let mut c = coordinator();
    let named = |count: usize| {
        let protocol =
            |number: usize| Protocol { name: number.to_string(), metadata: Bytes::new() };
        (0..count).map(protocol).collect()
    };
    let request = JoinRequest { protocols: named(join::PROTOCOLS_MAX + 1), ..join_request(1, "") };
    assert_eq!(join(&mut c, at(0), request)[0].1.error, Some(ErrorCode::InvalidRequest));
    assert!(c.group("g").is_none());
    let request = JoinRequest { protocols: named(join::PROTOCOLS_MAX), ..join_request(2, "") };
    assert_eq!(join(&mut c, at(0), request)[0].1.error, Some(ErrorCode::MemberIdRequired));
}

#[test]
fn a_group_that_only_had_a_first_join_goes_with_it() {
    let mut c = coordinator();
    join(&mut c, at(0), join_request(1, ""));
    assert!(c.group("g").is_some());
    c.tick(at(10), &mut Vec::new());
    assert!(c.group("g").is_none());
    // Nor does one that is refused make a group.
    let request = JoinRequest { protocols: Vec::new(), ..join_request(2, "") };
    let replies = join(&mut c, at(10), request);
    assert_eq!(replies[0].1.error, Some(ErrorCode::InconsistentGroupProtocol));
    assert!(c.group("g").is_none());
}

#[test]
fn members_that_do_not_come_back_are_bounded_and_the_newest_stays() {
    let mut c = coordinator();
    let (group_bytes, count) = (10_000, 1000);
    let name = |number: usize| format!("{number:0group_bytes$}");
    let mut last = String::new();
    for number in 0..count {
        let request = JoinRequest { group_id: name(number), ..join_request(number as u64, "") };
        last = join(&mut c, at(0), request).swap_remove(0).1.member_id;
    }
    let most = awaited::BYTES_MAX / (3 * group_bytes + awaited::OVERHEAD_BYTES);
    assert!(c.groups.len() <= most, "{} groups of {count}", c.groups.len());
    assert!(c.groups.len() > most / 2);
    let newest = JoinRequest { group_id: name(count - 1), ..join_request(2000, &last) };
    assert!(join(&mut c, at(0), newest).is_empty(), "it has joined");
}

#[test]
fn a_group_goes_on_at_its_next_coordinator() {
    let mut c = coordinator();
    let id = stable_group(&mut c);
    let group = c.group("g").unwrap();
    let assignments =
        group.members.values().map(|m| (m.id.clone(), m.assignment.clone())).collect();
    let record = c.group_record(group, &assignments);
    let (key, value) = record.encode();
    let record = GroupRecord::decode(&key, value.as_ref()).unwrap().unwrap();
    let mut next = coordinator();
    next.load(at(100), record);
    next.loaded(at(100));
    assert_eq!(next.heartbeat(at(101), "g", &id, None, 1), Ok(()));
    assert_eq!(next.describe("g").members[0].assignment, Bytes::from_static(b"all"));
}

#[test]
fn unloading_answers_everyone() {
    let mut c = coordinator();
    let id = join(&mut c, at(0), join_request(1, ""))[0].1.member_id.clone();
    join(&mut c, at(0), join_request(2, &id));
    let mut effects = Vec::new();
    c.commit(at(0), OffsetCommit { group_id: "h".into(), ..commit(-1, "") }, &mut effects);
    effects.clear();
    c.unload(&mut effects);
    assert_eq!(effects.len(), 2, "{effects:?}");
}
