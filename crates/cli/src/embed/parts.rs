//! Texts of files, vectors in parts that are committed one by one: interrupted at any moment, finished exactly once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulk::{
    Answering, DEFAULT_PART_ROWS, Destination, Job, Observer, OutputFormat, Plan, Progress as Position,
    Results, SinkOptions, Spaces, Summary,
};
use connote::Embedder;

use super::stream::{explain_rows, sums};
use super::{EmbedArgs, Place, Task, tell_failed, tell_other_spaces};
use crate::aside::follow_links;
use crate::failure::{Failure, Outcome};
use crate::interrupt::{self, Ending};
use crate::progress::{Progress, ProgressForm};
use crate::rows::Rows;
use crate::say::say;

pub(super) fn run(task: Task<'_>, place: &Place, format: OutputFormat) -> Result<Outcome, Failure> {
    let destination = match place {
        Place::Folder(path) => Destination::Folder(path.clone()),
        Place::File(path) | Place::Device(path) => {
            Destination::File(follow_links(path).map_err(|error| Failure::writing(path.display(), &error))?)
        }
        Place::Stdout => return Err(Failure::usage("parts need a place to lie in; name one with --output")),
    };
    let sink = task.sink(format)?;
    let Task { args, rows, embedder, options, title, share, loading } = task;
    let Rows::Source(source) = rows else {
        return Err(Failure::usage("parts are of files; name them with --input"));
    };
    let plan = Plan {
        input: source.identity()?,
        settings: settings(args, &sink),
        part_rows: args.result.part_rows.unwrap_or(DEFAULT_PART_ROWS),
        shard: args.result.shard,
        sink,
    };
    let resumable = !plan.input.is_empty();
    if !resumable && !args.quiet {
        say(format_args!(
            "Texts from a pipe cannot be read again: if this run is interrupted, it has to be begun anew."
        ));
    }
    let mut answering = Answering::new(&embedder, options.clone(), title, share);
    let form = if args.quiet { ProgressForm::None } else { args.progress };
    let mut progress = Progress::new(form, loading, false);
    if let Some(shard) = args.result.shard {
        progress = progress.share_of(shard.of());
    }
    let mut spaces = Spaces::new(&embedder, &options)?;
    let watch = Watch {
        embedder: &embedder,
        seen: Mutex::new(Seen { progress, explain: args.explain }),
        committed: Arc::default(),
    };
    say_at_interrupt(destination.parts(), watch.committed.clone(), resumable)?;
    let job = Job { source: *source, plan, destination: destination.clone(), restart: args.result.restart };
    let summary = bulk::run(job, &mut answering, &mut spaces, &watch)?;
    let Seen { progress, .. } = watch.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !args.quiet {
        progress.finish(summary.failed, &spaces.told());
        tell(&destination, &summary, args);
    }
    Ok(Outcome::of_rows(summary.rows, summary.failed))
}

/// What decides the output besides the texts themselves, under the names that a message would give it.
fn settings(args: &EmbedArgs, sink: &SinkOptions) -> BTreeMap<String, String> {
    let (text, source, preparation) = (&args.text, &args.text.source, &args.preparation);
    let mut settings = BTreeMap::new();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            settings.insert(name.to_owned(), value);
        }
    };
    let name = |value: &dyn std::fmt::Debug| format!("{value:?}").to_lowercase();
    set("the input format", source.input_format.map(|format| name(&format)));
    set("the delimiter", source.delimiter.map(|delimiter| delimiter.to_string()));
    set("the text column", source.text_column.clone());
    set("the template", source.template.clone());
    set("the id column", source.id_column.clone());
    set("--no-ids", source.no_ids.then(|| "given".to_owned()));
    set("--no-titles", text.no_titles.then(|| "given".to_owned()));
    set("--no-tasks", text.no_tasks.then(|| "given".to_owned()));
    set("the title column", text.title_column.clone());
    set("the task column", text.task_column.clone());
    set("the columns kept", (!args.keep.is_empty()).then(|| args.keep.join(",")));
    set("the model", Some(sink.space.model.clone()));
    set("the fingerprint", Some(sink.space.fingerprint.clone()));
    set("the task", sink.space.task.clone());
    set("the prompt", preparation.prompt.clone());
    set("the title", preparation.title().map(str::to_owned));
    set("the dimensions", Some(sink.space.dimensions.to_string()));
    set("the truncation", Some(preparation.truncate.to_string()));
    set("the token limit", preparation.max_tokens.map(|tokens| tokens.to_string()));
    set("--pooling", args.vector.network.pooling.as_ref().map(|pooling| name(pooling)));
    set("--no-normalize", args.no_normalize.then(|| "given".to_owned()));
    set("--plain-text", preparation.plain_text.then(|| "given".to_owned()));
    set("the output format", Some(sink.format.to_string()));
    set("the precision", Some(sink.precision.to_string()));
    settings
}

