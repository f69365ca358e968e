//! Every dependency's licence against the list in deny.toml.

use crate::run;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

pub(crate) fn check() -> Result<()> {
    let deny: toml::Table = std::fs::read_to_string(run::root().join("deny.toml")).context("cannot read deny.toml")?.parse()?;
    let allow = deny["licenses"]["allow"].as_array().context("deny.toml: licenses.allow is no list")?;
    let allow: Vec<Licensee> = allow
        .iter()
        .map(|name| Ok(Licensee::parse(name.as_str().context("deny.toml: a licence is no string")?)?))
        .collect::<Result<_>>()?;
    let metadata: Value = serde_json::from_str(&run::output(["metadata", "--format-version", "1", "--locked"])?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata holds no packages")?;
    let mut refused = Vec::new();
    for package in packages {
        let (name, version) = (package["name"].as_str().unwrap_or("?"), package["version"].as_str().unwrap_or("?"));
        let accepted = package["license"].as_str().is_some_and(|licence| {
            Expression::parse_mode(licence, ParseMode::LAX)
                .is_ok_and(|terms| terms.evaluate(|term| allow.iter().any(|licensee| licensee.satisfies(term))))
        });
        if !accepted {
            refused.push(format!("{name} {version}: {}", package["license"]));
        }
    }
    ensure!(refused.is_empty(), "licences that deny.toml does not allow:\n{}", refused.join("\n"));
    println!("{} packages, all under licences of deny.toml", packages.len());
    Ok(())
}
