//! The commands of scripts, one a line. Words are separated by blanks; `name=value` gives a field.
//!
//! ```text
//! cluster ID                              name the cluster
//! register N [inc=K] [prev=E] [rack=R] [alive] [cluster=ID] [listeners=NAME:host:port,..]
//!     [dirs=1,2]
//! unregister N | fence N | unfence N | shutdown N | ids N      [epoch=E], else the broker's own
//! create NAME [partitions=P] [rf=R] [assign=1,2/2,3] [config=k:v,..] [+ NAME ..] [validate]
//! delete NAME|id:NAME|id:zero|id:unknown ..
//! grow NAME count=N [assign=1,2/2,3] [+ NAME ..] [validate]
//! alter NAME-P isr=1,2@EPOCH [by=N] [broker_epoch=E] [leader_epoch=E] [epoch=E] [recovering]
//! config RESOURCE set:k=v delete:k append:k=v subtract:k=v [+ RESOURCE ..] [validate]
//! replace RESOURCE k=v .. [+ RESOURCE ..] [validate]
//! elect preferred|unclean all|NAME-P ..
//! fail N [dirs=1,2] [epoch=E] [gone=yes] NAME-P ..
//! ```
//! RESOURCE is `topic:NAME`, `broker:N` or `cluster`.

use metadata::*;
use types::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionEpoch, PartitionIndex, TopicId, TopicIdPartition,
    TopicPartition, Uuid,
};

/// One command; scripts are ours, so a mistake in one panics.
pub fn parse(image: &Image, line: &str) -> Command {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (verb, words) = words.split_first().expect("a command has a verb");
    match *verb {
        "cluster" => Command::NameCluster { cluster_id: words[0].to_owned() },
        "register" => Command::RegisterBroker(register(words)),
        "unregister" => Command::UnregisterBroker { broker_id: node(words[0]) },
        "fence" | "unfence" | "shutdown" | "ids" => of_broker(image, verb, words),
        "create" => Command::CreateTopics(CreateTopics {
            topics: items(words).iter().map(|words| new_topic(words)).collect(),
            validate_only: words.contains(&"validate"),
        }),
        "delete" => Command::DeleteTopics {
            topics: words.iter().map(|word| selector(image, word)).collect(),
        },
        "grow" => Command::CreatePartitions(CreatePartitions {
            topics: items(words).iter().map(|words| more(words)).collect(),
            validate_only: words.contains(&"validate"),
        }),
        "alter" => Command::AlterPartition(alter(image, words)),
        "config" => Command::IncrementalAlterConfigs {
            resources: items(words).iter().map(|words| alteration(words)).collect(),
            validate_only: words.contains(&"validate"),
        },
        "replace" => Command::AlterConfigs {
            resources: items(words).iter().map(|words| replacement(words)).collect(),
            validate_only: words.contains(&"validate"),
        },
        "elect" => elect(words),
        "fail" => Command::FailReplicas(fail(image, words)),
        "step_down" => Command::StepDown(step_down(image, words)),
        other => panic!("unknown command {other}"),
    }
}

fn node(word: &str) -> NodeId {
    NodeId(number(word))
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

fn field<'a>(words: &[&'a str], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

fn nodes(list: &str) -> Vec<NodeId> {
    list.split(',').filter(|word| !word.is_empty()).map(node).collect()
}

/// The parts between the words `+`.
fn items<'a>(words: &[&'a str]) -> Vec<Vec<&'a str>> {
    let words: Vec<&str> = words.iter().copied().filter(|word| *word != "validate").collect();
    words.split(|word| *word == "+").map(<[&str]>::to_vec).collect()
}

