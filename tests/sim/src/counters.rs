//! How often what happened: a batch of seeds in which nothing happened proves nothing.

use std::fmt;

macro_rules! counters {
    ($($name:ident,)*) => {
        /// Counts of one run, or of many added up.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Counters {
            $(pub $name: u64,)*
        }

        impl Counters {
            pub fn add(&mut self, other: &Counters) {
                $(self.$name += other.$name;)*
            }

            /// The names of what never happened.
            pub fn missing(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name),)*];
                all.into_iter().filter(|(_, count)| *count == 0).map(|(name, _)| name).collect()
            }
        }

        impl fmt::Display for Counters {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>10}  {}", self.$name, stringify!($name))?;)*
                Ok(())
            }
        }
    };
}

counters! {
    events,
    elections,
    last_replicas_lost,
    eligible_elected,
    acks_all,
    acks_leader,
    produce_refused,
    produce_retries,
    not_enough_replicas,
    records_truncated,
    records_lost_in_crashes,
    divergences,
    isr_shrinks,
    isr_expands,
    isr_refused,
    asked_anew,
    answers_parked,
    slow_followers,
    registrations,
    fencings,
    unfencings,
    crashes,
    lossy_crashes,
    disks_wiped,
    replicas_failed,
    failures_told,
    replicas_deleted,
    topics_deleted,
    min_isr_changes,
    restarts,
    pauses,
    partitions,
    balances,
    false_alarms,
    failovers,
    unknown_outcomes,
    snapshots_loaded,
    controlled_shutdowns,
    streams_broken,
    streams_slow,
    messages_lost,
    messages_doubled,
    epochs_refused,
}
