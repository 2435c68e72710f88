//! `connote pull`: models from the hub into the Hugging Face cache. No other command goes to the network.

use std::path::PathBuf;

use clap::Args;
use connote::{Embedder, Model, Options};
use hub::{Cache, ErrorKind, ModelName, Pulled, SHORT_NAMES, Settings};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::args::OutputFormat;
use crate::failure::{Failure, Outcome};
use crate::inspect_report::plain_table;
use crate::model;
use crate::output::Output;
use crate::progress::ProgressForm;
use crate::pull_progress::PullProgress;
use crate::say::say;

#[derive(Debug, Args)]
#[command(
    after_help = "The paths of the models go to stdout, a line each; everything else to stderr. What was interrupted is gone on with.\n\
    Variables, as huggingface_hub reads them: HF_ENDPOINT (a mirror), HF_TOKEN and HF_TOKEN_PATH, HF_HOME and HF_HUB_CACHE, HTTPS_PROXY, \
    HTTP_PROXY, ALL_PROXY and NO_PROXY, SSL_CERT_FILE (or REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_DIR: the certificates to trust \
    instead of those built in), HF_HUB_DOWNLOAD_TIMEOUT, HF_HUB_OFFLINE. https needs a connote built with `--features hub`.\n\n\
    Examples:\n  connote pull --list\n  connote pull embeddinggemma\n  connote pull second-state/All-MiniLM-L6-v2-Embedding-GGUF:Q8_0 --progress json\n  \
    connote pull CompendiumLabs/bge-small-en-v1.5-gguf/bge-small-en-v1.5-q8_0.gguf@main --verify"
)]
pub(crate) struct PullArgs {
    /// Short names (--list), or paths on the hub: org/repo, org/repo:Q8_0, org/repo:*F16*.gguf, org/repo/file.gguf; each may have
    /// @REVISION at its end, and hf.co/ or https://huggingface.co/ before it
    #[arg(value_name = "NAME", required_unless_present = "list")]
    names: Vec<ModelName>,
    /// List the short names
    #[arg(long, conflicts_with = "names")]
    list: bool,
    /// Read what is here already and compare its checksum, too; what is wrong is fetched anew, and where the hub gives no
    /// checksum that is said
    #[arg(long)]
    verify: bool,
    /// As JSON: an object a model (with --list, a short name) on a line
    #[arg(long)]
    json: bool,
    /// How progress is shown on stderr
    #[arg(long, value_name = "FORM", default_value = "auto")]
    progress: ProgressForm,
    /// No progress and no description on stderr
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) fn run(args: &PullArgs, offline: bool) -> Result<Outcome, Failure> {
    let form = if args.json || args.list { OutputFormat::Jsonl } else { OutputFormat::Text };
    let mut output = Output::stdout(Some(form));
    if args.list {
        list(&mut output, args.json)?;
        return output.finish().map(|()| Outcome::Complete);
    }
    let variable = |name: &str| std::env::var_os(name);
    let settings = Settings::from_variables(&variable, offline).map_err(refusal)?;
    let cache = model::cache().ok_or_else(|| {
        Failure::nothing(
            "there is no place for models: neither HOME nor HF_HOME is set; HF_HUB_CACHE names a folder",
        )
    })?;
    for name in &args.names {
        let paths = if settings.offline {
            here(&cache, name)?
        } else {
            let pulled = fetch(&settings, &cache, name, args)?;
            pulled.files.iter().map(|file| file.path.clone()).collect()
        };
        let facts = describe(&paths, name, args.quiet);
        if args.json {
            let (about, why_not) = match &facts {
                Ok(about) => (about.clone(), None),
                Err(why) => (Value::Null, Some(why)),
            };
            let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            output.json(&json!({
                "name": name.to_string(), "path": files[0], "files": files, "model": about, "why_not": why_not,
            }))?;
        } else {
            // As it is, for scripts.
            output.bytes(paths[0].as_os_str().as_encoded_bytes())?;
            output.bytes(b"\n")?;
        }
        if let Err(why) = facts {
            output.finish()?;
            return Err(Failure::nothing(format!("{name} is here, but connote cannot run it: {why}")));
        }
    }
    output.finish()?;
    Ok(Outcome::Complete)
}

