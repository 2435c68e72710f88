//! An architecture as plain data: the axes along which transformer encoders differ.

use std::ops::Range;

use crate::pooling::Pooling;
use crate::rope::Rope;

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
    /// Norms of queries and keys before they turn.
    pub head_norms: HeadNorms,
    /// How a file's joined Q, K and V lie in their one tensor.
    pub fused_qkv: FusedQkv,
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
    /// What the tensors of a layer are called.
    pub names: LayerNames,
    /// Pooling, as far as the file states it.
    pub pooling: StatedPooling,
    /// Pooling that every model of the architecture has, whatever its file forgets.
    pub default_pooling: Option<Pooling>,
    /// Projections of the pooled vector.
    pub dense_heads: Heads,
    /// How a row becomes the scores of a pair of texts, where the file holds such a head.
    pub scoring: Option<Scoring>,
    /// What the authors' network has and no file of the architecture holds, in words.
    pub lost: Option<&'static str>,
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
    /// Scores instead of vectors: a reranker.
    Rank,
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
    /// Scores fall with the distance of query and key, in each head by another slope (Press et al. 2022).
    Alibi {
        /// The steepest slope is 2 to the minus this over the number of heads (a power of two).
        max_bias: f32,
    },
    /// A learned value a head and bucket of distances is added to scores (Raffel et al. 2020). A layer without
    /// its own has those of the first.
    RelativeBuckets {
        /// Buckets, of both directions together.
        buckets: usize,
        /// Distances from here on share the last bucket.
        max_distance: usize,
        /// Tensor name within a layer, without `.weight`.
        name: &'static str,
    },
}

/// The norm of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Norm {
    /// Mean and variance, weight and, where the file has one, bias.
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

/// Norms of queries and keys before they turn, `attn_q_norm` and `attn_k_norm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadNorms {
    /// None.
    None,
    /// Of each head by itself; all heads have the same weights.
    EachHead,
    /// Of a row of all heads.
    AllHeads,
}

/// Order of the rows of a joined Q, K and V.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FusedQkv {
    /// All queries, all keys, all values.
    Blocks,
    /// Query, key and value of the first head, then of the next.
    ByHead,
}

/// Tensor names of the norms, without `.weight` and `.bias`. What is `None` does not happen.
#[derive(Debug, Clone, PartialEq)]
pub struct NormNames {
    /// Of the embedding rows, before the first layer.
    pub embedding: Option<&'static str>,
    /// Around attention, within a layer.
    pub attention: BlockNorms,
    /// Around the feed-forward network, within a layer.
    pub feed_forward: BlockNorms,
    /// After the last layer.
    pub output: Option<&'static str>,
}

/// The places a norm can stand around a branch (attention or feed-forward) of a block.
///
/// Pre-norm has `before`, post-norm has `after_residual`, sandwich norm `before` and `after`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BlockNorms {
    /// Of what the branch reads.
    pub before: Option<&'static str>,
    /// Of what the branch gives, before it is added to the residual.
    pub after: Option<&'static str>,
    /// Of what the branch gives and the residual together; the residual is added to it once more.
    pub after_sum: Option<&'static str>,
    /// Of the sum.
    pub after_residual: Option<&'static str>,
}

impl NormNames {
    /// Post-norm as BERT has it: of the embedding, and of every sum.
    pub fn post() -> Self {
        let of_sum = |name| BlockNorms { after_residual: Some(name), ..BlockNorms::default() };
        Self {
            embedding: Some("token_embd_norm"),
            attention: of_sum("attn_output_norm"),
            feed_forward: of_sum("layer_output_norm"),
            output: None,
        }
    }

    /// Pre-norm: of what every branch reads, and of the last rows.
    pub fn pre() -> Self {
        let of_input = |name| BlockNorms { before: Some(name), ..BlockNorms::default() };
        Self {
            embedding: None,
            attention: of_input("attn_norm"),
            feed_forward: of_input("ffn_norm"),
            output: Some("output_norm"),
        }
    }
}

