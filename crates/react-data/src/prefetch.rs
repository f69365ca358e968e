use crate::{DataError, HostBatch, Loader};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Makes batches ahead on threads of its own and yields them in order: the same batches as [`Loader::at`], sooner.
///
/// At most `depth` batches are held or being made beside the one that was yielded last, so memory is bounded. Dropping it ends
/// its threads.
#[derive(Debug)]
pub struct Prefetch {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    loader: Loader,
    depth: u64,
    state: Mutex<State>,
    /// A batch became ready, or a worker ended.
    ready: Condvar,
    /// A batch was taken, or the end has come.
    taken: Condvar,
}

#[derive(Debug)]
struct State {
    /// The next step that no worker has begun.
    claim: u64,
    /// The next step to yield.
    next: u64,
    end: u64,
    batches: BTreeMap<u64, Result<HostBatch, DataError>>,
    stop: bool,
    /// A worker ended in a panic, and its batch will never come.
    broken: bool,
}

impl Prefetch {
    /// Begins to make the batches of `steps` (counted through all epochs) on `workers` threads, at most `depth` ahead; both
    /// are at least 1.
    ///
    /// # Errors
    /// [`DataError::Loader`] where the system gives no threads.
    pub fn new(loader: Loader, steps: Range<u64>, workers: usize, depth: usize) -> Result<Self, DataError> {
        let state = State { claim: steps.start, next: steps.start, end: steps.end, batches: BTreeMap::new(), stop: false, broken: false };
        let shared =
            Arc::new(Shared { loader, depth: depth.max(1) as u64, state: Mutex::new(state), ready: Condvar::new(), taken: Condvar::new() });
        let mut this = Self { shared, workers: Vec::new() };
        for worker in 0..workers.max(1) {
            let shared = Arc::clone(&this.shared);
            let thread = std::thread::Builder::new().name(format!("loader {worker}")).spawn(move || shared.work());
            // Dropping `this` ends those that began.
            this.workers.push(thread.map_err(|error| DataError::Loader(format!("no thread: {error}")))?);
        }
        Ok(this)
    }
}

impl Iterator for Prefetch {
    type Item = Result<HostBatch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.shared.lock();
        loop {
            if state.next >= state.end {
                return None;
            }
            let step = state.next;
            if let Some(batch) = state.batches.remove(&step) {
                state.next += 1;
                self.shared.taken.notify_all();
                return Some(batch);
            }
            if state.broken {
                state.next = state.end;
                return Some(Err(DataError::Loader(format!("a thread that made batches ended before step {step}"))));
            }
            state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.taken.notify_all();
        for worker in self.workers.drain(..) {
            // A panic was reported as an error by `next`.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let _watch = Watch(self);
        while let Some(step) = self.claim() {
            let batch = self.loader.at(step);
            self.lock().batches.insert(step, batch);
            self.ready.notify_all();
        }
    }

    /// The next step to make, when there is room for it; none at the end.
    fn claim(&self) -> Option<u64> {
        let mut state = self.lock();
        loop {
            if state.stop || state.claim >= state.end {
                return None;
            }
            if state.claim - state.next < self.depth {
                state.claim += 1;
                return Some(state.claim - 1);
            }
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Tells the one who waits when a worker panics: otherwise it would wait for ever.
struct Watch<'a>(&'a Shared);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().broken = true;
            self.0.ready.notify_all();
        }
    }
}
