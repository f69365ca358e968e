//! `react-train neighbours`: which reactions are appropriate for which speaker, in one file.
//!
//! The file is a NumPy archive: `matrix` (u8 `[N, N]`, row = speaker clip, 1 = the listener of that column reacts appropriately), `clips` (the
//! speakers' names, in order), and `info.json` with the names, the rule and the hashes of what it was made from. The same inputs
//! give the same bytes.
//!
//! From the challenge's files the rule is the challenge's; of MARS (REACT 2025 and 2026) it is the session: the reactions of all its
//! listeners, of which the clip's own and as many more as were asked for are drawn by a seed. Built from data it is ours:
//!
//! ```text
//! d(i, j) = (DTW(AUs)/15 + DTW(valence, arousal) + DTW(expressions)/8) / √T        between the speakers of i and j
//! N[i, j] = 1  where  d(i, j) ≤ θ,  and always N[i, i] = 1
//! ```
//! with the unconstrained DTW of FRDist over the T frames that both have. The root makes d a mean per frame, so that θ does not depend on the length. θ is
//! given, or the smallest that makes the wanted share of all pairs i ≠ j similar. Whoever's behaviour is similar calls for the same
//! reactions: that is the challenge's idea of appropriateness (S. Song et al., "Multiple Appropriate Facial Reaction Generation in
//! Dyadic Interaction Settings: What, Why and How?", 2023), which uses the speaker's behaviour too; its own distance was not published.

use crate::score::{Arrays, SPEAKER, Stages, Wanted, extension, npz_entry};
use crate::{Config, cli};
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, ArrayView2, Ix2};
use react_data::{AppropriateIndex, Corpus, Layout, Pair, Recipe};
use react_data::{read_emotion, read_emotion_csv, read_pairs, session_neighbours, split_neighbours};
use react_metrics::{InstructionSet, reaction_distances};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// How a matrix came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum Rule {
    /// The corpus' own matrix.
    Published,
    /// The reactions of the same session (MARS): the own one, and others drawn from it.
    SameSession {
        /// Reactions to a clip; 0 for all of the session.
        most: usize,
        /// Seed of the draw.
        seed: u64,
    },
    /// Speakers' attributes at most `threshold` apart, see the module's documentation.
    SimilarSpeakers {
        /// θ.
        threshold: f64,
        /// The share of pairs that was asked for, where θ was not given.
        share: Option<f64>,
    },
}

/// What `info.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Version of the format.
    pub react_neighbours: u32,
    /// The speaker of each row, the listener of each column belonging to the same pair.
    pub clips: Vec<String>,
    /// How the matrix came about.
    #[serde(flatten)]
    pub rule: Rule,
    /// BLAKE3 of each source, by what it is.
    pub sources: BTreeMap<String, String>,
    /// BLAKE3 of the matrix' bytes.
    pub matrix_blake3: String,
}

/// The name of a role in the order of packed splits: given pairs first, then mirrored ones.
fn item_names(pairs: &[Pair]) -> Vec<String> {
    let given = pairs.iter().map(|pair| pair.speaker.path().to_owned());
    given.chain(pairs.iter().map(|pair| pair.listener.path().to_owned())).collect()
}

