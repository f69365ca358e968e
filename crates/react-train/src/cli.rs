//! The command line: what was typed.
#![allow(rustdoc::broken_intra_doc_links, reason = "help texts show shapes as [N,K,T,25], without escapes")]

use crate::config::{CorpusKind, Tail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use react_model::Precision;
use react_model::device::Choice;
use std::path::PathBuf;

/// Facial-reaction modelling, from raw recordings to scored results and pictures.
///
/// Without a subcommand: the whole job of the preset. It makes the synthetic corpus where it is missing, packs it, trains,
/// evaluates beside the baselines, draws the report, and says where everything is. What is there already is reused.
#[derive(Debug, Parser)]
#[command(name = "react-train", version)]
pub struct Cli {
    /// A preset (demo, offline, offline-synthetic, online, online-demo) or a TOML file.
    #[arg(long, global = true, default_value = "demo", value_name = "PRESET|FILE")]
    pub config: String,
    /// Sets a key of the configuration, as train.epochs=10; may be given again.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Prints the configuration as it was understood, and stops.
    #[arg(long, global = true)]
    pub print_plan: bool,
    /// Who decodes videos and pictures: pure (decoders in Rust), ffmpeg (in a program built with --features ffmpeg), or auto (Rust
    /// where it can, else FFmpeg where it is built in).
    #[arg(long, global = true, value_enum, default_value_t = DecoderKind::Auto, hide_possible_values = true, value_name = "auto|pure|ffmpeg")]
    pub decoder: DecoderKind,
    /// The most pixels of one picture of a video or a PNG, width × height; larger ones are errors. It bounds the memory of a decoder: 54
    /// bytes a pixel at the very most.
    #[arg(long, global = true, value_name = "PIXELS", default_value_t = react_media::VideoOptions::default().max_pixels)]
    pub max_pixels: usize,
    /// What trains, evaluates and predicts: cpu, or an NVIDIA card, cuda or cuda:N (in a program built with --features cuda). The
    /// configuration's device where it is not given; predict from files begins at cpu.
    #[arg(long, global = true, value_name = "cpu|cuda[:N]")]
    pub device: Option<Choice>,
    /// How exactly a card computes: f32, tf32 (where it is not given) or bf16; docs/cuda.md says what each of them rounds.
    #[arg(long, global = true, value_name = "f32|tf32|bf16")]
    pub precision: Option<Precision>,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Cli {
    /// Everything that was typed to be set on top of the configuration.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        let device = self.device.map(|device| format!("device={device}"));
        let precision = self.precision.map(|precision| format!("precision={precision}"));
        self.set.iter().cloned().chain(device).chain(precision).collect()
    }
}

/// Who decodes videos.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DecoderKind {
    /// The decoders in Rust where they can, else FFmpeg where it is built in.
    Auto,
    /// The decoders in Rust.
    Pure,
    /// FFmpeg.
    Ffmpeg,
}

impl From<DecoderKind> for react_media::Decoder {
    fn from(kind: DecoderKind) -> Self {
        match kind {
            DecoderKind::Auto => Self::Auto,
            DecoderKind::Pure => Self::Pure,
            DecoderKind::Ffmpeg => Self::Ffmpeg,
        }
    }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a synthetic corpus in the challenge's layout.
    Synth(Synth),
    /// Packs a corpus: decodes, resizes, crops, computes audio features, writes NumPy files and the manifest; resumable.
    Prepare(Prepare),
    /// Reads a corpus and says everything that is wrong with it. Exit code 0 where there is nothing worse than notes, 3 where there are
    /// warnings, 4 where there are errors.
    Doctor(Doctor),
    /// Trains on a packed corpus; goes on where a stopped training of the same configuration ended.
    Train(Train),
    /// Generates reactions for a whole split and scores them beside the baselines.
    Evaluate,
    /// Draws the report of a run again.
    Report(Report),
    /// Draws reactions as videos with sound: the speaker, the true listener and generated ones side by side.
    Render(Render),
    /// Generates reactions to one speaker.
    Predict(Predict),
    /// Scores predictions of any program.
    Score(Score),
    /// Scores the naive baselines GT, Random, Mime, MeanSeq and MeanFr, on a packed split or on arrays.
    Baselines(Baselines),
    /// Writes which reactions are appropriate for which speaker: from the challenge's files, or built from the data.
    Neighbours(Neighbours),
    /// Converts weights: a published .pth to .safetensors, or back.
    Convert(Convert),
}

