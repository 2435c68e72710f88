//! What changes vectors goes into the file, or the folder is refused with a line that says which key of which file it is.

mod changed;

use std::fs;

use changed::Changed;
use connote_convert::{FileType, Folder};
use gguf::{Gguf, Value as Stored};
use serde_json::{Value, json};
use testkit::hf_folder::{self, write_json};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";

#[test]
fn keys_that_nobody_knows_are_refused_until_they_are_ignored() {
    let folder = Changed::of("qwen3");
    folder.set(CONFIG, "/qk_scale", json!(2.0)).set(CONFIG, "/another", json!({"a": 1}));
    folder.refused(&[
        "config.json: `another` is {\"a\":1}, `qk_scale` is 2.0; connote does not know what that does to vectors: if \
         nothing, say --ignore another --ignore qk_scale",
    ]);
    let model = Folder::open(folder.path()).expect("opened").ignoring("qk_scale").ignoring("another").model();
    assert!(model.is_ok());
    let ignoring = |key: &str| {
        let model = Folder::open(folder.path()).expect("opened").ignoring(key).model();
        model.expect_err("it is refused").to_string()
    };
    assert!(ignoring("hidden_act").contains("`hidden_act` says what the network is, and cannot be ignored"));
    assert!(ignoring("nothing").contains("has no `nothing` to be ignored"));
    // null says nothing, and what is left out in training alone nothing of vectors.
    let folder = Changed::of("qwen3");
    folder.set(CONFIG, "/qk_scale", Value::Null).set(CONFIG, "/new_dropout", json!(0.5));
    assert!(folder.convert().is_ok());
}

#[test]
fn networks_that_gguf_cannot_say_are_refused() {
    let cases: &[(&str, &str, Value, &str)] = &[
        ("bert-mean", "/pruned_heads", json!({"0": [1]}), "`pruned_heads` is {\"0\":[1]}"),
        ("bert-mean", "/add_cross_attention", json!(true), "`add_cross_attention` is true"),
        ("jina-bert-v2-fused", "/feed_forward_type", json!("reglu"), "it can be geglu or original"),
        ("modern-bert", "/classifier_activation", json!("relu"), "`classifier_activation` is relu"),
        ("neo-bert", "/ngpt", json!(true), "`ngpt` is true"),
        ("nomic-bert", "/parallel_block", json!(true), "`parallel_block` is true"),
        ("nomic-bert", "/scale_attn_weights", json!(false), "`scale_attn_weights` is false"),
        (
            "nomic-bert-moe",
            "/moe_normalize_expert_weights",
            json!(true),
            "`moe_normalize_expert_weights` is true",
        ),
        ("nomic-bert-moe", "/num_shared_experts", json!(1), "`num_shared_experts` is 1"),
        ("gemma-embedding", "/query_pre_attn_scalar", json!(256), "`query_pre_attn_scalar` is 256"),
        (
            "gemma-embedding",
            "/query_pre_attn_scalar",
            Value::Null,
            "`query_pre_attn_scalar` is not there, which is 256",
        ),
        ("gemma-embedding", "/attn_logit_softcapping", json!(50.0), "`attn_logit_softcapping` is 50.0"),
        ("t5encoder", "/relative_attention_max_distance", json!(64), "it can be 128"),
        ("eurobert", "/is_causal", json!(true), "`is_causal` is true"),
        ("qwen2", "/layer_types/1", json!("sliding_attention"), "layers with a window"),
        ("qwen2", "/use_sliding_window", json!(true), "`use_sliding_window` is true"),
        ("modern-bert", "/layer_types/0", json!("chunked"), "other kinds than full_attention"),
        ("modern-bert", "/layer_types/1", json!("full_attention"), "`layer_types` has no regular pattern"),
        ("llama", "/quantization_config", json!({"bits": 4}), "`quantization_config` is {\"bits\":4}"),
        (
            "jina-bert-v3",
            "/head_dim",
            json!(8),
            "`head_dim` is 8, which GGUF has no way to say; it can be 16",
        ),
    ];
    for (name, pointer, value, says) in cases {
        Changed::of(name).set(CONFIG, pointer, value.clone()).refused(&[says, "config.json"]);
    }
}

