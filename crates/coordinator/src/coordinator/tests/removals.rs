//! Groups and offsets that are removed.

use super::*;

fn delete(c: &mut Coordinator, token: u64) -> Vec<Effect> {
    let mut effects = Vec::new();
    c.delete(Token(token), "g", &mut effects);
    effects
}

fn partition(topic: &str) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition: PartitionIndex(0) }
}

/// What the records of these effects leave, after what they are applied to.
fn loaded(records: Vec<GroupRecord>) -> Coordinator {
    let mut next = coordinator();
    records.into_iter().for_each(|record| next.load(at(0), record));
    next.loaded(at(0));
    next
}

#[test]
fn a_group_is_deleted_when_that_is_committed() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    let effects = delete(&mut c, 20);
    assert!(matches!(&effects[..], [Effect::Append { .. }]), "{effects:?}");
    assert_eq!(offset_of(&c, "g", "t"), Some(7), "until then its offsets are there");
    assert_eq!(finish(&mut c, effects, Ok(())), [(20, Reply::Deleted)]);
    assert_eq!(offset_of(&c, "g", "t"), None);
    let refused = [(21, Reply::Refused(ErrorCode::GroupIdNotFound))];
    let effects = delete(&mut c, 21);
    assert_eq!(finish(&mut c, effects, Ok(())), refused);
}

#[test]
fn a_deletion_that_the_log_refuses_is_refused_and_the_log_holds() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    let effects = delete(&mut c, 20);
    let Effect::Append { append_id, .. } = effects[0] else { panic!("{effects:?}") };
    let mut told = Vec::new();
    c.append_done(at(8), append_id, Err(ErrorCode::RecordListTooLarge), &mut told);
    let reply = Reply::Refused(ErrorCode::UnknownServerError);
    assert_eq!(told, [Effect::Reply { token: Token(20), reply }, Effect::Reload]);
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let mut c = coordinator();
    stable_group(&mut c);
    let effects = delete(&mut c, 20);
    let refused = [(20, Reply::Refused(ErrorCode::NonEmptyGroup))];
    assert_eq!(finish(&mut c, effects, Ok(())), refused);
}

#[test]
fn a_commit_on_its_way_goes_with_its_group() {
    let mut c = coordinator();
    // One is late, one is on its way, when the group is deleted.
    commit_outside(&mut c, "late", 1, Err(ErrorCode::RequestTimedOut));
    let mut effects = Vec::new();
    c.commit(at(0), commit_of("new", 2, -1, ""), &mut effects);
    effects.extend(delete(&mut c, 20));
    let mut written = records_of(&effects);
    let late = commit_of("late", 1, -1, "").items.swap_remove(0);
    let late = GroupRecord::Offset {
        group_id: "g".into(),
        partition: late.partition,
        value: Some(late.committed),
    };
    written.insert(0, late);
    finish(&mut c, effects, Ok(()));
    assert!(c.offsets("g").is_none());
    assert!(loaded(written).offsets("g").is_none(), "nor does the next coordinator find any");
}

#[test]
fn an_offset_that_was_loaded_late_goes_with_its_group() {
    let mut c = coordinator();
    c.load_late(at(0), record_of(commit_of("t", 1, -1, "")));
    let effects = delete(&mut c, 20);
    assert_eq!(finish(&mut c, effects, Ok(())), [(20, Reply::Deleted)]);
    assert!(c.offsets("g").is_none() && !c.has_loaded_late());
}

#[test]
fn a_large_group_is_deleted_in_parts_and_answered_after_the_last() {
    let mut c = coordinator();
    let name = |number: usize| format!("{number:0200}");
    for number in 0..1000 {
        commit_outside(&mut c, &name(number), 1, Ok(()));
    }
    let effects = delete(&mut c, 20);
    assert!(effects.len() > 1);
    assert_eq!(records_of(&effects).len(), 1001);
    assert_eq!(finish(&mut c, effects, Ok(())), [(20, Reply::Deleted)]);
    assert!(c.offsets("g").is_none());
}

fn delete_offsets(c: &mut Coordinator, topics: &[&str]) -> Vec<(u64, Reply)> {
    let mut effects = Vec::new();
    let partitions = topics.iter().map(|topic| partition(topic)).collect();
    c.delete_offsets(Token(20), "g", partitions, &mut effects);
    finish(c, effects, Ok(()))
}

#[test]
fn a_group_forgets_a_topic_that_it_has_left() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    commit_outside(&mut c, "u", 8, Ok(()));
    let forgotten = vec![(partition("never"), None), (partition("t"), None)];
    let replies = delete_offsets(&mut c, &["t", "never"]);
    assert_eq!(replies, [(20, Reply::OffsetsDeleted(forgotten))]);
    assert_eq!((offset_of(&c, "g", "t"), offset_of(&c, "g", "u")), (None, Some(8)));
}

#[test]
fn offsets_of_topics_that_members_read_stay() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    let id = stable_group(&mut c);
    // Its metadata is no subscription: it may read any topic.
    let kept = vec![(partition("t"), Some(ErrorCode::GroupSubscribedToTopic))];
    assert_eq!(delete_offsets(&mut c, &["t"]), [(20, Reply::OffsetsDeleted(kept.clone()))]);
    let subscription = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\0\0\0\0");
    c.groups.get_mut("g").unwrap().members.get_mut(&id).unwrap().protocols[0].metadata =
        subscription;
    assert_eq!(delete_offsets(&mut c, &["t"]), [(20, Reply::OffsetsDeleted(kept))]);
    let forgotten = vec![(partition("u"), None)];
    assert_eq!(delete_offsets(&mut c, &["u"]), [(20, Reply::OffsetsDeleted(forgotten))]);
    assert_eq!(offset_of(&c, "g", "t"), Some(7));
}

