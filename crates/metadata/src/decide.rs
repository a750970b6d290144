//! From commands to records and replies.

use crate::draft::Draft;
use crate::rules;
use crate::{Command, ConfigRules, Image, Record, Reply};
use types::MetadataVersion;

/// What a decision may rest on besides the image.
#[derive(Clone, Copy)]
pub struct DecideContext<'a> {
    /// Fresh entropy: topic ids and placement come from it. Never use one value for two batches.
    pub seed: u64,
    pub config_rules: &'a dyn ConfigRules,
    /// `num.partitions`: where a topic asks for -1.
    pub num_partitions: i32,
    /// `default.replication.factor`: where a topic asks for -1.
    pub replication_factor: i16,
    /// `unclean.leader.election.enable` of topics that do not say, where the cluster does not say.
    pub unclean_leader_election: bool,
}

/// What one command comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// To be applied in order, all or none. Empty where nothing changes.
    pub records: Vec<Record>,
    pub reply: Reply,
}

/// What a batch of commands comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecidedBatch {
    /// The version of the image that the batch was decided on; for [`Image::apply_batch`].
    pub based_on: MetadataVersion,
    /// To be applied in order, all or none. Empty where nothing changes.
    pub records: Vec<Record>,
    /// One for each command, in order.
    pub replies: Vec<Reply>,
}

/// Decides one command. Pure: neither the image nor anything else is changed.
pub fn decide(image: &Image, command: &Command, context: &DecideContext<'_>) -> Decision {
    let mut draft = Draft::new(image, context);
    let reply = rules::decide(&mut draft, command);
    Decision { records: draft.into_records(), reply }
}

/// Decides commands in order, each on a scratch image that holds what the ones before it wrote.
pub fn decide_batch(
    image: &Image,
    commands: &[Command],
    context: &DecideContext<'_>,
) -> DecidedBatch {
    let mut draft = Draft::new(image, context);
    let replies = commands.iter().map(|command| rules::decide(&mut draft, command)).collect();
    DecidedBatch { based_on: image.version(), records: draft.into_records(), replies }
}
