//! Folders of rerankers (`testdata/rerankers/folders`, saved by the authors' classes, or under the names of those that no
//! package has) become files that give the authors' ids and outputs, and have the weights of the files that were made of the
//! same networks by another way.

use std::fs;
use std::path::Path;

use connote::{RankRequest, Reranker};
use connote_convert::{FileType, Folder};
use gguf::Gguf;
use serde_json::{Value, json};
use testkit::hf_folder::{self, write_json};
use testkit::rerankers;

/// As for the files made directly (`crates/connote/tests/rerankers.rs`).
const LARGEST_DIFFERENCE: f32 = 2e-5;

fn convert(folder: &Path, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let model = Folder::open(folder).expect("a folder").name(name).model().expect("a model");
    model.write(FileType::F32, &mut bytes, |_| true).expect("written");
    bytes
}

#[test]
fn heads_pairs_and_outputs_are_the_authors() {
    let folders = fs::read_dir(rerankers::path("folders")).expect("the folder of folders");
    let mut seen = Vec::new();
    for folder in folders {
        let folder = folder.expect("an entry").path();
        let name = folder.file_name().expect("a name").to_str().expect("ASCII").to_owned();
        // Behind the dot, in whose names.
        let golden = rerankers::named(name.split('.').next().expect("a part"));
        // A judge's folder is known by its name.
        let bytes = convert(&folder, &format!("tiny {name}"));
        let (ours, theirs) = (
            Gguf::from_bytes(bytes.clone()).expect("a file"),
            Gguf::from_bytes(golden.file()).expect("the other file"),
        );
        assert_eq!(ours.tensors().count(), theirs.tensors().count(), "{name}");
        for tensor in theirs.tensors() {
            let found = ours.tensor(tensor.name()).unwrap_or_else(|| panic!("{name}: no {}", tensor.name()));
            assert!(found.bytes() == tensor.bytes(), "{name}: other values of {}", tensor.name());
        }
        let of_network = ["pooling_type", "classifier.pooling_type", "classifier.output_labels"];
        let of_pairs = ["tokenizer.chat_template.rerank", "tokenizer.chat_template.rerank.parts"];
        let keys = of_network.iter().map(|key| format!("{}.{key}", golden.architecture));
        for key in keys.chain(of_pairs.map(str::to_owned)) {
            assert_eq!(ours.metadata().get(&key), theirs.metadata().get(&key), "{name}: {key}");
        }
        let reranker = Reranker::from_bytes(bytes).expect("a reranker");
        assert!(reranker.warnings().is_empty(), "{name}: {:?}", reranker.warnings());
        for pairs in golden.by_query() {
            let documents = pairs.iter().map(|pair| pair.document.as_str());
            let mut request = RankRequest::new(&pairs[0].query, documents);
            if let Some([.., last]) = golden.labels.as_deref() {
                request = request.label(last);
            }
            let scores = reranker.score_each(request).expect("a request that makes sense");
            for (score, pair) in scores.into_iter().zip(pairs) {
                let what = format!("{name}: {:?} and {:?}", pair.query, pair.document);
                let prepared = reranker.prepare_pair(&pair.query, &pair.document).expect("a pair");
                assert_eq!(prepared.ids, pair.ids, "{what}");
                let logits = score.expect("a score").logits;
                assert_eq!(logits.len(), pair.outputs.len(), "{what}");
                for (got, wanted) in logits.iter().zip(&pair.outputs) {
                    assert!((got - wanted).abs() < LARGEST_DIFFERENCE, "{what}: {got}, not {wanted}");
                }
            }
        }
        seen.push(name);
    }
    // Every head that is kept: of BERT's families with each way to name them, of ModernBERT with both ways to pool, and a judge.
    seen.sort();
    let wanted = [
        "bert",
        "bert-nli",
        "jina-bert-v2-fused",
        "jina-bert-v2-plain",
        "jina-reranker-v2",
        "modern-bert-cls",
        "modern-bert-mean",
        "mxbai-rerank",
        "nomic-bert",
        "nomic-bert.authors",
        "roberta",
        "xlm-roberta",
    ];
    assert_eq!(seen, wanted);
}

