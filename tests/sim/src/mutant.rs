//! Deliberate mistakes: each leaves one rule out, and some seed must notice.

use replication::mutant::Mutant;

/// A rule left out, in the machines or in the shell around them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutation {
    Rule(Mutant),
    /// A new follower truncates to its high watermark, as Kafka did before KIP-101.
    TruncateToWatermark,
    /// A follower that diverges truncates to the leader's end in one step (before KIP-279).
    TruncateInOneStep,
    /// A broker acts on roles of the image before it has seen its own registration.
    ActBeforeRegistration,
    /// A produce with acks=all is answered at the append.
    AckAtAppend,
    /// A synced topic counts the page cache.
    IgnoreSync,
}

impl Mutation {
    pub const ALL: &'static [(&'static str, Mutation)] = &[
        ("watermark-under-min-isr", Mutation::Rule(Mutant::WatermarkUnderMinIsr)),
        ("watermark-over-proposed-isr", Mutation::Rule(Mutant::WatermarkOverProposedIsr)),
        ("join-below-epoch-start", Mutation::Rule(Mutant::JoinBelowEpochStart)),
        ("join-below-watermark", Mutation::Rule(Mutant::JoinBelowWatermark)),
        ("any-broker-epoch", Mutation::Rule(Mutant::AnyBrokerEpoch)),
        ("roll-back-always", Mutation::Rule(Mutant::RollBackAlways)),
        ("truncate-to-watermark", Mutation::TruncateToWatermark),
        ("truncate-in-one-step", Mutation::TruncateInOneStep),
        ("act-before-registration", Mutation::ActBeforeRegistration),
        ("ack-at-append", Mutation::AckAtAppend),
        ("ignore-sync", Mutation::IgnoreSync),
    ];

    pub fn from_name(name: &str) -> Option<Mutation> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, mutation)| *mutation)
    }

    /// The rule that the machines leave out, if it is one of theirs.
    pub fn rule(self) -> Option<Mutant> {
        match self {
            Mutation::Rule(mutant) => Some(mutant),
            Mutation::TruncateToWatermark
            | Mutation::TruncateInOneStep
            | Mutation::ActBeforeRegistration
            | Mutation::AckAtAppend
            | Mutation::IgnoreSync => None,
        }
    }
}
