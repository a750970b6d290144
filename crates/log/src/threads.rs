//! The same work on many things at once: what waits for the disk waits together.

use env::sections::on_blocking_thread;
use std::sync::Mutex;

/// Does the work on each item, on at most so many threads. The results are in the order of the items.
/// One thread is the caller's own, so that a simulation stays in order.
pub(crate) fn on_threads<T: Send, R: Send>(
    threads: usize,
    items: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let threads = threads.min(items.len());
    if threads <= 1 {
        return items.into_iter().map(work).collect();
    }
    let count = items.len();
    let queue = Mutex::new(items.into_iter().enumerate());
    let results = Mutex::new(Vec::with_capacity(count));
    let take_turns = || {
        loop {
            let next = queue.lock().expect("nobody panics with the queue").next();
            let Some((index, item)) = next else { return };
            let result = work(item);
            results.lock().expect("nobody panics with the results").push((index, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| on_blocking_thread(take_turns));
        }
    });
    let mut results = results.into_inner().expect("nobody panics with the results");
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items_on_any_number_of_threads() {
        for threads in [0, 1, 2, 7, 200] {
            let doubled = on_threads(threads, (0..100).collect(), |number: i32| number * 2);
            assert!(doubled.into_iter().eq((0..100).map(|number| number * 2)), "{threads}");
        }
        assert!(on_threads(4, Vec::<i32>::new(), |number| number).is_empty());
    }
}
