//! From the keys that all architectures share to a plain network, which a declaration then alters.

use gguf::Value;

use crate::config::{
    Activation, Config, FeedForward, FusedQkv, HeadNorms, Heads, LayerConfig, LayerNames, Mask, Norm,
    NormNames, Positions,
};
use crate::error::Error;
use crate::keys::Keys;
use crate::rope::{Pairs, Rope, Yarn};

/// What no two architectures have alike, so that every declaration says it.
pub(crate) struct Network {
    pub(crate) positions: Positions,
    pub(crate) norm: Norm,
    pub(crate) norms: NormNames,
    pub(crate) activation: Activation,
    /// Of every layer.
    pub(crate) mask: Mask,
}

impl Keys<'_> {
    /// A network of these parts, its sizes by the file, everything else as in most networks.
    pub(crate) fn network(&self, network: Network) -> Result<Config, Error> {
        let Network { positions, norm, norms, activation, mask } = network;
        let (dim, heads) = (self.size("embedding_length")?, self.uniform("attention.head_count", None)?);
        let head_dim = self.head_dim()?;
        Ok(Config {
            architecture: self.architecture(),
            dim,
            context_length: self.size("context_length")?,
            heads,
            kv_heads: self.uniform("attention.head_count_kv", Some(heads))?,
            head_dim,
            attention_scale: 1.0 / (head_dim as f32).sqrt(),
            head_norms: HeadNorms::None,
            fused_qkv: FusedQkv::Blocks,
            embedding_scale: 1.0,
            positions,
            token_types: false,
            norm,
            norms,
            feed_forward: FeedForward {
                dim: self.uniform("feed_forward_length", None)?,
                activation,
                up_first: false,
                experts: None,
            },
            layers: vec![LayerConfig::seeing(mask); self.size("block_count")?.min(513)],
            names: LayerNames::default(),
            pooling: self.pooling()?,
            // Models of most architectures differ, so a file that says nothing is not guessed at.
            default_pooling: None,
            dense_heads: Heads::default(),
            scoring: None,
            lost: None,
            ignored: &[],
        })
    }

    /// Dimensions a head: as the file says, else its share of a row.
    pub(crate) fn head_dim(&self) -> Result<usize, Error> {
        let (dim, heads) = (self.size("embedding_length")?, self.uniform("attention.head_count", None)?);
        let key = "attention.key_length";
        let head_dim = match self.size_or(key, 0) {
            Ok(0) if dim.is_multiple_of(heads) => dim / heads,
            Ok(0) => {
                return Err(
                    self.error("attention.head_count", format!("is {heads}, which does not divide {dim}"))
                );
            }
            stated => stated?,
        };
        let value_dim = self.size_or("attention.value_length", head_dim)?;
        if value_dim != head_dim {
            let what = format!("is {value_dim}, keys have {head_dim}: heads of two widths are not supported");
            return Err(self.error("attention.value_length", what));
        }
        Ok(head_dim)
    }

    /// Layer norm, with the file's epsilon.
    pub(crate) fn layer_norm(&self) -> Result<Norm, Error> {
        Ok(Norm::Layer { eps: self.float("attention.layer_norm_epsilon")? })
    }

    /// RMS norm, with the file's epsilon.
    pub(crate) fn rms_norm(&self) -> Result<Norm, Error> {
        Ok(Norm::Rms { eps: self.float("attention.layer_norm_rms_epsilon")? })
    }

    /// Everything before or everything, as the file says.
    pub(crate) fn causal_or(&self, default: bool) -> Result<Mask, Error> {
        Ok(if self.flag_or("attention.causal", default)? { Mask::Causal } else { Mask::Full })
    }

    /// Everything; a file that says otherwise is of no model that there is.
    pub(crate) fn full_mask(&self) -> Result<Mask, Error> {
        if self.flag_or("attention.causal", false)? {
            let what = "is true: models of this architecture see their texts whole";
            return Err(self.error("attention.causal", what));
        }
        Ok(Mask::Full)
    }

    /// The rotation of all layers, or of those that see everything; `base` where the file states none.
    pub(crate) fn rope(&self, pairs: Pairs, base: f32) -> Result<Rope, Error> {
        let head_dim = self.head_dim()?;
        let dims = self.size_or("rope.dimension_count", head_dim)?;
        if dims > head_dim || !dims.is_multiple_of(2) {
            let what =
                format!("RoPE over {dims} of {head_dim} dimensions a head; it must be an even part of them");
            return Err(self.error("rope.dimension_count", what));
        }
        let base = f64::from(self.float_or("rope.freq_base", base)?);
        let older = self.float_if_any("rope.scale_linear")?; // the key's name in older files
        let factor = self.float_if_any("rope.scaling.factor")?.or(older);
        let factor = factor.map(f64::from);
        let kind = self.text("rope.scaling.type")?.unwrap_or("linear");
        let (factor, yarn) = match (kind, factor) {
            ("none", _) | ("linear", None) => (1.0, None),
            ("linear", Some(factor)) => (factor, None),
            ("yarn", Some(factor)) => (factor, Some(self.yarn(factor)?)),
            ("yarn", None) => {
                return Err(self.error("rope.scaling.type", "is `yarn`, but rope.scaling.factor is missing"));
            }
            (other, _) => {
                let what = format!("is `{other}`; connote stretches by `linear`, `yarn` or `none`");
                return Err(self.error("rope.scaling.type", what));
            }
        };
        let factors = self.has_tensor("rope_freqs.weight").then_some("rope_freqs");
        Ok(Rope { dims, pairs, base, scale: 1.0 / factor, yarn, factors })
    }

    fn yarn(&self, factor: f64) -> Result<Yarn, Error> {
        let float = |key: &str, default| self.float_or(key, default).map(f64::from);
        let grown = 0.1 * factor.ln() + 1.0;
        Ok(Yarn {
            original_context: self
                .size_or("rope.scaling.original_context_length", self.size("context_length")?)?,
            beta_fast: float("rope.scaling.yarn_beta_fast", 32.0)?,
            beta_slow: float("rope.scaling.yarn_beta_slow", 1.0)?,
            magnitude: grown * float("rope.scaling.attn_factor", 1.0)?,
        })
    }

    /// Refuses a file with a key that changes the network and that its architecture's declaration does not read.
    pub(crate) fn refuse_unread(&self, config: &Config) -> Result<(), Error> {
        for &(key, neutral) in CHANGING {
            let Some(value) = self.unread(key) else { continue };
            let number = match value {
                Value::Bool(flag) => Some(f64::from(u8::from(flag))),
                Value::F32(number) => Some(f64::from(number)),
                Value::F64(number) => Some(number),
                Value::String(text) => (text == b"none").then_some(0.0),
                Value::Array(_) => None,
                whole => whole.to_string().parse().ok(),
            };
            // A window as wide as the context hides nothing.
            let hides_nothing =
                key == WINDOW && number.is_some_and(|width| width >= config.context_length as f64);
            if number != Some(0.0) && number != Some(neutral) && !hides_nothing {
                let what = format!(
                    "is {value}, which connote does not know of models of this architecture; its vectors would be wrong"
                );
                return Err(self.error(key, what));
            }
        }
        Ok(())
    }
}

