//! Deliberate mistakes: each leaves one rule out, and some seed must notice.

use replication::mutant::Mutant;

/// A rule left out, in the machines, in the shell around them, or in the controller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutation {
    Rule(Mutant),
    /// A new follower truncates to its high watermark, as Kafka did before KIP-101.
    TruncateToWatermark,
    /// A follower truncates to the leader's end alone, without its own epochs (before KIP-279).
    TruncateWithoutOwnEpochs,
    /// A leader does not compare epochs: it sends from wherever a follower stands.
    NoDivergenceCheck,
    /// A follower takes the high watermark of a diverging answer (KAFKA-14704).
    DivergingWatermark,
    /// A follower appends a chunk wherever its log ends.
    AppendAnywhere,
    /// A follower appends a chunk of any leader epoch.
    ChunkOfAnyEpoch,
    /// A follower goes on as before when its leader leads in a new epoch (KAFKA-7164).
    NoRestartPerEpoch,
    /// A follower shows records up to the leader's watermark, whatever it has of them.
    WatermarkAboveEnd,
    /// A truncated log keeps the epochs beyond its end (KAFKA-10706).
    KeepTruncatedEpochs,
    /// A log keeps an empty epoch when records of an earlier one follow.
    KeepEmptyEpochs,
    /// What is left of a broken stream counts after its follower has opened another. Not in the
    /// table: it was noticed once in 4,000 seeds before positions named partition epochs, and not
    /// in 6,000 since.
    OldStreamCounts,
    /// A broker acts on roles of the image before it has seen its own registration.
    ActBeforeRegistration,
    /// A broker whose registration was replaced by a late one of a former start stays as it is.
    NeverRegisterAgain,
    /// A produce with acks=all is answered at the append.
    AckAtAppend,
    /// A leader that resigns answers the produces that wait as committed.
    AckAtResignation,
    /// A call without an answer counts as refused.
    LostIsRefused,
    /// Any refusal says that nothing was applied. Not in the table, like `OldStreamCounts`.
    AnyRefusalRollsBack,
    /// The leader of a synced topic counts its page cache.
    LeaderIgnoresSync,
    /// The followers of a synced topic report their page cache.
    FollowerIgnoresSync,
    /// A new registration leaves the broker in its ISRs.
    KeepIsrAtRegistration,
    /// An AlterPartition is applied to whatever partition epoch there is.
    AnyPartitionEpoch,
    /// An AlterPartition is applied in whatever leader epoch there is.
    AnyLeaderEpochInAlter,
    /// A lost replica outside of the ISR changes nothing.
    SilentLoss,
    /// A lost replica stays in the ISR as its last member, though another is eligible.
    LastMemberStays,
    /// A broker makes an empty log for a partition that the image counts on it for, and leads it.
    EmptyReplicaLeads,
    /// A leader acts on an AlterPartition's answer before it has the image of then.
    AnswerBeforeImage,
    /// A leader takes an ISR from an image with its former settings.
    SettingsAfterRoles,
    /// A leader takes settings from an image with its former ISR.
    SettingsBeforeRoles,
    /// A partition's log is found by its topic's name.
    LogsByName,
    /// Every broker that registers again counts as cleanly stopped.
    EveryStopIsClean,
    /// Who leaves the ISR is eligible, however many remain.
    AlwaysEligible,
    /// Any live replica may lead when no in-sync one is left.
    UncleanElection,
    /// A new leader gets the old leader's epoch.
    SameLeaderEpoch,
    /// The controller answers before its records are committed.
    AnswerBeforeCommit,
    /// A new controller does not know the last batch that the former one committed.
    ForgetCommitted,
}

