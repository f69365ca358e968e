//! Work on several threads, with results in the items' order.
//!
//! Threads of our own, not a rayon pool: a rayon thread that waits for another pool takes up more of our work meanwhile, clip within
//! clip, until its stack is full.

use crate::DataError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Threads that the machine runs at once.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// `work` of each of `items`, in their order, by so many threads (0 takes one per core), each with a state of its own.
///
/// # Errors
/// Where a thread panics.
pub(crate) fn map<T: Sync, S, R: Send>(
    items: &[T],
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &T) -> R + Sync,
) -> Result<Vec<R>, DataError> {
    let threads = if threads == 0 { cores() } else { threads }.clamp(1, items.len().max(1));
    let next = AtomicUsize::new(0);
    let one = || {
        let (mut state, mut results) = (state(), Vec::new());
        while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, items.get(index)?))) {
            results.push((index, work(&mut state, item)));
        }
        results
    };
    let results = thread::scope(|scope| {
        // Where the system gives no more threads, those that are there do all.
        let others: Vec<_> = (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, one).ok()).collect();
        let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(one));
        let joined: Vec<_> = std::iter::once(first).chain(others.into_iter().map(thread::ScopedJoinHandle::join)).collect();
        joined.into_iter().collect::<Result<Vec<_>, _>>()
    });
    let results = results.map_err(|_| DataError::Loader("a thread failed; this is a defect".to_owned()))?;
    let mut results: Vec<(usize, R)> = results.into_iter().flatten().collect();
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_are_in_the_items_order_and_states_are_the_threads_own() {
        let items: Vec<usize> = (0..500).collect();
        for threads in [0, 1, 3, 1000] {
            let work = |done: &mut usize, item: &usize| {
                *done += 1;
                (*item * 2, *done)
            };
            let results = map(&items, threads, || 0, work).unwrap();
            assert!(results.iter().map(|(double, _)| *double).eq((0..500).map(|item| item * 2)));
            assert_eq!(results.iter().filter(|(_, nth)| *nth == 1).count().min(1), 1);
        }
        assert!(map(&[] as &[u8], 2, || (), |(), _| ()).unwrap().is_empty());
    }

    #[test]
    fn a_panic_is_an_error() {
        assert!(map(&[1, 2, 3], 2, || (), |(), item| assert_ne!(*item, 2)).is_err());
    }
}
