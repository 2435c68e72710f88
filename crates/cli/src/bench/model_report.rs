//! The tables of `connote bench model`.

use super::model::{Memory, Report};
use super::shares::Shares;
use super::table::{facts, figures, number, percent};
use super::workloads::Measured;
use crate::failure::Failure;
use crate::output::Output;

pub(crate) fn write(output: &mut Output, report: &Report) -> Result<(), Failure> {
    let model = &report.model;
    let file = model.path.as_deref().unwrap_or("built in");
    let threads =
        if report.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", report.threads) };
    let rough = if report.quick { " (quick: rough)" } else { "" };
    let layouts: Vec<String> = model
        .layouts
        .iter()
        .map(|one| format!("{} {}", one.layout, percent(one.macs_a_token as f64 / model.macs_a_token as f64)))
        .collect();
    output.line(&report.machine.report(&[
        ("Model", format!("{} ({file})", model.name)),
        ("Fingerprint", model.fingerprint.clone()),
        (
            "Work",
            format!(
                "{:.1} million multiply-adds a token ({})",
                model.macs_a_token as f64 / 1e6,
                layouts.join(", ")
            ),
        ),
        ("Measured", format!("{threads}, level {}{rough}, {:.0} s in all", report.level, report.seconds)),
    ]))?;
    output.line("\nSPEED: ms a call and tokens/s; \"best\" is the best round, \"median\" the median one")?;
    write_workloads(output, &report.workloads, model.max_tokens)?;
    write_shares(output, &report.shares, report.level)?;
    output.line("\nOPENING AND MEMORY")?;
    let Memory {
        packed_weights,
        resident_before_opening,
        resident_after_opening,
        resident_after_workloads,
        resident_peak,
    } = report.memory;
    output.line(&facts(&[
        (
            "Opened and packed in",
            format!("{:.3} s; {:.3} s the first time", report.opening.second, report.opening.first),
        ),
        ("Packed weights", megabytes(Some(packed_weights))),
        ("Resident before opening", megabytes(resident_before_opening)),
        ("Resident after opening", megabytes(resident_after_opening)),
        ("Resident after the calls", megabytes(resident_after_workloads)),
        ("Most resident until then", megabytes(resident_peak)),
    ]))
}

fn write_workloads(output: &mut Output, workloads: &[Measured], max_tokens: usize) -> Result<(), Failure> {
    let head =
        ["", "texts", "tokens", "ms best", "median", "tok/s best", "median", "ms a text"].map(str::to_owned);
    let row = |one: &Measured| {
        let mark = if one.texts_cut > 0 { " *" } else { "" };
        let milliseconds = one.seconds.map(|seconds| seconds * 1e3);
        vec![
            format!("{}{mark}", one.workload),
            one.texts.to_string(),
            one.tokens.to_string(),
            number(milliseconds.best),
            number(milliseconds.median),
            number(one.tokens_a_second.best),
            number(one.tokens_a_second.median),
            number(milliseconds.median / one.texts as f64),
        ]
    };
    output.line(&figures(1, &head, &workloads.iter().map(row).collect::<Vec<_>>()))?;
    let cut: Vec<String> = workloads
        .iter()
        .filter(|one| one.texts_cut > 0)
        .map(|one| format!("{} of {} in {}", one.texts_cut, one.texts, one.workload))
        .collect();
    if !cut.is_empty() {
        output.line(&facts(&[(
            "*",
            format!("texts longer than the model's {max_tokens} tokens lost their end: {}", cut.join(", ")),
        )]))?;
    }
    Ok(())
}

fn write_shares(output: &mut Output, shares: &Shares, level: &str) -> Result<(), Failure> {
    let passes = if shares.passes == 1 {
        "1 pass".to_owned()
    } else {
        format!("the best of {} passes", shares.passes)
    };
    output.line(&format!("\nWHERE THE TIME GOES: {}, 1 thread, {passes}", shares.workload))?;
    let head = ["", "ms", "share"].map(str::to_owned);
    let line = |name: &str, seconds: f64, share: f64| {
        vec![name.to_owned(), number(seconds * 1e3), format!("{:.1}%", share * 100.0)]
    };
    let mut rows: Vec<Vec<String>> =
        shares.work.iter().map(|one| line(one.work, one.seconds, one.share)).collect();
    rows.push(line("all but the products", shares.seconds.best * shares.rest_share, shares.rest_share));
    rows.push(line("all", shares.seconds.best, 1.0));
    output.line(&figures(1, &head, &rows))?;
    let products = &shares.products;
    let mut about = vec![
        ("Computed", format!("{} tokens in {} micro-batches", shares.tokens, shares.micro_batches)),
        ("Products", format!("{} GMAC/s, endings included", number(products.gmacs))),
    ];
    for peak in &products.peaks {
        let peak =
            format!("{} GMAC/s ({level} {}, {})", number(peak.gmacs.best), peak.layout, peak.instruction);
        about.push(("Register peak", peak));
    }
    if let Some(fraction) = products.fraction_of_peak {
        about.push((
            "Of the peak",
            format!("{:.1}%, all linear layers, weighted by time, best by best", fraction * 100.0),
        ));
    }
    output.line(&facts(&about))
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or("this system does not say".to_owned(), |bytes| format!("{:.0} MB", bytes as f64 / 1e6))
}
