//! The command line: what was typed.
#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show shapes as [N,K,T,25], without escapes")]

use crate::config::{CorpusKind, Task};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Facial-reaction modelling, from raw recordings to scored results and pictures.
///
/// Without a subcommand: the whole job of the preset. It makes the synthetic corpus where it is missing, packs it, trains,
/// evaluates beside the baselines, draws the report, and says where everything is. What is there already is reused.
#[derive(Debug, Parser)]
#[command(name = "react-train", version)]
pub struct Cli {
    /// A preset (demo, offline, offline-synthetic) or a TOML file.
    #[arg(long, global = true, default_value = "demo", value_name = "PRESET|FILE")]
    pub config: String,
    /// Sets a key of the configuration, as train.epochs=10; may be given again.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints the configuration as it was understood, and stops.
    #[arg(long, global = true)]
    pub print_plan: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a synthetic corpus in the challenge's layout.
    Synth(Synth),
    /// Packs a corpus: decodes, resizes, crops, computes audio features, writes NumPy files and the manifest; resumable.
    Prepare(Prepare),
    /// Trains on a packed corpus; goes on where a stopped training of the same configuration ended.
    Train,
    /// Generates reactions for a whole split and scores them beside the baselines.
    Evaluate,
    /// Draws the report of a run again.
    Report(Report),
    /// Generates reactions to one speaker.
    Predict(Predict),
    /// Scores predictions of any program.
    Score(Score),
    /// Scores the naive baselines on a packed split.
    Baselines,
    /// Converts weights: a published .pth to .safetensors.
    Convert(Convert),
}

/// `synth`
#[derive(Debug, Args)]
pub struct Synth {
    /// Dyads in all; a quarter of them, at least one, is for validation.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub pairs: u32,
    /// Frames of each clip, at 25 frames/s.
    #[arg(long, value_name = "T", default_value_t = 751, value_parser = clap::value_parser!(u32).range(16..))]
    pub frames: u32,
    /// Width and height of the videos in pixels.
    #[arg(long, value_name = "S", default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=2048))]
    pub size: u32,
    /// Seed: the same seed gives the same bytes.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `prepare`
#[derive(Debug, Args)]
pub struct Prepare {
    /// The corpus' kind; the configuration's where it is not given.
    #[arg(long)]
    pub corpus: Option<CorpusKind>,
    /// The corpus as published.
    #[arg(long, value_name = "IN")]
    pub root: Option<PathBuf>,
    /// Where the packed files go.
    #[arg(long, value_name = "OUT")]
    pub out: Option<PathBuf>,
    /// Pixels of the shorter side before the crop.
    #[arg(long, value_name = "PIXELS")]
    pub shorter: Option<usize>,
    /// Pixels of the square centre crop.
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<usize>,
    /// Threads; all cores where it is not given.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

/// `report`
#[derive(Debug, Args)]
pub struct Report {
    /// The run's folder.
    pub run: PathBuf,
}

/// `predict`, in the form that other programs use.
#[derive(Debug, Args)]
pub struct Predict {
    /// Weights: .safetensors of this program, or the published .pth.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: PathBuf,
    /// Which network.
    #[arg(long, value_enum)]
    pub task: Task,
    /// The speaker's frames: .npy u8 [T,H,W,3], as the network sees them, or a video.
    #[arg(long, value_name = "V")]
    pub speaker_video: PathBuf,
    /// The speaker's sound: .npy f32 [T,78], or .wav.
    #[arg(long, value_name = "A")]
    pub speaker_audio: PathBuf,
    /// Reactions to generate.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Scale of the latent draw; 0 takes the latent mean.
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Seed of the latent draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Pixels of a video's shorter side before the crop; the checkpoint's where it is not given.
    #[arg(long, value_name = "PIXELS")]
    pub shorter: Option<usize>,
    /// Pixels of the centre crop of a video; the checkpoint's where it is not given.
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<usize>,
    /// Folder for reaction_3dmm.npy [K,T,58], reaction_emotion.npy [K,T,25], latent_mu.npy and latent_std.npy [windows,d].
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `score`, in the form that other programs use.
#[derive(Debug, Args)]
pub struct Score {
    /// Generated attributes, .npy [N,K,T,25].
    #[arg(long, value_name = "P.npy")]
    pub prediction: PathBuf,
    /// The listener's attributes, .npy [N,T,25].
    #[arg(long, value_name = "G.npy")]
    pub listener: PathBuf,
    /// The speaker's attributes, .npy [N,T,25]; without it no FRSyn.
    #[arg(long, value_name = "S.npy")]
    pub speaker: Option<PathBuf>,
    /// Appropriate reactions, .npy [N,N]; without it the identity.
    #[arg(long, value_name = "M.npy")]
    pub neighbours: Option<PathBuf>,
    /// Writes the scores as JSON too.
    #[arg(long, value_name = "OUT")]
    pub json: Option<PathBuf>,
}

/// `convert`
#[derive(Debug, Args)]
pub struct Convert {
    /// The weights to read, .pth or .safetensors.
    pub from: PathBuf,
    /// The .safetensors file to write.
    pub to: PathBuf,
}
