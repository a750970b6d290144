//! Static members that start again.

use super::*;

fn request_of(token: u64, id: &str, instance: &str, metadata: &'static str) -> JoinRequest {
    JoinRequest {
        group_instance_id: Some(instance.into()),
        protocols: vec![Protocol { name: "range".into(), metadata: metadata.into() }],
        ..join_request(token, id)
    }
}

/// Two static members, of which the first leads, with their assignments.
fn stable_pair(c: &mut Coordinator) -> [String; 2] {
    for (token, instance) in [(1, "i1"), (2, "i2")] {
        assert!(join(c, at(0), request_of(token, "", instance, "sub")).is_empty());
    }
    let mut effects = Vec::new();
    c.tick(at(3), &mut effects);
    c.tick(at(6), &mut effects);
    let replies = joins(effects);
    let id_of = |token| {
        let reply = replies.iter().find(|(of, _)| *of == token).expect("joined");
        reply.1.member_id.clone()
    };
    let ids = [id_of(1), id_of(2)];
    let effects = sync_of(c, 3, &ids[0], "i1", 1);
    assert_eq!(finish(c, effects, Ok(())).len(), 1);
    assert_eq!(c.group("g").unwrap().state, GroupState::Stable);
    ids
}

fn sync_of(
    c: &mut Coordinator,
    token: u64,
    id: &str,
    instance: &str,
    generation: i32,
) -> Vec<Effect> {
    let mut effects = Vec::new();
    let request = SyncRequest {
        token: Token(token),
        group_id: "g".into(),
        member_id: id.into(),
        group_instance_id: Some(instance.into()),
        generation,
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(id.to_owned(), Bytes::from_static(b"mine"))],
    };
    c.sync(at(6), request, &mut effects);
    effects
}

fn rejoin(c: &mut Coordinator, request: JoinRequest) -> Vec<Effect> {
    let mut effects = Vec::new();
    c.join(at(7), request, &mut effects);
    effects
}

#[test]
fn a_static_member_is_answered_when_committed() {
    let mut c = coordinator();
    let [_, follower] = stable_pair(&mut c);
    let effects = rejoin(&mut c, request_of(20, "", "i2", "sub"));
    assert!(matches!(&effects[..], [Effect::Append { .. }]), "{effects:?}");
    let replies = finish(&mut c, effects, Ok(()));
    let [(20, Reply::Join(reply))] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!((reply.error, reply.generation), (None, 1));
    assert_ne!(reply.member_id, follower);
}

#[test]
fn a_static_member_that_the_log_refuses_disturbs_its_own_group_only() {
    for (error, told) in [
        (ErrorCode::RecordListTooLarge, ErrorCode::UnknownServerError),
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
    ] {
        let mut c = coordinator();
        let [leader, _] = stable_pair(&mut c);
        let effects = rejoin(&mut c, request_of(20, "", "i2", "too much"));
        // Somebody waits for another group meanwhile.
        let waiting = JoinRequest {
            group_id: "h".into(),
            require_known_member_id: false,
            ..join_request(30, "")
        };
        assert!(rejoin(&mut c, waiting).is_empty());
        let Effect::Append { append_id, .. } = effects[0] else { panic!("{effects:?}") };
        let mut effects = Vec::new();
        c.append_done(at(8), append_id, Err(error), &mut effects);
        assert_eq!(effects, [Effect::Reply { token: Token(20), reply: Reply::Refused(told) }]);
        assert_eq!(c.group("h").unwrap().members.len(), 1);
        // A round writes who is in the group now.
        let heard = c.heartbeat(at(8), "g", &leader, Some("i1"), 1);
        assert_eq!(heard, Err(ErrorCode::RebalanceInProgress));
        assert!(rejoin(&mut c, request_of(40, &leader, "i1", "sub")).is_empty());
        let replies = joins(rejoin(&mut c, request_of(41, "", "i2", "sub")));
        assert_eq!(replies.len(), 2, "{replies:?}");
        let effects = sync_of(&mut c, 42, &leader, "i1", 2);
        assert_eq!(records_of(&effects).len(), 1);
        finish(&mut c, effects, Ok(()));
        assert_eq!(c.group("g").unwrap().state, GroupState::Stable);
    }
}

