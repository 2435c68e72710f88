//! Folders made of tiny GGUF files become those files again; what is wrong with a folder is said.

use std::fs;
use std::path::Path;

use connote_convert::{Error, ErrorKind, FileType, Folder};
use gguf::{Gguf, TensorType};
use serde_json::{Value, json};
use testkit::hf_folder::{self, HfTensor, write_json};
use testkit::tiny::{self, GemmaKind};

fn bert() -> Gguf {
    Gguf::from_bytes(tiny::bert(5)).expect("a file")
}

fn convert(folder: &Path, ty: FileType) -> Result<Gguf, Error> {
    let mut bytes = Vec::new();
    Folder::open(folder)?.model()?.write(ty, &mut bytes, |_| true)?;
    Ok(Gguf::from_bytes(bytes).expect("what is written can be read"))
}

fn refusal(folder: &Path) -> String {
    let error = convert(folder, FileType::F16).expect_err("it is refused");
    assert!(!error.to_string().contains('\n'), "one line: {error}");
    error.to_string()
}

/// All tensors by name, type, shape and bytes; and the keys of `theirs`.
fn assert_same(ours: &Gguf, theirs: &Gguf, other_keys: &[&str]) {
    assert_eq!(ours.tensors().count(), theirs.tensors().count());
    for tensor in theirs.tensors() {
        let found = ours.tensor(tensor.name()).unwrap_or_else(|| panic!("no {}", tensor.name()));
        assert_eq!((found.ty(), found.dims()), (tensor.ty(), tensor.dims()), "{}", tensor.name());
        assert!(found.bytes() == tensor.bytes(), "{}: other bytes", tensor.name());
    }
    for (key, value) in theirs.metadata().iter().filter(|(key, _)| !other_keys.contains(key)) {
        assert_eq!(ours.metadata().get(key), Some(value), "{key}");
    }
}

#[test]
fn a_bert_folder_becomes_the_file_it_came_from() {
    for shards in [1, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        hf_folder::bert(&bert(), folder.path(), shards);
        let file = convert(folder.path(), FileType::F32).expect("converted");
        assert_same(&file, &bert(), &["general.name"]);
        let metadata = file.metadata();
        assert_eq!(metadata.u32("general.file_type").expect("a key"), Some(0));
        assert_eq!(metadata.bool("tokenizer.ggml.add_bos_token").expect("a key"), Some(true));
        assert_eq!(metadata.bool("tokenizer.ggml.normalizer.lowercase").expect("a key"), Some(true));
    }
}

#[test]
fn an_embeddinggemma_folder_becomes_the_file_it_came_from() {
    for kind in [GemmaKind::WithHeads, GemmaKind::WithoutHeads] {
        let gguf = Gguf::from_bytes(tiny::gemma(6, kind)).expect("a file");
        let folder = tempfile::tempdir().expect("a folder");
        hf_folder::gemma(&gguf, folder.path());
        let file = convert(folder.path(), FileType::F32).expect("converted");
        // Norms went through 1 + w; all others are bytes.
        for tensor in gguf.tensors() {
            let found = file.tensor(tensor.name()).unwrap_or_else(|| panic!("no {}", tensor.name()));
            assert_eq!(found.dims(), tensor.dims(), "{}", tensor.name());
            let float = |bytes: &[u8]| -> Vec<f32> {
                bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
            };
            let most = float(found.bytes())
                .iter()
                .zip(float(tensor.bytes()))
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            let bound = if tensor.name().contains("norm") { 1.2e-7 } else { 0.0 };
            assert!(most <= bound, "{}: {most:e}", tensor.name());
        }
        for key in [
            "tokenizer.ggml.tokens",
            "tokenizer.ggml.scores",
            "tokenizer.ggml.token_type",
            "gemma-embedding.pooling_type",
        ] {
            assert_eq!(file.metadata().get(key), gguf.metadata().get(key), "{key}");
        }
        assert_eq!(file.tensor("dense_3.weight").is_some(), kind == GemmaKind::WithHeads);
    }
}