impl Mutation {
    /// Every mistake: its name, and the rule that it leaves out.
    pub const ALL: &'static [(&'static str, Mutation, &'static str)] = &[
        (
            "watermark-under-min-isr",
            Mutation::Rule(Mutant::WatermarkUnderMinIsr),
            "the high watermark stands still while the ISR is below `min.insync.replicas` (KAFKA-15583)",
        ),
        (
            "watermark-over-proposed-isr",
            Mutation::Rule(Mutant::WatermarkOverProposedIsr),
            "the high watermark counts the larger of two possible ISRs (KIP-497)",
        ),
        (
            "join-below-epoch-start",
            Mutation::Rule(Mutant::JoinBelowEpochStart),
            "a follower joins the ISR only from the start of the leader epoch on",
        ),
        (
            "join-below-watermark",
            Mutation::Rule(Mutant::JoinBelowWatermark),
            "a follower joins the ISR only from the high watermark on",
        ),
        (
            "any-broker-epoch",
            Mutation::Rule(Mutant::AnyBrokerEpoch),
            "a follower counts only under the registration that the image holds (KIP-903)",
        ),
        (
            "any-leader-epoch",
            Mutation::Rule(Mutant::AnyLeaderEpoch),
            "positions of another leader epoch are refused (KIP-320)",
        ),
        (
            "count-diverging",
            Mutation::Rule(Mutant::CountDiverging),
            "a diverging position does not count (KAFKA-13141)",
        ),
        (
            "ignore-unheard",
            Mutation::Rule(Mutant::IgnoreUnheard),
            "a member of the ISR that was not heard in this epoch holds the watermark",
        ),
        (
            "keep-expelled",
            Mutation::Rule(Mutant::KeepExpelled),
            "whom the controller took out of the ISR counts only by what it says afterwards (KIP-841)",
        ),
        (
            "count-old-word",
            Mutation::Rule(Mutant::CountOldWord),
            "whoever left the ISR counts by what it says knowing of that (KIP-903)",
        ),
        (
            "join-while-fenced",
            Mutation::Rule(Mutant::JoinWhileFenced),
            "a fenced broker joins no ISR, at the leader or at the controller (KIP-841)",
        ),
        (
            "min-isr-above-replicas",
            Mutation::Rule(Mutant::MinIsrAboveReplicas),
            "`min.insync.replicas` is at most the number of replicas (KAFKA-15583)",
        ),
        (
            "tell-early",
            Mutation::Rule(Mutant::TellEarly),
            "a high watermark is told once it covers the start of the leader epoch (KIP-207)",
        ),
        (
            "keep-followers",
            Mutation::Rule(Mutant::KeepFollowers),
            "a new leadership knows nothing of its followers",
        ),
        (
            "truncate-to-watermark",
            Mutation::TruncateToWatermark,
            "followers truncate by epoch, never to their watermark (KIP-101)",
        ),
        (
            "truncate-without-own-epochs",
            Mutation::TruncateWithoutOwnEpochs,
            "followers compare the answer with their own epochs (KIP-279)",
        ),
        (
            "no-divergence-check",
            Mutation::NoDivergenceCheck,
            "a leader compares epochs before it sends (KIP-320)",
        ),
        (
            "diverging-watermark",
            Mutation::DivergingWatermark,
            "a diverging answer only truncates (KAFKA-14704)",
        ),
        (
            "append-anywhere",
            Mutation::AppendAnywhere,
            "an answer must continue the log end that was asked for",
        ),
        (
            "chunk-of-any-epoch",
            Mutation::ChunkOfAnyEpoch,
            "an answer must be of the leader epoch that is followed",
        ),
        (
            "no-restart-per-epoch",
            Mutation::NoRestartPerEpoch,
            "every leader epoch begins with a comparison of the logs (KAFKA-7164)",
        ),
        (
            "watermark-above-end",
            Mutation::WatermarkAboveEnd,
            "a follower shows no more than it has (KIP-392)",
        ),
        (
            "keep-truncated-epochs",
            Mutation::KeepTruncatedEpochs,
            "a truncation takes the epochs beyond the end along (KAFKA-10706)",
        ),
        (
            "keep-empty-epochs",
            Mutation::KeepEmptyEpochs,
            "an empty epoch goes when records of an earlier one follow",
        ),
        (
            "act-before-registration",
            Mutation::ActBeforeRegistration,
            "roles are taken only from an image that holds this start's registration",
        ),
        (
            "never-register-again",
            Mutation::NeverRegisterAgain,
            "a broker whose registration was replaced registers again",
        ),
        ("ack-at-append", Mutation::AckAtAppend, "acks=all waits for the high watermark"),
        (
            "ack-at-resignation",
            Mutation::AckAtResignation,
            "a leader that resigns has committed nothing of what waits",
        ),
        (
            "lost-is-refused",
            Mutation::LostIsRefused,
            "an unanswered AlterPartition may have been applied",
        ),
        (
            "leader-ignores-sync",
            Mutation::LeaderIgnoresSync,
            "a synced topic's leader counts what it has synced (KAFKA-10533)",
        ),
        (
            "follower-ignores-sync",
            Mutation::FollowerIgnoresSync,
            "a synced topic's followers report what they have synced (KAFKA-17332)",
        ),
        (
            "keep-isr-at-registration",
            Mutation::KeepIsrAtRegistration,
            "a new registration leaves every ISR (KIP-841)",
        ),
        (
            "any-partition-epoch",
            Mutation::AnyPartitionEpoch,
            "AlterPartition is a compare and set on the partition epoch (KIP-497)",
        ),
        (
            "any-leader-epoch-in-alter",
            Mutation::AnyLeaderEpochInAlter,
            "AlterPartition of an earlier leader epoch is refused",
        ),
        (
            "silent-loss",
            Mutation::SilentLoss,
            "a lost replica raises the partition epoch, so that no join under way succeeds",
        ),
        (
            "last-member-stays",
            Mutation::LastMemberStays,
            "where a replica is lost, an eligible one is waited for (KIP-966, KIP-858)",
        ),
        (
            "empty-replica-leads",
            Mutation::EmptyReplicaLeads,
            "whoever lost what the image says it holds reports it and does not lead (KIP-858)",
        ),
        (
            "answer-before-image",
            Mutation::AnswerBeforeImage,
            "an ISR is acted on with the `min.insync.replicas` of its image",
        ),
        (
            "settings-after-roles",
            Mutation::SettingsAfterRoles,
            "an ISR is taken with the settings of its image, not with former ones",
        ),
        (
            "settings-before-roles",
            Mutation::SettingsBeforeRoles,
            "settings are taken with the ISR of their image, not with a former one",
        ),
        (
            "logs-by-name",
            Mutation::LogsByName,
            "a log belongs to a topic's id, not to its name (KIP-516)",
        ),
        (
            "every-stop-is-clean",
            Mutation::EveryStopIsClean,
            "a replica that may have forgotten records is not eligible (KIP-966)",
        ),
        (
            "always-eligible",
            Mutation::AlwaysEligible,
            "nobody is eligible while the ISR holds `min.insync.replicas` (KIP-966)",
        ),
        ("unclean-election", Mutation::UncleanElection, "only an in-sync replica is elected"),
        ("same-leader-epoch", Mutation::SameLeaderEpoch, "another leader has another leader epoch"),
        (
            "answer-before-commit",
            Mutation::AnswerBeforeCommit,
            "the controller answers what is committed",
        ),
        (
            "forget-committed",
            Mutation::ForgetCommitted,
            "a new controller knows all that was committed",
        ),
    ];

    pub fn from_name(name: &str) -> Option<Mutation> {
        Self::ALL.iter().find(|(known, ..)| *known == name).map(|(_, mutation, _)| *mutation)
    }

    /// The rule that the machines leave out, if it is one of theirs.
    pub fn rule(self) -> Option<Mutant> {
        if let Mutation::Rule(mutant) = self { Some(mutant) } else { None }
    }
}