/// `train`
#[derive(Debug, Args)]
pub struct Train {
    /// Writes TensorBoard's events into the run's folder, as train.tensorboard=true.
    #[arg(long)]
    pub tensorboard: bool,
    /// Seeds to train, from the configuration's on (eri).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: u32,
    /// A trained network of the voice, for the fusion's audio branch to begin with (eri).
    #[arg(long, value_name = "FILE")]
    pub init_audio: Option<PathBuf>,
    /// A trained network of the face, for the fusion's video branch to begin with (eri).
    #[arg(long, value_name = "FILE")]
    pub init_video: Option<PathBuf>,
    /// ImageNet's weights of a ResNet-18, torchvision's .pth or safetensors (eri).
    #[arg(long, value_name = "FILE")]
    pub init_backbone: Option<PathBuf>,
}

/// `synth`
#[derive(Debug, Args)]
pub struct Synth {
    /// What kind: dyads in the challenge's layout (synthetic), or clips in Hume-Reaction's (hume).
    #[arg(long, value_enum, default_value_t = CorpusKind::Synthetic)]
    pub corpus: CorpusKind,
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
    /// Where the faces are: given (the frames are crops of faces), a .csv of boxes with the columns clip, frame, x, y, w, h, detect (with
    /// --face-model), or centre. Without it as the corpus' recipe says, or else centre.
    #[arg(long, value_name = "given|CSV|detect|centre")]
    pub faces: Option<String>,
    /// Weights of the face detector, seeta_fd_frontal_v1.0.bin; the program must be built with --features detect.
    #[arg(long, value_name = "FILE")]
    pub face_model: Option<PathBuf>,
    /// Goes on without clips that cannot be packed, up to so many; bad.csv in the packed folder lists them. Their pairs are left out.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_bad: usize,
    /// Cuts whole recordings into clips, as a list of sessions says: a csv with the columns split, site, chat, person, role, video, audio,
    /// emotion, coeffs, start, end (docs/data.md). Nothing is encoded again. Not for hume.
    #[arg(long, value_name = "CSV")]
    pub cut: Option<PathBuf>,
    /// With --cut, seconds of a clip.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub clip_seconds: f64,
    /// Computes what a frozen network sees of the packed frames too (hume): dinov2-small, convnext-tiny or clip-vit-b32.
    #[arg(long, value_name = "NETWORK", requires = "weights")]
    pub frame_features: Option<String>,
    /// Weights of that network, .safetensors.
    #[arg(long, value_name = "FILE", requires = "frame_features")]
    pub weights: Option<PathBuf>,
    /// Pixels of the shorter side before the crop.
    #[arg(long, value_name = "PIXELS")]
    pub shorter: Option<usize>,
    /// Pixels of the square centre crop.
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<usize>,
    /// Threads; all cores where it is not given.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// How frames are kept: npy (fast; 113 MB for 751 frames of 224²), or source (nothing copied: decoded from the corpus's videos
    /// whenever they are wanted); the configuration's where it is not given. Not for hume.
    #[arg(long, value_enum)]
    pub store: Option<StoreKind>,
    /// Begins although the file system seems to have too little room.
    #[arg(long)]
    pub ignore_room: bool,
    /// Packs nothing: reads every file in --out again, compares it with the manifest, and lists every one that is bad.
    #[arg(long, conflicts_with_all = ["root", "faces", "cut", "frame_features", "shorter", "crop", "store", "ignore_room"])]
    pub verify: bool,
}

/// How frames are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StoreKind {
    /// As NumPy files.
    Npy,
    /// In the corpus's videos.
    Source,
}

impl From<StoreKind> for react_data::Store {
    fn from(kind: StoreKind) -> Self {
        match kind {
            StoreKind::Npy => Self::Npy,
            StoreKind::Source => Self::Source,
        }
    }
}

