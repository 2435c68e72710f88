//! Folders that are one thing other than one that is proven.

use std::fs;
use std::path::Path;

use connote_convert::{FileType, Folder};
use gguf::Gguf;
use serde_json::Value;
use tempfile::TempDir;
use testkit::hf_folder::{self, write_json};

/// A folder of `testdata/folders`, to be changed.
pub(crate) struct Changed(TempDir);

impl Changed {
    pub(crate) fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        hf_folder::copy(name, folder.path());
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn read(&self, file: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path().join(file)).expect("a file")).expect("JSON")
    }

    /// Puts a value at a JSON pointer of a file; null takes it away from readers.
    pub(crate) fn set(&self, file: &str, pointer: &str, value: Value) -> &Self {
        let mut whole = self.read(file);
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = whole.pointer_mut(parent).unwrap_or_else(|| panic!("{file}: no {parent}"));
        match name.parse::<usize>() {
            Ok(place) => parent[place] = value,
            Err(_) => parent[name] = value,
        }
        write_json(self.path(), file, &whole);
        self
    }

    pub(crate) fn convert(&self) -> Result<Gguf, String> {
        let mut bytes = Vec::new();
        let folder = Folder::open(self.path()).map_err(|error| error.to_string())?;
        let model = folder.model().map_err(|error| error.to_string())?;
        model.write(FileType::F32, &mut bytes, |_| true).map_err(|error| error.to_string())?;
        Ok(Gguf::from_bytes(bytes).expect("what is written can be read"))
    }

    pub(crate) fn refused(&self, says: &[&str]) {
        let refusal =
            self.convert().err().unwrap_or_else(|| panic!("it is converted; it should say {says:?}"));
        assert!(!refusal.contains('\n'), "one line: {refusal}");
        for part in says {
            assert!(refusal.contains(part), "{refusal:?} lacks {part:?}");
        }
    }
}
