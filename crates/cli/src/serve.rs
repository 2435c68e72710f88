//! `connote serve`: vectors over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap_lex::OsStrExt;
use connote::Embedder;
use server::{Config, EmbeddingsDialect, Event, Listen, ReadKeys, Settings, TokenIds};

use crate::args::{DialectChoice, ModelArgs, ServeArgs, TokenIdsChoice};
use crate::failure::{Failure, Outcome};
use crate::logs;
use crate::model;
use crate::say::say;

pub(crate) fn run(args: &ServeArgs) -> Result<Outcome, Failure> {
    logs::start(&args.logs);
    let settings = settings(args)?;
    let models = models(args)?;
    let names: Vec<&str> = models.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(", ");
    if args.explain {
        for (_, embedder) in &models {
            // A query, a paragraph, a page, and a request of many.
            for lengths in [&[12][..], &[64], &[400], &[64; 64]] {
                say(format_args!("{}\n", embedder.explain(lengths)));
            }
        }
    }
    let several = models.len() > 1;
    // Nobody needs to hear it where the address is not to be had.
    let mut told = Vec::new();
    let config = Config { models, settings, listen: listen(args), keys: read_keys(args) };
    server::run(config, |event| match event {
        Event::Model { name, is_reranker: true, .. } => {
            told.push(format!(
                "connote: {name} scores pairs of texts, at POST /rerank, and gives no vectors"
            ));
        }
        Event::Model { name, dimensions, fingerprint, has_prompts, .. } => {
            let of = if several { format!(" of {name}") } else { String::new() };
            told.push(format!(
                "connote: whole vectors{of} have {dimensions} dimensions and the fingerprint {fingerprint}"
            ));
            if has_prompts {
                told.push(format!(
                    "connote: {name} was trained with a prompt for each task; a request that names none (`task`: query, \
                     document, ...) goes without"
                ));
            }
        }
        Event::Listening(address) => {
            told.iter().for_each(|line| say(format_args!("{line}")));
            // The last line before requests are answered: scripts wait for it.
            say(format_args!("connote: serving {names} at {address}"));
        }
        Event::Keys(Ok(count)) => say(format_args!("connote: keys were read again; there are {count}")),
        Event::Keys(Err(why)) => say(format_args!("connote: {why}; the keys stay as they were")),
        Event::Stopping => say(format_args!("connote: stopping when the requests at hand are answered")),
        _ => {}
    })?;
    Ok(Outcome::Complete)
}

fn listen(args: &ServeArgs) -> Listen {
    #[cfg(unix)]
    if let Some(path) = &args.unix_socket {
        return Listen::Unix(path.clone());
    }
    Listen::Tcp { host: args.host.clone(), port: args.port }
}

/// The models, each with the name that requests call it by: its alias, else the model's own name.
fn models(args: &ServeArgs) -> Result<Vec<(String, Arc<Embedder>)>, Failure> {
    let load = |alias: Option<&str>, path: Option<PathBuf>| {
        let model = ModelArgs { model: path };
        let embedder = model::load_to_serve(&model, &args.network, args.tuning.tuning())?;
        let name = alias.unwrap_or(embedder.model().name()).to_owned();
        Ok::<_, Failure>((name, Arc::new(embedder)))
    };
    if args.models.is_empty() {
        return Ok(vec![load(None, None)?]);
    }
    let named = args.models.iter().map(|named| {
        // A file's name may have a `=`, too.
        match named.split_once("=") {
            Some((alias, path)) if !alias.is_empty() && !Path::new(named).exists() => {
                let Some(alias) = alias.to_str() else {
                    let alias = alias.display();
                    return Err(Failure::usage(format!(
                        "--model {alias}=...: requests name models in UTF-8; give another alias"
                    )));
                };
                load(Some(alias), Some(path.into()))
            }
            _ => load(None, Some(named.into())),
        }
    });
    named.collect()
}

fn settings(args: &ServeArgs) -> Result<Settings, Failure> {
    Ok(Settings {
        body_limit: (args.max_body_mb as usize) << 20,
        answer_limit: (args.max_answer_mb as usize) << 20,
        request_tokens: args.max_request_tokens as usize,
        held_limit: (args.max_held_mb as usize) << 20,
        request_timeout: Duration::from_secs(args.request_timeout.into()),
        client_timeout: Duration::from_secs(args.client_timeout.into()),
        queue_tokens: args.max_queue_tokens as usize,
        api_keys: match &args.api_key_file {
            Some(path) => api_keys(path).map_err(Failure::nothing)?,
            None => Vec::new(),
        },
        cors_origins: args.cors.clone(),
        dialect: match args.dialect {
            DialectChoice::Openai => EmbeddingsDialect::OpenAi,
            DialectChoice::Llama => EmbeddingsDialect::Llama,
        },
        token_ids: match args.token_ids {
            TokenIdsChoice::Reject => TokenIds::Reject,
            TokenIdsChoice::Model => TokenIds::Model,
        },
        batch_folder: args.batch_folder.clone(),
        batch_file_limit: u64::from(args.max_batch_file_mb) << 20,
        batch_folder_limit: u64::from(args.max_batch_folder_mb) << 20,
    })
}

/// Reads the file of keys again.
fn read_keys(args: &ServeArgs) -> Option<ReadKeys> {
    let path = args.api_key_file.clone()?;
    Some(Arc::new(move || api_keys(&path)))
}

/// The key of a line. A comment begins the line or follows white space: a key may have a `#` of its own.
fn key(line: &str) -> &str {
    let begins = |&(at, _): &(usize, &str)| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    let end = line.match_indices('#').find(begins).map_or(line.len(), |(at, _)| at);
    line[..end].trim()
}

/// The keys of a file: one a line. None at all would let everybody in, which nobody means who names a file.
fn api_keys(path: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{}: the keys cannot be read: {error}", path.display()))?;
    // Programs of Windows begin files with it, and no client would send it with the first key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let keys: Vec<String> = text.lines().map(key).filter(|key| !key.is_empty()).map(str::to_owned).collect();
    if keys.is_empty() {
        return Err(format!("{}: has no key; write one a line", path.display()));
    }
    Ok(keys)
}