fn register(words: &[&str]) -> RegisterBroker {
    let endpoint = |text: &str| {
        let parts: Vec<&str> = text.split(':').collect();
        Endpoint {
            name: parts[0].to_owned(),
            host: parts[1].to_owned(),
            port: number(parts[2]),
            security_protocol: 0,
        }
    };
    let default = format!("PLAINTEXT:host{}:9092", words[0]);
    let listeners = field(words, "listeners").unwrap_or(&default);
    let dirs = field(words, "dirs").unwrap_or("");
    RegisterBroker {
        broker_id: node(words[0]),
        cluster_id: field(words, "cluster").unwrap_or("test").to_owned(),
        incarnation_id: Uuid(number::<u128>(field(words, "inc").unwrap_or("1")).to_be_bytes()),
        endpoints: listeners.split(',').filter(|text| !text.is_empty()).map(endpoint).collect(),
        rack: field(words, "rack").map(str::to_owned),
        log_dirs: dirs
            .split(',')
            .filter(|text| !text.is_empty())
            .map(|text| Uuid(number::<u128>(text).to_be_bytes()))
            .collect(),
        features: Vec::new(),
        previous_epoch: field(words, "prev").map_or(BrokerEpoch::NONE, |e| BrokerEpoch(number(e))),
        session_alive: words.contains(&"alive"),
    }
}

fn of_broker(image: &Image, verb: &str, words: &[&str]) -> Command {
    let broker_id = node(words[0]);
    let broker_epoch = epoch_of(image, broker_id, field(words, "epoch"));
    match verb {
        "fence" => Command::FenceBroker { broker_id, broker_epoch },
        "unfence" => Command::UnfenceBroker { broker_id, broker_epoch },
        "shutdown" => Command::BeginControlledShutdown { broker_id, broker_epoch },
        "ids" => Command::AllocateProducerIds { broker_id, broker_epoch },
        other => panic!("unknown command {other}"),
    }
}

fn fail(image: &Image, words: &[&str]) -> FailReplicas {
    let broker_id = node(words[0]);
    let dirs = field(words, "dirs").unwrap_or("");
    let dirs = dirs.split(',').filter(|text| !text.is_empty());
    FailReplicas {
        broker_id,
        broker_epoch: epoch_of(image, broker_id, field(words, "epoch")),
        log_dirs: dirs.map(|text| Uuid(number::<u128>(text).to_be_bytes())).collect(),
        partitions: ids(image, &words[1..]),
        records_gone: field(words, "gone").is_some(),
    }
}

fn step_down(image: &Image, words: &[&str]) -> StepDown {
    let broker_id = node(words[0]);
    let broker_epoch = epoch_of(image, broker_id, field(words, "epoch"));
    StepDown { broker_id, broker_epoch, partitions: ids(image, &words[1..]) }
}

/// The words that name partitions, as NAME-P.
fn ids(image: &Image, words: &[&str]) -> Vec<TopicIdPartition> {
    let partition = |word: &&str| {
        let (name, index) = word.rsplit_once('-').expect("NAME-P");
        let topic_id = image.topic_id(name).expect("a topic");
        TopicIdPartition { topic_id, partition: PartitionIndex(number(index)) }
    };
    words.iter().filter(|word| !word.contains('=')).map(partition).collect()
}

fn epoch_of(image: &Image, broker: NodeId, given: Option<&str>) -> BrokerEpoch {
    let own = image.broker(broker).map_or(BrokerEpoch::NONE, |broker| broker.epoch);
    given.map_or(own, |given| BrokerEpoch(number(given)))
}

fn assignments(text: &str) -> Vec<Vec<NodeId>> {
    text.split('/').map(nodes).collect()
}

fn new_topic(words: &[&str]) -> NewTopic {
    let assignments = field(words, "assign").map(assignments).unwrap_or_default();
    let config = |text: &str| match text.split_once(':') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    };
    NewTopic {
        name: words[0].replace("EMPTY", "").replace("LONG", &"x".repeat(250)),
        num_partitions: field(words, "partitions").map_or(-1, number),
        replication_factor: field(words, "rf").map_or(-1, number),
        assignments: (field(words, "from").map_or(0, number)..)
            .map(PartitionIndex)
            .zip(assignments)
            .map(|(partition, replicas)| NewTopicAssignment { partition, replicas })
            .collect(),
        configs: field(words, "config")
            .map(|text| text.split(',').map(config).collect())
            .unwrap_or_default(),
    }
}

fn selector(image: &Image, word: &str) -> TopicSelector {
    match word.strip_prefix("id:") {
        Some("zero") => TopicSelector::Id(TopicId::ZERO),
        Some("unknown") => TopicSelector::Id(Uuid([1; 16])),
        Some(name) => TopicSelector::Id(image.topic_id(name).expect("the topic exists")),
        None => TopicSelector::Name(word.to_owned()),
    }
}

