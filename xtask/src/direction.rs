//! The dependency direction of docs/architecture.md, as a check.

use crate::run;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

/// Each crate of the workspace, and the ones that it may depend on (development dependencies apart).
const MAY_DEPEND_ON: [(&str, &[&str]); 13] = [
    ("react-contracts", &[]),
    ("react-random", &[]),
    ("react-store", &[]),
    ("react-media", &["react-store"]),
    ("react-data", &["react-contracts", "react-media", "react-random", "react-store"]),
    ("react-model", &["react-contracts", "react-random", "react-store"]),
    ("react-metrics", &["react-contracts", "react-random"]),
    ("react-face", &["react-contracts", "react-random", "react-store"]),
    ("react-viz", &["react-contracts", "react-face", "react-media", "react-metrics", "react-store"]),
    ("react-synth", &["react-contracts", "react-data", "react-face", "react-media", "react-random", "react-store"]),
    (
        "react-train",
        &[
            "react-contracts",
            "react-data",
            "react-face",
            "react-media",
            "react-metrics",
            "react-model",
            "react-random",
            "react-store",
            "react-synth",
            "react-viz",
        ],
    ),
    ("react-tests", &["react-train"]),
    ("xtask", &[]),
];

/// Crates that must be usable without a tensor framework.
const WITHOUT_CANDLE: [&str; 9] = [
    "react-contracts",
    "react-random",
    "react-store",
    "react-media",
    "react-data",
    "react-metrics",
    "react-face",
    "react-viz",
    "react-synth",
];

pub(crate) fn check() -> Result<()> {
    let metadata: Value = serde_json::from_str(&run::output(["metadata", "--format-version", "1", "--no-deps"])?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata holds no packages")?;
    let allowed = BTreeMap::from(MAY_DEPEND_ON);
    for package in packages {
        let name = package["name"].as_str().context("a package without a name")?;
        let may = allowed.get(name).with_context(|| format!("{name} has no line in xtask/src/direction.rs"))?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            let inside = allowed.contains_key(on) && dependency["kind"].is_null();
            ensure!(!inside || may.contains(&on), "{name} must not depend on {on} (docs/architecture.md, dependency direction)");
        }
    }
    for name in WITHOUT_CANDLE {
        let tree = run::output(["tree", "--package", name, "--edges", "normal", "--prefix", "none"])?;
        let candle = tree.lines().find(|line| line.starts_with("candle"));
        ensure!(candle.is_none(), "{name} must be usable without Candle, but its tree holds {}", candle.unwrap_or_default());
    }
    Ok(())
}