const WINDOW: &str = "attention.sliding_window";

/// Keys that change what a network of some architecture computes, each with the value beside 0 that changes nothing.
const CHANGING: &[(&str, f64)] = &[
    ("attention.clamp_kqv", 0.0),
    ("attention.key_length_mla", 0.0),
    ("attention.max_alibi_bias", 0.0),
    ("attention.output_scale", 1.0),
    ("attention.relative_buckets_count", 0.0),
    ("attention.scale", 0.0),
    (WINDOW, 0.0),
    ("attention.temperature_scale", 0.0),
    ("attn_logit_softcapping", 0.0),
    ("decision.block_count", 0.0),
    ("embedding_scale", 1.0),
    ("expert_count", 0.0),
    ("hidden_activation", 0.0),
    ("leading_dense_block_count", 0.0),
    ("moe_every_n_layers", 0.0),
    ("residual_scale", 1.0),
    ("rope.dimension_count_swa", 0.0),
    ("rope.dimension_sections", 0.0),
    ("rope.scale_linear", 1.0),
    ("rope.scaling.attn_factor", 1.0),
    ("rope.scaling.factor", 1.0),
    ("rope.scaling.yarn_attn_factor", 1.0),
    ("rope.scaling.yarn_ext_factor", 1.0),
    ("rope.scaling.yarn_log_multiplier", 0.0),
    ("use_parallel_residual", 0.0),
];
