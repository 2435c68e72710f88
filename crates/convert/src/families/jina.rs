//! jina-embeddings v2 (with ALiBi) and v3 (XLM-R with RoPE and adapters), and jina-reranker v2 (v3's code with XLM-R's positions).

use super::bert::{after_padding, bert_keys, is_xlm_r};
use super::rope::{ALL, Rope};
use super::{Change, Family, Name, PLAIN, both, maybe, weight, with_bias_or_without};
use crate::config::Config;

pub(super) const JINA_BERT_V2: Family = Family {
    // Its configuration calls itself bert; ALiBi tells it apart.
    model_types: &["bert", "jina_bert"],
    is_this: |config| config.text("position_embedding_type") == Some("alibi"),
    architecture: "jina-bert-v2",
    prefixes: &["bert.", "model."],
    tensors: &[&[
        weight("embeddings.word_embeddings", "token_embd"),
        weight("embeddings.token_type_embeddings", "token_types"),
        both("embeddings.LayerNorm", "token_embd_norm"),
        both("encoder.layer.{}.attention.self.query", "blk.{}.attn_q"),
        both("encoder.layer.{}.attention.self.key", "blk.{}.attn_k"),
        both("encoder.layer.{}.attention.self.value", "blk.{}.attn_v"),
        maybe("encoder.layer.{}.attention.self.layer_norm_q", "blk.{}.attn_q_norm"),
        maybe("encoder.layer.{}.attention.self.layer_norm_k", "blk.{}.attn_k_norm"),
        both("encoder.layer.{}.attention.output.dense", "blk.{}.attn_output"),
        maybe("encoder.layer.{}.attention.output.LayerNorm", "blk.{}.attn_output_norm"),
        maybe("encoder.layer.{}.layer_norm_1", "blk.{}.attn_norm_2"),
        maybe("encoder.layer.{}.mlp.gated_layers", "blk.{}.ffn_up"),
        maybe("encoder.layer.{}.mlp.up_gated_layer", "blk.{}.ffn_up"),
        maybe("encoder.layer.{}.intermediate.dense", "blk.{}.ffn_up"),
        maybe("encoder.layer.{}.mlp.wo", "blk.{}.ffn_down"),
        maybe("encoder.layer.{}.mlp.down_layer", "blk.{}.ffn_down"),
        maybe("encoder.layer.{}.output.dense", "blk.{}.ffn_down"),
        maybe("encoder.layer.{}.mlp.layernorm", "blk.{}.layer_output_norm"),
        maybe("encoder.layer.{}.output.LayerNorm", "blk.{}.layer_output_norm"),
        maybe("encoder.layer.{}.layer_norm_2", "blk.{}.layer_output_norm"),
        maybe("pooler.dense", "cls"),
        maybe("classifier", "cls.output"),
    ]],
    ignored: &["pooler.", "cls.", "embeddings.position_ids"],
    keys: |config, keys| {
        config.demand("hidden_act", &["gelu"])?;
        config.demand("feed_forward_type", &["geglu", "original"])?;
        config.demand("position_embedding_type", &["alibi"])?;
        config.demand("is_decoder", &["false"])?;
        config.demand("add_cross_attention", &["false"])?;
        config.demand("pruned_heads", &["{}"])?;
        keys.sizes(config)?;
        keys.context(config)?;
        keys.feed_forward(config)?;
        keys.put("attention.layer_norm_epsilon", config.required_float(&["layer_norm_eps"])?);
        keys.put("attention.causal", false);
        keys.classifier(config);
        Ok(())
    },
    heads_beyond_llama_cpp: Some("its reranker's two products; with one, scores would be others"),
    up_and_gate: &[1, 2],
    ..PLAIN
};

/// The names of the authors' XLM-R, xlm-roberta-flash-implementation.
const FLASH: &[Name] = &[
    weight("embeddings.word_embeddings", "token_embd"),
    weight("embeddings.token_type_embeddings", "token_types"),
    both("emb_ln", "token_embd_norm"),
    with_bias_or_without("encoder.layers.{}.mixer.Wqkv", "blk.{}.attn_qkv"),
    both("encoder.layers.{}.mixer.out_proj", "blk.{}.attn_output"),
    both("encoder.layers.{}.norm1", "blk.{}.attn_output_norm"),
    both("encoder.layers.{}.mlp.fc1", "blk.{}.ffn_up"),
    both("encoder.layers.{}.mlp.fc2", "blk.{}.ffn_down"),
    both("encoder.layers.{}.norm2", "blk.{}.layer_output_norm"),
];

/// Whether the configuration is of that code, which calls itself XLM-R, too.
pub(super) fn is_flash(config: &Config) -> bool {
    let of_that_code =
        config.get("auto_map").is_some_and(|classes| classes.to_string().contains("XLMRobertaFlash"));
    of_that_code || config.get("use_flash_attn").is_some()
}

/// XLM-R's network under those names.
pub(super) const JINA_RERANKER_V2: Family = Family {
    model_types: &["xlm-roberta"],
    is_this: |config| is_xlm_r(config) && is_flash(config),
    architecture: "bert",
    prefixes: &["roberta.", "model."],
    tensors: &[
        FLASH,
        &[
            weight("embeddings.position_embeddings", "position_embd").changed(Change::Positions),
            maybe("classifier.dense", "cls"),
            maybe("classifier.out_proj", "cls.output"),
        ],
    ],
    ignored: &["pooler.", "lm_head.", "embeddings.position_ids"],
    first_position: after_padding,
    keys: |config, keys| bert_keys(config, keys, after_padding(config)? as u32),
    fairseq_ids: true,
    ..PLAIN
};

pub(super) const JINA_BERT_V3: Family = Family {
    // As the authors call it, and as transformers does.
    model_types: &["xlm-roberta", "jina_embeddings_v3"],
    architecture: "jina-bert-v3",
    prefixes: &["roberta.", "model."],
    tensors: &[FLASH],
    ignored: &["pooler.", "lm_head.", "adapters."],
    keys: |config, keys| {
        config.demand("hidden_act", &["gelu"])?;
        config.demand("position_embedding_type", &["rotary"])?;
        keys.sizes(config)?;
        // The authors' number counts two places before the first, as XLM-R has them.
        let before = if config.text("model_type") == Some("xlm-roberta") { 2 } else { 0 };
        keys.put_size(
            "context_length",
            config.required(&["max_position_embeddings"])?.saturating_sub(before),
        );
        keys.feed_forward(config)?;
        keys.put("attention.layer_norm_epsilon", config.required_float(&["layer_norm_eps"])?);
        Rope { usual: 20_000.0, ..ALL }.put(config, keys, keys.usual_head_dim(config)?)?;
        keys.put("attention.causal", false);
        Ok(())
    },
    fairseq_ids: true,
    ..PLAIN
};