#[test]
fn rope_is_written_or_refused() {
    let rope = |kind: &str, more: Value| {
        let mut rope = json!({"rope_type": kind, "rope_theta": 5000.0});
        rope.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        rope
    };
    // Families with one kind of layers take the ways that keys alone say.
    for name in ["nomic-bert", "jina-bert-v3", "eurobert", "qwen2"] {
        let folder = Changed::of(name);
        folder.set(CONFIG, "/rope_parameters", rope("linear", json!({"factor": 2.0})));
        let file = folder.convert().unwrap_or_else(|error| panic!("{name}: {error}"));
        let key = |key: &str| {
            let architecture = file.metadata().str("general.architecture").expect("a key").expect("a text");
            file.metadata().get(&format!("{architecture}.rope.{key}"))
        };
        assert_eq!(key("scaling.factor"), Some(Stored::F32(2.0)), "{name}");
        assert_eq!(key("freq_base"), Some(Stored::F32(5000.0)), "{name}");
        for (kind, more) in [
            ("dynamic", json!({"factor": 2.0})),
            ("longrope", json!({"long_factor": [1.0]})),
            ("llama3", json!({"factor": 2.0})),
            ("yarn", json!({"factor": 2.0})),
            ("yarn", json!({"factor": 2.0, "original_max_position_embeddings": 320, "beta_fast": 16})),
            (
                "yarn",
                json!({"factor": 2.0, "original_max_position_embeddings": 320, "attention_factor": 1.5}),
            ),
            ("yarn", json!({"factor": 2.0, "original_max_position_embeddings": 320, "truncate": false})),
            ("yarn", json!({"factor": 0.5, "original_max_position_embeddings": 320})),
            // All pairs turn so fast.
            ("yarn", json!({"factor": 2.0, "original_max_position_embeddings": 4000, "rope_theta": 2.0})),
            ("linear", json!({"factor": -2.0})),
            ("default", json!({"partial_rotary_factor": 0.5})),
            ("default", json!({"mrope_section": [1, 2]})),
        ] {
            folder
                .set(CONFIG, "/rope_parameters", rope(kind, more))
                .refused(&["config.json: `rope_parameters`"]);
        }
        folder.set(CONFIG, "/rope_parameters", json!("linear")).refused(&["is \"linear\", not an object"]);
    }
    // Where layers differ, those that see everything may be stretched, and no others.
    for name in ["gemma3-linear", "modern-bert"] {
        let folder = Changed::of(name);
        folder.set(CONFIG, "/rope_parameters/full_attention", rope("linear", json!({"factor": 8.0})));
        assert!(folder.convert().is_ok(), "{name}");
        folder.set(CONFIG, "/rope_parameters/full_attention", rope("dynamic", json!({"factor": 8.0})));
        folder.refused(&["stretches RoPE by \"dynamic\"", "they can say linear and yarn"]);
        folder.set(CONFIG, "/rope_parameters/full_attention", rope("default", json!({})));
        folder.set(CONFIG, "/rope_parameters/sliding_attention", rope("linear", json!({"factor": 8.0})));
        folder.refused(&["stretches RoPE by \"linear\"", "they can say \"default\" alone"]);
    }
    Changed::of("llama")
        .set(CONFIG, "/partial_rotary_factor", json!(0.5))
        .refused(&["`partial_rotary_factor` is 0.5"]);
    Changed::of("nomic-bert-moe")
        .set(CONFIG, "/rotary_emb_fraction", json!(0.5))
        .refused(&["`rotary_emb_fraction`"]);
    let both = Changed::of("llama-linear");
    both.set(CONFIG, "/rope_scaling", json!({"type": "linear", "factor": 9.0}));
    both.refused(&["`rope_scaling` says something else than `rope_parameters`"]);
}

#[test]
fn a_window_that_files_cannot_say_limits_texts() {
    let folder = Changed::of("llama");
    folder.set(CONFIG, "/model_type", json!("mistral")).set(CONFIG, "/sliding_window", json!(100));
    let model = Folder::open(folder.path()).expect("opened").model().expect("a model");
    assert!(model.notes()[0].starts_with("texts are limited to 100 tokens"), "{:?}", model.notes());
    let file = folder.convert().expect("converted");
    assert_eq!(file.metadata().u32("llama.context_length").expect("a key"), Some(100));
    assert_eq!(file.metadata().bool("llama.attention.causal").expect("a key"), None);
    // Where nobody says it, Mistral's class has one of 4096; null is none.
    let folder = Changed::of("llama");
    folder.set(CONFIG, "/model_type", json!("mistral")).set(CONFIG, "/max_position_embeddings", json!(8192));
    let context = |file: &Gguf| file.metadata().u32("llama.context_length").expect("a key");
    let mut config = folder.read(CONFIG);
    config.as_object_mut().expect("an object").remove("sliding_window");
    write_json(folder.path(), CONFIG, &config);
    assert_eq!(context(&folder.convert().expect("converted")), Some(4096));
    folder.set(CONFIG, "/sliding_window", Value::Null);
    assert_eq!(context(&folder.convert().expect("converted")), Some(8192));
    // And a decoder that was turned both ways says so.
    let folder = Changed::of("llama");
    folder.set(CONFIG, "/is_causal", json!(false));
    let file = folder.convert().expect("converted");
    assert_eq!(file.metadata().bool("llama.attention.causal").expect("a key"), Some(false));
}

