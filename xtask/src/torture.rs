//! `cargo xtask torture prepare --kills N`: kills a packing at random moments and looks at what it left.
//!
//! After each `kill -9` every file that the journal names must be whole, by its BLAKE3, and every file under a final name must be the
//! one that an undisturbed run writes; each time the packing is done its folder must be identical to the undisturbed one's.

use crate::run;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What was asked for.
struct Options {
    kills: usize,
    seed: u64,
    /// `npy` or `source`.
    store: String,
    /// The program, where it is built already.
    program: Option<PathBuf>,
    /// Where to work; it must not be there yet.
    folder: PathBuf,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("react-torture-{}", std::process::id()));
        let mut this = Self { kills: 100, seed: 0, store: "npy".to_owned(), program: None, folder };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} wants a value"))?;
            match word.as_str() {
                "--kills" => this.kills = value.parse().context("--kills")?,
                "--seed" => this.seed = value.parse().context("--seed")?,
                "--store" => this.store = value.clone(),
                "--program" => this.program = Some(value.into()),
                "--folder" => this.folder = value.into(),
                other => bail!("torture prepare [--kills N] [--seed N] [--store npy|source] [--program FILE] [--folder DIR]: no {other}"),
            }
        }
        Ok(this)
    }
}

pub(crate) fn run(words: &[String]) -> Result<()> {
    ensure!(words.first().is_some_and(|word| word == "prepare"), "what is tortured is `prepare`");
    let options = Options::parse(&words[1..])?;
    ensure!(!options.folder.exists(), "{} is there already", options.folder.display());
    std::fs::create_dir_all(&options.folder)?;
    let program = match &options.program {
        Some(program) => std::path::absolute(program)?,
        None => build()?,
    };
    let torture = Torture { program, folder: options.folder.clone(), store: options.store.clone() };
    let result = torture.run(&options);
    if result.is_ok() {
        std::fs::remove_dir_all(&options.folder)?;
    }
    result.with_context(|| format!("everything is left in {}", options.folder.display()))
}

fn build() -> Result<PathBuf> {
    let text = run::output(["build", "--release", "--package", "react-train", "--message-format=json"])?;
    let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = artifacts.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    programs.next().context("cargo names no program")
}

/// Contents of a folder: hashes by path.
type Tree = BTreeMap<String, String>;

struct Torture {
    program: PathBuf,
    folder: PathBuf,
    store: String,
}

impl Torture {
    fn run(&self, options: &Options) -> Result<()> {
        let corpus = self.folder.join("corpus");
        self.finish(&["synth", "--pairs", "6", "--frames", "100", "--size", "96", "--out", text(&corpus)?])?;
        let whole = self.folder.join("whole");
        let began = Instant::now();
        self.finish(&self.prepare(&whole, 2)?)?;
        let duration = began.elapsed();
        let wanted = tree(&whole)?;
        println!("an undisturbed run: {} files in {:.2} s", wanted.len(), duration.as_secs_f64());

        let out = self.folder.join("out");
        let mut draws = Draws(options.seed);
        let (mut kills, mut rounds, mut named) = (0, 0, 0);
        while kills < options.kills {
            let threads = 1 + (draws.next() % 4) as usize;
            // Half of what the whole takes: what is packed stays, so later moments are reached too.
            let after = duration.mul_f64(0.5 * (draws.next() >> 11) as f64 / (1u64 << 53) as f64);
            if self.kill(&self.prepare(&out, threads)?, after)? {
                kills += 1;
                named += check(&out, &wanted).with_context(|| format!("after kill {kills}, {threads} threads, {after:?}"))?;
            } else {
                same(&out, &wanted).with_context(|| format!("after {kills} kills"))?;
                std::fs::remove_dir_all(&out)?;
                rounds += 1;
            }
        }
        self.finish(&self.prepare(&out, 2)?)?;
        same(&out, &wanted)?;
        self.finish(&["prepare".to_owned(), "--verify".to_owned(), "--out".to_owned(), text(&out)?.to_owned()])?;
        println!(
            "{kills} kills (seed {}, store {}): 0 corrupt outputs, {named} files of journals read again; {} packings ended, all identical to the \
             undisturbed one",
            options.seed,
            self.store,
            rounds + 1
        );
        Ok(())
    }

