//! A Hugging Face folder becomes a model: who it is (a family), what it is made of, and what sentence-transformers adds.

use std::path::{Path, PathBuf};

use gguf::OwnedValue;

use crate::config::Config;
use crate::error::Error;
use crate::families::{self, Family};
use crate::model::Model;
use crate::sentence::{self, Sentence};
use crate::tokenizer;
use crate::weights::Weights;

/// A folder as `git clone` or `snapshot_download` from Hugging Face leaves it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    config: Config,
    family: &'static Family,
    name: Option<String>,
    pre_tokenizer: Option<String>,
    ignored: Vec<String>,
}

impl Folder {
    /// Reads `config.json` and finds out what the model is. No weight is read.
    ///
    /// # Errors
    /// If it is no such folder, or a model of a kind that connote cannot convert.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if !path.is_dir() {
            return Err(Error::file(
                path,
                "is no folder; give the folder that holds config.json and model.safetensors",
            ));
        }
        let config = Config::open(path)?;
        let family = families::of(&config)?;
        Ok(Self {
            path: path.to_owned(),
            config,
            family,
            name: None,
            pre_tokenizer: None,
            ignored: Vec::new(),
        })
    }

    /// Names the model (`general.name`) instead of taking the name of its repository or folder.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Names the pre-tokenizer (`tokenizer.ggml.pre`) instead of recognising it, for those that are not known.
    #[must_use]
    pub fn pre_tokenizer(mut self, name: impl Into<String>) -> Self {
        self.pre_tokenizer = Some(name.into());
        self
    }

    /// Passes over a key of `config.json` that connote does not know, and would refuse the folder for.
    #[must_use]
    pub fn ignoring(mut self, key: impl Into<String>) -> Self {
        self.ignored.push(key.into());
        self
    }

    /// The whole model, checked: every tensor of the family is there with the shape that the configuration gives it, and
    /// none is left over. Values are read when the model is written.
    ///
    /// # Errors
    /// If tensors are missing, left over or misshapen, or something cannot be said in GGUF; each is named.
    pub fn model(&self) -> Result<Model, Error> {
        let mut notes = Vec::new();
        let sentence = Sentence::open(&self.path, &self.ignored, &mut notes)?;
        // Its mean leaves out the instruction; sentence-transformers knows it by its name, and so its folder need not say it.
        let model_name = self.model_name();
        if model_name.to_lowercase().contains("instructor") && !sentence.heads.is_empty() {
            return Err(Error::unsupported(
                "an INSTRUCTOR model leaves the tokens of its instruction out of the mean, which GGUF has no way to say",
            ));
        }
        let weights = families::named(self.family, Weights::open(&self.path)?)?;
        let embeddings = families::embeddings(self.family, &weights)?;
        let pre = self.pre_tokenizer.as_deref();
        let tokenizer = tokenizer::read(&self.path, &self.config, self.family, pre, embeddings, &mut notes)?;
        let lowers =
            tokenizer.keys.contains(&("tokenizer.ggml.normalizer.lowercase".to_owned(), true.into()));
        if sentence.lowers && !lowers {
            let path = self.path.join("sentence_bert_config.json");
            let what = "`do_lower_case` is true beside a tokenizer that keeps capitals, which GGUF has no way to say";
            return Err(Error::file(&path, what));
        }
        let sentence_ignored = sentence.ignored;
        let names_answers = sentence.answers.is_some();
        let mut built = families::build(
            self.family,
            &self.config,
            weights,
            &tokenizer,
            &model_name,
            sentence.answers,
            &mut notes,
        )?;

        let mut keys: Vec<(String, OwnedValue)> = vec![("general.name".to_owned(), model_name.into())];
        if let Some(license) = license(&self.path) {
            keys.push(("general.license".to_owned(), license.into()));
        }
        let prefix = built.architecture;
        keys.extend(built.keys.drain(..).map(|(key, value)| (format!("{prefix}.{key}"), value)));
        let stated = keys.iter().any(|(key, _)| *key == format!("{prefix}.pooling_type"));
        if let (Some(pooling), false) = (sentence.pooling, stated) {
            keys.push((format!("{prefix}.pooling_type"), pooling.into()));
        }
        if sentence.pooling.is_none() && !stated {
            notes.push(
                "the folder does not say how vectors are pooled (1_Pooling/config.json); \
                 say it with --pooling when you embed"
                    .to_owned(),
            );
            if let Some(names) = families::names_of_judges(self.family) {
                notes.push(format!(
                    "the file embeds; if the model is a reranker, which its folder alone does not show, \
                     convert it with --name and a name that has {names} in it"
                ));
            }
        }
        let has_heads =
            !sentence.heads.is_empty() || built.tensors.iter().any(|tensor| tensor.name.starts_with("cls."));
        if let Some(why) = self.family.heads_beyond_llama_cpp.filter(|_| has_heads) {
            notes.push(format!("llama.cpp does not load the file, for {why}"));
        }
        for (place, head) in sentence.heads.into_iter().enumerate() {
            let name = format!("dense_{}", place + 2);
            if place >= built.heads {
                return Err(Error::unsupported(format!(
                    "{}: a dense head after pooling, which {prefix} files have no place for",
                    head.folder.display()
                )));
            }
            keys.push((format!("{prefix}.{name}_feat_in"), head.inputs.into()));
            keys.push((format!("{prefix}.{name}_feat_out"), head.outputs.into()));
            built.tensors.insert(place, head.tensor(&name));
        }
        let longest = sentence::longest_key(sentence.longest, tokenizer.limit, built.context);
        keys.extend(tokenizer.keys);
        if let Some(judge) = built.judge {
            judge.check_prompt(&sentence.default_prompt)?;
            keys.extend(judge.template());
            if names_answers {
                notes.push(format!(
                    "by its name the folder is {}'s, and so is the text around a pair: its own, a Jinja template, is not run; where \
                     it was trained with another, its scores are not its authors'",
                    judge.title
                ));
            }
        }
        keys.extend(longest);
        keys.extend(sentence.keys);
        self.config.refuse_unread(&self.ignored, &sentence_ignored)?;
        Ok(Model {
            architecture: prefix.to_owned(),
            keys,
            tensors: built.tensors,
            notes,
            kv_sharing: built.kv_sharing,
            experts: built.experts,
        })
    }

    /// What was asked for; else what the files call it; else the folder's name.
    fn model_name(&self) -> String {
        let of_path = |path: &str| path.rsplit('/').find(|part| !part.is_empty()).map(str::to_owned);
        let stated = self.config.text("_name_or_path").filter(|name| !name.starts_with(['.', '/']));
        let folder = self.path.canonicalize().ok();
        let folder = folder.as_deref().and_then(snapshot_name);
        self.name
            .clone()
            .or(folder)
            .or_else(|| stated.and_then(of_path))
            .unwrap_or_else(|| "model".to_owned())
    }
}

/// A folder's name; of one in Hugging Face's cache (`models--ORG--NAME/snapshots/COMMIT`) the model's.
fn snapshot_name(path: &Path) -> Option<String> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let snapshots = path.parent().filter(|parent| parent.ends_with("snapshots"));
    let repository = snapshots.and_then(Path::parent).and_then(name);
    match repository.as_deref().and_then(|name| name.strip_prefix("models--")) {
        Some(repository) => repository.rsplit("--").next().map(str::to_owned),
        None => name(path),
    }
}

/// The licence that the head of README.md names.
fn license(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("README.md")).ok()?;
    let head = text.strip_prefix("---")?.split("\n---").next()?;
    let line = head.lines().find_map(|line| line.strip_prefix("license:"))?;
    let license = line.trim().trim_matches(['"', '\'']);
    (!license.is_empty()).then(|| license.to_owned())
}
