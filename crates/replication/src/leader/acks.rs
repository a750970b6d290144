//! How many replicas a producer waits for.

use types::ErrorCode;

/// `acks` of a produce request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// 0: no answer.
    None,
    /// 1: the leader's append.
    Leader,
    /// -1: every member of the ISR.
    All,
}

impl Acks {
    /// The meaning of the number on the wire; anything else is INVALID_REQUIRED_ACKS.
    pub fn from_wire(acks: i16) -> Option<Acks> {
        match acks {
            0 => Some(Acks::None),
            1 => Some(Acks::Leader),
            -1 => Some(Acks::All),
            _ => None,
        }
    }
}

/// The committed ISR is smaller than `min.insync.replicas`: refused before the append.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{isr} in-sync replicas are fewer than the required {min_isr}")]
pub struct NotEnoughReplicas {
    pub isr: usize,
    pub min_isr: usize,
}

impl NotEnoughReplicas {
    pub fn code(self) -> ErrorCode {
        ErrorCode::NotEnoughReplicas
    }
}