#[test]
fn prompts_and_limits_go_into_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::bert(&bert(), folder.path(), 1);
    write_json(
        folder.path(),
        "sentence_bert_config.json",
        &json!({"max_seq_length": 20, "do_lower_case": false}),
    );
    let prompts = json!({"prompts": {"query": "ask: ", "document": ""}, "default_prompt_name": null});
    write_json(folder.path(), "config_sentence_transformers.json", &prompts);
    fs::write(folder.path().join("README.md"), "---\nlanguage: en\nlicense: mit\n---\n# It\n")
        .expect("written");
    let mut bytes = Vec::new();
    let model = Folder::open(folder.path()).expect("opened").name("a name").model().expect("a model");
    assert!(model.notes().is_empty(), "{:?}", model.notes());
    model.write(FileType::Q8_0, &mut bytes, |_| true).expect("written");
    let model = connote::Model::from_bytes(bytes).expect("connote reads it");
    assert_eq!((model.name(), model.max_tokens()), ("a name", 20));
    let prompts: Vec<String> =
        model.prompts().iter().map(|(task, words)| format!("{task}={words}")).collect();
    assert_eq!(prompts, ["document=", "query=ask: "]);
    assert_eq!(model.gguf().metadata().str("general.license").expect("a key"), Some("mit"));
}

#[test]
fn whether_vectors_are_made_one_long_goes_into_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::bert(&bert(), folder.path(), 1);
    let modules = folder.path().join("modules.json");
    let written = |names: &[&str]| {
        let module = |name: &&str| {
            let path = if *name == "Pooling" { "1_Pooling" } else { "" };
            json!({"type": format!("sentence_transformers.models.{name}"), "path": path})
        };
        let all: Vec<_> = names.iter().map(module).collect();
        write_json(folder.path(), "modules.json", &json!(all));
        let model = Folder::open(folder.path()).expect("opened").name("a name").model().expect("a model");
        let mut bytes = Vec::new();
        model.write(FileType::F32, &mut bytes, |_| true).expect("written");
        connote::Model::from_bytes(bytes).expect("connote reads it").normalizes()
    };
    assert_eq!(written(&["Transformer", "Pooling", "Normalize"]), Some(true));
    assert_eq!(written(&["Transformer", "Pooling"]), Some(false));
    fs::remove_file(modules).expect("gone");
    let model = Folder::open(folder.path()).expect("opened").name("a name").model().expect("a model");
    let mut bytes = Vec::new();
    model.write(FileType::F32, &mut bytes, |_| true).expect("written");
    let model = connote::Model::from_bytes(bytes).expect("connote reads it");
    assert_eq!(model.normalizes(), None, "nobody says");
}

#[test]
fn tensors_that_are_missing_or_left_over_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    let write = |change: &dyn Fn(&mut Vec<HfTensor>)| {
        let mut tensors = hf_folder::bert_tensors(&bert());
        change(&mut tensors);
        hf_folder::bert_of(&bert(), path, 1, tensors);
    };
    write(&|tensors| tensors.retain(|(name, ..)| !name.ends_with("1.output.dense.bias")));
    assert_eq!(refusal(path), "tensors are missing: encoder.layer.1.output.dense.bias");
    write(&|tensors| tensors.push(("encoder.layer.2.adapter.weight".to_owned(), vec![2], vec![0.0; 2])));
    let left = "tensors are left over that bert files have no place for: encoder.layer.2.adapter.weight";
    assert_eq!(refusal(path), left);
    write(&|tensors| tensors.push(("pooler.dense.weight".to_owned(), vec![2], vec![0.0; 2])));
    let model = Folder::open(path).expect("opened").model().expect("a head of another task is none of ours");
    assert!(model.notes()[0].ends_with("no place for: pooler.dense.weight"), "{:?}", model.notes());
    write(&|tensors| tensors[0].0 = format!("bert.{}", tensors[0].0));
    convert(path, FileType::F32).expect("the prefix of a class with heads is known");
    write(&|tensors| tensors[0].2[3] = f32::NAN);
    assert!(refusal(path).ends_with("holds values that are no numbers; the weights are damaged"));
    write(&|tensors| {
        tensors.iter_mut().find(|(name, ..)| name.contains("query.weight")).expect("one").2[3] = 1e5
    });
    assert_eq!(refusal(path), "tensor blk.0.attn_q.weight holds 1e5, too large for F16; choose BF16 or F32");
    convert(path, FileType::BF16).expect("BF16 has room");
}

#[test]
fn a_cross_encoder_keeps_its_pooler() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tensors = hf_folder::bert_tensors(&bert());
    for (name, shape) in [
        ("bert.pooler.dense.weight", vec![24, 24]),
        ("bert.pooler.dense.bias", vec![24]),
        ("classifier.weight", vec![1, 24]),
        ("classifier.bias", vec![1]),
    ] {
        let count = shape.iter().product();
        tensors.push((name.to_owned(), shape, vec![0.25; count]));
    }
    hf_folder::bert_of(&bert(), folder.path(), 1, tensors);
    let file = convert(folder.path(), FileType::F32).expect("converted");
    for name in ["cls.weight", "cls.bias", "cls.output.weight", "cls.output.bias"] {
        assert!(file.tensor(name).is_some(), "{name}");
    }
    assert_eq!(file.metadata().u32("bert.pooling_type").expect("a key"), Some(4));
}

