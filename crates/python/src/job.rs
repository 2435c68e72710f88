//! A call from Python: cut into windows, computed by the pool, waited for with an ear for signals.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connote::{
    CancellationToken, Embedder, Embedding, Error, ErrorKind, Input, Options, Pending, Priority, Request,
};
use pyo3::prelude::*;

use crate::failure::Failure;
use crate::how::Given;
use crate::progress::Progress;

/// How often a call that waits asks whether Ctrl-C was pressed.
const LISTEN: Duration = Duration::from_millis(20);

/// Texts of a window: what is computed as one call of the engine. Long enough to be sorted and shared out well.
const WINDOW: Window = Window { texts: 4096, bytes: 1 << 20 };
/// The same where somebody watches the progress.
const WATCHED: Window = Window { texts: 256, bytes: 64 << 10 };
/// What takes longer to tokenize than a signal should wait is done on another thread.
const BYTES_AT_ONCE: usize = 256 << 10;

/// Ends the calls that carry it, from any thread.
#[pyclass(frozen, module = "connote._connote")]
#[derive(Default)]
pub(crate) struct Cancellation {
    token: CancellationToken,
}

impl Cancellation {
    /// What a call that carries it looks at.
    fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

#[pymethods]
impl Cancellation {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Ends the calls that carry it, now and later.
    fn cancel(&self) {
        self.token.cancel();
    }
}

/// How a call is computed: everything but texts and options.
#[derive(Default)]
pub(crate) struct Manner {
    pub(crate) token: CancellationToken,
    priority: Option<Priority>,
    deadline: Option<Instant>,
    pub(crate) progress: Progress,
}

struct Window {
    texts: usize,
    bytes: usize,
}

/// A result for each text, in their order, given to `take` as windows are done. Called without the interpreter.
///
/// # Errors
/// If the options make no sense for the model; if a signal's handler raised, with what it raised; or what `take` says.
pub(crate) fn run(
    embedder: &Arc<Embedder>,
    inputs: Vec<Input>,
    options: &Options,
    manner: &Manner,
    mut take: impl FnMut(Result<Embedding, Error>) -> PyResult<()>,
) -> PyResult<()> {
    let all = inputs.len();
    let bytes: usize = inputs.iter().map(|input| input.text().len()).sum();
    if !manner.progress.is_watched() && all <= WINDOW.texts && bytes < BYTES_AT_ONCE {
        for result in compute(embedder, inputs, options, manner)? {
            take(result)?;
        }
        return Ok(());
    }
    let window = if manner.progress.is_watched() { WATCHED } else { WINDOW };
    let mut inputs = inputs.into_iter().peekable();
    // Two at a time, so that no thread idles while the last texts of a window are computed.
    let mut running: VecDeque<Pending> = VecDeque::with_capacity(2);
    let mut done = 0;
    let mut begun = 0;
    loop {
        while begun < all && running.len() < 2 {
            let next = next(&mut inputs, &window);
            begun += next.len();
            running.push_back(begin(embedder, next, options, manner)?);
        }
        let Some(pending) = running.pop_front() else { return Ok(()) };
        for result in wait(pending, manner)? {
            take(result)?;
            done += 1;
        }
        manner.progress.tell(done, all)?;
    }
}

fn next(inputs: &mut impl Iterator<Item = Input>, window: &Window) -> Vec<Input> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    while taken.len() < window.texts && bytes < window.bytes {
        let Some(input) = inputs.next() else { break };
        bytes += input.text().len();
        taken.push(input);
    }
    taken
}

/// What is one window, and tokens at once: by this thread if it is short, which costs no change of threads.
fn compute(
    embedder: &Arc<Embedder>,
    inputs: Vec<Input>,
    options: &Options,
    manner: &Manner,
) -> PyResult<Vec<Result<Embedding, Error>>> {
    let prepared = embedder.prepare(manner.request(inputs, options)).map_err(Failure::from)?;
    if !hears_signals(manner)? {
        return Ok(prepared.compute());
    }
    hearing(manner, |listen| prepared.compute_listening(LISTEN, listen))
}

/// Whether this is the thread that Python's handlers of signals run on: the others need not wait for the interpreter.
///
/// # Errors
/// What a handler raised, which has cancelled the call: the question is Python code, which they run in.
fn hears_signals(manner: &Manner) -> PyResult<bool> {
    thread_local! {
        // With the process it is true of: whichever thread forks is the main one of the child.
        static HEARS: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
    }
    let is_main = |py: Python<'_>| -> PyResult<bool> {
        let threading = py.import("threading")?;
        threading.call_method0("main_thread")?.getattr("ident")?.eq(threading.call_method0("get_ident")?)
    };
    let process = std::process::id();
    if let Some((known, hears)) = HEARS.get()
        && known == process
    {
        return Ok(hears);
    }
    let hears = Python::attach(is_main).inspect_err(|_| manner.token.cancel())?;
    HEARS.set(Some((process, hears)));
    Ok(hears)
}