/// Makes the file and says what is in it.
///
/// # Errors
/// Where a source is missing or wrong, or the file cannot be written.
pub fn neighbours(config: &dyn Fn() -> Result<Config>, args: &cli::Neighbours) -> Result<String> {
    ensure!(extension(&args.out) == "npz", "{}: wanted a name that ends with .npz", args.out.display());
    let (clips, matrix, rule, sources) = if args.from_data { from_data(config, args)? } else { published(config, args)? };
    let bytes: Vec<u8> = matrix.iter().copied().collect();
    let info = Info { react_neighbours: 1, clips, rule, sources, matrix_blake3: blake3::hash(&bytes).to_hex().to_string() };
    let file = archive(&info, &matrix)?;
    react_store::write_atomic(&args.out, |out| out.write_all(&file))?;
    let n = matrix.nrows();
    let ones: usize = bytes.iter().map(|cell| usize::from(*cell)).sum();
    let most = matrix.rows().into_iter().map(|row| row.iter().filter(|cell| **cell == 1).count()).max().unwrap_or(0);
    let how = match &info.rule {
        Rule::Published => "the corpus' own matrix".to_owned(),
        Rule::SameSession { most: 0, .. } => "all reactions of the same session".to_owned(),
        Rule::SameSession { most, seed } => format!("at most {most} reactions of the same session, seed {seed}"),
        Rule::SimilarSpeakers { threshold, .. } => format!("speakers at most {threshold:.6} apart"),
    };
    let mean = ones as f64 / n as f64;
    Ok(format!("neighbours {}: {n} clips, {mean:.1} appropriate reactions a clip, {most} at most ({how})", args.out.display()))
}

type Made = (Vec<String>, Array2<u8>, Rule, BTreeMap<String, String>);

fn published(config: &dyn Fn() -> Result<Config>, args: &cli::Neighbours) -> Result<Made> {
    let single = (&args.indices, &args.matrix, &args.pairs);
    let (indices, matrix, pairs) = match single {
        (Some(indices), Some(matrix), Some(pairs)) => (indices.clone(), matrix.clone(), pairs.clone()),
        _ => {
            let (root, recipe) = place(config, args)?;
            if recipe.layout == Layout::Roles {
                return same_session(&root, recipe, args);
            }
            ensure!(args.most.is_none() && args.seed.is_none(), "--most and --seed are for corpora with sessions (--corpus react2025)");
            let files = &recipe.files;
            let or = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| root.join(name));
            let pairs = files.pairs.replace("{split}", &args.split);
            (or(&args.indices, &files.indices), or(&args.matrix, &files.appropriate), or(&args.pairs, &pairs))
        }
    };
    let index = AppropriateIndex::read(&indices)?;
    let of = read_pairs(&pairs)?;
    let found = split_neighbours(&index, &matrix, &of)?;
    let sources = [("indices", &indices), ("matrix", &matrix), ("pairs", &pairs)];
    let sources = sources.into_iter().map(|(what, path)| Ok((what.to_owned(), hash(path)?))).collect::<Result<_>>()?;
    Ok((item_names(&of), found, Rule::Published, sources))
}

/// The rule of MARS: which reactions belong to a session, the folders say.
fn same_session(root: &Path, recipe: Recipe, args: &cli::Neighbours) -> Result<Made> {
    let (most, seed) = (args.most.unwrap_or(recipe.appropriate.most), args.seed.unwrap_or(recipe.appropriate.seed));
    let of = split_of(root, recipe, &args.split)?;
    let names = item_names(&of);
    let sources = BTreeMap::from([("clips".to_owned(), blake3::hash(names.join("\n").as_bytes()).to_hex().to_string())]);
    Ok((names, session_neighbours(&of, most, seed), Rule::SameSession { most, seed }, sources))
}

/// The pairs of a split.
fn split_of(root: &Path, recipe: Recipe, name: &str) -> Result<Vec<Pair>> {
    let corpus = Corpus::open(root, recipe)?;
    let split = corpus.splits().iter().find(|split| split.name() == name);
    Ok(split.with_context(|| format!("{}: there is no split {name}", root.display()))?.pairs().to_vec())
}

/// The corpus' folder and recipe.
fn place(config: &dyn Fn() -> Result<Config>, args: &cli::Neighbours) -> Result<(PathBuf, Recipe)> {
    let config = config()?;
    let root = args.root.clone().unwrap_or_else(|| config.corpus.root.clone());
    Ok((root, Recipe::named(args.corpus.unwrap_or(config.corpus.kind).recipe())?))
}

