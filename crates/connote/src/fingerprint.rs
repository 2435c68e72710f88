//! The name of a vector space: a short hash over everything that decides which space a vector lies in.

use std::fmt;

use encoder::{
    BlockNorms, Config, FeedForward, FusedQkv, HeadNorms, Heads, LayerConfig, LayerNames, Mask, Norm,
    NormNames, Pairs, Pooling, Positions, Rope,
};
use gguf::{Metadata, Value};
use sha2::{Digest as _, Sha256};

use crate::embedding::Cut;
use crate::error::Error;
use crate::model::Model;
use crate::request::{self, Input, Options};

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// Names a vector space: 16 hexadecimal digits over weights, network, tokenizer, pooling, heads, prompt,
/// dimensions and normalisation. The same model in another quantisation has another fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

pub(crate) fn of(
    model: &Model,
    pooling: Pooling,
    weights: Digest,
    tokenizer: Digest,
    input: &Input,
    options: &Options,
) -> Result<Fingerprint, Error> {
    // The title is the text's own: a document's prompt counts without it.
    let task = if input.title.is_some() { Some(input.effective_task(options)) } else { input.task.clone() };
    let prompt = model.prompt_for(&Input { task, ..Input::default() }, options)?;
    let cut = model.cut(options.dimensions)?;
    let mut hash = Sha256::new();
    // A version, so that a change of this list changes every name.
    field(&mut hash, b"connote vector space 2");
    field(&mut hash, &weights);
    network_into(&mut hash, model.config());
    field(&mut hash, &tokenizer);
    field(&mut hash, pooling.name().as_bytes());
    field(&mut hash, if model.has_dense_heads() { b"heads" } else { b"no heads" });
    field(&mut hash, prompt.as_bytes());
    cut_into(&mut hash, cut);
    let norm = match options.norm {
        request::Norm::None => "raw".to_owned(),
        request::Norm::L2 => "unit".to_owned(),
        request::Norm::Largest => "largest".to_owned(),
        request::Norm::P(p) => format!("norm {p}"),
    };
    field(&mut hash, norm.as_bytes());
    Ok(Fingerprint(hex(&hash.finalize()[..8])))
}

fn cut_into(hash: &mut Sha256, cut: Cut) {
    let Cut { dimensions, layer_norm } = cut;
    field(hash, &(dimensions as u64).to_le_bytes());
    // An axis that came later, so it counts only where there is one.
    if layer_norm {
        field(hash, b"layer norm before cut");
    }
}

