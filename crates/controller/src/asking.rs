//! Who is at an address, asked on behalf of a node that wants to join.
//!
//! Promises: an address is asked by one call at a time, and all who want to know meanwhile get its
//! answer; of addresses that no list names, at most [`UNLISTED_MAX`] are asked at once. So an outsider
//! that asks to join again and again costs no more than a connection to each, and keeps no lawful node
//! from being asked.

use crate::raft::MemberId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::OnceCell;

/// Addresses that no list names are asked so many at once.
pub const UNLISTED_MAX: usize = 4;

/// Who answered at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Present {
    pub member: MemberId,
    pub cluster_id: String,
}

/// One call under way. `None` in it: nobody answered.
type Call = Arc<OnceCell<Option<Present>>>;

/// The calls under way, by address.
#[derive(Default)]
pub struct Asking {
    listed: Mutex<BTreeMap<String, Call>>,
    unlisted: Mutex<BTreeMap<String, Call>>,
}

/// One that waits for a call's answer.
struct Waiter<'a> {
    calls: &'a Mutex<BTreeMap<String, Call>>,
    address: &'a str,
    call: Call,
}

impl Asking {
    /// The answer of `call`, or of one to the same address that is under way.
    pub async fn ask<F>(
        &self,
        address: &str,
        is_listed: bool,
        call: impl FnOnce() -> F,
    ) -> Result<Option<Present>, String>
    where
        F: Future<Output = Option<Present>>,
    {
        let waiter = self.waiter(address, is_listed)?;
        Ok(waiter.call.get_or_init(call).await.clone())
    }

    fn waiter<'a>(&'a self, address: &'a str, is_listed: bool) -> Result<Waiter<'a>, String> {
        let calls = if is_listed { &self.listed } else { &self.unlisted };
        let mut under_way = lock(calls);
        if !is_listed && under_way.len() >= UNLISTED_MAX && !under_way.contains_key(address) {
            return Err("too many nodes are joining".to_owned());
        }
        let call = under_way.entry(address.to_owned()).or_default().clone();
        Ok(Waiter { calls, address, call })
    }
}

impl Drop for Waiter<'_> {
    /// An answer is for those who waited for it: the next one asks anew.
    fn drop(&mut self) {
        let mut under_way = lock(self.calls);
        let is_current =
            under_way.get(self.address).is_some_and(|call| Arc::ptr_eq(call, &self.call));
        // Two: the map's and this one's. All others have given up.
        let is_over = self.call.initialized() || Arc::strong_count(&self.call) == 2;
        if is_current && is_over {
            under_way.remove(self.address);
        }
    }
}

fn lock(calls: &Mutex<BTreeMap<String, Call>>) -> MutexGuard<'_, BTreeMap<String, Call>> {
    calls.lock().expect("no thread panicked with the calls")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use types::{NodeId, Uuid};

    #[tokio::test]
    async fn however_many_want_to_join_an_address_is_asked_once_at_a_time() {
        let asking = Asking::default();
        let calls = AtomicUsize::new(0);
        let present = Present {
            member: MemberId::new(NodeId(2), Uuid([2; 16])),
            cluster_id: "ours".to_owned(),
        };
        let call = || async {
            calls.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Some(present.clone())
        };
        for round in 1..=2 {
            let all = join_all((0..100).map(|_| asking.ask("h:1", true, call))).await;
            assert!(all.iter().all(|answer| *answer == Ok(Some(present.clone()))));
            assert_eq!(calls.load(Ordering::Relaxed), round, "the next ones ask anew");
        }
        assert!(lock(&asking.listed).is_empty());
    }

    #[tokio::test]
    async fn addresses_that_no_list_names_are_bounded_and_given_up_with_who_asked() {
        let asking = Asking::default();
        let addresses: Vec<String> = (0..UNLISTED_MAX).map(|at| format!("h:{at}")).collect();
        let ask = |address, is_listed| {
            asking.ask(address, is_listed, std::future::pending::<Option<Present>>)
        };
        let mut waiting: Vec<_> = addresses.iter().map(|one| Box::pin(ask(one, false))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        assert!(matches!(ask("more:1", false).now_or_never(), Some(Err(_))));
        assert!(ask("more:1", true).now_or_never().is_none(), "a list names it");
        drop(waiting);
        assert!(lock(&asking.unlisted).is_empty() && lock(&asking.listed).is_empty());
    }
}
