//! Any bytes as one file of a Hugging Face folder: a GGUF file that can be read, or an error of one line; never a panic, nor
//! memory without bound.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use connote_convert::{FileType, Folder};
use connote_gguf::Gguf;
use connote_testkit::{golden, hf_folder};
use libfuzzer_sys::fuzz_target;

/// Folders that are whole, each of which gets one file of another kind.
fn folders() -> &'static PathBuf {
    static FOLDERS: OnceLock<PathBuf> = OnceLock::new();
    FOLDERS.get_or_init(|| {
        let folders = std::env::temp_dir().join(format!("connote-convert-{}", std::process::id()));
        hf_folder::FUZZED.iter().for_each(|(name, _)| hf_folder::copy(name, &folders.join(name)));
        folders
    })
}

fuzz_target!(|data: &[u8]| {
    let [choice, bytes @ ..] = data else { return };
    let Some((name, file)) = hf_folder::FUZZED.get(usize::from(*choice)) else { return };
    let folder = folders().join(name);
    fs::write(folder.join(file), bytes).expect("written");
    match Folder::open(&folder).and_then(|folder| folder.model()) {
        Err(error) => assert!(!error.to_string().contains('\n'), "one line: {error}"),
        Ok(model) => {
            let mut out = Vec::new();
            if model.write(FileType::Q8_0, &mut out, |_| true).is_ok() {
                Gguf::from_bytes(out).expect("what is written can be read");
            }
        }
    }
    let whole = golden::path("folders").join(name).join(file);
    fs::copy(whole, folder.join(file)).expect("put back");
});
