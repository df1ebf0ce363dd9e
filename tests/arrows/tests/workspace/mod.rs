//! What cargo says about this workspace, reduced to what the tests ask.

use serde_json::Value;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// One member of the workspace.
pub(crate) struct Package {
    /// The package's name without `highwater-`.
    pub(crate) room: String,
    /// Where its `Cargo.toml` lies.
    pub(crate) folder: PathBuf,
    /// Everything it declares, with every feature on.
    pub(crate) dependencies: Vec<(String, Kind)>,
}

/// What a dependency is declared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/arrows lies two folders below the root")
}

/// Every member of the workspace, as `cargo metadata` declares it.
pub(crate) fn workspace_packages() -> Vec<Package> {
    let printed = cargo(&["metadata", "--offline", "--format-version", "1", "--no-deps", "--all-features"]);
    let metadata: Value = serde_json::from_str(&printed).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages is a list");
    let found: Vec<Package> = packages.iter().map(package).collect();
    assert!(found.len() > 3, "cargo metadata named only {} members", found.len());
    found
}

/// The names of all packages that a room is linked or built from, itself left out, with every feature of it on.
/// This asks `cargo tree` because the graph in `cargo metadata` joins the features that all members together ask
/// for, which is not what a program that links one room gets.
pub(crate) fn built_from(room: &str) -> BTreeSet<String> {
    let package = format!("highwater-{room}");
    let printed = cargo(&[
        "tree",
        "--offline",
        "--package",
        &package,
        "--edges",
        "normal,build",
        "--all-features",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let mut names: BTreeSet<String> =
        printed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(names.remove(&package), "cargo tree does not name {package} itself");
    names
}

fn package(value: &Value) -> Package {
    let name = text(&value["name"]);
    let manifest = PathBuf::from(text(&value["manifest_path"]));
    let dependencies = value["dependencies"].as_array().expect("dependencies is a list");
    Package {
        room: name
            .strip_prefix("highwater-")
            .unwrap_or_else(|| panic!("package {name} is not highwater-*"))
            .to_owned(),
        folder: manifest.parent().expect("a manifest lies in a folder").to_owned(),
        dependencies: dependencies.iter().map(|d| (text(&d["name"]).to_owned(), kind(&d["kind"]))).collect(),
    }
}

fn kind(value: &Value) -> Kind {
    match value.as_str() {
        None => Kind::Normal,
        Some("build") => Kind::Build,
        Some("dev") => Kind::Dev,
        Some(other) => panic!("cargo metadata names a dependency kind {other}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string"))
}

fn cargo(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(done.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("cargo prints UTF-8")
}
