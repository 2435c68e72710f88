//! `connote convert` and `connote quantize`: models made into files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ::convert::{FileType, Folder, Model, Progress, Typed};
use clap::Args;
use connote::Model as Runnable;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::OutputFormat;
use crate::aside::{Aside, spare_what_is_there};
use crate::failure::{Failure, Outcome};
use crate::identity::Identity;
use crate::model;
use crate::output::Output;
use crate::progress::{INTERVAL, Pace, ProgressForm};
use crate::say::say;

#[derive(Debug, Args)]
#[command(
    after_help = "FOLDER is a model as Hugging Face has it: config.json, model.safetensors (one file, or many with their index), a tokenizer, and \
    what sentence-transformers adds (modules.json with pooling and dense heads, prompts). Nothing is run that the folder holds.\n\
    Types, the most exact first: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1, Q4_0, Q3_K_L, Q3_K_M, Q3_K_S, \
    Q2_K; docs/MODELS.md says what each costs. llama.cpp runs the files, too.\n\n\
    Examples:\n  connote convert all-MiniLM-L6-v2 all-MiniLM-L6-v2-Q8_0.gguf\n  \
    connote convert all-MiniLM-L6-v2 all-MiniLM-L6-v2-F32.gguf --type F32 --name all-MiniLM-L6-v2\n  \
    connote convert all-MiniLM-L6-v2 small.gguf --type Q4_K_M --force --json"
)]
pub(crate) struct ConvertArgs {
    /// The folder of a model from Hugging Face
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// The GGUF file to write
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// The type of the file's matrices, or a mixture of types
    #[arg(short = 't', long = "type", value_name = "TYPE", default_value = "Q8_0")]
    file_type: FileType,
    /// What the file calls the model [default: the name of the repository or folder]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What GGUF calls the way the tokenizer cuts texts, where it is not recognised; NAME is one that connote knows
    #[arg(long, value_name = "NAME")]
    pre: Option<String>,
    /// Pass over a key of config.json that connote does not know, and would refuse the folder for; may be given again
    #[arg(long, value_name = "KEY")]
    ignore: Vec<String>,
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Types, the most exact first: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1, Q4_0, Q3_K_L, Q3_K_M, \
    Q3_K_S, Q2_K. Norms, biases and positions stay F32; rows that are no whole blocks of a type get the nearest one that fits, which is \
    said. The tensors' types are those that llama-quantize would choose.\n\n\
    Examples:\n  connote quantize all-MiniLM-L6-v2-F32.gguf all-MiniLM-L6-v2-Q4_K_M.gguf Q4_K_M\n  \
    connote quantize all-MiniLM-L6-v2-F32.gguf small.gguf q6_k --force --quiet"
)]
pub(crate) struct QuantizeArgs {
    /// The GGUF file to read, best one in F32, F16 or BF16
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The GGUF file to write
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// The type of the file's matrices, or a mixture of types
    #[arg(value_name = "TYPE")]
    file_type: FileType,
    #[command(flatten)]
    how: HowArgs,
}

/// How it goes.
#[derive(Debug, Args)]
struct HowArgs {
    /// Replace OUT if it is there
    #[arg(short, long)]
    force: bool,
    /// What was written as a JSON object on stdout
    #[arg(long)]
    json: bool,
    /// How progress is shown on stderr
    #[arg(long, value_name = "FORM", default_value = "auto")]
    progress: ProgressForm,
    /// No progress and no description on stderr
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn convert(args: &ConvertArgs) -> Result<Outcome, Failure> {
    spare_what_is_there(&args.out, args.how.force)?;
    let mut folder = Folder::open(&args.folder)?;
    if let Some(name) = &args.name {
        folder = folder.name(name);
    }
    if let Some(pre) = &args.pre {
        folder = folder.pre_tokenizer(pre);
    }
    for key in &args.ignore {
        folder = folder.ignoring(key);
    }
    write(&folder.model()?, args.file_type, &args.out, &args.how)
}

pub(crate) fn quantize(args: &QuantizeArgs) -> Result<Outcome, Failure> {
    let input = model::find(&args.input)?;
    spare_what_is_there(&args.out, args.how.force)?;
    if Identity::of_path(&input).is_some_and(|input| Identity::of_path(&args.out) == Some(input)) {
        return Err(Failure::usage(format!(
            "{}: is the file to be read; name another to write",
            args.out.display()
        )));
    }
    write(&Model::from_gguf(&input)?, args.file_type, &args.out, &args.how)
}

fn write(model: &Model, file_type: FileType, out: &Path, how: &HowArgs) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let tell = |line: String| {
        if !how.quiet {
            say(format_args!("connote: {line}"));
        }
    };
    model.notes().iter().for_each(|note| tell(note.clone()));
    let fallbacks = fallbacks(&model.types(file_type)?);
    fallbacks.iter().for_each(|line| tell(line.clone()));

