//! Layers, alterations and what DescribeConfigs answers.

use config::*;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn change(op: AlterOp, name: &str, value: Option<&str>) -> Alteration {
    Alteration { name: name.to_owned(), op, value: value.map(str::to_owned) }
}

#[test]
fn the_strongest_layer_counts_and_units_are_converted() {
    let fixed = Properties::parse("log.retention.hours=1\nlog.roll.hours=2").expect("parses");
    let (topic, broker, cluster) =
        (overrides(&[]), overrides(&[]), overrides(&[("log.retention.ms", "5000")]));
    let mut layers = Layers { topic: &topic, broker: &broker, cluster: &cluster, fixed: &fixed };
    let config = TopicConfig::resolve(&layers);
    assert_eq!(config.retention.retention_ms, Some(5000));
    assert_eq!(config.segment.segment_ms, 7_200_000);
    let own = overrides(&[("retention.ms", "-1"), ("segment.bytes", "not a number")]);
    layers.topic = &own;
    let config = TopicConfig::resolve(&layers);
    assert_eq!(config.retention.retention_ms, None, "-1 keeps records");
    assert_eq!(config.segment.segment_bytes, 1 << 30, "a stored value that is wrong is skipped");
}

#[test]
fn minus_one_hour_of_retention_is_for_ever() {
    let fixed = Properties::parse("log.retention.hours=-1").expect("parses");
    assert_eq!(TopicConfig::resolve(&Layers::fixed(&fixed)).retention.retention_ms, None);
}

#[test]
fn lists_are_appended_to_and_subtracted_from() {
    let fixed = Properties::new();
    let after = alter_topic(
        &overrides(&[]),
        &[change(AlterOp::Append, "cleanup.policy", Some("compact"))],
        &fixed,
    );
    let after = after.expect("cleanup.policy is a list");
    assert_eq!(after["cleanup.policy"], "delete,compact");
    let after =
        alter_topic(&after, &[change(AlterOp::Subtract, "cleanup.policy", Some("delete"))], &fixed);
    assert_eq!(after.expect("cleanup.policy is a list")["cleanup.policy"], "compact");
    let refused =
        alter_topic(&overrides(&[]), &[change(AlterOp::Append, "retention.ms", Some("1"))], &fixed);
    assert!(matches!(refused, Err(ConfigError::NotAList { .. })), "{refused:?}");
}

#[test]
fn deleting_goes_back_to_the_layer_below() {
    let current = overrides(&[("retention.ms", "1")]);
    let after =
        alter_topic(&current, &[change(AlterOp::Delete, "retention.ms", None)], &Properties::new());
    assert_eq!(after, Ok(overrides(&[])));
}

#[test]
fn a_key_of_a_newer_version_can_be_deleted_and_not_set() {
    let stored = overrides(&[("of.tomorrow", "1")]);
    let nothing = Properties::new();
    let delete = [change(AlterOp::Delete, "of.tomorrow", None)];
    assert_eq!(alter_topic(&stored, &delete, &nothing), Ok(overrides(&[])));
    assert_eq!(alter_topic(&overrides(&[]), &delete, &nothing), Ok(overrides(&[])));
    assert_eq!(alter_broker(&stored, &delete, &nothing, true), Ok(overrides(&[])));
    let set = [change(AlterOp::Set, "of.tomorrow", Some("1"))];
    assert!(alter_topic(&stored, &set, &nothing).is_err());
}

