//! The models that are served, by name.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use connote::{Embedder, Options, Pooling, Reranker, Task};

use crate::Event;
use crate::error::Error;
use crate::fault::{Fault, FaultKind};

/// A model and its name.
pub(crate) struct Served {
    /// What requests call it.
    pub(crate) name: String,
    pub(crate) embedder: Arc<Embedder>,
    /// The space of its whole vectors without a task.
    pub(crate) fingerprint: String,
    /// Since when it is served.
    pub(crate) since: SystemTime,
    per_token: OnceLock<Embedder>,
    /// The same model scoring pairs, where it has a head for that.
    reranker: Option<Reranker>,
}

impl Served {
    /// What an operator hears of it.
    pub(crate) fn event(&self) -> Event {
        Event::Model {
            name: self.name.clone(),
            dimensions: self.embedder.dimensions(),
            fingerprint: self.fingerprint.clone(),
            has_prompts: self.has_prompts(),
            is_reranker: self.is_reranker(),
        }
    }

    /// Whether any of its tasks puts words before the texts.
    fn has_prompts(&self) -> bool {
        self.embedder.model().prompts().iter().any(|(_, template)| !template.is_wordless())
    }

    /// Whether it scores pairs and gives no vectors.
    pub(crate) fn is_reranker(&self) -> bool {
        self.embedder.is_reranker()
    }

    /// What it does, and so which routes take it: `embedding`, as Ollama calls it, `rerank`, or both.
    pub(crate) fn capabilities(&self) -> Vec<&'static str> {
        let embedding = (!self.is_reranker()).then_some("embedding");
        embedding.into_iter().chain(self.reranker.is_some().then_some("rerank")).collect()
    }

    /// What scores pairs.
    pub(crate) fn reranker(&self) -> Result<&Reranker, Fault> {
        self.reranker.as_ref().ok_or_else(|| {
            let message = format!(
                "the model `{}` gives vectors and scores no pairs of texts; name a reranker that is served, or start the \
                 server with one",
                self.name
            );
            Fault::invalid(message).param("model")
        })
    }

    /// Refuses to make vectors of a model that has none.
    pub(crate) fn check_gives_vectors(&self) -> Result<(), Fault> {
        if !self.is_reranker() {
            return Ok(());
        }
        let message = format!(
            "the model `{}` is a reranker, which scores pairs of texts (POST /rerank) and gives no vectors; name another model",
            self.name
        );
        Err(Fault::invalid(message).param("model"))
    }

    /// Takes the memory that its work will need.
    pub(crate) fn reserve(&self) {
        let reranker = self.reranker.as_ref().filter(|_| self.is_reranker());
        reranker.map_or(&*self.embedder, Reranker::embedder).reserve();
    }

    /// The same model with a vector a token.
    pub(crate) fn per_token(&self) -> &Embedder {
        self.per_token.get_or_init(|| self.embedder.with_pooling(Pooling::None))
    }
}

/// All of them; at least one.
pub(crate) struct Models(Vec<Arc<Served>>);

/// What a request's `model` means.
pub(crate) struct Chosen {
    pub(crate) served: Arc<Served>,
    /// That the name asks for, as `NAME:query` does.
    pub(crate) task: Option<Task>,
}

impl Models {
    pub(crate) fn new(models: Vec<(String, Arc<Embedder>)>) -> Result<Self, Error> {
        if models.is_empty() {
            return Err(Error::NoModel);
        }
        let mut all: Vec<Arc<Served>> = Vec::new();
        for (name, embedder) in models {
            if embedder.pooling() == Pooling::None {
                return Err(Error::VectorsPerToken);
            }
            if all.iter().any(|served| same(&served.name, &name)) {
                return Err(Error::SameName(name));
            }
            // The first time it hashes the model's file: no request should wait for it, nor should it meet another file
            // in this one's place.
            let fingerprint = embedder.fingerprint(&Options::new()).map_err(Error::Model)?.to_string();
            let scores = embedder.model().scoring().is_some();
            let reranker = scores.then(|| embedder.reranker()).transpose().map_err(Error::Model)?;
            all.push(Arc::new(Served {
                name,
                embedder,
                fingerprint,
                since: SystemTime::now(),
                per_token: OnceLock::new(),
                reranker,
            }));
        }
        Ok(Self(all))
    }

    pub(crate) fn all(&self) -> &[Arc<Served>] {
        &self.0
    }

    /// The one that is meant where none is named.
    pub(crate) fn first(&self) -> &Arc<Served> {
        &self.0[0]
    }

    /// The one that is meant where vectors are asked for of none by name; a reranker only where there is nothing else.
    pub(crate) fn first_of_vectors(&self) -> &Arc<Served> {
        self.all().iter().find(|served| !served.is_reranker()).unwrap_or(self.first())
    }

    /// The model of a request. Where one is served it is meant, whatever it is called: clients have names of their own. Where
    /// several are, the first that gives vectors is meant by a request that names none.
    pub(crate) fn choose(&self, asked: Option<&str>) -> Result<Chosen, Fault> {
        let only = match self.all() {
            [only] => Some(only),
            _ => None,
        };
        self.choose_or(asked.unwrap_or("").trim(), only)
    }

    /// The model of that name, as requests may have it: none is meant by another.
    pub(crate) fn retrieve(&self, name: &str) -> Result<Arc<Served>, Fault> {
        Ok(self.choose_or(name.trim(), None)?.served)
    }

    fn choose_or(&self, asked: &str, otherwise: Option<&Arc<Served>>) -> Result<Chosen, Fault> {
        if let Some(served) = self.named(asked) {
            return Ok(Chosen { served, task: None });
        }
        // A task in the user's words may have colons of its own.
        let (name, tag) = match asked.find(":custom:") {
            Some(at) => (&asked[..at], &asked[at + 1..]),
            None => asked.rsplit_once(':').unwrap_or((asked, "")),
        };
        let served = match (self.named(name), otherwise) {
            (Some(served), _) => served,
            (None, Some(served)) => served.clone(),
            (None, _) if asked.is_empty() => self.first_of_vectors().clone(),
            _ => {
                let names: Vec<&str> = self.all().iter().map(|served| served.name.as_str()).collect();
                let message = format!("model `{asked}` not found; there is {}", names.join(", "));
                return Err(Fault::new(FaultKind::UnknownModel, message).param("model"));
            }
        };
        let task = match tag.parse() {
            Ok(task) => Some(task),
            Err(why) if tag.starts_with("custom:") => return Err(Fault::invalid(why).param("model")),
            // Other tags are versions, as Ollama's `:latest`.
            Err(_) => None,
        };
        Ok(Chosen { served, task })
    }

    /// The model of a request for scores; one that names none means the first that gives them.
    pub(crate) fn choose_reranker(&self, asked: Option<&str>) -> Result<Arc<Served>, Fault> {
        let first = self.all().iter().find(|served| served.reranker.is_some());
        match (asked.unwrap_or("").trim(), first) {
            ("", Some(first)) => Ok(first.clone()),
            _ => Ok(self.choose(asked)?.served),
        }
    }

    fn named(&self, name: &str) -> Option<Arc<Served>> {
        let own =
            |served: &&Arc<Served>| same(&served.name, name) || same(served.embedder.model().name(), name);
        self.all().iter().find(own).cloned()
    }
}

fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
