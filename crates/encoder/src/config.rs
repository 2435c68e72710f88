//! An architecture as plain data: the axes along which transformer encoders differ.

use std::ops::Range;

use crate::pooling::Pooling;

/// Everything the one block needs to know about a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `general.architecture`, for messages.
    pub architecture: &'static str,
    /// Width of the rows that pass from layer to layer.
    pub dim: usize,
    /// Tokens the model was made for.
    pub context_length: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; `heads / kv_heads` query heads share one.
    pub kv_heads: usize,
    /// Dimensions a head.
    pub head_dim: usize,
    /// What scores are multiplied by before softmax.
    pub attention_scale: f32,
    /// Whether every query and key head has an RMS norm of its own before RoPE.
    pub qk_norm: bool,
    /// What embedding rows are multiplied by; 1 for most.
    pub embedding_scale: f32,
    /// How positions enter.
    pub positions: Positions,
    /// Whether the row of token type 0 is added to every embedding row.
    pub token_types: bool,
    /// Which norm, everywhere, with its epsilon.
    pub norm: Norm,
    /// Where norms stand, as GGUF tensor names.
    pub norms: NormNames,
    /// The feed-forward network.
    pub feed_forward: FeedForward,
    /// What differs by layer; one entry a layer.
    pub layers: Vec<LayerConfig>,
    /// Pooling, as far as the file states it.
    pub pooling: StatedPooling,
    /// Pooling that every model of the architecture has, whatever its file forgets.
    pub default_pooling: Option<Pooling>,
    /// Projections of the pooled vector.
    pub dense_heads: Heads,
    /// Tensors that the architecture's files may hold and embedding does not need.
    pub ignored: &'static [&'static str],
}

/// What a file says of pooling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatedPooling {
    /// Nothing.
    Unstated,
    /// This.
    As(Pooling),
    /// What cannot be done here, in words; another pooling can be set.
    Unusable(String),
}

/// How positions enter the network.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A learned row a position, added to the embedding.
    Learned,
    /// Queries and keys are turned; [`LayerConfig::rope`] indexes this list.
    Rope(Vec<Rope>),
}

/// One kind of rotation.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Dimensions of a head that turn.
    pub dims: usize,
    /// Base of the frequencies.
    pub base: f64,
    /// What positions are multiplied by (1 unless the context was stretched).
    pub scale: f64,
}

/// The norm of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Norm {
    /// Mean and variance, weight and bias.
    Layer {
        /// Added to the variance.
        eps: f32,
    },
    /// Root mean square, weight only.
    Rms {
        /// Added to the mean square.
        eps: f32,
    },
}

/// Tensor names of the norms, without `.weight` and `.bias`. What is `None` does not happen.
#[derive(Debug, Clone, PartialEq)]
pub struct NormNames {
    /// Of the embedding rows, before the first layer.
    pub embedding: Option<&'static str>,
    /// Around attention, within `blk.N.`.
    pub attention: BlockNorms,
    /// Around the feed-forward network, within `blk.N.`.
    pub feed_forward: BlockNorms,
    /// After the last layer.
    pub output: Option<&'static str>,
}

/// The three places a norm can stand around a branch (attention or feed-forward) of a block.
///
/// Pre-norm has `before`, post-norm has `after_residual`, sandwich norm `before` and `after`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BlockNorms {
    /// Of what the branch reads.
    pub before: Option<&'static str>,
    /// Of what the branch gives, before it is added to the residual.
    pub after: Option<&'static str>,
    /// Of the sum.
    pub after_residual: Option<&'static str>,
}

/// The feed-forward network of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForward {
    /// Width inside.
    pub dim: usize,
    /// The activation, and whether a gate multiplies.
    pub activation: Activation,
}

/// Activations, plain (`down(act(up x))`) or gated (`down(act(gate x) * up x)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Exact GELU, no gate.
    GeluErf,
    /// Tanh GELU of the gate.
    GatedGeluTanh,
}

impl Activation {
    /// A name of its own.
    pub fn name(self) -> &'static str {
        match self {
            Activation::GeluErf => "gelu_erf",
            Activation::GatedGeluTanh => "gated_gelu_tanh",
        }
    }

    /// Whether the network has a gate beside the up projection.
    pub fn is_gated(self) -> bool {
        self == Activation::GatedGeluTanh
    }
}

/// What one layer sees and how it turns.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    /// Which keys a query sees.
    pub mask: Mask,
    /// Index into [`Positions::Rope`]; unused with learned positions.
    pub rope: usize,
}

/// Which keys a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    Full,
    /// Those up to its own position.
    Causal,
    /// Those at most `width / 2` away on either side.
    SymmetricWindow {
        /// The window's width.
        width: usize,
    },
    /// Its own and the `width - 1` before it.
    CausalWindow {
        /// The window's width.
        width: usize,
    },
}

impl Mask {
    /// Positions that the query at `position` sees in a sequence of `length`: never empty.
    pub fn visible(self, position: usize, length: usize) -> Range<usize> {
        match self {
            Mask::Full => 0..length,
            Mask::Causal => 0..position + 1,
            Mask::SymmetricWindow { width } => {
                position.saturating_sub(width / 2)..(position.saturating_add(width / 2 + 1)).min(length)
            }
            Mask::CausalWindow { width } => (position + 1).saturating_sub(width.max(1))..position + 1,
        }
    }
}

/// Dense projections of the pooled vector, applied in order, without bias or activation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heads {
    /// Tensor names without `.weight`. All of them are there, or none.
    pub names: &'static [&'static str],
    /// Whether a file without them gives other vectors than the authors' model, so that it must be said.
    pub expected: bool,
}
