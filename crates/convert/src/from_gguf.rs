//! A GGUF file (or all parts of one) as a model to be written in another type.

use std::path::Path;

use gguf::{Gguf, OwnedValue};

use crate::error::Error;
use crate::model::{Model, RowOrder, Source, Stored, Tensor, Values};

/// Keys that belong to the file as it was, not to the model.
const OF_THE_FILE: [&str; 7] = [
    "general.architecture",
    "general.file_type",
    "general.quantization_version",
    "general.alignment",
    "split.no",
    "split.count",
    "split.tensors.count",
];

impl Model {
    /// Opens a GGUF file; of a split one, name the first part. Tensors stay in the mapped file until they are written.
    ///
    /// # Errors
    /// If it is not a whole GGUF file, or says no architecture.
    pub fn from_gguf(path: &Path) -> Result<Self, Error> {
        let gguf = Gguf::open(path)?;
        let metadata = gguf.metadata();
        let architecture = metadata
            .str("general.architecture")?
            .ok_or_else(|| Error::file(path, "has no key general.architecture; it holds no model"))?
            .to_owned();
        let keys = metadata.iter().filter(|(key, _)| !OF_THE_FILE.contains(key));
        let keys = keys.map(|(key, value)| (key.to_owned(), OwnedValue::from(value))).collect();
        // Both may be a number a layer, which no embedder that is quantised by these rules has.
        let number =
            |key: &str| metadata.u64(&format!("{architecture}.{key}")).ok().flatten().unwrap_or(0) as usize;
        let heads = number("attention.head_count");
        let kv_heads = match number("attention.head_count_kv") {
            0 => heads,
            kv_heads => kv_heads,
        };
        let tensors = gguf.tensors().enumerate().map(|(index, tensor)| Tensor {
            name: tensor.name().to_owned(),
            dims: tensor.dims().to_vec(),
            values: Values::Stored {
                bytes: Stored {
                    file: Source::Gguf(gguf.clone(), index),
                    range: 0..tensor.bytes().len(),
                    ty: tensor.ty(),
                },
                rows: RowOrder::Same,
                plus: 0.0,
            },
        });
        let tensors: Vec<Tensor> = tensors.collect();
        let mut notes = Vec::new();
        let coarse: Vec<&str> = tensors
            .iter()
            .filter_map(|tensor| match &tensor.values {
                Values::Stored { bytes, .. } if bytes.ty.block_elements() > 1 => Some(tensor.name.as_str()),
                _ => None,
            })
            .collect();
        if let Some(first) = coarse.first() {
            notes.push(format!(
                "{} tensors are quantised already ({first} and so on); a file made from F32, F16 or BF16 is more exact",
                coarse.len()
            ));
        }
        Ok(Self {
            kv_sharing: heads.checked_div(kv_heads).unwrap_or(1),
            experts: number("expert_count"),
            architecture,
            keys,
            tensors,
            notes,
        })
    }
}
