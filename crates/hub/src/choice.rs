//! Which files of a repository a name means.

use glob::{MatchOptions, Pattern};

use crate::error::{Error, ErrorKind};
use crate::name::{ModelName, Pick};

/// How many files a message names.
const SHOWN: usize = 12;

/// A GGUF model in a repository: its one file, or its parts in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Whole {
    files: Vec<String>,
    /// How many parts there should be.
    parts: usize,
}

/// The files that the name means among `files`, in order; the model opens by the first.
///
/// # Errors
/// None fits, several do ([`ErrorKind::Ambiguous`]), or a part is missing.
pub(crate) fn choose(name: &ModelName, files: &[String]) -> Result<Vec<String>, Error> {
    let repo = &name.repo;
    let wholes = wholes(files);
    let fits: Vec<&Whole> = match &name.pick {
        Pick::Usual if wholes.len() == 1 => wholes.iter().collect(),
        Pick::Usual => wholes.iter().filter(|whole| has_type(&whole.files[0], "Q8_0")).collect(),
        Pick::File(wanted) => wholes.iter().filter(|whole| whole.files.contains(wanted)).collect(),
        Pick::Glob(wanted) => {
            wholes.iter().filter(|whole| whole.files.iter().any(|f| fits(wanted, f))).collect()
        }
        Pick::Quant(wanted) => wholes.iter().filter(|whole| has_type(&whole.files[0], wanted)).collect(),
    };
    match fits[..] {
        [whole] if whole.files.len() == whole.parts => Ok(whole.files.clone()),
        [whole] => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "{repo}: of {} only {} of {} parts are there",
                whole.files[0],
                whole.files.len(),
                whole.parts
            ),
        )),
        [] if wholes.is_empty() => Err(Error::new(
            ErrorKind::NotFound,
            format!("{repo}: has no GGUF file; look for a repository of the model whose name ends in -GGUF"),
        )),
        [] => {
            let advice = match name.pick {
                Pick::Usual => format!("name one, as in {repo}:TYPE"),
                _ => "no file of it fits".to_owned(),
            };
            Err(Error::new(
                ErrorKind::NotFound,
                format!("{name}: {advice}; there are {}", shown(&wholes.iter().collect::<Vec<_>>())),
            ))
        }
        _ => Err(Error::new(
            ErrorKind::Ambiguous,
            format!(
                "{name}: several files fit: {}; name one, as in {repo}/{}",
                shown(&fits),
                fits[0].files[0]
            ),
        )),
    }
}

/// The parts of the model that a file belongs to, all of them, if its name says that there are several.
pub(crate) fn parts_of(file: &str) -> Vec<String> {
    match part(file) {
        Some((stem, _, count)) => (1..=count).map(|n| format!("{stem}-{n:05}-of-{count:05}.gguf")).collect(),
        None => vec![file.to_owned()],
    }
}

fn wholes(files: &[String]) -> Vec<Whole> {
    let mut files: Vec<&String> = files.iter().filter(|file| is_model(file)).collect();
    files.sort();
    let mut wholes: Vec<Whole> = Vec::new();
    for file in files {
        let of = |file: &str| part(file).map(|(stem, _, count)| (stem.to_owned(), count));
        let parts = part(file).map_or(1, |(_, _, count)| count);
        match wholes.last_mut() {
            Some(last) if parts > 1 && of(&last.files[0]) == of(file) => last.files.push(file.clone()),
            _ => wholes.push(Whole { files: vec![file.clone()], parts }),
        }
    }
    wholes
}

/// GGUF files that are no model by themselves stand in many repositories.
fn is_model(file: &str) -> bool {
    let base = base(file).to_ascii_lowercase();
    base.ends_with(".gguf") && !base.starts_with("mmproj") && !base.contains("imatrix")
}

/// Stem, number and count of a part of a split model: `stem-00002-of-00003.gguf`.
fn part(file: &str) -> Option<(&str, usize, usize)> {
    let digits = |text: &str| (text.len() == 5).then(|| text.parse().ok()).flatten();
    let (rest, count) = file.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let (number, count): (usize, usize) = (digits(number)?, digits(count)?);
    (1..=count).contains(&number).then_some((stem, number, count))
}