#[test]
fn tokenizers_that_gguf_cannot_say_are_refused() {
    let wordpiece: &[(&str, Value, &str)] = &[
        ("/normalizer/handle_chinese_chars", json!(false), "handle_chinese_chars is false"),
        ("/normalizer/clean_text", json!(false), "clean_text is false"),
        ("/normalizer/type", json!("Lowercase"), "the normalizer \"Lowercase\" before WordPiece"),
        ("/normalizer", Value::Null, "0 normalizers before WordPiece"),
        ("/pre_tokenizer/type", json!("Whitespace"), "for WordPiece"),
        ("/model/max_input_chars_per_word", json!(200), "words of up to 200 characters"),
        ("/model/continuing_subword_prefix", json!(""), "do not show where words begin"),
    ];
    for (pointer, value, says) in wordpiece {
        Changed::of("bert-mean").set(TOKENIZER, pointer, value.clone()).refused(&["tokenizer.json", says]);
    }
    let bpe: &[(&str, Value, &str)] = &[
        ("/normalizer", json!({"type": "NFKC"}), "the normalizer NFKC beside BPE"),
        ("/normalizer", Value::Null, "does not compose texts (NFC)"),
        ("/model/ignore_merges", json!(true), "ignore_merges is true"),
        ("/model/dropout", json!(0.1), "a dropout of 0.1"),
        ("/model/end_of_word_suffix", json!("</w>"), "a end_of_word_suffix of \"</w>\""),
    ];
    for (pointer, value, says) in bpe {
        Changed::of("qwen2").set(TOKENIZER, pointer, value.clone()).refused(&["tokenizer.json", says]);
    }
    let scores = json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Prepend", "prepend": "\u{2581}"}]});
    Changed::of("llama").set(TOKENIZER, "/normalizer", scores).refused(&["NFKC"]);
    let metaspace = |split: bool| json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": split});
    let first =
        json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": true});
    let digits = json!({"type": "Digits", "individual_digits": true});
    for (name, pre_tokenizer) in [
        // mmBERT's has a space before every stretch of text, and not before the first alone.
        ("gemma-embedding", first),
        ("gemma-embedding", digits.clone()),
        (
            "llama",
            json!({"type": "Split", "pattern": {"String": "e"}, "behavior": "Isolated", "invert": false}),
        ),
        ("xlm-roberta", digits.clone()),
        ("xlm-roberta", json!({"type": "Sequence", "pretokenizers": [metaspace(true), digits]})),
        ("t5encoder", metaspace(false)),
    ] {
        Changed::of(name).set(TOKENIZER, "/pre_tokenizer", pre_tokenizer).refused(&["the pre_tokenizer {"]);
    }
    // What cuts nothing that is not cut anyway: Gemma's own, and that of newer files of Mistral.
    let spaces = json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false});
    for (name, pre_tokenizer) in [("gemma-embedding", spaces), ("llama", metaspace(false))] {
        assert!(
            Changed::of(name).set(TOKENIZER, "/pre_tokenizer", pre_tokenizer).convert().is_ok(),
            "{name}"
        );
    }
    Changed::of("xlm-roberta")
        .set(TOKENIZER, "/model/byte_fallback", json!(true))
        .refused(&["byte_fallback"]);
}

#[test]
fn labels_of_tokens_are_no_scores() {
    let folder = Changed::of("roberta");
    let mut tensors = hf_folder::weights(folder.path());
    tensors.push(("classifier.weight".to_owned(), vec![3, 32], vec![0.1; 96]));
    tensors.push(("classifier.bias".to_owned(), vec![3], vec![0.0; 3]));
    hf_folder::write_weights(folder.path(), 1, &tensors);
    folder.set(CONFIG, "/architectures", json!(["RobertaForTokenClassification"]));
    folder
        .refused(&["`architectures` is RobertaForTokenClassification; of models with a head only rerankers"]);
}

