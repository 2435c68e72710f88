//! The tensors of a folder's safetensors files, one or many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use gguf::{Bytes, TensorType};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::error::Error;
use crate::json;
use crate::model::{Source, Stored};

/// A tensor as it lies in a file.
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    pub(crate) stored: Stored,
    /// Outermost first, as PyTorch has it.
    pub(crate) shape: Vec<usize>,
}

/// All tensors by name. They are taken out one by one, so that what is left over shows.
#[derive(Debug, Default)]
pub(crate) struct Weights(BTreeMap<String, Weight>);

impl Weights {
    /// Those of `model.safetensors`, or of all files that `model.safetensors.index.json` names.
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let mut weights = Self::default();
        let index_path = folder.join("model.safetensors.index.json");
        let single = folder.join("model.safetensors");
        if single.exists() || !index_path.exists() {
            if !single.exists() {
                return Err(Error::file(folder, no_weights(folder)));
            }
            weights.add(&single)?;
            return Ok(weights);
        }
        let index = json::read(&index_path)?;
        let map = index.get("weight_map").and_then(Value::as_object);
        let map =
            map.ok_or_else(|| Error::file(&index_path, "has no weight_map; download the model again"))?;
        let files: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
        for file in files {
            // A name with a path in it would lead out of the folder.
            if Path::new(file).file_name() != Some(file.as_ref()) {
                return Err(Error::file(
                    &index_path,
                    format!("names the file {file:?}, which is not in the folder"),
                ));
            }
            weights.add(&folder.join(file))?;
        }
        if let Some(missing) = map.keys().find(|name| !weights.0.contains_key(*name)) {
            return Err(Error::file(
                &index_path,
                format!("names the tensor {missing}, which is in none of its files"),
            ));
        }
        Ok(weights)
    }

    /// Those of one file.
    pub(crate) fn of_file(path: &Path) -> Result<Self, Error> {
        let mut weights = Self::default();
        weights.add(path)?;
        Ok(weights)
    }

    fn add(&mut self, path: &Path) -> Result<(), Error> {
        let bytes = Arc::new(Bytes::open(path)?);
        let broken = |error: safetensors::SafeTensorError| {
            Error::file(path, format!("is not a whole safetensors file ({error}); download it again"))
        };
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(broken)?;
        let data = header + 8;
        for (name, info) in metadata.tensors() {
            let Some(ty) = tensor_type(info.dtype) else {
                // Numbers of positions and the like, which no file needs; anything else will be missed by name.
                continue;
            };
            let range = data + info.data_offsets.0..data + info.data_offsets.1;
            if range.end > bytes.len() {
                return Err(Error::file(path, format!("ends within the tensor {name}; download it again")));
            }
            let stored = Stored { file: Source::Bytes(Arc::clone(&bytes)), range, ty };
            let weight = Weight { stored, shape: info.shape.clone() };
            if self.0.insert(name.clone(), weight).is_some() {
                return Err(Error::file(path, format!("holds the tensor {name}, as another file does")));
            }
        }
        Ok(())
    }

    /// Renames every tensor.
    pub(crate) fn renamed(self, rename: impl Fn(&str) -> String) -> Result<Self, Error> {
        let mut renamed = BTreeMap::new();
        for (name, weight) in self.0 {
            let new = rename(&name);
            if renamed.insert(new.clone(), weight).is_some() {
                return Err(Error::mismatch(format!(
                    "two tensors are meant by {new}, one of them called {name}"
                )));
            }
        }
        Ok(Self(renamed))
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Weight> {
        self.0.remove(name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Weight> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Types of numbers that a decoder knows.
fn tensor_type(dtype: Dtype) -> Option<TensorType> {
    match dtype {
        Dtype::F32 => Some(TensorType::F32),
        Dtype::F16 => Some(TensorType::F16),
        Dtype::BF16 => Some(TensorType::BF16),
        _ => None,
    }
}

fn no_weights(folder: &Path) -> String {
    let old = ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "onnx/model.onnx"];
    match old.iter().find(|name| folder.join(name).exists()) {
        Some(old) => format!(
            "holds {old} and no model.safetensors; save it again with transformers' \
             `save_pretrained(..., safe_serialization=True)`"
        ),
        None => "holds no model.safetensors; give the folder of a model from Hugging Face".to_owned(),
    }
}