/// A Qwen3 reranker's folder looks as an embedder's; its name tells.
#[test]
fn yes_and_no_are_rows_of_the_language_model() {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::copy("qwen3", folder.path());
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    let vocabulary = tokenizer["model"]["vocab"].as_object_mut().expect("a vocabulary");
    // Two pieces of several bytes, that no merge makes any more, answer.
    let found: Vec<(String, Value)> = vocabulary
        .iter()
        .filter(|(piece, _)| piece.len() > 3)
        .take(2)
        .map(|(a, b)| (a.clone(), b.clone()))
        .collect();
    for ((piece, id), word) in found.iter().zip(["yes", "no"]) {
        vocabulary.remove(piece);
        vocabulary.insert(word.to_owned(), id.clone());
    }
    let rows: Vec<usize> = found.iter().map(|(_, id)| id.as_u64().expect("an id") as usize).collect();
    let merges = tokenizer["model"]["merges"].as_array_mut().expect("merges");
    let makes = |merge: &Value| match merge {
        Value::String(both) => both.replacen(' ', "", 1),
        parts => [&parts[0], &parts[1]].map(|part| part.as_str().expect("a piece")).concat(),
    };
    let of = |merge: &Value, piece: &str| merge.to_string().contains(piece);
    merges.retain(|merge| found.iter().all(|(piece, _)| makes(merge) != *piece && !of(merge, piece)));
    write_json(folder.path(), "tokenizer.json", &tokenizer);
    // Its folder has no modules.
    fs::remove_file(folder.path().join("modules.json")).expect("removed");

    let model = Folder::open(folder.path()).expect("opened").name("an embedder").model().expect("a model");
    assert!(model.notes().iter().any(|note| note.contains("--name")), "{:?}", model.notes());
    let file = Gguf::from_bytes(convert(folder.path(), "Tiny Reranker")).expect("a file");
    let (head, words) =
        (file.tensor("cls.output.weight").expect("a head"), file.tensor("token_embd.weight").expect("words"));
    let row = words.bytes().len() / words.dims()[1] as usize;
    let picked: Vec<u8> = rows.iter().flat_map(|&id| words.bytes()[id * row..][..row].to_vec()).collect();
    assert!(head.bytes() == picked, "yes first, then no");
    let golden = Gguf::from_bytes(rerankers::named("qwen3-yes-no").file()).expect("the authors' form");
    for key in ["tokenizer.chat_template.rerank", "qwen3.classifier.output_labels"] {
        assert_eq!(file.metadata().get(key), golden.metadata().get(key), "{key}");
        assert!(file.metadata().get(key).is_some(), "{key}");
    }
}

/// A judge's folder with what sentence-transformers 6.2.0 saves beside: which tokens answer.
fn with_logit_score(config: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    hf_folder::copy_all(&rerankers::path("folders/mxbai-rerank"), folder.path());
    let module = |idx: usize, path: &str, kind: &str| json!({"idx": idx, "name": idx.to_string(), "path": path, "type": kind});
    let modules = json!([
        module(0, "", "sentence_transformers.base.modules.transformer.Transformer"),
        module(1, "1_LogitScore", "sentence_transformers.cross_encoder.modules.logit_score.LogitScore"),
    ]);
    write_json(folder.path(), "modules.json", &modules);
    let logits = json!({"method": "forward", "method_output_name": "logits"});
    let transformer = json!({
        "transformer_task": "text-generation", "modality_config": {"text": logits}, "module_output_name": "causal_logits",
    });
    write_json(folder.path(), "sentence_bert_config.json", &transformer);
    let config_of_all = json!({
        "__version__": {"sentence_transformers": "6.2.0"}, "activation_fn": "torch.nn.modules.activation.Sigmoid",
        "default_prompt_name": null, "model_type": "CrossEncoder", "prompts": {},
    });
    write_json(folder.path(), "config_sentence_transformers.json", &config_of_all);
    fs::create_dir(folder.path().join("1_LogitScore")).expect("made");
    write_json(&folder.path().join("1_LogitScore"), "config.json", config);
    folder
}

