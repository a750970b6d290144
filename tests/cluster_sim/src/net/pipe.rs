//! One direction of a connection.

use super::HostIndex;
use bytes::Bytes;
use std::collections::VecDeque;
use std::task::Waker;

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Data(Bytes),
    /// Nothing more will come.
    Finish,
    /// The connection is not known any more.
    Reset,
}

/// How a direction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Finished,
    Reset,
}

pub(super) struct Pipe {
    pub from: HostIndex,
    pub to: HostIndex,
    /// The programs that the two ends belong to.
    pub from_life: u64,
    pub to_life: u64,
    /// Arrived and not read.
    pub arrived: VecDeque<Bytes>,
    pub unread: usize,
    /// Sent and not arrived.
    pub under_way: usize,
    /// Sent over a cut link.
    pub held: VecDeque<Item>,
    /// When the last item arrives, so that none overtakes it.
    pub last_due: u64,
    pub end: Option<End>,
    pub reader: Option<Waker>,
    pub writer: Option<Waker>,
    pub reader_is_gone: bool,
    /// The writer has said that nothing more will come, or cannot write any more.
    pub writer_is_done: bool,
    /// The writer has learnt that its peer does not know the connection.
    pub is_broken: bool,
}

impl Pipe {
    pub fn new(from: (HostIndex, u64), to: (HostIndex, u64)) -> Pipe {
        Pipe {
            from: from.0,
            to: to.0,
            from_life: from.1,
            to_life: to.1,
            arrived: VecDeque::new(),
            unread: 0,
            under_way: 0,
            held: VecDeque::new(),
            last_due: 0,
            end: None,
            reader: None,
            writer: None,
            reader_is_gone: false,
            writer_is_done: false,
            is_broken: false,
        }
    }

    /// Bytes between writer and reader.
    pub fn outstanding(&self) -> usize {
        self.unread + self.under_way
    }

    pub fn forget_data(&mut self) {
        self.arrived.clear();
        self.unread = 0;
    }
}
