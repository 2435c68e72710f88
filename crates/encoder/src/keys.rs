//! Metadata keys of one architecture.

use gguf::Metadata;

use crate::config::StatedPooling;
use crate::error::Error;
use crate::pooling::Pooling;

/// The keys `A.*` of a file, where `A` is its architecture.
pub(crate) struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'static str,
}

/// More layers, heads or a wider model than any there is: a file that says so is broken, and would make
/// us allocate for it.
const LARGEST: usize = 1 << 24;

impl<'a> Keys<'a> {
    pub(crate) fn new(metadata: &'a Metadata, architecture: &'static str) -> Self {
        Self { metadata, architecture }
    }

    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
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

    /// Which of `layers` layers have a sliding window: a list a layer, or a period `p` of which the last
    /// layer is global (`p = 0`: all are windowed).
    pub(crate) fn windowed_layers(
        &self,
        key: &str,
        layers: usize,
        period: usize,
    ) -> Result<Vec<bool>, Error> {
        let key = self.full(key);
        let by_period = |p: usize| (0..layers).map(|layer| p == 0 || layer % p < p - 1).collect();
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
            Some(4) => unusable(
                "is 4 (rank): the file is a reranker, whose scores connote does not compute yet".to_owned(),
            ),
            Some(other) => unusable(format!("is {other}, which names no pooling")),
        })
    }
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
