//! `connote inspect`: what a model file holds, and what it lacks.

use std::collections::BTreeMap;
use std::path::Path;

use connote::gguf::{Gguf, TensorType, Value as GgufValue};
use connote::{Model, Options};
use serde_json::{Map, Value, json};

use crate::args::{InspectArgs, OutputFormat};
use crate::failure::{Failure, Outcome};
use crate::inspect_report;
use crate::model;
use crate::output::Output;

pub(crate) fn run(args: &InspectArgs) -> Result<Outcome, Failure> {
    let (gguf, opened) = open(args)?;
    let mut about = file(&gguf);
    match &opened {
        Ok(model) => about.extend(model_facts(model)?),
        Err(why) => {
            about.insert("runs".to_owned(), json!(false));
            about.insert("why_not".to_owned(), json!(why));
        }
    }
    if args.json {
        about.insert("metadata".to_owned(), metadata(&gguf));
        about.insert("tensors".to_owned(), tensors(&gguf));
        let mut output = Output::stdout(Some(OutputFormat::Jsonl));
        output.json(&about)?;
        return output.finish().map(|()| Outcome::Complete);
    }
    let mut output = Output::stdout(Some(OutputFormat::Text));
    inspect_report::write(&mut output, &about)?;
    if args.metadata {
        inspect_report::write_metadata(&mut output, &metadata(&gguf))?;
    }
    if args.tensors {
        inspect_report::write_tensors(&mut output, &tensors(&gguf))?;
    }
    output.finish()?;
    Ok(Outcome::Complete)
}

/// The file, and the model in it or why connote cannot run it.
fn open(args: &InspectArgs) -> Result<(Gguf, Result<Model, String>), Failure> {
    let Some(name) = args.path.clone().or_else(|| model::named(&args.model)) else {
        let model = model::builtin()?;
        return Ok((model.gguf().clone(), Ok(model)));
    };
    let path = model::find(&name)?;
    let gguf = Gguf::open(&path).map_err(Failure::nothing)?;
    let model = Model::open(&path).map_err(|error| error.to_string());
    Ok((gguf, model))
}

/// What every GGUF file has.
fn file(gguf: &Gguf) -> Map<String, Value> {
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
    let mut parameters = 0;
    for tensor in gguf.tensors() {
        *types.entry(tensor.ty().name()).or_default() += 1;
        parameters += tensor.elements();
    }
    let not_computable: Vec<&str> = gguf
        .tensors()
        .map(|tensor| tensor.ty())
        .filter(|&ty| connote::kernels::decode::decoder(ty).is_none())
        .map(TensorType::name)
        .collect();
    let text = |key: &str| gguf.metadata().str(key).ok().flatten().map(str::to_owned);
    let paths: Vec<String> = gguf.shards().filter_map(|shard| shard.path().map(show)).collect();
    let bytes: u64 = gguf.shards().map(|shard| shard.len() as u64).sum();
    let mut about = Map::new();
    about.insert("files".to_owned(), json!(paths));
    about.insert("bytes".to_owned(), json!(bytes));
    about.insert("gguf_version".to_owned(), json!(gguf.version()));
    about.insert("name".to_owned(), json!(text("general.name")));
    about.insert("architecture".to_owned(), json!(text("general.architecture")));
    about.insert("license".to_owned(), json!(text("general.license")));
    about.insert("parameters".to_owned(), json!(parameters));
    about.insert("tensor_count".to_owned(), json!(gguf.tensors().len()));
    about.insert("tensor_types".to_owned(), json!(types));
    about.insert("types_not_computable".to_owned(), json!(not_computable));
    about
}