/// `doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The corpus' kind; the configuration's where it is not given.
    #[arg(long)]
    pub corpus: Option<CorpusKind>,
    /// The corpus as published; the configuration's where it is not given.
    #[arg(long, value_name = "IN")]
    pub root: Option<PathBuf>,
    /// Whole recordings that a list of sessions cuts into clips, as for prepare.
    #[arg(long, value_name = "CSV")]
    pub cut: Option<PathBuf>,
    /// With --cut, seconds of a clip.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub clip_seconds: f64,
    /// Threads; all cores where it is not given.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Writes all findings as JSON.
    #[arg(long, value_name = "OUT")]
    pub json: Option<PathBuf>,
}

/// `report`
#[derive(Debug, Args)]
pub struct Report {
    /// The runs' folders: one for its report, several to compare them.
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Where the page goes: report.html in the run's folder where it is not given; of several runs compare-A-B.html beside the first
    /// one's folder.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How many clips have their video in the page, beside those with the highest, the median and the lowest score: a number, or all.
    #[arg(long, value_name = "N|all")]
    pub videos: Option<String>,
    /// What the listeners look like.
    #[command(flatten)]
    pub likeness: Likeness,
}

/// What listeners look like: people of the embedded head where nothing is given.
#[derive(Clone, Debug, Default, Args)]
pub struct Likeness {
    /// FaceVerse's model, .npy or .npz, instead of the embedded head.
    #[arg(long, value_name = "FILE", requires = "identity")]
    pub face_model: Option<PathBuf>,
    /// Whose face FaceVerse draws: reference_full.npy.
    #[arg(long, value_name = "FILE", requires = "face_model")]
    pub identity: Option<PathBuf>,
    /// PIRender's weights, .pth or .safetensors: each sample as a photograph too. It takes its time.
    #[arg(long, value_name = "WEIGHTS", requires = "reference")]
    pub pirender: Option<PathBuf>,
    /// The photograph that PIRender moves, a square PNG of 256 pixels.
    #[arg(long, value_name = "IMAGE.png", requires = "pirender")]
    pub reference: Option<PathBuf>,
}

/// `render`
#[derive(Debug, Args)]
pub struct Render {
    /// A run's folder: its best weights generate the reactions anew, as they were scored. Or reaction_3dmm.npy, [K,T,58] or [T,58].
    #[arg(value_name = "RUN|REACTION.npy")]
    pub source: PathBuf,
    /// Of a run: the split; the evaluation's where it is not given.
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<String>,
    /// Of a run: the clip, by its name, the end of its name, or its number from 0; the one with the median FRCorr where it is not given.
    #[arg(long, value_name = "NAME|INDEX")]
    pub clip: Option<String>,
    /// Of a run: every clip of the split.
    #[arg(long, conflicts_with = "clip")]
    pub all: bool,
    /// Of a reaction: the speaker's video, or frames u8 [T,H,W,3].
    #[arg(long, value_name = "V")]
    pub speaker_video: Option<PathBuf>,
    /// Of a reaction: the speaker's sound; the video's own where it is not given.
    #[arg(long, value_name = "A.wav")]
    pub speaker_audio: Option<PathBuf>,
    /// Of a reaction: what is added to its coefficients before they are drawn, .npy [58].
    #[arg(long, value_name = "M.npy")]
    pub mean_face: Option<PathBuf>,
    /// Of a reaction: the true listener's coefficients as recorded, [T,58] or [T,1,58].
    #[arg(long, value_name = "G.npy")]
    pub truth: Option<PathBuf>,
    /// Of a reaction: who the listeners are drawn as.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Generated listeners to show, at most 10.
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub samples: u32,
    /// Pixels of a panel's side.
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = panel_side)]
    pub side: usize,
    /// What the listeners look like.
    #[command(flatten)]
    pub likeness: Likeness,
    /// Writes the animation of each listener beside the video too, as binary glTF.
    #[arg(long)]
    pub glb: bool,
    /// Writes the generated listeners' frames too, 224 pixels, as DIR/CLIP/000000.png, or DIR/CLIP/sample-K/000000.png of several samples:
    /// what score --frrea-generated reads.
    #[arg(long, value_name = "DIR")]
    pub frames: Option<PathBuf>,
    /// Which pictures those frames are: 3d (faces) or 2d (PIRender); 2d where there is PIRender.
    #[arg(long, value_enum, value_name = "3d|2d", requires = "frames", hide_possible_values = true)]
    pub frames_of: Option<Pictures>,
    /// Where the videos go: a folder, or a file .mp4. RUN/render where it is not given, or the reaction's folder.
    #[arg(long, value_name = "DIR|FILE.mp4")]
    pub out: Option<PathBuf>,
    /// Writes a recording for the Rerun viewer too (in a program built with --features rerun).
    #[arg(long, value_name = "FILE.rrd")]
    pub rerun: Option<PathBuf>,
}