    fn prepare(&self, out: &Path, threads: usize) -> Result<Vec<String>> {
        let (corpus, threads) = (self.folder.join("corpus"), threads.to_string());
        let words = ["prepare", "--corpus", "synthetic", "--root", text(&corpus)?, "--out", text(out)?, "--threads", &threads];
        let store: &[&str] = if self.store == "npy" { &[] } else { &["--store", &self.store] };
        Ok(words.iter().chain(store).map(|word| (*word).to_owned()).collect())
    }

    fn command<S: AsRef<str>>(&self, words: &[S]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).args(words.iter().map(AsRef::as_ref)).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Runs the program to its end.
    fn finish<S: AsRef<str>>(&self, words: &[S]) -> Result<()> {
        let output =
            self.command(words).stderr(Stdio::piped()).output().with_context(|| format!("cannot run {}", self.program.display()))?;
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        ensure!(output.status.success(), "{} failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Runs the program and kills it after a while; `false` where it was done before.
    fn kill(&self, words: &[String], after: Duration) -> Result<bool> {
        let mut child = self.command(words).stderr(Stdio::null()).spawn()?;
        let began = Instant::now();
        while began.elapsed() < after {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "{} failed by itself ({status})", words.join(" "));
                return Ok(false);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill()?;
        // It may have ended in the meantime.
        Ok(!child.wait()?.success())
    }
}

/// Checks what a killed run left; returns how many files its journal names.
fn check(out: &Path, wanted: &Tree) -> Result<usize> {
    let mut named = 0;
    let journal = std::fs::read(out.join("journal.jsonl")).unwrap_or_default();
    // A kill may leave a last line without its end.
    for line in journal.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n")) {
        let unit: Value = serde_json::from_slice(line).context("a whole line of the journal that is no JSON")?;
        for file in unit["files"].as_array().context("a line of the journal without files")? {
            let path = file["path"].as_str().context("a file of the journal without a path")?;
            let bytes = std::fs::read(out.join(path)).with_context(|| format!("{path}, which the journal names"))?;
            let hash = blake3::hash(&bytes).to_hex();
            ensure!(file["blake3"] == hash.as_str() && file["bytes"] == bytes.len(), "{path} is not what the journal says");
            named += 1;
        }
    }
    for (path, hash) in tree(out)? {
        let name = path.rsplit('/').next().unwrap_or_default();
        // Temporary files are the killed writer's; the journal grows.
        if !name.starts_with('.') && name != "journal.jsonl" {
            ensure!(wanted.get(&path) == Some(&hash), "{path} is corrupt: it is not what an undisturbed run writes");
        }
    }
    Ok(named)
}

/// Fails where a folder is not the wanted one.
fn same(out: &Path, wanted: &Tree) -> Result<()> {
    let found = tree(out)?;
    let differs = |path: &&String| found.get(*path) != wanted.get(*path);
    match found.keys().chain(wanted.keys()).find(differs) {
        Some(path) => bail!("{path} is not as the undisturbed run left it"),
        None => Ok(()),
    }
}

/// Hashes of all files below a folder, which may be missing.
fn tree(folder: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(below) = folders.pop() {
        if !below.exists() {
            continue;
        }
        for entry in std::fs::read_dir(&below)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let hash = blake3::hash(&std::fs::read(&path)?).to_hex().to_string();
                tree.insert(text(path.strip_prefix(folder)?)?.to_owned(), hash);
            }
        }
    }
    Ok(tree)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// SplitMix64 (G. Steele et al., "Fast splittable pseudorandom number generators", OOPSLA 2014).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}
