//! An architecture is one short file: nothing else in the engine knows its name.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a declaration at most, docs included.
const LONGEST: usize = 150;

/// Where else names may stand, and why. Nothing there branches by them.
const ELSEWHERE: &[(&str, &str)] = &[
    ("connote/src/known.rs", "a row of the table of models says of which architecture its model is"),
    (
        "convert/src",
        "a folder from Hugging Face becomes a file of some architecture and tokenizer: names, no arithmetic",
    ),
    ("testkit/src", "writes tiny files and computes them naively, apart from the engine"),
    ("tokenizer/src", "kinds of tokenizers and of cutting texts have these names, too"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line of code, not of a comment, has the name as a string or as the beginning of a key. A name before a
/// colon is a field of JSON.
fn has(line: &str, name: &str) -> bool {
    let code = !line.trim_start().starts_with("//");
    let is_string = line.contains(&format!("\"{name}\"")) && !line.contains(&format!("\"{name}\":"));
    code && (is_string || line.contains(&format!("\"{name}.")))
}

#[test]
fn a_declaration_is_short_and_alone_knows_its_name() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of crates");
    let mut files = Vec::new();
    for entry in fs::read_dir(crates).expect("the folder of crates") {
        let source = entry.expect("an entry").path().join("src");
        if source.is_dir() {
            sources(&source, &mut files);
        }
    }
    let declarations = crates.join("encoder/src/arch");
    let text = |path: &Path| fs::read_to_string(path).expect("a source file");
    for file in files.iter().filter(|file| file.starts_with(&declarations)) {
        let lines = text(file).lines().count();
        assert!(
            lines <= LONGEST,
            "{} has {lines} lines; a declaration has at most {LONGEST}",
            file.display()
        );
    }
    assert!(connote_encoder::architectures().len() >= 15);
    for name in connote_encoder::architectures() {
        let known: Vec<&PathBuf> = files
            .iter()
            .filter(|file| !ELSEWHERE.iter().any(|(place, _)| file.starts_with(crates.join(place))))
            .filter(|file| text(file).lines().any(|line| has(line, name)))
            .collect();
        let [only] = known.as_slice() else {
            panic!("`{name}` stands in {known:?}; one file of {} may know it", declarations.display());
        };
        assert!(only.starts_with(&declarations), "{} knows `{name}`", only.display());
    }
}

/// The example of docs/MODELS.md is the file itself.
#[test]
fn the_example_of_the_docs_is_the_declaration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let [docs, file] = ["../../docs/MODELS.md", "src/arch/neo.rs"]
        .map(|path| fs::read_to_string(root.join(path)).expect("a file of the checkout"));
    assert!(docs.contains(&file), "docs/MODELS.md shows another neo.rs");
    for name in connote_encoder::architectures() {
        assert!(docs.contains(&format!("| `{name}` |")), "docs/MODELS.md does not list `{name}`");
    }
}