/// Kinds of a listener's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pictures {
    /// The 3DMM's faces.
    #[value(name = "3d")]
    Faces,
    /// PIRender's photographs.
    #[value(name = "2d")]
    Painted,
}

fn panel_side(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|side| (32..=1024).contains(side)).ok_or_else(|| "must be 32 to 1024 pixels".to_owned())
}

/// `predict`, in the form that other programs use.
#[derive(Debug, Args)]
pub struct Predict {
    /// Weights: .safetensors of this program, or the published .pth. With --split, one of the configuration's seeds; their mean
    /// without it.
    #[arg(long, value_name = "FILE", required_unless_present = "split")]
    pub checkpoint: Option<PathBuf>,
    /// Which network: of reactions, offline or online, or of intensities (eri).
    #[arg(long, value_enum, required_unless_present = "split")]
    pub task: Option<PredictTask>,
    /// The speaker's frames: .npy u8 [T,H,W,3], as the network sees them, or a video. For eri a video; it may be missing.
    #[arg(long, value_name = "V", required_if_eq_any([("task", "offline"), ("task", "online")]))]
    pub speaker_video: Option<PathBuf>,
    /// The speaker's sound: .npy f32 [T,78], or .wav. For eri a sound; it may be missing.
    #[arg(long, value_name = "A", required_if_eq_any([("task", "offline"), ("task", "online")]))]
    pub speaker_audio: Option<PathBuf>,
    /// Intensities of a packed split (a configuration of eri): predictions-SPLIT.csv with File_ID and a column an emotion.
    #[arg(long, value_name = "SPLIT", conflicts_with_all = ["task", "speaker_video", "speaker_audio"])]
    pub split: Option<String>,
    /// Weights of the frozen network that an intensity network looks through, .safetensors (eri, from files).
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// With --split, clips that go through the network at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    pub batch_size: usize,
    /// Reactions to generate.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Scale of the latent draw; 0 takes the latent mean.
    #[arg(long, default_value_t = 1.0)]
    pub temperature: f64,
    /// Seed of the latent draws.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Frames of a window (online).
    #[arg(long, value_name = "W", default_value_t = 8, value_parser = at_least_one)]
    pub window: usize,
    /// What becomes of frames that do not fill a window (online): one more, shorter window, or zeros as published.
    #[arg(long, value_enum, default_value_t = Tail::Generate)]
    pub tail: Tail,
    /// Frames over which a window is cross-faded with what the one before it foresaw (online); 0 as published.
    #[arg(long, value_name = "W", default_value_t = 0)]
    pub overlap: usize,
    /// Answers as in a conversation, each window at the same cost (online): the norms are those of the frames so far.
    #[arg(long)]
    pub stream: bool,
    /// Frames of its own past that a conversation looks back on.
    #[arg(long, value_name = "FRAMES", default_value_t = 750, value_parser = at_least_one)]
    pub past: usize,
    /// Draws it too: reaction.mp4 and reaction.png, the speaker beside the generated listeners.
    #[arg(long)]
    pub render: bool,
    /// What is added to the coefficients before they are drawn, .npy [58]; the checkpoint's where it is not given.
    #[arg(long, value_name = "M.npy")]
    pub mean_face: Option<PathBuf>,
    /// Pixels of a video's shorter side before the crop; the checkpoint's where it is not given.
    #[arg(long, value_name = "PIXELS")]
    pub shorter: Option<usize>,
    /// Pixels of the centre crop of a video; the checkpoint's where it is not given.
    #[arg(long, value_name = "PIXELS")]
    pub crop: Option<usize>,
    /// Folder for reaction_3dmm.npy [K,T,58], reaction_emotion.npy [K,T,25], latent_mu.npy and latent_std.npy [windows,d], or for
    /// intensities.csv. With --split, that of the configuration's runs where it is not given.
    #[arg(long, value_name = "DIR", required_unless_present = "split")]
    pub out: Option<PathBuf>,
}

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PredictTask {
    /// The whole reaction from the whole clip.
    Offline,
    /// The reaction window by window.
    Online,
    /// Intensities of emotions.
    Eri,
}

