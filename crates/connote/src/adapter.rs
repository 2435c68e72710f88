//! Adapters: what a task adds to a model's matrices, as two thin ones for each, in a file of its own (LoRA, Hu et al. 2021).
//!
//! The sums are made once, into a file in memory: from there on it is a model as any other, as fast, with a fingerprint of
//! its own. The engine knows nothing of adapters.

use std::borrow::Cow;
use std::collections::BTreeSet;

use gguf::{Gguf, Tensor, TensorType, Writer};
use kernels::decode;
use kernels::encode::encoder;

use crate::error::{Error, ErrorKind};

/// The key of the words that an adapter was trained to have before every text. A model that was adapted has it too.
const PROMPT_PREFIX: &str = "adapter.lora.prompt_prefix";
/// The key of what an adapter is for. A model that was adapted has it in any case, and so is known.
const TASK_NAME: &str = "adapter.lora.task_name";

/// Of these rows are looked up, so its `lora_a` has a row for each of the base's: `row . b`.
const LOOKED_UP: &str = "token_embd.weight";

/// The largest number of f16.
const F16_MAX: f32 = 65_504.0;

/// Whether a file is an adapter.
pub(crate) fn is_one(file: &Gguf) -> Result<bool, Error> {
    Ok(file.metadata().str("general.type")? == Some("adapter"))
}

/// What the adapter is for that a model was made with.
pub(crate) fn task(model: &Gguf) -> Option<&str> {
    model.metadata().str(TASK_NAME).ok().flatten()
}

/// The words of the adapter that a model was made with, to go before every text.
pub(crate) fn prompt(model: &Gguf) -> &str {
    model.metadata().str(PROMPT_PREFIX).ok().flatten().unwrap_or_default()
}

/// The model with the adapter's part added to its matrices.
///
/// Matrices that change become F16, or F32 where the model's values need it; everything else stays as it is.
pub(crate) fn merged(base: &Gguf, adapter: &Gguf) -> Result<Vec<u8>, Error> {
    let alpha = check_kind(base, adapter)?;
    let pairs = pairs(base, adapter)?;
    let mut file = Writer::new();
    let metadata = base.metadata().iter().filter(|(key, _)| !key.starts_with("split."));
    for (key, value) in metadata {
        file = file.metadata(key, value);
    }
    file = file.metadata(TASK_NAME, adapter.metadata().str(TASK_NAME)?.unwrap_or_default());
    file = file.metadata(PROMPT_PREFIX, adapter.metadata().str(PROMPT_PREFIX)?.unwrap_or_default());
    for tensor in base.tensors() {
        file = match pairs.iter().find(|pair| pair.base.name() == tensor.name()) {
            Some(pair) => {
                let (ty, bytes) = pair.sum(alpha)?;
                file.tensor(tensor.name(), ty, tensor.dims(), bytes)
            }
            None => file.announce(tensor.name(), tensor.ty(), tensor.dims()),
        };
    }
    // What stays as it is is copied once.
    let unchanged: Vec<Tensor<'_>> = base.tensors().collect();
    let mut bytes = Vec::new();
    file.write_streamed(&mut bytes, |index, out| {
        out.write_all(unchanged[index].bytes()).map_err(|error| refused(error.to_string()))
    })?;
    Ok(bytes)
}

/// Whether the file is an adapter, and of this model's architecture; gives its alpha.
fn check_kind(base: &Gguf, adapter: &Gguf) -> Result<f32, Error> {
    let text = |key: &str| adapter.metadata().str(key);
    if let Some(task) = task(base) {
        return Err(refused(format!(
            "the model has the adapter `{task}` already; give the model without it"
        )));
    }
    if !is_one(adapter)? {
        return Err(refused("the file is not an adapter: its `general.type` is not `adapter`".to_owned()));
    }
    let kind = text("adapter.type")?.unwrap_or("none");
    if kind != "lora" {
        return Err(refused(format!(
            "the adapter is of type `{kind}`; connote can add those of type `lora`"
        )));
    }
    let architecture = "general.architecture";
    let (ours, theirs) = (base.metadata().str(architecture)?, text(architecture)?);
    if ours != theirs {
        let name = |name: Option<&str>| name.unwrap_or("none").to_owned();
        let message = format!(
            "the adapter is for models of architecture `{}`, and the model is of `{}`",
            name(theirs),
            name(ours)
        );
        return Err(refused(message));
    }
    let alpha = adapter.metadata().f32("adapter.lora.alpha")?.unwrap_or(0.0);
    if alpha.is_finite() {
        Ok(alpha)
    } else {
        Err(refused(format!("the adapter's `adapter.lora.alpha` is {alpha}; a number is needed")))
    }
}

