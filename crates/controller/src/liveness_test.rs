//! A script of heartbeats and looks at the clock; the trace is what would be commanded.

use super::*;
use metadata::Record;
use types::Uuid;

const TIMEOUT: Duration = Duration::from_millis(1000);

fn broker(id: i32, epoch: i64, fenced: bool) -> Record {
    Record::Broker(Broker {
        id: NodeId(id),
        epoch: BrokerEpoch(epoch),
        incarnation_id: Uuid([1; 16]),
        endpoints: Vec::new(),
        rack: None,
        fenced,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
        failed_log_dirs: Vec::new(),
        lost_log_dirs: Vec::new(),
        features: Vec::new(),
        previous_epoch: BrokerEpoch::NONE,
        registered_version: MetadataVersion(7),
    })
}

fn image(records: &[Record]) -> Image {
    Image::from_records(MetadataVersion(9), records)
}

fn beat(epoch: i64, applied: u64) -> Heartbeat {
    Heartbeat {
        broker_id: NodeId(1),
        broker_epoch: BrokerEpoch(epoch),
        applied_version: MetadataVersion(applied),
        want_unfence: true,
        want_shutdown: false,
    }
}

fn at(ms: u64) -> Monotonic {
    Monotonic::from_millis(ms)
}

/// What is due, looking every 100 ms until `to`.
fn due(liveness: &Liveness, image: &Image, from: u64, to: u64) -> Vec<(u64, &'static str)> {
    let mut trace = Vec::new();
    for ms in (from..=to).step_by(100) {
        trace.extend(liveness.due(image, at(ms)).iter().map(|command| (ms, command.name())));
    }
    trace
}

#[test]
fn a_broker_is_fenced_after_a_session_of_silence_and_not_before() {
    let liveness = Liveness::new(TIMEOUT);
    let image = image(&[broker(1, 5, false)]);
    liveness.activate(at(0));
    liveness.heard(at(300), beat(5, 9));
    assert_eq!(due(&liveness, &image, 100, 1200), []);
    assert_eq!(due(&liveness, &image, 1300, 1300), [(1300, "FenceBroker")]);
}

#[test]
fn a_newly_active_controller_fences_at_once_whom_its_own_streams_have_missed() {
    let liveness = Liveness::new(TIMEOUT);
    let image = image(&[broker(1, 5, false), broker(2, 6, false)]);
    liveness.heard(at(100), beat(5, 9));
    liveness.activate(at(1500));
    let due = liveness.due(&image, at(1500));
    let gone = Command::FenceBroker { broker_id: NodeId(1), broker_epoch: BrokerEpoch(5) };
    assert_eq!(due, [gone], "broker 2 was never heard and has a session's time");
}

#[test]
fn a_controller_that_was_stopped_itself_blames_nobody() {
    let liveness = Liveness::new(TIMEOUT);
    let image = image(&[broker(1, 5, false)]);
    liveness.activate(at(0));
    liveness.heard(at(100), beat(5, 9));
    assert_eq!(due(&liveness, &image, 100, 500), []);
    assert_eq!(due(&liveness, &image, 5000, 5900), []);
    assert_eq!(due(&liveness, &image, 6000, 6000), [(6000, "FenceBroker")]);
}

#[test]
fn a_broker_is_unfenced_only_with_its_own_registration_applied() {
    let liveness = Liveness::new(TIMEOUT);
    let image = image(&[broker(1, 5, true)]);
    liveness.activate(at(0));
    liveness.heard(at(0), beat(4, 9));
    assert_eq!(due(&liveness, &image, 0, 0), [], "an earlier incarnation's word");
    liveness.heard(at(0), beat(5, 6));
    assert_eq!(due(&liveness, &image, 0, 0), [], "has not applied its registration");
    liveness.heard(at(100), beat(5, 7));
    assert_eq!(due(&liveness, &image, 100, 100), [(100, "UnfenceBroker")]);
    liveness.heard(at(100), beat(4, 9));
    assert_eq!(liveness.session(&liveness.lock(), one(&image)).map(|s| s.heard_at), Some(at(100)));
}

