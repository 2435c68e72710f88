//! An input that is changed while it is read: nothing that was read of it becomes part of the output.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use connote::{Embedder, Options};
use connote_bulk::{
    Answering, Destination, Error, ErrorKind, Job, Observer, OutputFormat, Plan, Precision, Progress,
    Results, SinkOptions, Source, SourceOptions, Space, Spaces, Summary, run,
};
use testkit::tiny;

const PART: u64 = 1024;

/// Does something to the input as soon as rows of it are computed.
struct Meddler<F: Fn() + Sync> {
    meddle: F,
    done: AtomicBool,
}

impl<F: Fn() + Sync> Observer for Meddler<F> {
    fn begun(&self, _done: u64, _rows: Option<u64>) {}
    fn computed(&self, _results: &Results, _passed: u64, _position: Progress) {
        if !self.done.swap(true, Ordering::Relaxed) {
            (self.meddle)();
        }
    }
    fn committed(&self, _rows: u64) {}
    fn complete(&self) {}
    fn note(&self, line: &str) {
        panic!("{line}");
    }
}

fn opened(input: &Path) -> Result<Source, Error> {
    Source::open(&SourceOptions { inputs: vec![input.to_path_buf()], ..SourceOptions::default() })
}

fn embed(input: &Path, output: &Path, meddle: impl Fn() + Sync) -> Result<Summary, Error> {
    let embedder = Embedder::from_bytes(tiny::bert(1)).expect("a model");
    let options = Options::new();
    let source = opened(input)?;
    let space = Space {
        model: "tiny".to_owned(),
        fingerprint: embedder.fingerprint(&options)?.to_string(),
        dimensions: embedder.dimensions(),
        normalized: true,
        task: None,
        prompt: None,
    };
    let sink = SinkOptions {
        format: OutputFormat::Jsonl,
        precision: Precision::F32,
        schema: source.schema(),
        space,
        created_by: "connote 0".to_owned(),
        per_token: false,
    };
    let part_rows = NonZeroU64::new(PART).expect("some");
    let plan = Plan { input: source.identity()?, settings: BTreeMap::new(), part_rows, shard: None, sink };
    let job = Job { source, plan, destination: Destination::File(output.to_owned()), restart: false };
    let mut answering = Answering::new(&embedder, options.clone(), None, None);
    let mut spaces = Spaces::new(&embedder, &options)?;
    run(job, &mut answering, &mut spaces, &Meddler { meddle, done: AtomicBool::new(false) })
}

fn texts(last: &str) -> String {
    (0..2 * PART + 100).map(|row| format!("text {row}\n")).chain([format!("{last}\n")]).collect()
}

#[test]
fn a_changed_input_ends_the_run_before_a_part_of_it_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output, whole) =
        (folder.path().join("a.txt"), folder.path().join("a.jsonl"), folder.path().join("whole.jsonl"));
    fs::write(&input, texts("cat")).expect("written");
    embed(&input, &whole, || ()).expect("undisturbed");
    // Of the same size, so that only the content tells.
    let error = embed(&input, &output, || fs::write(&input, texts("dog")).expect("written"));
    let error = error.expect_err("changed");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.to_string().contains("a.txt: was changed while it was read"), "{error}");
    assert!(!output.exists());
    // Other content is refused, and with the old one the same run goes on and mixes nothing.
    let error = embed(&input, &output, || ()).expect_err("another input").to_string();
    assert!(error.contains("the input") && error.contains("SHA-256"), "{error}");
    fs::write(&input, texts("cat")).expect("written");
    embed(&input, &output, || ()).expect("goes on");
    assert_eq!(fs::read(&output).expect("read"), fs::read(&whole).expect("read"));
}

#[test]
fn an_input_that_is_written_anew_and_holds_what_it_held_is_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("a.txt"), folder.path().join("a.jsonl"));
    fs::write(&input, texts("cat")).expect("written");
    let summary = embed(&input, &output, || {
        let copy = folder.path().join("copy");
        fs::write(&copy, texts("cat")).expect("written");
        fs::rename(&copy, &input).expect("in its place");
    });
    assert_eq!(summary.expect("complete").rows, 2 * PART + 101);
}

/// Cut short and filled again, as `cp` does: a reader may have met its end in between.
#[test]
fn an_input_that_is_written_to_is_changed_whatever_it_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("a.txt"), folder.path().join("a.jsonl"));
    fs::write(&input, texts("cat")).expect("written");
    let error = embed(&input, &output, || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&input, texts("cat")).expect("written");
    });
    assert_eq!(error.expect_err("changed").kind(), ErrorKind::Mismatch);
    assert!(!output.exists());
    assert_eq!(embed(&input, &output, || ()).expect("goes on").rows, 2 * PART + 101);
}

#[test]
fn an_input_that_is_changed_between_opening_and_hashing_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let input = folder.path().join("a.txt");
    fs::write(&input, texts("cat")).expect("written");
    let source = opened(&input).expect("opened");
    fs::write(&input, texts("a longer last line")).expect("written");
    let error = source.identity().expect_err("changed").to_string();
    assert!(error.contains("a.txt: was changed") && error.contains("run it again"), "{error}");
}