/// The two thin matrices of one of the base's.
struct Pair<'a> {
    base: Tensor<'a>,
    a: Vec<f32>,
    b: Vec<f32>,
    rank: usize,
}

/// What the adapter has, each pair whole and of the shape that its matrix asks for.
fn pairs<'a>(base: &'a Gguf, adapter: &Gguf) -> Result<Vec<Pair<'a>>, Error> {
    let mut names = BTreeSet::new();
    for tensor in adapter.tensors() {
        let name = tensor.name();
        let stem = name.strip_suffix(".lora_a").or(name.strip_suffix(".lora_b")).ok_or_else(|| {
            refused(format!("the adapter's tensor `{name}` is no `.lora_a` and no `.lora_b`"))
        })?;
        names.insert(stem.to_owned());
    }
    if names.is_empty() {
        return Err(refused("the adapter has no tensors, so it would change nothing".to_owned()));
    }
    names.into_iter().map(|name| pair(base, adapter, &name)).collect()
}

fn pair<'a>(base: &'a Gguf, adapter: &Gguf, name: &str) -> Result<Pair<'a>, Error> {
    let matrix = base.tensor(name).ok_or_else(|| {
        refused(format!("the adapter changes `{name}`, which the model does not have; it is for another one"))
    })?;
    let &[inputs, outputs] = matrix.dims() else {
        return Err(refused(format!("the adapter changes `{name}`, which is no matrix")));
    };
    let part = |end: &str| {
        let name = format!("{name}.{end}");
        adapter.tensor(&name).ok_or_else(|| refused(format!("the adapter lacks `{name}`")))
    };
    let (a, b) = (part("lora_a")?, part("lora_b")?);
    let rank = match (name == LOOKED_UP, a.dims(), b.dims()) {
        (false, &[width, rank], &[inner, height])
            if inner == rank && width == inputs && height == outputs =>
        {
            rank
        }
        (true, &[rank, rows], &[inner, width]) if inner == rank && rows == outputs && width == inputs => rank,
        _ => {
            let message = format!(
                "the adapter's `{name}.lora_a` and `.lora_b` have the shapes {:?} and {:?}, which do not fit the model's {:?}",
                a.dims(),
                b.dims(),
                matrix.dims()
            );
            return Err(refused(message));
        }
    };
    if rank == 0 {
        return Err(refused(format!("the adapter's `{name}.lora_a` has rank 0")));
    }
    Ok(Pair { base: matrix, a: values(a)?, b: values(b)?, rank: rank as usize })
}

impl Pair<'_> {
    /// The base's rows with alpha / rank times the product added, and the type they have now.
    fn sum(&self, alpha: f32) -> Result<(TensorType, Vec<u8>), Error> {
        let mut values = values(self.base)?;
        let width = self.base.dims()[0] as usize;
        let scale = if alpha == 0.0 { 1.0 } else { alpha / self.rank as f32 };
        let (thin, wide) = if self.base.name() == LOOKED_UP {
            (&self.a, Cow::Owned(transposed(&self.b, self.rank)))
        } else {
            (&self.b, Cow::Borrowed(&self.a))
        };
        for (row, shares) in values.chunks_exact_mut(width).zip(thin.chunks_exact(self.rank)) {
            for (share, line) in shares.iter().zip(wide.chunks_exact(width)) {
                for (value, more) in row.iter_mut().zip(line) {
                    *value += scale * share * more;
                }
            }
        }
        let needs_f32 = matches!(self.base.ty(), TensorType::F32 | TensorType::BF16)
            || values.iter().any(|value| value.abs() > F16_MAX);
        let ty = if needs_f32 { TensorType::F32 } else { TensorType::F16 };
        let encode = encoder(ty).ok_or_else(|| refused(format!("connote does not write {ty}")))?;
        let mut bytes = vec![0; values.len() * ty.block_bytes()];
        encode(&values, &mut bytes);
        Ok((ty, bytes))
    }
}

/// Rows of `width` as columns.
fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    (0..width).flat_map(|column| values.iter().skip(column).step_by(width).copied()).collect()
}

fn values(tensor: Tensor<'_>) -> Result<Vec<f32>, Error> {
    decode::values(tensor.ty(), tensor.bytes()).ok_or_else(|| {
        refused(format!("`{}` is of type {}, which connote cannot compute with", tensor.name(), tensor.ty()))
    })
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::UnsupportedModel, message)
}
