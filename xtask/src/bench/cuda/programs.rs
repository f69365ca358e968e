//! The programs that measure, built here or brought along, and running them within a time limit.

use crate::run;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names of the programs in a folder that was built for another machine.
const PROGRAM: &str = "react-train";
const MEASURE: &str = "measure";
const VECTORS: &str = "vectors";

/// Where everything is.
pub(super) struct Programs {
    program: PathBuf,
    measure: PathBuf,
    vectors: PathBuf,
    fixtures: PathBuf,
    peers: PathBuf,
    /// A Python with torch.
    python: Option<String>,
    /// The only card that they may see, where one was named: to all of them it is cuda:0.
    card: Option<String>,
}

/// What a card is called where some are hidden already.
fn visible(card: String) -> String {
    let mask = std::env::var("CUDA_VISIBLE_DEVICES").unwrap_or_default();
    let named = card.parse().ok().and_then(|n| mask.split(',').filter(|card| !card.is_empty()).nth(n));
    named.map_or(card.clone(), str::to_owned)
}

/// The card, as the programs call it.
pub(super) const DEVICE: &str = "cuda:0";

/// Whether the system has a card at all, before anything is built for it.
pub(super) fn card_is_there() -> bool {
    let listed = Command::new("nvidia-smi").arg("-L").stdout(Stdio::null()).stderr(Stdio::null()).status();
    Path::new("/dev/nvidiactl").exists() || listed.is_ok_and(|status| status.success())
}