/// Follows a run.
struct Watch<'a> {
    embedder: &'a Embedder,
    seen: Mutex<Seen>,
    /// Rows that are safe.
    committed: Arc<AtomicU64>,
}

struct Seen {
    progress: Progress,
    explain: bool,
}

impl Watch<'_> {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch<'_> {
    fn begun(&self, done: u64, _rows: Option<u64>) {
        let mut seen = self.seen();
        seen.progress.found(done);
        seen.progress.begin();
        self.committed.store(done, Ordering::Relaxed);
        seen.progress.committed(done);
    }

    fn computed(&self, results: &Results, passed: u64, position: Position) {
        let mut seen = self.seen();
        if std::mem::take(&mut seen.explain) {
            explain_rows(self.embedder, results);
        }
        let (failed, tokens) = sums(results);
        seen.progress.advance(results.len(), failed, tokens, passed, position);
    }

    fn committed(&self, rows: u64) {
        self.committed.store(rows, Ordering::Relaxed);
        self.seen().progress.committed(rows);
    }

    fn complete(&self) {
        // There is nothing left that a signal could interrupt and somebody would have to know.
        let _ = interrupt::settled(|| Ok::<(), Failure>(()));
    }

    fn note(&self, line: &str) {
        self.seen().progress.note(line);
    }
}

/// A signal ends the run at once: what is committed is whole at any moment.
fn say_at_interrupt(parts: PathBuf, committed: Arc<AtomicU64>, resumable: bool) -> Result<(), Failure> {
    interrupt::on_signal(|| {
        let ending = move || {
            let rows = committed.load(Ordering::Relaxed);
            let place = parts.display();
            match resumable {
                true => say(format_args!(
                    "connote: interrupted; {rows} rows are done and safe in {place}, and the same command goes on from there"
                )),
                false => say(format_args!("connote: interrupted; {rows} rows are done in {place}")),
            }
        };
        let ending: Ending = Box::new(ending);
        Ok(((), ending))
    })
}

/// What lies where, for people.
fn tell(destination: &Destination, summary: &Summary, args: &EmbedArgs) {
    let Summary { rows, failed, parts, beside, other_spaces, .. } = summary;
    match (destination, args.result.shard) {
        (Destination::Folder(path), Some(shard)) => say(format_args!(
            "connote: share {shard} is done: {rows} rows in {parts} parts in {}; `connote merge --output FILE` joins the shares",
            path.display()
        )),
        (Destination::Folder(path), None) => {
            say(format_args!("connote: {rows} rows in {parts} parts in {}", path.display()));
        }
        (Destination::File(_), _) => {}
    }
    tell_other_spaces(*other_spaces);
    if *failed > 0 {
        let listed = match &beside.errors {
            Some(errors) => errors.display().to_string(),
            None => destination.parts().join("part-*.errors.jsonl").display().to_string(),
        };
        tell_failed(*failed, &listed, beside);
    }
}
