//! The marks around a text: which they are, and whether the authors' tokenizer puts them there.

use std::collections::HashMap;

use gguf::OwnedValue;
use serde_json::Value;

use super::{Files, unsaid};
use crate::config::Config;
use crate::error::Error;

/// Marks that stand around one text, and between two.
#[derive(Debug, Default, PartialEq, Eq)]
struct Around {
    before: Option<usize>,
    after: Option<usize>,
    /// Two marks between the texts of a pair, as RoBERTa has it.
    doubled: bool,
}

/// What marks are called where nobody says it.
const USUAL: [(&str, &str); 8] = [
    ("unk", "[UNK]"),
    ("cls", "[CLS]"),
    ("sep", "[SEP]"),
    ("pad", "[PAD]"),
    ("mask", "[MASK]"),
    ("unk", "<unk>"),
    ("pad", "<pad>"),
    ("mask", "<mask>"),
];

/// The keys of marks, under `tokenizer.ggml.`.
pub(super) fn keys(
    files: &Files<'_>,
    config: &Config,
    ids: &HashMap<String, usize>,
    is_word_piece: bool,
) -> Result<Vec<(&'static str, OwnedValue)>, Error> {
    let mut keys: Vec<(&'static str, OwnedValue)> = Vec::new();
    let named = |name: &str| {
        let by_text = files.mark(&format!("{name}_token")).and_then(|text| ids.get(text)).copied();
        by_text.or_else(|| {
            config
                .number(&[&format!("{name}_token_id")])
                .ok()
                .flatten()
                .map(|id| id as usize)
                .filter(|id| *id < ids.len())
        })
    };
    // Where no file names a mark, the tokenizer itself says what it takes for what it does not know, and the usual names
    // are what they say.
    let usual = |name: &str| {
        USUAL.iter().filter(|(mark, _)| *mark == name).find_map(|(_, text)| ids.get(*text)).copied()
    };
    let unknown = files.json.as_ref().and_then(|json| {
        let model = &json["model"];
        let by_text = model["unk_token"].as_str().and_then(|text| ids.get(text)).copied();
        by_text.or_else(|| model["unk_id"].as_u64().map(|id| id as usize))
    });
    let around = match &files.json {
        Some(json) => processor(&json["post_processor"], ids)?,
        None => None,
    };
    let flag = |name: &str| files.config[name].as_bool();
    let mut around = around.unwrap_or_else(|| {
        // Tokenizers of BERT's kind and T5's need no telling; of others the configuration says it.
        let is_bert = files.folder.join("vocab.txt").exists();
        let begins = flag("add_bos_token").unwrap_or(is_bert);
        let ends = flag("add_eos_token").unwrap_or(is_bert);
        let enclosing = |name: &str| named(name).or_else(|| usual(name));
        let (first, last) =
            if is_bert { (enclosing("cls"), enclosing("sep")) } else { (named("bos"), named("eos")) };
        Around { before: first.filter(|_| begins), after: last.filter(|_| ends), doubled: false }
    });
    // The authors' classes put their marks by these flags, whatever tokenizer.json says.
    for (name, side, mark) in [
        ("add_bos_token", &mut around.before, named("bos")),
        ("add_eos_token", &mut around.after, named("eos")),
    ] {
        match (flag(name), *side) {
            (Some(true), None) => *side = mark,
            (Some(false), Some(_)) => {
                let path = files.folder.join("tokenizer_config.json");
                let what =
                    "is false, and the post_processor of tokenizer.json puts a mark there; make them agree";
                return Err(Error::file(&path, format!("`{name}` {what}")));
            }
            _ => {}
        }
    }
    if is_word_piece && (around.before.is_none() || around.after.is_none()) {
        return Err(unsaid("a text of WordPiece's without a mark before and after it (post_processor)"));
    }
    let first = around.before.or_else(|| named("bos")).or_else(|| named("cls"));
    let last = around.after.or_else(|| named("eos")).or_else(|| named("sep"));
    let marks = [
        ("bos_token_id", first),
        ("eos_token_id", last),
        ("unknown_token_id", unknown.or_else(|| named("unk")).or_else(|| usual("unk"))),
        // Readers that are told of two marks between texts look for this one, and some fall over where it is missing.
        (
            "seperator_token_id",
            // WordPiece's texts end in it, whatever other files call so.
            around
                .after
                .filter(|_| is_word_piece)
                .or_else(|| named("sep"))
                .or_else(|| usual("sep"))
                .or(around.after.filter(|_| around.doubled)),
        ),
        ("padding_token_id", named("pad").or_else(|| usual("pad"))),
        ("mask_token_id", named("mask").or_else(|| usual("mask"))),
    ];
    for (key, id) in marks {
        if let Some(id) = id {
            keys.push((key, (id as u32).into()));
        }
    }
    keys.push(("add_bos_token", around.before.is_some().into()));
    keys.push(("add_eos_token", around.after.is_some().into()));
    keys.push(("add_sep_token", around.doubled.into()));
    Ok(keys)
}

/// What a post-processor puts around a text; `None` if it says nothing of it. Two marks on a side are refused.
fn processor(processor: &Value, ids: &HashMap<String, usize>) -> Result<Option<Around>, Error> {
    let id_of = |mark: &Value| {
        ids.get(mark.get(0)?.as_str()?).copied().or(mark.get(1)?.as_u64().map(|id| id as usize))
    };
    let enclosing =
        |doubled| Around { before: id_of(&processor["cls"]), after: id_of(&processor["sep"]), doubled };
    Ok(match processor["type"].as_str().unwrap_or_default() {
        "BertProcessing" => Some(enclosing(false)),
        "RobertaProcessing" => Some(enclosing(true)),
        "TemplateProcessing" => {
            let special = &processor["special_tokens"];
            let id = |piece: &Value| {
                let name = piece["SpecialToken"]["id"].as_str()?;
                special[name]["ids"][0].as_u64().map(|id| id as usize).or_else(|| ids.get(name).copied())
            };
            let Some(single) = processor["single"].as_array() else { return Ok(None) };
            let Some(text) = single.iter().position(|piece| piece.get("Sequence").is_some()) else {
                return Ok(None);
            };
            let one = |side: &[Value], name: &str| {
                let marks: usize = side
                    .iter()
                    .map(|piece| match piece["SpecialToken"]["id"].as_str() {
                        Some(name) => special[name]["ids"].as_array().map_or(1, Vec::len),
                        // The text once more.
                        None => 2,
                    })
                    .sum();
                if marks > 1 {
                    return Err(unsaid(format!("its post_processor puts {marks} marks {name} a text")));
                }
                Ok(side.iter().find_map(id))
            };
            let before = one(&single[..text], "before")?;
            let after = one(&single[text + 1..], "after")?;
            let pair = processor["pair"].as_array().map_or(&[][..], Vec::as_slice);
            let places: Vec<usize> =
                (0..pair.len()).filter(|place| pair[*place].get("Sequence").is_some()).collect();
            // `</s></s>` between them; Gemma's `<eos><bos>` is something else.
            let between = places.get(1).map_or(&[][..], |second| &pair[places[0] + 1..*second]);
            let doubled = between.len() == 2 && between.iter().all(|piece| id(piece) == after);
            Some(Around { before, after, doubled })
        }
        "Sequence" => {
            let Some(processors) = processor["processors"].as_array() else { return Ok(None) };
            // The one that cuts says nothing of marks, where another does.
            let cuts = |part: &&Value| part["type"] == "ByteLevel";
            let says = |part: &Value| self::processor(part, ids);
            match processors.iter().all(|part| cuts(&part)) {
                true => processors.first().map_or(Ok(None), says)?,
                false => {
                    let mut found = processors.iter().filter(|part| !cuts(part)).map(says);
                    found.find_map(Result::transpose).transpose()?
                }
            }
        }
        // What cuts offsets adds nothing; a tokenizer of which that is all adds nothing.
        "ByteLevel" => Some(Around::default()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(value: Value) -> Option<Around> {
        let ids = [("[CLS]", 101), ("[SEP]", 102), ("<s>", 0), ("</s>", 2)];
        processor(&value, &ids.map(|(text, id)| (text.to_owned(), id)).into()).expect("one mark a side")
    }

    #[test]
    fn two_marks_on_a_side_are_refused() {
        let mark = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
        let text = json!({"Sequence": {"id": "A", "type_id": 0}});
        let refusal = |single: Vec<Value>, special: Value| {
            let template = json!({"type": "TemplateProcessing", "single": single, "special_tokens": special});
            processor(&template, &HashMap::new()).map_err(|error| error.to_string()).err()
        };
        let before = refusal(vec![mark("[CLS]"), mark("[X]"), text.clone()], json!({}));
        let said =
            "tokenizer.json: its post_processor puts 2 marks before a text, which GGUF has no way to say";
        assert_eq!(before.as_deref(), Some(said));
        let after = refusal(vec![text.clone(), mark("[SEP]")], json!({"[SEP]": {"ids": [1, 2]}}));
        assert!(after.is_some_and(|after| after.contains("2 marks after a text")));
        assert!(refusal(vec![text.clone(), text.clone()], json!({})).is_some(), "a text twice");
        assert_eq!(refusal(vec![mark("[CLS]"), text, mark("[SEP]")], json!({})), None);
    }

    #[test]
    fn processors_say_what_stands_around() {
        let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]});
        assert_eq!(of(bert), Some(Around { before: Some(101), after: Some(102), doubled: false }));
        let roberta = json!({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]});
        assert_eq!(of(roberta), Some(Around { before: Some(0), after: Some(2), doubled: true }));
        let (a, b) =
            (json!({"Sequence": {"id": "A", "type_id": 0}}), json!({"Sequence": {"id": "B", "type_id": 0}}));
        let end = json!({"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}});
        let qwen = json!({"type": "Sequence", "processors": [{"type": "TemplateProcessing", "single": [a, end], "pair": [a, end, b, end],
            "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [151643], "tokens": ["<|endoftext|>"]}}}]});
        assert_eq!(of(qwen.clone()), Some(Around { before: None, after: Some(151_643), doubled: false }));
        // Llama 3 and Qwen 3 have both: the one that cuts says nothing of marks.
        let cuts = json!({"type": "ByteLevel", "trim_offsets": true});
        let both = json!({"type": "Sequence", "processors": [cuts, qwen]});
        assert_eq!(of(both), Some(Around { before: None, after: Some(151_643), doubled: false }));
        let alone = json!({"type": "Sequence", "processors": [cuts]});
        assert_eq!(of(alone), Some(Around::default()));
        assert_eq!(of(json!({"type": "ByteLevel", "trim_offsets": true})), Some(Around::default()));
        assert_eq!(of(Value::Null), None);
    }
}
