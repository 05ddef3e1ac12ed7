//! The house: dependencies run one way, and the pure crates stay pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Each crate, and all of ours that it may depend on (not counting tests).
const ARROWS: [(&str, &[&str]); 15] = [
    ("fx", &[]),
    ("settlement-core", &["fx"]),
    ("valuta-proto", &[]),
    ("valuta-journal", &[]),
    ("valuta-kafka", &["valuta-journal"]),
    ("valuta-keys", &[]),
    ("valuta-ledger", &["valuta-keys"]),
    ("valuta-verify", &[]),
    ("valuta-witness", &["valuta-keys", "valuta-verify"]),
    ("valuta-engine", &["settlement-core", "valuta-journal"]),
    (
        "valuta-projector",
        &["fx", "settlement-core", "valuta-journal"],
    ),
    (
        "valuta-relay",
        &[
            "settlement-core",
            "valuta-journal",
            "valuta-ledger",
            "valuta-projector",
            "valuta-proto",
        ],
    ),
    (
        "valuta-link",
        &[
            "settlement-core",
            "valuta-engine",
            "valuta-journal",
            "valuta-proto",
        ],
    ),
    ("valuta-gateway", &["fx", "settlement-core", "valuta-proto"]),
    (
        "valuta",
        &[
            "fx",
            "settlement-core",
            "valuta-engine",
            "valuta-gateway",
            "valuta-journal",
            "valuta-kafka",
            "valuta-keys",
            "valuta-ledger",
            "valuta-link",
            "valuta-projector",
            "valuta-proto",
            "valuta-relay",
            "valuta-verify",
            "valuta-witness",
        ],
    ),
];

/// What the pure crates may not even depend on.
const IMPURE: [&str; 9] = [
    "tokio",
    "rand",
    "getrandom",
    "rusqlite",
    "postgres",
    "tonic",
    "rustix",
    "tracing",
    "metrics",
];

fn manifests() -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let members = text
        .split("members = [")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    members
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|member| *member != "tests")
        .map(|member| {
            let manifest = std::fs::read_to_string(root.join(member).join("Cargo.toml")).unwrap();
            let name = manifest
                .lines()
                .find_map(|line| line.strip_prefix("name = "))
                .unwrap()
                .trim_matches('"')
                .to_owned();
            let dependencies = manifest
                .split("[dependencies]")
                .nth(1)
                .unwrap_or("")
                .split("\n[")
                .next()
                .unwrap()
                .lines()
                .filter_map(|line| line.split(['.', ' ', '=']).next())
                .filter(|name| !name.is_empty() && !name.starts_with('#'))
                .map(str::to_owned)
                .collect();
            (name, dependencies)
        })
        .collect()
}

#[test]
fn dependencies_run_one_way() {
    let manifests = manifests();
    let ours: BTreeSet<_> = manifests.keys().cloned().collect();
    let drawn: BTreeSet<_> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(ours, drawn, "a crate is missing from the map");
    for (name, allowed) in ARROWS {
        let allowed: BTreeSet<_> = allowed.iter().map(|name| (*name).to_owned()).collect();
        let found: BTreeSet<_> = manifests[name].intersection(&ours).cloned().collect();
        assert!(
            found.is_subset(&allowed),
            "{name} depends on {:?}",
            found.difference(&allowed).collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_pure_crates_depend_on_nothing_impure() {
    let manifests = manifests();
    for name in ["fx", "settlement-core"] {
        let impure: Vec<_> = IMPURE
            .iter()
            .filter(|impure| manifests[name].contains(**impure))
            .collect();
        assert!(impure.is_empty(), "{name} depends on {impure:?}");
    }
}

#[test]
fn wire_types_stop_at_the_gateway_sql_at_the_projector_and_kafka_in_its_crate() {
    let manifests = manifests();
    for (name, dependencies) in &manifests {
        let at_the_edge =
            ["valuta-gateway", "valuta-link", "valuta-proto", "valuta"].contains(&name.as_str());
        assert!(
            at_the_edge || !dependencies.contains("tonic"),
            "{name} knows the wire"
        );
        let kafka = name == "valuta-kafka";
        assert!(
            kafka || !dependencies.contains("rdkafka"),
            "{name} knows Kafka"
        );
        let sql = name == "valuta-projector";
        for database in ["rusqlite", "postgres"] {
            assert!(sql || !dependencies.contains(database), "{name} knows SQL");
        }
    }
}

/// What the pure crates may not name, in code: what differs from run to run, and what is not exact.
const UNREPEATABLE: [&str; 13] = [
    "std::time",
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "std::io",
    "thread_local!",
    "HashMap",
    "HashSet",
    "RandomState",
    "f32",
    "f64",
];

fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // Unit tests may ask the environment how long to run; they are not the core.
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_pure_crates_name_no_clock_no_io_and_no_float() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for name in ["fx", "settlement-core"] {
        sources(&root.join(name).join("src"), &mut files);
    }
    assert!(files.len() > 20, "the pure crates were not found");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for (at, line) in code.enumerate() {
            let named = UNREPEATABLE.iter().find(|name| line.contains(**name));
            assert_eq!(named, None, "{} code line {at}: {line}", file.display());
        }
    }
}
