//! `connote serve`: vectors over HTTP.

use std::sync::Arc;

use connote::Options;
use server::{Config, Event, Settings};

use crate::args::ServeArgs;
use crate::failure::{Failure, Outcome};
use crate::model;
use crate::say::say;

pub(crate) fn run(args: &ServeArgs) -> Result<Outcome, Failure> {
    let embedder = model::load(&args.model, &args.network, args.tuning.tuning())?;
    let name = embedder.model().name().to_owned();
    // Now, while the model's file is surely there: hashing it later could meet another.
    let fingerprint = embedder.fingerprint(&Options::new())?;
    let dimensions = embedder.dimensions();
    if args.explain {
        // A query, a paragraph, a page, and a request of many.
        for lengths in [&[12][..], &[64], &[400], &[64; 64]] {
            say(format_args!("{}\n", embedder.explain(lengths)));
        }
    }
    let models = vec![(name.clone(), Arc::new(embedder))];
    let config = Config { models, settings: Settings::default(), host: args.host.clone(), port: args.port };
    server::run(config, |event| match event {
        Event::Listening(address) => {
            say(format_args!(
                "connote: whole vectors have {dimensions} dimensions and the fingerprint {fingerprint}"
            ));
            // The last line before requests are answered: scripts wait for it.
            say(format_args!("connote: serving {name} at http://{address}"));
        }
        Event::Stopping => say(format_args!("connote: stopping when the requests at hand are answered")),
        _ => {}
    })?;
    Ok(Outcome::Complete)
}
