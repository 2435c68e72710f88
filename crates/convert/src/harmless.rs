//! Keys of a folder's files that leave vectors as they are.
//!
//! Everything else has to be asked for by who writes the keys of a file, or is refused: a list of what is known to be
//! harmless fails loudly where authors think of something new, a list of what is known to matter would lose it in silence.

/// Of `config.json`, in groups.
const CONFIG: &[&[&str]] = &[
    // Who made it, and with what.
    &[
        "_name_or_path",
        "pretrained_model_name_or_path",
        "trust_remote_code",
        "architectures",
        "auto_map",
        "custom_pipelines",
        "dtype",
        "torch_dtype",
        "transformers_version",
    ],
    &["language", "name", "tokenizer_class", "model_name", "xla_device"],
    // How it was trained, and where its weights began.
    &["embedding_init_range", "gradient_checkpointing", "initializer_cutoff_factor", "initializer_factor"],
    &["initializer_range", "layerdrop", "max_window_layers", "pretraining_tp", "router_aux_loss_coef"],
    &[
        "router_jitter_noise",
        "output_router_logits",
        "use_reentrant",
        "dense_seq_output",
        "layer_norm_training",
    ],
    &[
        "matryoshka_dimensions",
        "matryoshka_dims",
        "model_max_length",
        "truncate_dim",
        "mask_token_prob",
        "add_pooling_layer",
    ],
    // How a program computes the same.
    &["_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "attention_bias"],
    &["chunk_size_feed_forward", "deterministic_flash_attn", "flash_attention", "fused_bias_fc"],
    &["fused_dropout_add_ln", "mlp_checkpoint_lvl", "pad_vocab_size_multiple", "reference_compile"],
    &[
        "reorder_and_upcast_attn",
        "repad_logits_with_grad",
        "residual_in_fp32",
        "return_dict",
        "tie_weights_",
        "torchscript",
    ],
    &["unpad_inputs", "use_bfloat16", "use_cache", "use_flash_attention", "use_flash_attn", "use_xentropy"],
    &[
        "use_memory_efficient_attention",
        "tie_encoder_decoder",
        "tie_word_embeddings",
        "is_gated_act",
        "dense_act_fn",
    ],
    // Heads of other tasks, a decoder's half, and the words that a language model would write.
    &["decoder_bias", "decoder_init_range", "directionality", "final_logit_softcapping", "finetuning_task"],
    &["id2label", "label2id", "num_decoder_layers", "num_labels", "problem_type", "scale_decoder_outputs"],
    &["sparse_pred_ignore_index", "sparse_prediction", "summary_activation", "summary_first_dropout"],
    &["summary_proj_to_labels", "summary_type", "summary_use_proj", "is_encoder_decoder"],
    &["bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "do_sample", "early_stopping"],
    &["encoder_no_repeat_ngram_size", "length_penalty", "max_length", "min_length", "no_repeat_ngram_size"],
    &["num_beam_groups", "num_beams", "num_return_sequences", "prefix", "remove_invalid_values"],
    &[
        "repetition_penalty",
        "return_dict_in_generate",
        "suppress_tokens",
        "task_specific_params",
        "temperature",
    ],
    &["tf_legacy_loss", "top_k", "top_p", "typical_p", "generation_config"],
    // What a reranker's score is put through, which connote leaves to its caller.
    &["sbert_ce_default_activation_function", "sentence_transformers"],
    // Of jina v3: its adapters are files of their own, and what their tasks are is said by its prompts.
    &[
        "clf_pooling",
        "emb_pooler",
        "load_trained_adapters",
        "lora_adaptations",
        "lora_alpha",
        "lora_main_params_trainable",
    ],
    &["lora_rank", "pooling", "task_instructions"],
];

/// Beginnings of names in `config.json`.
const BEGINNINGS: &[&str] = &["classifier_", "output_", "pooler_"];

/// Ends of names in `config.json`: what is left out in training alone, and ids, which the tokenizer's files say, too.
const ENDS: &[&str] = &[
    "dropout",
    "dropout_p",
    "dropout_prob",
    "dropout_rate",
    "_pdrop",
    "_token",
    "_token_id",
    "_token_index",
];

pub(crate) fn of_config(name: &str) -> bool {
    CONFIG.iter().any(|group| group.contains(&name))
        || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || ENDS.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_a_network_is_not_harmless() {
        let changing = [
            "attn_logit_softcapping",
            "hidden_act",
            "is_causal",
            "is_decoder",
            "layer_types",
            "partial_rotary_factor",
            "position_embedding_type",
            "pruned_heads",
            "qk_norm",
            "quantization_config",
            "query_pre_attn_scalar",
            "rope_scaling",
            "rope_theta",
            "rotary_scaling_factor",
            "scale_attn_weights",
            "sliding_window",
            "use_rms_norm",
        ];
        for name in changing {
            assert!(!of_config(name), "{name}");
        }
        for name in [
            "attention_probs_dropout_prob",
            "classifier_pooling",
            "output_past",
            "pooler_fc_size",
            "use_cache",
        ] {
            assert!(of_config(name), "{name}");
        }
    }
}
