//! The metric suite beside the published algorithms, in one run; its table goes into docs/performance.md.
//!
//! `--quick` leaves out the real size and writes nothing. REACT_PYTHON names a Python with what `tests/peers/metrics.py` needs; without
//! one the peer is left out, and the table says so.

use crate::run;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const BEGIN: &str = "<!-- bench:metrics -->";
const END: &str = "<!-- /bench:metrics -->";

pub(crate) fn run(flags: &[String]) -> Result<()> {
    let quick = flags.iter().any(|flag| flag == "--quick");
    let folder = run::root().join("target/bench-metrics");
    std::fs::create_dir_all(&folder)?;
    let mut table = String::new();
    beside_the_peer(&folder, &mut table)?;
    growth(&folder, &mut table)?;
    if !quick {
        real_size(&folder, &mut table)?;
    }
    println!("{table}");
    if quick { Ok(()) } else { write(&table) }
}

/// The suite at N = 24 on both kinds of made data, ours and the peer's.
fn beside_the_peer(folder: &Path, out: &mut String) -> Result<()> {
    let synthetic = reactions(folder, "24", &["--n", "24", "--k", "10", "--t", "750", "--neighbours", "6"])?;
    let smooth = reactions(folder, "24s", &["--n", "24", "--k", "10", "--t", "750", "--neighbours", "6", "--smooth", "13"])?;
    let courses = folder.join("courses");
    ours(&["--save", text(&courses)?])?;
    writeln!(out, "N = 24, K = 10, T = 750, 6 of 24 pairs appropriate (1440 warps of three parts); seconds:\n")?;
    writeln!(out, "| data | what | ours, wall | ours, processor | published algorithms, processor | ratio | ratio per core |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for (name, data) in [
        ("the synthetic corpus, fresh draws", synthetic),
        ("the same, predictions averaged over 13 frames", smooth),
        ("smooth random courses", courses),
    ] {
        let all = ours(&["--load", text(&data)?])?;
        let one = ours(&["--load", text(&data)?, "--threads", "1"])?;
        let peer = peer(&data)?;
        for (what, stage) in [("whole suite", "in all"), ("FRDist", "FRDist")] {
            let (wall, processor) = (number(&all, "wall", stage)?, number(&one, "processor", stage)?);
            let theirs = peer.as_ref().map(|peer| {
                let seconds = if stage == "in all" { &peer["total"] } else { &peer["seconds"][stage] };
                seconds.as_f64().context("the peer gave no time")
            });
            let theirs = theirs.transpose()?;
            let cells = theirs.map_or_else(
                || "not run | – | –".to_owned(),
                |theirs| format!("{theirs:.2} | {:.0}× | {:.0}×", theirs / wall, theirs / processor),
            );
            writeln!(out, "| {name} | {what} | {wall:.3} | {processor:.2} | {cells} |")?;
        }
        if let Some(peer) = &peer {
            same(&all, peer)?;
        }
        println!("{name}: pruned {:.1} %, terms spared {:.1} %", percent(&all, "pruned"), percent(&all, "spared"));
    }
    writeln!(out)?;
    Ok(())
}

/// Values that differ make a comparison of times worthless.
fn same(ours: &Value, peer: &Value) -> Result<()> {
    for key in ["FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn"] {
        let (a, b) = (ours["scores"][key].as_f64().context("no score")?, peer["values"][key].as_f64().context("no value of the peer")?);
        ensure!((a - b).abs() <= 1e-6 * b.abs(), "{key} is {a}, the published algorithm gives {b}");
    }
    Ok(())
}

/// How the time grows with each size, from one middle point.
fn growth(folder: &Path, out: &mut String) -> Result<()> {
    let base = [("N", 96), ("K", 4), ("T", 500), ("neighbours", 12)];
    let cases: [(&str, [usize; 4]); 4] =
        [("N", [24, 48, 96, 192]), ("K", [1, 2, 4, 8]), ("T", [125, 250, 500, 1000]), ("neighbours", [1, 6, 12, 24])];
    writeln!(out, "Growth around N = 96, K = 4, T = 500, 12 neighbours a clip, on the synthetic corpus' draws; processor seconds:\n")?;
    writeln!(out, "| what grows | sizes | FRDist | the rest | pairs pruned | terms spared |\n|---|---|---|---|---|---|")?;
    for (what, sizes) in cases {
        let mut rows: [Vec<String>; 4] = Default::default();
        for size in sizes {
            let value =
                |name: &str| base.iter().find(|(n, _)| *n == name).map_or(1, |(_, v)| if name == what { size } else { *v }).to_string();
            let args = [["--n", &value("N")], ["--k", &value("K")], ["--t", &value("T")], ["--neighbours", &value("neighbours")]];
            let data = reactions(folder, "growth", &args.concat())?;
            let found = ours(&["--load", text(&data)?])?;
            let distance = number(&found, "processor", "FRDist")?;
            let rest = number(&found, "processor", "in all")? - distance;
            let row = [
                format!("{distance:.2}"),
                format!("{rest:.2}"),
                format!("{:.0} %", percent(&found, "pruned")),
                format!("{:.0} %", percent(&found, "spared")),
            ];
            rows.iter_mut().zip(row).for_each(|(cells, cell)| cells.push(cell));
        }
        let sizes = sizes.map(|size| size.to_string()).join(", ");
        let rows = rows.map(|cells| cells.join(", "));
        writeln!(out, "| {what} | {sizes} | {} |", rows.join(" | "))?;
    }
    writeln!(out)?;
    Ok(())
}

