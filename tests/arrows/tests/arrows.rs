//! The arrows between the rooms, as ARCHITECTURE.md draws them, against what `cargo metadata` says. A dependency
//! that is not drawn is a failure, whether normal, for a build script, optional or for tests alone: a test that
//! reaches into a higher room would hold it there as firmly as code does.

mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use workspace::{Kind, Package, workspace_packages};

/// Room, and the rooms it may import. A room appears in the workspace with its first file, so all of these need
/// not exist, but nothing else may.
const ARROWS: &[(&str, &[&str])] = &[
    ("records", &[]),
    ("env", &[]),
    ("security", &[]),
    ("wire", &["records"]),
    ("replication", &["records"]),
    ("metadata", &["records"]),
    ("coordinator", &["records"]),
    ("engine", &["records"]),
    ("tiering", &["records", "engine", "env"]),
    ("quorum", &["records", "engine", "env", "metadata"]),
    ("node", &["records", "engine", "env", "metadata", "tiering", "replication", "coordinator", "security"]),
    (
        "broker",
        &[
            "records",
            "env",
            "security",
            "wire",
            "replication",
            "metadata",
            "coordinator",
            "engine",
            "tiering",
            "quorum",
            "node",
        ],
    ),
    (
        "sim",
        &[
            "records",
            "env",
            "security",
            "replication",
            "metadata",
            "coordinator",
            "engine",
            "tiering",
            "quorum",
            "node",
        ],
    ),
];

/// Members that stand outside the rooms and may import all of them; no room may import these.
const OUTSIDE: &[&str] = &["arrows", "benches", "corpus"];

/// What a core may be built from besides other rooms: it decides and does no I/O, so everything here is bytes,
/// checksums and error types. Another name needs a reason in `docs/decisions/`.
const CORE_ALLOWED: &[(&str, &[&str])] = &[
    ("records", &["bytes", "crc32c", "flate2", "lz4", "lz4_flex", "snap", "thiserror", "twox-hash", "zstd"]),
    ("replication", &["bytes", "thiserror"]),
    ("metadata", &["bytes", "crc32c", "thiserror"]),
    ("coordinator", &["bytes", "crc32c", "regex", "thiserror"]),
    ("security", &["base64", "bytes", "hmac", "pbkdf2", "sha2", "subtle", "thiserror"]),
];

/// Cores that are `no_std` besides: with `alloc` alone there is no clock, thread, file or socket to reach for.
const NO_STD: &[&str] = &["replication", "metadata"];

/// Rooms that no runtime and no serialization framework may reach, however indirectly: a core is plain steps, and
/// the engine is embedded by programs that have chosen their own.
const PLAIN: &[&str] = &["records", "replication", "metadata", "coordinator", "security", "engine"];

/// The most packages that linking the engine may bring into somebody else's program.
const ENGINE_PACKAGES_MAX: usize = 50;

#[test]
fn every_import_is_drawn() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in workspace_packages() {
        if OUTSIDE.contains(&package.room.as_str()) {
            continue;
        }
        let Some(drawn) = allowed.get(package.room.as_str()) else {
            wrong.push(format!("{} is not a room of the design", package.room));
            continue;
        };
        for (dependency, kind) in &package.dependencies {
            if let Some(room) = dependency.strip_prefix("highwater-")
                && !drawn.contains(&room)
            {
                wrong.push(format!("{} -> {room} ({kind:?}) is not drawn", package.room));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rooms_lie_in_folders_of_their_name() {
    for package in workspace_packages() {
        let folder = package.folder.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            folder,
            package.room,
            "package highwater-{} lies in {}",
            package.room,
            package.folder.display()
        );
    }
}

#[test]
fn the_drawing_has_no_cycle_and_only_known_rooms() {
    let mut above: BTreeSet<&str> = BTreeSet::new();
    for (room, imports) in ARROWS {
        for import in *imports {
            assert!(above.contains(import), "{room} imports {import}, which is not drawn before it");
        }
        assert!(above.insert(room), "{room} is drawn twice");
    }
}

#[test]
fn cores_are_built_from_allowed_packages_alone() {
    let packages = rooms_by_name();
    let mut wrong = Vec::new();
    for (room, allowed) in CORE_ALLOWED {
        let Some(package) = packages.get(*room) else { continue };
        for (dependency, kind) in &package.dependencies {
            let ours = dependency.starts_with("highwater-");
            if !ours && *kind != Kind::Dev && !allowed.contains(&dependency.as_str()) {
                wrong.push(format!("{room} -> {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not on the allow-list of a core: {wrong:#?}");
}

#[test]
fn no_runtime_and_no_serde_reach_the_cores_and_the_engine() {
    let packages = rooms_by_name();
    for room in PLAIN.iter().filter(|room| packages.contains_key(**room)) {
        let built_from = workspace::built_from(room);
        for banned in ["tokio", "serde", "serde_core", "async-std", "futures"] {
            assert!(
                !built_from.contains(banned),
                "{banned} reaches {room}; see `cargo tree -p highwater-{room}`"
            );
        }
    }
}

#[test]
fn the_engine_stays_small_enough_to_embed() {
    let built_from = workspace::built_from("engine");
    assert!(
        built_from.len() <= ENGINE_PACKAGES_MAX,
        "linking the engine brings {} packages, {ENGINE_PACKAGES_MAX} are allowed: {built_from:?}",
        built_from.len()
    );
}

#[test]
fn cores_say_no_std_and_forbid_the_outside_world() {
    for (room, package) in rooms_by_name() {
        if NO_STD.contains(&room.as_str()) {
            let lib = std::fs::read_to_string(package.folder.join("src/lib.rs")).unwrap();
            assert!(lib.contains("no_std"), "{room}/src/lib.rs is not no_std");
        }
        if CORE_ALLOWED.iter().any(|(core, _)| *core == room) {
            let lints = std::fs::read_to_string(package.folder.join("clippy.toml"))
                .unwrap_or_else(|e| panic!("{room} is a core and has no clippy.toml of its own: {e}"));
            for module in ["time", "thread", "fs", "net", "env", "process"] {
                assert!(
                    lints.contains(&format!("std::{module}::")),
                    "{room}/clippy.toml does not forbid std::{module}"
                );
            }
        }
    }
}

fn rooms_by_name() -> BTreeMap<String, Package> {
    workspace_packages().into_iter().map(|package| (package.room.clone(), package)).collect()
}