/// Tokenizes a window and hands it to the pool.
fn begin(
    embedder: &Arc<Embedder>,
    inputs: Vec<Input>,
    options: &Options,
    manner: &Manner,
) -> PyResult<Pending> {
    let bytes: usize = inputs.iter().map(|input| input.text().len()).sum();
    let request = manner.request(inputs, options);
    let prepared = match bytes {
        ..BYTES_AT_ONCE => embedder.prepare(request),
        _ => {
            let embedder = embedder.clone();
            aside(manner, move || embedder.prepare(request))?
        }
    };
    let prepared = prepared.map_err(Failure::from)?;
    Ok(prepared.submit())
}

/// Does something on another thread while this one listens. Where the call ends before, the thread is left to itself: it ends
/// behind the text at hand, and that one may be long.
///
/// # Errors
/// What a signal's handler raised, or that the call was cancelled or is late.
pub(crate) fn aside<T: Send + 'static>(
    manner: &Manner,
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let here = std::thread::current();
    let thread = std::thread::spawn(move || {
        let result = work();
        here.unpark();
        result
    });
    while !thread.is_finished() {
        std::thread::park_timeout(LISTEN);
        if !thread.is_finished() {
            manner.listen()?;
            manner.ended()?;
        }
    }
    thread.join().map_or_else(|panic| std::panic::resume_unwind(panic), Ok)
}

/// Waits for a call of the engine.
fn wait(pending: Pending, manner: &Manner) -> PyResult<Vec<Result<Embedding, Error>>> {
    if !hears_signals(manner)? {
        return Ok(pending.wait());
    }
    hearing(manner, |listen| pending.wait_listening(LISTEN, listen))
}

/// What `wait` gives, which lets the function that it is given hear signals every now and then.
///
/// # Errors
/// What a handler raised, which has cancelled the call.
fn hearing<T>(manner: &Manner, wait: impl FnOnce(&mut dyn FnMut()) -> T) -> PyResult<T> {
    let mut raised = None;
    let results = wait(&mut || {
        if raised.is_none() {
            raised = manner.listen().err();
        }
    });
    raised.map_or(Ok(results), Err)
}

impl Manner {
    /// In the order of `connote.options.Manner`, as far as it is ours.
    ///
    /// # Errors
    /// `TypeError`, which names the argument; if a name is none, or a timeout no time.
    pub(crate) fn of([progress, priority, timeout, cancel]: [&Given<'_>; 4]) -> PyResult<Self> {
        let priority = priority.text("priority")?;
        let timeout: Option<f64> = timeout.or(None, "timeout")?;
        let cancel: Option<Bound<'_, Cancellation>> = cancel.or(None, "cancel")?;
        Ok(Self {
            token: cancel.map(|cancel| cancel.get().token()).unwrap_or_default(),
            priority: priority
                .map(|name| name.parse::<Priority>())
                .transpose()
                .map_err(|said: String| Failure::invalid(said))?,
            deadline: match timeout {
                None => None,
                Some(seconds) if seconds >= 0.0 => {
                    // More than a clock can hold, infinity among it, is no deadline, as in the library.
                    Duration::try_from_secs_f64(seconds)
                        .ok()
                        .and_then(|timeout| Instant::now().checked_add(timeout))
                }
                Some(_) => return Err(Failure::invalid("a timeout is a number of seconds, from 0 on").into()),
            },
            progress: match progress {
                Given::Nothing => Progress::default(),
                Given::Value(progress) => Progress::read(progress)?,
            },
        })
    }

    fn request(&self, inputs: Vec<Input>, options: &Options) -> Request {
        let mut request = Request::new(inputs).with(options.clone()).cancellation(&self.token);
        if let Some(priority) = self.priority {
            request = request.priority(priority);
        }
        if let Some(deadline) = self.deadline {
            request = request.deadline(deadline);
        }
        request
    }

    /// Hears what handlers of signals raise, which Python lets run on its main thread only.
    fn listen(&self) -> PyResult<()> {
        Python::attach(|py| py.check_signals()).inspect_err(|_| self.token.cancel())
    }

    /// # Errors
    /// If the call was cancelled or is late.
    fn ended(&self) -> Result<(), Failure> {
        if self.token.is_cancelled() {
            return Err(Failure::new(ErrorKind::Cancelled, "the call was cancelled"));
        }
        if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.token.cancel();
            return Err(Failure::new(
                ErrorKind::DeadlineExceeded,
                "the call's time was over before its texts were tokens",
            ));
        }
        Ok(())
    }
}