/// Over every key below `tokenizer.` that has a part in tokenizing, by name: a file that was written again
/// has its keys in another order and the same tokenizer.
pub(crate) fn tokenizer(metadata: &Metadata) -> Digest {
    let has_part = |key: &str| key.starts_with("tokenizer.") && !key.starts_with("tokenizer.chat_template");
    let mut keys: Vec<(&str, Value<'_>)> = metadata.iter().filter(|(key, _)| has_part(key)).collect();
    keys.sort_unstable_by_key(|(key, _)| *key);
    let mut hash = Sha256::new();
    for (key, value) in keys {
        field(&mut hash, key.as_bytes());
        value_into(&mut hash, value);
    }
    hash.finalize().into()
}

/// The same weights under another mask, norm or rotation are another space. Every field is named, so that a
/// new one cannot be forgotten here.
fn network_into(hash: &mut Sha256, config: &Config) {
    let Config {
        architecture,
        dim,
        context_length: _, // bounds the input, moves no vector
        heads,
        kv_heads,
        head_dim,
        attention_scale,
        head_norms,
        fused_qkv,
        embedding_scale,
        positions,
        token_types,
        norm,
        norms: NormNames { embedding, attention, feed_forward: around_feed_forward, output },
        feed_forward: FeedForward { dim: inner, activation, up_first, experts },
        layers,
        names: layer_names,
        pooling: _, // counts as it is used, which may not be as the file says
        default_pooling: _,
        dense_heads: Heads { names, expected: _ },
        scoring: _, // of rows that vectors do not depend on
        lost: _,
        ignored: _,
    } = config;
    // Axes that came later count only where a model uses them, so that the names of earlier models' spaces stay.
    let mut later: Vec<String> = Vec::new();
    if *head_norms == HeadNorms::AllHeads
        || *fused_qkv != FusedQkv::Blocks
        || *layer_names != LayerNames::default()
    {
        later.push(format!("{head_norms:?} {fused_qkv:?} {layer_names:?}"));
    }
    if *up_first || experts.is_some() {
        later.push(format!("{up_first} {experts:?}"));
    }
    let mut number = |value: u64| field(hash, &value.to_le_bytes());
    for size in [*dim, *heads, *kv_heads, *head_dim, *inner, layers.len()] {
        number(size as u64);
    }
    for flag in [*head_norms != HeadNorms::None, *token_types, activation.is_gated()] {
        number(flag.into());
    }
    number(u64::from(attention_scale.to_bits()));
    number(u64::from(embedding_scale.to_bits()));
    let (kind, eps) = match norm {
        Norm::Layer { eps } => (0, eps),
        Norm::Rms { eps } => (1, eps),
    };
    number(kind);
    number(u64::from(eps.to_bits()));
    match positions {
        Positions::Learned => number(0),
        Positions::Rope(ropes) => {
            for Rope { dims, base, scale, pairs, yarn, factors } in ropes {
                number(*dims as u64);
                number(base.to_bits());
                number(scale.to_bits());
                if *pairs != Pairs::Halves || yarn.is_some() || factors.is_some() {
                    later.push(format!("{pairs:?} {yarn:?} {factors:?}"));
                }
            }
        }
        other => later.push(format!("{other:?}")),
    }
    for LayerConfig { mask, rope, experts, bare_attention } in layers {
        if *experts || *bare_attention {
            later.push(format!("{experts} {bare_attention}"));
        }
        let (kind, width) = match *mask {
            Mask::Full => (0, 0),
            Mask::Causal => (1, 0),
            Mask::SymmetricWindow { width } => (2, width),
            Mask::CausalWindow { width } => (3, width),
        };
        number(kind);
        number(width as u64);
        number(*rope as u64);
    }
    field(hash, architecture.as_bytes());
    field(hash, activation.name().as_bytes());
    for BlockNorms { after_sum, .. } in [attention, around_feed_forward] {
        later.extend(after_sum.map(|name| format!("after sum {name}")));
    }
    let places = |BlockNorms { before, after, after_sum: _, after_residual }: &BlockNorms| {
        [*before, *after, *after_residual]
    };
    let around = [places(attention), places(around_feed_forward)].concat();
    for name in [*embedding, *output].into_iter().chain(around) {
        field(hash, name.unwrap_or("").as_bytes());
    }
    for name in *names {
        field(hash, name.as_bytes());
    }
    for axis in later {
        field(hash, axis.as_bytes());
    }
}

/// Bytes with their length, so that two fields never read as one.
pub(crate) fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn value_into(hash: &mut Sha256, value: Value<'_>) {
    match value {
        Value::String(bytes) => field(hash, bytes),
        Value::Array(array) => {
            hash.update((array.len() as u64).to_le_bytes());
            array.iter().for_each(|element| value_into(hash, element));
        }
        number => field(hash, number.to_string().as_bytes()),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_before_the_cut_is_another_space() {
        let digest = |dimensions, layer_norm| {
            let mut hash = Sha256::new();
            cut_into(&mut hash, Cut { dimensions, layer_norm });
            hex(&hash.finalize())
        };
        assert_ne!(digest(256, true), digest(256, false));
        assert_ne!(digest(256, true), digest(512, true));
        // As it was before there were norms.
        let mut plain = Sha256::new();
        field(&mut plain, &256u64.to_le_bytes());
        assert_eq!(digest(256, false), hex(&plain.finalize()));
    }
}
