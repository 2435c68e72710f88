//! Calls that are prepared first and waited for without a thread, token ids as input, and a second pooling.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use connote::{
    CancellationToken, Embedder, Embedding, Error, ErrorKind, Input, Options, Pooling, Priority, Request,
    Task, Truncation,
};
use testkit::models;

fn embedder() -> Embedder {
    Embedder::open(models::builtin()).expect("the committed model opens")
}

/// Wakes a thread.
struct Alarm(Thread);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// A runtime of one future.
fn block_on<F: Future>(future: F) -> F::Output {
    let alarm = Arc::new(Alarm(thread::current()));
    let waker = Waker::from(alarm);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(Duration::from_secs(20)),
        }
    }
}

fn vectors(results: Vec<Result<Embedding, Error>>) -> Vec<Vec<f32>> {
    results.into_iter().map(|one| one.expect("a vector").vector).collect()
}

/// Some thousand tokens.
fn long(number: usize) -> Vec<String> {
    (0..number).map(|at| format!("{at} {}", "cats and mats ".repeat(80))).collect()
}

#[test]
fn what_is_submitted_is_what_is_computed() {
    let embedder = embedder();
    for texts in [vec!["one".to_owned(), "a cat on the mat".to_owned()], long(8)] {
        let call = embedder.prepare(&texts).expect("plain options");
        let tokens = call.tokens();
        let submitted = block_on(call.submit());
        let read: usize = submitted.iter().map(|one| one.as_ref().expect("a vector").tokens).sum();
        assert_eq!(read, tokens);
        assert_eq!(vectors(submitted), vectors(embedder.embed_each(&texts).expect("plain options")));
    }
    assert!(block_on(embedder.prepare(Vec::<String>::new()).expect("no texts").submit()).is_empty());
}

#[test]
fn what_is_submitted_can_be_waited_for_without_a_runtime() {
    let embedder = embedder();
    for texts in [vec![], vec!["one".to_owned()], long(8)] {
        let wanted = vectors(embedder.embed_each(&texts).expect("plain options"));
        let submit = || embedder.prepare(&texts).expect("plain options").submit();
        assert_eq!(vectors(submit().wait()), wanted);
        assert_eq!(vectors(submit().wait_listening(Duration::MAX, || panic!("never is it time to"))), wanted);
    }
    // Minutes of work, with nobody but the clock to end it.
    let texts = long(3000);
    let late = Request::new(&texts).deadline(Instant::now() + Duration::from_millis(50));
    let results = embedder.prepare(late).expect("plain options").submit().wait();
    let kind = results.last().expect("many").as_ref().expect_err("late").kind();
    assert_eq!(kind, ErrorKind::DeadlineExceeded);
}

#[test]
fn who_waits_for_what_is_submitted_may_listen() {
    let embedder = embedder();
    // Minutes of work, ended by the listener.
    let (texts, token) = (long(3000), CancellationToken::new());
    let submit = || {
        let request = Request::new(&texts).cancellation(&token);
        embedder.prepare(request).expect("plain options").submit()
    };
    let mut heard = 0;
    let here = thread::current().id();
    let results = submit().wait_listening(Duration::from_millis(5), || {
        assert_eq!(thread::current().id(), here);
        heard += 1;
        if heard == 3 {
            token.cancel();
        }
    });
    assert_eq!((heard, results.len()), (3, texts.len()));
    let kind = results.last().expect("many").as_ref().expect_err("cancelled").kind();
    assert_eq!(kind, ErrorKind::Cancelled);
    // One that panics ends the call, and its panic goes on here.
    let pending = embedder.prepare(&texts).expect("plain options").submit();
    let panicking = || pending.wait_listening(Duration::from_millis(5), || panic!("a handler"));
    let panic = catch_unwind(AssertUnwindSafe(panicking)).expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"a handler"));
    assert!(embedder.embed_one("hello").is_ok(), "the engine is free again");
}

#[test]
fn many_wait_on_one_thread() {
    let embedder = embedder();
    let texts: Vec<String> = (0..200).map(|at| format!("the text of number {at}")).collect();
    let wanted = vectors(embedder.embed_each(&texts).expect("plain options"));
    let submit = |text: &String| embedder.prepare([text]).expect("plain options").submit();
    let pending: Vec<_> = texts.iter().map(submit).collect();
    let got: Vec<Vec<f32>> = pending.into_iter().flat_map(|one| vectors(block_on(one))).collect();
    assert_eq!(got, wanted);
}

#[test]
fn a_prepared_call_knows_its_errors_and_its_priority() {
    let embedder = embedder();
    let (fits, too_long) = ("cat", "cat ".repeat(300));
    let request = Request::new([fits, &too_long]).with(Options::new().truncation(Truncation::Error));
    let call = embedder.prepare(request).expect("the options make sense");
    assert_eq!(call.tokens(), 3);
    assert_eq!(call.priority(), Priority::Interactive);
    let errors: Vec<(usize, ErrorKind)> = call.errors().map(|(index, error)| (index, error.kind())).collect();
    assert_eq!(errors, [(1, ErrorKind::TooLong)]);
    let results = block_on(call.submit());
    assert_eq!(results[0].as_ref().expect("a vector").tokens, 3);
    assert_eq!(results[1].as_ref().expect_err("too long").kind(), ErrorKind::TooLong);
    assert_eq!(embedder.prepare(long(8)).expect("plain options").priority(), Priority::Batch);
}

