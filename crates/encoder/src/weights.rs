//! A model's weights, packed once.

use gguf::Gguf;
use kernels::{Kernels, Order};

use crate::compute::Compute;
use crate::config::{BlockNorms, Config, Norm, Positions};
use crate::error::Error;
use crate::tensors::{Matrix, Tensors};

/// Everything the forward pass reads.
pub(crate) struct Weights {
    /// Token type 0, added to every embedding row; empty if the model has none.
    pub(crate) token_type: Vec<f32>,
    /// Learned positions, a row each; empty if the model turns instead.
    pub(crate) positions: Vec<f32>,
    pub(crate) embedding_norm: Option<NormWeights>,
    pub(crate) layers: Vec<LayerWeights>,
    pub(crate) output_norm: Option<NormWeights>,
    pub(crate) heads: Vec<kernels::Weights>,
}

/// One block. Q, K and V are one matrix, gate and up are one matrix, whatever the file has.
pub(crate) struct LayerWeights {
    pub(crate) attention_norms: BranchNorms,
    pub(crate) qkv: kernels::Weights,
    pub(crate) query_norm: Option<NormWeights>,
    pub(crate) key_norm: Option<NormWeights>,
    pub(crate) attention_output: kernels::Weights,
    pub(crate) feed_forward_norms: BranchNorms,
    /// Up; by turns with the gate, where there is one.
    pub(crate) up: kernels::Weights,
    pub(crate) down: kernels::Weights,
}

/// The norms around one branch.
pub(crate) struct BranchNorms {
    pub(crate) before: Option<NormWeights>,
    pub(crate) after: Option<NormWeights>,
    pub(crate) after_residual: Option<NormWeights>,
}

/// The weights of one norm.
pub(crate) struct NormWeights {
    norm: Norm,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl NormWeights {
    /// Normalises one row, in place.
    pub(crate) fn apply(&self, kernels: &Kernels, row: &mut [f32]) {
        match self.norm {
            Norm::Layer { eps } => (kernels.layer_norm)(row, &self.weight, &self.bias, eps),
            Norm::Rms { eps } => (kernels.rms_norm)(row, &self.weight, eps),
        }
    }

    /// Normalises one row into another.
    pub(crate) fn apply_to(&self, kernels: &Kernels, row: &[f32], out: &mut [f32]) {
        match self.norm {
            Norm::Layer { eps } => (kernels.layer_norm_to)(row, &self.weight, &self.bias, eps, out),
            Norm::Rms { eps } => (kernels.rms_norm_to)(row, &self.weight, eps, out),
        }
    }

    fn load(tensors: &Tensors<'_>, norm: Norm, stem: &str, dim: usize) -> Result<Self, Error> {
        let weight = tensors.vector(&format!("{stem}.weight"), dim)?;
        let bias = match norm {
            Norm::Layer { .. } => tensors.vector_if_any(&format!("{stem}.bias"), dim)?,
            Norm::Rms { .. } => Vec::new(),
        };
        Ok(Self { norm, weight, bias })
    }
}

impl Weights {
    /// Reads and packs; also gives the names of tensors that nothing read.
    pub(crate) fn load(gguf: &Gguf, config: &Config, on: Compute<'_>) -> Result<(Self, Vec<String>), Error> {
        let tensors = Tensors::new(gguf);
        let (t, dim) = (&tensors, config.dim);
        for name in config.ignored {
            t.ignore(name);
        }
        t.ignore("token_embd.weight"); // read row by row as tokens come
        let norm =
            |stem: Option<&str>| stem.map(|stem| NormWeights::load(t, config.norm, stem, dim)).transpose();
        let token_type = match config.token_types.then(|| t.optional("token_types.weight")).flatten() {
            None => Vec::new(),
            Some(tensor) => {
                let mut row = vec![0.0; dim];
                Matrix::new(tensor, dim, None)?.decode_row(0, &mut row);
                row
            }
        };
        let weights = Self {
            token_type,
            positions: match config.positions {
                Positions::Learned => t.table("position_embd.weight", dim, config.context_length)?,
                Positions::Rope(_) => Vec::new(),
            },
            embedding_norm: norm(config.norms.embedding)?,
            layers: (0..config.layers.len())
                .map(|layer| LayerWeights::load(t, config, layer, on))
                .collect::<Result<_, _>>()?,
            output_norm: norm(config.norms.output)?,
            heads: load_heads(t, config, on)?,
        };
        Ok((weights, tensors.unread()))
    }