/// N = 1142, as the challenge's validation split with both roles.
fn real_size(folder: &Path, out: &mut String) -> Result<()> {
    let data = reactions(folder, "1142", &["--n", "1142", "--k", "10", "--t", "750", "--neighbours", "40"])?;
    writeln!(out, "The real size, N = 1142, K = 10, T = 750, 40 neighbours a clip, on the synthetic corpus' draws:\n")?;
    writeln!(out, "| instructions | threads | wall | processor | FRDist, processor | largest memory | pairs pruned | terms spared |")?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let mut last = None;
    for set in ["avx512", "avx2"] {
        let found = ours(&["--load", text(&data)?, "--instructions", set])?;
        let used = found["instructions"].as_str().unwrap_or("?").to_owned();
        if last.as_ref() == Some(&used) {
            continue;
        }
        let (wall, processor) = (number(&found, "wall", "in all")?, number(&found, "processor", "in all")?);
        let (distance, memory) = (number(&found, "processor", "FRDist")?, found["peak_mb"].as_f64().unwrap_or(f64::NAN));
        writeln!(
            out,
            "| {used} | {} | {wall:.0} s | {processor:.0} s | {distance:.0} s | {memory:.0} MB | {:.1} % | {:.1} % |",
            found["threads"],
            percent(&found, "pruned"),
            percent(&found, "spared")
        )?;
        last = Some(used);
    }
    std::fs::remove_dir_all(&data)?;
    Ok(())
}

/// Draws of the synthetic corpus in a folder of their own.
fn reactions(folder: &Path, name: &str, args: &[&str]) -> Result<PathBuf> {
    let out = folder.join(name);
    let example = ["run", "--release", "--quiet", "--package", "react-synth", "--example", "reactions", "--"];
    run::output(example.into_iter().chain(args.iter().copied()).chain(["--out", text(&out)?]))?;
    Ok(out)
}

/// What our bench says.
fn ours(args: &[&str]) -> Result<Value> {
    let example = ["run", "--release", "--quiet", "--package", "react-metrics", "--example", "bench", "--", "--json"];
    let said = run::output(example.into_iter().chain(args.iter().copied()))?;
    Ok(serde_json::from_str(said.trim())?)
}

/// What the published algorithms say; `None`, with a word, where there is no Python for them.
fn peer(data: &Path) -> Result<Option<Value>> {
    let python = std::env::var_os("REACT_PYTHON").unwrap_or_else(|| "python3".into());
    let has = Command::new(&python).args(["-c", "import numpy, scipy, tslearn"]).output();
    if !has.is_ok_and(|has| has.status.success()) {
        println!("the peer is left out: {} has not numpy, scipy and tslearn (REACT_PYTHON names another)", python.display());
        return Ok(None);
    }
    let script = run::root().join("tests/peers/metrics.py");
    let output = Command::new(&python).arg(script).arg(data).args(["--dist-pairs", "0", "--json"]).output()?;
    ensure!(output.status.success(), "the peer failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(Some(serde_json::from_slice(&output.stdout)?))
}

fn number(found: &Value, clock: &str, stage: &str) -> Result<f64> {
    found[clock][stage].as_f64().with_context(|| format!("the bench gave no {clock} time of {stage}"))
}

fn percent(found: &Value, key: &str) -> f64 {
    100.0 * found[key].as_f64().unwrap_or(f64::NAN)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// Puts the table between its markers.
fn write(table: &str) -> Result<()> {
    let path = run::root().join("docs/performance.md");
    let before = std::fs::read_to_string(&path)?;
    let (head, rest) = before.split_once(BEGIN).with_context(|| format!("{} has no {BEGIN}", path.display()))?;
    let (_, tail) = rest.split_once(END).with_context(|| format!("{} has no {END}", path.display()))?;
    std::fs::write(&path, format!("{head}{BEGIN}\n{}\n{END}{tail}", table.trim_end()))?;
    println!("written into {}", path.display());
    Ok(())
}