/// Builds everything and puts it into a folder that another machine can measure with.
pub(super) fn build_into(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let built = Programs::build()?;
    for (from, name) in [(&built.0, PROGRAM), (&built.1, MEASURE), (&built.2, VECTORS), (&std::env::current_exe()?, "xtask")] {
        std::fs::copy(from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    for (from, to) in [("tests/fixtures/transvae", "fixtures/transvae"), ("tests/fixtures/eri", "fixtures/eri"), ("tests/peers", "peers")] {
        copy_files(&run::root().join(from), &folder.join(to))?;
    }
    println!("built: {0}/xtask bench cuda --prebuilt={0}", folder.display());
    Ok(())
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

impl Programs {
    pub(super) fn find(prebuilt: Option<&Path>, card: Option<String>) -> Result<Self> {
        let (root, python, card) = (run::root(), None, card.map(visible));
        if let Some(folder) = prebuilt {
            let at = |name: &str| folder.join(name);
            for name in [PROGRAM, MEASURE, VECTORS] {
                ensure!(at(name).is_file(), "{} has no {name}: was it made by --build?", folder.display());
            }
            let (fixtures, peers) = (at("fixtures"), at("peers"));
            return Ok(Self { program: at(PROGRAM), measure: at(MEASURE), vectors: at(VECTORS), fixtures, peers, python, card });
        }
        let (program, measure, vectors) = Self::build()?;
        let (fixtures, peers) = (root.join("tests/fixtures"), root.join("tests/peers"));
        Ok(Self { program, measure, vectors, fixtures, peers, python, card })
    }

    /// Looks for a Python with torch.
    pub(super) fn find_python(&mut self) -> Result<()> {
        self.python = super::super::model::python()?;
        Ok(())
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.envs(self.card.as_ref().map(|card| ("CUDA_VISIBLE_DEVICES", card)));
        command
    }

    /// The program, the example that measures, and the tests of the reference vectors.
    fn build() -> Result<(PathBuf, PathBuf, PathBuf)> {
        let built = |args: &[&str], name: &str| -> Result<PathBuf> {
            let common = ["--release", "--features", "cuda", "--message-format=json"];
            let text = run::output(args.iter().chain(&common))?;
            let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut programs =
                artifacts.filter(|a| a["target"]["name"] == name).filter_map(|a| a["executable"].as_str().map(PathBuf::from));
            programs.next().with_context(|| format!("cargo names no program {name}"))
        };
        Ok((
            built(&["build", "--package", "react-train", "--bin", "react-train"], "react-train")?,
            built(&["build", "--package", "react-model", "--example", "measure"], "measure")?,
            built(&["test", "--no-run", "--package", "react-model", "--test", "cuda"], "cuda")?,
        ))
    }

    /// A case of the example `measure`, on the card.
    pub(super) fn measure(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.measure);
        command.args(args).args(["--device", DEVICE]);
        command
    }

    /// The tests of the reference vectors in one precision.
    pub(super) fn vectors(&self, precision: &str) -> Command {
        let mut command = self.command(&self.vectors);
        command.env("REACT_FIXTURES", &self.fixtures).args([&format!("_in_{precision}"), "--nocapture", "--test-threads=1"]);
        if precision == "f32" {
            // What is compared with the processor is f32 too.
            command.args(["draws_and_streams", "a_gradient_that"]);
        }
        command
    }

    pub(super) fn program(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.program);
        command.args(args);
        command
    }

    /// A case of the peer's; none without torch.
    pub(super) fn peer(&self, args: &[&str]) -> Option<Command> {
        self.script("model_cuda.py", args)
    }

    /// How far the peer's gradients are from the reference vectors; none without torch.
    pub(super) fn peer_vectors(&self) -> Option<Command> {
        self.script("precision.py", &["cuda"])
    }

    fn script(&self, name: &str, args: &[&str]) -> Option<Command> {
        let mut command = self.command(self.python.as_ref()?);
        command.arg(self.peers.join(name)).args(args);
        Some(command)
    }
}

/// What a process prints, if it ends well within its time.
pub(super) fn output_within(command: Command, limit: Duration) -> Result<String> {
    let (text, ended) = run_within(command, limit)?;
    ended.map(|()| text)
}

/// What a process prints, and whether it ended well; it is stopped where its time is over.
fn run_within(mut command: Command, limit: Duration) -> Result<(String, Result<()>)> {
    ensure!(!limit.is_zero(), "no time is left for it");
    // Files, not pipes: a full pipe would stop it, and nobody reads while we wait.
    let file = tempfile()?;
    let errors = tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(errors.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let end = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let (text, wrong) = (read(file)?, read(errors)?);
    let ended = match status {
        None => Err(anyhow::anyhow!("took longer than {:.0} s", limit.as_secs_f64())),
        Some(status) if status.success() => Ok(()),
        // Tests say what failed on their standard output.
        Some(status) => Err(anyhow::anyhow!("{status}: {}", [tail(&text), tail(&wrong)].join(" "))),
    };
    Ok((text, ended))
}

/// The last words of a process, in one line.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('{')).collect();
    lines[lines.len().saturating_sub(4)..].join(" / ")
}

/// The lines of JSON among what it prints, and whether it ended well.
pub(super) fn lines_within(command: Command, limit: Duration) -> (Vec<Value>, Result<()>) {
    let (text, ended) = match run_within(command, limit) {
        Ok(found) => found,
        Err(error) => return (Vec::new(), Err(error)),
    };
    // A test's name may come before its line.
    let json = text.lines().filter_map(|line| serde_json::from_str::<Value>(&line[line.find('{')?..]).ok());
    let lines: Vec<Value> = json.collect();
    let ended = ended.and_then(|()| if lines.is_empty() { Err(anyhow::anyhow!("measured nothing")) } else { Ok(()) });
    (lines, ended)
}

/// An open file without a name.
fn tempfile() -> Result<std::fs::File> {
    let path = std::env::temp_dir().join(format!("react-bench-{}-{:?}", std::process::id(), Instant::now()));
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn read(mut file: std::fs::File) -> Result<String> {
    use std::io::{Read, Seek};
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Today, as 2026-01-31 (UTC).
pub(super) fn date() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    civil(seconds / 86_400)
}

/// The date of a day counted from 1970-01-01: Hinnant, "chrono-compatible low-level date algorithms", 2013.
fn civil(days: u64) -> String {
    let shifted = days + 719_468;
    let (era, day) = (shifted / 146_097, shifted % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{}-{month:02}-{date:02}", era * 400 + year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let found = [0, 59, 11_016, 11_017, 20_454].map(civil);
        assert_eq!(found, ["1970-01-01", "1970-03-01", "2000-02-29", "2000-03-01", "2026-01-01"]);
    }

    #[test]
    fn a_process_has_its_time() {
        let shell = |text: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", text]);
            command
        };
        let lines = lines_within(shell("echo test x ... '{\"a\":1}'; echo no"), Duration::from_secs(10));
        assert!(lines.0 == [serde_json::json!({"a": 1})] && lines.1.is_ok());
        let (lines, ended) = lines_within(shell("echo '{\"a\":1}'; false"), Duration::from_secs(10));
        assert!(lines.len() == 1 && ended.is_err());
        assert!(lines_within(shell("echo nothing"), Duration::from_secs(10)).1.is_err());
        let error = output_within(shell("echo why >&2; exit 3"), Duration::from_secs(10)).unwrap_err().to_string();
        assert!(error.contains("why"), "{error}");
        let began = Instant::now();
        assert!(output_within(shell("sleep 30"), Duration::from_millis(100)).unwrap_err().to_string().contains("longer"));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