#[test]
fn the_answers_that_a_folder_names_are_the_rows() {
    let rows = |config: Value| {
        let folder = with_logit_score(&config);
        let file = Gguf::from_bytes(convert(folder.path(), "my mxbai-rerank")).expect("a file");
        let (head, words) = (
            file.tensor("cls.output.weight").expect("a head"),
            file.tensor("token_embd.weight").expect("words"),
        );
        let row = words.bytes().len() / words.dims()[1] as usize;
        let labels = file.metadata().array("qwen2.classifier.output_labels").expect("a key").expect("labels");
        assert_eq!(labels.len() as u64, head.dims()[1]);
        // Nothing of an embedder's.
        assert!(file.metadata().get("sentence_transformers.normalize").is_none());
        let place = |picked: &[u8]| {
            words.bytes().chunks(row).position(|word| word == picked).expect("a row of the words")
        };
        head.bytes().chunks(row).map(place).collect::<Vec<_>>()
    };
    assert_eq!(
        rows(json!({"true_token_id": 40, "false_token_id": 30, "module_input_name": "causal_logits"})),
        [40, 30]
    );
    assert_eq!(rows(json!({"true_token_id": 7, "false_token_id": null})), [7]);
    // Whose text stands around a pair is told: the folder's own is a program.
    let folder = with_logit_score(&json!({"true_token_id": 7, "false_token_id": null}));
    let model =
        Folder::open(folder.path()).expect("a folder").name("my mxbai-rerank").model().expect("converts");
    assert!(model.notes().iter().any(|note| note.contains("is mxbai-rerank-v2's")), "{:?}", model.notes());
    // As mxbai's own code has it.
    let plain = convert(&rerankers::path("folders/mxbai-rerank"), "mxbai-rerank");
    let golden = Gguf::from_bytes(rerankers::named("mxbai-rerank").file()).expect("a file");
    let plain = Gguf::from_bytes(plain).expect("a file");
    let head = |file: &Gguf| file.tensor("cls.output.weight").expect("a head").bytes().to_vec();
    assert_eq!(head(&plain), head(&golden));
}

#[test]
fn a_judge_that_is_not_known_is_refused() {
    let answers = json!({"true_token_id": 40, "false_token_id": 30});
    let refusal = |folder: &Path, name: &str| {
        let error = Folder::open(folder).expect("a folder").name(name).model().expect_err("refused");
        error.to_string()
    };
    let folder = with_logit_score(&answers);
    let unnamed = refusal(folder.path(), "my model");
    assert!(unnamed.contains("LogitScore") && unnamed.contains("mxbai-rerank-v2 (qwen2"), "{unnamed}");
    for (config, said) in [
        (json!({"false_token_id": 30}), "has no `true_token_id`"),
        (json!({"true_token_id": "yes"}), "`true_token_id` is \"yes\", not a token's id"),
        (json!({"true_token_id": 100_000}), "token 100000"),
        (json!({"true_token_id": 4, "module_input_name": "logits"}), "only causal_logits is read"),
        (json!({"true_token_id": 4, "temperature": 2}), "temperature"),
    ] {
        let folder = with_logit_score(&config);
        let refused = refusal(folder.path(), "mxbai-rerank");
        assert!(refused.contains(said), "{config}: {refused}");
    }
    // A prompt that sentence-transformers would put into the form is not this form's.
    let prompts = json!({"prompts": {"code": "Find code."}, "default_prompt_name": "code"});
    write_json(folder.path(), "config_sentence_transformers.json", &prompts);
    let prompted = refusal(folder.path(), "mxbai-rerank");
    assert!(prompted.contains("the default prompt is \"Find code.\""), "{prompted}");
    // Without its name it is a language model, and the notes tell.
    let model =
        Folder::open(&rerankers::path("folders/mxbai-rerank")).expect("a folder").name("a model").model();
    let notes = model.expect("a model").notes().join("\n");
    assert!(notes.contains("a name that has mxbai-rerank in it"), "{notes}");
}