/// What the authors' classes take where a configuration does not say.
#[test]
fn what_is_not_said_is_what_the_authors_classes_have() {
    let keys = |name: &str, pointer: &str| {
        let folder = Changed::of(name);
        let stated = folder.convert().expect("converted");
        let unsaid = folder.set(CONFIG, pointer, Value::Null).convert().expect("converted");
        (stated, unsaid)
    };
    let number = |file: &Gguf, key: &str| file.metadata().u64(key).expect("a number");
    for name in ["roberta", "xlm-roberta"] {
        let (stated, unsaid) = keys(name, "/pad_token_id");
        assert_eq!(number(&unsaid, "bert.context_length"), number(&stated, "bert.context_length"), "{name}");
        let rows = |file: &Gguf| file.tensor("position_embd.weight").expect("positions").dims().to_vec();
        assert_eq!(rows(&unsaid), rows(&stated), "{name}");
    }
    let (_, unsaid) = keys("modern-bert", "/classifier_pooling");
    assert_eq!(number(&unsaid, "modern-bert.classifier.pooling_type"), Some(2));
    Changed::of("modern-bert")
        .set(CONFIG, "/classifier_pooling", json!("max"))
        .refused(&["`classifier_pooling` is max; it can be cls or mean"]);
}

#[test]
fn a_text_that_is_shorter_than_promised_is_told() {
    let folder = Changed::of("nomic-bert");
    for (name, value) in
        [("n_positions", 8192), ("max_position_embeddings", 8192), ("max_trained_positions", 2048)]
    {
        folder.set(CONFIG, &format!("/{name}"), json!(value));
    }
    let model = Folder::open(folder.path()).expect("opened").model().expect("a model");
    assert!(
        model.notes().iter().any(|note| note.contains("limited to the 2048 tokens")),
        "{:?}",
        model.notes()
    );
}

#[test]
fn a_prefix_of_ones_own_is_undone() {
    let folder = Changed::of("bert-mean");
    let before = folder.convert().expect("converted");
    let mut tokenizer = folder.read(TOKENIZER);
    let vocab = tokenizer["model"]["vocab"].as_object().expect("a vocabulary");
    let renamed = vocab.iter().map(|(piece, id)| match piece.strip_prefix("##") {
        Some(rest) => (format!("@@{rest}"), id.clone()),
        None => (piece.clone(), id.clone()),
    });
    let renamed: serde_json::Map<String, Value> = renamed.collect();
    tokenizer["model"]["vocab"] = Value::Object(renamed);
    tokenizer["model"]["continuing_subword_prefix"] = json!("@@");
    write_json(folder.path(), TOKENIZER, &tokenizer);
    let tokens = |file: &Gguf| file.metadata().get("tokenizer.ggml.tokens").map(|tokens| tokens.to_string());
    assert_eq!(tokens(&folder.convert().expect("converted")), tokens(&before));
}

#[test]
fn what_sentence_transformers_adds_is_written_or_refused() {
    let pooling = "1_Pooling/config.json";
    let folder = Changed::of("bert-mean");
    folder.set(pooling, "/include_prompt", json!(false)).refused(&["`include_prompt` is false", pooling]);
    folder.set(pooling, "/include_prompt", json!(true)).set(pooling, "/weights", json!([1]));
    folder.refused(&["`weights` is [1]", pooling]);
    // The first row is the first, whatever is left out of a mean.
    let folder = Changed::of("bert-cls");
    folder.set(pooling, "/include_prompt", json!(false));
    assert!(folder.convert().is_ok());

    let file = "config_sentence_transformers.json";
    let folder = Changed::of("bert-mean");
    let prompts = |more: Value| write_json(folder.path(), file, &more);
    prompts(json!({"prompts": {"query": "q: "}, "default_prompt_name": "passage"}));
    folder.refused(&["`default_prompt_name` is \"passage\", which `prompts` does not have", file]);
    prompts(json!({"prompts": ["q: "]}));
    folder.refused(&["`prompts` is [\"q: \"], not texts by their names"]);
    prompts(json!({"prompts": {}, "instruction": "x"}));
    folder.refused(&["`instruction` is \"x\"", file]);
    prompts(
        json!({"prompts": {"query": "q: "}, "default_prompt_name": "query", "__version__": {}, "similarity_fn_name": "cosine"}),
    );
    let model = Folder::open(folder.path()).expect("opened").model().expect("a model");
    assert!(model.notes()[0].starts_with("\"q: \" goes before every text"), "{:?}", model.notes());
    let mut bytes = Vec::new();
    model.write(FileType::F32, &mut bytes, |_| true).expect("written");
    let model = connote::Model::from_bytes(bytes).expect("connote reads it");
    assert_eq!(model.default_prompt(), "q: ");
    let ids = |options: &connote::Options, text: &str| {
        model.prepare(&connote::Input::new(text), options).expect("prepared").ids
    };
    let options = connote::Options::new();
    assert_eq!(ids(&options, "a text"), ids(&options.clone().prompt(""), "q: a text"));

    let bert = Changed::of("bert-mean");
    write_json(bert.path(), "sentence_bert_config.json", &json!({"max_seq_length": 9, "query_length": 3}));
    bert.refused(&["`query_length` is 3", "sentence_bert_config.json"]);
}