#[test]
fn bad_changes_are_refused_with_their_reason() {
    let fixed = Properties::new();
    let cases = [
        (
            vec![change(AlterOp::Set, "retention.m", Some("1"))],
            "unknown key retention.m (did you mean retention.ms?)",
        ),
        (vec![change(AlterOp::Set, "segment.bytes", Some("1024"))], "must be at least 1048576"),
        (vec![change(AlterOp::Set, "segment.bytes", None)], "a value is needed"),
        (
            vec![
                change(AlterOp::Set, "flush.ms", Some("1")),
                change(AlterOp::Delete, "flush.ms", None),
            ],
            "key flush.ms is changed twice in one request",
        ),
        (
            vec![
                change(AlterOp::Set, "min.compaction.lag.ms", Some("9")),
                change(AlterOp::Set, "max.compaction.lag.ms", Some("5")),
            ],
            "must not be above",
        ),
    ];
    for (changes, expected) in cases {
        let error =
            alter_topic(&overrides(&[]), &changes, &fixed).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn only_dynamic_broker_keys_change_and_per_broker_ones_not_for_all() {
    let fixed = Properties::new();
    let none = overrides(&[]);
    let set = |name: &str, value: &str| vec![change(AlterOp::Set, name, Some(value))];
    assert!(alter_broker(&none, &set("log.retention.ms", "1"), &fixed, true).is_ok());
    let rate = set("leader.replication.throttled.rate", "1");
    assert!(alter_broker(&none, &rate, &fixed, false).is_ok());
    assert!(matches!(
        alter_broker(&none, &rate, &fixed, true),
        Err(ConfigError::NotDynamic { .. })
    ));
    let id = set("node.id", "2");
    assert!(matches!(alter_broker(&none, &id, &fixed, false), Err(ConfigError::NotDynamic { .. })));
}

#[test]
fn compaction_is_tuned_while_nodes_run_and_never_turned_off() {
    let fixed =
        Properties::parse("log.cleaner.threads=3\nlog.cleaner.backoff.ms=7").expect("parses");
    let none = overrides(&[]);
    let changes = [
        ("log.cleaner.threads", "2"),
        ("log.cleaner.dedupe.buffer.size", "1000"),
        ("log.cleaner.io.buffer.size", "2000"),
        ("log.cleaner.io.buffer.load.factor", "0.5"),
        ("log.cleaner.io.max.bytes.per.second", "3000.5"),
    ];
    let changes: Vec<_> =
        changes.iter().map(|(name, value)| change(AlterOp::Set, name, Some(value))).collect();
    let cluster = alter_broker(&none, &changes, &fixed, true).expect("all may change");
    let backoff = [change(AlterOp::Set, "log.cleaner.backoff.ms", Some("0"))];
    let broker = alter_broker(&none, &backoff, &fixed, false).expect("for one broker as well");
    let layers = Layers { broker: &broker, cluster: &cluster, ..Layers::fixed(&fixed) };
    let expected = CleanerConfig {
        threads: 2,
        dedupe_buffer_bytes: 1000,
        io_buffer_bytes: 2000,
        load_factor: 0.5,
        bytes_per_second: 3000.5,
        backoff: std::time::Duration::ZERO,
    };
    assert_eq!(CleanerConfig::resolve(&layers), expected);
    let off = [change(AlterOp::Set, "log.cleaner.threads", Some("0"))];
    let refused = alter_broker(&none, &off, &fixed, true).expect_err("refused").to_string();
    assert!(refused.contains("at least 1 while the node runs"), "{refused}");
    let stored = overrides(&[("log.cleaner.threads", "0")]);
    assert!(validate_broker(&stored, true).is_err());
    assert_eq!(CleanerConfig::resolve(&Layers::fixed(&fixed)).threads, 3);
}

#[test]
fn a_description_says_where_a_value_comes_from() {
    let fixed =
        Properties::parse("log.retention.hours=1\nssl.key.password=secret").expect("parses");
    let own = overrides(&[("retention.ms", "5")]);
    let layers = Layers { topic: &own, ..Layers::fixed(&fixed) };
    let entries = describe_topic(&layers, Some(&["retention.ms", "no.such.key"]));
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].value.as_deref(), entries[0].source), (Some("5"), Source::Topic));
    let synonyms: Vec<_> =
        entries[0].synonyms.iter().map(|synonym| (synonym.name, synonym.source as i8)).collect();
    assert_eq!(synonyms, [("retention.ms", 1)]);
    let entries = describe_topic(&Layers::fixed(&fixed), Some(&["retention.ms"]));
    assert_eq!((entries[0].value.as_deref(), entries[0].is_default), (Some("3600000"), true));
    let broker = describe_broker(&layers, None, false);
    let password = broker.iter().find(|entry| entry.name == "ssl.key.password").expect("listed");
    assert!(password.sensitive && password.value.is_none() && password.synonyms[0].value.is_none());
    assert!(describe_broker(&layers, None, true).is_empty(), "nothing is set for all brokers");
}