    let (aside, mut file) = Aside::create(out)?;
    let mut bar = Bar::new(if how.quiet { ProgressForm::None } else { how.progress });
    let written = model.write(file_type, &mut file, |progress| {
        bar.tell(progress);
        true
    });
    bar.end();
    written.map_err(|error| Failure::nothing(format!("{}: {error}", out.display())))?;
    let failed = |error: std::io::Error| Failure::writing(out.display(), &error);
    file.sync_all().map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    drop(file);
    aside.complete()?;

    let (tensors, values) = model.size();
    let architecture = model.architecture();
    tell(format!(
        "wrote {}: {architecture}, {tensors} tensors, {:.1} million values, {}, {file_type}, in {:.1} s",
        out.display(),
        values as f64 / 1e6,
        HumanBytes(bytes),
        begun.elapsed().as_secs_f64()
    ));
    // What is written is read back the way it will be used.
    let why_not = Runnable::open(out).err().map(|error| error.to_string());
    if let Some(why) = &why_not {
        tell(format!("connote itself cannot run the file: {why}"));
    }
    if how.json {
        let mut output = Output::stdout(Some(OutputFormat::Jsonl));
        output.json(&json!({
            "path": out.display().to_string(), "architecture": architecture, "type": file_type.name(), "tensors": tensors,
            "values": values, "bytes": bytes, "fallbacks": fallbacks, "notes": model.notes(), "why_not": why_not,
        }))?;
        output.finish()?;
    }
    Ok(Outcome::Complete)
}

/// A line for each type that stands in for another.
fn fallbacks(types: &[Typed<'_>]) -> Vec<String> {
    let mut kinds: Vec<(String, &str, usize)> = Vec::new();
    for typed in types {
        let Some(wanted) = typed.instead_of else { continue };
        let blocks = wanted.block_elements();
        let (ty, width) = (typed.ty, typed.dims[0]);
        let what = format!("{ty} for {wanted}: rows of {width} values are no whole blocks of {blocks}");
        match kinds.iter_mut().find(|(known, ..)| *known == what) {
            Some((_, _, count)) => *count += 1,
            None => kinds.push((what, typed.name, 1)),
        }
    }
    let line = |(what, first, count): (String, &str, usize)| match count {
        1 => format!("{first} is {what}"),
        _ => format!("{first} and {} more are {what}", count - 1),
    };
    kinds.into_iter().map(line).collect()
}

/// How far the writing is.
struct Bar {
    form: ProgressForm,
    bar: Option<ProgressBar>,
    pace: Pace,
}

impl Bar {
    fn new(form: ProgressForm) -> Self {
        Self { form: form.chosen(), bar: None, pace: Pace::new() }
    }

    fn tell(&mut self, progress: Progress<'_>) {
        let Progress { done, values, tensor } = progress;
        match self.form {
            ProgressForm::Bar => {
                let bar = self.bar.get_or_insert_with(|| {
                    let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}, {eta} left");
                    let bar = ProgressBar::new(values);
                    style.map_or(bar.clone(), |style| bar.with_style(style))
                });
                bar.set_message(tensor.to_owned());
                bar.set_position(done);
            }
            ProgressForm::None => {}
            _ if done < values && !self.pace.due(INTERVAL) => {}
            ProgressForm::Json => {
                say(format_args!("{}", json!({"event": "written", "values": done, "of": values})));
            }
            _ if done < values => {
                say(format_args!("connote: {} of 100 done, at {tensor}", done * 100 / values.max(1)));
            }
            _ => {}
        }
    }

    fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

impl From<::convert::Error> for Failure {
    fn from(error: ::convert::Error) -> Self {
        Self::nothing(error)
    }
}
