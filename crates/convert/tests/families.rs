//! Every family from a folder as Hugging Face has it (`testdata/folders`, saved by the authors' classes): the ids and the
//! vectors of the authors, and the tensors and keys of the file that was made of the same weights by another way.
//!
//! A folder that cannot be converted fails, and so does an architecture without one.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use connote::{Embedder, Input, Model, Options};
use connote_convert::{FileType, Folder};
use gguf::{Gguf, Value};
use libtest_mimic::{Arguments, Failed, Trial};
use testkit::architectures::{self, Golden};
use testkit::{golden, oracle};

/// Converted as F32, a folder is the same network: the bound of `crates/connote/tests/architectures.rs`.
const LEAST_COSINE: f64 = 0.999999;
const LARGEST_DIFFERENCE: f32 = 5e-6;

/// Keys that say the same in other words, or are of the file alone.
const OTHER_WORDS: &[&str] = &[
    "general.file_type",
    "general.name",
    "general.quantization_version",
    // Names of the same cuts, and what is never put around a text or looked up.
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.cls_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.mask_token_id",
    "tokenizer.ggml.padding_token_id",
    "tokenizer.ggml.pre",
    "tokenizer.ggml.seperator_token_id",
    "tokenizer.ggml.token_type_count",
    "tokenizer.ggml.unknown_token_id",
    // llama.cpp's converter says what is so anyway.
    "eurobert.rope.scaling.type",
    "neo-bert.rope.scaling.type",
];

/// Its twin has queries, keys and values in one tensor, its folder three: the same rows.
const JOINED: &[&str] = &["qwen2-bidirectional"];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("every architecture has a folder", complete),
        Trial::test("the example of docs/MODELS.md is the file itself", example),
    ];
    for name in names() {
        let golden = architectures::all().into_iter().find(|golden| golden.name == name);
        let golden: &'static Golden =
            Box::leak(Box::new(golden.unwrap_or_else(|| panic!("{name} is no file of architectures"))));
        trials.push(Trial::test(format!("vectors of {name}"), move || vectors(golden)));
        trials.push(Trial::test(format!("tensors and keys of {name}"), move || twin(golden)));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn path(name: &str) -> PathBuf {
    golden::path("folders").join(name)
}

fn names() -> Vec<String> {
    let folders = fs::read_dir(path("")).expect("the folder of folders");
    let mut names: Vec<String> =
        folders.map(|folder| folder.expect("an entry").file_name().into_string().expect("ASCII")).collect();
    names.sort();
    names
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

fn complete() -> Result<(), Failed> {
    let names = names();
    let with: BTreeSet<String> = architectures::all()
        .into_iter()
        .filter(|golden| names.contains(&golden.name))
        .map(|golden| golden.architecture)
        .collect();
    let without: Vec<&str> = connote::encoder::architectures().filter(|name| !with.contains(*name)).collect();
    check(without.is_empty(), || {
        format!("no folder of {}: scripts/oracle/make.sh folders", without.join(", "))
    })
}

fn example() -> Result<(), Failed> {
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(crates.join(path)).map_err(|error| format!("{path}: {error}"));
    let (docs, file) = (read("../../docs/MODELS.md")?, read("src/families/neo_bert.rs")?);
    check(docs.contains(&file), || "docs/MODELS.md shows another families/neo_bert.rs".to_owned())
}

fn convert(name: &str) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    let model = Folder::open(&path(name))?.model()?;
    check(model.notes().is_empty(), || format!("there is something to say: {:?}", model.notes()))?;
    model.write(FileType::F32, &mut bytes, |_| true)?;
    Ok(bytes)
}

fn vectors(golden: &Golden) -> Result<(), Failed> {
    let model = Model::from_bytes(convert(&golden.name)?)?;
    for text in &golden.texts {
        let got = model.prepare(&Input::new(text.text.as_str()), &Options::new())?.ids;
        check(got == text.ids, || format!("{:?}: {got:?} instead of {:?}", text.text, text.ids))?;
    }
    let embedder = Embedder::builder().load(model)?;
    let texts = golden.texts.iter().map(|text| text.text.as_str());
    for (text, got) in golden.texts.iter().zip(embedder.embed(texts)?) {
        let cosine = oracle::cosine(&got.vector, &text.vector);
        let pairs = got.vector.iter().zip(&text.vector);
        let difference = pairs.map(|(got, wanted)| (got - wanted).abs()).fold(0.0, f32::max);
        check(cosine >= LEAST_COSINE && difference <= LARGEST_DIFFERENCE, || {
            format!("{:?}: cosine {cosine:.9}, values differ by {difference:e}", text.text)
        })?;
    }
    Ok(())
}

fn twin(golden: &Golden) -> Result<(), Failed> {
    let ours = Gguf::from_bytes(convert(&golden.name)?)?;
    let theirs = Gguf::open(architectures::path(&golden.file))?;
    if !JOINED.contains(&golden.name.as_str()) {
        let names = |file: &Gguf| -> BTreeSet<String> {
            file.tensors().map(|tensor| tensor.name().to_owned()).collect()
        };
        check(names(&ours) == names(&theirs), || {
            let (ours, theirs) = (names(&ours), names(&theirs));
            format!("tensors of one file alone: {:?}", ours.symmetric_difference(&theirs).collect::<Vec<_>>())
        })?;
        for tensor in theirs.tensors() {
            let found = ours.tensor(tensor.name()).ok_or("a name that was compared")?;
            let same = found.dims() == tensor.dims() && found.bytes() == tensor.bytes();
            check(same, || format!("{}: {:?}, {:?}", tensor.name(), found.dims(), tensor.dims()))?;
        }
    }
    let metadata = ours.metadata();
    let doubled = metadata.bool("tokenizer.ggml.add_sep_token")? == Some(true);
    let separator = metadata.u32("tokenizer.ggml.seperator_token_id")?;
    // llama.cpp ends where a file says that there is one and not which.
    check(!doubled || separator == theirs.metadata().u32("tokenizer.ggml.seperator_token_id")?, || {
        format!("the mark between two texts is {separator:?}")
    })?;
    let by_scores = theirs.metadata().str("tokenizer.ggml.model")? == Some("llama");
    for (key, value) in theirs.metadata().iter() {
        // Of scores that rank merges only the order matters, which the ids show.
        if OTHER_WORDS.contains(&key) || (by_scores && key == "tokenizer.ggml.scores") {
            continue;
        }
        let got = ours.metadata().get(key);
        let same = match (&got, &value) {
            (Some(Value::F32(got)), Value::F32(wanted)) => (got - wanted).abs() <= 1e-6 * wanted.abs(),
            (got, wanted) => got.as_ref() == Some(wanted),
        };
        check(same, || {
            let shown = |value: String| value.chars().take(80).collect::<String>();
            let got = got.map_or("nothing".to_owned(), |got| shown(got.to_string()));
            format!("{key}: {got} instead of {}", shown(value.to_string()))
        })?;
    }
    Ok(())
}
