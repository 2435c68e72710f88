//! `config.json`: one typed look at it, with every name that authors give a number.
//!
//! What is looked at is remembered, so that what nobody asked for shows ([`Config::refuse_unread`]).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;

use crate::error::Error;
use crate::{harmless, json};

/// More layers, heads, tokens or positions than any model has: such a file is damaged, and we would make room for it.
const LARGEST: u32 = 1 << 24;

/// The configuration of a model.
#[derive(Debug)]
pub(crate) struct Config {
    path: PathBuf,
    values: Value,
    read: Mutex<BTreeSet<String>>,
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
        if !values.is_object() {
            return Err(Error::file(&path, "is no configuration (a JSON object); download it again"));
        }
        Ok(Self { path, values, read: Mutex::default() })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.read.lock().expect("nobody panics while it is held").insert(name.to_owned());
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// Whether the file has a value, be it null.
    pub(crate) fn states(&self, name: &str) -> bool {
        self.values.get(name).is_some()
    }

    /// Refuses keys that nobody looked at, but for those that are known to leave vectors as they are, those of `ignored`,
    /// and null, which says nothing. A key that connote does not know may change the network.
    /// `elsewhere`: keys of `ignored` that another file has.
    pub(crate) fn refuse_unread(&self, ignored: &[String], elsewhere: &[String]) -> Result<(), Error> {
        // Of every class of transformers, though few networks heed them.
        self.demand("is_decoder", &["false"])?;
        self.demand("add_cross_attention", &["false"])?;
        self.demand("pruned_heads", &["{}"])?;
        let read = self.read.lock().expect("nobody panics while it is held");
        for key in ignored {
            if self.values.get(key).is_none() && !elsewhere.contains(key) {
                return Err(Error::file(&self.path, format!("has no `{key}` to be ignored")));
            }
            if read.contains(key) {
                let what = "says what the network is, and cannot be ignored; change the file if it is wrong";
                return Err(self.refused(key, what));
            }
        }
        let unknown: Vec<(&String, &Value)> = self
            .values
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, value)| !value.is_null() && !read.contains(*name) && !ignored.contains(name))
            .filter(|(name, _)| !harmless::of_config(name))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let said: Vec<String> =
            unknown.iter().map(|(name, value)| format!("`{name}` is {}", shown(value))).collect();
        let ignore: Vec<String> = unknown.iter().map(|(name, _)| format!("--ignore {name}")).collect();
        Err(Error::unsupported(format!(
            "{}: {}; connote does not know what that does to vectors: if nothing, say {}",
            self.path.display(),
            said.join(", "),
            ignore.join(" ")
        )))
    }

    /// The first of `names` that is there. All count as read: they are names of one thing.
    fn first<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &Value)> {
        let found: Vec<_> = names.iter().map(|name| self.get(name).map(|value| (*name, value))).collect();
        found.into_iter().flatten().next()
    }

    /// What a family's network does not look at, whatever it says.
    pub(crate) fn pass_over(&self, names: &[&str]) {
        names.iter().for_each(|name| {
            self.get(name);
        });
    }

    /// The first of `names` that is there, as a whole number.
    pub(crate) fn number(&self, names: &[&str]) -> Result<Option<u32>, Error> {
        let Some((name, value)) = self.first(names) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or_else(|| self.wrong(name, "a whole number", value))?;
        if number > LARGEST {
            return Err(self.wrong(name, &format!("at most {LARGEST}; the file is damaged"), value));
        }
        Ok(Some(number))
    }

    pub(crate) fn required(&self, names: &[&str]) -> Result<u32, Error> {
        self.number(names)?.ok_or_else(|| self.missing(names))
    }

    pub(crate) fn float(&self, names: &[&str]) -> Result<Option<f32>, Error> {
        match self.first(names) {
            None => Ok(None),
            Some((name, value)) => {
                let float = value.as_f64().map(|float| float as f32).filter(|float| float.is_finite());
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
        let what =
            format!("is {}, which GGUF has no way to say; it can be {}", cut(said), allowed.join(" or "));
        Err(self.refused(name, what))
    }

    /// As [`Config::demand`], of a number.
    pub(crate) fn demand_number(&self, name: &str, wanted: f64) -> Result<(), Error> {
        match self.get(name) {
            Some(value) if value.as_f64() != Some(wanted) => {
                let what = format!("is {}, which GGUF has no way to say; it can be {wanted}", shown(value));
                Err(self.refused(name, what))
            }
            _ => Ok(()),
        }
    }

    /// An error of a key whose value cannot be converted.
    pub(crate) fn refused(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::unsupported(format!("{}: `{name}` {what}", self.path.display()))
    }

    fn missing(&self, names: &[&str]) -> Error {
        Error::file(&self.path, format!("has no `{}`, which the model needs", names.join("` or `")))
    }

    fn wrong(&self, name: &str, wanted: &str, found: &Value) -> Error {
        Error::file(&self.path, format!("`{name}` is {}, not {wanted}", shown(found)))
    }
}

/// A value in an error's one line.
pub(crate) fn shown(value: &Value) -> String {
    cut(value.to_string())
}

fn cut(text: String) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
