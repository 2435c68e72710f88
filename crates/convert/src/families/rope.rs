//! RoPE: how fast layers turn, and how they were stretched to longer texts. Newer files have an object for each kind of
//! layers, or one for all (`rope_parameters`); older ones `rope_scaling` beside plain numbers.

use std::f64::consts::PI;

use serde_json::Value;

use super::{Keys, Made};
use crate::config::{Config, shown};
use crate::error::Error;

/// How layers of a kind turn: where a file says it, and what its architecture can say in GGUF.
pub(super) struct Rope {
    /// `full_attention`, `sliding_attention`.
    pub(super) layers: &'static str,
    /// The base's key.
    pub(super) key: &'static str,
    /// What the base is called outside of `rope_parameters`, and what it is where nobody says it.
    pub(super) older: &'static [&'static str],
    pub(super) usual: f32,
    /// Ways to stretch that files of this architecture have, by their names at Hugging Face.
    pub(super) stretches: &'static [&'static str],
}

/// What keys alone say. Readers stretch the layers that see everything.
pub(super) const BY_KEYS: &[&str] = &["linear", "yarn"];
/// With Llama 3's factors, a tensor that llama.cpp reads in Llama's files alone.
pub(super) const BY_KEYS_OR_FACTORS: &[&str] = &["linear", "yarn", "llama3"];

/// All layers of a network with one kind of them.
pub(super) const ALL: Rope = Rope {
    layers: "full_attention",
    key: "rope.freq_base",
    older: &["rope_theta", "rotary_emb_base"],
    usual: 10_000.0,
    stretches: BY_KEYS,
};

/// Names in an object of RoPE that are asked for below.
const KNOWN: &[&str] = &[
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "high_freq_factor",
    "low_freq_factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "truncate",
    "type",
];

impl Rope {
    /// Writes the keys of these layers, or refuses what they cannot say.
    pub(super) fn put(&self, config: &Config, keys: &mut Keys, head_dim: u32) -> Result<(), Error> {
        config.demand_number("partial_rotary_factor", 1.0)?;
        let said = Said::of(config, self.layers)?;
        let older = config.float(self.older)?;
        let Some(said) = said else {
            keys.put(self.key, self.base(config, older.unwrap_or(self.usual))?);
            return Ok(());
        };
        said.usual("partial_rotary_factor", 1.0)?;
        let base = said.number("rope_theta")?.map(|base| base as f32).or(older).unwrap_or(self.usual);
        keys.put(self.key, self.base(config, base)?);
        let kind = said.kind();
        match kind {
            "default" => return Ok(()),
            kind if !self.stretches.contains(&kind) => {
                let what = format!("stretches RoPE by {kind:?}, which files of this architecture cannot say");
                return Err(said.refused(format!("{what}; they can say {}", said.list(self.stretches))));
            }
            "llama3" => keys.made.push(said.llama3_factors(f64::from(base), head_dim)?),
            kind => {
                keys.put("rope.scaling.type", kind);
                keys.put("rope.scaling.factor", said.positive("factor")? as f32);
            }
        }
        if kind == "yarn" {
            let original = said.positive("original_max_position_embeddings")?;
            keys.put("rope.scaling.original_context_length", original as u32);
            // Readers of GGUF take these for granted.
            said.usual("beta_fast", 32.0)?;
            said.usual("beta_slow", 1.0)?;
            said.yarn_is_the_readers(f64::from(base), head_dim, original)?;
            for name in ["attention_factor", "mscale", "mscale_all_dim", "truncate"] {
                if said.get(name).is_some_and(|value| value.as_bool() != Some(true)) {
                    return Err(said
                        .refused(format!("has a {name} of its own, which readers of GGUF do not look for")));
                }
            }
        }
        Ok(())
    }

    fn base(&self, config: &Config, base: f32) -> Result<f32, Error> {
        if base.is_finite() && base > 0.0 {
            return Ok(base);
        }
        Err(config.refused("rope_theta", format!("is {base}; a base of RoPE is a positive number")))
    }
}

/// The object that says how layers turn.
struct Said<'a> {
    config: &'a Config,
    name: &'static str,
    value: &'a Value,
}