/// What a model that runs has beside.
fn model_facts(model: &Model) -> Result<Map<String, Value>, Failure> {
    let config = model.config();
    let tokenizer = model.tokenizer();
    let special =
        |ids: &[u32]| ids.iter().filter_map(|&id| tokenizer.piece(id)).collect::<Vec<_>>().join(" ");
    let pooling = model.pooling();
    let mut warnings = model.warnings();
    // Packing is the one way to know that every tensor is there and can be computed with.
    let mut builder = connote::Embedder::builder();
    if pooling.is_err() {
        builder = builder.pooling(connote::Pooling::Mean);
    }
    let embedder = builder.load(model.clone());
    let mut about = Map::new();
    about.insert("runs".to_owned(), json!(embedder.is_ok()));
    match &embedder {
        Ok(embedder) => {
            warnings = embedder.warnings();
            let fingerprint = match &pooling {
                Ok(_) => Some(embedder.fingerprint(&Options::new())?.to_string()),
                Err(_) => None,
            };
            about.insert("fingerprint".to_owned(), json!(fingerprint));
        }
        Err(error) => {
            about.insert("why_not".to_owned(), json!(error.to_string()));
        }
    }
    warnings.extend(pooling.as_ref().err().map(ToString::to_string));
    let tasks =
        model.prompts().iter().map(|(task, template)| (task.to_string(), json!(template.to_string())));
    let custom = model.custom_prompt().map(|custom| ("custom:TASK".to_owned(), json!(custom)));
    let prompts: Map<String, Value> = tasks.chain(custom).collect();
    about.insert("dimensions".to_owned(), json!(model.dimensions()));
    about.insert("matryoshka".to_owned(), json!(model.known().map_or(&[][..], |known| &known.matryoshka)));
    let layer_norm = model.known().is_some_and(|known| known.layer_norm_before_cut);
    about.insert("layer_norm_before_cut".to_owned(), json!(layer_norm));
    about.insert("layers".to_owned(), json!(config.layers.len()));
    about.insert("width".to_owned(), json!(config.dim));
    about.insert("heads".to_owned(), json!(config.heads));
    about.insert("kv_heads".to_owned(), json!(config.kv_heads));
    about.insert("head_dim".to_owned(), json!(config.head_dim));
    about.insert("feed_forward".to_owned(), json!(config.feed_forward.dim));
    about.insert("context_length".to_owned(), json!(model.context_length()));
    about.insert("max_tokens".to_owned(), json!(model.max_tokens()));
    about.insert("pooling".to_owned(), json!(pooling.ok().map(connote::Pooling::name)));
    about.insert("dense_heads".to_owned(), json!(model.has_dense_heads()));
    about.insert("tokenizer".to_owned(), json!(tokenizer.kind().to_string()));
    about.insert("vocabulary".to_owned(), json!(tokenizer.vocab_size()));
    about.insert("adds_before".to_owned(), json!(special(tokenizer.prefix())));
    about.insert("adds_after".to_owned(), json!(special(tokenizer.suffix())));
    about.insert("known_as".to_owned(), json!(model.known().map(|known| &known.name)));
    about.insert("known_from".to_owned(), json!(model.known().map(|known| &known.source)));
    about.insert("prompts".to_owned(), Value::Object(prompts));
    if !model.default_prompt().is_empty() {
        about.insert("default_prompt".to_owned(), json!(model.default_prompt()));
    }
    about.insert("warnings".to_owned(), json!(warnings));
    Ok(about)
}

fn metadata(gguf: &Gguf) -> Value {
    gguf.metadata().iter().map(|(key, value)| (key.to_owned(), json_of(value))).collect::<Map<_, _>>().into()
}

/// A value; long lists by their first entries, as `inspect` is for looking.
fn json_of(value: GgufValue<'_>) -> Value {
    const SHOWN: usize = 16;
    match value {
        GgufValue::U8(v) => json!(v),
        GgufValue::I8(v) => json!(v),
        GgufValue::U16(v) => json!(v),
        GgufValue::I16(v) => json!(v),
        GgufValue::U32(v) => json!(v),
        GgufValue::I32(v) => json!(v),
        GgufValue::U64(v) => json!(v),
        GgufValue::I64(v) => json!(v),
        GgufValue::F32(v) => json!(v),
        GgufValue::F64(v) => json!(v),
        GgufValue::Bool(v) => json!(v),
        GgufValue::String(bytes) => json!(String::from_utf8_lossy(bytes)),
        GgufValue::Array(array) if array.len() > SHOWN => json!({
            "length": array.len(),
            "first": array.iter().take(SHOWN).map(json_of).collect::<Vec<_>>(),
        }),
        GgufValue::Array(array) => array.iter().map(json_of).collect(),
    }
}

fn tensors(gguf: &Gguf) -> Value {
    let one = |tensor: connote::gguf::Tensor<'_>| {
        json!({
            "name": tensor.name(),
            "type": tensor.ty().name(),
            "shape": tensor.dims(),
            "bytes": tensor.bytes().len(),
        })
    };
    gguf.tensors().map(one).collect()
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
