//! Metadata keys of one architecture.

use std::cell::RefCell;
use std::collections::BTreeSet;

use gguf::{Gguf, Metadata, Value};

use crate::config::{DenseActivation, Scoring, ScoringDense, StatedPooling};
use crate::error::Error;
use crate::pooling::Pooling;

/// The keys `A.*` of a file, where `A` is its architecture, and the names of its tensors.
pub(crate) struct Keys<'a> {
    gguf: &'a Gguf,
    metadata: &'a Metadata,
    architecture: &'static str,
    read: RefCell<BTreeSet<String>>,
}

/// More layers, heads or a wider model than any there is: a file that says so is broken, and would make
/// us allocate for it.
const LARGEST: usize = 1 << 24;

impl<'a> Keys<'a> {
    pub(crate) fn new(gguf: &'a Gguf, architecture: &'static str) -> Self {
        Self { gguf, metadata: gguf.metadata(), architecture, read: RefCell::default() }
    }

    /// The architecture's name.
    pub(crate) fn architecture(&self) -> &'static str {
        self.architecture
    }

    /// Whether the file has a tensor: variants of one architecture are told apart by those.
    pub(crate) fn has_tensor(&self, name: &str) -> bool {
        self.gguf.tensor(name).is_some()
    }

    /// Whether the file has a matrix of so many rows.
    pub(crate) fn has_rows(&self, name: &str, rows: usize) -> bool {
        self.gguf
            .tensor(name)
            .is_some_and(|tensor| matches!(*tensor.dims(), [_, found] if found == rows as u64))
    }

    /// An error of a key.
    pub(crate) fn error(&self, key: &str, what: impl std::fmt::Display) -> Error {
        Error::key(&format!("{}.{key}", self.architecture), what)
    }

    /// A key's whole name, and that it was read.
    fn full(&self, key: &str) -> String {
        let full = format!("{}.{key}", self.architecture);
        self.read.borrow_mut().insert(full.clone());
        full
    }

    /// The value of a key that nothing has read.
    pub(crate) fn unread(&self, key: &str) -> Option<Value<'a>> {
        let full = format!("{}.{key}", self.architecture);
        if self.read.borrow().contains(&full) { None } else { self.metadata.get(&full) }
    }

    /// A whole number from 1 to 2^24.
    pub(crate) fn size(&self, key: &str) -> Result<usize, Error> {
        let key = self.full(key);
        let value = self.metadata.usize(&key)?;
        value
            .ok_or_else(|| Error::key(&key, "is missing; the file is not complete"))
            .and_then(|v| in_range(&key, v))
    }

    pub(crate) fn size_or(&self, key: &str, default: usize) -> Result<usize, Error> {
        let key = self.full(key);
        self.metadata.usize(&key)?.map_or(Ok(default), |v| in_range(&key, v))
    }

    /// A whole number where 0 and absent mean the same: none.
    pub(crate) fn size_if_any(&self, key: &str) -> Result<Option<usize>, Error> {
        let key = self.full(key);
        match self.metadata.usize(&key)? {
            None | Some(0) => Ok(None),
            Some(value) => in_range(&key, value).map(Some),
        }
    }

    /// A whole number, or a list of the same number for every layer.
    pub(crate) fn uniform(&self, key: &str, default: Option<usize>) -> Result<usize, Error> {
        let full = self.full(key);
        let Some(Value::Array(list)) = self.metadata.get(&full) else {
            return default.map_or_else(|| self.size(key), |default| self.size_or(key, default));
        };
        match list.to_i64s().as_deref() {
            Some([first, rest @ ..]) if rest.iter().all(|value| value == first) => usize::try_from(*first)
                .map_err(|_| Error::key(&full, format!("is {first}")))
                .and_then(|v| in_range(&full, v)),
            _ => Err(Error::key(&full, "differs from layer to layer, which connote does not support")),
        }
    }

    /// A positive number.
    pub(crate) fn float(&self, key: &str) -> Result<f32, Error> {
        let key = self.full(key);
        let value = self.metadata.f32(&key)?;
        value
            .ok_or_else(|| Error::key(&key, "is missing; the file is not complete"))
            .and_then(|v| positive(&key, v))
    }

    pub(crate) fn float_or(&self, key: &str, default: f32) -> Result<f32, Error> {
        let key = self.full(key);
        self.metadata.f32(&key)?.map_or(Ok(default), |v| positive(&key, v))
    }

    /// A number where 0 and absent mean the same: none.
    pub(crate) fn float_if_any(&self, key: &str) -> Result<Option<f32>, Error> {
        let key = self.full(key);
        match self.metadata.f32(&key)? {
            None | Some(0.0) => Ok(None),
            Some(value) => positive(&key, value).map(Some),
        }
    }

    pub(crate) fn flag_or(&self, key: &str, default: bool) -> Result<bool, Error> {
        Ok(self.metadata.bool(&self.full(key))?.unwrap_or(default))
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, Error> {
        Ok(self.metadata.str(&self.full(key))?)
    }

    /// Which of `layers` layers have a sliding window: a list a layer, or a period `p` of which one layer is
    /// global, the first or the last (`p = 0`: all are windowed).
    pub(crate) fn windowed_layers(
        &self,
        key: &str,
        layers: usize,
        period: usize,
        global: Global,
    ) -> Result<Vec<bool>, Error> {
        let key = self.full(key);
        let is_windowed = |layer: usize, p: usize| match global {
            _ if p == 0 => true,
            Global::First => !layer.is_multiple_of(p),
            Global::Last => layer % p < p - 1,
        };
        let by_period = |p: usize| (0..layers).map(|layer| is_windowed(layer, p)).collect();
        match self.metadata.get(&key) {
            None => Ok(by_period(period)),
            Some(gguf::Value::Array(list)) => {
                let flags: Option<Vec<bool>> =
                    list.bools().or_else(|| Some(list.to_i64s()?.iter().map(|&v| v != 0).collect()));
                let flags = flags.ok_or_else(|| Error::key(&key, "is not a list of flags"))?;
                if flags.len() != layers {
                    return Err(Error::key(
                        &key,
                        format!("has {} entries for {layers} layers, so the file is damaged", flags.len()),
                    ));
                }
                Ok(flags)
            }
            Some(_) => self.metadata.usize(&key)?.map_or(Ok(by_period(period)), |p| Ok(by_period(p))),
        }
    }

    /// The head that makes scores of a row, if the file holds one that models of the architecture have. `usual` is the row
    /// where the file does not say; `dense` what the authors' head has before its outputs, if anything, and its words.
    pub(crate) fn scoring(
        &self,
        usual: Pooling,
        dense: Option<(DenseActivation, &'static str)>,
    ) -> Result<Option<Scoring>, Error> {
        let stated = self.full("classifier.pooling_type");
        let pooling = match self.metadata.i64(&stated)? {
            None | Some(-1) | Some(0xffff_ffff) => None,
            Some(1) => Some(Pooling::Mean),
            Some(2) => Some(Pooling::Cls),
            Some(3) => Some(Pooling::Last),
            Some(other) => {
                return Err(Error::key(
                    &stated,
                    format!("is {other}; a head scores 1 (mean), 2 (cls) or 3 (last)"),
                ));
            }
        };
        let labels = self.texts("classifier.output_labels")?;
        let (first, last) = ("cls", "cls.output");
        let has = |stem: &str| self.has_tensor(&format!("{stem}.weight"));
        let norm = has("cls.norm").then_some("cls.norm");
        let (dense, output, lost) = match (dense, has(first), has(last)) {
            (_, false, false) => return Ok(None),
            (Some((activation, _)), true, true) => {
                (Some(ScoringDense { name: first, activation, norm }), last, None)
            }
            // Two products where the authors have one: a head of other models.
            (None, true, true) => return Ok(None),
            (lost, false, true) => (None, last, lost.map(|(_, lost)| lost)),
            // As wide as the rows it is a pooler or a masked word's dense layer, unless the file says what it is for.
            (_, true, false) if norm.is_some() || !self.is_output(first, &labels)? => return Ok(None),
            // The outputs under the other name, as some converters have it.
            (lost, true, false) => (None, first, lost.map(|(_, lost)| lost)),
        };
        let outputs = self.outputs(&format!("{output}.weight"))?;
        if !labels.is_empty() && labels.len() != outputs {
            let what = format!("names {} labels, and `{output}.weight` has {outputs} outputs", labels.len());
            return Err(self.error("classifier.output_labels", what));
        }
        Ok(Some(Scoring {
            pooling: pooling.unwrap_or(usual),
            // The first row and the last are what all such heads read; the mean is one of several habits.
            pooling_stated: pooling.is_some() || usual != Pooling::Mean,
            dense,
            output,
            outputs,
            labels,
            lost,
        }))
    }

    /// Whether a lone first matrix can be the outputs.
    fn is_output(&self, stem: &str, labels: &[String]) -> Result<bool, Error> {
        let is_said = !labels.is_empty() || matches!(self.pooling()?, StatedPooling::Rank);
        Ok(is_said || self.outputs(&format!("{stem}.weight"))? != self.size("embedding_length")?)
    }

    /// Rows of a head's matrix; a vector is one.
    fn outputs(&self, name: &str) -> Result<usize, Error> {
        let dims = self.gguf.tensor(name).map_or(&[][..], |tensor| tensor.dims());
        match *dims {
            [_] => Ok(1),
            [_, outputs] if (1..=1 << 16).contains(&outputs) => Ok(outputs as usize),
            _ => Err(Error::tensor(
                name,
                format!("has the shape {dims:?}; the outputs of a head are a matrix"),
            )),
        }
    }

    /// A list of texts; none where the key is not there.
    fn texts(&self, key: &str) -> Result<Vec<String>, Error> {
        let full = self.full(key);
        let texts = match self.metadata.get(&full) {
            None => Some(Vec::new()),
            Some(Value::Array(list)) => list
                .strings()
                .map(|texts| texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()),
            Some(_) => None,
        };
        texts.ok_or_else(|| Error::key(&full, "is not a list of texts"))
    }

    /// `A.pooling_type`. Absent and -1 say nothing.
    pub(crate) fn pooling(&self) -> Result<StatedPooling, Error> {
        let key = self.full("pooling_type");
        let unusable = |what: String| StatedPooling::Unusable(format!("key `{key}` {what}"));
        Ok(match self.metadata.i64(&key)? {
            // An unspecified type is -1, written as a u32 by some converters.
            None | Some(-1) | Some(0xffff_ffff) => StatedPooling::Unstated,
            Some(0) => StatedPooling::As(Pooling::None),
            Some(1) => StatedPooling::As(Pooling::Mean),
            Some(2) => StatedPooling::As(Pooling::Cls),
            Some(3) => StatedPooling::As(Pooling::Last),
            Some(4) => StatedPooling::Rank,
            Some(other) => unusable(format!("is {other}, which names no pooling")),
        })
    }
}

/// Which layer of a period has no window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    First,
    Last,
}

fn in_range(key: &str, value: usize) -> Result<usize, Error> {
    if (1..=LARGEST).contains(&value) {
        Ok(value)
    } else {
        Err(Error::key(key, format!("is {value}; it must be 1 to {LARGEST}, so the file is damaged")))
    }
}

fn positive(key: &str, value: f32) -> Result<f32, Error> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(Error::key(key, format!("is {value}; it must be a positive number, so the file is damaged")))
    }
}
