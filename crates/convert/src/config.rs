//! `config.json`: one typed look at it, with every name that authors give a number.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;
use crate::json;

/// The configuration of a model.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    pub(crate) values: Value,
}

impl Config {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        if !path.exists() {
            return Err(Error::file(
                folder,
                "holds no config.json; give the folder of a model from Hugging Face",
            ));
        }
        let values = json::read(&path)?;
        Ok(Self { path, values })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// The first of `names` that is there, as a whole number.
    pub(crate) fn number(&self, names: &[&str]) -> Result<Option<u32>, Error> {
        let Some((name, value)) = names.iter().find_map(|name| self.get(name).map(|value| (name, value)))
        else {
            return Ok(None);
        };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.wrong(name, "a whole number", value))
    }

    pub(crate) fn required(&self, names: &[&str]) -> Result<u32, Error> {
        self.number(names)?.ok_or_else(|| self.missing(names))
    }

    pub(crate) fn float(&self, names: &[&str]) -> Result<Option<f32>, Error> {
        match names.iter().find_map(|name| self.get(name).map(|value| (name, value))) {
            None => Ok(None),
            Some((name, value)) => {
                let float = value.as_f64().map(|float| float as f32);
                float.map(Some).ok_or_else(|| self.wrong(name, "a number", value))
            }
        }
    }

    pub(crate) fn required_float(&self, names: &[&str]) -> Result<f32, Error> {
        self.float(names)?.ok_or_else(|| self.missing(names))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).and_then(Value::as_bool)
    }

    /// Refuses what GGUF has no way to say, rather than lose it: where `name` is there, it must be one of `allowed`.
    pub(crate) fn demand(&self, name: &str, allowed: &[&str]) -> Result<(), Error> {
        let Some(value) = self.get(name) else { return Ok(()) };
        let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if allowed.contains(&said.as_str()) {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "{}: `{name}` is {said}, which GGUF has no way to say; it can be {}",
            self.path.display(),
            allowed.join(" or ")
        )))
    }

    /// What RoPE needs for the layers of a kind (`full_attention`, `sliding_attention`): newer files have an object for
    /// each kind, or one for all; older ones `rope_scaling` beside plain numbers.
    pub(crate) fn rope(&self, kind: &str) -> Option<&Value> {
        let rope = self.get("rope_parameters").or_else(|| self.get("rope_scaling"))?;
        rope.get(kind).or_else(|| rope.get("full_attention").is_none().then_some(rope))
    }

    /// The base of RoPE for a kind of layers; `older` is what it is called outside of `rope_parameters`.
    pub(crate) fn rope_base(&self, kind: &str, older: &[&str]) -> Result<Option<f32>, Error> {
        let own = self.rope(kind).and_then(|rope| rope.get("rope_theta")).and_then(Value::as_f64);
        match own {
            Some(base) => Ok(Some(base as f32)),
            None => self.float(older),
        }
    }

    fn missing(&self, names: &[&str]) -> Error {
        Error::file(&self.path, format!("has no `{}`, which the model needs", names.join("` or `")))
    }

    fn wrong(&self, name: &str, wanted: &str, found: &Value) -> Error {
        Error::file(&self.path, format!("`{name}` is {found}, not {wanted}"))
    }
}
