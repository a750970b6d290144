//! Who may hold the places of a gRPC or HTTP listener.
//!
//! Promises:
//! - an address has three quarters of the places at most, so that others keep a way in;
//! - a quarter of the places is for those that this node has itself connected to, the controllers and
//!   the brokers that it follows, and for this machine. With all places taken by outsiders nobody
//!   could be elected: a candidate connects anew.
//!
//! Does not: know who is who. A member that comes from another address than it listens on is a
//! stranger.

use env::places::{Place, Places};
use env::{BoxStream, Listener, Network, SocketOptions};
use futures::future::BoxFuture;
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// Addresses that are remembered: the nodes of a large cluster, some of which have moved.
const ADDRESSES_MAX: usize = 1024;

/// The addresses that this node has connected to. A clone is the same addresses.
#[derive(Clone, Default)]
pub(super) struct Acquaintances(Arc<Mutex<BTreeSet<IpAddr>>>);

impl Acquaintances {
    /// The same network, with its connections noted here.
    pub(super) fn noting(&self, network: Arc<dyn Network>) -> Arc<dyn Network> {
        Arc::new(Noting { network, acquaintances: self.clone() })
    }

    fn meet(&self, address: IpAddr) {
        let mut addresses = self.addresses();
        if addresses.len() < ADDRESSES_MAX {
            addresses.insert(address.to_canonical());
        }
    }

    fn addresses(&self) -> MutexGuard<'_, BTreeSet<IpAddr>> {
        self.0.lock().expect("no thread panicked with the addresses")
    }
}

struct Noting {
    network: Arc<dyn Network>,
    acquaintances: Acquaintances,
}

impl Network for Noting {
    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        Box::pin(async move {
            let stream = self.network.connect(addr).await?;
            if let Ok(peer) = stream.peer_addr() {
                self.acquaintances.meet(peer.ip());
            }
            Ok(stream)
        })
    }

    fn listen<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.listen(addr)
    }

    fn listen_with<'a>(
        &'a self,
        addr: &'a str,
        options: SocketOptions,
    ) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.network.listen_with(addr, options)
    }
}

/// The places of one listener.
pub(super) struct Guests {
    all: Places,
    /// For acquaintances where the others are taken.
    own: Places,
    acquaintances: Acquaintances,
}

impl Guests {
    pub(super) fn new(connections_max: u32, acquaintances: Acquaintances) -> Guests {
        let own = connections_max / 4;
        let all = connections_max - own;
        let own = Places::new(own, own);
        Guests { all: Places::new(all, all - all / 4), own, acquaintances }
    }

    /// A place for a connection from `address`.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        if address.is_loopback() {
            // Many nodes may be on one machine, and no outsider is.
            return self.all.take_unshared(address).or_else(|| self.own.take(address));
        }
        let is_known = || self.acquaintances.addresses().contains(&address);
        self.all.take(address).or_else(|| if is_known() { self.own.take(address) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env::Env;

    #[test]
    fn strangers_leave_a_quarter_to_those_that_this_node_knows_and_a_share_to_each_other() {
        let [first, second, member]: [IpAddr; 3] =
            [[10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into()];
        let acquaintances = Acquaintances::default();
        acquaintances.meet(member);
        let guests = Guests::new(16, acquaintances);
        let take = |address: IpAddr, count: usize| -> Vec<Place> {
            (0..count).filter_map(|_| guests.take(address)).collect()
        };
        let strangers = [take(first, 16), take(second, 16)];
        assert_eq!(strangers.each_ref().map(Vec::len), [9, 3]);
        let mapped: IpAddr = "::ffff:10.0.0.3".parse().expect("an address");
        let members = [take(member, 2), take(mapped, 16)];
        assert_eq!(members.each_ref().map(Vec::len), [2, 2], "its places are left");
        assert!(take([127, 0, 0, 1].into(), 1).is_empty(), "all are taken");
        drop(strangers);
        assert_eq!(take([127, 0, 0, 1].into(), 16).len(), 12, "no share for this machine");
    }

    #[tokio::test]
    async fn whom_this_node_connects_to_it_knows() {
        let acquaintances = Acquaintances::default();
        let network = acquaintances.noting(Env::real().net);
        let listener = network.listen("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        network.connect(&address.to_string()).await.expect("connected");
        assert!(acquaintances.addresses().contains(&address.ip()));
    }
}
