//! Hugging Face folders made of GGUF files: what `connote convert` is asked to undo.

use std::fs;
use std::path::Path;

use gguf::{Gguf, Metadata};
use kernels::decode;
use safetensors::{Dtype, SafeTensors, serialize_to_file, tensor::TensorView};
use serde_json::{Map, Value, json};

use crate::golden;

/// A tensor as PyTorch has it: name, shape (outermost first), values.
pub type HfTensor = (String, Vec<usize>, Vec<f32>);

const BERT: [(&str, &str); 4] = [
    ("token_embd_norm", "embeddings.LayerNorm"),
    ("token_embd", "embeddings.word_embeddings"),
    ("position_embd", "embeddings.position_embeddings"),
    ("token_types", "embeddings.token_type_embeddings"),
];
const BERT_LAYER: [(&str, &str); 8] = [
    ("attn_q", "attention.self.query"),
    ("attn_k", "attention.self.key"),
    ("attn_v", "attention.self.value"),
    ("attn_output", "attention.output.dense"),
    ("attn_output_norm", "attention.output.LayerNorm"),
    ("ffn_up", "intermediate.dense"),
    ("ffn_down", "output.dense"),
    ("layer_output_norm", "output.LayerNorm"),
];
const GEMMA: [(&str, &str); 2] = [("token_embd", "embed_tokens"), ("output_norm", "norm")];
const GEMMA_LAYER: [(&str, &str); 13] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_norm", "input_layernorm"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("ffn_norm", "pre_feedforward_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// Files of folders of `testdata/folders` that a fuzzer replaces, one by one.
pub const FUZZED: [(&str, &str); 10] = [
    ("bert-mean", "config.json"),
    ("bert-mean", "tokenizer.json"),
    ("bert-mean", "model.safetensors"),
    ("bert-mean", "modules.json"),
    ("bert-mean", "1_Pooling/config.json"),
    ("gemma-embedding", "config.json"),
    ("gemma-embedding", "tokenizer.json"),
    ("llama-yarn", "config.json"),
    ("xlm-roberta", "tokenizer.json"),
    ("modern-bert", "tokenizer.json"),
];

/// Copies a folder of `testdata/folders`, to be changed.
pub fn copy(name: &str, to: &Path) {
    copy_all(&golden::path("folders").join(name), to);
}

