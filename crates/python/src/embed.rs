//! `Embedder.embed`, straight down from Python.
//!
//! For one text what is around the network matters, and it is slow: a model's weights have just been through the caches, so that what
//! Python, numpy and this module need comes back from memory, a line at a time, once before the network and once behind it. Hence no
//! code of Python between, no argument read that was not given, and the array made before, so that little is left to do behind.

use std::sync::OnceLock;

use half::f16;
use numpy::Element;
use pyo3::exceptions::{PyAttributeError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

use crate::capsule;
use crate::engine::{Call, Engine};
use crate::failure::Failure;
use crate::how::{Given, How};
use crate::job::Manner;
use crate::output::{Output, Rows, Value};
use crate::table::Rules;
use crate::tell;
use crate::texts;
use crate::vectors;

/// What `connote.Embedder` is made of.
#[pyclass(frozen, subclass, module = "connote._connote")]
pub(crate) struct EmbedderBase {
    engine: OnceLock<Py<Engine>>,
}

#[pymethods]
impl EmbedderBase {
    /// Without an engine: `Embedder.__init__` opens it.
    #[new]
    #[pyo3(signature = (*_arguments, **_options))]
    fn new(_arguments: &Bound<'_, PyAny>, _options: Option<&Bound<'_, PyAny>>) -> Self {
        Self { engine: OnceLock::new() }
    }

    /// What computes; set once.
    #[getter(_engine)]
    fn engine(&self) -> PyResult<&Py<Engine>> {
        self.engine.get().ok_or_else(|| {
            PyAttributeError::new_err(
                "no model is open: `connote.Embedder.__init__` was not called (a class with an `__init__` of its own calls \
                 `super().__init__(path_or_name, ...)`), or it failed",
            )
        })
    }

    /// Whether it has one.
    #[getter(_is_open)]
    fn is_open(&self) -> bool {
        self.engine.get().is_some()
    }

    #[setter(_engine)]
    fn set_engine(&self, engine: Py<Engine>) -> PyResult<()> {
        let once = "this embedder has its model already; make another embedder";
        self.engine.set(engine).map_err(|_| PyRuntimeError::new_err(once))
    }

    /// The vectors of texts, as a numpy array of shape (texts, dimensions), without a copy.
    ///
    /// Args:
    ///     texts: See :data:`Texts`. For a single ``str`` the array has one axis.
    ///     task: What the vectors are for, which chooses the model's prompt: ``"query"``, ``"document"``, ``"classification"``,
    ///         ``"clustering"``, ``"similarity"``, ...; see :attr:`prompts`. Default: none, and no prompt but the file's
    ///         :attr:`default_prompt`, which few have.
    ///     title: The title of all texts, or one for each; only document prompts have a place for it.
    ///     prompt: A prompt of your own, put before every text as it is. Not together with a task. ``""``: none, not even the
    ///         file's :attr:`default_prompt`.
    ///     dimensions: Cut vectors to this many values, and normalise them again. For Matryoshka models only.
    ///     normalize: Give vectors unit length.
    ///     truncate: What happens to texts that are longer than the limit: cut at the ``"end"`` or ``"start"`` (which is logged),
    ///         or an ``"error"``.
    ///     output: What values are written as. ``"int8"`` and ``"uint8"``: integers with a scale a vector; ``"binary"`` and
    ///         ``"ubinary"``: signs, eight a byte.
    ///     max_tokens: A limit in tokens instead of the model's.
    ///     progress: See :data:`Progress`.
    ///     priority: ``"interactive"`` or ``"batch"``, where calls meet. Default: by size.
    ///     timeout: Seconds after which the call is of no use.
    ///     cancel: A :class:`Cancellation`.
    ///     strict: ``False``: a text that is ``None`` or fails has a row of NaN, and why it failed is logged. Not with integers,
    ///         which have no NaN.
    ///
    /// Raises:
    ///     ConnoteError: For the first text that fails, with its index; see :meth:`embed_each`.
    ///     KeyboardInterrupt: Within 100 ms of Ctrl-C, and the work ends.
    #[pyo3(
        signature = (texts, task=Given::Nothing, title=Given::Nothing, prompt=Given::Nothing, dimensions=Given::Nothing,
            normalize=Given::Nothing, truncate=Given::Nothing, output=Given::Nothing, *, max_tokens=Given::Nothing,
            progress=Given::Nothing, priority=Given::Nothing, timeout=Given::Nothing, cancel=Given::Nothing,
            strict=Given::Nothing),
        text_signature = "($self, texts, task=None, title=None, prompt=None, dimensions=None, normalize=True, truncate='end', \
            output='float32', *, max_tokens=None, progress=None, priority=None, timeout=None, cancel=None, strict=True)"
    )]
    #[expect(clippy::too_many_arguments, reason = "Python's arguments, as people know them")]
    fn embed<'py>(
        &self,
        texts: &Bound<'py, PyAny>,
        task: Given<'py>,
        title: Given<'py>,
        prompt: Given<'py>,
        dimensions: Given<'py>,
        normalize: Given<'py>,
        truncate: Given<'py>,
        output: Given<'py>,
        max_tokens: Given<'py>,
        progress: Given<'py>,
        priority: Given<'py>,
        timeout: Given<'py>,
        cancel: Given<'py>,
        strict: Given<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = texts.py();
        vectors::import_numpy(py)?;
        let rules = Rules::of(&output, &strict, false)?;
        if !rules.strict && !rules.output.has_nan() {
            let message = format!(
                "strict=False with output '{}': integers cannot say that a text has no vector; `embed_arrow` gives a null \
                 row, `embed_each` the reason",
                rules.output.name()
            );
            return Err(Failure::invalid(message).raise(py));
        }
        let (one, rows) = match texts.cast::<PyString>() {
            Ok(text) => (true, vec![texts::unicode(text).map(Some)]),
            Err(_) => (false, texts::read(texts)?),
        };
        let how = How::of([task, title, prompt, dimensions, normalize, truncate, max_tokens])?;
        let call = self.engine()?.get().call(py, rows, how, rules)?;
        let manner = Manner::of([&progress, &priority, &timeout, &token(py, cancel)?])?;
        match rules.output {
            Output::Float32 => array::<f32>(py, call, manner, one),
            Output::Float16 => array::<f16>(py, call, manner, one),
            Output::Int8 | Output::Binary => array::<i8>(py, call, manner, one),
            Output::Uint8 | Output::Ubinary => array::<u8>(py, call, manner, one),
        }
    }
}

/// The vectors of a call; `one`: as one of them, of one axis.
fn array<T: Element + Value + Send>(
    py: Python<'_>,
    call: Call,
    manner: Manner,
    one: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let (shape, limit, output) = ([call.len(), call.width], call.limit, call.rules.output);
    let shape = if one { &shape[1..] } else { &shape[..] };
    capsule::array(py, shape, |memory: &mut [T]| {
        let table = py.detach(|| call.compute(&manner, Rows::lent(output, memory)))?;
        assert!(table.is_full(), "a row a text");
        // A bar ends before anything is logged below it.
        drop(manner);
        tell::cut(py, table.truncated(), limit)?;
        tell::failures(py, table.failures())
    })
}

/// What the engine looks at, of a `connote.Cancellation`.
fn token<'py>(py: Python<'py>, cancel: Given<'py>) -> PyResult<Given<'py>> {
    static TOKEN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(match cancel {
        Given::Value(cancel) if !cancel.is_none() => {
            Given::Value(TOKEN.import(py, "connote.cancellation", "token")?.call1((cancel,))?)
        }
        _ => Given::Nothing,
    })
}