/// Under the names that their authors' classes and those of transformers give to it.
#[test]
fn rerankers_of_other_families_keep_theirs() {
    for (name, prefix) in
        [("jina-bert-v2-plain", "bert."), ("nomic-bert", "bert."), ("nomic-bert", "nomic_bert.")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        hf_folder::copy(name, folder.path());
        let mut tensors = hf_folder::weights(folder.path());
        tensors.iter_mut().for_each(|(name, ..)| name.insert_str(0, prefix));
        let ramp = |count: usize| (0..count).map(|at| (at % 7) as f32 * 0.01 - 0.03).collect::<Vec<_>>();
        for (name, shape) in [
            (format!("{prefix}pooler.dense.weight"), vec![32, 32]),
            (format!("{prefix}pooler.dense.bias"), vec![32]),
            ("classifier.weight".to_owned(), vec![1, 32]),
            ("classifier.bias".to_owned(), vec![1]),
        ] {
            let values = ramp(shape.iter().product());
            tensors.push((name, shape, values));
        }
        hf_folder::write_weights(folder.path(), 1, &tensors);
        let file = convert(folder.path(), FileType::F32).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (tensor, dims) in
            [("cls.weight", vec![32, 32]), ("cls.output.weight", vec![32, 1]), ("cls.output.bias", vec![1])]
        {
            assert_eq!(file.tensor(tensor).expect(tensor).dims(), dims, "{name}");
        }
        let mut bytes = Vec::new();
        Folder::open(folder.path())
            .and_then(|folder| folder.model()?.write(FileType::F32, &mut bytes, |_| true))
            .expect("written");
        let model = connote::Model::from_bytes(bytes).expect("it opens");
        let reranker = connote::Embedder::builder().load_reranker(model).expect("a reranker");
        assert!(reranker.warnings().iter().all(|warning| !warning.contains("pooler")), "nothing is lost");
        let ranked =
            reranker.rank(connote::RankRequest::new("a cat", ["a cat sat", "dogs"])).expect("ranked");
        assert_ne!(ranked[0].score.raw, ranked[1].score.raw);
    }
}

/// sentence-t5 and gtr-t5 have a product after pooling.
#[test]
fn the_encoder_of_t5_keeps_its_dense_head() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::copy("t5encoder", folder.path());
    let embedder = |folder: &Path| {
        let mut bytes = Vec::new();
        let model = Folder::open(folder).and_then(|folder| folder.model()).expect("a model");
        model.write(FileType::F32, &mut bytes, |_| true).expect("written");
        connote::Embedder::from_bytes(bytes).expect("it opens")
    };
    let without = embedder(folder.path());
    assert!(without.model().warnings().iter().any(|warning| warning.contains("dense_2")));
    let (inputs, outputs) = (32, 20);
    let weights: Vec<f32> = (0..inputs * outputs).map(|at| (at % 11) as f32 * 0.125 - 0.5).collect();
    let head = folder.path().join("2_Dense");
    fs::create_dir(&head).expect("made");
    hf_folder::write_weights(
        &head,
        1,
        &[("linear.weight".to_owned(), vec![outputs, inputs], weights.clone())],
    );
    write_json(
        &head,
        "config.json",
        &json!({"in_features": inputs, "out_features": outputs, "bias": false,
                "activation_function": "torch.nn.modules.linear.Identity"}),
    );
    let module = |idx: usize, path: &str, kind: &str| json!({"idx": idx, "name": idx.to_string(), "path": path, "type": format!("sentence_transformers.models.{kind}")});
    let modules =
        [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")];
    let modules = modules.iter().enumerate().map(|(idx, (path, kind))| module(idx, path, kind));
    write_json(folder.path(), "modules.json", &modules.collect());
    let model = Folder::open(folder.path()).expect("opened").model().expect("a model");
    assert!(model.notes().iter().any(|note| note.contains("llama.cpp does not load")), "{:?}", model.notes());
    // One that leaves tokens out of its mean, which its name alone tells.
    let instructor = Folder::open(folder.path()).expect("opened").name("instructor-base").model();
    assert!(instructor.expect_err("refused").to_string().contains("INSTRUCTOR"));
    let with = embedder(folder.path());
    assert!(with.model().warnings().is_empty(), "{:?}", with.model().warnings());
    let rows = without.embed_one("the sea in winter").expect("a vector").vector;
    let product = weights.chunks(inputs).map(|row| row.iter().zip(&rows).map(|(a, b)| a * b).sum::<f32>());
    let product: Vec<f32> = product.collect();
    let length = product.iter().map(|value| value * value).sum::<f32>().sqrt();
    let vector = with.embed_one("the sea in winter").expect("a vector").vector;
    assert_eq!(vector.len(), outputs);
    for (got, wanted) in vector.iter().zip(&product) {
        assert!((got - wanted / length).abs() < 1e-5, "{vector:?} for {product:?} of {length}");
    }
}

