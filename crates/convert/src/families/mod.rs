//! The families of models: what Hugging Face calls a model, its tensors and its numbers, and what GGUF calls them.
//!
//! A new architecture is one entry: a table of names and a function for its keys.

mod bert;
mod decoder;
mod gemma;
mod jina;
mod judge;
mod modern_bert;
mod neo_bert;
mod nomic;
mod rope;
mod shapes;
mod t5;

use std::collections::BTreeSet;

use gguf::OwnedValue;
pub(crate) use judge::{Answers, Judge, names_of_judges};
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;
use crate::model::{RowOrder, Tensor, Values};
use crate::tokenizer::TokenizerKeys;
use crate::weights::{Weight, Weights};

const FAMILIES: &[Family] = &[
    bert::BERT,
    bert::DISTILBERT,
    bert::ROBERTA,
    bert::XLM_ROBERTA,
    nomic::NOMIC_BERT,
    nomic::NOMIC_BERT_MOE,
    jina::JINA_BERT_V2,
    jina::JINA_RERANKER_V2,
    jina::JINA_BERT_V3,
    modern_bert::MODERN_BERT,
    neo_bert::NEO_BERT,
    decoder::EUROBERT,
    decoder::QWEN2,
    decoder::QWEN3,
    decoder::LLAMA_EMBED,
    decoder::LLAMA,
    gemma::GEMMA_EMBEDDING,
    gemma::GEMMA3,
    t5::T5,
];

/// One architecture.
#[derive(Debug)]
pub(crate) struct Family {
    /// `model_type` of `config.json`.
    pub(crate) model_types: &'static [&'static str],
    /// Where several families share a `model_type`: whether it is this one. The first that says yes is taken.
    pub(crate) is_this: fn(&Config) -> bool,
    /// `general.architecture`.
    pub(crate) architecture: &'static str,
    /// What may stand before the names of tensors, depending on the class that was saved.
    pub(crate) prefixes: &'static [&'static str],
    /// In the order of the file; in lists, which families share.
    pub(crate) tensors: &'static [&'static [Name]],
    /// Beginnings of names of tensors that embeddings do not need.
    pub(crate) ignored: &'static [&'static str],
    /// How many times the feed-forward's width `ffn_up` has rows: 2 where it holds the gate, too.
    pub(crate) up_and_gate: &'static [u64],
    /// How many dense heads after pooling its files have a place for.
    pub(crate) heads: usize,
    /// What of heads llama.cpp has no place for, and so does not load a file with any.
    pub(crate) heads_beyond_llama_cpp: Option<&'static str>,
    /// How many rows of the positions' embedding stand before the first position.
    pub(crate) first_position: fn(&Config) -> Result<usize, Error>,
    pub(crate) keys: fn(&Config, &mut Keys) -> Result<(), Error>,
    /// Rows of `vocab.txt` and pieces stay at their ids, but for the older files of XLM-R.
    pub(crate) fairseq_ids: bool,
}

impl Family {
    pub(crate) fn tensors(&self) -> impl Iterator<Item = &'static Name> {
        self.tensors.iter().copied().flatten()
    }
}

/// What most families have.
pub(crate) const PLAIN: Family = Family {
    model_types: &[],
    is_this: |_| true,
    architecture: "",
    prefixes: &[],
    tensors: &[],
    ignored: &[],
    up_and_gate: &[1],
    heads: 0,
    heads_beyond_llama_cpp: None,
    first_position: |_| Ok(0),
    keys: |_, _| Ok(()),
    fairseq_ids: false,
};

/// A tensor's two names, without `.weight` and `.bias`; `{}` is the number of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    pub(crate) theirs: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) weight: Presence,
    pub(crate) bias: Presence,
    pub(crate) change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// In every layer.
    Required,
    Optional,
    /// Ours has no place for it.
    Refused,
}

/// How values differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// Gemma's norms multiply by 1 + weight; GGUF stores the sum.
    PlusOne,
    /// Rows before the first position are left out.
    Positions,
    /// Rows of queries: RoPE's pairs become neighbours.
    QueryPairs,
    /// Rows of keys, likewise.
    KeyPairs,
    /// `experts * n` rows as `experts` matrices.
    Experts,
    /// Likewise, and each turned.
    ExpertsTurned,
}

