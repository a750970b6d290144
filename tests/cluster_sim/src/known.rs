//! Seeds that failed once, each with what it had found. The code has changed since, and with it what
//! they do; where a mistake needed a shape of its own, a test of its own remembers it.

/// The seed, and what it found.
pub const KNOWN: &[(u64, &str)] = &[
    // The longest by far is first, so that nobody waits for it in the end.
    (
        570007,
        "the simulation itself: a group on slow disks had not the time to commit all that it read",
    ),
    (2, "a power cut took the controllers' directories, whose own names were not synced"),
    (3, "a node that was told to stop in the middle of its start panicked"),
    (5, "as 2, for the log directory of the only replica in sync"),
    (36, "as 5"),
    (
        1002,
        "two proposals of one ISR shared a request, and the answer of the old one passed for that of the new",
    ),
    (
        2015,
        "a leader of the controllers went on in its term after a restart, and used an index again",
    ),
    (2043, "a follower with a new disk told a consumer that its offset was out of range"),
    (
        10235,
        "a new follower never took a batch whose first records were deleted, and stayed out of sync",
    ),
    (10292, "as 10235, on a new disk"),
    (10408, "a wrong digit in the leader epochs' file was believed after a crash"),
    (
        10254,
        "a broker with a wiped disk was the last of the ISR, as all others had crashed, and might lead",
    ),
    (10015, "the simulation itself: a wrong bit where Kafka's format has no checksum"),
    (40081, "the simulation itself: too few unsynced segments were allowed to be open"),
    (
        50090,
        "the simulation itself: a disk was replaced while all nodes were stopping, and one started",
    ),
    (
        100693,
        "a controller whose journal had failed kept its broker's metadata from going on, and that told \
         old committed offsets for a second",
    ),
    (
        300312,
        "a wrong digit in the checkpoint of log start offsets: a log that seemed to start later lost records",
    ),
    (
        540550,
        "a wrong bit in a batch's leader epoch made a log whose epochs were not those of its batches",
    ),
    (
        540734,
        "a controller whose journal failed at a vote told of itself as the active one of the vote's term",
    ),
    (
        530143,
        "the simulation itself: a wrong bit that nobody had read yet was taken for what is served",
    ),
    (550023, "the simulation itself: as 530143, for a producer's id"),
    (550394, "the simulation itself: a Raft that has stopped was asked what is committed"),
    (
        550597,
        "the simulation itself: a damaged replica that is built anew was taken for one that was cut",
    ),
    (10380, "the simulation itself: compaction was taken for a change of what was committed"),
    (100460, "the simulation itself: members that kept leaving had no time to read everything"),
];