#[test]
fn a_static_member_whose_commit_is_late_is_refused_and_nobody_else() {
    let mut c = coordinator();
    stable_pair(&mut c);
    let effects = rejoin(&mut c, request_of(20, "", "i2", "sub"));
    let replies = finish(&mut c, effects, Err(ErrorCode::RequestTimedOut));
    assert_eq!(replies, [(20, Reply::Refused(ErrorCode::CoordinatorNotAvailable))]);
    assert_eq!(c.group("g").unwrap().state, GroupState::Stable);
}

#[test]
fn a_static_member_with_other_metadata_disturbs_nobody() {
    for instance in ["i1", "i2"] {
        let mut c = coordinator();
        let ids = stable_pair(&mut c);
        let effects = rejoin(&mut c, request_of(20, "", instance, "owned partitions"));
        let replies = finish(&mut c, effects, Ok(()));
        let [(20, Reply::Join(reply))] = &replies[..] else { panic!("{instance}: {replies:?}") };
        assert_eq!((reply.error, reply.generation), (None, 1));
        assert_eq!(c.group("g").unwrap().state, GroupState::Stable);
        let other = ["i1", "i2"].into_iter().zip(&ids).find(|(of, _)| *of != instance).unwrap();
        assert_eq!(c.heartbeat(at(8), "g", other.1, Some(other.0), 1), Ok(()));
        // It is the one that has gone whom nobody knows any more.
        let former = &ids[usize::from(instance == "i2")];
        let heard = c.heartbeat(at(8), "g", former, Some(instance), 1);
        assert_eq!(heard, Err(ErrorCode::FencedInstanceId));
    }
}

#[test]
fn a_static_member_that_would_change_the_protocol_begins_a_round() {
    let mut c = coordinator();
    stable_pair(&mut c);
    // Both know another assignor now, and would take it.
    for (token, instance) in [(20, "i1"), (21, "i2")] {
        let protocols = ["sticky", "range"]
            .map(|name| Protocol { name: name.into(), metadata: Bytes::new() })
            .into();
        let request = JoinRequest { protocols, ..request_of(token, "", instance, "") };
        let effects = rejoin(&mut c, request);
        finish(&mut c, effects, Ok(()));
    }
    assert_eq!(c.group("g").unwrap().state, GroupState::PreparingRebalance);
}

#[test]
fn a_leader_that_is_back_is_given_the_members_and_skips_the_assignment() {
    let mut c = coordinator();
    let [leader, follower] = stable_pair(&mut c);
    let effects = rejoin(&mut c, request_of(20, "", "i1", "sub"));
    let replies = finish(&mut c, effects, Ok(()));
    let [(20, Reply::Join(reply))] = &replies[..] else { panic!("{replies:?}") };
    assert_ne!(reply.member_id, leader);
    assert_eq!((&reply.leader, reply.skip_assignment), (&reply.member_id, true));
    let listed: Vec<&String> = reply.members.iter().map(|(id, ..)| id).collect();
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&&reply.member_id) && listed.contains(&&follower));
    // A follower skips nothing, since it brings nothing.
    let effects = rejoin(&mut c, request_of(21, "", "i2", "sub"));
    let replies = finish(&mut c, effects, Ok(()));
    let [(21, Reply::Join(reply))] = &replies[..] else { panic!("{replies:?}") };
    assert!(!reply.skip_assignment && reply.members.is_empty());
}

#[test]
fn an_older_client_that_led_is_told_its_former_self_as_the_leader() {
    let mut c = coordinator();
    let [leader, _] = stable_pair(&mut c);
    let request = JoinRequest { skips_assignment: false, ..request_of(20, "", "i1", "sub") };
    let effects = rejoin(&mut c, request);
    let replies = finish(&mut c, effects, Ok(()));
    let [(20, Reply::Join(reply))] = &replies[..] else { panic!("{replies:?}") };
    assert_eq!((&reply.leader, reply.skip_assignment), (&leader, false));
    assert!(reply.members.is_empty());
}