/// Where the model lies, without the network.
fn here(cache: &Cache, name: &ModelName) -> Result<Vec<PathBuf>, Failure> {
    match cache.find(name).map_err(refusal)? {
        Some(found) => Ok(found.paths),
        None => Err(Failure::nothing(format!(
            "{name}: is not in {}, and offline nothing is fetched (--offline, CONNOTE_OFFLINE or HF_HUB_OFFLINE says so); \
             a copy of its folder from another machine's cache will do",
            cache.folder().display()
        ))),
    }
}

fn fetch(settings: &Settings, cache: &Cache, name: &ModelName, args: &PullArgs) -> Result<Pulled, Failure> {
    let form = if args.quiet { ProgressForm::None } else { args.progress };
    let mut progress = PullProgress::new(form);
    let pulled = hub::pull(settings, cache, name, args.verify, &mut |event| progress.tell(event));
    progress.end();
    pulled.map_err(|error| match error.kind() {
        ErrorKind::NoTls => Failure::nothing(by_other_means(settings, name)),
        ErrorKind::Network if matches!(cache.find(name), Ok(Some(_))) => {
            Failure::nothing(format!("{error}; an earlier copy is in the cache, and --offline takes that"))
        }
        _ => refusal(error),
    })
}

fn refusal(error: hub::Error) -> Failure {
    match error.kind() {
        ErrorKind::Name | ErrorKind::Setting | ErrorKind::Ambiguous => Failure::usage(error),
        _ => Failure::nothing(error),
    }
}

/// What to do where https is not built in: a line that can be pasted, where the name says which file.
fn by_other_means(settings: &Settings, name: &ModelName) -> String {
    let address = hub::address(settings, name);
    let way = match (&name.pick, model::models_folder()) {
        (hub::Pick::File(file), Some(folder)) => {
            let base = file.rsplit('/').next().unwrap_or(file);
            let call =
                if name.short.is_some() { name.short.map_or(base, |short| short.names[0]) } else { base };
            let path = folder.join(base);
            format!(
                "fetch it with `curl -fL --create-dirs -o '{}' '{address}'` and say --model {call}",
                path.display()
            )
        }
        _ => format!("fetch a file of {address} with a browser"),
    };
    format!(
        "{name}: needs https, which this connote was built without, as it brings C code: build it with `--features hub`, set HF_ENDPOINT to an \
         http:// mirror, or {way}"
    )
}

/// Opens the model and says what it is; the error says why it does not run.
fn describe(paths: &[PathBuf], name: &ModelName, quiet: bool) -> Result<Value, String> {
    let model = Model::open(&paths[0]).map_err(|error| error.to_string())?;
    let licence = model.gguf().metadata().str("general.license").ok().flatten().map(str::to_owned);
    let licence = licence.or_else(|| name.short.map(|short| short.licence.to_owned()));
    let pooling = model.pooling().map_err(|error| error.to_string())?;
    let embedder = Embedder::builder().load(model).map_err(|error| error.to_string())?;
    let fingerprint = embedder.fingerprint(&Options::new()).map_err(|error| error.to_string())?.to_string();
    let (model, warnings) = (embedder.model(), embedder.warnings());
    let about = json!({
        "name": model.name(),
        "architecture": model.config().architecture,
        "dimensions": model.dimensions(),
        "max_tokens": model.max_tokens(),
        "pooling": pooling.name(),
        "license": licence,
        "fingerprint": fingerprint,
        "warnings": warnings,
    });
    if !quiet {
        say(format_args!(
            "connote: {}: {}, {} dimensions, {} pooling, texts up to {} tokens, licence {}, fingerprint {fingerprint}",
            model.name(),
            model.config().architecture,
            model.dimensions(),
            pooling.name(),
            model.max_tokens(),
            licence.as_deref().unwrap_or("not stated in the file"),
        ));
        for warning in warnings {
            say(format_args!("connote: warning: {warning}"));
        }
    }
    Ok(about)
}

fn list(output: &mut Output, json: bool) -> Result<(), Failure> {
    if json {
        for row in SHORT_NAMES {
            output.json(&json!({
                "names": row.names, "repo": row.repo, "file": row.file, "bytes": row.bytes, "about": row.about,
                "license": row.licence, "source": row.source,
            }))?;
        }
        return Ok(());
    }
    let mut table = plain_table();
    for row in SHORT_NAMES {
        let size = format!("about {}", HumanBytes(row.bytes));
        table.add_row([
            row.names.join(", "),
            row.about.to_owned(),
            size,
            row.licence.to_owned(),
            format!("{}/{}", row.repo, row.file),
        ]);
    }
    output.line(&table.trim_fmt())
}
