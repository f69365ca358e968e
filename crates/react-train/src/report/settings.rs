//! Settings of several runs, side by side: only those that differ.

use anyhow::{Context, Result};
use react_viz::Settings;
use std::collections::{BTreeMap, BTreeSet};
use toml::Value;

/// The keys that do not have the same value in every run, dotted, in order. A run's name is none of them.
///
/// # Errors
/// Where a text is no TOML.
pub(super) fn differences(runs: &[(String, String)]) -> Result<Settings> {
    let flat = runs.iter().map(|(name, text)| flatten(text).with_context(|| format!("the configuration of {name}")));
    let flat: Vec<BTreeMap<String, String>> = flat.collect::<Result<_>>()?;
    let keys: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    let values = |key: &String| flat.iter().map(|run| run.get(key).cloned().unwrap_or_default()).collect::<Vec<_>>();
    let rows = keys.into_iter().map(|key| (key.clone(), values(key)));
    let differing = |(key, values): &(String, Vec<String>)| key != "name" && values.windows(2).any(|pair| pair[0] != pair[1]);
    Ok(Settings { runs: runs.iter().map(|(name, _)| name.clone()).collect(), rows: rows.filter(differing).collect() })
}

fn flatten(text: &str) -> Result<BTreeMap<String, String>> {
    let mut flat = BTreeMap::new();
    walk("", &Value::Table(text.parse()?), &mut flat);
    Ok(flat)
}

fn walk(path: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&path, value, flat);
            }
        }
        Value::String(text) => drop(flat.insert(path.to_owned(), text.clone())),
        other => drop(flat.insert(path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        let run = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        let runs = [
            run("a", "name = \"a\"\nseed = 1\n[train]\nepochs = 2\nema = 0.9\n"),
            run("b", "name = \"b\"\nseed = 2\n[train]\nepochs = 2\n"),
        ];
        let settings = differences(&runs).unwrap();
        assert_eq!(settings.runs, ["a", "b"]);
        let rows = [("seed", ["1", "2"]), ("train.ema", ["0.9", ""])];
        assert_eq!(settings.rows, rows.map(|(key, values)| (key.to_owned(), values.map(str::to_owned).to_vec())));
        assert!(differences(&[run("a", "=")]).is_err());
    }
}
