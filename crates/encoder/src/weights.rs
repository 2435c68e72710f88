//! A model's weights, packed once.

use gguf::Gguf;
use kernels::{Kernels, Layout, Order};

use crate::compute::Compute;
use crate::config::{BlockNorms, Config, Experts, FusedQkv, HeadNorms, Norm, Positions};
use crate::distance_bias::DistanceBias;
use crate::error::Error;
use crate::rope::{Rope, Rotation};
use crate::tensors::{Matrix, Outputs, Tensors};

/// Everything the forward pass reads.
pub(crate) struct Weights {
    /// Token type 0, added to every embedding row; empty if the model has none.
    pub(crate) token_type: Vec<f32>,
    /// Learned positions, a row each; empty if positions enter otherwise.
    pub(crate) positions: Vec<f32>,
    /// One a kind of rotation.
    pub(crate) rotations: Vec<Rotation>,
    /// What distances add to scores; [`LayerWeights::bias`] indexes this list.
    pub(crate) biases: Vec<DistanceBias>,
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
    pub(crate) bias: Option<usize>,
    pub(crate) attention_output: kernels::Weights,
    pub(crate) feed_forward_norms: BranchNorms,
    pub(crate) feed_forward: FeedForwardWeights,
}

/// A feed-forward network, or several of which a router picks some.
pub(crate) enum FeedForwardWeights {
    Dense(Network),
    Experts { router: kernels::Weights, experts: Vec<Network> },
}

/// Two matrices with an activation between them.
pub(crate) struct Network {
    /// Up; by turns with the gate, where there is one.
    pub(crate) up: kernels::Weights,
    pub(crate) down: kernels::Weights,
}

/// The norms around one branch.
pub(crate) struct BranchNorms {
    pub(crate) before: Option<NormWeights>,
    pub(crate) after: Option<NormWeights>,
    pub(crate) after_sum: Option<NormWeights>,
    pub(crate) after_residual: Option<NormWeights>,
}

impl BranchNorms {
    /// Whether something comes between the branch's product and the residual.
    pub(crate) fn come_between(&self) -> bool {
        self.after.is_some() || self.after_sum.is_some()
    }
}

/// The weights of one norm.
pub(crate) struct NormWeights {
    norm: Norm,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl NormWeights {
    /// Values that are normalised together.
    pub(crate) fn width(&self) -> usize {
        self.weight.len()
    }

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
        let mut layers = Vec::with_capacity(config.layers.len());
        let mut biases = Vec::new();
        for layer in 0..config.layers.len() {
            let bias = load_bias(t, config, layer, &mut biases)?;
            layers.push(LayerWeights::load(t, config, layer, bias, on)?);
        }
        let weights = Self {
            token_type,
            positions: match config.positions {
                Positions::Learned => t.table("position_embd.weight", dim, config.context_length)?,
                _ => Vec::new(),
            },
            rotations: load_rotations(t, config)?,
            biases,
            embedding_norm: norm(config.norms.embedding)?,
            layers,
            output_norm: norm(config.norms.output)?,
            heads: load_heads(t, config, on)?,
        };
        Ok((weights, tensors.unread()))
    }

    /// Bytes of packed matrices.
    pub(crate) fn bytes(&self) -> usize {
        self.layers
            .iter()
            .flat_map(LayerWeights::matrices)
            .chain(&self.heads)
            .map(kernels::Weights::bytes)
            .sum()
    }
}

impl FeedForwardWeights {
    /// The layout of the activations that it reads first.
    pub(crate) fn layout(&self) -> Layout {
        match self {
            Self::Dense(network) => network.up.layout(),
            Self::Experts { router, .. } => router.layout(),
        }
    }

    fn matrices(&self) -> Vec<&kernels::Weights> {
        match self {
            Self::Dense(network) => vec![&network.up, &network.down],
            Self::Experts { router, experts } => {
                let experts = experts.iter().flat_map(|network| [&network.up, &network.down]);
                std::iter::once(router).chain(experts).collect()
            }
        }
    }

