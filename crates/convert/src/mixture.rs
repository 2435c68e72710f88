//! Which tensor gets which type: llama.cpp's rules, as files in the world have them.
//!
//! Whoever quantises the same model with `llama-quantize` gets the same types, which a test holds against its
//! choices. Rules for models of 70 billion parameters and for architectures that are no embedders are left out.

use std::collections::BTreeMap;

use gguf::TensorType;
use kernels::decode::decoder;

use crate::error::Error;
use crate::file_type::FileType;
use crate::model::{Model, Tensor, Typed, Values};

pub(crate) fn choose(model: &Model, file_type: FileType) -> Result<Vec<Typed<'_>>, Error> {
    let mixture = Mixture::new(model, file_type);
    let mut typed = Vec::with_capacity(model.tensors.len());
    for tensor in &model.tensors {
        let (wanted, ty) = mixture.types(tensor);
        if let Values::Stored { bytes, .. } = &tensor.values
            && bytes.ty != ty
            && decoder(bytes.ty).is_none()
        {
            let (name, stored) = (&tensor.name, bytes.ty);
            return Err(Error::unsupported(format!(
                "tensor {name} is {stored}, which connote cannot read; start from an F32, F16 or BF16 file"
            )));
        }
        let instead_of = (wanted != ty).then_some(wanted);
        typed.push(Typed { name: &tensor.name, dims: &tensor.dims, ty, instead_of });
    }
    Ok(typed)
}

struct Mixture<'a> {
    model: &'a Model,
    file_type: FileType,
    /// The embeddings are the output matrix, too, and then more exact.
    tied: bool,
    /// The places of layers among those that have such a matrix, by the name of the layer.
    values: BTreeMap<u64, usize>,
    layers: usize,
}

impl<'a> Mixture<'a> {
    fn new(model: &'a Model, file_type: FileType) -> Self {
        let with_values = |tensor: &&Tensor| is_values(&tensor.name);
        let mut numbers: Vec<u64> =
            model.tensors.iter().filter(with_values).filter_map(|t| layer(&t.name)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let values = numbers.into_iter().enumerate().map(|(place, layer)| (layer, place)).collect();
        let layers =
            model.tensors.iter().filter_map(|tensor| layer(&tensor.name)).max().map_or(0, |last| last + 1);
        let tied = !model.tensors.iter().any(|tensor| tensor.name == "output.weight");
        Self { model, file_type, tied, values, layers: layers as usize }
    }

    /// The type that the rules say, and the one that the shape allows.
    fn types(&self, tensor: &Tensor) -> (TensorType, TensorType) {
        if !is_matrix(tensor) {
            return (TensorType::F32, TensorType::F32);
        }
        let width = tensor.dims[0];
        let plain = self.file_type.tensor_type();
        let wanted = if plain.block_elements() == 1 { plain } else { self.mixed(tensor, width) };
        (wanted, allowed(wanted, width))
    }

    fn mixed(&self, tensor: &Tensor, width: u64) -> TensorType {
        use FileType as F;
        use TensorType as T;
        let (plain, name) = (self.file_type.tensor_type(), tensor.name.as_str());
        let many_experts = self.model.experts == 8;
        if name == "output.weight" || (self.tied && name == "token_embd.weight") {
            return match plain {
                T::Q8_0 => T::Q8_0,
                _ if !width.is_multiple_of(plain.block_elements() as u64) => T::Q8_0,
                _ => T::Q6_K,
            };
        }
        if is_values(name) {
            if many_experts {
                return T::Q8_0;
            }
            let place = layer(name).and_then(|layer| self.values.get(&layer).copied()).unwrap_or(0);
            let shared = self.model.kv_sharing >= 4;
            return match self.file_type {
                F::Q2_K if shared => T::Q4_K,
                F::Q2_K => T::Q3_K,
                F::Q3_K_M if place < 2 => T::Q5_K,
                F::Q3_K_M => T::Q4_K,
                F::Q3_K_L => T::Q5_K,
                F::Q4_K_M | F::Q5_K_M if more_bits(place, self.values.len()) => T::Q6_K,
                F::Q4_K_S if place < 4 => T::Q5_K,
                _ => plain,
            };
        }
        if many_experts && name.ends_with("attn_k.weight") {
            return T::Q8_0;
        }
        if ["ffn_down.weight", "ffn_down_exps.weight"].iter().any(|ending| name.ends_with(ending)) {
            let place = layer(name).map_or(0, |layer| layer as usize);
            return match self.file_type {
                F::Q2_K => T::Q3_K,
                F::Q3_K_M if place < self.layers / 16 => T::Q5_K,
                F::Q3_K_M => T::Q4_K,
                F::Q3_K_L => T::Q5_K,
                F::Q4_K_M | F::Q5_K_M if more_bits(place, self.layers) => T::Q6_K,
                F::Q4_K_S if place < self.layers / 8 => T::Q5_K,
                _ => plain,
            };
        }
        if name.ends_with("attn_output.weight") {
            return match self.file_type {
                F::Q2_K | F::Q3_K_S | F::Q3_K_M | F::Q4_K_S | F::Q4_K_M if many_experts => T::Q5_K,
                _ if many_experts => plain,
                F::Q2_K => T::Q3_K,
                F::Q3_K_M => T::Q4_K,
                F::Q3_K_L => T::Q5_K,
                _ => plain,
            };
        }
        plain
    }
}

/// Whether a tensor is a weight of a product; norms, biases, positions, token types and routers stay F32.
fn is_matrix(tensor: &Tensor) -> bool {
    let name = tensor.name.as_str();
    let kept = ["position_embd.weight", "token_types.weight"];
    let kept_endings = ["_norm.weight", "ffn_gate_inp.weight", "attn_rel_b.weight", "rope_freqs.weight"];
    tensor.dims.iter().filter(|dim| **dim > 1).count() > 1
        && name.ends_with("weight")
        && !kept.contains(&name)
        && !kept_endings.iter().any(|ending| name.ends_with(ending))
}

/// Values, alone or joined with queries and keys.
fn is_values(name: &str) -> bool {
    name.ends_with("attn_v.weight") || name.ends_with("attn_qkv.weight")
}

/// The number in `blk.N.`.
fn layer(name: &str) -> Option<u64> {
    name.split_once("blk.")?.1.split_once('.')?.0.parse().ok()
}

/// The layers that mixtures of the M kind give more bits to: the first and the last eighth, and every third between.
fn more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}

/// The nearest type that rows of this length can have.
fn allowed(wanted: TensorType, width: u64) -> TensorType {
    use TensorType as T;
    let fits = |ty: T| width.is_multiple_of(ty.block_elements() as u64);
    let smaller = match wanted {
        _ if fits(wanted) => wanted,
        T::Q2_K | T::Q3_K => T::Q4_0,
        T::Q4_K => T::Q5_0,
        T::Q5_K => T::Q5_1,
        T::Q6_K => T::Q8_0,
        other => other,
    };
    if fits(smaller) { smaller } else { T::F16 }
}