#[test]
fn paths_of_modules_stay_in_the_folder() {
    for path in ["../other", "/tmp", "1_Pooling/../../x"] {
        let folder = Changed::of("bert-mean");
        folder.set("modules.json", "/1/path", json!(path));
        folder.refused(&["modules.json: names the path", "which is not in the folder"]);
    }
}

#[test]
fn shapes_are_those_of_the_configuration() {
    let cases: &[(&str, &str, Value, &str)] = &[
        (
            "bert-mean",
            "/intermediate_size",
            json!(81),
            "ffn_up.weight is [80, 36], and config.json makes it [81, 36]",
        ),
        ("bert-mean", "/num_attention_heads", json!(5), "5 heads do not divide a width of 36"),
        ("bert-mean", "/max_position_embeddings", json!(641), "position_embd.weight is [640, 36]"),
        (
            "qwen3",
            "/num_key_value_heads",
            json!(4),
            "attn_k.weight is [32, 32], and config.json makes it [64, 32]",
        ),
        ("qwen3", "/head_dim", json!(32), "attn_q.weight is [64, 32], and config.json makes it [128, 32]"),
        (
            "modern-bert",
            "/intermediate_size",
            json!(96),
            "ffn_up.weight is [96, 32], and config.json makes it [192, 32]",
        ),
        ("t5encoder", "/relative_attention_num_buckets", json!(16), "attn_rel_b.weight is [32, 4]"),
        ("llama", "/num_hidden_layers", json!(1), "tensors are left over that llama files have no place for"),
        ("llama", "/num_hidden_layers", json!(3), "tensors are missing: layers.2."),
        ("llama", "/num_hidden_layers", json!(16_000_000), "says 16000000 layers, and the files hold"),
        (
            "qwen3",
            "/vocab_size",
            json!(16_000_000),
            "makes 16000000; the files of the folder do not belong together",
        ),
        ("qwen3", "/vocab_size", json!(4_000_000_000u32), "`vocab_size` is 4000000000, not at most 16777216"),
        ("llama-embed", "/head_dim", json!(16_000_000), "and config.json makes it"),
    ];
    for (name, pointer, value, says) in cases {
        Changed::of(name).set(CONFIG, pointer, value.clone()).refused(&[says]);
    }
}

#[test]
fn a_tensor_is_no_scalar() {
    let folder = Changed::of("bert-mean");
    let path = folder.path().join("model.safetensors");
    let tensors = fs::read(&path).expect("read");
    let parsed = safetensors::SafeTensors::deserialize(&tensors).expect("a file");
    let mut views: Vec<(String, safetensors::tensor::TensorView<'_>)> = parsed.tensors();
    let place =
        views.iter().position(|(name, _)| name == "encoder.layer.0.attention.self.query.bias").expect("one");
    let scalar =
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, Vec::new(), &[0; 4]).expect("a scalar");
    views[place].1 = scalar;
    let changed = safetensors::serialize(views, None).expect("written");
    fs::write(&path, changed).expect("written");
    folder.refused(&["tensor encoder.layer.0.attention.self.query.bias is [], not a vector or a matrix"]);
}

