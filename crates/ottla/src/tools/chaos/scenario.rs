//! What can be done to a cluster.

/// A scenario, repeated until the time is over.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// kill -9 of the broker that leads most, which comes back
    LeaderKill,
    /// kill -9 of the active controller, which comes back
    ControllerKill,
    /// kill -9 of each node in turn, each back before the next
    RollingKill,
    /// kill -9 of all nodes at once, and all start again
    AllKill,
    /// The broker that leads most stands still for 5 s, and wakes as a leader of the past
    LeaderPause,
    /// The broker that leads least stands still for 5 s
    FollowerPause,
    /// Each node is told to stop and started again, one at a time
    RollingRestart,
    /// Random kills, pauses and restarts, up to all nodes at once, without time to recover
    Storm,
}

/// What must be possible for a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    Kill,
    Start,
    Stop,
    Pause,
    Resume,
}

impl Scenario {
    pub fn needs(self) -> &'static [Deed] {
        match self {
            Scenario::LeaderKill
            | Scenario::ControllerKill
            | Scenario::RollingKill
            | Scenario::AllKill => &[Deed::Kill, Deed::Start],
            Scenario::LeaderPause | Scenario::FollowerPause => &[Deed::Pause, Deed::Resume],
            Scenario::RollingRestart => &[Deed::Stop, Deed::Start],
            Scenario::Storm => &[Deed::Kill, Deed::Start, Deed::Stop, Deed::Pause, Deed::Resume],
        }
    }
}

impl Deed {
    pub fn name(self) -> &'static str {
        match self {
            Deed::Kill => "kill",
            Deed::Start => "start",
            Deed::Stop => "stop",
            Deed::Pause => "pause",
            Deed::Resume => "resume",
        }
    }
}
