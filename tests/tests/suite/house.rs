//! What holds for the whole repository: licences, banned crates, layers, and how things are called.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// `cargo metadata`, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// `None` is a normal one.
    kind: Option<String>,
}

/// `deny.toml`, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Deny {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    name: String,
}

pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn metadata() -> &'static Metadata {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["metadata", "--format-version", "1", "--locked"];
        let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`cargo fetch --locked` gets what this needs:\n{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    })
}

fn deny() -> Deny {
    toml::from_str(&std::fs::read_to_string(root().join("deny.toml")).unwrap()).unwrap()
}

/// Every file that belongs to the repository, without what is built or run in it.
pub(crate) fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                let not_ours = [".git", ".darkroom", "target", "output", "book"].contains(&name.as_str());
                if !not_ours && !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every crate that is linked into this one.
fn linked_into(name: &str) -> BTreeSet<&'static str> {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let nodes: BTreeMap<&str, &Node> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let first = metadata.packages.iter().find(|package| package.name == name).unwrap();
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([first.id.as_str()]);
    while let Some(id) = open.pop_front() {
        let normal = nodes[id].deps.iter().filter(|of| of.dep_kinds.iter().any(|kind| kind.kind.is_none()));
        for dependency in normal {
            if seen.insert(names[dependency.pkg.as_str()]) {
                open.push_back(&dependency.pkg);
            }
        }
    }
    seen
}

/// Whether an SPDX expression can be met with these licences.
fn met(expression: &str, allowed: &[String]) -> bool {
    // `MIT/Apache-2.0` is how it was written before SPDX expressions.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&words, &mut at, allowed);
    assert_eq!(at, words.len(), "`{expression}` is no licence expression");
    met
}

fn any(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(words, at, allowed);
    }
    met
}

fn all(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut licence = words[*at].to_owned();
    *at += 1;
    if licence == "(" {
        let met = any(words, at, allowed);
        assert_eq!(words.get(*at), Some(&")"));
        *at += 1;
        return met;
    }
    if words.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", words[*at + 1]);
        *at += 2;
    }
    allowed.contains(&licence)
}

#[test]
fn licence_expressions_are_read_as_spdx_says() {
    let allowed = ["MIT".to_owned(), "Zlib".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    let cases = [
        ("MIT", true),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR GPL-3.0) AND Zlib", true),
        ("MIT AND GPL-3.0 OR Zlib", true),
        ("Apache-2.0", false),
        ("Apache-2.0 WITH LLVM-exception", true),
    ];
    for (expression, want) in cases {
        assert_eq!(met(expression, &allowed), want, "{expression}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_deny_toml_allows() {
    let allowed = deny().licenses.allow;
    let bad: Vec<String> = metadata()
        .packages
        .iter()
        .filter(|package| !package.license.as_deref().is_some_and(|license| met(license, &allowed)))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// One TLS provider in the whole tree, and none that deny.toml bans. The lock file is no witness: it also names what is
/// optional and never turned on.
#[test]
fn no_banned_crate_is_built_on_any_platform() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["tree", "--workspace", "--locked", "--target", "all", "--prefix", "none", "--format", "{lib}"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let built: BTreeSet<&str> = tree.lines().map(str::trim).collect();
    assert!(built.contains("rustls") && built.contains("aws_lc_rs"), "the tree is read as expected");
    let bans = deny().bans.deny;
    for name in ["ring", "openssl", "openssl-sys", "native-tls"] {
        assert!(bans.iter().any(|ban| ban.name == name), "deny.toml must ban {name}");
    }
    for Ban { name } in bans {
        assert!(!built.contains(name.replace('-', "_").as_str()), "{name} is built");
    }
}

#[test]
fn everything_comes_from_the_registry_or_from_here() {
    for package in &metadata().packages {
        let ours = package.name.starts_with("darkroom-") && package.source.is_none();
        let registry = package.source.as_deref().is_some_and(|source| source.starts_with("registry+"));
        assert!(ours || registry, "{} comes from {:?}", package.name, package.source);
    }
}

#[test]
fn the_engine_and_the_adapters_do_no_io() {
    for ours in ["darkroom-engine", "darkroom-provider"] {
        let linked = linked_into(ours);
        assert!(linked.contains("darkroom-proto"), "the graph was read: {linked:?}");
        for name in ["tokio", "futures", "mio", "reqwest", "hyper", "redis", "redb", "lapin", "axum", "object_store"] {
            assert!(!linked.contains(name), "{ours} links {name}");
        }
    }
}

#[test]
fn dependencies_point_down_only() {
    let allowed: [(&str, &[&str]); 9] = [
        ("darkroom-proto", &[]),
        ("darkroom-engine", &["darkroom-proto"]),
        ("darkroom-backend", &["darkroom-proto"]),
        ("darkroom-provider", &["darkroom-proto"]),
        ("darkroom-taskworker", &["darkroom-proto"]),
        ("darkroom-worker", &["darkroom-backend", "darkroom-proto", "darkroom-provider"]),
        ("darkroom-simulator", &["darkroom-backend", "darkroom-proto", "darkroom-provider", "darkroom-worker"]),
        ("darkroom-coordinator", &["darkroom-backend", "darkroom-engine", "darkroom-proto", "darkroom-provider"]),
        (
            "darkroom-testkit",
            &["darkroom-backend", "darkroom-engine", "darkroom-proto", "darkroom-provider", "darkroom-worker"],
        ),
    ];
    for (name, allowed) in allowed {
        let ours: Vec<&str> = linked_into(name).into_iter().filter(|linked| linked.starts_with("darkroom-")).collect();
        assert_eq!(ours, allowed, "{name}");
    }
}

#[test]
fn no_file_is_called_after_nothing() {
    for path in files() {
        let named = path.file_stem().unwrap().to_string_lossy().to_lowercase();
        for name in ["util", "utils", "common", "helper", "helpers", "misc"] {
            assert_ne!(named, name, "{} says nothing about what is in it", path.display());
        }
    }
}

#[test]
fn no_test_is_ignored() {
    let mark = ["#[", "ignore"].concat();
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&mark), "{} ignores a test", path.display());
    }
}
