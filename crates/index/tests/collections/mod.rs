//! Collections of made-up vectors, and what a search of them should give, by the plainest means.

#![allow(dead_code)] // each test file uses some of it

use connote_index::{Builder, Collection, ColumnKind, Error, Hit, Precision, Scheme, Space, Values, Vectors};
use tempfile::TempDir;

pub(crate) const LANGUAGES: [Option<&str>; 4] = [Some("en"), Some("de"), None, Some("")];

pub(crate) fn scheme(dimensions: usize, precisions: &[Precision]) -> Scheme {
    Scheme {
        space: Space {
            model: "made up".to_owned(),
            fingerprint: "0123456789abcdef".to_owned(),
            dimensions,
            normalized: false,
            task: Some("document".to_owned()),
            prompt: None,
        },
        precisions: precisions.to_vec(),
        columns: vec![
            ("id".to_owned(), ColumnKind::Integer),
            ("lang".to_owned(), ColumnKind::Text),
            ("year".to_owned(), ColumnKind::Integer),
            ("price".to_owned(), ColumnKind::Float),
            ("sold".to_owned(), ColumnKind::Boolean),
        ],
    }
}

pub(crate) fn year(row: usize) -> Option<i64> {
    (row % 5 != 4).then_some(2000 + row as i64 % 3)
}

pub(crate) fn price(row: usize) -> Option<f64> {
    (row % 7 != 6).then_some(row as f64 % 3.0 / 10.0)
}

pub(crate) fn sold(row: usize) -> Option<bool> {
    [Some(true), Some(false), None][row % 3]
}

pub(crate) fn language(row: usize) -> Option<&'static str> {
    LANGUAGES[row % 4]
}

/// Pushes rows in runs of `step`, as they come from files.
pub(crate) fn build(
    folder: &TempDir,
    scheme: Scheme,
    values: &[f32],
    step: usize,
) -> Result<Collection, Error> {
    let width = scheme.space.dimensions;
    let mut builder = Builder::create(folder.path(), scheme)?;
    for (chunk, vectors) in values.chunks(width * step).enumerate() {
        let rows = chunk * step..chunk * step + vectors.len() / width;
        let ids: Vec<Option<i64>> = rows.clone().map(|row| Some(row as i64 * 10)).collect();
        let languages: Vec<Option<&str>> = rows.clone().map(language).collect();
        let years: Vec<Option<i64>> = rows.clone().map(year).collect();
        let prices: Vec<Option<f64>> = rows.clone().map(price).collect();
        let sales: Vec<Option<bool>> = rows.map(sold).collect();
        builder.push(
            Vectors::F32(vectors),
            &[
                Values::Integers(&ids),
                Values::Texts(&languages),
                Values::Integers(&years),
                Values::Floats(&prices),
                Values::Booleans(&sales),
            ],
        )?;
    }
    builder.finish()?;
    Collection::open(folder.path())
}

/// Numbers that repeat for a seed; small multiples of 1/8, so that sums are exact in any order and ties are many.
pub(crate) fn eighths(count: usize, seed: u64) -> Vec<f32> {
    random(count, seed).into_iter().map(|bits| ((bits % 33) as f32 - 16.0) / 8.0).collect()
}

pub(crate) fn random(count: usize, seed: u64) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A stable sort by falling score: what numpy's `argsort(-scores, kind="stable")` gives.
pub(crate) fn sorted(scores: &[f32], top: usize, keep: impl Fn(usize) -> bool) -> Vec<Hit> {
    let mut hits: Vec<Hit> = scores
        .iter()
        .enumerate()
        .filter(|(row, _)| keep(*row))
        .map(|(row, score)| Hit { row, score: *score })
        .collect();
    hits.sort_by(|a, b| b.score.partial_cmp(&a.score).expect("numbers"));
    hits.truncate(top);
    hits
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