    fn load(tensors: &Tensors<'_>, config: &Config, layer: usize, on: Compute<'_>) -> Result<Self, Error> {
        let stem = |name: &str| format!("{}.{layer}.{name}", config.names.prefix);
        let (dim, inner) = (config.dim, config.feed_forward.dim);
        if let Some(Experts { count, .. }) =
            config.feed_forward.experts.filter(|_| config.layers[layer].experts)
        {
            let of_expert = |name: &str, expert: usize, outputs: usize| {
                let range = expert * outputs..(expert + 1) * outputs;
                Outputs::some(stem(name), range, count * outputs)
            };
            let network = |expert: usize| {
                let up = of_expert("ffn_up_exps", expert, inner);
                let down = of_expert("ffn_down_exps", expert, dim);
                Ok(Network {
                    up: tensors.panels(on, Order::Joined, dim, &[up])?,
                    down: tensors.panels(on, Order::Joined, inner, &[down])?,
                })
            };
            let router = Outputs::all(stem("ffn_gate_inp"), count);
            return Ok(Self::Experts {
                router: tensors.panels(on, Order::Joined, dim, &[router])?,
                experts: (0..count).map(network).collect::<Result<_, Error>>()?,
            });
        }
        let (gate, up) = (stem("ffn_gate"), stem("ffn_up"));
        let (order, parts) = if !config.feed_forward.activation.is_gated() {
            (Order::Joined, vec![Outputs::all(up, inner)])
        } else if tensors.rows(&format!("{up}.weight")) == Some(2 * inner) {
            let [first, second] = [0, inner].map(|at| Outputs::some(up.clone(), at..at + inner, 2 * inner));
            let parts = if config.feed_forward.up_first { vec![second, first] } else { vec![first, second] };
            (Order::Alternating, parts)
        } else {
            (Order::Alternating, vec![Outputs::all(gate, inner), Outputs::all(up, inner)])
        };
        Ok(Self::Dense(Network {
            up: tensors.panels(on, order, dim, &parts)?,
            down: tensors.panels(on, Order::Joined, inner, &[Outputs::all(stem("ffn_down"), dim)])?,
        }))
    }
}

impl LayerWeights {
    pub(crate) fn matrices(&self) -> Vec<&kernels::Weights> {
        [vec![&self.qkv, &self.attention_output], self.feed_forward.matrices()].concat()
    }

    /// Multiply-adds for a token.
    pub(crate) fn macs(&self, experts: Option<Experts>) -> u64 {
        let of = |matrices: &[&kernels::Weights]| matrices.iter().map(|matrix| matrix.macs()).sum::<u64>();
        let attention = of(&[&self.qkv, &self.attention_output]);
        attention
            + match (&self.feed_forward, experts) {
                (FeedForwardWeights::Experts { router, experts }, Some(Experts { used, .. })) => {
                    // All experts are alike.
                    let one = experts.first().map_or(0, |network| of(&[&network.up, &network.down]));
                    router.macs() + used as u64 * one
                }
                (feed_forward, _) => of(&feed_forward.matrices()),
            }
    }

    fn load(
        tensors: &Tensors<'_>,
        config: &Config,
        layer: usize,
        bias: Option<usize>,
        on: Compute<'_>,
    ) -> Result<Self, Error> {
        let stem = |name: &str| format!("{}.{layer}.{name}", config.names.prefix);
        let queries = config.heads * config.head_dim;
        let keys = config.kv_heads * config.head_dim;
        let head_norm = |name: &str, all: usize| match config.head_norms {
            HeadNorms::None => Ok(None),
            HeadNorms::EachHead => {
                NormWeights::load(tensors, config.norm, &stem(name), config.head_dim).map(Some)
            }
            HeadNorms::AllHeads => NormWeights::load(tensors, config.norm, &stem(name), all).map(Some),
        };
        let bare = config.layers[layer].bare_attention;
        let attention_norms = match bare {
            false => config.norms.attention.clone(),
            true => BlockNorms { before: None, ..config.norms.attention.clone() },
        };
        let output = Outputs::all(stem(config.names.attention_output), config.dim);
        Ok(Self {
            attention_norms: BranchNorms::load(tensors, config, layer, &attention_norms)?,
            qkv: tensors.panels(on, Order::Joined, config.dim, &qkv_parts(tensors, config, layer))?,
            query_norm: head_norm("attn_q_norm", queries)?,
            key_norm: head_norm("attn_k_norm", keys)?,
            bias,
            attention_output: tensors.panels(on, Order::Joined, queries, &[output])?,
            feed_forward_norms: BranchNorms::load(tensors, config, layer, &config.norms.feed_forward)?,
            feed_forward: FeedForwardWeights::load(tensors, config, layer, on)?,
        })
    }
}

