//! Ports for brokers: the documented ones where they are free.

use env::Env;
use serde::{Deserialize, Serialize};
use std::io;

/// Ports from one broker's first to the next one's.
const STRIDE: u16 = 10;
/// The first broker's Kafka port where none is asked for.
const DEFAULT_PORT: u16 = 9092;
/// All brokers listen here only.
pub(crate) const HOST: &str = "127.0.0.1";

/// The ports of one broker.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ports {
    pub(crate) kafka: u16,
    pub(crate) controller: u16,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
}

impl Ports {
    /// The documented layout for broker `index`, from 0; `None` past the last port.
    fn of(first: u16, index: u16) -> Option<Ports> {
        let kafka = first.checked_add(index.checked_mul(STRIDE)?)?;
        let http = kafka.checked_add(3)?;
        Some(Ports { kafka, controller: kafka + 1, grpc: kafka + 2, http })
    }

    pub(crate) fn all(&self) -> [u16; 4] {
        [self.kafka, self.controller, self.grpc, self.http]
    }
}

/// Ports for `count` brokers: from `asked` on, from 9092 on, or any free ones (asked for 0, or
/// 9092 and the following are taken).
pub(crate) async fn choose(env: &Env, count: u16, asked: Option<u16>) -> io::Result<Vec<Ports>> {
    if asked != Some(0) {
        let first = asked.unwrap_or(DEFAULT_PORT);
        let layout: Option<Vec<Ports>> = (0..count).map(|index| Ports::of(first, index)).collect();
        let taken = match &layout {
            Some(layout) => first_taken(env, layout).await,
            None => None,
        };
        let refused = |text| Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        match (layout, taken, asked) {
            (Some(layout), None, _) => return Ok(layout),
            (Some(_), Some(port), Some(_)) => {
                return refused(format!("port {port} is taken: give another --port"));
            }
            (None, _, Some(asked)) => {
                return refused(format!(
                    "{count} brokers do not fit above port {asked}: give a lower --port"
                ));
            }
            (_, _, None) => {}
        }
    }
    any_free(env, count).await
}

/// The first of these ports that cannot be listened on.
pub(crate) async fn first_taken(env: &Env, layout: &[Ports]) -> Option<u16> {
    for port in layout.iter().flat_map(Ports::all) {
        if env.net.listen(&format!("{HOST}:{port}")).await.is_err() {
            return Some(port);
        }
    }
    None
}

/// Free ports, all held at once so that they differ.
async fn any_free(env: &Env, count: u16) -> io::Result<Vec<Ports>> {
    let mut held = Vec::new();
    let mut layout = Vec::new();
    for _ in 0..count {
        let mut ports = [0u16; 4];
        for port in &mut ports {
            let listener = env.net.listen(&format!("{HOST}:0")).await?;
            *port = listener.local_addr()?.port();
            held.push(listener);
        }
        let [kafka, controller, grpc, http] = ports;
        layout.push(Ports { kafka, controller, grpc, http });
    }
    Ok(layout)
}