#[test]
fn what_gguf_cannot_say_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    hf_folder::bert(&bert(), path, 1);
    let config: Value =
        serde_json::from_slice(&fs::read(path.join("config.json")).expect("read")).expect("JSON");
    let with = |key: &str, value: Value| {
        let mut config = config.clone();
        config[key] = value;
        write_json(path, "config.json", &config);
    };
    let says = |part: &str| {
        let refusal = refusal(path);
        assert!(refusal.contains(part), "{refusal:?} lacks {part:?}");
    };
    with("model_type", json!("gpt_bigcode"));
    says("model_type \"gpt_bigcode\" is not one that connote converts; it converts bert, camembert,");
    with("hidden_act", json!("relu"));
    says("`hidden_act` is relu, which GGUF has no way to say; it can be gelu");
    with("layer_norm_eps", Value::Null);
    says("has no `layer_norm_eps`, which the model needs");
    with("num_hidden_layers", json!("two"));
    says("`num_hidden_layers` is \"two\", not a whole number");
    with("vocab_size", json!(40));
    says("there are embeddings of 21 tokens, and the tokenizer with config.json's vocab_size makes 40");
    write_json(path, "config.json", &config);
    write_json(&path.join("1_Pooling"), "config.json", &json!({"pooling_mode_max_tokens": true}));
    says("pools by pooling_mode_max_tokens; GGUF can say mean, cls or lasttoken");
    fs::remove_file(path.join("modules.json")).expect("removed");
    fs::remove_file(path.join("vocab.txt")).expect("removed");
    says("holds no tokenizer (tokenizer.json, vocab.txt, or a SentencePiece .model); download it, too");
    fs::write(path.join("pytorch_model.bin"), b"").expect("written");
    fs::rename(path.join("model.safetensors"), path.join("cut")).expect("renamed");
    says("holds pytorch_model.bin and no model.safetensors; save it again with transformers'");
    let whole = fs::read(path.join("cut")).expect("read");
    fs::write(path.join("model.safetensors"), &whole[..whole.len() - 9]).expect("written");
    says("is not a whole safetensors file");
    fs::remove_file(path.join("config.json")).expect("removed");
    says("holds no config.json");
    says(&path.display().to_string());
}

#[test]
fn writing_can_be_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::bert(&bert(), folder.path(), 1);
    let model = Folder::open(folder.path()).expect("opened").model().expect("a model");
    let mut steps = 0;
    let stopped = model.write(FileType::F16, &mut Vec::new(), |_| {
        steps += 1;
        steps < 3
    });
    assert_eq!(stopped.expect_err("stopped").kind(), ErrorKind::Stopped);
    let mut last = None;
    model
        .write(FileType::F16, &mut Vec::new(), |progress| {
            last = Some((progress.done, progress.values));
            true
        })
        .expect("written");
    assert!(last.is_some_and(|(done, values)| done == values), "{last:?}");
}

#[test]
fn rows_that_are_no_whole_blocks_get_another_type() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::bert(&bert(), folder.path(), 1);
    let model = Folder::open(folder.path()).expect("opened").model().expect("a model");
    let types = model.types(FileType::Q4_K_M).expect("types");
    let of =
        |name: &str| types.iter().find(|typed| typed.name == name).map(|typed| (typed.ty, typed.instead_of));
    assert_eq!(of("blk.0.attn_q.weight"), Some((TensorType::F16, Some(TensorType::Q4_K))));
    assert_eq!(of("blk.0.attn_q.bias"), Some((TensorType::F32, None)));
    assert_eq!(of("position_embd.weight"), Some((TensorType::F32, None)));
}
