//! What sentence-transformers adds to a model: pooling, dense heads, normalisation, prompts and the longest text.

use std::path::{Component, Path, PathBuf};

use gguf::OwnedValue;
use serde_json::Value;

use crate::config::shown;
use crate::error::Error;
use crate::families::Answers;
use crate::json;
use crate::model::{RowOrder, Tensor, Values};
use crate::weights::{Weight, Weights};

/// The texts before texts, by their names at sentence-transformers. These keys are connote's own; llama.cpp passes them
/// over.
const PROMPT_NAMES: &str = "sentence_transformers.prompt_names";
const PROMPTS: &str = "sentence_transformers.prompts";
const DEFAULT_PROMPT: &str = "sentence_transformers.default_prompt_name";
const LONGEST: &str = "sentence_transformers.max_seq_length";
const NORMALIZES: &str = "sentence_transformers.normalize";

#[derive(Debug, Default)]
pub(crate) struct Sentence {
    /// `pooling_type` of GGUF.
    pub(crate) pooling: Option<u32>,
    pub(crate) heads: Vec<Head>,
    /// It is no embedder: the words by which a language model judges pairs.
    pub(crate) answers: Option<Answers>,
    /// What goes before every text.
    pub(crate) default_prompt: String,
    pub(crate) keys: Vec<(String, OwnedValue)>,
    /// Texts are lowercased before the tokenizer sees them.
    pub(crate) lowers: bool,
    /// The longest text, in tokens.
    pub(crate) longest: Option<u32>,
    /// Unknown keys that were passed over, as the caller wanted.
    pub(crate) ignored: Vec<String>,
}

/// A product after pooling.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) folder: PathBuf,
    pub(crate) inputs: u32,
    pub(crate) outputs: u32,
    weight: Weight,
}

impl Head {
    pub(crate) fn tensor(self, name: &str) -> Tensor {
        Tensor {
            name: format!("{name}.weight"),
            dims: vec![u64::from(self.inputs), u64::from(self.outputs)],
            values: Values::Stored { bytes: self.weight.stored, rows: RowOrder::Same, plus: 0.0 },
        }
    }
}

