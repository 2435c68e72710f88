//! Unigram out of `tokenizer.json`: pieces with their scores, and SentencePiece's map of characters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::class::Class;
use super::{Files, Kind, PREPEND_SCHEME, Token, Vocabulary, flattened, put_added, unsaid};
use crate::config::shown;
use crate::error::Error;

const SPACE: &str = "\u{2581}";

pub(super) fn read(json: &Value, files: &Files<'_>, notes: &mut Vec<String>) -> Result<Vocabulary, Error> {
    let wrong = |what: &str| Error::file(&files.folder.join("tokenizer.json"), what);
    let model = &json["model"];
    let pieces = model["vocab"].as_array().ok_or_else(|| wrong("its Unigram model has no vocab"))?;
    if model["byte_fallback"].as_bool() == Some(true) {
        return Err(unsaid("byte_fallback of its Unigram model".to_owned()));
    }
    let unknown = model["unk_id"].as_u64().map(|id| id as usize);
    let token = |(id, piece): (usize, &Value)| {
        let (text, score) = (piece[0].as_str()?, piece[1].as_f64()?);
        let kind = if Some(id) == unknown { Kind::Unknown } else { Kind::Normal };
        Some(Token { text: text.to_owned(), score: score as f32, kind })
    };
    let tokens: Option<Vec<Token>> = pieces.iter().enumerate().map(token).collect();
    let mut tokens = tokens.ok_or_else(|| wrong("its Unigram pieces are not pairs of a text and a score"))?;
    put_added(&mut tokens, files.added(), None, files);

    let Spaces { prefix, scheme, joined } = spaces(json, files, notes)?;
    let mut more = Vec::new();
    let normalizers = flattened(&json["normalizer"], "normalizers");
    let charsmap = normalizers.iter().find(|part| part["type"] == "Precompiled");
    if let Some(text) = charsmap.and_then(|part| part["precompiled_charsmap"].as_str()) {
        let bytes = STANDARD.decode(text).map_err(|_| wrong("its precompiled_charsmap is not base64"))?;
        more.push(("precompiled_charsmap", bytes.into()));
    }
    more.push(("add_space_prefix", prefix.into()));
    more.push(("remove_extra_whitespaces", joined.into()));
    more.extend(scheme.map(|scheme| (PREPEND_SCHEME, scheme.into())));
    Ok(Vocabulary { model: "t5", pre: "default".to_owned(), tokens, has_scores: true, more })
}

/// What becomes of spaces: as the authors' class has it, whose file has to be one that could be followed.
fn spaces(json: &Value, files: &Files<'_>, notes: &mut Vec<String>) -> Result<Spaces, Error> {
    let (said, loose) = Spaces::of(json)?;
    let class = match files.class {
        Class::XlmRoberta => "XLMRobertaTokenizer",
        Class::T5 => "T5Tokenizer",
        Class::OfTheFile | Class::Llama => {
            notes.extend(loose.into_iter().map(str::to_owned));
            return Ok(said);
        }
    };
    if files.class == Class::XlmRoberta && files.config["add_prefix_space"].as_bool() == Some(false) {
        let what = format!(
            "`add_prefix_space` is false, with which {class} loses the spaces between words, which GGUF has no way to say"
        );
        return Err(Error::file(&files.folder.join("tokenizer_config.json"), what));
    }
    if said != Spaces::OF_WORDS {
        notes.push(format!(
            "the file cuts texts at white space and marks every word, as {class} of transformers 5 does whatever tokenizer.json \
             says; transformers 4 goes by tokenizer.json, which says otherwise"
        ));
    }
    Ok(Spaces::OF_WORDS)
}

/// What becomes of spaces.
#[derive(Debug, PartialEq, Eq)]
struct Spaces {
    /// One goes before a text that begins with none.
    prefix: bool,
    /// Where that is not every stretch of text.
    scheme: Option<&'static str>,
    /// Several are one, and those at the ends none.
    joined: bool,
}

const LAST: &str = "a text that ends in white space has one more token at the authors'";
const OTHERS: &str = "white space that is no space (tabs, ends of lines) has tokens at the authors', where the file only parts words there";

impl Spaces {
    const OF_WORDS: Self = Self { prefix: true, scheme: None, joined: true };

