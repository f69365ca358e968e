use crate::packed::Workshop;
use crate::threads::cores;
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
    /// Threads of each worker.
    threads: usize,
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
    /// Pictures' buffers of batches that were given back.
    spare: Vec<Vec<u8>>,
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
        let (claim, next, end) = (steps.start, steps.start, steps.end);
        let state = State { claim, next, end, batches: BTreeMap::new(), spare: Vec::new(), stop: false, broken: false };
        let (depth, threads) = (depth.max(1) as u64, (cores() / workers.max(1)).max(1));
        let (ready, taken) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { loader, depth, threads, state: Mutex::new(state), ready, taken });
        let mut this = Self { shared, workers: Vec::new() };
        for worker in 0..workers.max(1) {
            let shared = Arc::clone(&this.shared);
            let thread = std::thread::Builder::new().name(format!("loader {worker}")).spawn(move || shared.work());
            // Dropping `this` ends those that began.
            this.workers.push(thread.map_err(|error| DataError::Loader(format!("no thread: {error}")))?);
        }
        Ok(this)
    }

    /// Gives a batch back when it is done with: a later one is made in its memory, which spares the system handing out new
    /// pages (that takes longer than the copying). Batches that are not given back are only slower.
    pub fn recycle(&self, batch: HostBatch) {
        let (frames, ..) = batch.into_parts();
        let mut state = self.shared.lock();
        if (state.spare.len() as u64) <= self.shared.depth {
            state.spare.push(frames.into_inner().into_raw_vec_and_offset().0);
        }
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
            let buffer = self.lock().spare.pop().unwrap_or_default();
            let batch = self.loader.at_with(step, Workshop { threads: self.threads, buffer });
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