impl Predict {
    /// An argument that this call needs.
    ///
    /// # Errors
    /// Where it was not given.
    pub(crate) fn needed<'a, T: ?Sized>(&self, name: &str, value: Option<&'a T>) -> anyhow::Result<&'a T> {
        anyhow::Context::with_context(value, || format!("wanted --{name}"))
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be 1 or more".to_owned()),
        Ok(n) => Ok(n),
        Err(_) => Err("is no whole number".to_owned()),
    }
}

/// `score`, in the form that other programs use. Arrays are .npy (mapped), .npz or .safetensors (an array of the argument's name, the
/// only one, or one array a clip; FILE:KEY names one), or a folder with one .npy a clip. With one array a clip, lengths may differ.
#[derive(Debug, Args)]
pub struct Score {
    /// Generated attributes, [N,K,T,25], or one array a clip [K,T,25].
    #[arg(long, value_name = "P", requires = "listener", required_unless_present_any = ["features_real", "frrea_real"])]
    pub prediction: Option<PathBuf>,
    /// The listener's attributes, [N,T,25], or one array a clip [T,25].
    #[arg(long, value_name = "G", requires = "prediction")]
    pub listener: Option<PathBuf>,
    /// The speaker's attributes, [N,T,25], or one array a clip [T,25]; without it no FRSyn.
    #[arg(long, value_name = "S")]
    pub speaker: Option<PathBuf>,
    /// Appropriate reactions, [N,N], or what `neighbours` wrote; without it the identity.
    #[arg(long, value_name = "M")]
    pub neighbours: Option<PathBuf>,
    /// Rounds the predictions' AUs to 0 or 1 first.
    #[arg(long)]
    pub binarize: bool,
    /// ACC too (our definition) with its chance level: every prediction against every listener, which takes long.
    #[arg(long)]
    pub acc: bool,
    /// Resampled sets of clips for the 95 % intervals; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub bootstrap: u32,
    /// Seed of the intervals.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Keeps what FRDist and ACC found, and goes on from there when it is called again.
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// FRRea of these features of real frames, [vectors,features], of any network.
    #[arg(long, value_name = "X", requires = "features_generated", conflicts_with = "frrea_real")]
    pub features_real: Option<PathBuf>,
    /// The features of generated frames.
    #[arg(long, value_name = "Y", requires = "features_real")]
    pub features_generated: Option<PathBuf>,
    /// FRRea of real frames: a folder of videos (.mp4, .avi), of PNGs or of folders of PNGs, or u8 [F,H,W,3] as .npy.
    #[arg(long, value_name = "PATH", requires = "frrea_generated")]
    pub frrea_real: Option<PathBuf>,
    /// The generated frames, in the same forms.
    #[arg(long, value_name = "PATH", requires = "frrea_real")]
    pub frrea_generated: Option<PathBuf>,
    /// Weights of the FID Inception-v3 (.pth or .safetensors), for FRRea.
    #[arg(long, value_name = "PATH")]
    pub inception: Option<PathBuf>,
    /// Takes frames 0, N, 2N, … of every clip for FRRea; without it the published protocol: frames 1, 31, 61, … of every 25th batch
    /// of 4 clips.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stride: Option<u32>,
    /// The system's name in tables; the predictions' file where it is not given.
    #[arg(long)]
    pub name: Option<String>,
    /// Writes the scores as JSON too.
    #[arg(long, value_name = "OUT")]
    pub json: Option<PathBuf>,
    /// Writes a CSV line with its head.
    #[arg(long, value_name = "OUT")]
    pub csv: Option<PathBuf>,
    /// Writes rows of a LaTeX table.
    #[arg(long, value_name = "OUT")]
    pub latex: Option<PathBuf>,
}

