//! What ARCHITECTURE.md says of the sources holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// Callers match on these, and there will be more of each.
#[test]
fn errors_and_events_may_grow() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rooms = fs::read_dir(&crates).expect("a folder of crates").flatten();
    let (mut found, mut closed) = (0, Vec::new());
    for path in rooms.flat_map(|room| sources(&room.path().join("src"))) {
        let text = fs::read_to_string(&path).expect("text");
        let mut attributes: Vec<&str> = Vec::new();
        for line in text.lines() {
            if line.starts_with("#[") {
                attributes.push(line);
                continue;
            }
            let name = line.strip_prefix("pub enum ").and_then(|rest| rest.split([' ', '<']).next());
            if name.is_some_and(|name| ["Error", "ErrorKind", "Event"].iter().any(|end| name.ends_with(end)))
            {
                found += 1;
                if !attributes.contains(&"#[non_exhaustive]") {
                    closed.push(format!("{}: {line}", path.display()));
                }
            }
            attributes.clear();
        }
    }
    assert!(found >= 10, "{found}");
    assert_eq!(closed, Vec::<String>::new(), "these lack #[non_exhaustive]");
}

#[test]
fn the_rooms_with_unsafe_code_are_those_that_are_named() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut allowed = BTreeSet::new();
    for room in fs::read_dir(&crates).expect("a folder of crates").flatten() {
        for path in sources(&room.path().join("src")) {
            let text = fs::read_to_string(&path).expect("text");
            let says_so = |line: &str| line.starts_with("#![") && line.contains("allow(unsafe_code)");
            if text.lines().any(says_so) {
                let name = path.strip_prefix(&crates).expect("inside").to_string_lossy().replace('\\', "/");
                allowed.insert(name);
            }
        }
    }
    let architecture = fs::read_to_string(crates.join("../ARCHITECTURE.md")).expect("text");
    let (_, section) = architecture.split_once("**Unsafe**").expect("a part about it");
    let (section, _) = section.split_once("\n## ").expect("and one after it");
    let named: BTreeSet<String> = section
        .split('`')
        .filter(|name| name.contains('/') && name.ends_with(".rs"))
        .map(str::to_owned)
        .collect();
    assert!(allowed.len() > 10, "{allowed:?}");
    assert_eq!(named, allowed);
}