impl<'a> Said<'a> {
    fn of(config: &'a Config, layers: &str) -> Result<Option<Self>, Error> {
        let (newer, older) = (config.get("rope_parameters"), config.get("rope_scaling"));
        let (name, value) = match (newer, older) {
            (Some(newer), Some(older)) if newer != older => {
                return Err(config.refused("rope_scaling", "says something else than `rope_parameters`"));
            }
            (Some(newer), _) => ("rope_parameters", newer),
            (None, Some(older)) => ("rope_scaling", older),
            (None, None) => return Ok(None),
        };
        const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];
        let Some(object) = value.as_object() else {
            return Err(config.refused(name, format!("is {}, not an object", shown(value))));
        };
        let by_kind = KINDS.iter().any(|kind| object.contains_key(*kind));
        // One object without kinds is of the layers that see everything.
        let of_these = match by_kind {
            true => object.get(layers),
            false => (layers == KINDS[0]).then_some(value),
        };
        let Some(of_these) = of_these.filter(|value| !value.is_null()) else { return Ok(None) };
        let mut names = of_these.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        if let Some((unknown, value)) = names.find(|(unknown, _)| !KNOWN.contains(&unknown.as_str())) {
            let what = format!("has a `{unknown}` of {}, which GGUF has no way to say", shown(value));
            return Err(config.refused(name, what));
        }
        if by_kind && let Some(other) = object.keys().find(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(
                config.refused(name, format!("has a kind of layers, {other}, that connote does not know"))
            );
        }
        Ok(Some(Self { config, name, value: of_these }))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.value.get(name).filter(|value| !value.is_null())
    }

    fn kind(&self) -> &'a str {
        self.get("rope_type").or_else(|| self.get("type")).and_then(Value::as_str).unwrap_or("default")
    }

    fn number(&self, name: &str) -> Result<Option<f64>, Error> {
        let number = |value: &Value| {
            let number = value.as_f64().filter(|number| number.is_finite());
            number.ok_or_else(|| {
                self.refused(format!("has a `{name}` of {}, which is no number", shown(value)))
            })
        };
        self.get(name).map(number).transpose()
    }

    fn positive(&self, name: &str) -> Result<f64, Error> {
        match self.number(name)? {
            Some(number) if number > 0.0 => Ok(number),
            Some(number) => Err(self.refused(format!("has a `{name}` of {number}; it must be positive"))),
            None => Err(self.refused(format!("is of type {:?} and has no `{name}`", self.kind()))),
        }
    }

    /// Refuses another number than the one that readers take for granted.
    fn usual(&self, name: &str, usual: f64) -> Result<(), Error> {
        match self.number(name)? {
            Some(number) if number != usual => {
                let what =
                    format!("has a `{name}` of {number}, which GGUF has no way to say; it can be {usual}");
                Err(self.refused(what))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, what: String) -> Error {
        self.config.refused(self.name, what)
    }

    fn list(&self, names: &[&str]) -> String {
        if names.is_empty() { "\"default\" alone".to_owned() } else { names.join(" and ") }
    }

    /// Refuses numbers by which readers stretch otherwise than the authors: below 1 a factor leaves the authors' scores as they
    /// are, and where no pair lies between those that stay and those that are stretched, each side has its own way.
    fn yarn_is_the_readers(&self, base: f64, head_dim: u32, original: f64) -> Result<(), Error> {
        let factor = self.positive("factor")?;
        if factor < 1.0 {
            let what =
                format!("has a `factor` of {factor}, and YaRN below 1 is not what readers of GGUF compute");
            return Err(self.refused(what));
        }
        let width = f64::from(head_dim);
        let pair = |turns: f64| width * (original / (turns * 2.0 * PI)).ln() / (2.0 * base.ln());
        let (low, high) = (pair(32.0).floor().max(0.0), pair(1.0).ceil().min(width - 1.0));
        if low > high {
            let what = format!(
                "has an `original_max_position_embeddings` of {original}, with which YaRN has no pair to begin with ({low} is above \
                 {high}); readers of GGUF and the authors' code differ there"
            );
            return Err(self.refused(what));
        }
        Ok(())
    }

    /// Llama 3's way: a factor for each pair.
    fn llama3_factors(&self, base: f64, head_dim: u32) -> Result<Made, Error> {
        let (factor, low, high) =
            (self.positive("factor")?, self.positive("low_freq_factor")?, self.positive("high_freq_factor")?);
        if high <= low {
            return Err(
                self.refused(format!("has a `high_freq_factor` of {high}, not above low_freq_factor"))
            );
        }
        let original = self.positive("original_max_position_embeddings")?;
        let factors = (0..head_dim / 2).map(|pair| {
            let wavelength = 2.0 * PI * base.powf(f64::from(2 * pair) / f64::from(head_dim));
            // Short waves stay, long ones are slowed down, between them it goes smoothly.
            let smooth = ((original / wavelength - low) / (high - low)).clamp(0.0, 1.0);
            (1.0 / ((1.0 - smooth) / factor + smooth)) as f32
        });
        let (dims, values) = (vec![u64::from(head_dim / 2)], factors.collect());
        Ok(Made { name: "rope_freqs.weight", dims, values })
    }
}