fn from_data(config: &dyn Fn() -> Result<Config>, args: &cli::Neighbours) -> Result<Made> {
    if let Some(path) = &args.speaker {
        let arrays = Arrays::read(path, SPEAKER)?;
        let clips = arrays.clips()?.into_iter().map(|clip| Ok(clip.into_dimensionality::<Ix2>()?)).collect::<Result<Vec<_>>>()?;
        let names = if arrays.names.is_empty() { (0..clips.len()).map(|i| i.to_string()).collect() } else { arrays.names.clone() };
        return similar(names, &clips, args);
    }
    let (root, recipe) = place(config, args)?;
    if recipe.layout == Layout::Roles {
        let folder = root.join(&args.split).join(&recipe.folders.emotion);
        let of = split_of(&root, recipe, &args.split)?;
        let names = item_names(&of);
        let read = |name: &String| Ok(read_emotion(&folder.join(format!("{name}.npy")))?);
        let clips = names.iter().map(read).collect::<Result<Vec<Array2<f32>>>>()?;
        return similar(names, &clips.iter().map(|clip| clip.view()).collect::<Vec<_>>(), args);
    }
    let pairs = args.pairs.clone().unwrap_or_else(|| root.join(recipe.files.pairs.replace("{split}", &args.split)));
    let of = read_pairs(&pairs)?;
    let folder = root.join(&args.split).join(&recipe.folders.emotion);
    let names = item_names(&of);
    let read = |name: &String| Ok(read_emotion_csv(&folder.join(format!("{name}.csv")))?);
    let clips = names.iter().map(read).collect::<Result<Vec<Array2<f32>>>>()?;
    similar(names, &clips.iter().map(|clip| clip.view()).collect::<Vec<_>>(), args)
}

/// Speakers whose behaviour is similar.
fn similar(names: Vec<String>, clips: &[ArrayView2<'_, f32>], args: &cli::Neighbours) -> Result<Made> {
    ensure!(!clips.is_empty(), "there is no clip to compare");
    ensure!(args.threshold.is_none_or(|threshold| threshold >= 0.0), "--threshold must be at least 0");
    ensure!((0.0..=1.0).contains(&args.share), "--share must be from 0 to 1");
    let shown = Stages::default();
    let mut distances = reaction_distances(clips, InstructionSet::Best, &|now| shown.tell(now))?;
    for ((i, j), distance) in distances.indexed_iter_mut() {
        *distance /= (clips[i].nrows().min(clips[j].nrows()) as f64).sqrt();
    }
    let (threshold, share) = match args.threshold {
        Some(threshold) => (threshold, None),
        None => (quantile(&distances, args.share), Some(args.share)),
    };
    let matrix = Array2::from_shape_fn(distances.dim(), |(i, j)| u8::from(i == j || distances[[i, j]] <= threshold));
    let mut hasher = blake3::Hasher::new();
    for clip in clips {
        hasher.update(&(clip.nrows() as u64).to_le_bytes());
        clip.iter().for_each(|x| {
            hasher.update(&x.to_le_bytes());
        });
    }
    let sources = BTreeMap::from([("speaker_attributes".to_owned(), hasher.finalize().to_hex().to_string())]);
    Ok((names, matrix, Rule::SimilarSpeakers { threshold, share }, sources))
}

/// The smallest distance that at least `share` of the pairs i ≠ j do not exceed; below all of them where the share is 0.
fn quantile(distances: &Array2<f64>, share: f64) -> f64 {
    let n = distances.nrows();
    let mut pairs: Vec<f64> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).map(|pair| distances[pair]).collect();
    pairs.sort_by(f64::total_cmp);
    let wanted = (share * pairs.len() as f64).ceil() as usize;
    match wanted.checked_sub(1) {
        Some(last) => pairs.get(last).copied().unwrap_or(0.0),
        None => 0.0,
    }
}