fn fits(pattern: &str, file: &str) -> bool {
    let options = MatchOptions { case_sensitive: false, ..MatchOptions::new() };
    Pattern::new(pattern)
        .is_ok_and(|pattern| pattern.matches_with(file, options) || pattern.matches_with(base(file), options))
}

/// Whether a file's name has a type in it, as a word: `Q4_K` is not in `x-Q4_K_M.gguf`, nor `F16` in `x-BF16.gguf`.
fn has_type(file: &str, wanted: &str) -> bool {
    let (name, wanted) = (base(file).to_ascii_lowercase(), wanted.to_ascii_lowercase());
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.match_indices(&wanted)
        .any(|(at, found)| !name[..at].ends_with(in_word) && !name[at + found.len()..].starts_with(in_word))
}

fn base(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}

fn shown(wholes: &[&Whole]) -> String {
    let names: Vec<&str> = wholes.iter().take(SHOWN).map(|whole| whole.files[0].as_str()).collect();
    let more = wholes.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, files: &[&str]) -> Result<Vec<String>, Error> {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        choose(&name.parse().expect("a name"), &files)
    }

    const FILES: &[&str] = &[
        "README.md",
        "m-Q4_K.gguf",
        "m-Q4_K_M.gguf",
        "m-bf16.gguf",
        "m-f16.gguf",
        "m.q8_0.gguf",
        "mmproj-m-Q8_0.gguf",
        "big/m-Q6_K-00002-of-00002.gguf",
        "big/m-Q6_K-00001-of-00002.gguf",
        "broken/m-Q5_0-00002-of-00003.gguf",
    ];

    #[test]
    fn one_model_is_chosen_with_all_its_parts() {
        let both = ["big/m-Q6_K-00001-of-00002.gguf", "big/m-Q6_K-00002-of-00002.gguf"];
        let rows: &[(&str, &[&str])] = &[
            ("o/r", &["m.q8_0.gguf"]),
            ("o/r:Q8_0", &["m.q8_0.gguf"]),
            ("o/r:q4_k", &["m-Q4_K.gguf"]),
            ("o/r:F16", &["m-f16.gguf"]),
            ("o/r:*bf16*", &["m-bf16.gguf"]),
            ("o/r/m-Q4_K_M.gguf", &["m-Q4_K_M.gguf"]),
            ("o/r:Q6_K", &both),
            ("o/r:big/*.gguf", &both),
            ("o/r/big/m-Q6_K-00002-of-00002.gguf", &both),
        ];
        for (name, files) in rows {
            assert_eq!(choice(name, FILES).unwrap_or_else(|error| panic!("{error}")), *files, "{name}");
        }
        assert_eq!(choice("o/r", &["only-Q4_0.gguf"]).expect("the only one"), ["only-Q4_0.gguf"]);
    }

    #[test]
    fn what_is_not_clear_is_refused_with_what_there_is() {
        let rows = [
            (
                "o/r:*Q4_K*",
                FILES,
                ErrorKind::Ambiguous,
                "m-Q4_K.gguf, m-Q4_K_M.gguf; name one, as in o/r/m-Q4_K.gguf",
            ),
            ("o/r:Q2_K", FILES, ErrorKind::NotFound, "there are big/m-Q6_K-00001-of-00002.gguf, "),
            ("o/r:Q5_0", FILES, ErrorKind::NotFound, "1 of 3 parts"),
            ("o/r", &["a-Q4_0.gguf", "a-F16.gguf"], ErrorKind::NotFound, "name one, as in o/r:TYPE"),
            ("o/r", &["config.json"], ErrorKind::NotFound, "no GGUF file"),
        ];
        for (name, files, kind, why) in rows {
            let error = choice(name, files).expect_err(name);
            assert!(error.kind() == kind && error.to_string().contains(why), "{name}: {error}");
        }
    }

    #[test]
    fn parts_are_known_by_the_name_of_any() {
        assert_eq!(
            parts_of("a/m-00002-of-00002.gguf"),
            ["a/m-00001-of-00002.gguf", "a/m-00002-of-00002.gguf"]
        );
        for whole in ["m.gguf", "m-0001-of-0002.gguf", "m-00003-of-00002.gguf", "m-00000-of-00002.gguf"] {
            assert_eq!(parts_of(whole), [whole]);
        }
    }
}
