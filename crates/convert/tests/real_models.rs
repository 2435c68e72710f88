//! The real models: folders made of their F32 files become, byte for byte, the files that shared/tools/make_models.py makes.
//!
//! A model that is not there makes its tests count as ignored in the summary, never as passed.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::Path;

use connote_convert::{FileType, Folder};
use gguf::Gguf;
use libtest_mimic::{Arguments, Failed, Trial};
use testkit::{hf_folder, models};

struct Case {
    source: &'static str,
    folder: fn(&Gguf, &Path),
    files: &'static [(FileType, &'static str)],
    /// Keys that say the same otherwise, or that nobody reads.
    other_keys: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        source: "all-MiniLM-L6-v2-F32.gguf",
        folder: |gguf, folder| hf_folder::bert(gguf, folder, 2),
        files: &[
            (FileType::F32, "all-MiniLM-L6-v2-F32.gguf"),
            (FileType::F16, "all-MiniLM-L6-v2-F16.gguf"),
            (FileType::Q8_0, "all-MiniLM-L6-v2-Q8_0.gguf"),
        ],
        other_keys: &["general.name", "general.license"],
    },
    Case {
        source: "embeddinggemma-300m-dense-F32.gguf",
        folder: hf_folder::gemma,
        files: &[(FileType::Q8_0, "embeddinggemma-300m-dense-Q8_0.gguf")],
        other_keys: &["general.name", "general.license"],
    },
];

fn main() {
    let arguments = Arguments::from_args();
    let trials = CASES.iter().flat_map(|case| {
        case.files.iter().map(move |(ty, file)| {
            let there = models::find(case.source).is_some() && models::find(file).is_some();
            Trial::test(format!("{file}: the same bytes"), move || same(case, *ty, file))
                .with_ignored_flag(!there)
        })
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn same(case: &Case, ty: FileType, file: &str) -> Result<(), Failed> {
    let source = Gguf::open(models::find(case.source).ok_or("not there")?)?;
    let theirs = Gguf::open(models::find(file).ok_or("not there")?)?;
    let folder = tempfile::tempdir()?;
    (case.folder)(&source, folder.path());
    let out = folder.path().join("out.gguf");
    let model = Folder::open(folder.path())?.model()?;
    model.write(ty, &mut BufWriter::new(File::create(&out)?), |_| true)?;
    let ours = Gguf::open(&out)?;
    if ours.tensors().count() != theirs.tensors().count() {
        return Err(format!("{} tensors, not {}", ours.tensors().count(), theirs.tensors().count()).into());
    }
    for tensor in theirs.tensors() {
        let name = tensor.name();
        let found = ours.tensor(name).ok_or_else(|| format!("no tensor {name}"))?;
        if (found.ty(), found.dims()) != (tensor.ty(), tensor.dims()) || found.bytes() != tensor.bytes() {
            return Err(format!("{name} differs: {found:?}, {tensor:?}").into());
        }
    }
    for (key, value) in theirs.metadata().iter().filter(|(key, _)| !case.other_keys.contains(key)) {
        if ours.metadata().get(key) != Some(value) {
            return Err(format!("{key} is {:?}, not {value:?}", ours.metadata().get(key)).into());
        }
    }
    fs::remove_file(&out)?;
    Ok(())
}