fn hash(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    hasher.update_reader(file).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The archive, stored: no clock and no compressor has a say in its bytes.
fn archive(info: &Info, matrix: &Array2<u8>) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::STORE).last_modified_time(DateTime::default());
    let cells: Vec<u8> = matrix.iter().copied().collect();
    let shape = format!("({}, {})", matrix.nrows(), matrix.ncols());
    for (name, bytes) in [
        ("matrix.npy", npy("|u1", &shape, &cells)),
        ("clips.npy", names(&info.clips)),
        ("info.json", (serde_json::to_string_pretty(info)? + "\n").into_bytes()),
    ] {
        zip.start_file(name, options)?;
        zip.write_all(&bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// An npy file, version 1.0, its data on a multiple of 64 bytes.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let length = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((length as u16).to_le_bytes());
    out.extend(format!("{dict:<width$}\n", width = length - 1).bytes());
    out.extend(data);
    out
}

/// Names as NumPy's strings: UCS-4, padded with zeros to the longest.
fn names(clips: &[String]) -> Vec<u8> {
    let longest = clips.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(1);
    let padded = clips.iter().flat_map(|name| name.chars().map(u32::from).chain(std::iter::repeat(0)).take(longest));
    let data: Vec<u8> = padded.flat_map(u32::to_le_bytes).collect();
    npy(&format!("<U{longest}"), &format!("({},)", clips.len()), &data)
}

/// The matrix of a file that `neighbours` or any other program wrote, in the order of `names` where both name their clips.
///
/// # Errors
/// Where the file holds no `[N, N]`, or its clips are others.
pub(crate) fn matrix(path: &Path, names: &[String]) -> Result<Array2<f32>> {
    const MATRIX: Wanted<'_> = Wanted { keys: &["neighbours", "matrix", "appropriate"], axes: 2, shape: "[N,N]" };
    let arrays = match info(path)? {
        Some(info) => return ordered(path, &info, names),
        None => Arrays::read(path, MATRIX)?,
    };
    let stacked = arrays.stacked()?.with_context(|| format!("{}: wanted one array [N,N]", path.display()))?;
    Ok(stacked.into_dimensionality::<Ix2>()?.to_owned())
}

/// What a file of `neighbours` says of itself; `None` where it is another.
fn info(path: &Path) -> Result<Option<Info>> {
    if extension(path) != "npz" {
        return Ok(None);
    }
    let Some(bytes) = npz_entry(path, "info.json")? else { return Ok(None) };
    let info: Info = serde_json::from_slice(&bytes).with_context(|| format!("{}: info.json", path.display()))?;
    Ok(Some(info))
}

fn ordered(path: &Path, info: &Info, names: &[String]) -> Result<Array2<f32>> {
    let bytes = npz_entry(path, "matrix.npy")?.with_context(|| format!("{}: it has no matrix", path.display()))?;
    let matrix = react_store::parse_npy_f32(&bytes, &path.join("matrix.npy"))?.into_dimensionality::<Ix2>();
    let matrix = matrix.with_context(|| format!("{}: the matrix has not 2 axes", path.display()))?;
    let n = info.clips.len();
    ensure!(matrix.dim() == (n, n), "{}: {n} clips, but a matrix {:?}", path.display(), matrix.shape());
    let hash = blake3::hash(&matrix.iter().map(|x| *x as u8).collect::<Vec<_>>()).to_hex();
    ensure!(hash.as_str() == info.matrix_blake3, "{}: the matrix is not the one that was written", path.display());
    if names.is_empty() || names == info.clips {
        return Ok(matrix);
    }
    let place = |name: &String| {
        info.clips.iter().position(|clip| clip == name).with_context(|| format!("{}: no clip {name} in it", path.display()))
    };
    let places = names.iter().map(place).collect::<Result<Vec<_>>>()?;
    Ok(Array2::from_shape_fn((places.len(), places.len()), |(i, j)| matrix[[places[i], places[j]]]))
}