/// A stable group whose member has this metadata.
fn group_with_metadata(c: &mut Coordinator, metadata: Vec<u8>) {
    let id = stable_group(c);
    let member = c.groups.get_mut("g").unwrap().members.get_mut(&id).unwrap();
    member.protocols[0].metadata = metadata.into();
}

/// A subscription to this many topics without a name.
fn nameless_topics(count: u32) -> Vec<u8> {
    let mut metadata = vec![0, 0];
    metadata.extend(count.to_be_bytes());
    metadata.resize(metadata.len() + 2 * count as usize, 0);
    metadata
}

#[test]
fn a_member_is_looked_at_once_however_many_partitions_are_asked() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    group_with_metadata(&mut c, nameless_topics(200_000));
    // One look for each of them would take hours.
    let topics: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    let topics: Vec<&str> = topics.iter().map(String::as_str).chain(["t"; 100]).collect();
    let replies = delete_offsets(&mut c, &topics);
    let [(20, Reply::OffsetsDeleted(results))] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!(results.len(), 100_001, "each partition once");
    assert!(results.iter().all(|(_, error)| error.is_none()));
    assert_eq!(offset_of(&c, "g", "t"), None);
}

#[test]
fn of_a_member_with_too_many_topics_any_may_be_read() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    group_with_metadata(&mut c, nameless_topics((1 << 20) + 1));
    let kept = vec![(partition("t"), Some(ErrorCode::GroupSubscribedToTopic))];
    assert_eq!(delete_offsets(&mut c, &["t"]), [(20, Reply::OffsetsDeleted(kept))]);
}

#[test]
fn offsets_are_not_deleted_of_unknown_groups_nor_of_living_ones_of_another_kind() {
    let mut c = coordinator();
    let refused = |code| [(20, Reply::Refused(code))];
    assert_eq!(delete_offsets(&mut c, &["t"]), refused(ErrorCode::GroupIdNotFound));
    commit_outside(&mut c, "t", 7, Ok(()));
    stable_group(&mut c);
    c.groups.get_mut("g").unwrap().protocol_type = Some("connect".into());
    assert_eq!(delete_offsets(&mut c, &["t"]), refused(ErrorCode::NonEmptyGroup));
}

#[test]
fn offsets_of_a_topic_that_is_gone_go_with_it() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    commit_outside(&mut c, "u", 8, Ok(()));
    let mut effects = Vec::new();
    // The topic was made again: its id is another one.
    let new_id = Uuid([9; 16]);
    let is_gone = |at: &TopicPartition, id: TopicId| at.topic == "t" && id != new_id;
    c.forget_topics(is_gone, &mut effects);
    assert_eq!(records_of(&effects).len(), 1);
    finish(&mut c, effects, Ok(()));
    assert_eq!((offset_of(&c, "g", "t"), offset_of(&c, "g", "u")), (None, Some(8)));
    let mut effects = Vec::new();
    c.forget_topics(is_gone, &mut effects);
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn a_commit_for_the_new_topic_of_a_name_stays() {
    let mut c = coordinator();
    commit_outside(&mut c, "t", 7, Ok(()));
    let new_id = Uuid([9; 16]);
    let mut commit = commit_of("t", 1, -1, "");
    commit.items[0].committed.topic_id = new_id;
    let mut effects = Vec::new();
    c.commit(at(0), commit, &mut effects);
    c.forget_topics(|_, id| id != new_id, &mut effects);
    finish(&mut c, effects, Ok(()));
    assert_eq!(offset_of(&c, "g", "t"), Some(1));
}

/// A group whose only member has come and gone.
fn empty_group(c: &mut Coordinator) {
    let id = stable_group(c);
    let item = LeaveItem { member_id: id, group_instance_id: None };
    let request = LeaveRequest { group_id: "g".into(), members: vec![item] };
    let mut effects = Vec::new();
    c.leave(at(5), Token(9), &request, &mut effects);
    finish(c, effects, Ok(()));
    assert_eq!(c.group("g").unwrap().state, GroupState::Empty);
}

#[test]
fn a_group_without_members_and_offsets_goes_after_a_while() {
    let mut c = coordinator();
    c.loaded(at(0));
    empty_group(&mut c);
    let mut effects = Vec::new();
    c.tick(at(599), &mut effects);
    assert!(effects.is_empty() && c.group("g").is_some());
    assert_eq!(c.next_deadline(), at(600));
    c.tick(at(600), &mut effects);
    let gone = GroupRecord::Group { group_id: "g".into(), value: None };
    assert_eq!(records_of(&effects), [gone]);
    assert!(c.group("g").is_none());
    assert_eq!(c.next_deadline(), at(1200));
}

#[test]
fn a_group_with_offsets_stays() {
    let mut c = coordinator();
    c.loaded(at(0));
    commit_outside(&mut c, "t", 7, Ok(()));
    empty_group(&mut c);
    let mut effects = Vec::new();
    c.tick(at(600), &mut effects);
    assert!(effects.is_empty() && c.group("g").is_some());
}

#[test]
fn a_flood_of_groups_that_become_empty_does_not_wait() {
    let mut c = coordinator();
    c.loaded(at(0));
    empty_group(&mut c);
    c.emptied = removal::EMPTIED_MAX - 1;
    c.note_emptied(at(7));
    c.tick(at(7), &mut Vec::new());
    assert!(c.group("g").is_none());
}
