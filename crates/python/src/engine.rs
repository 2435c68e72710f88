//! A model with its weights packed, as Python holds it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use connote::{Embedder, Model, Options, Policy, Pooling, Task, Tuning};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::failure::Failure;
use crate::how::{Given, How, Inputs};
use crate::job::{self, Manner};
use crate::output::Rows;
use crate::table::{Rules, Table};
use crate::tell;
use crate::texts::{self, Row};
use crate::vectors::Vectors;

/// A model with its weights packed.
#[pyclass(frozen, module = "connote._connote")]
pub(crate) struct Engine {
    embedder: Arc<Embedder>,
    /// Threads do not survive a fork, and a call of thousands of texts would be left to one: a child is told, and opens its own.
    process: u32,
}

#[pymethods]
impl Engine {
    /// Opens a file, and packs its weights.
    #[new]
    #[pyo3(signature = (path, *, threads, parallelism, policy, preset, pooling, cpu_level, cache_dir, share_weights))]
    #[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        threads: Given<'_>,
        parallelism: &str,
        policy: &str,
        preset: &str,
        pooling: Option<&str>,
        cpu_level: Option<&str>,
        cache_dir: Option<PathBuf>,
        share_weights: bool,
    ) -> PyResult<Self> {
        let threads: usize = threads.or(0, "threads")?;
        let invalid = |said: String| Failure::invalid(said);
        let tuning = Tuning::new()
            .policy(policy.parse::<Policy>().map_err(invalid)?)
            .parallelism(parallelism.parse().map_err(invalid)?)
            .preset(preset.parse().map_err(invalid)?);
        let mut builder = Embedder::builder().threads(threads).tuning(tuning).shared_weights(share_weights);
        if let Some(pooling) = pooling {
            builder = builder.pooling(pooling.parse::<Pooling>().map_err(invalid)?);
        }
        if let Some(level) = cpu_level {
            let level =
                level.parse().map_err(|error: connote::kernels::LevelError| invalid(error.to_string()))?;
            builder = builder.level(level);
        }
        if let Some(folder) = cache_dir {
            builder = builder.cache_dir(folder);
        }
        // On another thread, so that a signal is heard meanwhile: a network's file system may never answer.
        let open = move || Model::open(path).and_then(|model| builder.load(model)).map_err(Failure::from);
        let embedder = py.detach(|| job::aside(&Manner::default(), open))??;
        Ok(Self { embedder: Arc::new(embedder), process: std::process::id() })
    }

    /// Vectors of texts in one block of memory. Texts that are `None` or fail have none: `failures` says which and why,
    /// unless `strict`, where the first of them is raised. What was cut is logged.
    fn vectors(
        &self,
        texts: &Bound<'_, PyAny>,
        how: &Bound<'_, PyTuple>,
        manner: &Bound<'_, PyTuple>,
        per_token: bool,
    ) -> PyResult<Vectors> {
        let py = texts.py();
        let [progress, priority, timeout, cancel, output, strict] = Given::each(manner)?;
        let rules = Rules::of(&output, &strict, per_token)?;
        let call = self.call(py, texts::read(texts)?, How::read(how)?, rules)?;
        let manner = Manner::of([&progress, &priority, &timeout, &cancel])?;
        let values = if per_token { 0 } else { call.len() * call.width };
        let rows = Rows::growing(rules.output, values);
        let limit = call.limit;
        let vectors = py.detach(|| call.compute(&manner, rows))?.finish();
        // A bar ends before anything is logged below it.
        drop(manner);
        tell::cut(py, &vectors.truncated, limit)?;
        Ok(vectors)
    }

    /// Microseconds of so many calls of the library for these texts, without Python: what `scripts/python/measure.py` holds
    /// `Embedder.embed` against, in the same process, for two processes differ by more than what it looks for.
    fn call_times(&self, py: Python<'_>, texts: Vec<String>, calls: usize) -> PyResult<Vec<f64>> {
        self.same_process()?;
        py.detach(|| {
            let time = |_| {
                let begin = Instant::now();
                self.embedder.embed(&texts).map_err(Failure::from)?;
                Ok(begin.elapsed().as_secs_f64() * 1e6)
            };
            (0..calls).map(time).collect()
        })
    }

    /// The token ids of each text as the network reads them, cut as the options say; raises for the first that fails.
    fn tokenize(
        &self,
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        how: &Bound<'_, PyTuple>,
    ) -> PyResult<Vec<Vec<u32>>> {
        self.prepared(py, texts, how, |ids| ids)
    }

    /// How many they are.
    fn count_tokens(
        &self,
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        how: &Bound<'_, PyTuple>,
    ) -> PyResult<Vec<usize>> {
        self.prepared(py, texts, how, |ids| ids.len())
    }

    /// The name of the vector space.
    fn fingerprint(&self, py: Python<'_>, how: &Bound<'_, PyTuple>) -> PyResult<String> {
        let how = How::read(how)?;
        let options = how.options()?;
        let inputs = how.inputs(self.embedder.model(), &options, vec![Ok(Some(String::new()))])?;
        let input = inputs.there.into_iter().next().unwrap_or_default();
        let fingerprint = py.detach(|| self.embedder.fingerprint_of(&input, &options));
        Ok(fingerprint.map_err(Failure::from)?.to_string())
    }

    /// Takes now the memory that workers will need for the longest texts.
    fn reserve(&self, py: Python<'_>) {
        py.detach(|| self.embedder.reserve());
    }

    /// The model's own name, as its file has it.
    #[getter]
    fn name(&self) -> &str {
        self.embedder.model().name()
    }

    /// Values of a whole vector.
    #[getter]
    fn dimensions(&self) -> usize {
        self.embedder.dimensions()
    }

    /// Tokens a text may have.
    #[getter]
    fn max_tokens(&self) -> usize {
        self.embedder.model().max_tokens()
    }

    /// Tokens the network can read at most.
    #[getter]
    fn context_length(&self) -> usize {
        self.embedder.model().context_length()
    }

    /// Tasks that have a prompt, by the file or by the model's authors.
    #[getter]
    fn tasks(&self) -> Vec<(String, String)> {
        let each = self.embedder.model().prompts().iter();
        each.map(|(task, prompt)| (task.to_string(), prompt.to_string())).collect()
    }

    /// The file's own prompts, by the names that its authors gave them.
    #[getter]
    fn stated_prompts(&self) -> Vec<(String, String)> {
        self.embedder.model().stated_prompts().to_vec()
    }

    /// The task that a name means, by its own name; `None` if it means none.
    #[staticmethod]
    fn task_named(name: &str) -> Option<String> {
        name.parse().ok().map(|task: Task| task.to_string())
    }

    /// Raises if texts could not be embedded so, whatever they are.
    fn check(&self, how: &Bound<'_, PyTuple>) -> PyResult<()> {
        let how = How::read(how)?;
        Ok(self.embedder.model().check_options(&how.options()?).map_err(Failure::from)?)
    }

    /// What goes before texts that are given neither a task nor a prompt.
    #[getter]
    fn default_prompt(&self) -> &str {
        self.embedder.model().default_prompt()
    }

    /// Whether the authors' own stack gives vectors unit length; `None` where nobody says.
    #[getter]
    fn normalizes(&self) -> Option<bool> {
        self.embedder.model().normalizes()
    }

    /// How rows become a vector.
    #[getter]
    fn pooling(&self) -> String {
        self.embedder.pooling().to_string()
    }

    /// Threads that work on a call.
    #[getter]
    fn threads(&self) -> usize {
        self.embedder.threads()
    }

    /// What a user should hear before trusting the vectors.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.embedder.warnings()
    }
}

