//! A producer: one send at a time, retried as Kafka's clients do, every value unique.

use crate::context::Context;
use crate::event::*;
use types::{ErrorCode, NodeId, Offset, TopicIdPartition};

const TRIES_MAX: u32 = 8;
const TIMEOUT_MS: u64 = 900;

/// The send under way.
struct Sending {
    request: u64,
    partition: TopicIdPartition,
    values: Vec<u64>,
    is_acks_all: bool,
    tries: u32,
}

pub struct Client {
    id: usize,
    next_request: u64,
    next_value: u64,
    sending: Option<Sending>,
    /// No new sends: the run ends.
    pub is_draining: bool,
}

impl Client {
    pub fn new(id: usize) -> Client {
        let next_value = (id as u64 + 1) << 40;
        Client { id, next_request: 0, next_value, sending: None, is_draining: false }
    }

    pub fn is_idle(&self) -> bool {
        self.sending.is_none()
    }

    /// Takes an input; the answer is a request to be sent to the leader of its partition.
    pub fn handle(
        &mut self,
        ctx: &mut Context,
        input: ClientInput,
        partitions: &[TopicIdPartition],
    ) -> Option<Produce> {
        match input {
            ClientInput::Send => self.send(ctx, partitions),
            ClientInput::Answered { request, outcome } if self.is_current(request) => {
                self.answered(ctx, outcome);
                None
            }
            ClientInput::TimedOut { request } if self.is_current(request) => {
                self.answered(ctx, Err(ErrorCode::RequestTimedOut));
                None
            }
            ClientInput::Answered { .. } | ClientInput::TimedOut { .. } => None,
        }
    }

    fn is_current(&self, request: u64) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.request == request)
    }

    fn send(&mut self, ctx: &mut Context, partitions: &[TopicIdPartition]) -> Option<Produce> {
        let request = self.next_request;
        self.next_request += 1;
        // Its topic may be deleted.
        self.sending = self.sending.take().filter(|it| partitions.contains(&it.partition));
        if self.sending.is_none() {
            if self.is_draining {
                return None;
            }
            let count = ctx.rng.range(1, 5);
            let values = (self.next_value..self.next_value + count).collect();
            self.next_value += count;
            let partition = *ctx.rng.pick(partitions)?;
            let is_acks_all = ctx.rng.chance(850);
            let tries = 0;
            self.sending = Some(Sending { request, partition, values, is_acks_all, tries });
        }
        let sending = self.sending.as_mut().expect("just set");
        sending.request = request;
        sending.tries += 1;
        let client = self.id;
        let timeout = Event::Client { client, input: ClientInput::TimedOut { request } };
        ctx.after_ms(TIMEOUT_MS, timeout);
        Some(Produce {
            client,
            request,
            partition: sending.partition,
            values: sending.values.clone(),
            is_acks_all: sending.is_acks_all,
        })
    }

    fn answered(&mut self, ctx: &mut Context, outcome: Result<Offset, ErrorCode>) {
        let sending = self.sending.as_ref().expect("an answer is to a send");
        let is_over = outcome.is_ok() || sending.tries >= TRIES_MAX || self.is_draining;
        let rest = if is_over { ctx.config.client_rest_ms_max } else { 120 };
        let pause = ctx.rng.range(1, rest);
        if is_over {
            self.sending = None;
        } else {
            ctx.counters.produce_retries += 1;
        }
        ctx.after_ms(pause, Event::Client { client: self.id, input: ClientInput::Send });
    }
}

/// Where a client sends to: whom some running broker takes for the leader, or now and then anyone.
pub fn target(
    ctx: &mut Context,
    nodes: &std::collections::BTreeMap<NodeId, crate::node::Node>,
    partition: TopicIdPartition,
) -> Option<NodeId> {
    let running: Vec<&crate::node::Node> =
        nodes.values().filter(|node| node.process.is_some()).collect();
    let asked = *ctx.rng.pick(&running)?;
    if ctx.rng.chance(30) {
        return Some(asked.id);
    }
    let image = &asked.process.as_ref()?.image;
    let leader = image.partition(partition)?.leader;
    (leader != NodeId::NONE).then_some(leader)
}