#[test]
fn two_tensors_for_one_place_must_be_one() {
    let folder = Changed::of("t5encoder");
    let path = folder.path().join("model.safetensors");
    let tensors = fs::read(&path).expect("read");
    let parsed = safetensors::SafeTensors::deserialize(&tensors).expect("a file");
    let mut views: Vec<(String, safetensors::tensor::TensorView<'_>)> = parsed.tensors();
    let (_, shared) = views.iter().find(|(name, _)| name == "shared.weight").expect("one").clone();
    views.retain(|(name, _)| name != "encoder.embed_tokens.weight");
    let mut other = shared.data().to_vec();
    let twice = |data: &[u8]| {
        let mut views = views.clone();
        let view = safetensors::tensor::TensorView::new(shared.dtype(), shared.shape().to_vec(), data)
            .expect("a view");
        views.push(("encoder.embed_tokens.weight".to_owned(), view));
        fs::write(&path, safetensors::serialize(views, None).expect("written")).expect("written");
    };
    twice(&other);
    assert!(folder.convert().is_ok(), "a second name of one thing");
    other[5] ^= 1;
    twice(&other);
    folder.refused(&[
        "encoder.embed_tokens.weight is a second tensor in one place of the file, with other values",
    ]);
}

/// What the authors' own folders have beside what transformers writes today.
#[test]
fn real_folders_are_not_refused_for_what_they_say_of_loading() {
    let of_eurobert = [
        ("bos_token", json!("<|begin_of_text|>")),
        ("mask_token", json!("<|mask|>")),
        ("is_decoder", json!(false)),
    ];
    let of_neobert = [
        ("dim_head", json!(8)),
        ("trust_remote_code", json!(true)),
        ("pretrained_model_name_or_path", json!("x")),
    ];
    let of_modernbert = [
        ("attention_layer", json!("rope")),
        ("loss_kwargs", json!({})),
        ("normalization", json!("layernorm")),
    ];
    for (name, keys) in [("eurobert", of_eurobert), ("neo-bert", of_neobert), ("modern-bert", of_modernbert)]
    {
        let folder = Changed::of(name);
        for (key, value) in keys {
            folder.set(CONFIG, &format!("/{key}"), value);
        }
        assert_eq!(folder.convert().err(), None, "{name}");
    }
    Changed::of("eurobert").set(CONFIG, "/is_decoder", json!(true)).refused(&["`is_decoder` is true"]);
    Changed::of("neo-bert").set(CONFIG, "/dim_head", json!(64)).refused(&["`dim_head` is 64"]);
    let file = "sentence_bert_config.json";
    // bge: an uncased tokenizer is not lowercased any further.
    for (name, done) in [("bert-cls", true), ("bert-mean", false)] {
        let folder = Changed::of(name);
        write_json(folder.path(), file, &json!({"max_seq_length": 512, "do_lower_case": true}));
        match done {
            true => assert_eq!(folder.convert().err(), None),
            false => {
                folder.refused(&["`do_lower_case` is true beside a tokenizer that keeps capitals", file])
            }
        }
    }
    // jina: options of loading.
    let folder = Changed::of("jina-bert-v2-fused");
    write_json(
        folder.path(),
        file,
        &json!({"max_seq_length": 99, "model_args": {"trust_remote_code": true}}),
    );
    assert_eq!(folder.convert().err(), None);
    write_json(folder.path(), file, &json!({"model_args": {"rope_scaling": 2}, "query_length": 1}));
    folder.refused(&["say --ignore query_length"]);
    let ignoring =
        Folder::open(folder.path()).expect("opened").ignoring("query_length").ignoring("rope_scaling");
    assert!(ignoring.model().is_ok());
}

#[test]
fn flags_of_marks_count_beside_the_post_processor() {
    let folder = Changed::of("qwen2");
    folder.set(TOKENIZER, "/post_processor", json!({"type": "ByteLevel"}));
    let ends = |file: &Gguf| file.metadata().bool("tokenizer.ggml.add_eos_token").expect("a key");
    assert_eq!(ends(&folder.convert().expect("converted")), Some(false));
    write_json(
        folder.path(),
        "tokenizer_config.json",
        &json!({"add_eos_token": true, "eos_token": "<|endoftext|>"}),
    );
    assert_eq!(ends(&folder.convert().expect("converted")), Some(true));
    let folder = Changed::of("qwen2");
    write_json(folder.path(), "tokenizer_config.json", &json!({"add_eos_token": false}));
    folder.refused(&["`add_eos_token` is false", "make them agree"]);
    let folder = Changed::of("bert-mean");
    write_json(folder.path(), "tokenizer_config.json", &json!({"do_lower_case": true}));
    folder.refused(&["`do_lower_case` is true", "has lowercase false; make them agree"]);
}

#[test]
fn bpe_may_lowercase() {
    let folder = Changed::of("qwen2");
    folder.set(
        TOKENIZER,
        "/normalizer",
        json!({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}),
    );
    let file = folder.convert().expect("converted");
    assert_eq!(file.metadata().bool("tokenizer.ggml.normalizer.lowercase").expect("a key"), Some(true));
}
