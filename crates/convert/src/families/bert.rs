//! BERT, DistilBERT, RoBERTa, CamemBERT and XLM-R: MiniLM, BGE, E5, GTE, Arctic, BGE-M3, rerankers.

use super::{Change, Family, Keys, Name, PLAIN, both, maybe, weight};
use crate::config::Config;
use crate::error::Error;

const TENSORS: &[Name] = &[
    weight("embeddings.word_embeddings", "token_embd"),
    weight("embeddings.position_embeddings", "position_embd").changed(Change::Positions),
    weight("embeddings.token_type_embeddings", "token_types"),
    both("embeddings.LayerNorm", "token_embd_norm"),
    both("encoder.layer.{}.attention.self.query", "blk.{}.attn_q"),
    both("encoder.layer.{}.attention.self.key", "blk.{}.attn_k"),
    both("encoder.layer.{}.attention.self.value", "blk.{}.attn_v"),
    both("encoder.layer.{}.attention.output.dense", "blk.{}.attn_output"),
    both("encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm"),
    both("encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up"),
    both("encoder.layer.{}.output.dense", "blk.{}.ffn_down"),
    both("encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm"),
    // RoBERTa's classifier has two products; BERT's has one, after the pooler's product and tanh, which is what GGUF means
    // by `cls`. llama.cpp's own converter loses the pooler, and with it the scores of such rerankers.
    maybe("classifier.dense", "cls"),
    maybe("classifier.out_proj", "cls.output"),
    maybe("pooler.dense", "cls"),
    maybe("classifier", "cls.output"),
];

/// Heads of other tasks, and what buffers leave behind.
const IGNORED: &[&str] = &["cls.", "lm_head.", "pooler.", "embeddings.position_ids"];

pub(super) const BERT: Family = Family {
    model_types: &["bert"],
    is_this: |config| config.text("position_embedding_type") != Some("alibi"),
    architecture: "bert",
    prefixes: &["bert.", "model."],
    tensors: &[TENSORS],
    ignored: IGNORED,
    keys: |config, keys| bert_keys(config, keys, 0),
    ..PLAIN
};

pub(super) const ROBERTA: Family = Family {
    model_types: &["roberta", "camembert"],
    is_this: |_| true,
    prefixes: &["roberta.", "model."],
    first_position: after_padding,
    keys: |config, keys| bert_keys(config, keys, after_padding(config)? as u32),
    ..BERT
};

/// Jina v3 calls itself so, too, and has adapters.
pub(super) const XLM_ROBERTA: Family = Family {
    model_types: &["xlm-roberta"],
    is_this: |config| is_xlm_r(config) && !super::jina::is_flash(config),
    fairseq_ids: true,
    ..ROBERTA
};

pub(super) const DISTILBERT: Family = Family {
    model_types: &["distilbert"],
    is_this: |_| true,
    prefixes: &["distilbert.", "model."],
    tensors: &[&[
        weight("embeddings.word_embeddings", "token_embd"),
        weight("embeddings.position_embeddings", "position_embd"),
        both("embeddings.LayerNorm", "token_embd_norm"),
        both("transformer.layer.{}.attention.q_lin", "blk.{}.attn_q"),
        both("transformer.layer.{}.attention.k_lin", "blk.{}.attn_k"),
        both("transformer.layer.{}.attention.v_lin", "blk.{}.attn_v"),
        both("transformer.layer.{}.attention.out_lin", "blk.{}.attn_output"),
        both("transformer.layer.{}.sa_layer_norm", "blk.{}.attn_output_norm"),
        both("transformer.layer.{}.ffn.lin1", "blk.{}.ffn_up"),
        both("transformer.layer.{}.ffn.lin2", "blk.{}.ffn_down"),
        both("transformer.layer.{}.output_layer_norm", "blk.{}.layer_output_norm"),
    ]],
    ignored: &["vocab_", "embeddings.position_ids"],
    keys: |config, keys| {
        config.demand("activation", &["gelu"])?;
        config.demand("sinusoidal_pos_embds", &["false"])?;
        keys.put("attention.layer_norm_epsilon", 1e-12f32);
        common(config, keys, 0)
    },
    ..BERT
};

/// Whether it is XLM-R's network: jina v3's, which goes by the same name, has adapters and rotary positions.
pub(super) fn is_xlm_r(config: &Config) -> bool {
    config.get("lora_adaptations").is_none() && config.text("position_embedding_type") != Some("rotary")
}

/// RoBERTa counts positions from the padding id on, which is 1 where nobody says it.
pub(super) fn after_padding(config: &Config) -> Result<usize, Error> {
    Ok(config.number(&["pad_token_id"])?.unwrap_or(1) as usize + 1)
}

pub(super) fn bert_keys(config: &Config, keys: &mut Keys, before_positions: u32) -> Result<(), Error> {
    config.demand("hidden_act", &["gelu"])?;
    config.demand("position_embedding_type", &["absolute"])?;
    config.demand("is_decoder", &["false"])?;
    keys.put("attention.layer_norm_epsilon", config.required_float(&["layer_norm_eps"])?);
    common(config, keys, before_positions)
}

fn common(config: &Config, keys: &mut Keys, before_positions: u32) -> Result<(), Error> {
    config.demand("pruned_heads", &["{}"])?;
    config.demand("add_cross_attention", &["false"])?;
    keys.sizes(config)?;
    let positions = config.required(&["max_position_embeddings"])?;
    keys.put_size("context_length", positions.saturating_sub(before_positions));
    keys.feed_forward(config)?;
    keys.put("attention.causal", false);
    keys.classifier(config);
    Ok(())
}