fn more(words: &[&str]) -> MorePartitions {
    MorePartitions {
        name: words[0].to_owned(),
        count: number(field(words, "count").expect("count=")),
        assignments: field(words, "assign").map(assignments),
    }
}

pub fn named_partition(word: &str) -> TopicPartition {
    let (topic, partition) = word.rsplit_once('-').expect("NAME-P");
    TopicPartition { topic: topic.to_owned(), partition: PartitionIndex(number(partition)) }
}

fn alter(image: &Image, words: &[&str]) -> AlterPartition {
    let items = items(words);
    let first = named_partition(items[0][0]);
    let leader = image
        .topic_by_name(&first.topic)
        .and_then(|topic| topic.partition(first.partition))
        .map_or(NodeId::NONE, |state| state.leader);
    let broker_id = field(words, "by").map_or(leader, node);
    AlterPartition {
        broker_id,
        broker_epoch: epoch_of(image, broker_id, field(words, "broker_epoch")),
        partitions: items.iter().map(|words| alter_item(image, words)).collect(),
    }
}

fn alter_item(image: &Image, words: &[&str]) -> AlterPartitionItem {
    let TopicPartition { topic, partition } = named_partition(words[0]);
    let topic = image.topic_by_name(&topic);
    let state = topic.and_then(|topic| topic.partition(partition));
    let topic_id = topic.map_or(Uuid([1; 16]), |topic| topic.id);
    let own = (
        state.map_or(LeaderEpoch(0), |state| state.leader_epoch),
        state.map_or(PartitionEpoch(0), |state| state.partition_epoch),
    );
    let member = |word: &str| match word.split_once('@') {
        Some((id, epoch)) => {
            IsrMember { broker_id: node(id), broker_epoch: BrokerEpoch(number(epoch)) }
        }
        None => {
            let broker_id = node(word);
            IsrMember { broker_id, broker_epoch: epoch_of(image, broker_id, None) }
        }
    };
    let isr = field(words, "isr").unwrap_or("");
    AlterPartitionItem {
        partition: TopicIdPartition { topic_id, partition },
        leader_epoch: field(words, "leader_epoch").map_or(own.0, |e| LeaderEpoch(number(e))),
        partition_epoch: field(words, "epoch").map_or(own.1, |e| PartitionEpoch(number(e))),
        new_isr: isr.split(',').filter(|word| !word.is_empty()).map(member).collect(),
        leader_recovery: match words.contains(&"recovering") {
            true => LeaderRecovery::Recovering,
            false => LeaderRecovery::Recovered,
        },
    }
}

fn resource(word: &str) -> ConfigResource {
    match word.split_once(':') {
        Some(("topic", name)) => ConfigResource::Topic(name.to_owned()),
        Some(("broker", id)) => ConfigResource::Broker(node(id)),
        _ => ConfigResource::ClusterDefault,
    }
}

fn alteration(words: &[&str]) -> ConfigAlteration {
    let change = |word: &&str| {
        let (operation, rest) = word.split_once(':').expect("operation:key");
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        let operation = match operation {
            "set" => ConfigOperation::Set,
            "delete" => ConfigOperation::Delete,
            "append" => ConfigOperation::Append,
            "subtract" => ConfigOperation::Subtract,
            other => panic!("unknown operation {other}"),
        };
        ConfigChange { name: name.to_owned(), operation, value }
    };
    ConfigAlteration {
        resource: resource(words[0]),
        changes: words[1..].iter().map(change).collect(),
    }
}

fn replacement(words: &[&str]) -> ConfigReplacement {
    let config = |word: &&str| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => ((*word).to_owned(), None),
    };
    ConfigReplacement {
        resource: resource(words[0]),
        configs: words[1..].iter().map(config).collect(),
    }
}

fn elect(words: &[&str]) -> Command {
    let election = match words[0] {
        "preferred" => ElectionKind::Preferred,
        "unclean" => ElectionKind::Unclean,
        other => panic!("unknown election {other}"),
    };
    let partitions = match words[1] {
        "all" => ElectionScope::All,
        _ => ElectionScope::Partitions(words[1..].iter().map(|w| named_partition(w)).collect()),
    };
    Command::ElectLeaders { election, partitions }
}