#[test]
fn hours_in_a_file_are_named_beneath_milliseconds_alone() {
    let fixed = Properties::parse("log.retention.hours=24").expect("parses");
    let cluster = overrides(&[("log.retention.ms", "1000")]);
    let layers = Layers { cluster: &cluster, ..Layers::fixed(&fixed) };
    let told = |entry: &Entry| {
        let synonyms = entry.synonyms.iter();
        let synonyms: Vec<_> = synonyms.map(|one| (one.name, one.source as i8)).collect();
        (entry.value.clone(), entry.source as i8, synonyms)
    };
    let (ms, hours) = ("log.retention.ms", "log.retention.hours");
    let of_topic = describe_topic(&layers, Some(&["retention.ms"]));
    let all = vec![(ms, 3), (hours, 4), (hours, 5)];
    assert_eq!(told(&of_topic[0]), (Some("1000".to_owned()), 3, all.clone()));
    // Sorted by name.
    let of_broker = describe_broker(&layers, Some(&[ms, hours]), false);
    let default = (Some("168".to_owned()), 4, vec![(hours, 4), (hours, 5)]);
    assert_eq!(told(&of_broker[0]), default, "the file's value is not in force");
    assert_eq!(told(&of_broker[1]), (Some("1000".to_owned()), 3, all));
    let of_all = describe_broker(&layers, None, true);
    assert_eq!(of_all.len(), 1);
    assert_eq!(told(&of_all[0]), (Some("1000".to_owned()), 3, vec![(ms, 3)]));
}

#[test]
fn values_are_taken_and_refused_as_kafka_does() {
    let takes = |name: &str, value: &str| validate_topic(&overrides(&[(name, value)])).is_ok();
    for (name, good, bad) in [
        ("cleanup.policy", vec!["", "compact,compact", "delete, compact"], vec!["delete,", ","]),
        ("retention.bytes", vec!["-3", "-1", "0"], vec!["", "x"]),
        ("compression.gzip.level", vec!["-1", "1", "9"], vec!["0", "10"]),
        ("remote.storage.enable", vec!["false", "FALSE"], vec!["true", " TRUE ", "yes"]),
        (
            "leader.replication.throttled.replicas",
            vec!["", "*", "0:1", "0:1, 12:345", "1:1,"],
            vec!["0:1,*", "*,*", "1", "0:a", "-1:1", "0:1:2", "none", "+1:1", ":1"],
        ),
    ] {
        for value in good {
            assert!(takes(name, value), "{name}={value}");
        }
        for value in bad {
            assert!(!takes(name, value), "{name}={value}");
        }
    }
    let broker = |value| validate_broker(&overrides(&[("log.retention.ms", value)]), true).is_ok();
    assert!(broker("-5") && broker("1") && !broker("0"));
    let twice = overrides(&[("log.cleanup.policy", "compact,compact")]);
    assert!(validate_broker(&twice, true).is_err(), "a broker's list has no element twice");
    let own = overrides(&[("retention.bytes", "-2")]);
    let fixed = Properties::new();
    let layers = Layers { topic: &own, ..Layers::fixed(&fixed) };
    assert_eq!(TopicConfig::resolve(&layers).retention.retention_bytes, None);
}

#[test]
fn tests_may_shrink_segments_below_the_minimum() {
    let values = overrides(&[("internal.segment.bytes", "16384")]);
    assert_eq!(validate_topic(&values), Ok(()));
    let fixed = Properties::new();
    let layers = Layers { topic: &values, ..Layers::fixed(&fixed) };
    assert_eq!(TopicConfig::resolve(&layers).segment.segment_bytes, 16384);
    assert!(
        describe_topic(&layers, None).iter().all(|entry| entry.name != "internal.segment.bytes")
    );
}

#[test]
fn what_a_node_reads_at_its_start_alone_is_refused_while_it_runs() {
    let fixed = Properties::new();
    for name in ["ottla.log.open.files.max", "ottla.tail.cache.bytes", "max.connections"] {
        let set = [change(AlterOp::Set, name, Some("3"))];
        let altered = alter_broker(&overrides(&[]), &set, &fixed, true);
        assert!(matches!(altered, Err(ConfigError::NotDynamic { .. })), "{name}: {altered:?}");
    }
}
