//! Deliberate mistakes: each leaves one rule out, and some seed must notice. Rules whose absence
//! needs longer coincidences (roll-back after a lost answer, truncation in one step) are held by the
//! golden scripts of `replication`.

use replication::mutant::Mutant;

/// A rule left out, in the machines or in the shell around them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutation {
    Rule(Mutant),
    /// A new follower truncates to its high watermark, as Kafka did before KIP-101.
    TruncateToWatermark,
    /// A leader does not compare epochs: it sends from wherever a follower stands.
    NoDivergenceCheck,
    /// A follower appends a chunk wherever its log ends.
    AppendAnywhere,
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
        ("truncate-to-watermark", Mutation::TruncateToWatermark),
        ("no-divergence-check", Mutation::NoDivergenceCheck),
        ("append-anywhere", Mutation::AppendAnywhere),
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
            | Mutation::NoDivergenceCheck
            | Mutation::AppendAnywhere
            | Mutation::ActBeforeRegistration
            | Mutation::AckAtAppend
            | Mutation::IgnoreSync => None,
        }
    }
}