impl Sentence {
    /// Reads `modules.json` and what it names; a folder without is a plain model.
    pub(crate) fn open(folder: &Path, ignore: &[String], notes: &mut Vec<String>) -> Result<Self, Error> {
        let mut sentence = Self::default();
        let Some(modules) = json::read_if_there(&folder.join("modules.json"))? else { return Ok(sentence) };
        let mut normalised = false;
        for module in modules.as_array().into_iter().flatten() {
            let kind = module.get("type").and_then(Value::as_str).unwrap_or_default();
            let path = module.get("path").and_then(Value::as_str).unwrap_or_default();
            // A path of another kind would lead out of the folder.
            if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
                let modules = folder.join("modules.json");
                return Err(Error::file(
                    &modules,
                    format!("names the path {path:?}, which is not in the folder"),
                ));
            }
            let path = folder.join(path);
            match kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" => sentence.longest(&path, ignore)?,
                "Pooling" => {
                    sentence.pooling =
                        Some(pooling(&path.join("config.json"), ignore, &mut sentence.ignored)?)
                }
                "Dense" => sentence.heads.push(head(path, ignore, &mut sentence.ignored)?),
                "Normalize" => normalised = true,
                "LogitScore" => {
                    sentence.answers =
                        Some(answers(&path.join("config.json"), ignore, &mut sentence.ignored)?)
                }
                "Dropout" => {}
                other => {
                    let modules = folder.join("modules.json");
                    return Err(Error::file(
                        &modules,
                        format!("has a module {other}, which GGUF has no way to say"),
                    ));
                }
            }
        }
        if sentence.answers.is_none() {
            sentence.keys.push((NORMALIZES.to_owned(), normalised.into()));
        }
        if !normalised && sentence.answers.is_none() {
            notes.push("the authors do not make vectors one long (no Normalize module): embed with --no-normalize to get theirs"
                .to_owned());
        }
        if sentence.heads.len() > 2 {
            return Err(Error::unsupported("more than two dense heads, which GGUF has no way to say"));
        }
        sentence.prompts(folder, ignore, notes)?;
        Ok(sentence)
    }

    fn longest(&mut self, folder: &Path, ignore: &[String]) -> Result<(), Error> {
        let path = folder.join("sentence_bert_config.json");
        let Some(config) = json::read_if_there(&path)? else { return Ok(()) };
        // How a program loads and calls the model.
        const KNOWN: &[&str] = &[
            "backend",
            "cache_dir",
            "do_lower_case",
            "max_seq_length",
            "message_format",
            "modality_config",
            "module_output_name",
            "transformer_task",
            "unpad_inputs",
        ];
        const OPTIONS: &[&str] = &[
            "config_args",
            "config_kwargs",
            "model_args",
            "model_kwargs",
            "processor_kwargs",
            "tokenizer_args",
        ];
        const OF_LOADING: &[&str] = &[
            "attn_implementation",
            "dtype",
            "local_files_only",
            "revision",
            "token",
            "torch_dtype",
            "trust_remote_code",
            "use_fast",
        ];
        refuse_others(&path, &config, &[KNOWN, OPTIONS].concat(), ignore, &mut self.ignored)?;
        for options in OPTIONS.iter().filter_map(|name| config.get(name)) {
            refuse_others(&path, options, OF_LOADING, ignore, &mut self.ignored)?;
        }
        self.lowers = config.get("do_lower_case").and_then(Value::as_bool) == Some(true);
        if let Some(longest) = config.get("max_seq_length").and_then(Value::as_u64) {
            self.longest = Some(u32::try_from(longest).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    fn prompts(&mut self, folder: &Path, ignore: &[String], notes: &mut Vec<String>) -> Result<(), Error> {
        let path = folder.join("config_sentence_transformers.json");
        let Some(config) = json::read_if_there(&path)? else { return Ok(()) };
        // Who made it, how its vectors are compared, and what a reranker's score is put through: left to the caller.
        const KNOWN: &[&str] = &[
            "__version__",
            "activation_fn",
            "default_prompt_name",
            "model_type",
            "prompts",
            "similarity_fn_name",
        ];
        refuse_others(&path, &config, KNOWN, ignore, &mut self.ignored)?;
        let wrong = |value: &Value| {
            Error::file(&path, format!("`prompts` is {}, not texts by their names", shown(value)))
        };
        let mut prompts: Vec<(&str, &str)> = Vec::new();
        if let Some(stated) = config.get("prompts").filter(|prompts| !prompts.is_null()) {
            for (name, text) in stated.as_object().ok_or_else(|| wrong(stated))? {
                prompts.push((name, text.as_str().ok_or_else(|| wrong(stated))?));
            }
        }
        let default = config.get("default_prompt_name").filter(|name| !name.is_null());
        if let Some(default) = default {
            let named = prompts.iter().find(|(name, _)| default.as_str() == Some(*name));
            let Some((name, text)) = named else {
                let what =
                    format!("`default_prompt_name` is {}, which `prompts` does not have", shown(default));
                return Err(Error::file(&path, what));
            };
            self.default_prompt = (*text).to_owned();
            // A judge's prompt is a part of its form, and no text that goes before others.
            if self.answers.is_some() {
                return Ok(());
            }
            if !text.is_empty() {
                notes.push(format!(
                    "{text:?} goes before every text that is given neither a task nor a prompt (default_prompt_name \
                     {name:?}), as sentence-transformers has it; llama.cpp does not do so"
                ));
            }
        }
        if !prompts.is_empty() && self.answers.is_none() {
            let (names, texts): (Vec<&str>, Vec<&str>) = prompts.into_iter().unzip();
            self.keys.push((PROMPT_NAMES.to_owned(), names.into()));
            self.keys.push((PROMPTS.to_owned(), texts.into()));
        }
        if let Some(name) = default.and_then(Value::as_str) {
            self.keys.push((DEFAULT_PROMPT.to_owned(), name.into()));
        }
        Ok(())
    }
}

/// The key of the longest text: where nobody says it, the tokenizer's limit, if it is less than `context`.
pub(crate) fn longest_key(
    stated: Option<u32>,
    tokenizer: Option<u64>,
    context: u64,
) -> Option<(String, OwnedValue)> {
    let limit = tokenizer.filter(|&limit| limit < context).and_then(|limit| u32::try_from(limit).ok());
    stated.or(limit).map(|longest| (LONGEST.to_owned(), longest.into()))
}

/// The tokens whose logits are a score.
fn answers(path: &Path, ignore: &[String], ignored: &mut Vec<String>) -> Result<Answers, Error> {
    let config = json::read(path)?;
    refuse_others(path, &config, &["true_token_id", "false_token_id", "module_input_name"], ignore, ignored)?;
    let id = |name: &str| {
        let value = config.get(name).filter(|value| !value.is_null());
        let number = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
        let wrong =
            |value: &Value| Error::file(path, format!("`{name}` is {}, not a token's id", shown(value)));
        value.map(|value| number(value).ok_or_else(|| wrong(value))).transpose()
    };
    let yes = id("true_token_id")?.ok_or_else(|| Error::file(path, "has no `true_token_id`"))?;
    let input = config.get("module_input_name").and_then(Value::as_str).unwrap_or("causal_logits");
    if input != "causal_logits" {
        return Err(Error::file(
            path,
            format!("`module_input_name` is {input:?}; only causal_logits is read"),
        ));
    }
    Ok(Answers { yes, no: id("false_token_id")? })
}

/// GGUF's number of the way to pool.
fn pooling(path: &Path, ignore: &[String], ignored: &mut Vec<String>) -> Result<u32, Error> {
    const NUMBERS: [(&str, &str, u32); 3] = [
        ("pooling_mode_mean_tokens", "mean", 1),
        ("pooling_mode_cls_token", "cls", 2),
        ("pooling_mode_lasttoken", "lasttoken", 3),
    ];
    let config = json::read(path)?;
    let mut known = vec!["word_embedding_dimension", "embedding_dimension", "include_prompt"];
    known.extend(
        config
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .filter(|name| name.starts_with("pooling_mode")),
    );
    refuse_others(path, &config, &known, ignore, ignored)?;
    let named = config.get("pooling_mode").and_then(Value::as_str);
    let said = |flag: &str| config.get(flag).and_then(Value::as_bool) == Some(true);
    let all: Vec<&str> = config
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| name.starts_with("pooling_mode_") && value.as_bool() == Some(true))
        .map(|(name, _)| name.as_str())
        .collect();
    let known = NUMBERS.iter().find(|(flag, name, _)| said(flag) || named == Some(*name));
    match known {
        // Only a mean sees which rows are left out: the first and the last are no prompt's, or are taken all the same.
        Some((_, "mean", _)) if config.get("include_prompt").and_then(Value::as_bool) == Some(false) => {
            let what = "`include_prompt` is false: the mean leaves out the prompt's tokens, which GGUF has no way to say";
            Err(Error::file(path, what))
        }
        Some((_, _, number)) if all.len() <= 1 => Ok(*number),
        _ => {
            let said = if all.is_empty() { named.unwrap_or("nothing").to_owned() } else { all.join(" and ") };
            Err(Error::file(path, format!("pools by {said}; GGUF can say mean, cls or lasttoken")))
        }
    }
}

fn head(folder: PathBuf, ignore: &[String], ignored: &mut Vec<String>) -> Result<Head, Error> {
    let path = folder.join("config.json");
    let config = json::read(&path)?;
    let number = |name: &str| {
        let number = config.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| Error::file(&path, format!("has no `{name}`")))
    };
    const KNOWN: &[&str] = &[
        "activation_function",
        "bias",
        "in_features",
        "module_input_name",
        "module_output_name",
        "out_features",
    ];
    refuse_others(&path, &config, KNOWN, ignore, ignored)?;
    for name in ["module_input_name", "module_output_name"] {
        let value = config.get(name).and_then(Value::as_str);
        if value.is_some_and(|value| value != "sentence_embedding") {
            return Err(Error::file(
                &path,
                format!("`{name}` is {value:?}; a head in GGUF is one of vectors"),
            ));
        }
    }
    let (inputs, outputs) = (number("in_features")?, number("out_features")?);
    let activation = config.get("activation_function").and_then(Value::as_str).unwrap_or_default();
    if !activation.ends_with("Identity") {
        return Err(Error::file(
            &path,
            format!("the dense head ends in {activation:?}, and GGUF can say Identity alone"),
        ));
    }
    let mut weights = Weights::of_file(&folder.join("model.safetensors"))?;
    if weights.take("linear.bias").is_some() {
        return Err(Error::file(&path, "the dense head has a bias, which GGUF has no way to say"));
    }
    let weight = weights.take("linear.weight").ok_or_else(|| {
        Error::file(
            &folder.join("model.safetensors"),
            "holds no tensor linear.weight, which a dense head needs",
        )
    })?;
    if weight.shape != [outputs as usize, inputs as usize] {
        let shape = &weight.shape;
        return Err(Error::file(&path, format!("says {outputs} x {inputs}, and linear.weight is {shape:?}")));
    }
    Ok(Head { folder, inputs, outputs, weight })
}

/// Refuses keys that connote does not know, for they may change vectors, but for those of `ignore`, which are told.
fn refuse_others(
    path: &Path,
    config: &Value,
    known: &[&str],
    ignore: &[String],
    ignored: &mut Vec<String>,
) -> Result<(), Error> {
    for (name, value) in config.as_object().into_iter().flatten() {
        if value.is_null() || known.contains(&name.as_str()) {
            continue;
        }
        if ignore.contains(name) {
            ignored.push(name.clone());
            continue;
        }
        let what = "connote does not know what that does to vectors: if nothing, say --ignore";
        return Err(Error::file(path, format!("`{name}` is {}; {what} {name}", shown(value))));
    }
    Ok(())
}