/// `baselines`: on the configuration's packed split, or on arrays where --listener is given.
#[derive(Debug, Args)]
pub struct Baselines {
    /// Real listeners' attributes, in the forms that `score` reads.
    #[arg(long, value_name = "G")]
    pub listener: Option<PathBuf>,
    /// Speakers' attributes; without them no Mime.
    #[arg(long, value_name = "S", requires = "listener")]
    pub speaker: Option<PathBuf>,
    /// Appropriate reactions; without them the identity.
    #[arg(long, value_name = "M", requires = "listener")]
    pub neighbours: Option<PathBuf>,
    /// Training listeners' attributes, for MeanSeq and MeanFr; without them neither.
    #[arg(long, value_name = "L", requires = "listener")]
    pub training_listener: Option<PathBuf>,
    /// Reactions to each clip; the configuration's where it is not given.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: Option<u32>,
    /// Seed of Random; the configuration's where it is not given.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Writes all scores, of each clip too, as JSON.
    #[arg(long, value_name = "OUT")]
    pub json: Option<PathBuf>,
    /// Writes the table as CSV.
    #[arg(long, value_name = "OUT")]
    pub csv: Option<PathBuf>,
    /// Writes the table as LaTeX.
    #[arg(long, value_name = "OUT")]
    pub latex: Option<PathBuf>,
}

/// `neighbours`: one file of appropriate reactions for a split, which `score --neighbours` reads.
#[derive(Debug, Args)]
pub struct Neighbours {
    /// A corpus in its published layout; the configuration's where neither it nor single files are given.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The split.
    #[arg(long, default_value = "val")]
    pub split: String,
    /// The list of the matrix's rows, data_indices.csv; the corpus' where it is not given.
    #[arg(long, value_name = "CSV")]
    pub indices: Option<PathBuf>,
    /// The corpus' matrix, Approprirate_facial_reaction.npy; the corpus' where it is not given.
    #[arg(long, value_name = "NPY")]
    pub matrix: Option<PathBuf>,
    /// The split's pairs, val.csv; the corpus' where it is not given.
    #[arg(long, value_name = "CSV")]
    pub pairs: Option<PathBuf>,
    /// Builds them from the speakers' attributes: similar behaviours call for the same reactions.
    #[arg(long, conflicts_with_all = ["indices", "matrix"])]
    pub from_data: bool,
    /// Speakers' attributes, in the forms that `score` reads, instead of a corpus'; with --from-data.
    #[arg(long, value_name = "S", requires = "from_data", conflicts_with_all = ["root", "pairs"])]
    pub speaker: Option<PathBuf>,
    /// Of a corpus with sessions (react2025): reactions that are appropriate for a clip, its own and others drawn from its session; 0 for
    /// all of the session. The recipe's where it is not given.
    #[arg(long, value_name = "N", conflicts_with = "from_data")]
    pub most: Option<usize>,
    /// Seed of that draw; the recipe's where it is not given.
    #[arg(long, conflicts_with = "from_data")]
    pub seed: Option<u64>,
    /// The corpus' kind; the configuration's where it is not given.
    #[arg(long)]
    pub corpus: Option<CorpusKind>,
    /// With --from-data: speakers at most this far from each other are similar.
    #[arg(long, value_name = "D", requires = "from_data", conflicts_with = "share")]
    pub threshold: Option<f64>,
    /// With --from-data, where no threshold is given: this share of all pairs is similar.
    #[arg(long, value_name = "SHARE", requires = "from_data", default_value_t = 0.035)]
    pub share: f64,
    /// Where to: .npz with the clips' names, the matrix, the rule and the sources' hashes.
    #[arg(long, value_name = "NPZ")]
    pub out: PathBuf,
}

/// `convert`
#[derive(Debug, Args)]
pub struct Convert {
    /// The weights to read, .pth or .safetensors.
    pub from: PathBuf,
    /// The file to write; its ending, .pth or .safetensors, says what it will be.
    pub to: PathBuf,
}