#[test]
fn what_is_dropped_or_cancelled_ends() {
    let embedder = Embedder::builder().threads(1).open(models::builtin()).expect("the committed model opens");
    // Minutes of work, all dropped.
    let texts = long(3000);
    for _ in 0..3 {
        drop(embedder.prepare(&texts).expect("plain options").submit());
    }
    let token = CancellationToken::new();
    let call = embedder.prepare(Request::new(&texts).cancellation(&token)).expect("plain options");
    let pending = call.submit();
    let canceller = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        token.cancel();
    });
    let begin = Instant::now();
    let results = block_on(pending);
    assert!(begin.elapsed() < Duration::from_secs(15), "it was woken");
    canceller.join().expect("it cancels");
    assert_eq!(results.len(), texts.len());
    let kind = results.last().expect("many").as_ref().expect_err("cancelled").kind();
    assert_eq!(kind, ErrorKind::Cancelled);
    // The engine is free again.
    assert!(block_on(embedder.prepare(["hello"]).expect("plain options").submit())[0].is_ok());
}

#[test]
fn the_wait_is_told() {
    let embedder = embedder();
    let mut pending = pin!(embedder.prepare(["hello"]).expect("plain options").submit());
    block_on(std::future::poll_fn(|context| pending.as_mut().poll(context).map(drop)));
    assert!(pending.waited().expect("it ran") < Duration::from_secs(20));
}

#[test]
fn token_ids_are_read_as_they_are() {
    let embedder = embedder();
    let model = embedder.model();
    let text = "a cat on the mat";
    let ids = model.tokenize(&Input::new(text), &Options::new()).expect("ids");
    let of_ids = embedder.embed_one(Input::from_ids(ids.clone())).expect("a vector");
    assert_eq!(of_ids, embedder.embed_one(text).expect("a vector"));
    let bare = ids[1..ids.len() - 1].to_vec();
    let without = embedder.embed_one(Input::from_ids(bare.clone())).expect("a vector");
    assert_eq!(without.tokens, ids.len() - 2);
    assert_ne!(without.vector, of_ids.vector);
    // What the vocabulary does not have.
    let words = model.tokenizer().vocab_size() as u32;
    let error = embedder.embed_one(Input::from_ids([words])).expect_err("no such token");
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(error.to_string().contains("vocabulary"), "{error}");
    assert_eq!(embedder.embed_one(Input::from_ids([])).expect_err("nothing").kind(), ErrorKind::NoTokens);
    // MiniLM's query prompt has no words, so ids can be queries.
    let query = Request::new([Input::from_ids(ids.clone())]).task(Task::Query);
    assert_eq!(embedder.embed(query).expect("a vector")[0].vector, of_ids.vector);
    let prompted = Request::new([Input::from_ids(ids)]).with(Options::new().prompt("query: "));
    assert_eq!(embedder.embed(prompted).expect_err("no place").kind(), ErrorKind::InvalidRequest);
}

#[test]
fn token_ids_that_are_too_many_are_cut_between_their_special_tokens() {
    let embedder = embedder();
    let model = embedder.model();
    let text = "the cat sat on the mat and looked at the dog";
    let ids = model.tokenize(&Input::new(text), &Options::new()).expect("ids");
    for truncation in [Truncation::End, Truncation::Start] {
        let options = Options::new().max_tokens(6).truncation(truncation);
        let of_text = model.prepare(&Input::new(text), &options).expect("cut");
        assert!(of_text.truncated && of_text.ids.len() == 6);
        assert_eq!(model.prepare(&Input::from_ids(ids.clone()), &options).expect("cut"), of_text);
    }
    // Ids without special tokens have the whole limit for themselves.
    let bare = &ids[1..ids.len() - 1];
    let cut = model.prepare(&Input::from_ids(bare), &Options::new().max_tokens(6)).expect("cut");
    assert_eq!(cut.ids, bare[..6]);
    let whole = Options::new().max_tokens(6).truncation(Truncation::Error);
    assert_eq!(
        model.prepare(&Input::from_ids(bare), &whole).expect_err("too long").kind(),
        ErrorKind::TooLong
    );
}

#[test]
fn another_pooling_shares_the_weights() {
    let embedder = embedder();
    let tokens = embedder.with_pooling(Pooling::None);
    let rows = tokens.embed_one("a cat on the mat").expect("vectors");
    assert_eq!(rows.rows().len(), rows.tokens);
    let wanted = Embedder::builder().pooling(Pooling::None).open(models::builtin()).expect("it opens");
    assert_eq!(rows, wanted.embed_one("a cat on the mat").expect("vectors"));
    // The first is as it was.
    assert_eq!(embedder.embed_one("a cat").expect("a vector").vector.len(), embedder.dimensions());
    let fingerprint = |embedder: &Embedder| embedder.fingerprint(&Options::new()).expect("a fingerprint");
    assert_ne!(fingerprint(&embedder), fingerprint(&tokens));
    assert_eq!(fingerprint(&tokens), fingerprint(&wanted));
}

#[test]
fn what_was_done_is_counted() {
    let embedder = embedder();
    let before = embedder.statistics();
    embedder.embed(long(4)).expect("vectors");
    let after = embedder.statistics();
    // Other tests of this process count, too.
    assert!(after.tokens >= before.tokens + 4 * 200);
    assert!(after.texts >= before.texts + 4);
    assert!(after.micro_batches > before.micro_batches);
    assert_eq!(after.fill.iter().sum::<u64>(), after.micro_batches);
    let busy =
        |statistics: &connote::Statistics| statistics.callers + statistics.workers.iter().sum::<Duration>();
    assert!(busy(&after) > busy(&before));
}