/// What the tensors of a layer are called, where architectures differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerNames {
    /// Before the layer's number: `blk` in `blk.0.attn_q.weight`.
    pub prefix: &'static str,
    /// The projection behind attention.
    pub attention_output: &'static str,
}

impl LayerNames {
    /// A tensor of a layer, without `.weight` and `.bias`.
    pub(crate) fn tensor(&self, layer: usize, name: &str) -> String {
        format!("{}.{layer}.{name}", self.prefix)
    }
}

impl Default for LayerNames {
    fn default() -> Self {
        Self { prefix: "blk", attention_output: "attn_output" }
    }
}

/// The feed-forward network of a block.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedForward {
    /// Width inside.
    pub dim: usize,
    /// The activation, and whether a gate multiplies.
    pub activation: Activation,
    /// Where gate and up lie in one tensor, whether up comes first.
    pub up_first: bool,
    /// Of layers with [`LayerConfig::experts`].
    pub experts: Option<Experts>,
}

/// A mixture of experts: a router picks some feed-forward networks for each row, and weighs what they give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many compute a row. Their weights are their shares of a softmax over all, and do not sum to 1.
    pub used: usize,
}

/// Activations, plain (`down(act(up x))`) or gated (`down(act(gate x) * up x)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// Exact GELU, no gate.
    GeluErf,
    /// ReLU, no gate.
    Relu,
    /// Exact GELU of the gate.
    GatedGeluErf,
    /// Tanh GELU of the gate.
    GatedGeluTanh,
    /// SiLU of the gate: SwiGLU.
    GatedSilu,
}

impl Activation {
    /// A name of its own.
    pub fn name(self) -> &'static str {
        match self {
            Activation::GeluErf => "gelu_erf",
            Activation::Relu => "relu",
            Activation::GatedGeluErf => "gated_gelu_erf",
            Activation::GatedGeluTanh => "gated_gelu_tanh",
            Activation::GatedSilu => "gated_silu",
        }
    }

    /// Whether the network has a gate beside the up projection.
    pub fn is_gated(self) -> bool {
        match self {
            Activation::GeluErf | Activation::Relu => false,
            Activation::GatedGeluErf | Activation::GatedGeluTanh | Activation::GatedSilu => true,
        }
    }
}

/// What one layer sees, how it turns, and what it has of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    /// Which keys a query sees.
    pub mask: Mask,
    /// Index into [`Positions::Rope`]; unused with other positions.
    pub rope: usize,
    /// Whether its feed-forward network is a mixture of experts.
    pub experts: bool,
    /// Whether its attention reads the residual as it is, without the norm that other layers have before it.
    pub bare_attention: bool,
}

impl LayerConfig {
    /// A layer like any other, with this mask.
    pub fn seeing(mask: Mask) -> Self {
        Self { mask, rope: 0, experts: false, bare_attention: false }
    }
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

/// The head of a reranker or classifier: which row of a text, or of two, becomes scores, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Scoring {
    /// How rows become the one that is scored.
    pub pooling: Pooling,
    /// Whether the file says so, or models of the architecture are said to do it that way.
    pub pooling_stated: bool,
    /// A layer before the outputs.
    pub dense: Option<ScoringDense>,
    /// The tensor of the outputs, without `.weight` and `.bias`.
    pub output: &'static str,
    /// Scores of a text.
    pub outputs: usize,
    /// What each score is of, as the file has it; empty where it says nothing.
    pub labels: Vec<String>,
    /// What the authors' head has and the file does not hold, in words.
    pub lost: Option<&'static str>,
}

/// The layer of a head before its outputs, as wide as the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoringDense {
    /// Its tensor, without `.weight` and `.bias`.
    pub name: &'static str,
    /// What its outputs pass.
    pub activation: DenseActivation,
    /// A norm behind that.
    pub norm: Option<&'static str>,
}

/// Activations of a head's dense layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenseActivation {
    /// Hyperbolic tangent.
    Tanh,
    /// Exact GELU.
    GeluErf,
}