/// Texts that are to become vectors, all options read.
pub(crate) struct Call {
    embedder: Arc<Embedder>,
    inputs: Inputs,
    options: Options,
    pub(crate) rules: Rules,
    /// Values a row.
    pub(crate) width: usize,
    /// Tokens that a text may have.
    pub(crate) limit: usize,
}

impl Call {
    /// How many texts.
    pub(crate) fn len(&self) -> usize {
        self.inputs.len()
    }

    /// The vectors, written to `rows`. Without the interpreter.
    ///
    /// # Errors
    /// As [`job::run`]; for the first text that fails, where the rules are strict.
    pub(crate) fn compute<'a>(self, manner: &Manner, rows: Rows<'a>) -> PyResult<Table<'a>> {
        let mut table = Table::new(self.rules, self.len(), self.width, rows);
        let Inputs { there, absent } = self.inputs;
        let mut absent = absent.into_iter().peekable();
        job::run(&self.embedder, there, &self.options, manner, |result| {
            while let Some((_, why)) = absent.next_if(|(index, _)| *index == table.len()) {
                table.push_absent(why);
            }
            table.push(result)
        })?;
        absent.for_each(|(_, why)| table.push_absent(why));
        Ok(table)
    }
}

impl Engine {
    /// # Errors
    /// In a forked child of the process that opened it.
    fn same_process(&self) -> PyResult<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(PyRuntimeError::new_err(
            "this embedder was opened in the parent of this forked process, whose threads are not here. Open one in the child (one \
             that is sent to it, as an argument of a multiprocessing.Pool's task, opens itself), or start processes with the method \
             `spawn` or `forkserver`",
        ))
    }

    /// # Errors
    /// If options make no sense for this model; if a text is not there, where the rules are strict.
    pub(crate) fn call(&self, py: Python<'_>, rows: Vec<Row>, how: How<'_>, rules: Rules) -> PyResult<Call> {
        self.same_process()?;
        let options = how.options()?;
        let inputs = how.inputs(self.embedder.model(), &options, rows)?;
        if rules.strict {
            inputs.all_there("is None; `embed_arrow` gives a null row for it")?;
        }
        let embedder = match (rules.per_token, self.embedder.pooling()) {
            (true, Pooling::None) | (false, _) => self.embedder.clone(),
            (true, _) => Arc::new(self.embedder.with_pooling(Pooling::None)),
        };
        if !rules.per_token && embedder.pooling() == Pooling::None {
            let message = "with pooling `none` a text has a vector a token: use `embed_tokens`";
            return Err(Failure::invalid(message).raise(py));
        }
        let dimensions = embedder.model().check_dimensions(how.dimensions).map_err(Failure::from)?;
        let limit = how.max_tokens.unwrap_or_else(|| embedder.model().max_tokens());
        Ok(Call { embedder, inputs, options, rules, width: rules.output.width(dimensions), limit })
    }

    fn prepared<T: Send + 'static>(
        &self,
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        how: &Bound<'_, PyTuple>,
        of: impl Fn(Vec<u32>) -> T + Send + 'static,
    ) -> PyResult<Vec<T>> {
        self.same_process()?;
        let how = How::read(how)?;
        let options = how.options()?;
        let inputs = how.inputs(self.embedder.model(), &options, texts::read(texts)?)?;
        inputs.all_there("is None")?;
        let inputs = inputs.there;
        let manner = Manner::default();
        let (embedder, token) = (self.embedder.clone(), manner.token.clone());
        let work = move || {
            let model = embedder.model();
            let mut all = Vec::with_capacity(inputs.len());
            for (index, input) in inputs.iter().enumerate() {
                if token.is_cancelled() {
                    break;
                }
                let ids = model.prepare(input, &options).map_err(|error| Failure::from(error).at(index))?;
                all.push(of(ids.ids));
            }
            Ok::<_, Failure>(all)
        };
        Ok(py.detach(|| job::aside(&manner, work))??)
    }
}

/// Cores that this process may use, by affinity and cgroup limits.
#[pyfunction]
pub(crate) fn available_cores() -> usize {
    connote::threads::Topology::detect().cores_in_quota()
}

/// Threads that this process may use: by affinity and cgroup limits, and as `CONNOTE_THREADS` and its like say.
#[pyfunction]
pub(crate) fn available_threads() -> usize {
    connote::threads::Topology::detect().workers()
}