fn one(image: &Image) -> &Broker {
    image.broker(NodeId(1)).expect("broker 1")
}

#[test]
fn a_broker_makes_way_for_another_start_once_its_streams_are_closed_or_its_session_is_over() {
    let liveness = Arc::new(Liveness::new(TIMEOUT));
    let image = image(&[broker(1, 5, false)]);
    let mut stream = Attendance::new(liveness.clone());
    stream.heard(at(100), beat(5, 9));
    assert!(liveness.is_alive(&image, NodeId(1), at(200)));
    assert!(!liveness.is_alive(&image, NodeId(1), at(1100)), "silent for a session");
    stream.heard(at(1100), beat(5, 9));
    drop(stream);
    assert!(!liveness.is_alive(&image, NodeId(1), at(1101)), "its streams are closed");
}

#[test]
fn a_broker_whose_streams_are_closed_is_fenced_at_once_only_when_it_refuses() {
    let liveness = Arc::new(Liveness::new(TIMEOUT));
    let image = image(&[broker(1, 5, false)]);
    liveness.activate(at(0));
    let [mut first, mut second] = [0, 1].map(|_| Attendance::new(liveness.clone()));
    first.heard(at(100), beat(5, 9));
    second.heard(at(100), beat(5, 9));
    drop(first);
    assert!(liveness.departed(&image).is_empty(), "another stream is open");
    drop(second);
    assert_eq!(*liveness.departed(&image)[0], *one(&image));
    assert_eq!(due(&liveness, &image, 100, 200), [], "it may have broken and come back");
    liveness.is_gone(NodeId(1), BrokerEpoch(4));
    assert_eq!(due(&liveness, &image, 200, 200), [], "an earlier incarnation is gone");
    liveness.is_gone(NodeId(1), BrokerEpoch(5));
    assert_eq!(due(&liveness, &image, 200, 200), [(200, "FenceBroker")]);
    assert!(liveness.departed(&image).is_empty(), "it needs no more asking");
}

#[test]
fn a_broker_that_came_back_while_it_was_probed_is_not_gone() {
    let liveness = Arc::new(Liveness::new(TIMEOUT));
    let image = image(&[broker(1, 5, false)]);
    liveness.activate(at(0));
    let mut stream = Attendance::new(liveness.clone());
    stream.heard(at(100), beat(5, 9));
    drop(stream);
    let mut again = Attendance::new(liveness.clone());
    again.heard(at(200), beat(5, 9));
    liveness.is_gone(NodeId(1), BrokerEpoch(5));
    assert_eq!(due(&liveness, &image, 200, 1100), []);
}

#[test]
fn looks_come_as_often_as_sessions_end_and_a_stop_must_be_seen() {
    let liveness = Liveness::new(TIMEOUT);
    liveness.heard(at(100), beat(5, 9));
    assert_eq!(liveness.patience(at(100)), TIMEOUT / 4);
    assert_eq!(liveness.patience(at(1000)), Duration::from_millis(100));
    assert_eq!(
        liveness.patience(at(1100)),
        TIMEOUT / 4,
        "a session that is over calls for nothing"
    );
}

#[test]
fn a_broker_that_wants_to_stop_is_let_go_and_not_unfenced() {
    let liveness = Liveness::new(TIMEOUT);
    liveness.activate(at(0));
    liveness.heard(at(0), Heartbeat { want_shutdown: true, ..beat(5, 9) });
    let begin = [(0, "BeginControlledShutdown")];
    assert_eq!(due(&liveness, &image(&[broker(1, 5, false)]), 0, 0), begin);
    assert_eq!(due(&liveness, &image(&[broker(1, 5, true)]), 0, 0), []);
}