/// A matrix or a norm without bias.
pub(crate) const fn weight(theirs: &'static str, ours: &'static str) -> Name {
    Name { theirs, ours, weight: Presence::Required, bias: Presence::Refused, change: Change::None }
}

/// A weight with a bias.
pub(crate) const fn both(theirs: &'static str, ours: &'static str) -> Name {
    Name { bias: Presence::Required, ..weight(theirs, ours) }
}

/// A weight, and a bias in some models.
pub(crate) const fn with_bias_or_without(theirs: &'static str, ours: &'static str) -> Name {
    Name { bias: Presence::Optional, ..weight(theirs, ours) }
}

/// What only some models have.
pub(crate) const fn maybe(theirs: &'static str, ours: &'static str) -> Name {
    Name { weight: Presence::Optional, bias: Presence::Optional, ..weight(theirs, ours) }
}

impl Name {
    pub(crate) const fn changed(self, change: Change) -> Name {
        Name { change, ..self }
    }
}

/// Keys without what stands before them in the file.
pub(crate) type KeyList = Vec<(String, OwnedValue)>;

/// Keys under the name of the architecture, and facts that some changes need.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) list: KeyList,
    sizes: Vec<(&'static str, u64)>,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) experts: usize,
    pub(crate) made: Vec<Made>,
    /// What a reader should know.
    pub(crate) notes: Vec<String>,
    pub(crate) labels: Option<Vec<String>>,
}

/// A tensor computed from the configuration.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) name: &'static str,
    pub(crate) dims: Vec<u64>,
    pub(crate) values: Vec<f32>,
}

impl Keys {
    pub(crate) fn put(&mut self, key: &str, value: impl Into<OwnedValue>) {
        self.list.push((key.to_owned(), value.into()));
    }

    /// What every network has, under the names that most authors give it.
    pub(crate) fn sizes(&mut self, config: &Config) -> Result<(), Error> {
        let layers = config.required(&["num_hidden_layers", "n_layer", "n_layers", "num_layers"])?;
        let heads = config.required(&["num_attention_heads", "n_head", "n_heads", "num_heads"])?;
        self.layers(layers);
        self.put_size("embedding_length", config.required(&["hidden_size", "n_embd", "dim", "d_model"])?);
        self.heads(heads, config.number(&["num_key_value_heads"])?);
        Ok(())
    }

    /// The width of a head where it is the model's divided by their number, as a file that states it must say.
    pub(crate) fn usual_head_dim(&self, config: &Config) -> Result<u32, Error> {
        let width = self.size("embedding_length").unwrap_or(0) as u32;
        let head_dim = width.checked_div(self.heads as u32).unwrap_or(0);
        config.demand_number("head_dim", f64::from(head_dim))?;
        Ok(head_dim)
    }

    /// Puts a number that shapes of tensors are made of.
    pub(crate) fn put_size(&mut self, key: &'static str, size: u32) {
        self.sizes.push((key, u64::from(size)));
        self.put(key, size);
    }

    /// What was put by [`Keys::put_size`].
    pub(crate) fn size(&self, key: &str) -> Option<u64> {
        self.sizes.iter().find(|(put, _)| *put == key).map(|(_, size)| *size)
    }

    pub(crate) fn layers(&mut self, layers: u32) {
        self.layers = layers as usize;
        self.put("block_count", layers);
    }

    pub(crate) fn heads(&mut self, heads: u32, kv_heads: Option<u32>) {
        self.heads = heads as usize;
        self.kv_heads = kv_heads.unwrap_or(heads) as usize;
        self.put("attention.head_count", heads);
        if let Some(kv_heads) = kv_heads {
            self.put("attention.head_count_kv", kv_heads);
        }
    }

    pub(crate) fn context(&mut self, config: &Config) -> Result<(), Error> {
        self.put_size(
            "context_length",
            config.required(&["max_position_embeddings", "n_positions", "max_length"])?,
        );
        Ok(())
    }

    pub(crate) fn feed_forward(&mut self, config: &Config) -> Result<(), Error> {
        self.put_size(
            "feed_forward_length",
            config.required(&["intermediate_size", "n_inner", "hidden_dim", "d_ff"])?,
        );
        Ok(())
    }

