//! What sentence-transformers adds to a model: pooling, dense heads, normalisation, prompts and the longest text.

use std::path::{Path, PathBuf};

use gguf::OwnedValue;
use serde_json::Value;

use crate::error::Error;
use crate::json;
use crate::model::{RowOrder, Tensor, Values};
use crate::weights::{Weight, Weights};

/// The texts before texts, by their names at sentence-transformers. These keys are connote's own; llama.cpp passes them
/// over.
const PROMPT_NAMES: &str = "sentence_transformers.prompt_names";
const PROMPTS: &str = "sentence_transformers.prompts";
const DEFAULT_PROMPT: &str = "sentence_transformers.default_prompt_name";
const LONGEST: &str = "sentence_transformers.max_seq_length";

#[derive(Debug, Default)]
pub(crate) struct Sentence {
    /// `pooling_type` of GGUF.
    pub(crate) pooling: Option<u32>,
    pub(crate) heads: Vec<Head>,
    pub(crate) keys: Vec<(String, OwnedValue)>,
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
    pub(crate) fn open(folder: &Path, notes: &mut Vec<String>) -> Result<Self, Error> {
        let mut sentence = Self::default();
        let Some(modules) = json::read_if_there(&folder.join("modules.json"))? else { return Ok(sentence) };
        let mut normalised = false;
        for module in modules.as_array().into_iter().flatten() {
            let kind = module.get("type").and_then(Value::as_str).unwrap_or_default();
            let path = folder.join(module.get("path").and_then(Value::as_str).unwrap_or_default());
            match kind.rsplit('.').next().unwrap_or_default() {
                "Transformer" => sentence.longest(&path)?,
                "Pooling" => sentence.pooling = Some(pooling(&path.join("config.json"))?),
                "Dense" => sentence.heads.push(head(path)?),
                "Normalize" => normalised = true,
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
        if !normalised {
            notes.push("the authors do not make vectors one long (no Normalize module): embed with --no-normalize to get theirs"
                .to_owned());
        }
        if sentence.heads.len() > 2 {
            return Err(Error::unsupported("more than two dense heads, which GGUF has no way to say"));
        }
        sentence.prompts(folder)?;
        Ok(sentence)
    }

    fn longest(&mut self, folder: &Path) -> Result<(), Error> {
        let path = folder.join("sentence_bert_config.json");
        let Some(config) = json::read_if_there(&path)? else { return Ok(()) };
        if config.get("do_lower_case").and_then(Value::as_bool) == Some(true) {
            return Err(Error::file(
                &path,
                "do_lower_case is set beside the tokenizer, which GGUF has no way to say",
            ));
        }
        if let Some(longest) = config.get("max_seq_length").and_then(Value::as_u64) {
            self.keys.push((LONGEST.to_owned(), u32::try_from(longest).unwrap_or(u32::MAX).into()));
        }
        Ok(())
    }

    fn prompts(&mut self, folder: &Path) -> Result<(), Error> {
        let Some(config) = json::read_if_there(&folder.join("config_sentence_transformers.json"))? else {
            return Ok(());
        };
        let prompts = config.get("prompts").and_then(Value::as_object);
        let prompts: Vec<(&str, &str)> = prompts
            .into_iter()
            .flatten()
            .filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)))
            .collect();
        if !prompts.is_empty() {
            let (names, texts): (Vec<&str>, Vec<&str>) = prompts.into_iter().unzip();
            self.keys.push((PROMPT_NAMES.to_owned(), names.into()));
            self.keys.push((PROMPTS.to_owned(), texts.into()));
        }
        if let Some(name) = config.get("default_prompt_name").and_then(Value::as_str) {
            self.keys.push((DEFAULT_PROMPT.to_owned(), name.into()));
        }
        Ok(())
    }
}

/// GGUF's number of the way to pool.
fn pooling(path: &Path) -> Result<u32, Error> {
    const NUMBERS: [(&str, &str, u32); 3] = [
        ("pooling_mode_mean_tokens", "mean", 1),
        ("pooling_mode_cls_token", "cls", 2),
        ("pooling_mode_lasttoken", "lasttoken", 3),
    ];
    let config = json::read(path)?;
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
        Some((_, _, number)) if all.len() <= 1 => Ok(*number),
        _ => {
            let said = if all.is_empty() { named.unwrap_or("nothing").to_owned() } else { all.join(" and ") };
            Err(Error::file(path, format!("pools by {said}; GGUF can say mean, cls or lasttoken")))
        }
    }
}

fn head(folder: PathBuf) -> Result<Head, Error> {
    let path = folder.join("config.json");
    let config = json::read(&path)?;
    let number = |name: &str| {
        let number = config.get(name).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| Error::file(&path, format!("has no `{name}`")))
    };
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