    /// The ways that a file can say, and no others; and what joining spaces does beyond what a file of the authors' says.
    fn of(json: &Value) -> Result<(Self, Vec<&'static str>), Error> {
        let normalizers = flattened(&json["normalizer"], "normalizers");
        let (mut maps, mut strips, mut joins, mut marks) = (false, false, false, false);
        for part in &normalizers {
            let (regex, content) = (part["pattern"]["Regex"].as_str(), part["content"].as_str());
            match part["type"].as_str().unwrap_or_default() {
                "Precompiled" => maps = true,
                "Strip" if part["strip_right"].as_bool() == Some(true) => strips = true,
                "Replace" if regex == Some(" {2,}") && content == Some(" ") => joins = true,
                "Replace" if regex == Some(" {2,}") && content == Some(SPACE) => {
                    (joins, marks) = (true, true)
                }
                "Replace" if part["pattern"]["String"].as_str() == Some(" ") && content == Some(SPACE) => {
                    marks = true;
                }
                _ => return Err(unsaid(format!("the normalizer {} beside Unigram", shown(part)))),
            }
        }
        let cutters = flattened(&json["pre_tokenizer"], "pretokenizers");
        let refused = || {
            let (normalizer, cutter) = (shown(&json["normalizer"]), shown(&json["pre_tokenizer"]));
            Err(unsaid(format!("the pre_tokenizer {cutter} with the normalizer {normalizer} beside Unigram")))
        };
        let (words, metaspace) = match cutters.as_slice() {
            [words, space] if words["type"] == "WhitespaceSplit" => (true, space),
            [space] => (false, space),
            _ => return refused(),
        };
        if metaspace["type"] != "Metaspace"
            || metaspace["replacement"].as_str() != Some(SPACE)
            || metaspace["split"].as_bool() == Some(false)
        {
            return refused();
        }
        // Older files have a flag.
        let flag = if metaspace["add_prefix_space"].as_bool() == Some(false) { "never" } else { "always" };
        let scheme = metaspace["prepend_scheme"].as_str().unwrap_or(flag);
        // Words know nothing of the spaces around them, unless those are no spaces any more.
        if words {
            return match scheme {
                "always" if !marks => Ok((Self::OF_WORDS, Vec::new())),
                _ => refused(),
            };
        }
        if strips && !joins {
            return refused();
        }
        // Where spaces are joined, all white space is: other kinds would have to be mapped to spaces, and those at the end to go.
        let loose = [(!strips, LAST), (!maps, OTHERS)];
        let loose = loose.into_iter().filter(|(is_so, _)| joins && *is_so).map(|(_, said)| said).collect();
        match scheme {
            "always" => Ok((Self { prefix: true, scheme: None, joined: joins }, loose)),
            "first" => Ok((Self { prefix: true, scheme: Some("first"), joined: joins }, loose)),
            "never" if !joins => Ok((Self { prefix: false, scheme: None, joined: false }, loose)),
            _ => refused(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_ways_that_files_can_say_are_taken() {
        let metaspace =
            |scheme: &str| json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme});
        let words = json!({"type": "WhitespaceSplit"});
        let map = json!({"type": "Precompiled"});
        let strip = json!({"type": "Strip", "strip_left": false, "strip_right": true});
        let join =
            |content: &str| json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": content});
        let mark = json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE});
        let of = |normalizers: &[&Value], cutters: &[&Value]| {
            Spaces::of(&json!({
                "normalizer": {"type": "Sequence", "normalizers": normalizers},
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": cutters},
            }))
        };
        let (always, first, never) = (&metaspace("always"), &metaspace("first"), &metaspace("never"));
        let (one, marked) = (&join(" "), &join(SPACE));
        let said = |prefix, scheme, joined| Spaces { prefix, scheme, joined };
        let flagged = &json!({"type": "Metaspace", "replacement": SPACE, "add_prefix_space": true});
        type Right<'a> = (&'a [&'a Value], &'a [&'a Value], Spaces, &'a [&'a str]);
        let right: [Right<'_>; 13] = [
            (&[&map], &[&words, always], said(true, None, true), &[]),
            (&[&map, one], &[&words, always], said(true, None, true), &[]),
            (&[], &[&words, always], said(true, None, true), &[]),
            (&[&map, &strip, marked], &[always], said(true, None, true), &[]),
            (&[&map, &strip, marked], &[first], said(true, Some("first"), true), &[]),
            (&[&map, &mark], &[always], said(true, None, false), &[]),
            (&[&map], &[never], said(false, None, false), &[]),
            // XLM-R's on the Hub (multilingual E5, BGE-M3), and umT5's.
            (&[&map, one], &[always], said(true, None, true), &[LAST]),
            (&[&map, one], &[flagged], said(true, None, true), &[LAST]),
            (&[one], &[always], said(true, None, true), &[LAST, OTHERS]),
            (&[&map, marked], &[always], said(true, None, true), &[LAST]),
            (&[&map, one], &[first], said(true, Some("first"), true), &[LAST]),
            (&[&strip, marked], &[always], said(true, None, true), &[OTHERS]),
        ];
        for (normalizers, cutters, wanted, loose) in right {
            let (spaces, told) = of(normalizers, cutters).expect("it is right");
            assert_eq!((spaces, told.as_slice()), (wanted, loose), "{normalizers:?} {cutters:?}");
        }
        let wrong: [(&[&Value], &[&Value]); 13] = [
            (&[&map], &[]),
            (&[&map], &[&words]),
            (&[&map], &[&words, never]),
            (&[&map], &[&words, first]),
            (&[&map], &[always, always]),
            (&[&map], &[always, &words]),
            (&[&map, &mark], &[&words, always]),
            (&[&mark], &[&words, always]),
            (&[&map, marked], &[&words, always]),
            (&[&map, &strip, marked], &[never]),
            (&[&map, one], &[never]),
            (&[&strip], &[always]),
            (&[&map, &strip], &[always]),
        ];
        for (normalizers, cutters) in wrong {
            let refusal = of(normalizers, cutters).expect_err("it is refused").to_string();
            assert!(refusal.contains("beside Unigram, which GGUF has no way to say"), "{refusal}");
        }
    }
}
