//! Deliberate mistakes, each the absence of one rule. The simulator runs with every one of them and
//! must find it; this is how we know that it would find the real thing. Nothing else sets one.

/// A rule left out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mutant {
    /// The high watermark moves while the ISR is below `min.insync.replicas` (KAFKA-15583).
    WatermarkUnderMinIsr,
    /// While a change of the ISR is under way, only the proposed set counts (KIP-497).
    WatermarkOverProposedIsr,
    /// A follower joins the ISR without having reached the start of the leader epoch.
    JoinBelowEpochStart,
    /// A follower joins the ISR without having reached the high watermark.
    JoinBelowWatermark,
    /// A follower's registration is not compared with the image's (KIP-903).
    AnyBrokerEpoch,
    /// Positions of followers of another leader epoch count (KIP-320).
    AnyLeaderEpoch,
    /// The position of a follower whose log diverges counts (KAFKA-13141).
    CountDiverging,
    /// Members of the ISR that were not heard in this leader epoch do not hold the watermark.
    IgnoreUnheard,
    /// A follower that the controller took out of the ISR is known as before (KIP-841).
    KeepExpelled,
    /// A follower whose broker is fenced or stopping joins the ISR (KIP-841).
    JoinWhileFenced,
    /// `min.insync.replicas` counts though there are fewer replicas (KAFKA-15583).
    MinIsrAboveReplicas,
    /// What a follower said before it knew why it had left the ISR counts.
    CountOldWord,
    /// The high watermark is told before the start of the leader epoch is covered (KIP-207).
    TellEarly,
    /// What an earlier leadership knew of the followers counts in the next one.
    KeepFollowers,
}