    /// A classifier's labels; one or two dummies are none.
    pub(crate) fn classifier(&mut self, config: &Config) {
        let labels = config.get("id2label").and_then(serde_json::Value::as_object);
        let mut numbered: Vec<(u32, String)> = labels
            .into_iter()
            .flatten()
            .filter_map(|(number, label)| Some((number.parse().ok()?, label.as_str()?.to_owned())))
            .collect();
        numbered.sort();
        let labels: Vec<String> = numbered.into_iter().map(|(_, label)| label).collect();
        if !["LABEL_0", "LABEL_1"].starts_with(&labels.iter().map(String::as_str).collect::<Vec<_>>()) {
            self.labels = Some(labels);
        }
    }
}

/// Which layers have a window, where `layer_types` says it.
pub(crate) fn layer_kinds(config: &Config, layers: usize) -> Result<Option<Vec<bool>>, Error> {
    const NAME: &str = "layer_types";
    let Some(kinds) = config.get(NAME) else { return Ok(None) };
    let windowed = |kind: &Value| match kind.as_str() {
        Some("full_attention") => Some(false),
        Some("sliding_attention") => Some(true),
        _ => None,
    };
    let kinds: Option<Vec<bool>> = kinds.as_array().and_then(|kinds| kinds.iter().map(windowed).collect());
    match kinds {
        Some(kinds) if kinds.len() == layers => Ok(Some(kinds)),
        Some(kinds) => Err(config.refused(NAME, format!("has {} entries for {layers} layers", kinds.len()))),
        None => Err(config.refused(NAME, "has other kinds than full_attention and sliding_attention")),
    }
}

/// The family of a model.
pub(crate) fn of(config: &Config) -> Result<&'static Family, Error> {
    let model_type = config.text("model_type").unwrap_or_default();
    let mut named = FAMILIES.iter().filter(|family| family.model_types.contains(&model_type)).peekable();
    if named.peek().is_none() {
        let known: BTreeSet<&str> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
        let known: Vec<&str> = known.into_iter().collect();
        return Err(Error::unsupported(format!(
            "config.json: model_type {model_type:?} is not one that connote converts; it converts {}",
            known.join(", ")
        )));
    }
    named.find(|family| (family.is_this)(config)).ok_or_else(|| {
        Error::unsupported(format!("config.json: this kind of {model_type} is not one that connote converts"))
    })
}

/// A model's keys and tensors.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) architecture: &'static str,
    pub(crate) keys: KeyList,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) heads: usize,
    /// The longest text, in tokens.
    pub(crate) context: u64,
    /// It answers with words, in a form of its own.
    pub(crate) judge: Option<&'static Judge>,
    pub(crate) kv_sharing: usize,
    pub(crate) experts: usize,
}

pub(crate) fn build(
    family: &Family,
    config: &Config,
    mut weights: Weights,
    tokenizer: &TokenizerKeys,
    name: &str,
    answers: Option<Answers>,
    notes: &mut Vec<String>,
) -> Result<Built, Error> {
    let mut keys = Keys::default();
    (family.keys)(config, &mut keys)?;
    notes.append(&mut keys.notes);
    let held = weights.names().count();
    if keys.layers > held {
        let what = format!(
            "says {} layers, and the files hold {held} tensors; they do not belong together",
            keys.layers
        );
        return Err(Error::mismatch(format!("config.json {what}")));
    }
    // Heads of rerankers count where their last product is there; a pooler or a masked-word head alone is none.
    let classifies =
        ["classifier.weight", "classifier.out_proj.weight"].iter().any(|name| weights.get(name).is_some());
    if classifies {
        refuse_labels_of_tokens(config)?;
    }
    let rules = family.tensors().filter(|rule| classifies || !rule.ours.starts_with("cls"));
    let (of_layers, global): (Vec<&Name>, Vec<&Name>) = rules.partition(|rule| rule.theirs.contains("{}"));
    let mut builder = Builder { family, config, keys: &keys, tensors: Vec::new(), missing: Vec::new() };
    let judge = judge::find(family, config, name, answers)?;
    let reranker = judge.map(|judge| judge.head(tokenizer, &weights, answers)).transpose()?;
    for rule in global {
        builder.take(rule, None, &mut weights)?;
    }
    for layer in 0..keys.layers {
        for rule in &of_layers {
            builder.take(rule, Some(layer), &mut weights)?;
        }
    }
    let Builder { mut tensors, missing, .. } = builder;
    if !missing.is_empty() {
        return Err(Error::mismatch(format!("tensors are missing: {}", listed(&missing))));
    }
    let is_ignored = |name: &str| family.ignored.iter().any(|beginning| begins(name, beginning));
    let (ignored, left): (Vec<&str>, Vec<&str>) = weights.names().partition(|name| is_ignored(name));
    if !left.is_empty() {
        return Err(Error::mismatch(format!(
            "tensors are left over that {} files have no place for: {}",
            family.architecture,
            listed(&left)
        )));
    }
    if !ignored.is_empty() {
        notes.push(format!(
            "left out, heads of other tasks or what GGUF has no place for: {}",
            listed(&ignored)
        ));
    }
    shapes::check(family, &tensors, &keys)?;
    for Made { name, dims, values } in std::mem::take(&mut keys.made) {
        tensors.push(Tensor { name: name.to_owned(), dims, values: Values::Made(values) });
    }
    let context = keys.size("context_length").unwrap_or(u64::MAX);
    let mut list = keys.list;
    let has_classifier = tensors.iter().any(|tensor| tensor.name.starts_with("cls."));
    if let (Some(labels), true) = (keys.labels, has_classifier) {
        list.push(("classifier.output_labels".to_owned(), labels.into()));
    }
    if has_classifier {
        list.push(("pooling_type".to_owned(), 4u32.into()));
    }
    if let Some((tensor, more)) = reranker {
        tensors.push(tensor);
        list.extend(more);
    }
    let kv_sharing = keys.heads.checked_div(keys.kv_heads).unwrap_or(1);
    let (architecture, heads) = (family.architecture, family.heads);
    Ok(Built { architecture, keys: list, tensors, heads, context, judge, kv_sharing, experts: keys.experts })
}

