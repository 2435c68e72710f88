//! Jina's BERTs (Günther et al. 2023; Sturua et al. 2024).
//!
//! v2 sees positions through ALiBi alone. Its files come in three layouts: gate and up apart or in one tensor (small,
//! base), and the code models, which also norm whole rows of queries and keys, norm the sum of attention and residual
//! before the residual joins it once more, and have up before the gate. v3 is an XLM-R with RoPE; its task adapters
//! are files of their own. Sources: the authors' modeling_bert.py of jina-bert-implementation and of
//! jina-bert-v2-qk-post-norm, modeling_xlm_roberta.py of xlm-roberta-flash-implementation.

use super::Architecture;
use super::bert::POOLER;
use crate::config::{Activation, BlockNorms, Config, HeadNorms, NormNames, Positions};
use crate::network::Network;
use crate::pooling::Pooling;
use crate::rope::Pairs;

pub(super) const JINA_BERT_V2: Architecture = Architecture {
    name: "jina-bert-v2",
    describe: |keys| {
        let inner = keys.uniform("feed_forward_length", None)?;
        let norms_heads = keys.has_tensor("blk.0.attn_q_norm.weight");
        let is_gated =
            keys.has_tensor("blk.0.ffn_gate.weight") || keys.has_rows("blk.0.ffn_up.weight", 2 * inner);
        let activation = if is_gated { Activation::GatedGeluErf } else { Activation::GeluErf };
        let mut config = keys.network(Network {
            positions: Positions::Alibi { max_bias: keys.float_or("attention.max_alibi_bias", 8.0)? },
            norm: keys.layer_norm()?,
            norms: NormNames::post(),
            activation,
            mask: keys.full_mask()?,
        })?;
        if norms_heads {
            config.head_norms = HeadNorms::AllHeads;
            config.feed_forward.up_first = true;
        }
        if keys.has_tensor("blk.0.attn_norm_2.weight") {
            config.norms.attention = BlockNorms {
                after_sum: Some("attn_output_norm"),
                after_residual: Some("attn_norm_2"),
                ..BlockNorms::default()
            };
        }
        config.scoring = keys.scoring(Pooling::Cls, POOLER)?;
        Ok(Config { token_types: true, ..config })
    },
};

pub(super) const JINA_BERT_V3: Architecture = Architecture {
    name: "jina-bert-v3",
    describe: |keys| {
        let network = keys.network(Network {
            positions: Positions::Rope(vec![keys.rope(Pairs::Halves, 20_000.0)?]),
            norm: keys.layer_norm()?,
            norms: NormNames::post(),
            activation: Activation::GeluErf,
            mask: keys.full_mask()?,
        })?;
        Ok(Config { token_types: true, ..network })
    },
};
