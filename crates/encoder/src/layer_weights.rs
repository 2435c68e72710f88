//! A layer's weights: whatever tensors the file has, four matrices (or the experts') and the norms around them.

use kernels::{Layout, Order};

use crate::compute::Compute;
use crate::config::{Config, Experts, FusedQkv, HeadNorms, Positions};
use crate::error::Error;
use crate::norm_weights::{BranchNorms, NormWeights};
use crate::rope::Rope;
use crate::tensors::{Outputs, Tensors};

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
        let stem = |name: &str| config.names.tensor(layer, name);
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

    pub(crate) fn load(
        tensors: &Tensors<'_>,
        config: &Config,
        layer: usize,
        bias: Option<usize>,
        on: Compute<'_>,
    ) -> Result<Self, Error> {
        let stem = |name: &str| config.names.tensor(layer, name);
        let queries = config.heads * config.head_dim;
        let keys = config.kv_heads * config.head_dim;
        let head_norm = |name: &str, all: usize| {
            let width = match config.head_norms {
                HeadNorms::None => return Ok(None),
                HeadNorms::EachHead => config.head_dim,
                HeadNorms::AllHeads => all,
            };
            NormWeights::load(tensors, config.norm, &stem(name), width).map(Some)
        };
        let mut attention_norms = config.norms.attention.clone();
        if config.layers[layer].bare_attention {
            attention_norms.before = None;
        }
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
    let stem = |name: &str| config.names.tensor(layer, name);
    let head_dim = config.head_dim;
    let (queries, keys) = (config.heads * head_dim, config.kv_heads * head_dim);
    // Where each begins: among blocks, and within a head's run.
    let parts = [
        ("attn_q", 0, 0, queries),
        ("attn_k", queries, head_dim, keys),
        ("attn_v", queries + keys, 2 * head_dim, keys),
    ];
    let fused = stem("attn_qkv");
    let is_fused = tensors.optional(&format!("{fused}.weight")).is_some();
    let [q, k, v] = parts.map(|(name, in_blocks, in_head, count)| {
        if !is_fused {
            return Outputs::all(stem(name), count);
        }
        let some = |first: usize| Outputs::some(fused.clone(), first..first + count, queries + 2 * keys);
        let part = match config.fused_qkv {
            FusedQkv::Blocks => some(in_blocks),
            FusedQkv::ByHead => some(in_head).in_runs(head_dim, 3 * head_dim),
        };
        part.with_own_bias(stem(name))
    });
    match &config.positions {
        Positions::Rope(ropes) => {
            let Rope { pairs, dims, .. } = ropes[config.layers[layer].rope];
            [q.turned(pairs, head_dim, dims), k.turned(pairs, head_dim, dims), v]
        }
        _ => [q, k, v],
    }
}