/// Heads of other classes have the names of a reranker's.
fn refuse_labels_of_tokens(config: &Config) -> Result<(), Error> {
    let others = ["ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice"];
    let classes = config.get("architectures").and_then(Value::as_array).into_iter().flatten();
    match classes.filter_map(Value::as_str).find(|class| others.iter().any(|other| class.ends_with(other))) {
        None => Ok(()),
        Some(class) => Err(config.refused(
            "architectures",
            format!(
                "is {class}; of models with a head only rerankers are converted (ForSequenceClassification)"
            ),
        )),
    }
}

/// Whether a name begins so, `{}` standing for the number of a layer.
fn begins(name: &str, beginning: &str) -> bool {
    match beginning.split_once("{}") {
        None => name.starts_with(beginning),
        Some((before, after)) => name
            .strip_prefix(before)
            .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()))
            .is_some_and(|rest| rest.starts_with(after)),
    }
}

/// The weights by the names that the family's table has.
pub(crate) fn named(family: &Family, weights: Weights) -> Result<Weights, Error> {
    weights.renamed(|name| canonical(family, name))
}

/// How many tokens have an embedding: what bounds a vocabulary, whatever the configuration says.
pub(crate) fn embeddings(family: &Family, weights: &Weights) -> Result<usize, Error> {
    let rules = family.tensors().filter(|rule| rule.ours == "token_embd");
    let names: Vec<String> = rules.map(|rule| format!("{}.weight", rule.theirs)).collect();
    let found = names.iter().find_map(|name| weights.get(name));
    let missing = || Error::mismatch(format!("tensors are missing: {}", names.join(" or ")));
    match found.ok_or_else(missing)?.shape.as_slice() {
        [rows, _] => Ok(*rows),
        shape => Err(Error::mismatch(format!("the embeddings are {shape:?}, not rows of numbers"))),
    }
}

/// A name as the table has it: without the prefix of its class, and with today's names for a norm's two halves.
fn canonical(family: &Family, name: &str) -> String {
    let stripped = family.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    // Adapted matrices (jina v3): the original keeps its name, the adapters get one beginning.
    if let Some((stem, rest)) = stripped.split_once(".parametrizations.") {
        return match rest.strip_suffix(".original") {
            Some(kind) => format!("{stem}.{kind}"),
            None => format!("adapters.{stem}.{rest}"),
        };
    }
    match (stripped.strip_suffix(".gamma"), stripped.strip_suffix(".beta")) {
        (Some(stem), _) => format!("{stem}.weight"),
        (_, Some(stem)) => format!("{stem}.bias"),
        _ => stripped.to_owned(),
    }
}

