//! What is wrong with a corpus: everything is read once, and everything that is found is said.
//!
//! [`examine`] looks at a corpus of dyads, [`examine_hume`] at Hume-Reaction. Each clip's files are hashed, its tables and sound
//! read, its video decoded to the end, by the code that [`crate::prepare`] packs with; what is an error here is one there. Memory is
//! that of one clip a thread and of a hash a file.
//!
//! | severity | what |
//! |---|---|
//! | error | missing, empty, truncated or undecodable files; wrong columns; NaN or infinite values; action units and probabilities outside \[0, 1\], probabilities whose sum is off by more than 0.05; frame counts that differ by more than 1; another frame rate; clips without partner; the same bytes in several splits (sound: a warning); a list, table or matrix that cannot be used |
//! | warning | action units between 0 and 1, valence or arousal outside \[−1, 1\], sums off by more than 0.005; sound that is more than 1 s shorter than its video; the same bytes twice in a split; files that no list names; clips without an appropriate reaction |
//! | note | a clip of Hume-Reaction with a video or a sound alone |

mod clip;
mod dyads;
mod finding;
mod hume;
mod report;
mod same;

pub use dyads::examine;
pub use finding::{Finding, Kind, Modality, Severity};
pub use hume::examine_hume;
pub use report::{Diagnosis, Files, SplitCounts};

pub(crate) use clip::{Examined, Expected, check_decoded};
pub(crate) use dyads::corpus_rate;
pub(crate) use finding::kind_of;

use crate::DataError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `work` of each of `items` in their order, by so many threads; 0 takes one per core.
fn on_threads<T: Sync, R: Send>(items: &[T], threads: usize, work: impl Fn(&T) -> R + Sync) -> Result<Vec<R>, DataError> {
    let next = AtomicUsize::new(0);
    let one = || {
        let mut results = Vec::new();
        while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, items.get(index)?))) {
            results.push((index, work(item)));
        }
        results
    };
    let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(items.len()).max(1)).map(|_| scope.spawn(one)).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Result<Vec<_>, _>>()
    })
    .map_err(|_| DataError::Loader("a thread failed; this is a defect".to_owned()))?
    .into_iter()
    .flatten()
    .collect();
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}
