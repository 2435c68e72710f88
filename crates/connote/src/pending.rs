//! A call between its texts and its vectors: token ids that are ready, and a future of the vectors.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::embedder::failed;
use crate::embedding::{Cut, Embedding, finish};
use crate::engine::Engine;
use crate::error::Error;
use crate::pool::{Answer, Call, Listener, Pool};
use crate::prepare::Prepared;
use crate::request::Options;
use crate::schedule::{Failure, Listening, Priority, Schedule};

/// A call whose texts are token ids already; see [`Embedder::prepare`](crate::Embedder::prepare).
#[must_use = "nothing is computed before `compute` or `submit`"]
pub struct PreparedCall {
    texts: Texts,
    ids: Vec<Vec<u32>>,
    engine: Arc<Engine>,
    pool: Arc<Pool>,
    schedule: Schedule,
}

/// What becomes of the rows of each text.
struct Texts {
    /// Tokens, and whether it was cut; or why there are none.
    each: Vec<Result<(usize, bool), Error>>,
    /// Values of a whole vector.
    width: usize,
    reply: Reply,
}

/// What the rows become.
pub(crate) enum Reply {
    /// Vectors, cut so.
    Vectors { options: Options, cut: Cut },
    /// The outputs of a head, as they are.
    Scores,
}

impl PreparedCall {
    pub(crate) fn new(
        prepared: impl Iterator<Item = Result<Prepared, Error>>,
        engine: Arc<Engine>,
        pool: Arc<Pool>,
        reply: Reply,
        schedule: Schedule,
    ) -> Self {
        let mut ids = Vec::new();
        let each = prepared.map(|one| {
            one.map(|Prepared { ids: own, truncated }| {
                let known = (own.len(), truncated);
                ids.push(own);
                known
            })
        });
        let each = each.collect();
        let width = engine.width();
        Self { texts: Texts { each, width, reply }, ids, engine, pool, schedule }
    }

    /// Tokens that the network will read, of all texts.
    pub fn tokens(&self) -> usize {
        self.ids.iter().map(Vec::len).sum()
    }

    /// Who goes first: as the request says, else by its size.
    pub fn priority(&self) -> Priority {
        self.schedule.priority_of(self.tokens())
    }

    /// Texts that can have no vector, by their index, and why.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &Error)> {
        let each = self.texts.each.iter().enumerate();
        each.filter_map(|(index, one)| Some((index, one.as_ref().err()?)))
    }

    /// A result for every text, in their order, when all are computed; this thread helps.
    pub fn compute(self) -> Vec<Result<Embedding, Error>> {
        let Self { texts, ids, engine, pool, schedule } = self;
        texts.finish(pool.run(Call::new(engine, ids, schedule)))
    }

    /// As [`compute`](Self::compute), for a thread that must listen to something else meanwhile, as a host's main thread to
    /// its signals: `listen` is called on this thread so often. It may cancel the call by its token, make calls of its own, and
    /// wait for those of other threads. If it panics the call ends, and the panic goes on here.
    ///
    /// A request with a token or a deadline is computed by this thread only where half a layer takes some 20 ms at most, which
    /// `listen` then may wait; else by the pool's threads. Without them this thread computes whatever it is. Where the system
    /// starts no threads, and in a forked process, nothing is heard before the end.
    pub fn compute_listening(
        self,
        every: Duration,
        mut listen: impl FnMut(),
    ) -> Vec<Result<Embedding, Error>> {
        let Self { texts, ids, engine, pool, schedule } = self;
        let call = Arc::new(Call::new(engine, ids, schedule));
        texts.finish(pool.run_listening(&call, &mut Listener::new(every, &mut listen)))
    }

    /// Begins, and returns at once: for async programs, under whatever runtime.
    pub fn submit(self) -> Pending {
        let Self { texts, ids, engine, pool, schedule } = self;
        let call = Arc::new(Call::new(engine, ids, schedule));
        let listening = call.schedule.cancellation.clone().map(|token| {
            let call = Arc::downgrade(&call);
            token.listen(move || {
                if let Some(call) = call.upgrade() {
                    call.wake();
                }
            })
        });
        pool.submit(&call);
        Pending { call, texts: Some(texts), _listening: listening }
    }
}

impl Texts {
    fn finish(self, answers: Vec<Answer>) -> Vec<Result<Embedding, Error>> {
        let Self { each, width, reply } = self;
        let mut answers = answers.into_iter();
        let finished = each.into_iter().map(|text| {
            let (tokens, truncated) = text?;
            let answer = answers.next().unwrap_or_else(|| Err(Failure::Panicked("no answer".to_owned())));
            let rows = answer.map_err(failed)?;
            let (vector, dimensions) = match &reply {
                Reply::Vectors { options, cut } => (finish(&rows, width, *cut, options)?, cut.dimensions),
                Reply::Scores => (rows, width),
            };
            Ok(Embedding { vector, dimensions, tokens, truncated })
        });
        finished.collect()
    }
}

/// The results of a call that is computed meanwhile, a result a text, in their order.
///
/// Dropping it ends the call: its work stops within half a layer. A future has no clock of its own: where the call has a
/// deadline, its work ends then, and this is ready when it is polled after it; who waits for it sets a timer.
#[must_use = "dropping it ends the call"]
pub struct Pending {
    call: Arc<Call>,
    texts: Option<Texts>,
    _listening: Option<Listening>,
}

impl Pending {
    /// How long the call waited until the first of its texts began; `None` before that.
    pub fn waited(&self) -> Option<Duration> {
        self.call.waited()
    }

    /// Waits on this thread: for programs without a runtime that do something else between a call's beginning and its end. It
    /// keeps to the call's deadline by itself. Not after it was polled to its end.
    pub fn wait(self) -> Vec<Result<Embedding, Error>> {
        self.wait_with(&mut Listener::none())
    }

    /// As [`wait`](Self::wait), while `listen` is called on this thread so often, as in
    /// [`PreparedCall::compute_listening`]; but nothing is computed here, so that it is never called late.
    pub fn wait_listening(self, every: Duration, mut listen: impl FnMut()) -> Vec<Result<Embedding, Error>> {
        self.wait_with(&mut Listener::new(every, &mut listen))
    }

    fn wait_with(mut self, listener: &mut Listener<'_>) -> Vec<Result<Embedding, Error>> {
        let Some(texts) = self.texts.take() else { panic!("`Pending` was waited for after it was ready") };
        let answers = self.call.wait(listener);
        listener.go_on_panicking();
        texts.finish(answers)
    }
}

impl Future for Pending {
    type Output = Vec<Result<Embedding, Error>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.call.poll(context.waker()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(answers) => match self.texts.take() {
                Some(texts) => Poll::Ready(texts.finish(answers)),
                None => panic!("`Pending` was polled after it was ready"),
            },
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.call.abandon();
    }
}