struct Builder<'a> {
    family: &'a Family,
    config: &'a Config,
    keys: &'a Keys,
    tensors: Vec<Tensor>,
    missing: Vec<String>,
}

impl Builder<'_> {
    fn take(&mut self, rule: &Name, layer: Option<usize>, weights: &mut Weights) -> Result<(), Error> {
        let numbered = |name: &str| match layer {
            Some(layer) => name.replace("{}", &layer.to_string()),
            None => name.to_owned(),
        };
        for (presence, ending) in [(rule.weight, ".weight"), (rule.bias, ".bias")] {
            if presence == Presence::Refused {
                continue;
            }
            let theirs = format!("{}{ending}", numbered(rule.theirs));
            // Parameters that are no module of their own have no ending.
            let bare = numbered(rule.theirs);
            let found = weights
                .take(&theirs)
                .or_else(|| (ending == ".weight").then(|| weights.take(&bare)).flatten());
            match found {
                Some(weight) => {
                    let tensor =
                        self.tensor(rule, &theirs, format!("{}{ending}", numbered(rule.ours)), weight)?;
                    match self.tensors.iter().find(|other| other.name == tensor.name) {
                        // A second name of one thing, such as T5's shared embedding.
                        Some(other) if other.is_same(&tensor) => {}
                        // A head of another task beside the one that counts.
                        Some(_) if self.family.ignored.iter().any(|beginning| begins(&theirs, beginning)) => {
                        }
                        Some(_) => {
                            let what = "is a second tensor in one place of the file, with other values";
                            return Err(Error::mismatch(format!("tensor {theirs} {what}")));
                        }
                        None => self.tensors.push(tensor),
                    }
                }
                None if presence == Presence::Required => self.missing.push(theirs),
                None => {}
            }
        }
        Ok(())
    }

    fn tensor(&self, rule: &Name, theirs: &str, name: String, weight: Weight) -> Result<Tensor, Error> {
        let wrong =
            |wanted: &str| Error::mismatch(format!("tensor {theirs} is {:?}, not {wanted}", weight.shape));
        let mut dims: Vec<u64> = weight.shape.iter().rev().map(|dim| *dim as u64).collect();
        let &rows = weight.shape.first().ok_or_else(|| wrong("a vector or a matrix"))?;
        let width = weight.shape.get(1).copied().unwrap_or(1);
        let mut order = RowOrder::Same;
        let mut plus = 0.0;
        match rule.change {
            Change::None => {}
            Change::PlusOne => plus = 1.0,
            Change::Positions => {
                let first = (self.family.first_position)(self.config)?;
                if first > 0 {
                    let left =
                        rows.checked_sub(first).ok_or_else(|| wrong("long enough for its first position"))?;
                    dims = vec![width as u64, left as u64];
                    order = RowOrder::From(first);
                }
            }
            Change::QueryPairs | Change::KeyPairs => {
                let heads =
                    if rule.change == Change::QueryPairs { self.keys.heads } else { self.keys.kv_heads };
                if heads == 0 || !rows.is_multiple_of(2 * heads) {
                    return Err(wrong(&format!("rows of {heads} heads")));
                }
                order = RowOrder::NeighbouringPairs { head_dim: rows / heads };
                // A bias is one row to GGUF; its values are reordered as rows of one value.
                if weight.shape.len() == 1 {
                    let column = Tensor {
                        name: String::new(),
                        dims: vec![1, rows as u64],
                        values: Values::Stored { bytes: weight.stored, rows: order, plus },
                    };
                    let mut values = vec![0.0; rows];
                    column.read(0..rows, &mut values);
                    return Ok(Tensor { name, dims, values: Values::Made(values) });
                }
            }
            Change::Experts | Change::ExpertsTurned => {
                let experts = self.keys.experts;
                if weight.shape.len() != 2 || experts == 0 || !rows.is_multiple_of(experts) {
                    return Err(wrong(&format!("the rows of {experts} experts")));
                }
                let each = rows / experts;
                dims = vec![width as u64, each as u64, experts as u64];
                if rule.change == Change::ExpertsTurned {
                    dims = vec![each as u64, width as u64, experts as u64];
                    order = RowOrder::Turned { inputs: each, outputs: width };
                }
            }
        }
        Ok(Tensor { name, dims, values: Values::Stored { bytes: weight.stored, rows: order, plus } })
    }
}

/// Some names, and how many more there are.
fn listed(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