/// Copies a folder and what is in it.
pub fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_all(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

/// The tensors of a BERT file, by the names of transformers' `BertModel`.
pub fn bert_tensors(gguf: &Gguf) -> Vec<HfTensor> {
    renamed(gguf, &BERT, "encoder.layer", &BERT_LAYER, 0.0)
}

/// The folder of a BERT file: weights in `shards` files, configuration, `vocab.txt`, mean pooling.
pub fn bert(gguf: &Gguf, folder: &Path, shards: usize) {
    bert_of(gguf, folder, shards, bert_tensors(gguf));
}

/// As [`bert`], with these tensors.
pub fn bert_of(gguf: &Gguf, folder: &Path, shards: usize, tensors: Vec<HfTensor>) {
    write_weights(folder, shards, &tensors);
    let metadata = gguf.metadata();
    let number = |key: &str| metadata.u64(&format!("bert.{key}")).expect("a number").expect("a key");
    let tokens = tokens(metadata);
    let kinds = metadata
        .array("tokenizer.ggml.token_type")
        .expect("a key")
        .expect("types")
        .to_i64s()
        .expect("numbers");
    let spell = |(text, kind): (&String, &i64)| match text.strip_prefix('\u{2581}') {
        _ if *kind == 3 => text.clone(),
        Some(word) => word.to_owned(),
        None => format!("##{text}"),
    };
    let vocabulary: Vec<String> = tokens.iter().zip(&kinds).map(spell).collect();
    fs::write(folder.join("vocab.txt"), vocabulary.join("\n") + "\n").expect("written");
    let mark = |key: &str| {
        let id = metadata.usize(&format!("tokenizer.ggml.{key}_token_id")).expect("a number");
        id.map(|id| tokens[id].clone())
    };
    let marks: Map<String, Value> =
        [("unk", "unknown"), ("sep", "seperator"), ("cls", "bos"), ("pad", "padding"), ("mask", "mask")]
            .into_iter()
            .filter_map(|(theirs, ours)| Some((format!("{theirs}_token"), json!(mark(ours)?))))
            .collect();
    write_json(folder, "tokenizer_config.json", &Value::Object(marks));
    write_json(
        folder,
        "config.json",
        &json!({
            "model_type": "bert", "vocab_size": tokens.len(), "hidden_size": number("embedding_length"),
            "num_hidden_layers": number("block_count"), "num_attention_heads": number("attention.head_count"),
            "intermediate_size": number("feed_forward_length"), "max_position_embeddings": number("context_length"),
            "type_vocab_size": 2, "hidden_act": "gelu", "position_embedding_type": "absolute",
            "layer_norm_eps": f64::from(metadata.f32("bert.attention.layer_norm_epsilon").expect("a number").expect("a key")),
        }),
    );
    sentence(folder, &[("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]);
}

/// The folder of an EmbeddingGemma file: weights, configuration, SentencePiece's model, mean pooling, dense heads if it
/// has them.
pub fn gemma(gguf: &Gguf, folder: &Path) {
    write_weights(folder, 1, &renamed(gguf, &GEMMA, "layers", &GEMMA_LAYER, -1.0));
    let metadata = gguf.metadata();
    let number =
        |key: &str| metadata.u64(&format!("gemma-embedding.{key}")).expect("a number").expect("a key");
    let float = |key: &str| metadata.f32(&format!("gemma-embedding.{key}")).expect("a number").map(f64::from);
    let tokens = tokens(metadata);
    write_json(
        folder,
        "config.json",
        &json!({
            "model_type": "gemma3_text", "use_bidirectional_attention": true, "vocab_size": tokens.len(),
            "hidden_size": number("embedding_length"), "num_hidden_layers": number("block_count"),
            "num_attention_heads": number("attention.head_count"), "num_key_value_heads": number("attention.head_count_kv"),
            "intermediate_size": number("feed_forward_length"), "max_position_embeddings": number("context_length"),
            "head_dim": number("attention.key_length"), "query_pre_attn_scalar": number("attention.key_length"), "sliding_window": number("attention.sliding_window"),
            "rope_theta": float("rope.freq_base"), "rope_local_base_freq": float("rope.freq_base_swa"),
            "rms_norm_eps": float("attention.layer_norm_rms_epsilon"), "hidden_activation": "gelu_pytorch_tanh",
        }),
    );
    let array =
        |key: &str| metadata.array(&format!("tokenizer.ggml.{key}")).expect("a key").expect("an array");
    let (scores, kinds) =
        (array("scores").to_f32s().expect("floats"), array("token_type").to_i64s().expect("numbers"));
    fs::write(folder.join("tokenizer.model"), sentencepiece(&tokens, &scores, &kinds)).expect("written");
    let id = |key: &str| {
        metadata
            .usize(&format!("tokenizer.ggml.{key}_token_id"))
            .expect("a number")
            .map(|id| tokens[id].clone())
    };
    write_json(
        folder,
        "tokenizer_config.json",
        &json!({
            "bos_token": id("bos"), "eos_token": id("eos"), "unk_token": id("unknown"), "pad_token": id("padding"),
            "add_bos_token": true, "add_eos_token": true,
        }),
    );
    let mut modules = vec![("Transformer", ""), ("Pooling", "1_Pooling")];
    for (tensor, module) in [("dense_2", "2_Dense"), ("dense_3", "3_Dense")] {
        let Some(found) = gguf.tensor(&format!("{tensor}.weight")) else { continue };
        let (inputs, outputs) = (found.dims()[0], found.dims()[1]);
        fs::create_dir_all(folder.join(module)).expect("made");
        let weight = ("linear.weight".to_owned(), vec![outputs as usize, inputs as usize], values(found));
        write_weights(&folder.join(module), 1, &[weight]);
        let identity = "torch.nn.modules.linear.Identity";
        let config = json!({"in_features": inputs, "out_features": outputs, "bias": false, "activation_function": identity});
        write_json(&folder.join(module), "config.json", &config);
        modules.push(("Dense", module));
    }
    modules.push(("Normalize", "4_Normalize"));
    sentence(folder, &modules);
}

/// Writes `modules.json` and mean pooling.
fn sentence(folder: &Path, modules: &[(&str, &str)]) {
    let module = |(place, (kind, path)): (usize, &(&str, &str))| json!({"idx": place, "name": place.to_string(), "path": path, "type": format!("sentence_transformers.models.{kind}")});
    write_json(folder, "modules.json", &modules.iter().enumerate().map(module).collect());
    fs::create_dir_all(folder.join("1_Pooling")).expect("made");
    write_json(
        &folder.join("1_Pooling"),
        "config.json",
        &json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}),
    );
}

/// A JSON file of a folder.
pub fn write_json(folder: &Path, name: &str, value: &Value) {
    fs::write(folder.join(name), value.to_string()).expect("written");
}

/// What `model.safetensors` of a folder holds, in f32.
pub fn weights(folder: &Path) -> Vec<HfTensor> {
    let bytes = fs::read(folder.join("model.safetensors")).expect("a file");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let tensors = file.iter().map(|(name, tensor)| {
        // The committed folders are BF16: the upper half of an f32.
        assert_eq!(tensor.dtype(), Dtype::BF16, "{name}");
        let value = |&[low, high]: &[u8; 2]| f32::from_le_bytes([0, 0, low, high]);
        let values = tensor.data().as_chunks().0.iter().map(value).collect();
        (name.to_owned(), tensor.shape().to_vec(), values)
    });
    tensors.collect()
}

/// `model.safetensors`, or as many files with their index.
pub fn write_weights(folder: &Path, shards: usize, tensors: &[HfTensor]) {
    let bytes = |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|value| value.to_le_bytes()).collect() };
    let mut map = Map::new();
    for (shard, tensors) in tensors.chunks(tensors.len().div_ceil(shards)).enumerate() {
        let name = match shards {
            1 => "model.safetensors".to_owned(),
            _ => format!("model-{:05}-of-{shards:05}.safetensors", shard + 1),
        };
        let data: Vec<(&str, &[usize], Vec<u8>)> = tensors
            .iter()
            .map(|(name, shape, values)| (name.as_str(), shape.as_slice(), bytes(values)))
            .collect();
        let views = data.iter().map(|(tensor, shape, bytes)| {
            map.insert((*tensor).to_owned(), json!(name));
            (*tensor, TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("shape and bytes agree"))
        });
        let views: Vec<_> = views.collect();
        serialize_to_file(views, None, &folder.join(&name)).expect("written");
    }
    if shards > 1 {
        write_json(folder, "model.safetensors.index.json", &json!({"metadata": {}, "weight_map": map}));
    }
}