    /// Bytes of packed matrices.
    pub(crate) fn bytes(&self) -> usize {
        self.matrices().map(kernels::Weights::bytes).sum()
    }

    /// All packed matrices, in the order they are loaded in.
    pub(crate) fn matrices(&self) -> impl Iterator<Item = &kernels::Weights> {
        self.layers.iter().flat_map(LayerWeights::matrices).chain(&self.heads)
    }
}

impl LayerWeights {
    pub(crate) fn matrices(&self) -> [&kernels::Weights; 4] {
        [&self.qkv, &self.attention_output, &self.up, &self.down]
    }

    /// Multiply-adds of the matrices, for a token.
    pub(crate) fn macs(&self) -> u64 {
        self.matrices().into_iter().map(kernels::Weights::macs).sum()
    }

    fn load(tensors: &Tensors<'_>, config: &Config, layer: usize, on: Compute<'_>) -> Result<Self, Error> {
        let stem = |name: &str| format!("blk.{layer}.{name}");
        let norms = |names: &BlockNorms| BranchNorms::load(tensors, config, layer, names);
        let head_norm = |name: &str| {
            let load = || NormWeights::load(tensors, config.norm, &stem(name), config.head_dim);
            config.qk_norm.then(load).transpose()
        };
        let linear = |order, inputs, parts: &[(&str, usize)]| {
            let parts: Vec<(String, usize)> =
                parts.iter().map(|&(name, outputs)| (stem(name), outputs)).collect();
            tensors.panels(on, order, inputs, &parts)
        };
        let (dim, inner) = (config.dim, config.feed_forward.dim);
        let (queries, keys) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let split = [("attn_q", queries), ("attn_k", keys), ("attn_v", keys)];
        let fused = [("attn_qkv", queries + 2 * keys)];
        let is_fused = tensors.optional(&stem("attn_qkv.weight")).is_some();
        let gate_and_up = [("ffn_gate", inner), ("ffn_up", inner)];
        let is_gated = config.feed_forward.activation.is_gated();
        Ok(Self {
            attention_norms: norms(&config.norms.attention)?,
            qkv: linear(Order::Joined, dim, if is_fused { &fused } else { &split })?,
            query_norm: head_norm("attn_q_norm")?,
            key_norm: head_norm("attn_k_norm")?,
            attention_output: linear(Order::Joined, queries, &[("attn_output", dim)])?,
            feed_forward_norms: norms(&config.norms.feed_forward)?,
            up: match is_gated {
                true => linear(Order::Alternating, dim, &gate_and_up)?,
                false => linear(Order::Joined, dim, &gate_and_up[1..])?,
            },
            down: linear(Order::Joined, inner, &[("ffn_down", dim)])?,
        })
    }
}

impl BranchNorms {
    fn load(tensors: &Tensors<'_>, config: &Config, layer: usize, names: &BlockNorms) -> Result<Self, Error> {
        let load = |name: Option<&str>| {
            name.map(|name| {
                NormWeights::load(tensors, config.norm, &format!("blk.{layer}.{name}"), config.dim)
            })
            .transpose()
        };
        Ok(Self {
            before: load(names.before)?,
            after: load(names.after)?,
            after_residual: load(names.after_residual)?,
        })
    }
}

/// All dense heads, or none. Each reads what the one before gives.
fn load_heads(
    tensors: &Tensors<'_>,
    config: &Config,
    on: Compute<'_>,
) -> Result<Vec<kernels::Weights>, Error> {
    let names = config.dense_heads.names;
    let weight = |name: &str| format!("{name}.weight");
    let there = names.iter().filter(|name| tensors.optional(&weight(name)).is_some()).count();
    if there == 0 {
        return Ok(Vec::new());
    }
    let mut heads = Vec::with_capacity(names.len());
    let mut width = config.dim;
    for name in names {
        let outputs = match tensors.required(&weight(name))?.dims() {
            &[_, outputs] if outputs > 0 && outputs <= 1 << 24 => outputs as usize,
            dims => {
                return Err(Error::tensor(
                    &weight(name),
                    format!("has the shape {dims:?}; a dense head is a matrix"),
                ));
            }
        };
        heads.push(tensors.panels(on, Order::Joined, width, &[((*name).to_owned(), outputs)])?);
        width = outputs;
    }
    Ok(heads)
}