/// Q, K and V of a layer, from one tensor or three.
fn qkv_parts(tensors: &Tensors<'_>, config: &Config, layer: usize) -> [Outputs; 3] {
    let stem = |name: &str| format!("{}.{layer}.{name}", config.names.prefix);
    let head_dim = config.head_dim;
    let (queries, keys) = (config.heads * head_dim, config.kv_heads * head_dim);
    let parts = [("attn_q", 0, queries), ("attn_k", queries, keys), ("attn_v", queries + keys, keys)];
    let fused = stem("attn_qkv");
    let is_fused = tensors.optional(&format!("{fused}.weight")).is_some();
    let mut index = 0;
    let [q, k, v] = parts.map(|(name, first, count)| {
        let part = match (is_fused, config.fused_qkv) {
            (false, _) => Outputs::all(stem(name), count),
            (true, FusedQkv::Blocks) => {
                Outputs::some(fused.clone(), first..first + count, queries + 2 * keys)
                    .with_own_bias(stem(name))
            }
            (true, FusedQkv::ByHead) => {
                let first = index * head_dim;
                Outputs::some(fused.clone(), first..first + count, queries + 2 * keys)
                    .in_runs(head_dim, 3 * head_dim)
                    .with_own_bias(stem(name))
            }
        };
        index += 1;
        part
    });
    match &config.positions {
        Positions::Rope(ropes) => {
            let Rope { pairs, dims, .. } = ropes[config.layers[layer].rope];
            [q.turned(pairs, head_dim, dims), k.turned(pairs, head_dim, dims), v]
        }
        _ => [q, k, v],
    }
}

/// The numbers of every rotation.
fn load_rotations(tensors: &Tensors<'_>, config: &Config) -> Result<Vec<Rotation>, Error> {
    let Positions::Rope(ropes) = &config.positions else { return Ok(Vec::new()) };
    let load = |rope: &Rope| {
        let Some(stem) = rope.factors else { return Ok(rope.rotation(&[])) };
        let name = format!("{stem}.weight");
        let factors = tensors.vector(&name, rope.dims / 2)?;
        match factors.iter().find(|factor| !(factor.is_finite() && **factor > 0.0)) {
            Some(wrong) => Err(Error::tensor(
                &name,
                format!("holds {wrong}; a frequency is divided by a positive number"),
            )),
            None => Ok(rope.rotation(&factors)),
        }
    };
    ropes.iter().map(load).collect()
}

/// What distances add to a layer's scores, as an index into `biases`, where it is put if it is new.
fn load_bias(
    tensors: &Tensors<'_>,
    config: &Config,
    layer: usize,
    biases: &mut Vec<DistanceBias>,
) -> Result<Option<usize>, Error> {
    let bias = match config.positions {
        Positions::Learned | Positions::Rope(_) => return Ok(None),
        Positions::Alibi { max_bias } => DistanceBias::alibi(config.heads, max_bias),
        Positions::RelativeBuckets { buckets, max_distance, name } => {
            let name = format!("{}.{layer}.{name}.weight", config.names.prefix);
            if layer > 0 && tensors.optional(&name).is_none() {
                return Ok(Some(0));
            }
            // The file has a row a bucket.
            let rows = tensors.table(&name, config.heads, buckets)?;
            let value = |head: usize, bucket: usize| rows[bucket * config.heads + head];
            let of_head = |head| (0..buckets).map(move |bucket| value(head, bucket));
            DistanceBias::Buckets {
                values: (0..config.heads).flat_map(of_head).collect(),
                buckets,
                max_distance,
            }
        }
    };
    let at = biases.iter().position(|known| *known == bias).unwrap_or(biases.len());
    if at == biases.len() {
        biases.push(bias);
    }
    Ok(Some(at))
}

impl BranchNorms {
    fn load(tensors: &Tensors<'_>, config: &Config, layer: usize, names: &BlockNorms) -> Result<Self, Error> {
        let load = |name: Option<&str>| {
            name.map(|name| {
                let stem = format!("{}.{layer}.{name}", config.names.prefix);
                NormWeights::load(tensors, config.norm, &stem, config.dim)
            })
            .transpose()
        };
        Ok(Self {
            before: load(names.before)?,
            after: load(names.after)?,
            after_sum: load(names.after_sum)?,
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
        heads.push(tensors.panels(on, Order::Joined, width, &[Outputs::all((*name).to_owned(), outputs)])?);
        width = outputs;
    }
    Ok(heads)
}
