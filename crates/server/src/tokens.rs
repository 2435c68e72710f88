//! Texts to tokens and back, for the protocols that have routes for it.

use std::ops::Range;

use connote::{Input, Model, Options, SpecialTokens, Task};

use crate::fault::Fault;

/// A token as it is shown.
pub(crate) struct Token {
    pub(crate) id: u32,
    pub(crate) text: String,
    /// One of the model's marks, not of the text.
    pub(crate) special: bool,
}

/// The texts of tokens as they follow each other: a byte token is its byte, which may not be UTF-8 by itself.
pub(crate) fn pieces(model: &Model, ids: &[u32]) -> Vec<Result<String, Vec<u8>>> {
    let piece = |&id: &u32| {
        let bytes = model.tokenizer().bytes(id).unwrap_or_default().into_owned();
        String::from_utf8(bytes).map_err(|error| error.into_bytes())
    };
    ids.iter().map(piece).collect()
}

/// All tokens of a text, however many, with what the model puts around it where `around` says so.
pub(crate) fn tokenize(
    model: &Model,
    text: &str,
    around: bool,
    special: SpecialTokens,
) -> Result<Vec<u32>, Fault> {
    if !around {
        return Ok(model.tokenizer().encode(text, special));
    }
    let options = Options::new().special_tokens(special);
    model.tokenize(&Input::new(text), &options).map_err(|error| Fault::from(&error))
}

/// Ids, and the bytes of the text that each comes from.
pub(crate) type Located = (Vec<u32>, Vec<Option<Range<usize>>>);

/// All tokens of a text, its special tokens taken for such, and the bytes of the text that each comes from: none for those
/// around it and those of the task's prompt.
pub(crate) fn located(model: &Model, text: &str, task: Option<Task>, around: bool) -> Result<Located, Fault> {
    if !around && task.is_none() {
        let (ids, offsets) = model.tokenizer().encode_with_offsets(text, SpecialTokens::Parse);
        return Ok((ids, offsets.into_iter().map(Some).collect()));
    }
    let options = task.map_or_else(Options::new, |task| Options::new().task(task));
    let tokens = model.tokens(&Input::new(text), &options).map_err(|error| Fault::from(&error))?;
    let (before, after) = (model.tokenizer().prefix().len(), model.tokenizer().suffix().len());
    let shown = if around { &tokens[..] } else { &tokens[before..tokens.len() - after] };
    Ok(shown.iter().map(|token| (token.id, token.source.bytes())).unzip())
}

/// Ids as the network should read them: with the special tokens that a text gets, where they are missing.
pub(crate) fn with_special_tokens(model: &Model, ids: Vec<u32>) -> Vec<u32> {
    let (before, after) = (model.tokenizer().prefix(), model.tokenizer().suffix());
    let before = if ids.starts_with(before) { &[] } else { before };
    let after = if ids.ends_with(after) { &[] } else { after };
    [before, ids.as_slice(), after].concat()
}

/// Tokens with their texts.
pub(crate) fn described(model: &Model, ids: &[u32]) -> Vec<Token> {
    let tokenizer = model.tokenizer();
    let marks = [
        tokenizer.bos(),
        tokenizer.eos(),
        tokenizer.sep(),
        tokenizer.pad(),
        tokenizer.mask(),
        tokenizer.unk(),
    ];
    let token = |&id: &u32| {
        let text = tokenizer.piece(id).map_or_else(String::new, |piece| piece.into_owned());
        let ends = tokenizer.prefix().contains(&id) || tokenizer.suffix().contains(&id);
        Token { id, text, special: ends || marks.contains(&Some(id)) }
    };
    ids.iter().map(token).collect()
}

/// Refuses ids that the vocabulary does not have.
pub(crate) fn check(model: &Model, ids: &[u32], field: &str) -> Result<(), Fault> {
    let words = model.tokenizer().vocab_size();
    let Some(id) = ids.iter().find(|&&id| id as usize >= words) else { return Ok(()) };
    let message = format!("the token id {id} is not in the vocabulary, whose ids are below {words}");
    Err(Fault::invalid(message).param(field))
}

/// The text of ids; refuses those that the vocabulary does not have.
pub(crate) fn decode(model: &Model, ids: &[u32], skip_special: bool) -> Result<String, Fault> {
    check(model, ids, "ids")?;
    if skip_special {
        return Ok(model.tokenizer().decode(ids));
    }
    // Marks are written out, and what is between them is text.
    let mut text = String::new();
    let tokens = described(model, ids);
    for run in tokens.chunk_by(|one, other| one.special == other.special) {
        if run[0].special {
            run.iter().for_each(|token| text.push_str(&token.text));
        } else {
            let ids: Vec<u32> = run.iter().map(|token| token.id).collect();
            text.push_str(&model.tokenizer().decode(&ids));
        }
    }
    Ok(text)
}
