//! The second job: emotional reaction intensities of a face, a voice, or both (Hume-Reaction).

mod batches;
mod config;
mod data;
mod evaluate;
mod events;
mod features;
mod pipeline;
mod predict;
mod report;
mod run;
mod stored;
mod train;
mod trained;

pub use config::EriConfig;
pub use data::Without;
pub use evaluate::{Evaluation, PUBLISHED, SeedScores, evaluate};
pub use features::compute;
pub use pipeline::{corpus, prepare, prepare_plan, run, synth, train_seeds};
pub use predict::{predict_one, predict_split};
pub use report::report;
pub(crate) use report::report_to;
pub use run::{Record, SeedRun};
pub(crate) use stored::{Points, Stored, clip_errors};
pub use train::{Beginnings, train};
pub use trained::TrainedEri;