fn renamed(
    gguf: &Gguf,
    global: &[(&str, &str)],
    layer: &str,
    of_layer: &[(&str, &str)],
    norms: f32,
) -> Vec<HfTensor> {
    let mut tensors = Vec::new();
    for tensor in gguf.tensors().filter(|tensor| !tensor.name().starts_with("dense_")) {
        let (stem, ending) = tensor.name().rsplit_once('.').expect("names have an ending");
        let theirs = |table: &[(&str, &str)], name: &str| {
            table.iter().find(|(ours, _)| *ours == name).map(|(_, theirs)| (*theirs).to_owned())
        };
        let name = match stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
            Some((number, part)) => theirs(of_layer, part).map(|part| format!("{layer}.{number}.{part}")),
            None => theirs(global, stem),
        };
        let name = name.unwrap_or_else(|| panic!("no name for {stem}"));
        let shape = tensor.dims().iter().rev().map(|dim| *dim as usize).collect();
        let mut values = values(tensor);
        if name.ends_with("norm") {
            values.iter_mut().for_each(|value| *value += norms);
        }
        tensors.push((format!("{name}.{ending}"), shape, values));
    }
    tensors
}

fn values(tensor: gguf::Tensor<'_>) -> Vec<f32> {
    decode::values(tensor.ty(), tensor.bytes()).expect("a type that is read")
}

fn tokens(metadata: &Metadata) -> Vec<String> {
    let array = metadata.array("tokenizer.ggml.tokens").expect("a key").expect("tokens");
    array.strings().expect("strings").map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

/// A SentencePiece BPE model without a prefix and without a map of characters.
fn sentencepiece(tokens: &[String], scores: &[f32], kinds: &[i64]) -> Vec<u8> {
    let mut model = Vec::new();
    for ((text, score), kind) in tokens.iter().zip(scores).zip(kinds) {
        let mut piece = vec![0x0a];
        varint(&mut piece, text.len());
        piece.extend(text.as_bytes());
        piece.push(0x15);
        piece.extend(score.to_le_bytes());
        piece.extend([0x18, *kind as u8]);
        model.push(0x0a);
        varint(&mut model, piece.len());
        model.extend(piece);
    }
    // The trainer: BPE. The normalizer: no prefix, white space as it is.
    model.extend([0x12, 2, 0x18, 2, 0x1a, 4, 0x18, 0, 0x20, 0]);
    model
}

fn varint(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
